//! rsip 0.4 as a second opinion, on messages that it can read: both must see the same.

use bytes::Bytes;
use proto_sip::header::Via;
use proto_sip::{Limits, Message, Name, Start};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rsip::prelude::*;

use crate::invites::invite;

/// A message of parts that rsip knows, by a seeded hand.
fn message(rng: &mut StdRng) -> String {
    let start = [
        "INVITE sip:bob@example.com SIP/2.0",
        "OPTIONS sip:192.0.2.1:5070;transport=TCP SIP/2.0",
        "REGISTER sips:example.com SIP/2.0",
        "BYE sip:bob@example.com;lr SIP/2.0",
        "SIP/2.0 200 OK",
        "SIP/2.0 486 Busy Here",
    ];
    let start = start.choose(rng).unwrap();
    let word = start.split(' ').next().unwrap();
    let method = if word.starts_with("SIP/") { "INVITE" } else { word };
    let mut lines = Vec::new();
    for (often, choices) in [
        (
            true,
            &[
                "Via: SIP/2.0/UDP a.example;branch=z9hG4bKa",
                "Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bKb;rport",
            ][..],
        ),
        (false, &["Via: SIP/2.0/TCP b.example:5062;branch=z9hG4bKc"]),
        (
            true,
            &[
                "From: Alice <sip:alice@example.com>;tag=77",
                "From: <sip:+15550100@example.com>;tag=a-b.c",
            ],
        ),
        (true, &["To: \"Bob B\" <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=99"]),
        (true, &["Call-ID: 1@a.example", "Call-ID: f81d4fae-7dec"]),
        (
            false,
            &["Contact: <sip:alice@192.0.2.1:5060>", "Contact: <sip:a@b.example>;q=0.5;expires=60"],
        ),
        (false, &["Max-Forwards: 70", "Max-Forwards: 0"]),
        (false, &["Subject: Hello", "User-Agent: phone/1.0", "X-Custom: a;b=c,d"]),
        (false, &["Expires: 3600", "Supported: 100rel, timer", "Route: <sip:p1.example;lr>"]),
    ] {
        if often || rng.random() {
            lines.push((*choices.choose(rng).unwrap()).to_owned());
        }
    }
    let number: u16 = rng.random();
    lines.push(format!("CSeq: {number} {method}"));
    let body = ["", "v=0\r\n", "a body: with\r\n\r\nlines"].choose(rng).unwrap();
    lines.push(format!("Content-Length: {}", body.len()));
    format!("{start}\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn compare(text: &str) {
    let ours = Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap();
    assert_eq!(ours.check(), Ok(()), "{text}");
    let theirs = rsip::SipMessage::try_from(text).unwrap();
    match (ours.start(), &theirs) {
        (Start::Request { method, uri }, rsip::SipMessage::Request(request)) => {
            assert_eq!(method.to_string(), request.method.to_string());
            assert_eq!(*uri, request.uri.to_string());
        }
        (Start::Response { status, .. }, rsip::SipMessage::Response(response)) => {
            assert_eq!(status.get(), response.status_code.code());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ours.body(), theirs.body());
    assert_eq!(ours.headers().count(), theirs.headers().iter().count());
    for (own, their) in ours.headers().zip(theirs.headers().iter()) {
        let line = format!("{own:?}");
        assert_eq!(line, their.to_string());
    }
    let via = theirs.via_header().unwrap().typed().unwrap();
    let own: Via = ours.via().unwrap();
    let branch = via.branch().map(|branch| branch.value().to_owned());
    assert_eq!(own.branch().map(<[u8]>::to_vec), branch.map(String::into_bytes));
    assert_eq!(own.transport.as_bytes(), via.transport.to_string().as_bytes());
    assert_eq!(own.host.to_string(), via.uri.host().to_string());
    let from = theirs.from_header().unwrap().typed().unwrap();
    let tag = from.tag().map(|tag| tag.value().as_bytes().to_vec());
    assert_eq!(ours.from().unwrap().tag().map(<[u8]>::to_vec), tag);
    assert_eq!(ours.from().unwrap().uri.to_string(), from.uri.to_string());
    let cseq = theirs.cseq_header().unwrap().typed().unwrap();
    assert_eq!(u64::from(ours.cseq().unwrap().number), u64::from(cseq.seq));
    assert_eq!(ours.call_id(), theirs.call_id_header().unwrap().value().as_bytes());
}

#[test]
fn both_see_the_same_in_two_thousand_messages() {
    let mut rng = StdRng::seed_from_u64(7);
    for _ in 0..2_000 {
        compare(&message(&mut rng));
    }
    compare(&invite());
}

#[test]
fn rsip_reads_what_we_change() {
    let message = Message::parse(Bytes::from(invite()), &Limits::default()).unwrap();
    let mut edit = message.edit();
    edit.uri("sip:+14155550123@192.0.2.200:5060")
        .push(Name::Via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKus")
        .set(Name::MaxForwards, &68u8);
    let out = edit.finish().unwrap();
    compare(std::str::from_utf8(&out).unwrap());
}
