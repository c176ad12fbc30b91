//! Requests of peers, RFC 3261 §17.2.

use super::*;

#[test]
fn an_invite_gets_its_100_after_200_ms_and_a_2xx_is_the_users() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).until(300).receive(UDP, &invite()).respond(180);
    stage.until(700).receive(UDP, &invite()).respond(200).until(1_000).receive(UDP, &invite());
    let said = ["0 INVITE came", "200 > 100", "300 > 100", "300 > 180", "700 > 180", "700 > 200"];
    assert_eq!(stage.heard(), said);
    stage.respond(200).receive(UDP, &theirs("ACK", ";branch=z9hG4bKother"));
    stage.until(32_600).respond(200).until(32_700).respond(200);
    assert_eq!(stage.heard(), ["1000 > 200", "1000 ACK came", "32600 > 200"]);
    assert!(stage.is_clean());
}

#[test]
fn a_refusal_is_sent_again_until_its_ack_comes() {
    let mut stage = Stage::new();
    stage.receive(UDP, &invite()).respond(486).until(2_000);
    stage.receive(UDP, &theirs("ACK", ";branch=z9hG4bKb1")).until(6_999);
    assert_eq!(stage.heard(), ["0 INVITE came", "0 > 486", "500 > 486", "1500 > 486"]);
    stage.receive(UDP, &invite());
    assert_eq!(stage.table.len(), 1, "what comes again is absorbed for T4");
    stage.until(7_000);
    assert!(stage.is_clean());
}

#[test]
fn other_requests_are_answered_again_for_64_t1() {
    let bye = theirs("BYE", ";branch=z9hG4bKb1");
    let mut stage = Stage::new();
    stage.receive(UDP, &bye).receive(UDP, &bye).respond(200).until(31_999).receive(UDP, &bye);
    assert_eq!(stage.heard(), ["0 BYE came", "0 > 200", "31999 > 200"]);
    stage.until(32_000);
    assert!(stage.is_clean());
}
