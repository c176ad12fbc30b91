//! What each side hears of the other.

use std::net::SocketAddr;

use bytes::Bytes;
use proto_media::srtp::MasterKey;

use super::super::codecs::Codecs;
use super::super::media::Local;
use super::*;

const CALLEE: Branch = Branch { leg: 1, fork: 0 };

fn body(host: &str, more: &str) -> Body {
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0\r\n{more}"
    );
    Body::new(Bytes::from(text))
}

fn text(body: &Body) -> String {
    String::from_utf8(body.as_bytes().to_vec()).unwrap()
}

struct Bench {
    bridge: Bridge,
    out: Vec<Act>,
}

impl Bench {
    fn new() -> Self {
        let local = |port| SocketAddr::from(([198, 51, 100, 1], port));
        let keys = [MasterKey::new([1; 30]), MasterKey::new([2; 30])];
        let local = Local { a: local(20_000), b: local(30_000) };
        let relay = Relay::new(local, 1, Codecs::default(), keys);
        Self { bridge: Bridge::new(relay), out: Vec::new() }
    }

    fn up() -> Self {
        let mut bench = Self::new();
        bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap();
        bench.answered(CALLEE);
        bench.out.clear();
        bench
    }

    fn ringing(&mut self, branch: Branch, status: u16, sdp: Option<&Body>, alone: bool) {
        let status = StatusCode::new(status).unwrap();
        self.bridge.ringing(branch, status, sdp, alone, &mut self.out);
    }

    fn answered(&mut self, branch: Branch) {
        let sdp = body("192.0.2.2", "");
        self.bridge.answered(branch, Some(&sdp), false, &mut self.out);
    }

    fn told(&mut self, side: Side, told: Told) {
        self.bridge.told(side, told, &mut self.out);
    }

    /// Acts by name, commands with what they carry.
    fn acts(&mut self) -> Vec<String> {
        let side = |side: Side| if side == Side::A { "a" } else { "b" };
        let named = self.out.drain(..).map(|act| match act {
            Act::Tell(to, command) => format!("{} {}", side(to), name(&command)),
            Act::Sound { side: of, is_other_peer: false } => format!("sound {}", side(of)),
            Act::Sound { side: of, .. } => format!("sound {} anew", side(of)),
            Act::Held(of) => format!("held {}", side(of)),
            Act::Resumed(of) => format!("resumed {}", side(of)),
            Act::Transfer(of, _) => format!("transfer {}", side(of)),
            Act::Over { side: of, .. } => format!("over {}", side(of)),
        });
        named.collect()
    }
}

fn name(command: &Command) -> String {
    let with = |sdp: &Option<Body>| if sdp.is_some() { " sdp" } else { "" };
    match command {
        Command::Ring { status, sdp, .. } => format!("ring {}{}", status.get(), with(sdp)),
        Command::Answer { sdp, .. } => format!("answer{}", with(sdp)),
        Command::Reject { status, .. } => format!("reject {}", status.get()),
        Command::End { .. } => "end".into(),
        Command::Offer { .. } => "offer".into(),
        Command::AnswerOffer { .. } => "answer offer".into(),
        Command::RefuseOffer { status } => format!("refuse offer {}", status.get()),
        Command::Info { content_type, .. } => format!("info {content_type}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_call_rings_and_is_answered() {
    let mut bench = Bench::new();
    let offer = bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap().unwrap();
    assert!(text(&offer).contains("m=audio 30000"));
    bench.ringing(CALLEE, 180, None, true);
    bench.ringing(CALLEE, 180, None, true);
    assert_eq!(bench.acts(), ["a ring 180"]);
    bench.answered(CALLEE);
    assert_eq!(bench.acts(), ["a answer sdp", "sound a", "sound b"]);
}

#[test]
fn sound_before_the_answer_is_heard_once_and_answers() {
    let mut bench = Bench::new();
    bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap();
    let early = body("192.0.2.2", "");
    bench.ringing(CALLEE, 183, Some(&early), true);
    bench.ringing(CALLEE, 183, Some(&early), true);
    bench.ringing(CALLEE, 180, None, true);
    assert_eq!(bench.acts(), ["a ring 183 sdp", "sound a", "sound b"]);
    bench.answered(CALLEE);
    assert_eq!(bench.acts(), ["a answer", "sound a", "sound b"]);
}

#[test]
fn who_answers_from_elsewhere_than_it_rang_is_heard_from_there() {
    let early = |more: &str| {
        let mut bench = Bench::new();
        bench.bridge.offer(Some(&body("192.0.2.1", more))).unwrap();
        bench.ringing(CALLEE, 183, Some(&body("192.0.2.9", "")), true);
        bench.out.clear();
        bench
    };
    let mut bench = early("");
    bench.answered(CALLEE);
    assert_eq!(bench.acts(), ["a answer", "sound a", "sound b anew"]);
    let heard = bench.bridge.relay().remote(Side::B, false).unwrap().rtp.unwrap();
    assert_eq!(heard.to_string(), "192.0.2.2:4000");
    bench.told(Side::A, Told::Acknowledged);
    assert!(bench.acts().is_empty(), "the caller speaks as before");
    let mut bench = early("");
    let sdp = body("192.0.2.9", "a=sendonly\r\n");
    bench.bridge.answered(CALLEE, Some(&sdp), false, &mut bench.out);
    assert_eq!(bench.acts(), ["a answer", "sound a", "sound b"]);
    bench.told(Side::A, Told::Acknowledged);
    assert_eq!(bench.acts(), ["a offer"]);
}

#[test]
fn of_several_that_are_called_nobody_is_heard_before_the_answer() {
    let mut bench = Bench::new();
    bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap();
    bench.ringing(CALLEE, 183, Some(&body("192.0.2.2", "")), false);
    assert_eq!(bench.acts(), ["a ring 180"]);
}

#[test]
fn who_answers_instead_of_who_was_heard_is_offered_after_the_ack() {
    let mut bench = Bench::new();
    bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap();
    bench.ringing(CALLEE, 183, Some(&body("192.0.2.9", "")), true);
    bench.out.clear();
    bench.answered(Branch { leg: 1, fork: 1 });
    assert_eq!(bench.acts(), ["a answer", "sound a", "sound b anew"]);
    bench.told(Side::A, Told::Acknowledged);
    assert_eq!(bench.acts(), ["a offer"]);
    bench.told(Side::A, Told::OfferAnswered { sdp: body("192.0.2.1", "") });
    assert_eq!(bench.acts(), ["sound a"]);
}

#[test]
fn an_offer_left_to_the_callee_is_answered_with_the_callers_ack() {
    let mut bench = Bench::new();
    assert_eq!(bench.bridge.offer(None).unwrap(), None);
    let offer = body("192.0.2.2", "");
    bench.bridge.answered(CALLEE, Some(&offer), true, &mut bench.out);
    assert_eq!(bench.acts(), ["a answer sdp"]);
    bench.told(Side::A, Told::OfferAnswered { sdp: body("192.0.2.1", "") });
    assert_eq!(bench.acts(), ["b answer offer", "sound a", "sound b"]);
}

#[test]
fn a_hold_is_passed_on_and_told() {
    let mut bench = Bench::up();
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "a=sendonly\r\n")) });
    let Some(Act::Tell(Side::A, Command::Offer { sdp })) = bench.out.first() else {
        panic!("{:?}", bench.out)
    };
    assert!(text(sdp).contains("a=sendonly"));
    bench.out.clear();
    bench.told(Side::A, Told::OfferAnswered { sdp: body("192.0.2.1", "a=recvonly\r\n") });
    assert_eq!(bench.acts(), ["b answer offer", "sound a", "sound b", "held b"]);
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "")) });
    bench.told(Side::A, Told::OfferAnswered { sdp: body("192.0.2.1", "") });
    let acts = bench.acts();
    assert_eq!(acts.last().unwrap(), "resumed b");
}

#[test]
fn an_older_hold_becomes_a_direction() {
    let mut bench = Bench::up();
    bench.told(Side::A, Told::Offered { sdp: Some(body("0.0.0.0", "")) });
    let Some(Act::Tell(Side::B, Command::Offer { sdp })) = bench.out.first() else {
        panic!("{:?}", bench.out)
    };
    assert!(text(sdp).contains("a=sendonly") || text(sdp).contains("a=inactive"), "{}", text(sdp));
}

#[test]
fn of_two_offers_at_once_one_has_to_wait() {
    let mut bench = Bench::up();
    bench.told(Side::A, Told::Offered { sdp: Some(body("192.0.2.1", "")) });
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "")) });
    assert_eq!(bench.acts(), ["b offer", "b refuse offer 491"]);
    bench.told(Side::B, Told::OfferRefused { status: StatusCode::NOT_ACCEPTABLE_HERE });
    assert_eq!(bench.acts(), ["a refuse offer 488"]);
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "")) });
    assert_eq!(bench.acts(), ["a offer"]);
}

#[test]
fn who_asks_for_an_offer_gets_what_the_other_said_and_the_other_hears_the_answer() {
    let mut bench = Bench::up();
    bench.told(Side::A, Told::Offered { sdp: None });
    assert_eq!(bench.acts(), ["a answer offer"]);
    bench.told(Side::A, Told::OfferAnswered { sdp: body("192.0.2.8", "") });
    assert_eq!(bench.acts(), ["b offer", "sound a"]);
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "") });
    assert_eq!(bench.acts(), ["sound b"]);
}

#[test]
fn an_offer_that_is_taken_back_is_made_good() {
    let mut bench = Bench::up();
    bench.told(Side::A, Told::Offered { sdp: Some(body("192.0.2.1", "a=sendonly\r\n")) });
    bench.told(Side::A, Told::OfferWithdrawn);
    assert_eq!(bench.acts(), ["b offer"]);
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "a=recvonly\r\n") });
    assert_eq!(bench.acts(), ["sound b", "b offer"]);
}

#[test]
fn digits_transfers_and_the_end_are_passed_on() {
    let mut bench = Bench::up();
    let content_type = Bytes::from_static(b"application/dtmf-relay");
    bench.told(Side::A, Told::Info { content_type, body: Bytes::from_static(b"Signal=1") });
    assert_eq!(bench.acts(), ["b info application/dtmf-relay"]);
    bench.told(Side::B, Told::Ended { by: By::Them, cause: Cause::q850(16) });
    assert_eq!(bench.acts(), ["a end", "over b"]);
}

#[test]
fn an_answer_that_cannot_be_relayed_ends_both() {
    let mut bench = Bench::new();
    bench.bridge.offer(Some(&body("192.0.2.1", ""))).unwrap();
    let refused = body("192.0.2.2", "").as_bytes().clone();
    let sealed = String::from_utf8(refused.to_vec()).unwrap().replace("RTP/AVP", "RTP/SAVP");
    let sealed = Body::new(Bytes::from(sealed));
    bench.bridge.answered(CALLEE, Some(&sealed), false, &mut bench.out);
    assert_eq!(bench.acts(), ["b end", "a reject 488", "over b"]);
}

#[test]
fn somebody_new_is_offered_to_the_other_side() {
    let mut bench = Bench::up();
    let offer = bench.bridge.offer_to_new(Side::A, false).unwrap();
    assert!(text(&offer).contains("m=audio 20000"));
    bench.bridge.replaced(Side::A, Some(&body("192.0.2.5", "")), &mut bench.out);
    assert_eq!(bench.acts(), ["b offer", "sound a anew"]);
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "") });
    assert_eq!(bench.acts(), ["sound b"]);
}

#[test]
fn while_a_side_answers_an_offer_of_ours_no_answer_is_taken_for_anothers() {
    let mut bench = Bench::up();
    assert!(bench.bridge.is_free());
    assert!(bench.bridge.park(Side::B, true, &mut bench.out));
    assert_eq!(bench.acts(), ["b offer"]);
    assert!(!bench.bridge.is_free() && !bench.bridge.park(Side::A, true, &mut bench.out));
    bench.told(Side::A, Told::Offered { sdp: Some(body("192.0.2.7", "")) });
    bench.told(Side::A, Told::Offered { sdp: None });
    assert_eq!(bench.acts(), ["a refuse offer 491", "a refuse offer 491"]);
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "a=recvonly\r\n") });
    assert_eq!(bench.acts(), ["sound b"]);
    assert!(bench.bridge.is_free());
    assert!(bench.bridge.park(Side::B, false, &mut bench.out));
    bench.told(Side::B, Told::OfferRefused { status: StatusCode::NOT_ACCEPTABLE_HERE });
    assert!(bench.bridge.is_free());
}

#[test]
fn who_was_asked_for_an_answer_and_gives_none_keeps_nobody_from_asking() {
    let mut bench = Bench::up();
    bench.told(Side::A, Told::Offered { sdp: None });
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "")) });
    assert_eq!(bench.acts(), ["a answer offer", "b refuse offer 491"]);
    // An ACK without a description.
    bench.told(Side::A, Told::OfferRefused { status: StatusCode::NOT_ACCEPTABLE_HERE });
    bench.told(Side::B, Told::Offered { sdp: Some(body("192.0.2.2", "")) });
    assert_eq!(bench.acts(), ["a offer"]);
}

#[test]
fn what_another_call_has_offered_is_made_good_once_it_is_answered() {
    let mut bench = Bench::up();
    bench.bridge.offered_elsewhere(Side::B, true);
    assert!(!bench.bridge.is_free());
    assert!(bench.bridge.again_to(Side::B).is_none(), "not before that");
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "") });
    assert_eq!(bench.acts(), ["sound b", "b offer"]);
    assert!(!bench.bridge.is_free());
    bench.told(Side::B, Told::OfferAnswered { sdp: body("192.0.2.2", "") });
    assert!(bench.bridge.is_free());
}
