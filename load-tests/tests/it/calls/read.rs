//! Calls as their organization reads and steers them: lists, one call, ladders, records, and by the command
//! line; hanging up, silence and digits.

use serde_json::{Value, json};

use super::{Talk, is_quiet, rung, told, two};
use crate::http::Http;
use crate::phones::Switch;
use crate::world::wait_until;

/// The newest call.
async fn newest(http: &mut Http) -> Value {
    let mut calls = Vec::new();
    let is_there = wait_until(async || {
        calls = http.all("/api/v1/voice/calls").await;
        !calls.is_empty()
    });
    assert!(is_there.await);
    calls.swap_remove(0)
}

async fn path_of(http: &mut Http, status: &str) -> String {
    let mut call = Value::Null;
    let is_so = wait_until(async || {
        call = newest(http).await;
        call["status"] == status
    });
    assert!(is_so.await, "{call}");
    format!("/api/v1/voice/calls/{}", call["id"].as_str().unwrap_or_default())
}

/// These words as the organization.
fn with<'a>(words: &[&'a str], switch: &'a Switch) -> Vec<&'a str> {
    [words, &["--key", switch.org.key.as_str()]].concat()
}

#[tokio::test]
async fn a_call_is_read_by_api_and_command_line_without_its_secrets() {
    let switch = Switch::start("calls-read", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut talk = Talk::start(&switch).await;
    let path = path_of(&mut http, "in_progress").await;
    let live = http.get(&path).await.data().clone();
    assert_eq!(
        (&live["direction"], live["legs"].as_array().map(Vec::len)),
        (&json!("outbound"), Some(2))
    );
    let seen = http.get(&format!("{path}/ladder?format=svg")).await;
    assert!(seen.text.contains(">180 Said<") && !seen.text.contains(">BYE<"), "{}", seen.text);
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    told(&mut http, "call.completed").await;
    let over = http.get(&path).await.data().clone();
    assert_eq!((&over["status"], &over["hangup_by"]), (&json!("completed"), &json!("caller")));
    assert!(is_quiet(&switch).await);
    let ladder = http.get(&format!("{path}/ladder")).await.data().clone();
    let messages = ladder["messages"].as_array().cloned().unwrap_or_default();
    let titles: Vec<&str> = messages.iter().filter_map(|m| m["title"].as_str()).collect();
    let count = |of: &str| {
        messages
            .iter()
            .filter(|m| m["cseq"].as_str().is_some_and(|cseq| cseq.ends_with(of)))
            .count()
    };
    // Each BYE with its answer.
    assert_eq!((titles.first(), count("BYE")), (Some(&"INVITE"), 4), "{titles:?}");
    let invite = messages[0]["text"].as_str().unwrap_or_default();
    assert!(
        invite.contains("Authorization: Digest") && invite.contains("response=\"****"),
        "{invite}"
    );
    let id = over["id"].as_str().unwrap_or_default();
    let list = switch.world.orbit(&with(&["calls", "list"], &switch)).await;
    assert!(list.out.contains(id) && list.out.contains("completed"), "{}", list.out);
    let drawn = switch.world.orbit(&with(&["calls", "ladder", id], &switch)).await;
    assert!(
        drawn.out.contains("alice") && drawn.out.contains("180 Said (INVITE)"),
        "{}",
        drawn.out
    );
    let picture = switch.world.orbit(&with(&["calls", "ladder", id, "--svg"], &switch)).await;
    assert!(picture.out.starts_with("<svg "), "{}", picture.out);
    let cdrs = switch.world.orbit(&with(&["cdrs", "--call", id], &switch)).await;
    assert_eq!(cdrs.out.lines().count(), 2, "{}", cdrs.out);
}

#[tokio::test]
async fn a_call_is_hung_up_by_the_api_in_progress_and_while_it_rings() {
    let switch = Switch::start("calls-hangup", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut ends = two(&switch).await;
    let Talk { mut alice, mut bob, .. } = Talk::between(ends).await;
    let path = format!("{}/hangup", path_of(&mut http, "in_progress").await);
    let nothing = json!({});
    let (done, ()) = tokio::join!(http.post(&path, &nothing), async {
        let bye = alice.incoming("BYE").await;
        alice.answer(&bye, 200, "").await;
        let bye = bob.incoming("BYE").await;
        bob.answer(&bye, 200, "").await;
    });
    let over = done.data();
    assert_eq!(
        (done.status, &over["status"], &over["hangup_by"]),
        (200, &json!("completed"), &json!("api"))
    );
    let again = http.post(&path, &json!({})).await;
    assert_eq!((again.status, &again.data()["ended_at"]), (200, &over["ended_at"]));
    assert!(is_quiet(&switch).await);
    ends = (alice, bob);
    let (dialog, invite) = rung(&mut ends.0, &mut ends.1).await;
    let path = path_of(&mut http, "ringing").await;
    let id = path.rsplit('/').next().unwrap_or_default();
    let words = ["calls", "hangup", id, "--key", &switch.org.key, "--json"];
    let (done, ()) = tokio::join!(switch.world.orbit(&words), async {
        let cancel = ends.1.incoming("CANCEL").await;
        ends.1.answer(&cancel, 200, "").await;
        ends.1.answer(&invite, 487, "").await;
        let said = ends.0.response(480).await;
        ends.0.acknowledge_refusal(&dialog, &said).await;
    });
    let over = done.json();
    let ladder = http.get(&format!("/api/v1/voice/calls/{id}/ladder?format=text")).await;
    assert!(ladder.text.contains("CANCEL (cause 16)"), "{}", ladder.text);
    assert_eq!((&over["status"], &over["end_reason"]), (&json!("failed"), &json!("canceled")));
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_side_is_silenced_and_digits_are_pressed() {
    let switch = Switch::start("calls-orders", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut talk = Talk::start(&switch).await;
    assert!(talk.is_heard_both_ways().await);
    let path = path_of(&mut http, "in_progress").await;
    let muted = http.post(&format!("{path}/mute"), &json!({})).await;
    assert_eq!((muted.status, &muted.data()["legs"][0]["muted"]), (200, &json!(true)));
    assert!(!talk.alice.speaks_to(talk.from_a, &talk.bob, 0x66).await, "alice is silenced");
    assert!(talk.bob.speaks_to(talk.from_b, &talk.alice, 0x77).await, "bob is not");
    let legs = http.get(&path).await.data()["legs"].clone();
    assert_eq!((&legs[0]["muted"], &legs[1]["muted"]), (&json!(true), &json!(false)));
    assert_eq!(http.post(&format!("{path}/unmute"), &json!({})).await.status, 200);
    assert!(talk.is_heard_both_ways().await);
    let pressed = http.post(&format!("{path}/dtmf"), &json!({"digits": "5"})).await;
    assert_eq!(pressed.status, 200);
    assert!(talk.bob.hears_digit(5).await);
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    let late = http.post(&format!("{path}/dtmf"), &json!({"digits": "5"})).await;
    assert_eq!(late.status, 409);
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_side_waits_by_the_api_and_is_taken_back() {
    let switch = Switch::start("calls-waits", &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut talk = Talk::start(&switch).await;
    assert!(talk.is_heard_both_ways().await);
    let path = path_of(&mut http, "in_progress").await;
    for (what, offered, answered) in
        [("hold", "a=sendonly", "recvonly"), ("unhold", "a=sendrecv", "sendrecv")]
    {
        let done = http.post(&format!("{path}/{what}"), &json!({})).await;
        assert_eq!(done.status, 200, "{}", done.text);
        let invite = talk.bob.incoming("INVITE").await;
        assert!(invite.body().contains(offered), "{}", invite.text);
        let sdp = talk.bob.sdp(2, answered);
        talk.bob.answer(&invite, 200, &sdp).await;
        talk.bob.incoming("ACK").await;
        let legs = done.data()["legs"].clone();
        assert_eq!(
            (&legs[0]["on_hold"], &legs[1]["on_hold"]),
            (&json!(false), &json!(what == "hold"))
        );
        if what == "hold" {
            assert!(!talk.alice.speaks_to(talk.from_a, &talk.bob, 0x66).await, "bob waits");
        }
    }
    assert!(talk.is_heard_both_ways().await, "{}", switch.world.last_words());
    talk.alice.bye(&mut talk.a).await;
    let bye = talk.bob.incoming("BYE").await;
    talk.bob.answer(&bye, 200, "").await;
    assert!(is_quiet(&switch).await);
}
