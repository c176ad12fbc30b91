//! Laws over messages that chance makes: what is built is read, and an edit leaves other octets.

use bytes::Bytes;
use proptest::prelude::*;
use proto_sip::frame::Event;
use proto_sip::header::{NameAddr, Value};
use proto_sip::uri::Host;
use proto_sip::{Builder, Frames, Limits, Message, Method, Name, Uri};

/// Headers that are none of those a message needs.
fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "X-[A-Za-z0-9.%~'-]{1,12}",
        Just("Subject".to_owned()),
        Just("Route".to_owned()),
        Just("k".to_owned()),
    ];
    let value = "[!-~а-я][ -~]{0,20}[!-~]|";
    prop::collection::vec((name, value), 0..12)
}

fn request(headers: &[(String, String)], body: &[u8]) -> Message {
    let mut builder = Builder::request(&Method::Message, "sip:b@example.org");
    builder.header(Name::Via, "SIP/2.0/TCP a;branch=z9hG4bK1, SIP/2.0/TCP b");
    for (name, value) in headers {
        builder.header(name.as_str(), value.as_str());
    }
    builder
        .header(Name::From, "<sip:a@b>;tag=1")
        .header(Name::To, "<sip:b@example.org>")
        .header(Name::CallId, "law@b")
        .header(Name::CSeq, "7 MESSAGE");
    let out = builder.body("text/plain", body).unwrap();
    Message::parse(out, &Limits::default()).unwrap()
}

/// Each header's octets, as they stand.
fn lines(message: &Message) -> Vec<Vec<u8>> {
    let text = message.header_block().to_vec();
    text.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()
}

proptest! {
    #[test]
    fn what_is_built_is_read(headers in headers(), body in prop::collection::vec(any::<u8>(), 0..80)) {
        let message = request(&headers, &body);
        prop_assert_eq!(message.check(), Ok(()));
        prop_assert_eq!(message.body(), &body[..]);
        let others = message.headers().skip(1).take(headers.len());
        let read: Vec<(String, String)> = others.map(|header| {
            let name = if header.name() == Name::Other {
                String::from_utf8(header.name_text().to_vec()).unwrap()
            } else {
                header.name().to_string()
            };
            (name, String::from_utf8(header.raw().to_vec()).unwrap())
        }).collect();
        let written: Vec<(String, String)> = headers.into_iter().map(|(name, value)| {
            let known = Name::of(name.as_bytes());
            (if known == Name::Other { name } else { known.to_string() }, value)
        }).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn an_edit_leaves_all_other_octets(headers in headers(), orders in prop::collection::vec(0u8..7, 0..6)) {
        let message = request(&headers, b"Hello");
        let mut edit = message.edit();
        for order in &orders {
            match order {
                0 => edit.push(Name::Via, "SIP/2.0/UDP us;branch=z9hG4bKus"),
                1 => edit.set(Name::MaxForwards, &69u8),
                2 => edit.pop(Name::Via),
                3 => edit.append("Y-New", "1"),
                4 => edit.remove(Name::Subject),
                5 => edit.replace_first(Name::Via, "SIP/2.0/UDP them"),
                _ => edit.body("text/html", b"<p>"),
            };
        }
        let changed = Message::parse(edit.finish().unwrap(), &Limits::default());
        let touched = |line: &[u8]| {
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
            match Name::of(name) {
                Name::Via | Name::MaxForwards | Name::Subject => true,
                Name::ContentType | Name::ContentLength => orders.contains(&6),
                Name::Other => name == b"Y-New",
                _ => false,
            }
        };
        let rest = |message: &Message| {
            lines(message).into_iter().filter(|line| !touched(line)).collect::<Vec<_>>()
        };
        match changed {
            Ok(changed) => {
                prop_assert_eq!(rest(&changed), rest(&message));
                let body: &[u8] = if orders.contains(&6) { b"<p>" } else { b"Hello" };
                prop_assert_eq!(changed.body(), body);
            }
            // All Vias were taken away.
            Err(_) => prop_assert!(orders.iter().filter(|order| **order == 2).count() >= 2),
        }
    }

    #[test]
    fn a_stream_gives_what_was_sent(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5),
        sizes in prop::collection::vec(1usize..90, 1..20),
    ) {
        let sent: Vec<Bytes> = bodies.iter().map(|body| request(&[], body).raw().clone()).collect();
        let stream = sent.concat();
        let mut frames = Frames::new(Limits::default());
        let mut found = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            let (mut chunk, behind) = rest.split_at((*size).min(rest.len()));
            while let Some(Event::Message(message)) = frames.next(&mut chunk).unwrap() {
                found.push(message);
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn a_uri_of_our_own_comes_back(user in "\\PC{1,20}", port in 1u16.., v6 in any::<u128>()) {
        let host = Host::from(std::net::IpAddr::from(std::net::Ipv6Addr::from(v6)));
        let uri = Uri::sip_of(Some(&user), &host, Some(port));
        let read = Uri::parse(uri.bytes()).unwrap();
        prop_assert_eq!(read.user_unescaped(), Some(user.into_bytes()));
        prop_assert_eq!((read.host(), read.port()), (Some(&host), Some(port)));
    }

    #[test]
    fn a_name_and_parameters_come_back(name in "\\PC{0,20}", tag in "[a-zA-Z0-9.~-]{1,12}", note in "\\PC{1,12}") {
        let mut address = NameAddr::new(Uri::parse(&Bytes::from_static(b"sip:a@b;lr")).unwrap());
        address.set_display(&name);
        address.params.set("tag", Some(tag.as_bytes()));
        address.params.set("note", Some(note.as_bytes()));
        let read = NameAddr::parse(&address.to_bytes()).unwrap();
        prop_assert_eq!(read.display().into_owned(), name.into_bytes());
        prop_assert_eq!(read.tag(), Some(tag.as_bytes()));
        let kept = read.params.text("note").unwrap().into_owned();
        prop_assert!(kept == note.as_bytes() || note.starts_with('"'), "{:?}", kept);
        prop_assert_eq!(read.uri, address.uri);
    }
}
