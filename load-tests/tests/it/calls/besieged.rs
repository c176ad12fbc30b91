//! Calls that go on while the switch is killed, and while it is attacked.

use crate::world::program;

/// The scenario in its short form: one kill, with calls that were seen several times by then.
pub(crate) fn survive(store: &str) {
    let program = program().display().to_string();
    let words = ["calls-killed", "--kills", "1", "--calls", "40", "--checkpoint-s", "2"];
    let more = ["--seed", "7", "--orbit", &program, "--store", store];
    let result = load_tests::run_words(&[&words[..], &more].concat());
    let report = result.expect("the scenario runs").expect("it has results");
    assert_eq!(report["passed"], true, "{report:#}");
    assert_eq!((&report["calls_up_at_kills"], &report["held_micros"]), (&40.into(), &0.into()));
    assert!(report["spent_micros"].as_i64() > Some(40_000), "{report:#}");
}

#[test]
fn calls_that_are_up_at_a_kill_are_billed_as_far_as_they_were_seen() {
    survive("sqlite");
}

#[test]
fn calls_feel_nothing_of_attacks() {
    let program = program().display().to_string();
    let words = ["siege", "--seconds", "4", "--rate", "100", "--connections", "10"];
    let result =
        load_tests::run_words(&[&words[..], &["--calls", "5", "--orbit", &program]].concat());
    let report = result.expect("the scenario runs").expect("it has results");
    assert_eq!(report["passed"], true, "{report:#}");
    for attack in ["scanner", "invite_flood", "forged_bye", "rtp_injection"] {
        let sent = report["attacks_a_second"][attack].as_u64();
        assert!(sent.is_some_and(|sent| sent > 0), "{attack}: {report:#}");
    }
    assert!(report["sound_sent"].as_u64() > Some(200), "{report:#}");
}
