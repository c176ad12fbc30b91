//! What each fuzz target does with its octets: anything may come in, no law may break.
//!
//! The fuzzer calls these, and so does an ordinary test on the corpus that is kept. A broken law
//! is a panic.

use std::time::Duration;

use bytes::Bytes;
use proto_sip::digest::client::Target;
use proto_sip::digest::server::{Request, refers_to};
use proto_sip::digest::{
    Account, Algorithm, Attempt, Challenge, Client, Counts, Credentials, Ha1, Nonces, Verdict,
};
use proto_sip::sdp::answer::{self, Order};
use proto_sip::sdp::relay::Anchor;
use proto_sip::sdp::{Codec, Direction, Exchange, Keying, Limits, Offering, Sdp};

/// The body of an INVITE or of its answer.
pub fn sdp(data: &[u8]) {
    let limits = Limits { octets: 2_048, lines: 60, media: 4, formats: 16 };
    let Ok(first) = Sdp::parse(&Bytes::copy_from_slice(data), &limits) else { return };
    assert!(first.media.len() <= limits.media);
    let written = first.to_bytes();
    let again = Limits { octets: written.len(), ..limits };
    assert_eq!(Sdp::parse(&written, &again).as_ref(), Ok(&first), "what is written reads the same");
    for media in &first.media {
        assert!(media.formats().len() <= limits.formats);
        assert!(media.codecs().len() <= media.formats().len());
        assert!(media.ptime_ms().is_none_or(|millis| (10..=120).contains(&millis)));
        let there = first.transport(media);
        assert!(there.rtp.is_none_or(|rtp| rtp.port() != 0 && !rtp.ip().is_unspecified()));
    }
    as_offer(&first);
    as_answer(&first);
    relayed(first);
}

fn ours() -> Offering {
    Offering {
        codecs: vec![
            Codec::new(0, "PCMU", 8_000),
            Codec::new(8, "PCMA", 8_000),
            Codec::events(101, 8_000),
        ],
        direction: Direction::SendRecv,
        ptime_ms: 20,
        ip: [192, 0, 2, 1].into(),
        port: 4_000,
        rtcp_mux: true,
        keying: Keying::Plain,
        one_codec: false,
        order: Order::Ours,
        session: 1,
        version: 1,
    }
}

fn as_offer(offer: &Sdp) {
    let Ok((answer, stream)) = answer::answer(offer, &ours()) else { return };
    assert_eq!(answer.media.len(), offer.media.len(), "every stream has its answer");
    assert!(answer::fits(offer, &answer));
    assert!(stream.sound().is_some());
    let open: Vec<usize> = answer.open_streams().map(|(index, _)| index).collect();
    assert_eq!(open, [stream.index]);
    assert!(!offer.holds(&offer.media[stream.index]) || !stream.direction.sends());
    let mut exchange = Exchange::default();
    assert!(exchange.offer_received(offer.clone()).is_ok());
    assert!(exchange.answer_sent(answer).is_ok());
}

fn as_answer(answer: &Sdp) {
    let ours = ours();
    let offer = answer::offer(&ours);
    if let Ok(stream) = answer::agreed(&offer, answer, &ours) {
        assert_eq!(stream.index, 0);
        assert!(stream.sound().is_some() && !stream.receive.is_empty());
    }
}

fn relayed(mut sdp: Sdp) {
    let anchor = Anchor { ip: [203, 0, 113, 1].into(), rtp: 20_000, rtcp: Some(20_001) };
    let held: Vec<bool> = sdp.media.iter().map(|media| sdp.holds(media)).collect();
    for (index, was_held) in held.into_iter().enumerate() {
        let own = ours().codecs;
        let known = |codec: &Codec| own.iter().any(|one| one.is_like(codec));
        let kept: Vec<Codec> = sdp.media[index].codecs().into_iter().filter(known).collect();
        if !kept.is_empty() {
            sdp.set_codecs(index, &kept);
            assert_eq!(
                sdp.media[index].codecs(),
                kept,
                "what is said of others goes, and nothing else"
            );
        }
        if !sdp.anchor(index, &anchor) {
            continue;
        }
        let media = &sdp.media[index];
        let there = sdp.transport(media);
        assert_eq!(there.rtp, Some((anchor.ip, anchor.rtp).into()), "nothing leads past the relay");
        assert_eq!(there.rtcp, Some((anchor.ip, 20_001).into()));
        assert_eq!(sdp.holds(media), was_held, "a hold stays a hold");
        if kept.is_empty() {
            sdp.refuse(index);
            assert!(!sdp.media[index].is_open());
        }
    }
}

/// The value of a header: the first octet says of which side.
pub fn digest(data: &[u8]) {
    let [first, rest @ ..] = data else { return };
    let value = String::from_utf8_lossy(rest);
    if first % 2 == 0 { as_challenge(&value) } else { as_credentials(&value) }
}

fn as_challenge(value: &str) {
    let target = Target { method: "INVITE", uri: "sip:a@b.example", cnonce: "c0ffee" };
    let mut client = Client::new(vec![Account::new("b.example", "a", "secret")]);
    let mut attempt = Attempt::default();
    let answered = client.answer(&[value], &target, &mut attempt);
    match Challenge::parse(value) {
        Ok(challenge) => {
            let again = Challenge::parse(&challenge.value().expect("what was read fits a header"));
            assert_eq!(again.as_ref(), Ok(&challenge));
            assert_eq!(answered.is_ok(), challenge.realm == "b.example", "our realm and no other");
        }
        Err(_) => assert!(answered.is_err()),
    }
    if let Ok(answer) = answered {
        assert!(!answer.contains(['\r', '\n', '\0']), "one line");
        assert_eq!(Credentials::parse(&answer).map(|read| read.user).as_deref(), Ok("a"));
        assert!(client.answer(&[value], &target, &mut attempt).is_err(), "the same nonce again");
    }
}

fn as_credentials(value: &str) {
    let Ok(read) = Credentials::parse(value) else { return };
    let again = read.value().expect("what was read fits a header");
    assert_eq!(Credentials::parse(&again).map(|read| read.value()), Ok(read.value()));
    let _ = refers_to(&read.uri, "sip:a@b.example");
    let nonces = Nonces::new(&[7; 32], Duration::from_secs(300), true);
    let request = Request { method: "INVITE", realm: "b.example", scope: b"", now_ms: 0 };
    let mut counts = Counts::new(4);
    let known = Ha1::new(Algorithm::Sha256, "a", "b.example", "secret");
    for known in [None, Some(&known)] {
        let verdict = nonces.check(&read, known, &request, &mut counts);
        assert_eq!(verdict, Verdict::Denied, "nobody guesses a response");
    }
    assert!(counts.is_empty());
}

pub type Run = fn(&[u8]);

/// Each target by its name.
pub const ALL: [(&str, Run); 2] = [("sdp", sdp), ("digest", digest)];
