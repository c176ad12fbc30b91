//! Carriers that refuse, count, answer, bind and leave in their own way.

use load_tests::peer::smsc::wire::ALERT_NOTIFICATION;
use load_tests::peer::smsc::{Smsc, SmscOptions};
use serde_json::{Value, json};

use super::{Case, Ward, case};
use crate::carriers::RATE;
use crate::esme::Esme;
use crate::world::{World, wait_until};

fn two_binds(quirks: &'static str) -> Case {
    Case { quirks, more: "connections = 2", options: SmscOptions::default() }
}

#[tokio::test]
async fn whatever_a_busy_carrier_says_its_messages_are_delivered_later_and_paid_once() {
    let quirks = [
        "throttle=0x58",
        "throttle=0x14",
        "throttle=0x45",
        "throttle=0x08",
        "throttle=mixed",
        "throttle=silence",
        "nack=to-submit",
    ];
    let mut cases: Vec<Case> = quirks.map(case).into();
    cases.push(case("vendor-status=0x4A1"));
    let mut ward = Ward::start("quirk-busy", cases, &[]).await;
    let mut sent = Vec::new();
    for quirk in quirks {
        sent.push((quirk, ward.send(quirk, 4, "Not now").await));
    }
    let refused = ward.send("vendor-status=0x4A1", 2, "Never").await;
    for (quirk, ids) in sent {
        for id in ids {
            ward.becomes(quirk, &id, "delivered").await;
            let kind =
                if quirk.ends_with("silence") { "message.in_doubt" } else { "message.retried" };
            assert!(ward.told(&id, kind).await >= 1, "{quirk}");
        }
    }
    for id in refused {
        let message = ward.becomes("vendor-status=0x4A1", &id, "rejected").await;
        let said = message["carrier_error"].as_str().unwrap_or_default();
        assert!(said.contains("0x000004A1"), "{message}");
        assert_eq!(message["error_code"], "UNKNOWN_CARRIER_ERROR", "{message}");
    }
    ward.all_binds_live().await;
    ward.paid(quirks.len() * 4).await;
}

#[tokio::test]
async fn habits_of_a_link_cost_no_bind_and_no_message() {
    let quirks = [
        "nack=sequence-0",
        "answers=unknown",
        "answers=repeated",
        "sequence=wrapping",
        "sequence=zero",
        "names=empty",
        "names=long",
        "names=no-body",
        "version=none",
        "version=0x00",
        "version=0x33",
        "version=0x50",
        "enquire-link=own",
        "enquire-link=before-bind",
    ];
    let mut ward = Ward::start("quirk-links", quirks.map(case).into(), &[]).await;
    ward.all_deliver(3).await;
    // The carrier that asks each second has been answered by then, or it would be alone.
    let asked = wait_until(async || ward.stats("enquire-link=own").enquiries_answered >= 2);
    assert!(asked.await, "{:?}", ward.stats("enquire-link=own"));
    ward.all_deliver(3).await;
    ward.all_binds_live().await;
    ward.paid(quirks.len() * 6).await;
    assert_eq!(ward.orphans().await, Vec::<Value>::new());
}

#[tokio::test]
async fn lost_and_limited_binds_come_back_and_every_message_goes_once() {
    let mut cases: Vec<Case> = [
        "bound-already=1",
        "nack=to-bind",
        "goodbye=fin",
        "goodbye=rst",
        "session-limit=messages:10",
        "enquire-link=unanswered",
    ]
    .map(case)
    .into();
    cases.extend(["session-limit=binds:1", "session-limit=address"].map(two_binds));
    let patients = cases.len();
    let set = [("smpp.enquire_link_s", "1")];
    let mut ward = Ward::start("quirk-lost", cases, &set).await;
    ward.all_deliver(25).await;
    ward.paid(patients * 25).await;
    for (quirks, least) in
        [("bound-already=1", 2), ("nack=to-bind", 1), ("session-limit=binds:1", 1)]
    {
        let refused = wait_until(async || ward.stats(quirks).binds_refused >= least);
        assert!(refused.await, "{quirks}: {:?}", ward.stats(quirks));
    }
    for quirks in ["goodbye=fin", "goodbye=rst", "session-limit=messages:10", "bound-already=1"] {
        let came_back = wait_until(async || {
            let stats = ward.stats(quirks);
            stats.drops >= 2 && stats.binds >= 3
        });
        assert!(came_back.await, "{quirks}: {:?}", ward.stats(quirks));
    }
    let turned = wait_until(async || ward.stats("session-limit=address").turned_away >= 1);
    assert!(turned.await, "{:?}", ward.stats("session-limit=address"));
    let again = wait_until(async || ward.stats("enquire-link=unanswered").binds >= 2);
    assert!(again.await, "{:?}", ward.stats("enquire-link=unanswered"));
}

#[tokio::test]
async fn a_carrier_that_reads_slowly_or_never_says_goodbye_holds_nobody_up() {
    let cases = vec![case("slow-reader=4"), case("goodbye=no-answer"), case("id-zeros")];
    let mut ward = Ward::start("quirk-slow", cases, &[]).await;
    let slow = ward.send("slow-reader=4", 6, "Are you there?").await;
    let quick = ward.send("id-zeros", 6, "I am").await;
    for id in &quick {
        ward.becomes("id-zeros", id, "delivered").await;
    }
    for id in &slow {
        ward.becomes("slow-reader=4", id, "delivered").await;
        assert_eq!(ward.told(id, "message.delivered").await, 1);
    }
    let id = ward.send("goodbye=no-answer", 1, "Farewell").await.remove(0);
    ward.becomes("goodbye=no-answer", &id, "delivered").await;
    ward.paid(13).await;
    let code = ward.world.terminate().await;
    assert_eq!(code, Some(0), "{}", ward.world.last_words());
    assert_eq!(ward.stats("goodbye=no-answer").unbinds, 1);
}

#[tokio::test]
async fn alerts_of_every_kind_reach_the_customers_system_and_cost_no_bind() {
    let quirks = [
        "alerts=available",
        "alerts=denied",
        "alerts=unavailable",
        "alerts=bare",
        "alerts=cut",
        "alerts=50",
    ];
    let set = [("smpp.bind", "\"127.0.0.1:0\""), ("smpp.alerts_per_second", "10")];
    let mut ward = Ward::start("quirk-alerts", quirks.map(case).into(), &set).await;
    let account = json!({"system_id": "odd", "password": "secretly"});
    assert_eq!(ward.http.post("/api/v1/smpp/accounts", &account).await.status, 201);
    let mut esme = Esme::bound(ward.world.door(), "odd", "secretly").await;
    for (quirk, tail) in [
        ("alerts=available", &b"\x04\x22\0\x01\0"[..]),
        ("alerts=denied", b"\x04\x22\0\x01\x01"),
        ("alerts=unavailable", b"\x04\x22\0\x01\x02"),
        ("alerts=bare", b""),
        ("alerts=50", b"\x04\x22\0\x01\0"),
    ] {
        ward.send(quirk, 1, "Are you there?").await;
        let (header, body) = esme.next().await.expect("an alert");
        assert_eq!(header.command, ALERT_NOTIFICATION, "{quirk}");
        // From whom was written to, to who wrote: a name.
        assert!(body.starts_with(b"\x01\x01") && body.ends_with(tail), "{quirk}: {body:?}");
        assert!(body.windows(6).any(|part| part == b"Orbit\0"), "{quirk}: {body:?}");
    }
    ward.send("alerts=cut", 1, "Are you there?").await;
    let dropped = "orbit_alerts_dropped_total";
    let world = &ward.world;
    let cut = wait_until(async || world.metric(dropped, "malformed").await >= 1.0);
    assert!(cut.await, "{}", world.last_words());
    let over = wait_until(async || world.metric(dropped, "_pace").await >= 36.0);
    assert!(over.await, "ten a second of fifty at once, and four before");
    ward.all_deliver(1).await;
    ward.all_binds_live().await;
}

#[tokio::test]
async fn names_and_passwords_over_the_books_length_bind() {
    let (name, password) = ("a-system-id-of-more-than-15", "a-password-of-more-than-8");
    let options =
        SmscOptions { system_id: name.into(), password: password.into(), ..SmscOptions::default() };
    let carrier = Smsc::start(([127, 0, 0, 1], 0).into(), options).expect("an SMSC");
    let mut world = World::new("quirk-names");
    world.carrier_as("main", carrier.address, (name, password));
    let org = world.org("Long", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let id = http.text("+14155550123", "long names").await;
    http.becomes(&id, "delivered").await;
    assert_eq!(http.balance().await, (10_000_000 - RATE, 0));
    assert_eq!(carrier.stats().binds_refused, 0);
}
