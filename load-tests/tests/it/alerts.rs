//! Carriers that say who can be reached again, and the customers' systems that hear of it.

use load_tests::peer::smsc::SmscOptions;
use load_tests::peer::smsc::wire::{self, ALERT_NOTIFICATION, Address, BIND_RECEIVER};
use serde_json::{Value, json};

use crate::carriers::smsc;
use crate::esme::{self, Esme};
use crate::http::Http;
use crate::scripted::{Polite, Scripted};
use crate::tools::Judges;
use crate::world::{Org, World, wait_until};

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const PERSON: &str = "14155550123";
const OURS: &str = "14155550100";
const SECRET: &str = "secretly";
/// Optional parameters: one of a vendor, and ms_availability_status.
const STATUS_DENIED: &[u8] = b"\x14\x01\0\x01\x07\x04\x22\0\x01\x01";

/// What an ESME is to hear of that.
fn heard(source: &str, esme: &str, tail: &[u8]) -> Vec<u8> {
    let (source, esme) = (source.as_bytes(), esme.as_bytes());
    [b"\x01\x01", source, b"\0\x01\x01", esme, b"\0", tail].concat()
}

fn alert(source: &str, esme: &str, tail: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let body = heard(source, esme, tail);
    wire::put(&mut out, ALERT_NOTIFICATION, wire::OK, 7, |out| out.extend_from_slice(&body));
    out
}

/// A switch with a carrier that does what the test says; it is the platform's, or an organization's.
struct Desk {
    world: World,
    carrier: Scripted,
}

impl Desk {
    fn new(name: &str) -> Self {
        let mut polite = Polite::default();
        let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
        let mut world = World::new(name);
        world.set("smpp.bind", "\"127.0.0.1:0\"");
        Self { world, carrier }
    }

    async fn serve(&mut self, more: &str) {
        self.world.carrier("main", self.carrier.address, more);
        self.world.serve().await;
        self.world.bound("main", 1).await;
    }

    async fn account(&self, org: &Org, name: &str, numbers: &[&str]) {
        let account = json!({"system_id": name, "password": SECRET, "inbound_numbers": numbers});
        let made = self.world.http(&org.key).post(ACCOUNTS, &account).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }

    async fn bound(&self, name: &str) -> Esme {
        Esme::bound(self.world.door(), name, SECRET).await
    }

    async fn forwarded(&self) -> f64 {
        self.world.metric("orbit_alerts_forwarded_total", "").await
    }

    async fn dropped(&self, reason: &str) -> f64 {
        self.world.metric("orbit_alerts_dropped_total", &format!("reason=\"{reason}\"")).await
    }

    /// Until so many alerts are counted in all.
    async fn count(&self, wanted: f64) {
        let mut all = (0.0, 0.0);
        let done = wait_until(async || {
            let dropped = self.world.metric("orbit_alerts_dropped_total", "");
            all = (self.forwarded().await, dropped.await);
            all.0 + all.1 >= wanted
        });
        let is_so = done.await && (all.0 + all.1 - wanted).abs() < f64::EPSILON;
        assert!(is_so, "{all:?} of {wanted}: {}", self.world.last_words());
    }
}

/// A person is written to, from the organization's number.
async fn writes(http: &mut Http) {
    let message = json!({"to": format!("+{PERSON}"), "from": format!("+{OURS}"), "body": "Hello"});
    let id = http.send(&message).await;
    http.becomes(&id, "delivered").await;
}

/// What a bind heard by now: alerts, up to the answer to a question.
async fn alerts_of(esme: &mut Esme) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    wire::put(&mut out, wire::ENQUIRE_LINK, wire::OK, 99, |_| {});
    esme.write(&out).await;
    let mut alerts = Vec::new();
    loop {
        let (header, body) = esme.next().await.expect("it lives");
        match header.command {
            ALERT_NOTIFICATION => alerts.push(body),
            command if command == wire::ENQUIRE_LINK | wire::RESPONSE => return alerts,
            _ => {}
        }
    }
}

fn is(counted: f64, wanted: u32) -> bool {
    (counted - f64::from(wanted)).abs() < f64::EPSILON
}

#[tokio::test]
async fn an_alert_reaches_one_bind_of_the_accounts_that_an_answer_would_reach() {
    let mut desk = Desk::new("alerts");
    let (ours, theirs) = (desk.world.org("Ours", "1").await, desk.world.org("Theirs", "1").await);
    desk.serve("").await;
    desk.account(&ours, "one", &["+14155550100"]).await;
    desk.account(&ours, "two", &["+1415*"]).await;
    desk.account(&ours, "other", &["+14155550177"]).await;
    desk.account(&theirs, "theirs", &[]).await;
    let mut one = [desk.bound("one").await, desk.bound("one").await];
    let mut two = desk.bound("two").await;
    let mut other = desk.bound("other").await;
    let mut theirs_esme = desk.bound("theirs").await;

    // Nobody has written to the person: it is nobody's, whoever lists the number.
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(1.0).await;
    assert!(is(desk.dropped("unknown_address").await, 1));

    writes(&mut desk.world.http(&ours.key)).await;
    desk.carrier.inject(&alert(PERSON, OURS, STATUS_DENIED));
    desk.count(3.0).await;
    let [first, second] = &mut one;
    let both = [alerts_of(first).await, alerts_of(second).await].concat();
    let expected = heard(PERSON, OURS, b"\x04\x22\0\x01\x01");
    assert_eq!(both, std::slice::from_ref(&expected), "one bind of the two, and the status alone");
    assert_eq!(alerts_of(&mut two).await, [expected]);
    assert_eq!(alerts_of(&mut other).await.len() + alerts_of(&mut theirs_esme).await.len(), 0);

    // Another tenant writes from that number: now an answer would be theirs.
    writes(&mut desk.world.http(&theirs.key)).await;
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(4.0).await;
    assert_eq!(alerts_of(&mut theirs_esme).await, [heard(PERSON, OURS, b"")]);
    assert_eq!(alerts_of(&mut two).await.len(), 0);
    assert!(is(desk.forwarded().await, 3));
    for command in [ALERT_NOTIFICATION | wire::RESPONSE, wire::GENERIC_NACK] {
        assert!(desk.carrier.seen(command).is_empty(), "it has no answer");
    }
}

#[tokio::test]
async fn an_organizations_own_carrier_reaches_its_accounts_alone() {
    let mut desk = Desk::new("alerts-own");
    let (ours, theirs) = (desk.world.org("Ours", "1").await, desk.world.org("Theirs", "1").await);
    desk.serve(&format!("organization = \"{}\"", ours.id)).await;
    desk.account(&ours, "ours", &[]).await;
    desk.account(&theirs, "theirs", &["+14155550100"]).await;
    let (mut ours, mut theirs) = (desk.bound("ours").await, desk.bound("theirs").await);
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(1.0).await;
    assert_eq!(alerts_of(&mut ours).await, [heard(PERSON, OURS, b"")]);
    assert_eq!(alerts_of(&mut theirs).await.len(), 0);
}

#[tokio::test]
async fn alerts_without_sense_or_without_a_receiver_are_dropped_and_counted() {
    let mut desk = Desk::new("alerts-dropped");
    let org = desk.world.org("Ours", "1").await;
    desk.serve(&format!("organization = \"{}\"", org.id)).await;
    desk.account(&org, "ours", &["+14155550100"]).await;
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(1.0).await;
    assert!(is(desk.dropped("no_receiver").await, 1), "nobody is bound");

    // One that only sends, and one of before 3.4, hear of nothing.
    let mut sender = Esme::connect(desk.world.door()).await;
    let transmitter = wire::BIND_TRANSMITTER;
    assert_eq!(sender.binds(transmitter, "ours", SECRET).await, wire::OK);
    let mut old = Esme::connect(desk.world.door()).await;
    old.write(&esme::bind(BIND_RECEIVER, "ours", SECRET, 0x33)).await;
    assert_eq!(old.next().await.expect("an answer").0.status, wire::OK);
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(2.0).await;
    assert!(is(desk.dropped("no_receiver").await, 2), "they hear of none");
    assert_eq!(alerts_of(&mut sender).await.len() + alerts_of(&mut old).await.len(), 0);

    let mut esme = desk.bound("ours").await;
    let mut cut = alert(PERSON, OURS, b"");
    cut.truncate(wire::HEADER + 9);
    cut[3] = 25;
    desk.carrier.inject(&cut);
    desk.carrier.inject(&alert("", OURS, b""));
    desk.carrier.inject(&alert(PERSON, "", b""));
    desk.carrier.inject(&alert(&"1".repeat(65), OURS, b""));
    desk.count(6.0).await;
    assert!(is(desk.dropped("malformed").await, 4));
    desk.carrier.inject(&alert(PERSON, "14155550177", b""));
    desk.count(7.0).await;
    assert!(is(desk.dropped("unknown_address").await, 1), "nobody's number");
    desk.carrier.inject(&alert(PERSON, OURS, b""));
    desk.count(8.0).await;
    assert_eq!(alerts_of(&mut esme).await, [heard(PERSON, OURS, b"")], "and the bind lives");
}

#[tokio::test]
async fn a_flood_of_alerts_is_dropped_and_messages_go_on() {
    const FLOOD: u32 = 20_000;
    let mut desk = Desk::new("alerts-flood");
    desk.world.set("smpp.alerts_per_second", "5");
    let org = desk.world.org("Ours", "1").await;
    desk.serve(&format!("organization = \"{}\"", org.id)).await;
    desk.account(&org, "ours", &[]).await;
    let mut esme = desk.bound("ours").await;
    let flood = alert(PERSON, OURS, b"").repeat(FLOOD as usize);
    desk.carrier.inject(&flood);
    writes(&mut desk.world.http(&org.key)).await;
    desk.count(f64::from(FLOOD)).await;
    let (passed, dropped) = (desk.forwarded().await, desk.dropped("carrier_pace").await);
    assert!((5.0..=50.0).contains(&passed), "five a second: {passed}");
    assert!(is(passed + dropped, FLOOD), "{passed} {dropped}");
    assert_eq!(alerts_of(&mut esme).await.len() as f64, passed);
    assert_eq!(desk.world.metric("orbit_binds_bound", "carrier=\"main\"").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_npm_hears_alerts_of_the_simulators_carrier() {
    let Some(judges) = Judges::node().await else { return };
    let quirks = vec!["alerts=unavailable".parse().expect("a quirk")];
    let carrier = smsc(SmscOptions { quirks, ..SmscOptions::default() });
    let mut world = World::new("alerts-js");
    world.set("smpp.bind", "\"127.0.0.1:0\"");
    world.carrier("main", carrier.address, "");
    let org = world.org("Judged", "1").await;
    world.serve().await;
    world.bound("main", 1).await;
    let account = json!({"system_id": "judge", "password": SECRET});
    assert_eq!(world.http(&org.key).post(ACCOUNTS, &account).await.status, 201);
    let door = world.door();
    let asked = json!({"host": door.ip().to_string(), "port": door.port(), "system_id": "judge",
        "password": SECRET, "from": OURS, "to": PERSON, "alerts": 1});
    let saw = judges.ask(&world.scratch, "alert", &asked).await;
    let heard: Vec<&Value> = saw.iter().filter(|fact| fact["alert"].is_object()).collect();
    let expected = json!({"alert": {"from": [1, 1, PERSON], "to": [1, 1, OURS], "status": 2}});
    assert_eq!(heard, [&expected], "{saw:?}");
    assert_eq!(saw.last(), Some(&json!({"unbind": 0})), "{saw:?}");
    assert_eq!(carrier.stats().alerts_sent, 1);
}

#[test]
fn the_simulator_writes_alerts_as_this_test_reads_them() {
    let address = |digits: &'static [u8]| Address { ton: 1, npi: 1, digits };
    let mut out = Vec::new();
    wire::put_alert(&mut out, 7, (address(b"14155550123"), address(b"14155550100")), Some(1));
    assert_eq!(out, alert(PERSON, OURS, b"\x04\x22\0\x01\x01"));
}
