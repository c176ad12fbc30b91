//! Facts of a leg that calls.

use super::far::{Far, OFFER, settings};
use super::*;
use crate::digest::{Account, Attempt, Client};

fn called() -> (Far, (Tag, Message)) {
    let mut far = Far::called(Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    (far, invite)
}

fn status_of(all: &[(Tag, Message)]) -> Vec<String> {
    all.iter().map(|(_, message)| message.method().unwrap().to_string()).collect()
}

#[test]
fn a_call_is_placed_answered_and_hung_up() {
    let (mut far, invite) = called();
    assert_eq!(invite.1.max_forwards(), Ok(Some(69)));
    assert_eq!(invite.1.from().unwrap().tag(), Some(&b"ut"[..]));
    assert!(invite.1.has_token(Name::Supported, "100rel") && !invite.1.has(Name::SessionExpires));
    far.respond(&invite, 100, "", None).respond(&invite, 180, "", None);
    far.respond(&invite, 200, "Record-Route: <sip:p1;lr>\n", Some(50));
    assert_eq!(far.told(), ["ringing 0 180 -", "answered 0 50"]);
    let ack = far.acks().remove(0);
    assert_eq!(ack.cseq().unwrap().number, invite.1.cseq().unwrap().number);
    assert_eq!((ack.routes().count(), ack.body().len()), (1, 0));
    assert_eq!(ack.uri().unwrap().as_bytes(), b"sip:ft@192.0.2.9");
    far.command(Command::End { cause: Cause::q850(16) });
    assert_eq!(far.told(), ["ended Us q850=16"]);
    let bye = far.one_request(&Method::Bye);
    assert_eq!(Cause::of(&bye.1), Cause::q850(16));
    assert!(!far.leg.is_over());
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn the_200_again_has_the_ack_again() {
    let (mut far, invite) = called();
    far.respond(&invite, 200, "", Some(50));
    let first = far.acks();
    far.respond(&invite, 200, "", Some(50)).respond(&invite, 200, "", Some(50));
    let again = far.acks();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|ack| ack.raw() == first[0].raw()));
    assert_eq!(far.told(), ["answered 0 50"]);
    far.end();
    let bye = far.one_request(&Method::Bye);
    far.respond(&invite, 200, "", Some(50));
    assert_eq!(far.acks().len(), 1);
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn quirk_3_of_several_200s_the_first_wins_and_the_others_are_hung_up() {
    let (mut far, invite) = called();
    far.respond_as("b", &invite, 200, "", Some(50));
    far.respond_as("a", &invite, 200, "", Some(51));
    far.respond_as("a", &invite, 200, "", Some(51));
    assert_eq!(far.told(), ["answered 0 50"]);
    let acks: Vec<_> = far.acks().iter().map(|ack| ack.uri().unwrap().to_string()).collect();
    let (winner, loser) = ("sip:b@192.0.2.9".to_owned(), "sip:a@192.0.2.9".to_owned());
    assert_eq!(acks, [winner.clone(), loser.clone(), loser.clone()]);
    let bye = far.one_request(&Method::Bye);
    assert_eq!(bye.1.uri().unwrap().to_string(), loser);
    assert_eq!(bye.1.to().unwrap().tag(), Some(&b"a"[..]));
    far.respond(&bye, 200, "", None).end();
    let bye = far.one_request(&Method::Bye);
    assert_eq!(bye.1.uri().unwrap().to_string(), winner);
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_200_for_a_leg_that_is_gone_is_acknowledged_and_hung_up_by_itself() {
    let (_, invite) = called();
    let answer = Answer { tag: Some("late"), ..Answer::default() };
    let mut builder = Builder::answer(&invite.1, StatusCode::OK, answer);
    builder.header(Name::Contact, "<sip:late@192.0.2.9>");
    builder.header(Name::RecordRoute, "<sip:p1;lr>");
    let ok = parse(&builder.finish().unwrap());
    let stray = stray(&ok).unwrap();
    assert_eq!(stray.target, "sip:p1;lr");
    let (ack, bye) = (with_via(&stray.ack, "a"), with_via(&stray.bye, "b"));
    assert_eq!(ack.cseq().unwrap().number, 1);
    assert_eq!(
        (bye.cseq().unwrap().number, bye.uri().unwrap().as_bytes()),
        (2, &b"sip:late@192.0.2.9"[..])
    );
    assert!(super::stray(&invite.1).is_none());
}

#[test]
fn quirk_4_a_200_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let (mut far, invite) = called();
    far.respond(&invite, 180, "", None).end();
    assert_eq!(
        (far.cancels(), far.told()),
        (1, vec!["ringing 0 180 -".to_owned(), "ended Us".to_owned()])
    );
    assert!(!far.leg.is_over());
    far.respond(&invite, 183, "", None).respond(&invite, 200, "", Some(50));
    assert_eq!(far.acks().len(), 1);
    let bye = far.one_request(&Method::Bye);
    assert!(far.told().is_empty());
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_cancelled_call_is_over_with_the_487_or_when_nothing_comes() {
    let (mut far, invite) = called();
    far.end();
    assert_eq!(far.cancels(), 1, "the transaction holds it until the first provisional answer");
    far.respond(&invite, 487, "", None);
    assert!(far.is_quiet());
    let (mut far, invite) = called();
    far.respond(&invite, 180, "", None).end().wait_s(35);
    assert_eq!(far.cancels(), 1);
    assert!(!far.leg.is_over());
    far.wait_s(2);
    assert!(far.is_quiet());
    assert_eq!(far.told(), ["ringing 0 180 -", "ended Us"]);
}

#[test]
fn quirk_8_a_late_180_after_the_200_is_passed_over() {
    let (mut far, invite) = called();
    far.respond(&invite, 200, "", Some(50)).told();
    far.respond(&invite, 180, "", None).respond_as("other", &invite, 183, "", Some(51));
    assert!(far.told().is_empty());
    assert_eq!(far.leg.dialog().unwrap().remote_tag(), b"ft");
}

#[test]
fn quirk_9_early_sound_comes_from_the_branch_that_spoke_last() {
    let (mut far, invite) = called();
    far.respond_as("a", &invite, 183, "", Some(50));
    far.respond_as("b", &invite, 183, "", Some(60));
    far.respond_as("a", &invite, 183, "", Some(51));
    far.respond_as("b", &invite, 199, "", None);
    far.respond_as("c", &invite, 180, "", None);
    far.respond_as("a", &invite, 200, "", None);
    let told = far.told();
    let expected = [
        "ringing 0 183 50",
        "ringing 1 183 60",
        "ringing 0 183 51",
        "fork ended 1",
        "ringing 2 180 -",
        "answered 0 51",
    ];
    assert_eq!(told, expected);
    assert_eq!(far.leg.dialog().unwrap().remote_tag(), b"a");
    let (mut many, invite) = called();
    for branch in 0..100 {
        many.respond_as(&format!("b{branch}"), &invite, 183, "", Some(50));
    }
    assert_eq!(many.told().len(), 17);
    many.respond_as("b99", &invite, 200, "", Some(50));
    assert_eq!(many.told().len(), 1);
}

#[test]
fn reliable_ringing_is_acknowledged_once_and_in_turn() {
    let (mut far, invite) = called();
    let rel = |rseq: u32| format!("Require: 100rel\nRSeq: {rseq}\n");
    far.respond(&invite, 183, &rel(7), Some(50)).respond(&invite, 183, &rel(7), Some(50));
    far.respond(&invite, 180, &rel(9), None).respond(&invite, 180, &rel(8), None);
    let pracks = far.requests();
    assert_eq!(status_of(&pracks), ["PRACK", "PRACK"]);
    let rack = |at: usize| pracks[at].1.first(Name::RAck).unwrap().value();
    assert_eq!((&rack(0)[..], &rack(1)[..]), (&b"7 1 INVITE"[..], &b"8 1 INVITE"[..]));
    assert_eq!(pracks[0].1.uri().unwrap().as_bytes(), b"sip:ft@192.0.2.9");
    far.respond(&pracks[0], 200, "", None).respond(&pracks[1], 200, "", None);
    // The answer was said for good: another in the 200 is passed over.
    far.respond(&invite, 200, "", Some(66));
    assert_eq!(far.told(), ["ringing 0 183 50", "ringing 0 180 -", "answered 0 50"]);
}

#[test]
fn each_branch_has_its_own_numbers_and_its_own_prack() {
    let (mut far, invite) = called();
    let rel = "Require: 100rel\nRSeq: 1\n";
    far.respond_as("a", &invite, 183, rel, Some(50)).respond_as("b", &invite, 183, rel, Some(60));
    let pracks = far.requests();
    let numbers: Vec<u32> = pracks.iter().map(|(_, prack)| prack.cseq().unwrap().number).collect();
    assert_eq!(numbers, [2, 2]);
    far.respond_as("a", &pracks[0], 200, "", None).respond_as("b", &pracks[1], 200, "", None);
    far.respond_as("a", &invite, 200, "", None).told();
    far.end();
    assert_eq!(far.one_request(&Method::Bye).1.cseq().unwrap().number, 3);
}

#[test]
fn quirk_15_an_offer_in_the_200_is_answered_in_the_ack() {
    let mut far = Far::called(None);
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 200, "", Some(50));
    assert_eq!(far.told(), ["answered 0 50 offer"]);
    far.respond(&invite, 200, "", Some(50));
    assert!(far.acks().is_empty());
    far.command(Command::AnswerOffer { sdp: sdp(2) });
    let ack = far.acks().remove(0);
    assert_eq!(ack.body(), sdp(2).as_bytes());
    far.respond(&invite, 200, "", Some(50));
    assert_eq!(far.acks()[0].raw(), ack.raw());
    assert!(far.told().is_empty());
}

#[test]
fn an_offer_in_the_200_that_is_not_taken_ends_the_call() {
    for refused in [true, false] {
        let mut far = Far::called(None);
        let invite = far.one_request(&Method::Invite);
        far.respond(&invite, 200, "", Some(50)).told();
        if refused {
            far.command(Command::RefuseOffer { status: StatusCode::NOT_ACCEPTABLE_HERE });
        } else {
            far.wait_s(33);
        }
        assert_eq!((far.acks().len(), far.told()), (1, vec!["ended Us".to_owned()]));
        let bye = far.one_request(&Method::Bye);
        far.respond(&bye, 200, "", None);
        assert!(far.is_quiet());
    }
}

#[test]
fn who_is_to_make_the_offer_is_not_asked_to_ring_reliably() {
    let mut far = Far::called_with(settings(), None);
    let invite = far.one_request(&Method::Invite);
    assert!(!invite.1.has_token(Name::Supported, "100rel"));
    assert!(invite.1.has_token(Name::Supported, "timer") && invite.1.has(Name::Allow));
}

#[test]
fn an_offer_in_a_reliable_ringing_has_its_answer_in_the_prack() {
    let mut far = Far::called(None);
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 183, "Require: 100rel\nRSeq: 1\n", Some(50));
    assert_eq!(far.told(), ["offered 50", "ringing 0 183 -"]);
    assert!(far.requests().is_empty());
    far.command(Command::AnswerOffer { sdp: sdp(2) });
    let prack = far.one_request(&Method::Prack);
    assert_eq!(prack.1.body(), sdp(2).as_bytes());
    far.respond(&prack, 200, "", None).respond(&invite, 200, "", None);
    assert_eq!((far.told(), far.acks().len()), (vec!["answered 0 50".to_owned()], 1));
}

#[test]
fn an_answered_call_without_a_description_is_none() {
    let (mut far, invite) = called();
    far.respond(&invite, 200, "", None);
    assert_eq!((far.acks().len(), far.told()), (1, vec!["failed 488".to_owned()]));
    let bye = far.one_request(&Method::Bye);
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_redirection_names_where_to_call_the_best_first() {
    let (mut far, invite) = called();
    let contacts = "Contact: <sip:c@x>;q=0.1, <sip:a@x>, <sip:b@x>;q=0.5\n";
    far.respond(&invite, 302, contacts, None);
    assert_eq!(far.told(), [r#"redirected 302 [b"sip:a@x", b"sip:b@x", b"sip:c@x"]"#]);
    assert!(far.is_quiet());
}

#[test]
fn a_refusal_is_told_with_its_cause() {
    let (mut far, invite) = called();
    far.respond(&invite, 503, "Reason: Q.850;cause=34\nRetry-After: 9\n", None);
    let Some(Told::Failed(failure)) = far.told_all().pop() else { panic!("no failure") };
    assert_eq!((failure.status.get(), failure.retry_after_s), (503, Some(9)));
    assert_eq!((failure.cause, &failure.words[..]), (Cause::q850(34), &b"Service Unavailable"[..]));
    assert!(far.is_quiet());
    for (why, expected) in [(Loss::TimedOut, "failed 408"), (Loss::Transport, "failed 503")] {
        let (mut far, invite) = called();
        far.step(Input::Failed { tag: invite.0, why });
        assert_eq!(far.told(), [expected]);
        assert!(far.is_quiet());
    }
}

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\n";

fn client() -> Client {
    Client::new(vec![Account::new("carrier", "orbit", "secret")])
}

fn authorized(far: &mut Far, attempt: &mut Attempt) -> (Tag, Message) {
    let Some(Told::Challenged(challenged)) = far.told_all().pop() else { panic!("no challenge") };
    let credentials = credentials(&challenged, &mut client(), attempt, "c0ffee").unwrap();
    let Credentials { header, value } = credentials;
    far.command(Command::Authorize { tag: challenged.tag, header, value });
    let sent = far.requests().remove(0);
    assert!(sent.1.has(Name::ProxyAuthorization));
    sent
}

#[test]
fn a_challenged_invite_is_sent_again_with_credentials_and_so_is_its_ack() {
    let (mut far, invite) = called();
    far.respond(&invite, 407, CHALLENGE, None);
    assert!(!far.leg.is_over());
    let again = authorized(&mut far, &mut Attempt::default());
    assert_eq!(again.1.cseq().unwrap().number, 2);
    assert_eq!(again.1.body(), sdp(OFFER).as_bytes());
    assert_eq!(again.1.from().unwrap().tag(), Some(&b"ut"[..]));
    // An answer to the first comes too late to matter.
    far.respond(&invite, 180, "", None);
    assert!(far.told().is_empty());
    far.respond(&again, 200, "", Some(50));
    let ack = far.acks().remove(0);
    assert!(ack.has(Name::ProxyAuthorization));
    assert_eq!(ack.cseq().unwrap().number, 2);
    far.end();
    let bye = far.one_request(&Method::Bye);
    assert_eq!(bye.1.cseq().unwrap().number, 3);
    far.told();
    far.respond(&bye, 407, CHALLENGE, None);
    let bye = authorized(&mut far, &mut Attempt::default());
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_challenge_of_another_realm_is_not_answered_and_none_for_ever() {
    let (mut far, invite) = called();
    far.respond(&invite, 401, "WWW-Authenticate: Digest realm=\"evil\", nonce=\"n\"\n", None);
    let Some(Told::Challenged(challenged)) = far.told_all().pop() else { panic!("no challenge") };
    let refused = credentials(&challenged, &mut client(), &mut Attempt::default(), "c");
    assert_eq!(refused, Err(crate::digest::NoAnswer::Realm));
    far.wait_s(33);
    assert_eq!(far.told(), ["failed 401"]);
    assert!(far.is_quiet());
    let (mut far, mut invite) = called();
    for _ in 0..4 {
        far.respond(&invite, 407, CHALLENGE, None);
        invite = authorized(&mut far, &mut Attempt::default());
    }
    far.respond(&invite, 407, CHALLENGE, None);
    assert_eq!(far.told(), ["failed 407"]);
}

#[test]
fn a_request_that_cannot_be_authorized_ends_and_its_call_goes_on() {
    let (mut far, invite) = called();
    far.respond(&invite, 407, CHALLENGE, None);
    let Some(Told::Challenged(first)) = far.told_all().pop() else { panic!("no challenge") };
    assert_eq!(first.before, 0);
    far.command(Command::Unauthorized { tag: first.tag });
    assert_eq!(far.told(), ["failed 401"]);
    assert!(far.is_quiet());
    let (mut far, invite) = called();
    far.respond(&invite, 200, "", Some(50));
    far.acks();
    far.told();
    let (content_type, body) = ("text/plain".to_owned(), Bytes::from_static(b"x"));
    far.command(Command::Info { content_type, body });
    let info = far.one_request(&Method::Info);
    far.respond(&info, 407, CHALLENGE, None);
    let Some(Told::Challenged(challenged)) = far.told_all().pop() else { panic!("no challenge") };
    far.command(Command::Unauthorized { tag: challenged.tag });
    assert_eq!(far.told(), ["info answered 401"]);
    far.end();
    let bye = far.one_request(&Method::Bye);
    far.told();
    far.respond(&bye, 407, CHALLENGE, None);
    let bye = authorized(&mut far, &mut Attempt::default());
    far.respond(&bye, 200, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_challenged_call_that_is_ended_sends_nothing_more() {
    let (mut far, invite) = called();
    far.respond(&invite, 407, CHALLENGE, None).end();
    assert_eq!(far.cancels(), 0);
    assert!(far.is_quiet());
}

#[test]
fn quirk_14_a_session_that_is_too_short_is_asked_for_again_as_long_as_it_grows() {
    let long = Settings { session_s: 1_800, ..settings() };
    let mut far = Far::called_with(long, Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    let expires = |message: &Message| message.first(Name::SessionExpires).unwrap().value();
    assert_eq!(&expires(&invite.1)[..], b"1800");
    far.respond(&invite, 422, "Min-SE: 3600\n", None);
    let again = far.one_request(&Method::Invite);
    assert_eq!((again.1.cseq().unwrap().number, &expires(&again.1)[..]), (2, &b"3600"[..]));
    assert_eq!(&again.1.first(Name::MinSe).unwrap().value()[..], b"3600");
    far.respond(&again, 422, "Min-SE: 3600\n", None);
    assert_eq!(far.told(), ["failed 422"]);
    assert!(far.requests().is_empty() && far.is_quiet());
}

#[test]
fn a_callee_that_finds_each_session_too_short_is_asked_three_times() {
    let long = Settings { session_s: 1_800, ..settings() };
    let mut far = Far::called_with(long.clone(), Some(OFFER));
    for least in 1_801..1_803 {
        let invite = far.one_request(&Method::Invite);
        far.respond(&invite, 422, &format!("Min-SE: {least}\n"), None);
    }
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 422, "Min-SE: 1803\n", None);
    assert_eq!(far.told(), ["failed 422"]);
    assert!(far.requests().is_empty() && far.is_quiet());
    // Nor is a session without end asked for.
    let mut far = Far::called_with(long, Some(OFFER));
    let invite = far.one_request(&Method::Invite);
    far.respond(&invite, 422, "Min-SE: 7201\n", None);
    assert_eq!(far.told(), ["failed 422"]);
    assert!(far.is_quiet());
}

#[test]
fn reliable_ringing_without_end_ends_the_call() {
    let (mut far, invite) = called();
    for rseq in 1..=64 {
        far.respond(&invite, 180, &format!("Require: 100rel\nRSeq: {rseq}\n"), None);
        let prack = far.one_request(&Method::Prack);
        far.respond(&prack, 200, "", None);
    }
    assert_eq!((far.told().len(), far.cancels()), (64, 0));
    far.respond(&invite, 180, "Require: 100rel\nRSeq: 65\n", None);
    assert_eq!((far.told(), far.cancels()), (vec!["ended Protocol".to_owned()], 1));
    assert!(far.requests().is_empty());
    far.respond(&invite, 487, "", None);
    assert!(far.is_quiet());
}

#[test]
fn a_peer_that_answers_no_prack_gets_a_few_and_more_when_it_does() {
    let (mut far, invite) = called();
    let ringing = |rseq: u32| format!("Require: 100rel\nRSeq: {rseq}\n");
    for rseq in 1..20 {
        far.respond(&invite, 180, &ringing(rseq), None);
    }
    let pracks = far.requests();
    assert_eq!((pracks.len(), far.told().len()), (8, 8));
    // What was passed over comes again, and is taken then.
    far.respond(&pracks[0], 200, "", None).respond(&invite, 180, &ringing(9), None);
    assert_eq!((far.requests().len(), far.told().len()), (1, 1));
}

/// A response as a peer sends it that writes its headers wrong.
fn respond_badly(far: &mut Far, invite: &(Tag, Message), lines: &str) {
    let answer = Answer { tag: Some("ft"), ..Answer::default() };
    let mut builder = Builder::answer(&invite.1, StatusCode::OK, answer);
    builder.lines(lines.as_bytes());
    let octets = write(builder, Some(&sdp(50))).unwrap();
    let message = Message::parse(octets, &Limits::default()).unwrap();
    far.step(Input::Response { tag: invite.0, message });
}

#[test]
fn a_200_that_does_not_say_the_way_back_has_its_ack_and_its_bye() {
    let bad_way = "Record-Route: <sip:@>\r\nContact: <sip:ft@192.0.2.9>\r\n";
    let bad = [("Contact: <sip:@>\r\n", "sip:far@far.example"), (bad_way, "sip:ft@192.0.2.9")];
    for (lines, target) in bad {
        let (mut far, invite) = called();
        respond_badly(&mut far, &invite, lines);
        assert_eq!(far.told(), ["answered 0 50"]);
        let acks = far.acks();
        assert_eq!(acks[0].uri().unwrap().to_string(), target);
        assert_eq!(acks[0].routes().count(), 0);
        far.end();
        assert_eq!(far.one_request(&Method::Bye).1.uri().unwrap().to_string(), target);
        // The same for a call that was taken back.
        let (mut far, invite) = called();
        far.end();
        respond_badly(&mut far, &invite, lines);
        assert_eq!((far.acks().len(), far.requests().len()), (1, 1));
    }
}

#[test]
fn a_200_whose_way_does_not_read_is_reached_as_its_branch_was() {
    let (mut far, invite) = called();
    far.respond(&invite, 180, "Record-Route: <sip:p1;lr>\n", None);
    respond_badly(&mut far, &invite, "Record-Route: <sip:@>\r\nContact: <sip:@>\r\n");
    let ack = far.acks().remove(0);
    assert_eq!(
        (ack.routes().count(), &ack.uri().unwrap().to_string()[..]),
        (1, "sip:ft@192.0.2.9")
    );
}

#[test]
fn an_invite_that_cannot_be_written_fails() {
    let mut out = Vec::new();
    let outgoing = Outgoing {
        settings: Arc::new(settings()),
        call_id: "call".to_owned(),
        tag: "ut".to_owned(),
        contact: "<sip:us@192.0.2.1>".to_owned(),
        seed: 1,
        uri: "sip:far@far.example".to_owned(),
        from: "<sip:us@x>\r\nRoute: <sip:evil>".to_owned(),
        to: "<sip:far@far.example>".to_owned(),
        routes: Vec::new(),
        max_forwards: 70,
        sdp: None,
        extra: Extra::default(),
    };
    let leg: Leg<u32> = Leg::outgoing(Instant::now(), outgoing, &mut out);
    assert!(leg.is_over());
    assert!(matches!(&out[..], [Output::Told(Told::Failed(_))]));
}

#[test]
fn a_route_that_is_given_is_passed_first() {
    let mut out = Vec::new();
    let outgoing = Outgoing {
        settings: Arc::new(settings()),
        call_id: "call".to_owned(),
        tag: "ut".to_owned(),
        contact: "<sip:us@192.0.2.1>".to_owned(),
        seed: 1,
        uri: "sip:far@far.example".to_owned(),
        from: "\"Us, \\\"Inc\\\"\" <sip:us@x>".to_owned(),
        to: "<sip:far@far.example>".to_owned(),
        routes: vec!["sip:proxy.example;lr".to_owned()],
        max_forwards: 70,
        sdp: None,
        extra: Extra::default().with("X-Account", "1").unwrap(),
    };
    let _leg: Leg<u32> = Leg::outgoing(Instant::now(), outgoing, &mut out);
    let Some(Output::Request { octets, target, .. }) = out.first() else { panic!("no request") };
    let invite = with_via(octets, "1");
    assert_eq!(target, "sip:proxy.example;lr");
    assert_eq!(invite.uri().unwrap().as_bytes(), b"sip:far@far.example");
    assert!(invite.has("X-Account") && invite.routes().count() == 1);
}
