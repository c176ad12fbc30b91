//! The INVITE by which peers were measured: 1,149 octets, 17 headers, a body of SDP; and what
//! other programs make of odd messages, each an answer of ours.

use bytes::Bytes;
use proto_sip::header::{NameAddr, Via};
use proto_sip::{Datagram, Defect, Limits, Message, Method, Name, StatusCode};

const BODY: &str = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.101\r\ns=-\r\n\
    c=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=sendrecv\r\n";

pub(crate) fn invite() -> String {
    let head = "INVITE sip:+14155550123@gw.carrier.example;user=phone SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK74bf9f2a1c;rport\r\n\
        Via: SIP/2.0/UDP 192.0.2.101:5062;branch=z9hG4bKnashds8;received=192.0.2.101\r\n\
        Record-Route: <sip:192.0.2.10;lr;ftag=9fxced76sl>\r\n\
        Max-Forwards: 69\r\n\
        From: \"Alice Example\" <sip:+14155550100@sip.example.com>;tag=9fxced76sl\r\n\
        To: <sip:+14155550123@sip.example.com>\r\n\
        Call-ID: 3848276298220188511@192.0.2.101\r\n\
        CSeq: 102 INVITE\r\n\
        Contact: <sip:alice@192.0.2.101:5062;transport=udp>\r\n\
        P-Asserted-Identity: \"Alice Example\" <sip:+14155550100@sip.example.com>\r\n\
        Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE, PRACK\r\n\
        Supported: replaces, timer, 100rel, path, outbound\r\n\
        Session-Expires: 1800;refresher=uac\r\n\
        Min-SE: 90\r\n\
        User-Agent: Example-Phone/4.2.1 (build 7781; serial 00-00-5E-00-53-01; release 2026-11a)\r\n\
        Content-Type: application/sdp\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{BODY}", BODY.len())
}

/// What a message becomes at the door: taken, answered with a status, or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Taken,
    Answered(u16),
    Dropped,
}

pub(crate) fn outcome(octets: &[u8]) -> Outcome {
    let Datagram::Message(octets) = Datagram::of(&Bytes::copy_from_slice(octets)) else {
        return Outcome::Dropped;
    };
    match Message::accept(octets, &Limits::default()) {
        Ok(_) => Outcome::Taken,
        Err(refused) => {
            refused.answer().map_or(Outcome::Dropped, |(_, status)| Outcome::Answered(status.get()))
        }
    }
}

pub(crate) fn taken(text: &str) -> Message {
    assert_eq!(outcome(text.as_bytes()), Outcome::Taken, "{text}");
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

fn with(old: &str, new: &str) -> String {
    let invite = invite();
    assert!(invite.contains(old), "{old}");
    invite.replacen(old, new, 1)
}

const URI: &str = "sip:+14155550123@gw.carrier.example;user=phone SIP";

#[test]
fn the_invite_is_taken() {
    let message = taken(&invite());
    assert_eq!((message.raw().len(), message.headers().count()), (1_149, 17));
    assert_eq!(message.body(), BODY.as_bytes());
    assert!(message.has_token(Name::Supported, "100REL"));
    assert_eq!(message.allows(&Method::Prack), Some(true));
    assert_eq!(message.allows(&Method::Publish), Some(false));
}

#[test]
fn addresses_of_ipv6_and_other_schemes_are_targets() {
    for uri in ["sip:b@[2001:db8::10]:5060", "tel:+14155550123", "urn:service:sos"] {
        let message = taken(&with(URI, &format!("{uri} SIP")));
        assert_eq!(message.uri().unwrap().to_string(), uri);
    }
}

#[test]
fn compact_names_are_the_same_headers() {
    let mut text = invite();
    for (long, compact) in [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Content-Length", "l"),
        ("Content-Type", "c"),
        ("Supported", "k"),
        ("Session-Expires", "x"),
    ] {
        text = text.replace(&format!("\r\n{long}:"), &format!("\r\n{compact}:"));
    }
    let (long, compact) = (taken(&invite()), taken(&text));
    assert_eq!(long.list::<Via>(Name::Via).count(), compact.list::<Via>(Name::Via).count());
    assert_eq!((long.from(), long.to()), (compact.from(), compact.to()));
    assert_eq!((long.call_id(), long.body()), (compact.call_id(), compact.body()));
    assert_eq!(compact.contacts().count(), 1);
}

#[test]
fn folds_and_spaces_before_colons_are_read() {
    let text =
        with("From: \"Alice", "From\t :\r\n \"Alice").replace("CSeq: 102 ", "CSeq  : 102\r\n\t");
    let message = taken(&text);
    assert_eq!(message.from(), taken(&invite()).from());
    assert_eq!(message.cseq().unwrap().number, 102);
}

#[test]
fn a_line_without_a_colon_is_refused_and_not_dropped_in_silence() {
    assert_eq!(outcome(with("Min-SE: 90", "Min-SE 90").as_bytes()), Outcome::Answered(400));
}

#[test]
fn an_unknown_method_is_a_message_to_be_answered() {
    let text = invite().replace("INVITE sip", "FROB sip").replace("102 INVITE", "102 FROB");
    let message = taken(&text);
    assert_eq!(message.method(), Some(&Method::Other(Bytes::from_static(b"FROB"))));
}

#[test]
fn octets_of_another_alphabet_stay_in_their_header() {
    let mut octets = with("Min-SE: 90", "Subject: caf\u{1}").into_bytes();
    let at = octets.iter().position(|octet| *octet == 1).unwrap();
    octets[at] = 0xE9;
    assert_eq!(outcome(&octets), Outcome::Taken);
    let message = Message::parse(Bytes::from(octets), &Limits::default()).unwrap();
    assert_eq!(message.first("Subject").unwrap().raw(), b"caf\xE9");
}

#[test]
fn content_length_is_believed_within_reason() {
    let length = format!("Content-Length: {}", BODY.len());
    for (bad, status) in [("-999", 400), ("100000000000000000000", 413), ("999", 400), ("x", 400)] {
        let text = with(&length, &format!("Content-Length: {bad}"));
        assert_eq!(outcome(text.as_bytes()), Outcome::Answered(status), "{bad}");
    }
    assert_eq!(taken(&with(&length, "Content-Length: 3")).body(), b"v=0");
    let none = with(&format!("{length}\r\n"), "");
    assert_eq!(taken(&none).body(), BODY.as_bytes());
    let twice = with(&length, &format!("{length}\r\n{length}"));
    assert_eq!(outcome(twice.as_bytes()), Outcome::Answered(400));
}

#[test]
fn ten_thousand_headers_and_five_hundred_vias_have_their_answers() {
    let many = with("Min-SE: 90\r\n", &"X: 1\r\n".repeat(10_000));
    assert_eq!(outcome(many.as_bytes()), Outcome::Answered(513));
    let vias = with("Min-SE: 90\r\n", &"v: SIP/2.0/UDP a\r\n".repeat(100));
    assert_eq!(outcome(vias.as_bytes()), Outcome::Answered(483));
    let vias = with("Min-SE: 90\r\n", &format!("v: {}a\r\n", "SIP/2.0/UDP a,".repeat(499)));
    assert_eq!(outcome(vias.as_bytes()), Outcome::Answered(483));
    let long = with("Min-SE: 90\r\n", &format!("X: {}\r\n", "x".repeat(64_000)));
    assert_eq!(outcome(long.as_bytes()), Outcome::Answered(513));
}

#[test]
fn a_message_without_line_ends_is_dropped_or_refused() {
    let joined = invite().replace("\r\n", "");
    assert!(matches!(outcome(joined.as_bytes()), Outcome::Dropped | Outcome::Answered(400)));
    let parsed = Message::parse(Bytes::from(joined), &Limits::default());
    assert!(matches!(parsed.unwrap_err().defect, Defect::Unfinished | Defect::NotSip));
}

#[test]
fn a_name_cannot_bring_headers_with_it() {
    let message = taken(&invite());
    let mut from: NameAddr = message.from().unwrap();
    from.set_display("Eve\r\nP-Asserted-Identity: <sip:boss@example.com>\r\n");
    let out = message.edit().set(Name::From, &from).finish().unwrap();
    let read = Message::parse(out, &Limits::default()).unwrap();
    assert_eq!(read.all(Name::PAssertedIdentity).count(), 1);
    assert_eq!(read.from().unwrap().uri, from.uri);
    assert!(message.edit().append("X-Note", "a\r\nRoute: <sip:evil>").finish().is_err());
}

#[test]
fn a_bad_request_is_answered_with_its_own_headers() {
    let text = with("CSeq: 102 INVITE", "CSeq: 102 BYE");
    let refused = Message::parse(Bytes::from(text), &Limits::default()).unwrap_err();
    assert_eq!(refused.defect, Defect::MethodMismatch);
    let (request, status) = refused.answer().unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!((request.list::<Via>(Name::Via).count(), request.cseq().unwrap().number), (2, 102));
    assert_eq!(request.method(), Some(&Method::Invite));
}
