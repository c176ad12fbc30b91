//! What the fuzz targets of messages, streams, URIs and values do with their octets: anything may
//! come in, no law may break.
//!
//! The fuzzer calls these, and so does an ordinary test on the corpus that is kept. A broken law
//! is a panic.

use bytes::Bytes;

use proto_sip::frame::Event;
use proto_sip::header::{
    CSeq, Contact, Date, MediaType, MinSe, NameAddr, RAck, RSeq, Reason, Replaces, RetryAfter,
    Seconds, SessionExpires, Token, TokenParams, Value, Via, Warning,
};
use proto_sip::{Answer, Builder, Datagram, Frames, Limits, Message, Name, StatusCode, Uri};

/// Small, so that the limits are met.
const LIMITS: Limits = Limits { message: 4_096, head: 2_048, body: 1_024, headers: 40, vias: 10 };

type Octets = Vec<u8>;

/// Headers by their names as they came, their values, and the body.
fn parts(message: &Message) -> (Vec<(Octets, Octets)>, Octets) {
    let headers = message.headers();
    let pairs = headers.map(|header| (header.name_text().to_vec(), header.raw().to_vec()));
    (pairs.collect(), message.body().to_vec())
}

fn read_all(message: &Message) {
    let _ = (message.uri(), message.via(), message.from(), message.to(), message.cseq());
    let _ = (message.call_id(), message.max_forwards(), message.expires(), message.content_type());
    let _ = (message.contacts().count(), message.list::<NameAddr>(Name::ReferTo).count());
    let _ = (message.routes().count(), message.record_routes().count());
    let _ = (message.list::<Via>(Name::Via).count(), message.tokens(Name::Supported).count());
    let _ = format!("{message:?}");
    for header in message.headers() {
        assert!(!header.text().contains(&b'\n'), "a value on one line");
    }
}

/// One datagram: read, checked, copied, changed, answered.
pub fn message(data: &[u8]) {
    let octets = Bytes::copy_from_slice(data);
    let Datagram::Message(octets) = Datagram::of(&octets) else { return };
    let message = match Message::parse(octets, &LIMITS) {
        Ok(message) => message,
        Err(refused) => {
            if let Some((request, status)) = refused.answer() {
                read_all(request);
                let answer = Answer { tag: Some("t"), ..Answer::default() };
                let _ = Builder::answer(request, status, answer).finish();
            }
            return;
        }
    };
    read_all(&message);
    let checked = message.check();
    let copy = message.edit().finish().expect("no order, no error");
    let copy = Message::parse(copy, &Limits::default()).expect("a copy reads like its original");
    let (mut headers, body) = parts(&message);
    if !message.has(Name::ContentLength) {
        headers.push((b"Content-Length".to_vec(), body.len().to_string().into_bytes()));
    }
    assert_eq!(parts(&copy), (headers, body), "a copy has the same headers and body");
    let hop = copy.edit().push(Name::Via, "SIP/2.0/UDP us;branch=z9hG4bKus").finish();
    let hop =
        Message::parse(hop.expect("a Via of ours"), &Limits::default()).expect("one hop more");
    assert_eq!(hop.via().ok().and_then(|via| via.unique_branch().map(<[u8]>::len)), Some(9));
    let back = hop.edit().pop(Name::Via).finish().expect("a hop less");
    assert_eq!(back, *copy.raw(), "a Via that is pushed and popped leaves nothing");
    if checked.is_ok() && message.is_request() {
        let answer = Answer { tag: Some("t"), ..Answer::default() };
        let out = Builder::answer(&message, StatusCode::OK, answer).finish();
        // A null that a quote escapes is read, and never written.
        if let Ok(out) = out {
            let answer = Message::parse(out, &Limits::default()).expect("an answer reads");
            assert_eq!(answer.check(), Ok(()), "an answer is as good as its request");
        }
    }
}

fn events(data: &[u8], chunks: impl Iterator<Item = usize>) -> (Vec<Event>, bool) {
    let mut frames = Frames::new(LIMITS);
    let mut found = Vec::new();
    let mut rest = data;
    for size in chunks {
        if rest.is_empty() {
            break;
        }
        let (mut chunk, behind) = rest.split_at(size.clamp(1, rest.len()));
        rest = behind;
        loop {
            match frames.next(&mut chunk) {
                Ok(Some(event)) => found.push(event),
                Ok(None) => break,
                Err(refused) => {
                    let _ = refused.answer();
                    return (found, false);
                }
            }
        }
        assert!(chunk.is_empty(), "a chunk is used up");
        assert!(frames.buffered() <= LIMITS.message, "no more is kept than one message");
    }
    (found, true)
}

/// A stream: however it is cut, the same comes out of it.
pub fn stream(data: &[u8]) {
    let whole = events(data, std::iter::once(data.len()));
    let single = events(data, std::iter::repeat(1));
    assert_eq!(whole, single, "octet by octet");
    let odd = data.iter().map(|octet| usize::from(*octet)).collect::<Vec<_>>();
    assert_eq!(whole, events(data, odd.into_iter().cycle()), "in odd chunks");
    for event in whole.0 {
        if let Event::Message(octets) = event
            && let Ok(message) = Message::parse(octets, &LIMITS)
        {
            read_all(&message);
        }
    }
}

/// A URI.
pub fn uri(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let Ok(uri) = Uri::parse(&text) else { return };
    assert_eq!(uri.as_bytes(), data);
    assert!(uri.is_equivalent(&uri), "a URI means what it means");
    let _ = (uri.params().count(), uri.headers().count(), uri.user_unescaped(), uri.transport());
    let address = NameAddr::new(uri.clone());
    let again = NameAddr::parse(&address.to_bytes());
    assert_eq!(again.map(|again| again.uri), Ok(uri), "in angle brackets it is the same");
}

/// What is read writes to what reads the same.
fn value_of<V: Value + PartialEq + std::fmt::Debug>(text: &Bytes) {
    let Ok(first) = V::parse(text) else { return };
    let written = first.to_bytes();
    assert!(!written.contains(&b'\r') && !written.contains(&b'\n'), "no line end is written");
    let again = V::parse(&written);
    assert_eq!(again.as_ref(), Ok(&first), "what is read writes to what reads the same");
    assert_eq!(first.to_bytes(), written);
}

/// One value of a header: the first octet says which kind.
pub fn value(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    // A value has no folds: those go before.
    if text.contains(&b'\r') || text.contains(&b'\n') {
        return;
    }
    let text = &Bytes::copy_from_slice(text);
    match kind % 18 {
        0 => value_of::<Via>(text),
        1 => value_of::<NameAddr>(text),
        2 => value_of::<Contact>(text),
        3 => value_of::<CSeq>(text),
        4 => value_of::<RAck>(text),
        5 => value_of::<RSeq>(text),
        6 => value_of::<Seconds>(text),
        7 => value_of::<SessionExpires>(text),
        8 => value_of::<MinSe>(text),
        9 => value_of::<RetryAfter>(text),
        10 => value_of::<Reason>(text),
        11 => value_of::<Replaces>(text),
        12 => value_of::<MediaType>(text),
        13 => value_of::<Date>(text),
        14 => value_of::<Token>(text),
        15 => value_of::<TokenParams>(text),
        16 => {
            let Ok(contact) = NameAddr::parse(text) else { return };
            assert!(contact.q() <= 1_000);
            let _ = (contact.expires(), contact.instance(), contact.reg_id(), contact.tag());
            let mut changed = contact.clone();
            changed.params.set("tag", Some(b"a \"b\""));
            let again =
                NameAddr::parse(&changed.to_bytes()).expect("a parameter that is set reads");
            assert_eq!(again.params.text("tag").as_deref(), Some(&b"a \"b\""[..]));
            changed.params.remove("tag");
            assert_eq!(changed.params.iter().count(), again.params.iter().count() - 1);
        }
        _ => {
            // Escaped control characters are read, and written as spaces.
            let plain = text.iter().all(|octet| *octet >= b' ' && *octet != 127);
            if plain { value_of::<Warning>(text) } else { drop(Warning::parse(text)) }
        }
    }
}

/// A target and its name.
pub type Target = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const ALL: [Target; 4] =
    [("message", message), ("stream", stream), ("uri", uri), ("value", value)];
