//! Requests of ours, RFC 3261 §17.1.

use super::*;

#[test]
fn an_invite_is_sent_again_at_doubling_times_and_given_up_after_64_t1() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).until(100_000);
    let times = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];
    let mut expected: Vec<String> = times.iter().map(|at| format!("{at} > INVITE")).collect();
    expected.push("32000 1: TimedOut".to_owned());
    assert_eq!(stage.heard(), expected);
    assert!(stage.is_clean());
    assert_eq!((stage.table.stats().retransmitted, stage.table.stats().timed_out), (6, 1));
}

#[test]
fn other_requests_are_sent_again_every_t2_at_most() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("BYE")).until(100_000);
    let times = [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    let mut expected: Vec<String> = times.iter().map(|at| format!("{at} > BYE")).collect();
    expected.push("32000 1: TimedOut".to_owned());
    assert_eq!(stage.heard(), expected);
    assert!(stage.is_clean());
}

#[test]
fn a_connection_repeats_nothing_and_is_patient_as_long() {
    for method in ["INVITE", "OPTIONS"] {
        let mut stage = Stage::new();
        stage.request(TCP, 1, &ours(method)).until(100_000);
        assert_eq!(stage.heard(), [format!("0 > {method}"), "32000 1: TimedOut".to_owned()]);
        assert!(stage.is_clean());
    }
}

#[test]
fn a_provisional_response_ends_the_repeats_of_an_invite() {
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).until(600);
    stage.answered(UDP, "INVITE", 100).until(60_000).answered(UDP, "INVITE", 180);
    stage.until(70_000).answered(UDP, "INVITE", 200).until(71_000).answered(UDP, "INVITE", 200);
    let said = [
        "0 > INVITE",
        "500 > INVITE",
        "600 1: 100",
        "60000 1: 180",
        "70000 1: 200",
        "71000 1: 200",
    ];
    assert_eq!(stage.heard(), said);
    stage.until(70_000 + 31_999).answered(UDP, "INVITE", 200);
    assert_eq!(stage.heard(), ["101999 1: 200"], "each 2xx is told for 64 T1");
    stage.until(70_000 + 32_000).answered(UDP, "INVITE", 200);
    assert_eq!(stage.heard(), [""; 0]);
    assert!(stage.is_clean());
}

#[test]
fn a_lost_flow_fails_what_was_not_answered_at_all() {
    for (flow, waits) in [(TCP, true), (WS, false)] {
        let mut stage = Stage::new();
        stage.request(flow, 1, &ours("INVITE")).answered(flow, "INVITE", 180);
        stage.request(flow, 2, &ours("OPTIONS")).heard();
        stage.step(|table, now, out| table.flow_lost(now, flow, out));
        if !waits {
            assert_eq!(stage.heard(), ["0 2: Transport", "0 1: Transport"]);
            assert!(stage.is_clean());
            continue;
        }
        assert_eq!(stage.heard(), ["0 2: Transport"]);
        stage.answered(UDP, "INVITE", 486);
        assert_eq!(stage.heard(), ["0 > ACK", "0 1: 486"], "by another way");
        assert!(stage.is_clean());
    }
}
