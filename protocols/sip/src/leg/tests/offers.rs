//! Facts of offers in the dialog and of session timers.

use super::far::{Far, OFFER, settings};
use super::*;

fn offer(far: &mut Far, version: u32) -> (Tag, Message) {
    far.command(Command::Offer { sdp: sdp(version) });
    let sent = far.one_request(&Method::Invite);
    assert_eq!(sent.1.body(), sdp(version).as_bytes());
    sent
}

fn answer_offer(far: &mut Far, version: u32) {
    far.command(Command::AnswerOffer { sdp: sdp(version) });
}

#[test]
fn an_offer_of_ours_is_answered_acknowledged_or_refused() {
    let mut far = Far::called(Some(OFFER)).up();
    let invite = offer(&mut far, 2);
    far.respond(&invite, 200, "Contact: <sip:new@192.0.2.8>\n", Some(51));
    assert_eq!(far.told(), ["offer answered 51"]);
    let ack = far.acks().remove(0);
    assert_eq!(ack.cseq().unwrap().number, invite.1.cseq().unwrap().number);
    assert_eq!(ack.uri().unwrap().as_bytes(), b"sip:new@192.0.2.8");
    far.respond(&invite, 200, "", Some(51));
    assert_eq!(far.acks().len(), 1);
    let invite = offer(&mut far, 3);
    far.respond(&invite, 488, "", None);
    assert_eq!(far.told(), ["offer refused 488"]);
    let (ours, theirs) = far.leg.agreed().unwrap();
    assert_eq!((ours, theirs), (&sdp(2), &sdp(51)));
    assert_eq!(offer(&mut far, 4).1.cseq().unwrap().number, invite.1.cseq().unwrap().number + 1);
}

#[test]
fn an_offer_waits_for_the_one_before_it_and_the_last_of_several_is_made() {
    let mut far = Far::calls("", Some(OFFER));
    far.answer(Some(50)).command(Command::Offer { sdp: sdp(60) });
    assert!(far.requests().is_empty(), "the 200 has no ACK");
    far.ack(10, None);
    let invite = far.one_request(&Method::Invite);
    far.command(Command::Offer { sdp: sdp(61) }).command(Command::Offer { sdp: sdp(62) });
    assert!(far.requests().is_empty());
    far.respond(&invite, 200, "", Some(2));
    assert_eq!(far.one_request(&Method::Invite).1.body(), sdp(62).as_bytes());
}

#[test]
fn their_offer_is_answered_or_refused_by_the_user() {
    let mut far = Far::calls("", Some(OFFER)).up();
    let id = far.request("INVITE", "", Some(2));
    assert_eq!((far.told(), far.statuses()), (vec!["offered 2".to_owned()], vec![]));
    answer_offer(&mut far, 51);
    let (to, ok) = far.responses().remove(0);
    assert_eq!((to, ok.body()), (id, &sdp(51).as_bytes()[..]));
    far.wait(Duration::from_millis(600));
    assert_eq!(far.statuses(), [(id, 200)]);
    far.ack(11, None).wait_s(40);
    assert!(far.statuses().is_empty() && far.told().is_empty());
    let id = far.request("INVITE", "", Some(3));
    far.command(Command::RefuseOffer { status: StatusCode::NOT_ACCEPTABLE_HERE });
    assert_eq!((far.told(), far.statuses()), (vec!["offered 3".to_owned()], vec![(id, 488)]));
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(51), &sdp(2)));
    let id = far.request("UPDATE", "", Some(4));
    answer_offer(&mut far, 52);
    assert_eq!((far.told(), far.statuses()), (vec!["offered 4".to_owned()], vec![(id, 200)]));
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(52), &sdp(4)));
}

#[test]
fn quirk_16_each_way_to_hold_is_offered_to_the_user_and_answered_as_a_hold() {
    use crate::sdp::{Codec, Direction, Keying, Offering, Sdp, answer, answer::Order};
    let mut far = Far::calls("", Some(OFFER)).up();
    let offering = Offering {
        codecs: vec![Codec::new(0, "PCMU", 8_000)],
        direction: Direction::SendRecv,
        ptime_ms: 20,
        ip: "192.0.2.1".parse().unwrap(),
        port: 4_000,
        rtcp_mux: false,
        keying: Keying::Plain,
        one_codec: true,
        order: Order::Theirs,
        session: 1,
        version: 51,
    };
    let forms = [
        ("192.0.2.9", "a=sendonly", Direction::RecvOnly),
        ("192.0.2.9", "a=inactive", Direction::Inactive),
        ("0.0.0.0", "a=sendrecv", Direction::RecvOnly),
    ];
    for (at, (host, line, expected)) in forms.into_iter().enumerate() {
        let body = format!(
            "v=0\r\no=- 1 {} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 0\r\n{line}\r\n",
            at + 2
        );
        far.request_with("INVITE", "Content-Type: application/sdp\n", &body);
        let Some(Told::Offered { sdp: Some(offer) }) = far.told_all().pop() else {
            panic!("not offered")
        };
        let limits = crate::sdp::Limits::default();
        let offer = Sdp::parse(offer.as_bytes(), &limits).unwrap();
        let (answer, stream) = answer::answer(&offer, &offering).unwrap();
        assert_eq!(stream.direction, expected, "{line}");
        far.command(Command::AnswerOffer { sdp: Body::from(&answer) });
        let ok = far.responses().remove(0).1;
        let seq = ok.cseq().unwrap().number;
        let said = Sdp::parse(&ok.body_bytes(), &limits).unwrap();
        assert_eq!(said.direction(&said.media[0]), expected);
        far.ack(seq, None);
    }
}

#[test]
fn an_answer_to_the_call_does_not_answer_an_update_that_waits() {
    let mut far = Far::calls("Supported: 100rel\nAllow: PRACK, UPDATE\n", Some(OFFER));
    far.ring(183, Some(50), true);
    let rseq = far.responses()[0].1.first(Name::RSeq).unwrap().value();
    let rack = format!("RAck: {} 10 INVITE\n", std::str::from_utf8(&rseq).unwrap());
    far.request("PRACK", &rack, None);
    let update = far.request("UPDATE", "", Some(2));
    far.ring(183, Some(51), false).answer(Some(51));
    let bodies: Vec<usize> =
        far.responses().iter().map(|(_, message)| message.body().len()).collect();
    assert_eq!(bodies, [0, 0, 0], "200 to PRACK, 183, 200 to INVITE");
    answer_offer(&mut far, 52);
    assert_eq!(far.statuses(), [(update, 200)]);
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(52), &sdp(2)));
}

#[test]
fn what_they_said_before_is_answered_with_what_we_said_before() {
    let mut far = Far::calls("", Some(OFFER)).up();
    far.request("INVITE", "", Some(OFFER));
    let ok = far.responses().remove(0).1;
    assert_eq!(ok.body(), sdp(50).as_bytes());
    far.ack(11, None);
    far.request("UPDATE", "", Some(OFFER));
    assert_eq!(far.responses().remove(0).1.body(), sdp(50).as_bytes());
    assert!(far.told().is_empty());
}

#[test]
fn a_reinvite_without_an_offer_wants_ours() {
    let mut far = Far::calls("", Some(OFFER)).up();
    far.request("INVITE", "", None);
    assert_eq!(far.told(), ["offered -"]);
    answer_offer(&mut far, 51);
    assert_eq!(far.responses().remove(0).1.body(), sdp(51).as_bytes());
    far.ack(11, Some(2));
    assert_eq!(far.told(), ["offer answered 2"]);
    far.request("INVITE", "", None);
    answer_offer(&mut far, 52);
    far.ack(12, None);
    assert_eq!(far.told(), ["offered -", "offer refused 488"]);
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(51), &sdp(2)));
}

/// What the leg does after a 491: when it tries again.
fn back_off(mut far: Far) -> Duration {
    let invite = offer(&mut far, 60);
    far.respond(&invite, 491, "", None);
    assert!(far.told().is_empty());
    let at = far.leg.deadline().unwrap();
    let wait = at - far.now;
    far.wait(wait);
    assert_eq!(far.one_request(&Method::Invite).1.body(), sdp(60).as_bytes());
    wait
}

#[test]
fn quirk_5_offers_that_meet_are_tried_again_the_caller_waiting_longer() {
    let ms = Duration::from_millis;
    let wait = back_off(Far::called(Some(OFFER)).up());
    assert!((ms(2_100)..=ms(4_000)).contains(&wait), "{wait:?}");
    let wait = back_off(Far::calls("", Some(OFFER)).up());
    assert!((ms(0)..=ms(2_000)).contains(&wait), "{wait:?}");
    assert_eq!(wait.as_millis() % 10, 0);
    let mut far = Far::calls("", Some(OFFER)).up();
    let invite = offer(&mut far, 60);
    let theirs = far.request("INVITE", "", Some(2));
    assert_eq!(far.statuses(), [(theirs, 491)]);
    let mut last = invite;
    for _ in 0..6 {
        far.respond(&last, 491, "", None).wait_s(3);
        last = far.one_request(&Method::Invite);
    }
    far.respond(&last, 491, "", None);
    assert_eq!(far.told(), ["offer refused 491"]);
}

#[test]
fn quirk_7_an_offer_in_the_middle_of_another_is_told_to_come_later() {
    let mut far = Far::calls("", Some(OFFER)).up();
    let first = far.request("UPDATE", "", Some(2));
    let second = far.request("UPDATE", "", Some(3));
    let third = far.request("INVITE", "", Some(3));
    let responses = far.responses();
    let seen: Vec<_> = responses
        .iter()
        .map(|(id, message)| (*id, message.status().unwrap().get(), message.has(Name::RetryAfter)))
        .collect();
    assert_eq!(seen, [(second, 500, true), (third, 500, true)]);
    answer_offer(&mut far, 51);
    assert_eq!(far.statuses(), [(first, 200)]);
    // While the INVITE has no answer there is nothing to change either.
    let mut early = Far::calls("Supported: 100rel\n", Some(OFFER));
    early.ring(180, None, false).statuses();
    let id = early.request("UPDATE", "", Some(2));
    assert_eq!(early.statuses(), [(id, 500)]);
    let mut calling = Far::called(Some(OFFER));
    let invite = calling.one_request(&Method::Invite);
    calling.respond(&invite, 183, "Require: 100rel\nRSeq: 1\nAllow: UPDATE\n", Some(50));
    let id = calling.request("INVITE", "", Some(51));
    assert_eq!(calling.statuses(), [(id, 491)]);
    let id = calling.request("UPDATE", "", Some(51));
    answer_offer(&mut calling, 2);
    assert_eq!(calling.statuses(), [(id, 200)]);
    // Ours may go by UPDATE before the answer, once the first offer has its own.
    calling.requests();
    calling.command(Command::Offer { sdp: sdp(3) });
    let update = calling.one_request(&Method::Update);
    let id = calling.request("UPDATE", "", Some(52));
    assert_eq!(calling.statuses(), [(id, 491)]);
    calling.respond(&update, 200, "", Some(52)).respond(&invite, 200, "", None);
    let told = calling.told();
    let expected = ["ringing 0 183 50", "offered 51", "offer answered 52", "answered 0 52"];
    assert_eq!(told, expected);
}

#[test]
fn an_offer_that_is_told_to_come_later_comes_later() {
    let mut far = Far::called(Some(OFFER)).up();
    let invite = offer(&mut far, 60);
    far.respond(&invite, 500, "Retry-After: 3\n", None).wait(Duration::from_millis(2_999));
    assert!(far.requests().is_empty());
    far.wait_s(1);
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 500, "", None);
    assert_eq!(far.told(), ["offer refused 500"]);
}

#[test]
fn a_late_number_is_a_500_and_has_no_effect() {
    let mut far = Far::calls("", Some(OFFER)).up();
    let id = far.request_as(9, "BYE", "", None);
    let again = far.request_as(10, "INFO", "", None);
    assert_eq!(far.statuses(), [(id, 500), (again, 500)]);
    assert!(far.told().is_empty() && !far.leg.is_over());
}

#[test]
fn an_offer_that_they_take_back_or_nobody_answers_leaves_what_was_agreed() {
    let mut far = Far::calls("", Some(OFFER)).up();
    let id = far.request("INVITE", "", Some(2));
    far.step(Input::Cancelled { invite: id, cause: Cause::default() });
    assert_eq!((far.told().len(), far.statuses()), (2, vec![(id, 487)]));
    let id = far.request("INVITE", "", Some(3));
    far.wait_s(33);
    assert_eq!((far.told().len(), far.statuses()), (1, vec![(id, 500)]));
    let id = far.request("UPDATE", "", Some(4));
    far.wait_s(33);
    assert_eq!((far.told().len(), far.statuses()), (1, vec![(id, 500)]));
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(50), &sdp(1)));
    assert_eq!(far.leg.deadline(), None);
}

#[test]
fn quirk_6_a_bye_crosses_a_bye_or_a_reinvite() {
    let mut far = Far::calls("", Some(OFFER)).up();
    far.end();
    let ours = far.one_request(&Method::Bye);
    let theirs = far.request("BYE", "", None);
    assert_eq!((far.statuses(), far.told()), (vec![(theirs, 200)], vec!["ended Us".to_owned()]));
    far.respond(&ours, 481, "", None);
    assert!(far.is_quiet());
    // Our BYE meets their re-INVITE.
    let mut far = Far::calls("", Some(OFFER)).up();
    let reinvite = far.request("INVITE", "", Some(2));
    far.end();
    assert_eq!(far.statuses(), [(reinvite, 487)]);
    let late = far.request("INVITE", "", Some(3));
    assert_eq!(far.statuses(), [(late, 481)]);
    let bye = far.one_request(&Method::Bye);
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
    // Their BYE meets our re-INVITE, which they had already taken.
    let mut far = Far::calls("", Some(OFFER)).up();
    let reinvite = offer(&mut far, 60);
    let bye = far.request("BYE", "", None);
    assert_eq!((far.statuses(), far.told()), (vec![(bye, 200)], vec!["ended Them".to_owned()]));
    assert!(!far.leg.is_over());
    far.respond(&reinvite, 200, "", Some(2));
    assert_eq!(far.acks().len(), 1);
    assert!(far.is_quiet());
}

#[test]
fn an_in_dialog_request_that_finds_nothing_ends_the_call() {
    let mut far = Far::called(Some(OFFER)).up();
    let invite = offer(&mut far, 60);
    far.respond(&invite, 481, "", None);
    assert_eq!(far.told(), ["ended Lost"]);
    assert!(far.is_quiet());
    let mut far = Far::called(Some(OFFER)).up();
    far.command(Command::Info { content_type: "a/b".to_owned(), body: Bytes::new() });
    let info = far.one_request(&Method::Info);
    far.step(Input::Failed { tag: info.0, why: Loss::TimedOut });
    assert_eq!(far.told(), ["ended Lost"]);
    let bye = far.one_request(&Method::Bye);
    far.step(Input::Failed { tag: bye.0, why: Loss::TimedOut });
    assert!(far.is_quiet());
    let mut far = Far::called(Some(OFFER)).up();
    far.command(Command::Info { content_type: "a/b".to_owned(), body: Bytes::new() });
    let info = far.one_request(&Method::Info);
    far.respond(&info, 415, "", None);
    assert_eq!(far.told(), ["info answered 415"]);
    assert!(!far.leg.is_over());
}

#[test]
fn a_change_under_the_old_version_is_offered_to_the_user() {
    let mut far = Far::calls("", Some(OFFER)).up();
    for (method, port, answer) in [("INVITE", "4002", 51), ("UPDATE", "4004", 52)] {
        let moved = text(&sdp(OFFER)).replace("4000", port);
        let id = far.request_with(method, "Content-Type: application/sdp\n", &moved);
        assert_eq!((far.told(), far.statuses()), (vec!["offered 1".to_owned()], vec![]));
        answer_offer(&mut far, answer);
        assert_eq!(far.statuses(), [(id, 200)]);
        assert_eq!(text(far.leg.agreed().unwrap().1), moved);
        far.ack(11, None);
    }
}

#[test]
fn a_refresh_that_brings_another_answer_is_told() {
    let mut far = Far::called_with(timed(), Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    let expires = "Session-Expires: 600;refresher=uac\nAllow: INVITE\n";
    far.respond(&invite, 200, expires, Some(50)).told();
    for (version, expected) in [(50, vec![]), (51, vec!["offer answered 51"]), (51, vec![])] {
        far.wait_s(300);
        let reinvite = far.one_request(&Method::Invite);
        far.respond(&reinvite, 200, expires, Some(version));
        assert_eq!(far.told(), expected);
    }
    assert_eq!(far.leg.agreed().unwrap(), (&sdp(OFFER), &sdp(51)));
}

fn timed() -> Settings {
    Settings { session_s: 600, ..settings() }
}

#[test]
fn a_session_is_refreshed_by_who_has_to_and_ends_when_that_is_in_vain() {
    let mut far = Far::called_with(timed(), Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    let expires = "Session-Expires: 600;refresher=uac\nAllow: UPDATE\n";
    far.respond(&invite, 200, expires, Some(50)).wait_s(299);
    assert!(far.requests().is_empty());
    far.wait_s(1);
    let update = far.one_request(&Method::Update);
    let asked = update.1.first(Name::SessionExpires).unwrap().value();
    assert_eq!((&asked[..], update.1.body().len()), (&b"600;refresher=uac"[..], 0));
    far.respond(&update, 200, expires, None).wait_s(300);
    let update = far.one_request(&Method::Update);
    // A peer that takes no UPDATE after all gets a re-INVITE with what was said before.
    far.respond(&update, 501, "", None).wait_s(1);
    let reinvite = far.one_request(&Method::Invite);
    assert_eq!(reinvite.1.body(), sdp(OFFER).as_bytes());
    far.respond(&reinvite, 491, "", None).wait_s(5);
    let reinvite = far.one_request(&Method::Invite);
    far.respond(&reinvite, 200, expires, Some(50));
    assert_eq!(far.told(), ["answered 0 50"]);
    far.wait_s(300).requests();
    far.wait_s(300);
    assert_eq!(far.told(), ["ended SessionTimer"]);
    assert_eq!(far.requests().last().unwrap().1.method(), Some(&Method::Bye));
}

#[test]
fn quirk_14_a_refresher_that_is_dead_is_hung_up_on() {
    let asks = "Supported: timer\nSession-Expires: 90;refresher=uac\n";
    let mut far = Far::calls_with(timed(), asks, Some(OFFER));
    far.answer(Some(50));
    let ok = far.responses().remove(0).1;
    assert!(ok.has_token(Name::Require, "timer"));
    assert_eq!(&ok.first(Name::SessionExpires).unwrap().value()[..], b"90;refresher=uac");
    far.ack(10, None).wait_s(50);
    far.request("UPDATE", asks, None);
    assert_eq!(far.responses().len(), 1);
    // Ninety seconds less a third.
    far.wait_s(59);
    assert_eq!(far.told(), ["invited 1", "acknowledged"]);
    far.wait_s(1);
    assert_eq!(far.told(), ["ended SessionTimer"]);
    assert_eq!(far.one_request(&Method::Bye).1.method(), Some(&Method::Bye));
}

#[test]
fn a_caller_that_knows_no_timer_is_refreshed_by_us() {
    let mut far = Far::calls_with(timed(), "Allow: UPDATE\n", Some(OFFER));
    far.answer(Some(50)).ack(10, None);
    let ok = far.responses().remove(0).1;
    assert!(!ok.has(Name::Require));
    assert_eq!(&ok.first(Name::SessionExpires).unwrap().value()[..], b"600;refresher=uas");
    far.wait_s(300);
    let update = far.one_request(&Method::Update);
    // Refreshed by an answer without the header, the session has no end any more.
    far.respond(&update, 200, "", None).wait_s(3_000);
    assert!(far.requests().is_empty());
}

#[test]
fn a_session_that_is_too_short_is_refused_in_the_call_too() {
    let mut far = Far::calls_with(timed(), "", Some(OFFER));
    far.answer(Some(50)).ack(10, None).responses();
    let short = "Supported: timer\nSession-Expires: 30\n";
    let id = far.request("UPDATE", short, None);
    assert_eq!(far.statuses(), [(id, 422)]);
}

#[test]
fn a_refresh_that_is_too_short_for_them_is_sent_again_longer() {
    let mut far = Far::called_with(timed(), Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 200, "Session-Expires: 600;refresher=uac\nAllow: UPDATE\n", Some(50));
    far.wait_s(300);
    let update = far.one_request(&Method::Update);
    far.respond(&update, 422, "Min-SE: 900\n", None);
    let again = far.one_request(&Method::Update);
    let asked = again.1.first(Name::SessionExpires).unwrap().value();
    assert_eq!(&asked[..], b"900;refresher=uac");
}

#[test]
fn a_refresh_that_is_too_short_for_ever_is_sent_three_times_and_none_is_endless() {
    let mut far = Far::called_with(timed(), Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 200, "Session-Expires: 600;refresher=uac\nAllow: UPDATE\n", Some(50));
    far.wait_s(300);
    for least in 601..603 {
        let update = far.one_request(&Method::Update);
        far.respond(&update, 422, &format!("Min-SE: {least}\n"), None);
    }
    let update = far.one_request(&Method::Update);
    far.respond(&update, 422, "Min-SE: 700\n", None);
    assert!(far.requests().is_empty());
    // As any other refusal: once by re-INVITE. Beyond two hours nobody is followed.
    far.wait_s(1);
    let reinvite = far.one_request(&Method::Invite);
    far.respond(&reinvite, 422, "Min-SE: 7201\n", None);
    assert!(far.requests().is_empty());
}

/// Answers each refresh with a status, for a time; when and by what method they came.
fn refused(far: &mut Far, status: u16, seconds: u64) -> Vec<(u64, String)> {
    let start = far.now;
    let mut seen = Vec::new();
    for _ in 0..seconds {
        far.wait_s(1);
        for sent in far.requests() {
            let method = sent.1.method().unwrap().to_string();
            if method != "BYE" {
                far.respond(&sent, status, "", None);
            }
            seen.push(((far.now - start).as_secs(), method));
        }
    }
    seen
}

#[test]
fn a_refused_refresh_is_tried_by_reinvite_and_then_seldom() {
    let mut far = Far::called_with(timed(), Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 200, "Session-Expires: 600;refresher=uac\nAllow: UPDATE\n", Some(50));
    let seen = refused(&mut far, 488, 598);
    let seen: Vec<(u64, &str)> = seen.iter().map(|(at, method)| (*at, &method[..])).collect();
    let reinvites = [301, 303, 307, 315, 331].map(|at| (at, "INVITE"));
    assert_eq!(seen, [&[(300, "UPDATE")][..], &reinvites].concat());
    // It asked for the timer: it hangs up itself, and so do we.
    far.wait_s(2);
    assert_eq!(far.told(), ["answered 0 50", "ended SessionTimer"]);
}

#[test]
fn a_peer_that_wants_no_timer_and_refuses_refreshes_keeps_its_call() {
    for status in [403, 488, 491, 500] {
        let mut far = Far::calls_with(timed(), "Allow: UPDATE\n", Some(OFFER));
        far.answer(Some(50)).ack(10, None).told();
        let seen = refused(&mut far, status, 3_600);
        assert!((24..=72).contains(&seen.len()), "{status}: {}", seen.len());
        assert!(far.told().is_empty(), "{status}");
    }
    // Servers on the way cannot say that it is there, and silence does not.
    for status in [407, 503, 504] {
        let mut far = Far::calls_with(timed(), "Allow: UPDATE\n", Some(OFFER));
        far.answer(Some(50)).ack(10, None).told();
        refused(&mut far, status, 601);
        assert_eq!(far.told(), ["ended SessionTimer"], "{status}");
    }
    let mut far = Far::calls_with(timed(), "Allow: UPDATE\n", Some(OFFER));
    far.answer(Some(50)).ack(10, None).told();
    far.wait_s(300);
    let update = far.one_request(&Method::Update);
    far.step(Input::Failed { tag: update.0, why: Loss::Transport }).wait_s(300);
    assert_eq!(far.told(), ["ended SessionTimer"]);
}
