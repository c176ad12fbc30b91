//! Facts of a leg that is called.

use super::far::{Far, OFFER, settings};
use super::*;

#[test]
fn a_call_is_taken_and_hung_up_by_the_caller() {
    let mut far = Far::calls("Record-Route: <sip:p1;lr>\n", Some(OFFER));
    assert_eq!(far.told(), ["invited 1"]);
    far.ring(180, None, false).answer(Some(50));
    let responses = far.responses();
    assert_eq!(responses.len(), 2);
    let ok = &responses[1].1;
    assert_eq!(ok.status(), Some(StatusCode::OK));
    assert_eq!(ok.body(), sdp(50).as_bytes());
    assert_eq!(ok.to().unwrap().tag(), Some(&b"ut"[..]));
    assert_eq!(ok.record_routes().count(), 1);
    assert_eq!(ok.contacts().count(), 1);
    assert!(ok.has_token(Name::Supported, "timer") && ok.allows(&Method::Update) == Some(true));
    far.ack(10, None);
    assert_eq!(far.told(), ["acknowledged"]);
    let bye = far.request("BYE", "Reason: Q.850;cause=16\n", None);
    assert_eq!(
        (far.told(), far.statuses()),
        (vec!["ended Them q850=16".to_owned()], vec![(bye, 200)])
    );
    assert!(far.is_quiet());
    assert_eq!(far.leg.deadline().filter(|_| !far.leg.is_over()), None);
}

#[test]
fn quirk_1_a_lost_ack_has_the_200_repeated_and_then_the_call_hung_up() {
    let mut far = Far::calls("", Some(OFFER));
    far.answer(Some(50)).told();
    let first = far.responses();
    far.wait_s(31);
    let repeats = far.responses();
    // After 0.5, 1.5, 3.5, 7.5 and then each 4 seconds.
    assert_eq!(repeats.len(), 9);
    assert!(repeats.iter().all(|(id, ok)| *id == 0 && ok.raw() == first[0].1.raw()));
    far.wait_s(2);
    assert_eq!(far.told(), ["ended AckMissing"]);
    let bye = far.one_request(&Method::Bye);
    far.respond(&bye, 200, "", None).responses();
    assert!(far.is_quiet());
}

#[test]
fn a_hang_up_before_the_ack_waits_for_it() {
    let mut far = Far::calls("", Some(OFFER));
    far.answer(Some(50)).end();
    assert_eq!(far.told(), ["invited 1", "ended Us"]);
    assert_eq!(far.requests().len(), 0);
    far.ack(10, None);
    let bye = far.one_request(&Method::Bye);
    assert!(far.told().is_empty() && !far.leg.is_over());
    far.respond(&bye, 200, "", None).responses();
    assert!(far.is_quiet());
}

#[test]
fn a_refusal_says_why() {
    let mut far = Far::calls("", Some(OFFER));
    let extra = Extra::default().with("Retry-After", "5").unwrap();
    far.command(Command::Reject { status: StatusCode::BUSY_HERE, cause: Cause::q850(17), extra });
    let busy = far.responses().remove(0).1;
    assert_eq!(busy.status(), Some(StatusCode::BUSY_HERE));
    assert_eq!(Cause::of(&busy), Cause::q850(17));
    assert!(busy.has(Name::RetryAfter));
    assert_eq!(far.told(), ["invited 1", "ended Us q850=17"]);
    assert!(far.is_quiet());
}

#[test]
fn quirk_4_a_cancel_before_the_answer_ends_it_and_after_it_does_nothing() {
    let cause = Cause::sip(StatusCode::OK);
    let mut far = Far::calls("", Some(OFFER));
    far.ring(180, None, false).step(Input::Cancelled { invite: 0, cause: cause.clone() });
    assert_eq!(far.statuses(), [(0, 180), (0, 487)]);
    assert_eq!(far.told(), ["invited 1", "ended Them"]);
    far.answer(Some(50));
    assert!(far.is_quiet());
    let mut far = Far::calls("", Some(OFFER)).up();
    far.step(Input::Cancelled { invite: 0, cause });
    assert!(far.told().is_empty() && far.statuses().is_empty());
}

#[test]
fn quirk_10_the_invite_again_after_the_final_answer_makes_no_second_call() {
    let mut far = Far::calls("", Some(OFFER)).up();
    let message = far.invite.clone();
    far.step(Input::Request { id: 99, message });
    assert_eq!(far.statuses(), [(99, 482)]);
    assert!(far.told().is_empty());
}

#[test]
fn a_provisional_answer_is_reliable_when_the_caller_insists() {
    let mut far = Far::calls("Require: 100rel\n", Some(OFFER));
    far.ring(180, None, false);
    let ringing = far.responses().remove(0).1;
    assert!(ringing.has_token(Name::Require, "100rel"));
    let rseq = ringing.first(Name::RSeq).unwrap().value();
    let rseq = std::str::from_utf8(&rseq).unwrap();
    far.wait_s(2);
    assert_eq!(far.statuses(), [(0, 180), (0, 180)]);
    let wrong = far.request("PRACK", "RAck: 1 10 INVITE\n", None);
    let right = far.request("PRACK", &format!("RAck: {rseq} 10 INVITE\n"), None);
    assert_eq!(far.statuses(), [(wrong, 481), (right, 200)]);
    far.wait_s(40);
    assert!(far.statuses().is_empty());
    let again = far.request("PRACK", &format!("RAck: {rseq} 10 INVITE\n"), None);
    assert_eq!(far.statuses(), [(again, 481)]);
}

fn rseq_of(message: &Message) -> String {
    String::from_utf8(message.first(Name::RSeq).unwrap().value().to_vec()).unwrap()
}

#[test]
fn a_call_whose_provisional_answer_is_never_acknowledged_is_refused() {
    let mut far = Far::calls("Supported: 100rel\n", Some(OFFER));
    far.ring(183, Some(50), true).answer(Some(50)).told();
    far.wait_s(33);
    let statuses = far.statuses();
    assert_eq!(statuses.last(), Some(&(0, 504)));
    // After 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 seconds.
    assert_eq!(statuses.iter().filter(|(_, status)| *status == 183).count(), 7);
    assert_eq!(far.told(), ["ended PrackMissing"]);
    assert!(far.is_quiet());
}

#[test]
fn an_answer_waits_for_the_prack_of_a_description_and_does_not_repeat_it() {
    let mut far = Far::calls("Supported: 100rel\n", Some(OFFER));
    far.ring(183, Some(50), true).ring(180, None, true).answer(Some(50));
    let progress = far.responses();
    assert_eq!(progress.len(), 1);
    assert_eq!(progress[0].1.body(), sdp(50).as_bytes());
    let rack = format!("RAck: {} 10 INVITE\n", rseq_of(&progress[0].1));
    let prack = far.request("PRACK", &rack, None);
    let responses = far.responses();
    let statuses: Vec<_> =
        responses.iter().map(|(id, message)| (*id, message.status().unwrap().get())).collect();
    assert_eq!(statuses, [(prack, 200), (0, 180), (0, 200)]);
    assert!(responses[2].1.body().is_empty());
    // The 200 overtook the second one, whose PRACK is taken all the same.
    let late =
        far.request("PRACK", &format!("RAck: {} 10 INVITE\n", rseq_of(&responses[1].1)), None);
    assert_eq!(far.statuses(), [(late, 200)]);
}

#[test]
fn what_was_rung_with_need_not_be_said_again() {
    let mut far = Far::calls("", Some(OFFER));
    far.ring(183, Some(50), true).answer(None);
    let responses = far.responses();
    assert!(!responses[0].1.has(Name::RSeq));
    assert_eq!(responses[1].1.body(), sdp(50).as_bytes());
}

#[test]
fn quirk_15_a_delayed_offer_is_in_the_200_and_its_answer_in_the_ack() {
    let mut far = Far::calls("", None);
    far.ring(183, Some(50), true).answer(Some(50));
    let responses = far.responses();
    assert!(responses[0].1.body().is_empty(), "what is not reliable is no offer");
    assert_eq!(responses[1].1.body(), sdp(50).as_bytes());
    far.ack(10, Some(2));
    assert_eq!(far.told(), ["invited -", "acknowledged", "offer answered 2"]);
    let mut mute = Far::calls("", None);
    mute.answer(Some(50)).ack(10, None);
    assert_eq!(mute.told(), ["invited -", "acknowledged", "ended Protocol"]);
    assert_eq!(mute.one_request(&Method::Bye).1.method(), Some(&Method::Bye));
}

#[test]
fn an_offer_in_a_reliable_ringing_is_answered_in_the_prack() {
    let mut far = Far::calls("Supported: 100rel\n", None);
    far.ring(183, Some(50), true);
    let rack = format!("RAck: {} 10 INVITE\n", rseq_of(&far.responses()[0].1));
    far.request("PRACK", &rack, Some(2));
    far.answer(None);
    assert_eq!(far.told(), ["invited -", "offer answered 2"]);
    assert!(far.responses().last().unwrap().1.body().is_empty());
}

#[test]
fn an_answer_without_a_description_where_one_is_owed_is_no_answer() {
    let mut far = Far::calls("", Some(OFFER));
    far.answer(None);
    assert_eq!(far.statuses(), [(0, 500)]);
    assert_eq!(far.told(), ["invited 1", "ended Us"]);
}

#[test]
fn what_cannot_be_taken_is_refused_at_once_and_nobody_is_told() {
    for (extra, status, header) in [
        ("Require: 100rel, xyz, foo\n", 420, "Unsupported: xyz, foo"),
        ("Supported: timer\nSession-Expires: 60\n", 422, "Min-SE: 90"),
        ("Replaces: x\n", 400, ""),
        ("Record-Route: <x>\n", 400, ""),
    ] {
        let mut far = Far::calls(extra, Some(OFFER));
        let (_, refused) = far.responses().remove(0);
        assert_eq!(refused.status().unwrap().get(), status);
        let lines: Vec<String> = refused.headers().map(|header| format!("{header:?}")).collect();
        assert!(header.is_empty() || lines.iter().any(|line| line == header), "{lines:?}");
        assert!(far.told().is_empty() && far.is_quiet());
    }
}

#[test]
fn a_bye_before_the_answer_ends_the_call() {
    let mut far = Far::calls("", Some(OFFER));
    far.ring(180, None, false);
    far.statuses();
    let bye = far.request("BYE", "", None);
    assert_eq!(far.statuses(), [(bye, 200), (0, 487)]);
    assert_eq!(far.told(), ["invited 1", "ended Them"]);
    assert!(far.is_quiet());
}

#[test]
fn quirk_13_a_caller_of_rfc_2543_has_no_tag() {
    let mut out = Vec::new();
    let now = Instant::now();
    let old = |method: &str, to: &str| {
        parse(
            format!(
                "{method} sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP far\r\nFrom: sip:far@far\r\n\
                 To: {to}\r\nCall-ID: call\r\nCSeq: {} {method}\r\n\
                 Content-Type: application/sdp\r\n\r\n{}",
                if method == "BYE" { 2 } else { 1 },
                text(&sdp(OFFER))
            )
            .as_bytes(),
        )
    };
    let incoming = Incoming {
        settings: Arc::new(settings()),
        id: 0,
        invite: old("INVITE", "sip:us@192.0.2.1"),
        tag: "ut".to_owned(),
        contact: "<sip:us@192.0.2.1>".to_owned(),
        seed: 1,
    };
    let mut leg: Leg<u32> = Leg::incoming(now, incoming, &mut out);
    let answer = Command::Answer { sdp: Some(sdp(50)), extra: Extra::default() };
    leg.step(now, Input::Command(answer), &mut out);
    leg.step(now, Input::Ack(old("ACK", "sip:us@192.0.2.1;tag=ut")), &mut out);
    let bye = old("BYE", "sip:us@192.0.2.1;tag=ut");
    leg.step(now, Input::Request { id: 1, message: bye }, &mut out);
    assert!(leg.is_over());
    assert!(matches!(out.last(), Some(Output::Told(Told::Ended { by: By::Them, .. }))));
}

#[test]
fn quirk_17_a_call_that_replaces_a_dead_one_finds_none() {
    let replaces = "Replaces: other;to-tag=1;from-tag=2\n";
    let mut far = Far::calls(replaces, Some(OFFER));
    assert_eq!(far.told(), ["invited 1 replaces"]);
    let named = |text: &'static str| {
        <Replaces as crate::header::Value>::parse(&Bytes::from_static(text.as_bytes())).unwrap()
    };
    let live = "call;to-tag=ut;from-tag=ft";
    // An early dialog that we did not begin cannot be taken over.
    assert_eq!(far.leg.replaced_by(&named(live)), Err(StatusCode::CALL_DOES_NOT_EXIST));
    let mut far = Far::calls("", Some(OFFER)).up();
    assert_eq!(far.leg.replaced_by(&named(live)), Ok(()));
    let early = far.leg.replaced_by(&named("call;to-tag=ut;from-tag=ft;early-only"));
    assert_eq!(early, Err(StatusCode::BUSY_HERE));
    let other = far.leg.replaced_by(&named("call;to-tag=ut;from-tag=xx"));
    assert_eq!(other, Err(StatusCode::CALL_DOES_NOT_EXIST));
    far.request("BYE", "", None);
    assert_eq!(far.leg.replaced_by(&named(live)), Err(StatusCode::DECLINE));
}

#[test]
fn a_body_of_another_kind_is_refused() {
    let mut far = Far::calls("", Some(OFFER)).up();
    far.request_with("INVITE", "Content-Type: text/plain\n", "x");
    let (_, refused) = far.responses().remove(0);
    assert_eq!(refused.status(), Some(StatusCode::UNSUPPORTED_MEDIA_TYPE));
}
