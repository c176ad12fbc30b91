//! Carriers that misbehave: what becomes of messages, and of their money.

use std::collections::HashSet;

use load_tests::peer::smsc::wire::{self, SUBMIT_SM};
use load_tests::peer::smsc::{IdFormat, ReceiptStyle, Receipts, Smsc, SmscOptions};
use serde_json::{Value, json};

use crate::http::Http;
use crate::scripted::{Next, Polite, Scripted, Submit, answer};
use crate::world::{PASSWORD, World, wait_until};

/// Of the built-in table, for +1.
pub(crate) const RATE: i64 = 7_900;
const CREDIT_USD: &str = "10";
const CREDIT: i64 = 10_000_000;

/// The independent SMSC, for the account that worlds use.
pub(crate) fn smsc(options: SmscOptions) -> Smsc {
    let options = SmscOptions { system_id: "orbit".into(), password: PASSWORD.into(), ..options };
    Smsc::start(([127, 0, 0, 1], 0).into(), options).expect("an SMSC")
}

/// A switch with one carrier, and a client with ten dollars.
async fn world(name: &str, carrier: &Smsc, more: &str) -> (World, Http) {
    let mut world = World::new(name);
    world.carrier("main", carrier.address, more);
    let org = world.org(name, CREDIT_USD).await;
    world.serve().await;
    let http = world.http(&org.key);
    (world, http)
}

pub(crate) fn number(at: usize) -> String {
    format!("+1415555{at:04}")
}

async fn send_many(http: &mut Http, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for at in 0..count {
        ids.push(http.text(&number(at), &format!("t{at} hello")).await);
    }
    ids
}

/// Waits until all messages have this status.
async fn all_become(world: &World, http: &mut Http, status: &str, count: usize) {
    let query = format!("status={status}");
    let mut have = 0;
    let done = wait_until(async || {
        have = http.count(&query).await;
        have == count
    });
    assert!(done.await, "{have} of {count} are {status}\n{}", world.last_words());
}

/// Each of so many one-part messages is paid for, once, and nothing is held.
async fn paid_once(http: &mut Http, messages: usize) {
    let spent = RATE * i64::try_from(messages).expect("a few");
    let mut balance = (0, 0);
    let settled = wait_until(async || {
        balance = http.balance().await;
        balance.1 == 0
    });
    assert!(settled.await, "something is held: {balance:?}");
    assert_eq!(balance, (CREDIT - spent, 0));
    let ledger = http.all("/api/v1/billing/transactions").await;
    let mut settles = HashSet::new();
    for one in ledger.iter().filter(|one| one["type"] == "settle") {
        assert!(settles.insert(one["message_id"].clone()), "charged twice: {one}");
    }
    assert_eq!(settles.len(), messages);
}

#[tokio::test]
async fn silence_is_asked_again_a_limited_number_of_times_unless_it_is_marketing() {
    let carrier = smsc(SmscOptions { never_answer: true, ..SmscOptions::default() });
    let (_world, mut http) = world("silent", &carrier, "").await;
    let mut send = async |category: &str, to: &str| {
        let body = json!({"to": to, "from": "Orbit", "body": category, "category": category});
        http.send(&body).await
    };
    let transactional = send("transactional", "+14155550001").await;
    let marketing = send("marketing", "+14155550002").await;
    let otp = send("otp", "+14155550003").await;
    let in_doubt = |story: &[(String, String)]| {
        story.iter().filter(|(kind, _)| kind == "message.in_doubt").count()
    };
    for (id, tries) in [(&marketing, 1), (&otp, 3), (&transactional, 3)] {
        let message = http.becomes(id, "submitted_no_receipt").await;
        assert_eq!(message["status_reason"], "ack_timeout", "{message}");
        let story = http.story(id).await;
        assert_eq!(in_doubt(&story), tries, "{} {story:?}", message["category"]);
    }
    assert_eq!(carrier.stats().submits, 7, "one of marketing, three of each other");
    paid_once(&mut http, 3).await;
}

#[tokio::test]
async fn a_carrier_that_dies_in_mid_window_loses_and_doubles_no_charge() {
    let options = SmscOptions { answer_delay_ms: 50, drop_every: 60, ..SmscOptions::default() };
    let carrier = smsc(options);
    let (world, mut http) = world("dies", &carrier, "window_size = 20").await;
    send_many(&mut http, 150).await;
    all_become(&world, &mut http, "delivered", 150).await;
    paid_once(&mut http, 150).await;
    let stats = carrier.stats();
    assert!(stats.drops >= 2, "{stats:?}");
    assert!(stats.duplicates <= stats.drops * 2 * 20, "{stats:?}");
    assert!(stats.max_in_flight <= 20, "{stats:?}");
}

#[tokio::test]
async fn a_carrier_that_flaps_gets_all_messages_in_the_end() {
    let carrier = smsc(SmscOptions { flap_s: 1, down_s: 1, ..SmscOptions::default() });
    let (world, mut http) = world("flaps", &carrier, "tps = 40\nwindow_size = 10").await;
    send_many(&mut http, 100).await;
    all_become(&world, &mut http, "delivered", 100).await;
    paid_once(&mut http, 100).await;
    let stats = carrier.stats();
    assert!(stats.flaps >= 1 && stats.binds >= 2, "{stats:?}");
    // A full machine holds octets up and lets them go at once, so the carrier may see two seconds'
    // worth in one; the pace itself is tested with a clock of its own.
    assert!(stats.max_submits_per_second <= 80, "{stats:?}");
}

#[tokio::test]
async fn receipts_before_the_response_find_their_message() {
    let options =
        SmscOptions { receipts: Receipts::Early, answer_delay_ms: 30, ..SmscOptions::default() };
    let carrier = smsc(options);
    let (world, mut http) = world("early", &carrier, "").await;
    send_many(&mut http, 60).await;
    all_become(&world, &mut http, "delivered", 60).await;
    paid_once(&mut http, 60).await;
    assert_eq!(carrier.stats().duplicates, 0);
    let orphans = world.orbit(&["orphans", "--json", "--older-s", "0"]).await.json();
    assert_eq!(orphans, json!([]));
}

#[tokio::test]
async fn a_receipt_that_comes_twice_counts_once() {
    let carrier = smsc(SmscOptions { receipts: Receipts::Twice, ..SmscOptions::default() });
    let (world, mut http) = world("twice", &carrier, "").await;
    let ids = send_many(&mut http, 40).await;
    all_become(&world, &mut http, "delivered", 40).await;
    let acked = wait_until(async || carrier.stats().extras_acked == 40).await;
    assert!(acked, "{:?}", carrier.stats());
    for id in &ids {
        let story = http.story(id).await;
        let delivered = story.iter().filter(|(kind, _)| kind == "message.delivered").count();
        assert_eq!(delivered, 1, "{story:?}");
    }
    paid_once(&mut http, 40).await;
}

#[tokio::test]
async fn receipts_of_nobody_are_acknowledged_and_shown_as_orphans() {
    let carrier = smsc(SmscOptions { foreign_ids_percent: 100, ..SmscOptions::default() });
    let (world, mut http) = world("foreign", &carrier, "").await;
    send_many(&mut http, 20).await;
    all_become(&world, &mut http, "delivered", 20).await;
    let acked = wait_until(async || carrier.stats().extras_acked == 20).await;
    assert!(acked, "{:?}", carrier.stats());
    let young = world.orbit(&["orphans", "--json"]).await.json();
    assert_eq!(young, json!([]), "they may be early");
    let orphans = world.orbit(&["orphans", "--json", "--older-s", "0"]).await.json();
    let rows = orphans.as_array().expect("a list");
    assert_eq!(rows.len(), 20, "{orphans}");
    assert!(rows.iter().all(|row| row["carrier"] == "main"), "{orphans}");
    assert!(rows.iter().all(|row| row["status"] == "delivered"), "{orphans}");
    paid_once(&mut http, 20).await;
}

#[tokio::test]
async fn every_way_to_write_an_id_ends_delivered() {
    let formats = [
        IdFormat::Dec,
        IdFormat::Hex,
        IdFormat::HexUpper,
        IdFormat::HexCaseChange,
        IdFormat::HexInRespDecInReceipt,
        IdFormat::DecInRespHexInReceipt,
        IdFormat::ZeroPadded,
        IdFormat::Uuid,
        IdFormat::Bits64,
    ];
    let styles = [ReceiptStyle::Text, ReceiptStyle::Tlv, ReceiptStyle::Both];
    let mut world = World::new("ids");
    let mut carriers = Vec::new();
    for (at, id_format) in formats.into_iter().enumerate() {
        let receipt_style = styles[at % styles.len()];
        let options = SmscOptions { id_format, receipt_style, ..SmscOptions::default() };
        let carrier = smsc(options);
        let more = format!("prefixes = [\"120{at}\"]");
        world.carrier(&format!("c{at}"), carrier.address, &more);
        carriers.push((id_format, carrier));
    }
    let org = world.org("Ids", CREDIT_USD).await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let mut ids = Vec::new();
    for (at, (format, _)) in carriers.iter().enumerate() {
        for one in 0..5 {
            let to = format!("+120{at}555010{one}");
            ids.push((format!("{format:?}"), http.text(&to, &format!("i{one}")).await));
        }
    }
    for (format, id) in ids {
        let message = http.becomes(&id, "delivered").await;
        assert!(message["external_id"].is_string(), "{format}: {message}");
    }
    let orphans = world.orbit(&["orphans", "--json", "--older-s", "0"]).await.json();
    assert_eq!(orphans, json!([]));
}

#[tokio::test]
async fn what_a_carrier_throttles_is_delivered_later() {
    let mut polite = Polite::default();
    let mut refused = HashSet::new();
    let carrier = Scripted::start(move |pdu, out| {
        if pdu.header.command == SUBMIT_SM {
            let to = Submit::parse(&pdu.body).destination;
            if to.ends_with(['1', '3', '5', '7', '9']) && refused.insert(to) {
                answer(out, &pdu.header, 0x58, b"");
                return Next::Go;
            }
        }
        polite.does(pdu, out)
    });
    let mut world = World::new("throttled");
    world.carrier("main", carrier.address, "");
    let org = world.org("Throttled", CREDIT_USD).await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let ids = send_many(&mut http, 20).await;
    all_become(&world, &mut http, "delivered", 20).await;
    assert_eq!(carrier.submits().len(), 30, "ten were sent twice");
    let story = http.story(&ids[1]).await;
    assert!(story.iter().any(|(kind, _)| kind == "message.retried"), "{story:?}");
    paid_once(&mut http, 20).await;
}

/// One message to a carrier that refuses all with a status.
async fn refused_with(name: &str, error_status: u32, status: &str) -> (Value, u64, (i64, i64)) {
    let options = SmscOptions { error_percent: 100, error_status, ..SmscOptions::default() };
    let carrier = smsc(options);
    let (_world, mut http) = world(name, &carrier, "").await;
    let id = http.text("+14155550123", "no way").await;
    let message = http.becomes(&id, status).await;
    (message, carrier.stats().submits, http.balance().await)
}

#[tokio::test]
async fn a_carrier_that_is_always_broken_gets_three_tries() {
    let (message, submits, balance) = refused_with("syserr", 0x08, "failed").await;
    assert_eq!((submits, balance), (3, (CREDIT, 0)), "{message}");
    assert_eq!(message["error_code"], "NETWORK_ERROR");
    let said = message["carrier_error"].as_str().expect("the carrier's own");
    assert!(said.contains("0x00000008"), "{message}");
}

#[tokio::test]
async fn an_unknown_number_is_rejected_at_once_and_its_hold_released() {
    let (message, submits, balance) = refused_with("invdst", 0x0B, "rejected").await;
    assert_eq!((submits, balance), (1, (CREDIT, 0)), "{message}");
    assert_eq!(message["error_code"], "INVALID_RECIPIENT");
}

#[tokio::test]
async fn another_receipt_than_delivered_ends_as_the_table_says() {
    let ends = [
        ("EXPIRED", "expired"),
        ("DELETED", "failed"),
        ("UNDELIV", "undelivered"),
        ("UNKNOWN", "submitted_no_receipt"),
        ("REJECTD", "rejected"),
    ];
    let mut ids = 0_usize;
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| {
        if pdu.header.command != SUBMIT_SM {
            return polite.does(pdu, out);
        }
        let submit = Submit::parse(&pdu.body);
        let (stat, _) = ends[submit.destination[10..].parse::<usize>().expect("a digit")];
        ids += 1;
        let id = format!("id-{ids}");
        answer(out, &pdu.header, wire::OK, format!("{id}\0").as_bytes());
        crate::scripted::receipt(out, u32::try_from(ids).expect("few"), &submit, &id, stat);
        Next::Go
    });
    let mut world = World::new("states");
    world.carrier("main", carrier.address, "");
    let org = world.org("States", CREDIT_USD).await;
    world.serve().await;
    let mut http = world.http(&org.key);
    for (at, (_, status)) in ends.iter().enumerate() {
        let id = http.text(&number(at), "how does it end").await;
        http.becomes(&id, status).await;
    }
    paid_once(&mut http, ends.len()).await;
}
