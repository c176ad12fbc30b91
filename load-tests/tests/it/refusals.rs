//! What a customer's `submit_sm` is refused with: every status that docs/smpp.md lists for it, by
//! the real program; and what a part that came so may not become by REST.

use load_tests::peer::smsc::wire::{self, BIND_RECEIVER, BIND_TRANSCEIVER, SUBMIT_SM};
use serde_json::{Value, json};

use crate::esme::{Esme, Submit};
use crate::http::Http;
use crate::scripted::{self, Next, Polite, Scripted, answer};
use crate::world::{Org, World, wait_until};

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const USER_MESSAGE_REFERENCE: u16 = 0x0204;
const UDHI: u8 = 0x40;
const INVALID_ADDRESS: u32 = 0x0B;

/// Polite, but for texts that end with "refuse me".
fn picky() -> Scripted {
    let mut polite = Polite::default();
    Scripted::start(move |pdu, out| {
        let is_submit = pdu.header.command == SUBMIT_SM;
        if is_submit && scripted::Submit::parse(&pdu.body).text().ends_with("refuse me") {
            answer(out, &pdu.header, INVALID_ADDRESS, b"");
            return Next::Go;
        }
        polite.does(pdu, out)
    })
}

/// A switch with a carrier that serves +1, and a client of the organization.
async fn world(name: &str, carrier: &Scripted, settings: &[(&str, &str)]) -> (World, Org, Http) {
    let mut world = World::new(name);
    world.set("smpp.bind", "\"127.0.0.1:0\"");
    for (key, value) in settings {
        world.set(key, value);
    }
    world.carrier("main", carrier.address, "prefixes = [\"1\"]");
    let org = world.org(name, "10").await;
    world.serve().await;
    world.bound("main", 1).await;
    let http = world.http(&org.key);
    (world, org, http)
}

/// Makes what must be taken.
async fn made(http: &mut Http, path: &str, body: &Value) -> Value {
    let reply = http.post(path, body).await;
    assert!(matches!(reply.status, 200..=202), "{path}: {}", reply.text);
    reply.data().clone()
}

async fn account(http: &mut Http, account: &Value) -> String {
    let account = made(http, ACCOUNTS, account).await;
    account["password"].as_str().expect("a password").to_owned()
}

fn to(digits: &str) -> Submit<'_> {
    Submit { destination: (1, digits), ..Submit::default() }
}

#[tokio::test]
async fn what_is_wrong_with_a_submit_is_told_by_its_status() {
    let carrier = picky();
    let days = [("schedules.ahead_max_days", "2")];
    let (world, _org, mut http) = world("statuses", &carrier, &days).await;
    let body =
        json!({"system_id": "acme", "allowed_senders": ["Orbit"], "once_by_reference": true});
    let password = account(&mut http, &body).await;
    let mut esme = Esme::bound(world.door(), "acme", &password).await;
    let long = [b'x'; 255];
    let part = [&[5, 0, 3, 1, 2, 1][..], &long[6..]].concat();
    let reference: &[(u16, &[u8])] = &[(USER_MESSAGE_REFERENCE, &[0, 7])];
    let many = vec![7; 1_100];
    let optional: &[(u16, &[u8])] = &[(0x1401, &many)];
    let usual = Submit::default;
    let cases: Vec<(u32, Submit<'_>)> = vec![
        (0x00, Submit { tlvs: reference, ..usual() }),
        (0x01, Submit { data_coding: 4, text: &long, ..usual() }),
        (0x01, Submit { esm_class: UDHI, text: &part, ..usual() }),
        (0x0A, Submit { source: (5, "Other"), ..usual() }),
        (0x0A, Submit { source: (0, ""), ..usual() }),
        (0x0B, to("12")),
        (0x0B, to("one")),
        (0x0C, Submit { tlvs: reference, text: b"other words", ..usual() }),
        (0x15, Submit { service_type: "SIXSIX", ..usual() }),
        (0x42, Submit { replace: 1, ..usual() }),
        (0x43, Submit { esm_class: UDHI, text: &[9, 0, 3, 1], ..usual() }),
        (0x45, Submit { text: b"", ..usual() }),
        (0x50, Submit { destination: (2, "14155550123"), ..usual() }),
        (0x61, Submit { schedule: "tomorrow", ..usual() }),
        (0x61, Submit { schedule: "000003000000000R", ..usual() }),
        (0x62, Submit { validity: "later", ..usual() }),
        (0x62, Submit { schedule: "000001000000000R", validity: "000000010000000R", ..usual() }),
        (0x63, Submit { default_id: 1, ..usual() }),
        (0xC0, Submit { tlvs: optional, ..usual() }),
        (0x00, Submit { schedule: "000001000000000R", ..usual() }),
    ];
    for (sequence, (status, submit)) in (2..).zip(&cases) {
        let (told, id) = esme.submits(sequence, submit).await;
        assert_eq!((told, id.is_empty()), (*status, *status != 0), "case {sequence}");
    }
    assert_eq!(http.count("direction=outbound").await, 2, "what was refused is not stored");

    let mut other = Esme::connect(world.door()).await;
    assert_eq!(other.submits(7, &usual()).await.0, wire::WRONG_BIND_STATE);
    let mut other = Esme::connect(world.door()).await;
    assert_eq!(other.binds(BIND_RECEIVER, "acme", &password).await, wire::OK);
    assert_eq!(other.submits(7, &usual()).await.0, wire::WRONG_BIND_STATE);
}

#[tokio::test]
async fn what_a_gate_refuses_is_told_by_its_status_and_costs_nothing() {
    let carrier = picky();
    let blocked = [("protection.blocked_prefixes", "[\"1416\"]")];
    let (mut world, _org, mut http) = world("gates", &carrier, &blocked).await;
    let password = account(&mut http, &json!({"system_id": "acme"})).await;
    let phone = |last: &str| format!("+1415555{last}");
    let listed = json!({"address": phone("0102")});
    made(&mut http, "/api/v1/compliance/suppression-list", &listed).await;
    let cap = json!({"name": "one", "category": "transactional", "limit": 1,
        "window_seconds": 3_600});
    made(&mut http, "/api/v1/frequency-caps", &cap).await;
    let policies = json!({"dnc": {"enabled": true}});
    assert_eq!(http.put("/api/v1/compliance/policies", &policies).await.status, 200);
    let entry = json!({"phone": phone("0106"), "reason": "asked"});
    made(&mut http, "/api/v1/compliance/dnc", &entry).await;
    let rule = json!({"name": "no gambling", "text_contains": ["casino"], "block": "no"});
    made(&mut http, "/api/v1/messaging/interceptors", &rule).await;

    let mut esme = Esme::bound(world.door(), "acme", &password).await;
    let balance = http.balance().await;
    let gambling = Submit { text: b"Casino!", ..to("14155550108") };
    for (sequence, (status, submit)) in (2..).zip([
        (0x401, to("447700900123")),
        (0x402, to("14155550102")),
        (0x404, to("14165550104")),
        (0x406, to("14155550106")),
        (0x408, gambling),
    ]) {
        assert_eq!(esme.submits(sequence, &submit).await, (status, String::new()), "{status:#x}");
    }
    assert_eq!(http.balance().await, balance);
    assert_eq!(http.count("direction=outbound").await, 0);
    assert_eq!(esme.submits(20, &to("14155550103")).await.0, wire::OK);
    assert_eq!(esme.submits(21, &to("14155550103")).await.0, 0x403);

    // Two messages of the day's money, one of the wallet's, one of the second.
    let spend = json!({"daily_spend_micros": 16_000});
    assert_eq!(http.put("/api/v1/compliance/protection", &spend).await.status, 200);
    assert_eq!(esme.submits(22, &to("14155550110")).await.0, wire::OK);
    assert_eq!(esme.submits(23, &to("14155550111")).await.0, wire::OK);
    assert_eq!(esme.submits(24, &to("14155550112")).await.0, 0x405);
    let poor = world.org("Poor", "0.008").await;
    let mut poors = world.http(&poor.key);
    let password = account(&mut poors, &json!({"system_id": "poor"})).await;
    let mut esme = Esme::bound(world.door(), "poor", &password).await;
    assert_eq!(esme.submits(2, &to("14155550113")).await.0, wire::OK);
    assert_eq!(esme.submits(3, &to("14155550114")).await.0, 0x400);
    let password = account(&mut poors, &json!({"system_id": "slow", "tps": 1})).await;
    let mut esme = Esme::bound(world.door(), "slow", &password).await;
    assert_eq!(esme.submits(2, &to("12")).await.0, INVALID_ADDRESS);
    assert_eq!(esme.submits(3, &to("12")).await.0, wire::THROTTLED);

    let off = made(&mut poors, ACCOUNTS, &json!({"system_id": "off", "status": "disabled"})).await;
    let mut esme = Esme::connect(world.door()).await;
    let password = off["password"].as_str().expect("a password");
    assert_eq!(esme.binds(BIND_TRANSCEIVER, "off", password).await, 0x407);

    // A switch without room for what it would have to keep.
    assert_eq!(world.terminate().await, Some(0));
    world.set("data.low_disk_bytes", "4611686018427387904");
    world.start().await;
    let password = account(&mut world.http(&poor.key), &json!({"system_id": "full"})).await;
    let mut esme = Esme::bound(world.door(), "full", &password).await;
    let mut status = 0;
    let full = wait_until(async || {
        status = esme.submits(2, &to("14155550115")).await.0;
        status == 0x14
    });
    assert!(full.await, "{status:#x}");
}

#[tokio::test]
async fn a_part_that_came_by_smpp_is_repeated_by_smpp_alone() {
    let carrier = picky();
    let (world, _org, mut http) = world("parts-again", &carrier, &[]).await;
    let password = account(&mut http, &json!({"system_id": "acme"})).await;
    let mut esme = Esme::bound(world.door(), "acme", &password).await;
    let text = [&[5, 0, 3, 9, 2, 1][..], b"refuse me"].concat();
    let part = Submit { esm_class: UDHI, text: &text, ..Submit::default() };
    assert_eq!(esme.submits(2, &part).await.0, wire::OK);
    let whole = Submit { text: b"whole: refuse me", ..Submit::default() };
    assert_eq!(esme.submits(3, &whole).await.0, wire::OK);
    let ended = wait_until(async || http.count("status=rejected").await == 2).await;
    let listed = http.get("/api/v1/messages").await;
    assert!(ended, "{}", listed.text);
    for (at, status) in [(0, 202), (1, 409)] {
        let id = listed.data()[at]["id"].as_str().expect("an id").to_owned();
        let reply = http.post(&format!("/api/v1/messages/{id}/retry"), &json!({})).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        if status == 409 {
            assert_eq!(reply.code(), "MESSAGE_NOT_RETRYABLE");
            assert_eq!(reply.json["error"]["details"]["status"], "rejected", "{}", reply.text);
        }
    }
}
