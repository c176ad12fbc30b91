//! CANCEL of ours and of peers, RFC 3261 §9.

use super::*;
use crate::header::Reason;

fn cancel(stage: &mut Stage) {
    let reasons = [Reason::new("SIP", 200, "Call completed elsewhere")];
    stage.step(|table, now, out| table.cancel(now, 1, &reasons, out));
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE"));
    cancel(&mut stage);
    cancel(&mut stage);
    stage.until(600).answered(UDP, "INVITE", 100).until(700).answered(UDP, "CANCEL", 200);
    stage.until(800).answered(UDP, "INVITE", 487).until(60_000);
    let said =
        ["0 > INVITE", "500 > INVITE", "600 1: 100", "600 > CANCEL", "800 > ACK", "800 1: 487"];
    assert_eq!(stage.heard(), said);
    assert!(stage.is_clean());
}

#[test]
fn a_cancel_and_an_ack_go_in_the_footsteps_of_their_invite() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", 180);
    cancel(&mut stage);
    stage.answered(UDP, "INVITE", 487);
    let invite = parse(stage.sent("INVITE"));
    for (method, tag) in [("CANCEL", None), ("ACK", Some(&b"their-tag"[..]))] {
        let sent = parse(stage.sent(method));
        assert_eq!(sent.check(), Ok(()));
        assert_eq!(sent.uri(), invite.uri());
        for name in [Name::Via, Name::Route, Name::From, Name::CallId] {
            let both = [&sent, &invite].map(|message| message.first(name).unwrap().raw());
            assert_eq!(both[0], both[1]);
        }
        assert_eq!(sent.to().unwrap().tag(), tag);
        assert_eq!(sent.first(Name::CSeq).unwrap().raw(), format!("7 {method}").as_bytes());
        assert_eq!(sent.has(Name::Reason), method == "CANCEL");
    }
}

#[test]
fn a_final_response_that_comes_first_makes_a_held_cancel_void() {
    for (status, said) in [(200, vec!["0 1: 200"]), (486, vec!["0 > ACK", "0 1: 486"])] {
        let mut stage = Stage::new();
        stage.request(UDP, 1, &ours("INVITE"));
        cancel(&mut stage);
        stage.heard();
        stage.answered(UDP, "INVITE", status);
        cancel(&mut stage);
        assert_eq!(stage.heard(), said, "and no CANCEL");
        stage.until(60_000);
        assert!(stage.is_clean());
    }
}

#[test]
fn what_has_its_final_response_is_not_cancelled() {
    for status in [200, 486] {
        let mut stage = Stage::new();
        stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", status).heard();
        cancel(&mut stage);
        assert_eq!(stage.heard(), [""; 0]);
    }
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_told() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", 180);
    cancel(&mut stage);
    stage.answered(UDP, "INVITE", 200).answered(UDP, "CANCEL", 200).until(60_000);
    assert_eq!(stage.heard(), ["0 > INVITE", "0 1: 180", "0 > CANCEL", "0 1: 200"]);
    assert!(stage.is_clean());
}

#[test]
fn who_is_cancelled_and_says_nothing_is_given_up_after_64_t1() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).answered(UDP, "INVITE", 180).until(1_000);
    cancel(&mut stage);
    stage.answered(UDP, "CANCEL", 200).until(20_000).answered(UDP, "INVITE", 183).until(100_000);
    let said = ["0 > INVITE", "0 1: 180", "1000 > CANCEL", "20000 1: 183", "33000 1: TimedOut"];
    assert_eq!(stage.heard(), said);
    assert!(stage.is_clean());
}

#[test]
fn who_rings_too_long_is_cancelled_by_timer_c() {
    let mut stage = Stage::new();
    stage.request(TCP, 1, &ours("INVITE")).answered(TCP, "INVITE", 100).until(150_000);
    stage.answered(TCP, "INVITE", 180).until(200_000).answered(TCP, "INVITE", 100);
    stage.until(340_000).answered(TCP, "INVITE", 487).until(400_000);
    let said = [
        "0 > INVITE",
        "0 1: 100",
        "150000 1: 180",
        "200000 1: 100",
        "340000 > CANCEL",
        "340000 > ACK",
        "340000 1: 487",
    ];
    assert_eq!(stage.heard(), said, "a 100 wins no time");
    assert!(stage.is_clean());
}

#[test]
fn a_peers_cancel_is_answered_here_and_names_its_invite() {
    let mut stage = Stage::new();
    let cancel = theirs("CANCEL", ";branch=z9hG4bKb1");
    stage.receive(UDP, &invite()).receive(UDP, &cancel).receive(UDP, &cancel);
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 200", "0 cancelled", "0 > 200"]);
    let Some(Output::Cancelled { invite, .. }) =
        stage.out.iter().find(|out| matches!(out, Output::Cancelled { .. }))
    else {
        panic!("nothing was cancelled");
    };
    assert_eq!(*invite, stage.ids[0]);
    stage.respond(487).receive(UDP, &cancel).until(60_000);
    assert_eq!(stage.heard()[..2], ["0 > 487", "0 > 200"]);
    assert!(stage.is_clean());
}

#[test]
fn a_cancel_after_the_final_answer_changes_nothing() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).respond(200);
    stage.receive(UDP, &theirs("CANCEL", ";branch=z9hG4bKb1"));
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 200", "0 > 200"]);
}

#[test]
fn a_cancel_of_nothing_or_of_another_call_is_answered_481() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite());
    let cancel = theirs("CANCEL", ";branch=z9hG4bKb1");
    for strange in [
        cancel.replace("z9hG4bKb1", "z9hG4bKb2"),
        cancel.replace("192.0.2.7", "192.0.2.8"),
        cancel.replace("Call-ID: c2", "Call-ID: guessed"),
        cancel.replace("tag=b1", "tag=guessed"),
        cancel.replace("CSeq: 1", "CSeq: 2"),
    ] {
        stage.heard();
        stage.receive(UDP, &strange);
        assert_eq!(stage.heard(), ["0 > 481"]);
    }
    assert_eq!(stage.table.stats().unknown_cancel, 5);
    assert_eq!(stage.table.len(), 1, "a CANCEL keeps nothing");
}
