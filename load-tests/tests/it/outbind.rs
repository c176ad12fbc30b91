//! Calls: an account's system that the switch connects to when it owes it something, and carriers
//! that say `outbind` and `alert_notification` themselves.

use load_tests::peer::smsc::wire::{self, BIND_TRANSCEIVER, BIND_TRANSMITTER, RESPONSE};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::esme::{Esme, Submit};
use crate::http::Http;
use crate::judges::Switch;
use crate::scripted::{Polite, Scripted};
use crate::tools::Judges;
use crate::world::{World, wait_until};

const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const OUTBIND: u32 = 0x0B;
const ALERT_NOTIFICATION: u32 = 0x102;
const SECRET: &str = "knock-knock-knock";

fn outbind(port: u16) -> Value {
    json!({"host": "127.0.0.1", "port": port, "system_id": "orbit", "password": SECRET})
}

/// Submits a text whose receipt waits then, as nobody is there to take it.
async fn owe(switch: &Switch, http: &mut Http, password: &str, text: &str) {
    let mut esme = Esme::connect(switch.door()).await;
    assert_eq!(esme.binds(BIND_TRANSMITTER, "acme", password).await, wire::OK);
    let submit = Submit { registered: 1, text: text.as_bytes(), ..Submit::default() };
    assert_eq!(esme.submits(2, &submit).await.0, wire::OK);
    let path = "/api/v1/messages?status=delivered";
    let delivered = wait_until(async || http.get(path).await.text.contains(text));
    assert!(delivered.await, "{text}");
}

/// Takes the next call: it begins with what the account says, and then somebody binds.
async fn answered(phone: &TcpListener, password: &str) -> Esme {
    let (stream, _) = phone.accept().await.expect("a call");
    let mut esme = Esme::over(stream);
    let (header, body) = esme.next().await.expect("who calls");
    assert_eq!((header.command, header.status), (OUTBIND, 0));
    assert_eq!(body, format!("orbit\0{SECRET}\0").as_bytes());
    assert_eq!(esme.binds(BIND_TRANSCEIVER, "acme", password).await, wire::OK);
    esme
}

async fn is_brought(esme: &mut Esme, text: &str) {
    let (_, body) = esme.brought().await;
    let said = String::from_utf8_lossy(&body).into_owned();
    assert!(said.contains(&format!("text:{text}")) && said.contains("stat:DELIVRD"), "{said}");
}

#[tokio::test]
async fn an_account_is_called_for_its_receipts_also_after_a_kill() {
    let phone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = phone.local_addr().expect("an address").port();
    let mut switch = Switch::new("called").await;
    switch.world.set("smpp.carrier_networks", "[\"127.0.0.0/8\"]");
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let mut http = switch.world.http(&switch.org.key);
    let account = json!({"system_id": "acme", "password": "acmeacme", "outbind": outbind(port)});
    let made = http.post(ACCOUNTS, &account).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = http.get(&format!("{ACCOUNTS}/{}", made.id())).await;
    let public = json!({"host": "127.0.0.1", "port": port, "tls": false, "system_id": "orbit"});
    assert_eq!(shown.data()["outbind"], public);

    owe(&switch, &mut http, "acmeacme", "first").await;
    let mut esme = answered(&phone, "acmeacme").await;
    is_brought(&mut esme, "first").await;
    esme.answers_enquire_link().await;
    drop(esme);
    owe(&switch, &mut http, "acmeacme", "second").await;
    switch.world.kill();
    switch.world.serve().await;
    let mut esme = answered(&phone, "acmeacme").await;
    is_brought(&mut esme, "second").await;

    // Taken back, it is called no more; and it never was told in the clear.
    let said = switch.world.orbit(&["smpp", "set", "acme", "outbind=null", "--json"]).await.json();
    assert_eq!(said["outbind"], Value::Null, "{said}");
    let set = format!("outbind={}", outbind(port));
    let said = switch.world.orbit(&["smpp", "set", "acme", &set, "--json"]).await.json();
    assert_eq!(said["outbind"], public, "{said}");
    assert!(!switch.world.log().contains(SECRET) && !shown.text.contains(SECRET));
    let data = std::fs::read(switch.world.scratch.file("data").join("orbit.db")).expect("a file");
    assert!(!data.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
}

#[tokio::test]
async fn calls_lead_to_public_addresses_alone_unless_the_operator_says_so() {
    let mut world = World::new("called-inside");
    let org = world.org("Inside", "1").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let made = http.post(ACCOUNTS, &json!({"system_id": "acme"})).await;
    let path = format!("{ACCOUNTS}/{}", made.id());
    let mut refused = async |outbind: Value| {
        let body = json!({"outbind": outbind}).to_string();
        let request = http.request("PATCH", &path, &[], body.as_bytes());
        let reply = http.raw(&request).await.expect("an answer");
        assert_eq!((reply.status, reply.code()), (422, "VALIDATION_ERROR"), "{}", reply.text);
        assert!(!reply.text.contains(SECRET), "{}", reply.text);
    };
    let with = |field: &str, value: Value| {
        let mut changed = outbind(2_775);
        changed["host"] = json!("esme.example.com");
        changed[field] = value;
        changed
    };
    for host in ["127.0.0.1", "10.0.0.1", "::1", "localhost", "a b", ""] {
        refused(with("host", json!(host))).await;
    }
    for (field, value) in [
        ("port", json!(0)),
        ("port", json!(70_000)),
        ("tls", json!("yes")),
        ("system_id", json!("sixteen-letters-")),
        ("password", json!("")),
        ("more", json!(1)),
    ] {
        refused(with(field, value)).await;
    }
    refused(json!("esme.example.com")).await;
    assert_eq!(http.get(&path).await.data()["outbind"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_npm_is_called_and_binds() {
    let Some(judges) = Judges::node().await else { return };
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr();
    let port = port.expect("an address").port();
    let mut switch = Switch::new("called-js").await;
    switch.world.set("smpp.carrier_networks", "[\"127.0.0.0/8\"]");
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let mut http = switch.world.http(&switch.org.key);
    let account = json!({"system_id": "acme", "password": "acmeacme", "outbind": outbind(port)});
    assert_eq!(http.post(ACCOUNTS, &account).await.status, 201);
    owe(&switch, &mut http, "acmeacme", "first").await;
    owe(&switch, &mut http, "acmeacme", "second").await;
    let asked = json!({"host": "127.0.0.1", "port": port, "system_id": "acme",
        "password": "acmeacme", "receipts": 2});
    let saw = judges.ask(&switch.world.scratch, "called", &asked).await;
    assert_eq!(saw[0], json!({"outbind": "orbit", "password": SECRET}), "{saw:?}");
    assert_eq!(saw[1], json!({"bind": 0}), "{saw:?}");
    let receipts: Vec<&str> = saw.iter().filter_map(|fact| fact["receipt"].as_str()).collect();
    assert!(receipts.len() == 2 && receipts.iter().all(|said| said.contains("DELIVRD")), "{saw:?}");
    assert_eq!(saw.last(), Some(&json!({"unbind": 0})), "{saw:?}");
}

#[tokio::test]
async fn a_carriers_outbind_and_alerts_are_counted_and_answered_by_nothing() {
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let mut world = World::new("alerted");
    world.carrier("main", carrier.address, "");
    let org = world.org("Alerted", "1").await;
    world.serve().await;
    world.bound("main", 1).await;
    let mut out = Vec::new();
    wire::put(&mut out, OUTBIND, wire::OK, 71, |out| out.extend_from_slice(b"smsc\0secret\0"));
    wire::put(&mut out, ALERT_NOTIFICATION, wire::OK, 72, |out| {
        out.extend_from_slice(b"\x01\x0114155550123\0\x05\0orbit\0\x04\x22\0\x01\0");
    });
    // And what cannot be read.
    wire::put(&mut out, ALERT_NOTIFICATION, wire::OK, 73, |out| out.push(1));
    carrier.inject(&out);
    let mut http = world.http(&org.key);
    let id = http.text("+14155550123", "afterwards").await;
    http.becomes(&id, "delivered").await;
    for kind in ["outbind", "alert_notification"] {
        let counted = world.metric("orbit_carrier_notices_total", kind).await;
        assert!((counted - 1.0).abs() < f64::EPSILON, "{kind}: {counted}");
    }
    for command in [OUTBIND, ALERT_NOTIFICATION] {
        assert!(carrier.seen(command | RESPONSE).is_empty());
    }
    assert!(carrier.seen(wire::GENERIC_NACK).is_empty());
}
