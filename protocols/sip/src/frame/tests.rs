//! Streams in chunks of every size, keep-alives between, and lengths that lie.

use super::*;
use crate::Name;

fn message(number: u32, body: &str) -> String {
    format!(
        "MESSAGE sip:b@example.org SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK{number}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:b@example.org>\r\nCall-ID: c\r\n\
         CSeq: {number} MESSAGE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn cut(frames: &mut Frames, mut chunk: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some(event) = frames.next(&mut chunk).unwrap() {
        found.push(event);
    }
    assert!(chunk.is_empty());
    found
}

fn fresh() -> Frames {
    Frames::new(Limits::default())
}

fn fails(stream: &str) -> Box<Refused> {
    let mut frames = fresh();
    let mut chunk = stream.as_bytes();
    loop {
        match frames.next(&mut chunk) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error in {stream:?}"),
            Err(refused) => {
                assert_eq!(frames.buffered(), 0);
                assert!(frames.next(&mut &b"x"[..]).is_err(), "there is no way back");
                return refused;
            }
        }
    }
}

#[test]
fn every_chunk_size_gives_the_same_messages() {
    let bodies = ["", "Hello", "\r\n\r\n", "INVITE sip:x SIP/2.0\r\n\r\n", "\r\n"];
    let mut stream = String::new();
    for (number, body) in (1..).zip(bodies) {
        stream.push_str(&message(number, body));
        stream.push_str(["", "\r\n\r\n"][number as usize % 2]);
    }
    let whole = cut(&mut fresh(), stream.as_bytes());
    assert_eq!(whole.iter().filter(|event| **event == Event::Ping).count(), 3);
    assert_eq!(whole.len(), 8);
    for size in 1..=stream.len() {
        let mut frames = fresh();
        let chunks = stream.as_bytes().chunks(size);
        let found: Vec<_> = chunks.flat_map(|chunk| cut(&mut frames, chunk)).collect();
        assert_eq!(found, whole, "chunks of {size}");
        assert_eq!(frames.buffered(), 0);
    }
}

#[test]
fn pings_are_pairs_and_a_pong_is_single() {
    let mut frames = fresh();
    assert_eq!(cut(&mut frames, b"\r\n\r\n"), [Event::Ping]);
    assert_eq!(cut(&mut frames, b"\r\n\r"), []);
    assert_eq!(cut(&mut frames, b"\n"), [Event::Ping]);
    frames.expect_pong();
    assert_eq!(cut(&mut frames, b"\r\n"), [Event::Pong]);
    assert_eq!(cut(&mut frames, b"\r\n"), [], "half a ping");
    frames.expect_pong();
    assert_eq!(cut(&mut frames, b"\r\n\r\n\r\n"), [Event::Pong, Event::Ping]);
    let one = message(1, "");
    assert_eq!(cut(&mut frames, format!("\r\n{one}\r\n").as_bytes()).len(), 1);
}

#[test]
fn a_length_that_lies_ends_the_stream_and_is_answered() {
    let good = message(7, "Hello");
    for (length, defect) in [
        ("Content-Length: -999", Defect::ContentLength),
        ("Content-Length: 5, 5", Defect::ContentLength),
        ("Content-Length: 5 5", Defect::ContentLength),
        ("Content-Length:", Defect::ContentLength),
        ("Content-Length: 5\r\nl: 5", Defect::Repeated(Name::ContentLength)),
        ("Content-Length: 5\r\nl: 0", Defect::Repeated(Name::ContentLength)),
        ("Content-Length: 99999999999999999999", Defect::BodyTooLong),
        ("Content-Length: 65536", Defect::BodyTooLong),
        ("Content-Type: text/plain", Defect::NoContentLength),
        ("Subject: x\nContent-Length: 5", Defect::BareLineEnd(7)),
        ("Subject: x\rContent-Length: 5", Defect::BareLineEnd(7)),
    ] {
        let refused = fails(&good.replace("Content-Length: 5", length));
        assert_eq!(refused.defect, defect, "{length}");
        let (request, status) = refused.answer().unwrap();
        assert_eq!(request.cseq().unwrap().number, 7);
        assert_eq!(status, defect.status());
    }
}

#[test]
fn a_message_that_is_bad_otherwise_leaves_the_stream_in_step() {
    let bad = message(1, "x").replace("Call-ID: c\r\n", "Call-ID c\r\n");
    let stream = format!("{bad}{}", message(2, ""));
    let found = cut(&mut fresh(), stream.as_bytes());
    let [Event::Message(first), Event::Message(second)] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(Message::parse(first.clone(), &Limits::default()).is_err());
    assert!(Message::parse(second.clone(), &Limits::default()).is_ok());
}

#[test]
fn no_length_is_no_body() {
    let bare = message(1, "").replace("Content-Length: 0\r\n", "");
    assert_eq!(cut(&mut fresh(), format!("{bare}{bare}").as_bytes()).len(), 2);
}

#[test]
fn other_protocols_end_the_stream_at_once() {
    for noise in ["\x16\x03\x01\x02", "\0", "\n", "\rx", " INVITE", "{\"json\":1}", "\u{fe}"] {
        let refused = fails(noise);
        assert_eq!((refused.defect, refused.request.is_none()), (Defect::NotSip, true));
    }
}

#[test]
fn an_endless_head_is_cut_off_at_the_limit() {
    let limits = Limits { head: 1_000, ..Limits::default() };
    for size in [1, 7, 999, 2_000, 5_000] {
        let mut frames = Frames::new(limits);
        let stream = format!("INVITE sip:a SIP/2.0\r\nX: {}", "x".repeat(4_000));
        let refused = stream.as_bytes().chunks(size).find_map(|mut chunk| {
            let result = frames.next(&mut chunk).err();
            assert!(frames.buffered() <= 1_004);
            result
        });
        assert_eq!(refused.unwrap().defect, Defect::HeadTooLong);
    }
}

#[test]
fn a_whole_message_has_its_limit() {
    let limits = Limits { message: 600, ..Limits::default() };
    let mut frames = Frames::new(limits);
    let long = message(1, &"x".repeat(500));
    assert_eq!(frames.next(&mut long.as_bytes()).unwrap_err().defect, Defect::TooLong);
}

#[test]
fn what_is_kept_grows_with_what_came() {
    let mut frames = fresh();
    let head = message(1, &"x".repeat(60_000));
    assert_eq!(cut(&mut frames, &head.as_bytes()[..300]), []);
    assert!(frames.partial.capacity() <= 1_024);
    assert_eq!(cut(&mut frames, &head.as_bytes()[300..30_000]), []);
    assert!(frames.next(&mut &head.as_bytes()[30_000..]).unwrap().is_some());
    assert_eq!((frames.partial.capacity(), frames.buffered()), (0, 0));
}

#[test]
fn datagrams_are_messages_keep_alives_or_noise() {
    let of = |octets: &[u8]| Datagram::of(&Bytes::copy_from_slice(octets));
    assert_eq!(of(b"\r\n\r\nOPTIONS"), Datagram::Message(Bytes::from_static(b"OPTIONS")));
    for alive in [&b""[..], b"\r\n\r\n", b"\r\n", b"\0\0\0\0"] {
        assert_eq!(of(alive), Datagram::KeepAlive);
    }
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
    assert_eq!(of(&stun), Datagram::Stun);
    for noise in [&b"\x80\0\0\0"[..], b"\0\0OPTIONS", b" x", b"<xml/>"] {
        assert_eq!(of(noise), Datagram::Noise);
    }
}
