//! Two carriers and more: who takes a message, who takes it when the first does not, and never two.

use std::net::TcpListener;

use load_tests::peer::smsc::{Smsc, SmscOptions};
use serde_json::json;

use crate::carriers::{RATE, number, smsc};
use crate::http::Http;
use crate::world::{Org, World, wait_until};

const CREDIT_USD: &str = "10";
const CREDIT: i64 = 10_000_000;

/// An SMSC that answers every submit with this status; none: it takes all.
fn carrier(status: Option<u32>) -> Smsc {
    let plain = SmscOptions::default();
    smsc(match status {
        Some(error_status) => SmscOptions { error_percent: 100, error_status, ..plain },
        None => plain,
    })
}

/// A switch with these carriers, the first before the second, all of them bound.
async fn world(name: &str, carriers: &[&Smsc], more: &str) -> (World, Org, Http) {
    let mut world = World::new(name);
    world.set("routing.down_after_s", "1");
    for ((name, priority), smsc) in ["first", "second", "third"].iter().zip([9, 8, 7]).zip(carriers)
    {
        world.carrier(name, smsc.address, &format!("priority = {priority}\n{more}"));
    }
    let org = world.org(name, CREDIT_USD).await;
    world.serve().await;
    for smsc in carriers {
        assert!(wait_until(async || smsc.stats().binds == 1).await, "{}", world.last_words());
    }
    let http = world.http(&org.key);
    (world, org, http)
}

async fn settled(http: &mut Http) -> i64 {
    let mut balance = (0, 0);
    let settled = wait_until(async || {
        balance = http.balance().await;
        balance.1 == 0
    });
    assert!(settled.await, "something is held: {balance:?}");
    balance.0
}

#[tokio::test]
async fn what_the_first_refuses_is_delivered_by_the_second_once() {
    let (first, second) = (carrier(Some(0x08)), carrier(None));
    let (world, org, mut http) =
        world("refuses", &[&first, &second], "circuit = { min = 10, open_s = 600 }").await;
    let mut ids = Vec::new();
    for at in 0..30 {
        let id = http.text(&number(at), "hello").await;
        http.becomes(&id, "delivered").await;
        ids.push(id);
    }
    let told = http.message(&ids[0]).await;
    let moved = &told["route"]["failovers"];
    assert_eq!(moved.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(moved[0]["reason"], "refused");
    assert_eq!(moved[0]["carrier_error"], "0x00000008 ESME_RSYSERR");
    assert_eq!(told["route"]["reason"], "platform_carrier_default");
    assert_eq!(told["route"]["by"], "priority");
    // Ten errors open the circuit: later ones do not even begin there.
    let told = http.message(&ids[29]).await;
    assert_eq!(told["route"]["passed"], json!(["circuit_open"]), "{told}");
    assert_eq!(told["route"]["failovers"], json!([]));
    let (refused, taken) = (first.stats(), second.stats());
    assert!((10..30).contains(&refused.submits), "{refused:?}");
    assert_eq!((taken.submits, taken.duplicates), (30, 0), "{taken:?}");
    assert_eq!(settled(&mut http).await, CREDIT - 30 * RATE);
    let body = json!({"to": number(1), "from": "Orbit"});
    let tried = http.post("/api/v1/messaging/routing/simulate", &body).await;
    assert_eq!(tried.data()["carrier"], "second", "{}", tried.text);
    assert_eq!(tried.data()["candidates"][0]["state"], "circuit_open");
    let command = ["route", "simulate", "--organization", &org.id, "--to", &number(1), "--json"];
    let said = world.orbit(&command).await.json();
    assert_eq!(
        (&said["carrier"], &said["mccmnc_source"]),
        (&json!("second"), &json!("numbering_plan"))
    );
}

#[tokio::test]
async fn what_waits_for_a_carrier_that_never_binds_goes_by_the_next() {
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let second = carrier(None);
    let mut world = World::new("deaf");
    world.set("routing.down_after_s", "1");
    world.carrier("first", deaf.local_addr().expect("it listens"), "priority = 9");
    // Not reachable at first either: what is sent now waits for the better one.
    world.carrier("second", second.address, "priority = 8\nenabled = false");
    let org = world.org("deaf", CREDIT_USD).await;
    world.start().await;
    let mut http = world.http(&org.key);
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(http.text(&number(at), "hello").await);
    }
    for id in &ids {
        http.becomes(id, "queued").await;
    }
    world.terminate().await;
    world.replace_in_carriers("enabled = false", "enabled = true");
    world.start().await;
    let mut http = world.http(&org.key);
    for id in &ids {
        let told = http.becomes(id, "delivered").await;
        assert_eq!(told["route"]["failovers"][0]["reason"], "carrier_down", "{told}");
    }
    let taken = second.stats();
    assert_eq!((taken.submits, taken.duplicates), (20, 0), "{taken:?}");
    assert_eq!(settled(&mut http).await, CREDIT - 20 * RATE);
}

#[tokio::test]
async fn when_three_fail_the_message_fails_and_costs_nothing() {
    let refusing = [carrier(Some(0x08)), carrier(Some(0x45)), carrier(Some(0x08))];
    let (_world, _, mut http) =
        world("three", &refusing.each_ref(), "circuit = { min = 1000 }").await;
    let id = http.text(&number(1), "hello").await;
    let told = http.becomes(&id, "failed").await;
    assert_eq!(told["error_code"], "NETWORK_ERROR", "{told}");
    assert_eq!(told["route"]["failovers"].as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(refusing[0].stats().submits, 1);
    assert_eq!(refusing[1].stats().submits, 1);
    assert_eq!(settled(&mut http).await, CREDIT);
}

#[tokio::test]
async fn an_organizations_rules_hold_at_once_and_after_a_restart() {
    let (first, second) = (carrier(None), carrier(None));
    let (mut world, org, mut http) = world("rules", &[&first, &second], "").await;
    let rules = json!({"rules": [{"categories": ["otp"], "carriers": ["second"]}]});
    let reply = http.put("/api/v1/messaging/routing", &rules).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let otp = |to: String| json!({"to": to, "from": "Orbit", "body": "1234", "category": "otp"});
    let id = http.send(&otp(number(1))).await;
    let told = http.becomes(&id, "delivered").await;
    assert_eq!(told["route"]["reason"], "organization_rule", "{told}");
    let id = http.text(&number(2), "hello").await;
    http.becomes(&id, "delivered").await;
    assert_eq!((first.stats().submits, second.stats().submits), (1, 1));
    world.terminate().await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let id = http.send(&otp(number(3))).await;
    http.becomes(&id, "delivered").await;
    assert_eq!((first.stats().submits, second.stats().submits), (1, 2));
}

#[tokio::test]
async fn a_kill_in_the_middle_of_failovers_loses_and_charges_nothing_twice() {
    let first = carrier(Some(0x08));
    let second = smsc(SmscOptions { answer_delay_ms: 50, ..SmscOptions::default() });
    let more = "window_size = 10\ncircuit = { min = 100000 }";
    let (mut world, org, mut http) = world("killed", &[&first, &second], more).await;
    let mut ids = Vec::new();
    for at in 0..80 {
        ids.push(http.text(&number(at), "hello").await);
    }
    let busy = wait_until(async || second.stats().submits >= 10).await;
    assert!(busy, "{:?}", second.stats());
    world.kill();
    let known = world.log().len();
    world.serve().await;
    let mut http = world.http(&org.key);
    let (mut delivered, mut failed) = (0, 0);
    for id in &ids {
        let mut last = String::new();
        let ended = wait_until(async || {
            last = http.message(id).await["status"].as_str().unwrap_or_default().to_owned();
            matches!(last.as_str(), "delivered" | "failed")
        });
        assert!(ended.await, "{id} is {last}\n{}", world.last_words());
        if last == "delivered" {
            delivered += 1;
            continue;
        }
        // With the first when the kill came: it may have been taken, so nobody else gets it.
        failed += 1;
        let told = http.message(id).await;
        assert_eq!(told["route"]["failovers"], json!([]), "{told}");
    }
    let log = world.log();
    let doubts = log[known..].lines().filter(|line| line.contains("carrier=first count="));
    let doubts = doubts.filter_map(|line| line.rsplit_once('=')?.1.trim().parse::<usize>().ok());
    let doubts: usize = doubts.sum();
    assert!(failed <= doubts, "{failed} failed, {doubts} were in doubt\n{}", world.last_words());
    let taken = second.stats();
    assert!(taken.duplicates <= 20, "{taken:?}");
    assert_eq!(taken.submits - taken.duplicates, delivered, "{taken:?}");
    let delivered = i64::try_from(delivered).expect("a few");
    assert_eq!(settled(&mut http).await, CREDIT - delivered * RATE);
}
