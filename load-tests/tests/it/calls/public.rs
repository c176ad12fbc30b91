//! Calls that leave for the public network, and what they cost.

use serde_json::json;

use super::ua::Ua;
use super::{is_quiet, told};
use crate::phones::{Credential, Switch};
use crate::world::wait_until;

/// What a minute to +1 costs by the table in the program, and what is put aside at first.
pub(super) const MINUTE: i64 = 9_000;
pub(super) const CREDIT: i64 = 1_000_000;

/// A switch with these carriers, by port, the first one tried first.
pub(super) async fn with_carriers(name: &str, carriers: &[&Ua], set: &[(&str, &str)]) -> Switch {
    let trunk = |(at, carrier): (usize, &&Ua)| {
        let port = carrier.local().port();
        format!(
            "{{name=\"c{at}\", host=\"127.0.0.1\", port={port}, priority={}, inbound=[\"127.0.0.1\"]}}",
            9 - at
        )
    };
    let trunks: Vec<String> = carriers.iter().enumerate().map(trunk).collect();
    let trunks = format!("[{}]", trunks.join(", "));
    let mut all = vec![("egress.trunks", trunks.as_str()), ("voice.trust_caller_ids", "true")];
    all.extend_from_slice(set);
    Switch::start(name, &all).await
}

/// A carrier: a telephone that is asked for nothing.
pub(super) async fn carrier() -> Ua {
    let credential = Credential {
        user: "carrier".into(),
        password: String::new(),
        realm: "carrier.example".into(),
    };
    Ua::unbound(&credential).await
}

/// A telephone that may call from a number.
pub(super) async fn caller(switch: &Switch) -> Ua {
    let mut http = switch.world.http(&switch.org.key);
    let body = json!({"label": "caller", "allowed_outbound": true, "caller_id": "+14155550100"});
    let made = http.post("/api/v1/sip-credentials", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let text = |name: &str| made.json["data"][name].as_str().unwrap_or_default().to_owned();
    let credential = Credential {
        user: text("sip_username"),
        password: text("sip_password"),
        realm: text("sip_server"),
    };
    Ua::registered(switch.sip, &credential).await
}

#[tokio::test]
async fn a_call_to_the_public_network_is_paid_by_what_was_put_aside() {
    let mut carrier = carrier().await;
    let switch = with_carriers("calls-public", &[&carrier], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let sdp = alice.sdp(1, "sendrecv");
    let mut dialog = alice.invite("+14155559999", &sdp).await;
    let invite = carrier.incoming("INVITE").await;
    assert!(invite.text.starts_with("INVITE sip:+14155559999@127.0.0.1"), "{}", invite.text);
    let asserted = invite.header("P-Asserted-Identity");
    assert!(asserted.contains("+14155550100"), "{}", invite.text);
    assert_eq!(http.balance().await, (CREDIT - 2 * MINUTE, 2 * MINUTE), "two minutes are held");
    carrier.answer(&invite, 183, &carrier.sdp(1, "sendrecv")).await;
    let early = alice.response(183).await;
    assert!(carrier.speaks_to(invite.sound_at(), &alice, 0x66).await, "ringing is heard");
    carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
    let ok = alice.response(200).await;
    alice.confirm(&mut dialog, &ok, "").await;
    carrier.incoming("ACK").await;
    assert!(alice.speaks_to(early.sound_at(), &carrier, 0x77).await);
    alice.bye(&mut dialog).await;
    let bye = carrier.incoming("BYE").await;
    carrier.answer(&bye, 200, "").await;
    let ended = told(&mut http, "call.completed").await;
    assert_eq!((&ended["billable_seconds"], &ended["end_reason"]), (&json!(60), &json!("normal")));
    assert_eq!(http.balance().await, (CREDIT - MINUTE, 0), "{ended}");
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn a_carrier_that_cannot_gives_way_and_a_call_that_fails_costs_nothing() {
    let (mut first, mut second) = (carrier().await, carrier().await);
    let switch = with_carriers("calls-failover", &[&first, &second], &[]).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let sdp = alice.sdp(1, "sendrecv");
    let dialog = alice.invite("+14155559999", &sdp).await;
    let invite = first.incoming("INVITE").await;
    first.answer(&invite, 503, "").await;
    first.incoming("ACK").await;
    let invite = second.incoming("INVITE").await;
    second.answer(&invite, 486, "").await;
    second.incoming("ACK").await;
    let said = alice.response(486).await;
    alice.acknowledge_refusal(&dialog, &said).await;
    assert_eq!(told(&mut http, "call.failed").await["end_reason"], "busy");
    assert_eq!(http.balance().await, (CREDIT, 0));
    assert!(is_quiet(&switch).await);
}

#[tokio::test]
async fn calls_that_are_up_when_the_process_dies_end_where_they_were_seen() {
    let mut carrier = carrier().await;
    let set = [("voice.checkpoint_s", "1")];
    let mut switch = with_carriers("calls-killed", &[&carrier], &set).await;
    let mut http = switch.world.http(&switch.org.key);
    let mut alice = caller(&switch).await;
    let sdp = alice.sdp(1, "sendrecv");
    let mut dialog = alice.invite("+14155559999", &sdp).await;
    let invite = carrier.incoming("INVITE").await;
    carrier.answer(&invite, 200, &carrier.sdp(1, "sendrecv")).await;
    let ok = alice.response(200).await;
    alice.confirm(&mut dialog, &ok, "").await;
    carrier.incoming("ACK").await;
    told(&mut http, "call.answered").await;
    switch.world.kill();
    switch.world.serve().await;
    let mut http = switch.world.http(&switch.org.key);
    let ended = told(&mut http, "call.completed").await;
    assert_eq!(ended["end_reason"], "node_lost", "{ended}");
    let settled = wait_until(async || http.balance().await == (CREDIT - MINUTE, 0)).await;
    assert!(settled, "{:?} {ended}", http.balance().await);
}
