//! Facts of transfers, INFO, and of all that has no machine of its own.

use super::far::{Far, OFFER};
use super::*;

fn up() -> Far {
    Far::calls("", Some(OFFER)).up()
}

fn notified(far: &mut Far) -> (String, String) {
    let notify = far.one_request(&Method::Notify);
    let state = notify.1.first(Name::SubscriptionState).unwrap().value();
    let body = String::from_utf8(notify.1.body().to_vec()).unwrap();
    far.respond(&notify, 200, "", None);
    (String::from_utf8(state.to_vec()).unwrap(), body.trim_end().to_owned())
}

#[test]
fn a_transfer_is_granted_and_reported() {
    let mut far = up();
    let to =
        "Refer-To: <sip:c@x?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>\nReferred-By: <sip:f@x>\n";
    let id = far.request("REFER", to, None);
    let Some(Told::Referred(referred)) = far.told_all().pop() else { panic!("not referred") };
    assert_eq!(referred.replaces.as_ref().unwrap().call_id, "a@b");
    assert_eq!(referred.by.as_deref(), Some(&b"<sip:f@x>"[..]));
    assert_eq!(referred.to.user(), Some(&b"c"[..]));
    far.command(Command::AnswerRefer { status: StatusCode::ACCEPTED });
    assert_eq!(far.statuses(), [(id, 202)]);
    let active = "active;expires=180".to_owned();
    assert_eq!(notified(&mut far), (active.clone(), "SIP/2.0 100 Trying".to_owned()));
    let report = |status: u16| Command::NotifyRefer { status: StatusCode::new(status).unwrap() };
    far.command(report(180));
    let ringing = far.one_request(&Method::Notify);
    // The next one waits; of those that wait the last is sent, and nothing comes behind the end.
    far.command(report(183)).command(report(200)).command(report(486));
    assert!(far.requests().is_empty());
    far.respond(&ringing, 200, "", None);
    let ended = "terminated;reason=noresource".to_owned();
    assert_eq!(notified(&mut far), (ended, "SIP/2.0 200 OK".to_owned()));
    far.command(report(200));
    assert!(far.requests().is_empty());
}

#[test]
fn a_transfer_is_declined_or_forgotten() {
    let mut far = up();
    let id = far.request("REFER", "Refer-To: <sip:c@x>\n", None);
    let other = far.request("REFER", "Refer-To: <sip:d@x>\n", None);
    assert_eq!(far.statuses(), [(other, 491)]);
    far.command(Command::AnswerRefer { status: StatusCode::DECLINE });
    assert_eq!(far.statuses(), [(id, 603)]);
    let id = far.request("REFER", "Refer-To: <sip:c@x>\n", None);
    far.wait_s(33);
    assert_eq!(far.statuses(), [(id, 500)]);
    let id = far.request("REFER", "Refer-To: <sip:c@x>\n", None);
    let bye = far.request("BYE", "", None);
    assert_eq!(far.statuses(), [(bye, 200), (id, 603)]);
    assert!(far.is_quiet());
}

#[test]
fn a_transfer_without_reports_has_none() {
    let mut far = up();
    far.request("REFER", "Refer-To: <sip:c@x>\nRefer-Sub: false\n", None);
    far.command(Command::AnswerRefer { status: StatusCode::ACCEPTED });
    let accepted = far.responses().remove(0).1;
    assert_eq!(&accepted.first(Name::ReferSub).unwrap().value()[..], b"false");
    assert!(far.requests().is_empty());
}

#[test]
fn quirk_17_a_transfer_to_ourselves_or_one_too_many_goes_in_circles() {
    let mut far = up();
    let own = far.request("REFER", "Refer-To: <sip:us@192.0.2.1:5060>\n", None);
    let bad = far.request("REFER", "Refer-To: <sip:a@x?Replaces=x>\n", None);
    let none = far.request("REFER", "", None);
    assert_eq!(far.statuses(), [(own, 482), (bad, 400), (none, 400)]);
    assert!(far.told().is_empty());
    for _ in 0..8 {
        far.request("REFER", "Refer-To: <sip:c@x>\nRefer-Sub: false\n", None);
        far.command(Command::AnswerRefer { status: StatusCode::ACCEPTED });
    }
    far.responses();
    let id = far.request("REFER", "Refer-To: <sip:c@x>\n", None);
    assert_eq!(far.statuses(), [(id, 482)]);
}

fn refer(reports: bool) -> Command {
    let by = Some("<sip:us@192.0.2.1>".to_owned());
    Command::Refer(Box::new(Refer { to: "<sip:c@x>".to_owned(), by, reports }))
}

fn progress(far: &mut Far, state: &str, body: &str) -> u32 {
    let extra =
        format!("Event: refer\nSubscription-State: {state}\nContent-Type: message/sipfrag\n");
    far.request_with("NOTIFY", &extra, body)
}

#[test]
fn a_transfer_of_ours_is_watched_even_before_it_is_granted() {
    let mut far = up();
    far.command(refer(true));
    let sent = far.one_request(&Method::Refer);
    assert_eq!(&sent.1.first(Name::ReferTo).unwrap().value()[..], b"<sip:c@x>");
    progress(&mut far, "active;expires=60", "SIP/2.0 100 Trying\r\n");
    far.respond(&sent, 202, "", None);
    progress(&mut far, "active", "SIP/2.0 180 Ringing");
    progress(&mut far, "terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    let told = far.told();
    let expected = [
        "refer progress 100",
        "refer answered 202",
        "refer progress 180",
        "refer progress 200 over",
    ];
    assert_eq!(told, expected);
    let late = progress(&mut far, "active", "SIP/2.0 200 OK\r\n");
    let other = far.request("NOTIFY", "Event: presence\nSubscription-State: active\n", None);
    let statuses = far.statuses();
    assert_eq!(statuses[3..], [(late, 481), (other, 489)]);
}

#[test]
fn a_transfer_of_ours_is_refused_and_one_at_a_time() {
    let mut far = up();
    far.command(refer(true)).command(refer(true));
    assert_eq!(far.told(), ["refer answered 491"]);
    let sent = far.one_request(&Method::Refer);
    far.respond(&sent, 603, "", None);
    assert_eq!(far.told(), ["refer answered 603"]);
    far.command(refer(false));
    let sent = far.one_request(&Method::Refer);
    assert_eq!(&sent.1.first(Name::ReferSub).unwrap().value()[..], b"false");
    far.respond(&sent, 202, "Refer-Sub: false\n", None);
    let report = progress(&mut far, "active", "SIP/2.0 100 Trying\r\n");
    assert_eq!(far.statuses(), [(report, 481)]);
}

#[test]
fn keys_come_by_info_and_other_methods_are_answered() {
    let mut far = up();
    let dtmf = "Content-Type: application/dtmf-relay\n";
    far.request_with("INFO", dtmf, "Signal=5\r\nDuration=160\r\n");
    far.request("INFO", "", None);
    far.request_with("INFO", dtmf, &"x".repeat(5_000));
    assert_eq!(far.told(), ["info application/dtmf-relay 24"]);
    for method in ["OPTIONS", "MESSAGE", "SUBSCRIBE", "REGISTER", "PUBLISH", "FOO"] {
        far.request(method, "", None);
    }
    far.request("INFO", "Require: foo\n", None);
    let responses = far.responses();
    let statuses: Vec<u16> =
        responses.iter().map(|(_, message)| message.status().unwrap().get()).collect();
    assert_eq!(statuses, [200, 200, 413, 200, 405, 405, 405, 405, 501, 420]);
    let options = &responses[3].1;
    assert_eq!(options.allows(&Method::Refer), Some(true));
    assert!(options.has(Name::Accept) && responses[4].1.has(Name::Allow));
    far.command(Command::Info { content_type: "a/b".to_owned(), body: Bytes::from_static(b"x") });
    let info = far.one_request(&Method::Info);
    far.respond(&info, 200, "", None);
    assert_eq!(far.told(), ["info answered 200"]);
}

#[test]
fn quirk_36_a_bye_of_another_dialog_finds_nothing() {
    let mut far = up();
    let text = |from: &str, to: &str| {
        format!(
            "BYE sip:us@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP evil;branch=z9hG4bKe\r\n\
             From: <sip:far@far.example>;tag={from}\r\nTo: <sip:us@192.0.2.1>;tag={to}\r\n\
             Call-ID: call\r\nCSeq: 99 BYE\r\n\r\n"
        )
    };
    for (at, (from, to)) in [("ft", "guess"), ("guess", "ut"), ("", "ut")].iter().enumerate() {
        let from = if from.is_empty() { "x" } else { from };
        let message = parse(text(from, to).as_bytes());
        far.step(Input::Request { id: 500 + at as u32, message });
    }
    assert_eq!(far.statuses(), [(500, 481), (501, 481), (502, 481)]);
    let stranger = parse(text("guess", "ut").replace("BYE", "ACK").as_bytes());
    far.step(Input::Ack(stranger));
    assert!(far.told().is_empty() && !far.leg.is_over());
    // And a response to nothing of ours changes nothing.
    let invite = (Tag(77), far.invite.clone());
    far.respond(&invite, 200, "", Some(1));
    assert!(far.told().is_empty() && far.requests().is_empty());
}

#[test]
fn a_bye_on_a_dead_dialog_is_answered_and_all_else_is_not_there() {
    let mut far = up();
    let first = far.request("BYE", "", None);
    let second = far.request("BYE", "", None);
    let info = far.request("INFO", "", None);
    assert_eq!(far.statuses(), [(first, 200), (second, 200), (info, 481)]);
    assert_eq!(far.told(), ["ended Them"]);
}

#[test]
fn a_transfer_to_nobody_leaves_the_call() {
    for status in [404, 416, 484, 604] {
        let mut far = up();
        far.command(refer(true));
        let sent = far.one_request(&Method::Refer);
        far.respond(&sent, status, "", None);
        assert_eq!(far.told(), [format!("refer answered {status}")]);
        assert!(far.requests().is_empty() && !far.leg.is_over());
    }
    for status in [408, 410, 481] {
        let mut far = up();
        far.command(refer(true));
        let sent = far.one_request(&Method::Refer);
        far.respond(&sent, status, "", None);
        assert_eq!(far.told(), ["ended Lost"], "{status}");
    }
}

#[test]
fn a_transfer_that_nobody_reports_of_is_over_in_the_end() {
    let mut far = up();
    far.command(refer(true));
    let sent = far.one_request(&Method::Refer);
    far.respond(&sent, 202, "", None).told();
    far.wait_s(200);
    progress(&mut far, "active", "SIP/2.0 100 Trying\r\n");
    far.wait_s(200);
    assert_eq!(far.told(), ["refer progress 100"]);
    far.wait_s(13);
    assert_eq!(far.told(), ["refer progress - over"]);
    // Then there may be another, which lasts as long as its reports say, within reason.
    for (expires, most_s) in [(60, 93), (u32::MAX, 633)] {
        far.command(refer(true));
        let sent = far.one_request(&Method::Refer);
        far.respond(&sent, 202, "", None);
        progress(&mut far, &format!("active;expires={expires}"), "SIP/2.0 100 Trying\r\n");
        far.told();
        far.wait_s(most_s - 2);
        assert!(far.told().is_empty());
        far.wait_s(2);
        assert_eq!(far.told(), ["refer progress - over"]);
    }
    assert_eq!(far.leg.deadline(), None);
}
