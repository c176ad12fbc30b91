//! Messages from handsets: found again by who wrote first, stored once, stored before the answer.

use load_tests::peer::smsc::SmscOptions;
use load_tests::peer::smsc::wire::{self, DELIVER_SM};
use serde_json::json;

use crate::carriers::smsc;
use crate::http::Http;
use crate::scripted::{Polite, Scripted, inbound};
use crate::world::{World, wait_until};

const OURS: &str = "14155550100";
const ANSWER: u32 = DELIVER_SM | wire::RESPONSE;

#[tokio::test]
async fn a_text_to_a_masking_number_goes_on_to_the_other_party_and_is_paid() {
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let mut world = World::new("inbound-masked");
    world.carrier("main", carrier.address, "");
    let org = world.org("Rides", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let number = format!("+{OURS}");
    let added = world.orbit(&["number", "add", "--monthly-usd", "0", &number]).await;
    assert_eq!(added.code, Some(0), "{}{}", added.out, added.err);
    let bought = http.post("/api/v1/numbers/purchase", &json!({"phone_number": number})).await;
    let id = bought.json["data"]["id"].as_str().expect("an id").to_owned();
    let routing = json!({"type": "proxy"});
    let put = http.put(&format!("/api/v1/numbers/{id}/routing"), &routing).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let session = json!({"party_a": "+14155550111", "party_b": "+14155550122"});
    let opened = http.post("/api/v1/proxy/sessions", &session).await;
    assert_eq!(opened.status, 201, "{}", opened.text);

    let mut answers = carrier.seen(ANSWER).len();
    for (sequence, from, body) in [
        (600, "14155550111", b"I am at the door".as_slice()),
        (601, "14155550122", b"Coming down"),
        (602, "14155550999", b"Who lives here?"),
        (603, "14155550122", b"STOP"),
    ] {
        let mut out = Vec::new();
        inbound(&mut out, sequence, from, OURS, body);
        carrier.inject(&out);
        answers += 1;
        let acks = carrier.sees(ANSWER, answers).await;
        assert!(acks.iter().all(|ack| ack.header.status == 0), "{acks:?}");
    }
    let sent = async |http: &mut Http| {
        let mut all = http.all("/api/v1/messages").await;
        all.retain(|message| message["direction"] == "outbound");
        all
    };
    // The two, and the answer to STOP.
    let there = wait_until(async || {
        let sent = sent(&mut http).await;
        sent.len() == 3 && sent.iter().all(|message| message["status"] == "delivered")
    });
    assert!(there.await, "{:?}", sent(&mut http).await);
    let sent = sent(&mut http).await;
    let of = |to: &str, body: &str| {
        sent.iter().find(|message| message["to"] == to && message["body"] == body)
    };
    for (to, body) in [("+14155550122", "I am at the door"), ("+14155550111", "Coming down")] {
        let message = of(to, body).unwrap_or_else(|| panic!("{to}: {sent:?}"));
        assert_eq!(message["from"], number, "{message}");
        assert!(message["price"]["amount"].as_str().is_some_and(|price| price != "0"), "{message}");
    }
    let path =
        format!("/api/v1/proxy/sessions/{}", opened.json["data"]["id"].as_str().expect("an id"));
    assert_eq!(http.get(&path).await.data()["interactions_count"], 2);
    assert_eq!(http.count("direction=inbound").await, 4, "a stranger's is kept, and goes nowhere");
    // Who has opted out hears nothing more by it.
    let mut out = Vec::new();
    inbound(&mut out, 604, "14155550111", OURS, b"Still there?");
    carrier.inject(&out);
    carrier.sees(ANSWER, answers + 1).await;
    let left_out = async || world.metric("orbit_masked_texts_total", "left_out").await == 1.0;
    assert!(wait_until(left_out).await, "{}", world.last_words());
}

#[tokio::test]
async fn an_answer_goes_to_whom_the_handset_knows_and_comes_once() {
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let mut world = World::new("inbound");
    world.carrier("main", carrier.address, "");
    let org = world.org("Asker", "10").await;
    let other = world.org("Other", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let question = json!({"to": "+14155550123", "from": format!("+{OURS}"), "body": "Well?"});
    let id = http.send(&question).await;
    http.becomes(&id, "delivered").await;

    let answers = carrier.seen(ANSWER).len();
    let mut out = Vec::new();
    inbound(&mut out, 500, "14155550123", OURS, b"Yes, gladly");
    carrier.inject(&out);
    carrier.sees(ANSWER, answers + 1).await;
    // A carrier that lost the answer with its connection says it again by the next.
    carrier.hang_up();
    carrier.sees(wire::BIND_TRANSCEIVER, 2).await;
    world.bound("main", 1).await;
    carrier.inject(&out);
    let acks = carrier.sees(ANSWER, answers + 2).await;
    assert!(acks.iter().all(|ack| ack.header.status == 0), "{acks:?}");
    let listed = http.get("/api/v1/messages?direction=inbound").await;
    let rows = listed.data().as_array().expect("a list");
    assert_eq!(rows.len(), 1, "acknowledged, so stored, and once: {}", listed.text);
    let row = &rows[0];
    assert_eq!((&row["status"], &row["direction"]), (&json!("received"), &json!("inbound")));
    assert_eq!(row["body"], "Yes, gladly");
    let digits =
        |name: &str| row[name].as_str().map(|text| text.trim_start_matches('+').to_owned());
    assert_eq!(
        (digits("from").as_deref(), digits("to").as_deref()),
        (Some("14155550123"), Some(OURS))
    );
    let mut others = world.http(&other.key);
    assert_eq!(others.count("direction=inbound").await, 0);
    assert_eq!(http.balance().await.1, 0);

    let mut again = Vec::new();
    inbound(&mut again, 501, "14155550123", OURS, b"And I mean it");
    carrier.inject(&again.repeat(2));
    carrier.sees(ANSWER, answers + 4).await;
    let all = http.count("direction=inbound").await;
    assert_eq!(all, 3, "the same words by the same connection are said twice");

    let mut out = Vec::new();
    inbound(&mut out, 502, "14155550999", OURS, b"Who are you?");
    carrier.inject(&out);
    let acks = carrier.sees(ANSWER, answers + 5).await;
    assert_eq!(acks.last().map(|ack| ack.header.status), Some(0));
    assert_eq!(http.count("direction=inbound").await, 3, "a stranger's is nobody's");
    let aside = world.orbit(&["quarantine", "--json"]).await.json();
    assert_eq!(aside[0]["reason"], "inbound_without_owner", "{aside}");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash_and_a_repeat() {
    const COUNT: u32 = 200;
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let mut world = World::new("inbound-crash");
    let org = world.org("Owner", "10").await;
    world.carrier("main", carrier.address, &format!("organization = \"{}\"", org.id));
    world.serve().await;
    world.bound("main", 1).await;
    let all = |out: &mut Vec<u8>| {
        for at in 0..COUNT {
            let from = format!("1415{:07}", 5_550_000 + at);
            inbound(out, 1000 + at, &from, OURS, format!("mo{at}").as_bytes());
        }
    };
    let mut out = Vec::new();
    all(&mut out);
    carrier.inject(&out);
    let acked = carrier.sees(ANSWER, 1).await;
    world.kill();
    let acked: Vec<u32> =
        acked.iter().chain(&carrier.seen(ANSWER)).map(|ack| ack.header.sequence - 1000).collect();
    world.serve().await;
    let mut http = world.http(&org.key);
    let bodies = async |http: &mut crate::http::Http| {
        let rows = http.all("/api/v1/messages").await;
        rows.iter().map(|row| row["body"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let stored: Vec<String> = bodies(&mut http).await;
    for at in &acked {
        assert!(stored.contains(&format!("mo{at}")), "mo{at} was acknowledged and is not there");
    }
    world.bound("main", 1).await;
    let before = carrier.seen(ANSWER).len();
    carrier.inject(&out);
    carrier.sees(ANSWER, before + COUNT as usize).await;
    let mut stored: Vec<String> = bodies(&mut http).await;
    assert_eq!(stored.len(), COUNT as usize);
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), COUNT as usize, "each is there once");
}

#[tokio::test]
async fn the_independent_smsc_gets_each_of_its_messages_acknowledged() {
    let carrier = smsc(SmscOptions { mo_rate: 50, mo_to: OURS.into(), ..SmscOptions::default() });
    let mut world = World::new("inbound-rate");
    let org = world.org("Owner", "10").await;
    world.carrier("main", carrier.address, &format!("organization = \"{}\"", org.id));
    world.serve().await;
    let enough = wait_until(async || carrier.stats().mo_acked >= 50).await;
    let stats = carrier.stats();
    assert!(enough && stats.deliveries_refused == 0, "{stats:?}");
    drop(carrier);
    let stored = world.http(&org.key).all("/api/v1/messages").await;
    assert!(stored.len() as u64 >= stats.mo_acked, "{} of {}", stored.len(), stats.mo_acked);
}
