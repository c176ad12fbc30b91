//! What we say of webhooks and SMPP, judged by clients that others wrote: `standardwebhooks` of
//! PyPI and npm, `smpplib` of PyPI, `smpp` of npm.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::hook::{Heard, Hook};
use crate::scripted::{Polite, Scripted, Submit};
use crate::tools::Judges;
use crate::world::World;

const WEBHOOKS: &str = "/api/v1/webhooks";
const ACCOUNTS: &str = "/api/v1/smpp/accounts";
const PERSON: &str = "14155550123";
const STOPPED: &str = "14155550199";
const OPTED_OUT: u64 = 0x402;
const INVALID_PASSWORD: u64 = 0x0E;
const INVALID_SYSTEM_ID: u64 = 0x0F;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A request as it came, and as nobody must take it: with an octet of the body changed, each in
/// turn, another id, another time, another secret, no signature.
fn cases(heard: &Heard, secret: &str) -> Vec<Value> {
    let case = |name: &str, secret: &str, headers: &Value, body: &[u8]| json!({"name": name, "secret": secret, "headers": headers, "body": hex(body)});
    let headers = json!(heard.headers);
    let mut cases = vec![case("as it came", secret, &headers, &heard.body)];
    for at in 0..heard.body.len() {
        let mut body = heard.body.clone();
        body[at] ^= 1;
        cases.push(case(&format!("octet {at}"), secret, &headers, &body));
    }
    let later = heard.headers["webhook-timestamp"].parse::<u64>().expect("seconds") + 1;
    for (name, value) in [
        ("webhook-id", json!("evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
        ("webhook-timestamp", json!(later.to_string())),
        ("webhook-signature", json!("")),
    ] {
        let mut headers = headers.clone();
        headers[name] = value;
        cases.push(case(name, secret, &headers, &heard.body));
    }
    let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    cases.push(case("another secret", other, &headers, &heard.body));
    cases
}

/// Only the requests of these names are verified.
fn only(findings: &[Value], names: &[&str]) {
    for finding in findings {
        let name = finding["name"].as_str().expect("a name");
        assert_eq!(finding["verified"], names.contains(&name), "{finding}");
        let said = finding["said"].as_str().unwrap_or_default();
        assert!(!name.starts_with("octet ") || said.contains("No matching signature"), "{finding}");
    }
    assert!(findings.len() > names.len(), "{findings:?}");
}

async fn webhooks_are_judged(judges: &Judges, name: &str) {
    let mut world = World::new(name);
    world.set("webhooks.allowed_networks", "[\"127.0.0.0/8\"]");
    let org = world.org("Hooked", "1").await;
    let key = world.test_key(&org).await;
    world.serve().await;
    let mut http = world.http(&key);
    let mut hook = Hook::start().await;
    let endpoint = json!({"url": hook.url, "events": ["message.delivered"]});
    let made = http.post(WEBHOOKS, &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let secret = made.data()["signing_secret"].as_str().expect("a secret").to_owned();
    let message = json!({"to": "+15005550002", "body": "hello", "metadata": {"who": "Zoë 👋"}});
    let sent = http.send(&message).await;
    let heard = hook.next().await;
    assert_eq!(heard.json()["data"]["message_id"], json!(sent));
    assert!(!heard.body.is_ascii(), "{}", heard.json());
    let findings = judges.ask(&world.scratch, "webhook", &json!(cases(&heard, &secret))).await;
    assert_eq!(findings[0]["said"], "message.delivered");
    only(&findings, &["as it came"]);

    let rotate = format!("{WEBHOOKS}/{}/rotate-secret", made.id());
    let rotated = http.post(&rotate, &json!({})).await;
    let new = rotated.data()["signing_secret"].as_str().expect("a secret").to_owned();
    http.send(&message).await;
    let heard = hook.next().await;
    let mut both = cases(&heard, &secret);
    let mut again = both[0].clone();
    (again["name"], again["secret"]) = (json!("the new secret"), json!(new));
    both.push(again);
    let findings = judges.ask(&world.scratch, "webhook", &json!(both)).await;
    only(&findings, &["as it came", "the new secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_library_of_pypi_verifies_ours_and_nothing_else() {
    let Some(judges) = Judges::python().await else { return };
    webhooks_are_judged(&judges, "judge-webhook-py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_library_of_npm_verifies_ours_and_nothing_else() {
    let Some(judges) = Judges::node().await else { return };
    webhooks_are_judged(&judges, "judge-webhook-js").await;
}

/// What an ESME saw.
struct Saw(Vec<Value>);

impl Saw {
    /// All of a kind, in the order they came.
    fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|fact| fact.get(kind).is_some()).collect()
    }

    fn one(&self, kind: &str) -> Option<u64> {
        let all = self.all(kind);
        assert!(all.len() < 2, "{:?}", self.0);
        all.first().and_then(|fact| fact[kind].as_u64())
    }

    /// The ids given to the parts of a message, which were all taken.
    fn ids(&self, name: &str) -> Vec<&str> {
        let submits = self.all("submit").into_iter().filter(|fact| fact["submit"] == name);
        let id = |fact: &&Value| fact["status"] == 0 && fact["id"].is_string();
        let submits: Vec<&Value> = submits.collect();
        assert!(submits.iter().all(id), "{submits:?}");
        submits.iter().filter_map(|fact| fact["id"].as_str()).collect()
    }

    /// There is a receipt for each of these ids, and for nothing else: delivered, in text and in
    /// its optional part, from the recipient to the sender.
    fn delivered(&self, ids: &[&str]) {
        let mut wanted = ids.to_vec();
        let mut got = Vec::new();
        for fact in self.all("receipt") {
            let receipt = &fact["receipt"];
            assert_eq!((&receipt["stat"], &receipt["tlv_state"]), (&json!("DELIVRD"), &json!(2)));
            assert_eq!(receipt["id"], receipt["tlv_id"], "{receipt}");
            assert_eq!(receipt["esm_class"], 4, "{receipt}");
            assert_eq!((&receipt["from"], &receipt["to"]), (&json!(PERSON), &json!("Orbit")));
            got.push(receipt["id"].as_str().expect("an id"));
        }
        wanted.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, wanted);
    }
}

/// A switch with a carrier that delivers, and a door for customers.
struct Switch {
    world: World,
    carrier: Scripted,
}

impl Switch {
    fn new(name: &str) -> Self {
        let mut polite = Polite::default();
        let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
        let mut world = World::new(name);
        world.carrier("main", carrier.address, "");
        world.set("smpp.bind", "\"127.0.0.1:0\"");
        Self { world, carrier }
    }

    /// Where customers bind, as the log says.
    fn door(&self) -> SocketAddr {
        let log = self.world.log();
        let line = log.lines().find(|line| line.contains("customers bind here"));
        let words = line.expect("it says so").split_whitespace();
        let mut addresses = words.filter_map(|word| word.strip_prefix("smpp=")?.parse().ok());
        addresses.next().expect("an address")
    }

    async fn ask(&self, judges: &Judges, who: (&str, &str), rest: (u64, Value)) -> Saw {
        let ((system_id, password), (receipts, messages)) = (who, rest);
        let door = self.door();
        let asked = json!({
            "host": door.ip().to_string(), "port": door.port(), "system_id": system_id,
            "password": password, "receipts": receipts, "messages": messages,
        });
        Saw(judges.ask(&self.world.scratch, "esme", &asked).await)
    }

    /// What reached the carrier in UCS-2, or in the default alphabet.
    fn carried(&self, wide: bool) -> Vec<Submit> {
        let submits = self.carrier.submits().into_iter();
        submits.filter(|submit| (submit.data_coding == 8) == wide).collect()
    }
}

fn message(name: &str, to: &str, text: &str) -> Value {
    json!({"name": name, "from": "Orbit", "to": to, "text": text})
}

fn joined(mut parts: Vec<Submit>) -> String {
    parts.sort_by_key(|part| part.udh().last().copied());
    parts.iter().map(Submit::text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_pypi_sends_and_has_its_receipts() {
    let Some(judges) = Judges::python().await else { return };
    let mut switch = Switch::new("judge-smpp-py");
    let org = switch.world.org("Bound", "10").await;
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let mut http = switch.world.http(&org.key);
    let made = http.post(ACCOUNTS, &json!({"system_id": "judge"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let password = made.data()["password"].as_str().expect("a password").to_owned();

    let wrong = switch.ask(&judges, ("judge", "wrong"), (0, json!([]))).await;
    assert_eq!((wrong.one("bind"), wrong.0.len()), (Some(INVALID_PASSWORD), 1), "{:?}", wrong.0);
    let nobody = switch.ask(&judges, ("nobody", &password), (0, json!([]))).await;
    assert_eq!(nobody.one("bind"), Some(INVALID_SYSTEM_ID), "{:?}", nobody.0);

    let stop = json!({"address": format!("+{STOPPED}"), "reason": "STOP"});
    let stop = http.post("/api/v1/compliance/suppression-list", &stop).await;
    assert_eq!(stop.status, 201, "{}", stop.text);
    let long: String = (0..60).map(|number| format!("part {number}, ")).collect();
    let messages = json!([
        message("short", PERSON, "Hello [you], it is 5 o'clock"),
        message("long", PERSON, &long),
        message("wide", PERSON, "Привет, мир 👋"),
        message("stopped", STOPPED, "An offer"),
    ]);
    let saw = switch.ask(&judges, ("judge", &password), (6, messages)).await;
    assert_eq!((saw.one("bind"), saw.one("unbind")), (Some(0), Some(0)), "{:?}", saw.0);
    let (short, long_ids, wide) = (saw.ids("short"), saw.ids("long"), saw.ids("wide"));
    assert_eq!((short.len(), long_ids.len(), wide.len()), (1, 4, 1), "{:?}", saw.0);
    saw.delivered(&[short, long_ids, wide].concat());
    let refused = saw.all("submit").into_iter().find(|fact| fact["submit"] == "stopped");
    assert_eq!(refused.map(|fact| &fact["status"]), Some(&json!(OPTED_OUT)), "{:?}", saw.0);

    let texts = switch.carried(false);
    let (parts, whole): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!(joined(parts), long);
    assert_eq!(joined(switch.carried(true)), "Привет, мир 👋");
    assert_eq!(whole.len(), 1, "what was refused reaches nobody: {whole:?}");
    assert_eq!(http.count("status=delivered").await, 6);
    assert_eq!(http.count("").await, 6);
    let shown = http.get(&format!("{ACCOUNTS}/{}", made.id())).await;
    assert!(!shown.text.contains(&password), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_npm_sends_and_has_its_receipts() {
    let Some(judges) = Judges::node().await else { return };
    let mut switch = Switch::new("judge-smpp-js");
    let org = switch.world.org("Bound", "10").await;
    let add = ["smpp", "add", "--json", "--organization", &org.id, "--system-id", "judge"];
    let made = switch.world.orbit(&add).await.json();
    let password = made["password"].as_str().expect("a password").to_owned();
    switch.world.serve().await;
    switch.world.bound("main", 1).await;

    let wrong = switch.ask(&judges, ("judge", "wrong"), (0, json!([]))).await;
    assert_eq!((wrong.one("bind"), wrong.0.len()), (Some(INVALID_PASSWORD), 1), "{:?}", wrong.0);
    let long: String = (0..60).map(|number| format!("part {number}, ")).collect();
    let messages = json!([message("short", PERSON, "Hello"), message("long", PERSON, &long)]);
    let saw = switch.ask(&judges, ("judge", &password), (2, messages)).await;
    assert_eq!((saw.one("bind"), saw.one("unbind")), (Some(0), Some(0)), "{:?}", saw.0);
    let (short, long_ids) = (saw.ids("short"), saw.ids("long"));
    assert_eq!((short.len(), long_ids.len()), (1, 1), "{:?}", saw.0);
    saw.delivered(&[short, long_ids].concat());
    let texts = switch.carried(false);
    let (parts, whole): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!((joined(whole), joined(parts)), (String::from("Hello"), long));
    assert_eq!(switch.world.http(&org.key).count("status=delivered").await, 2);
}
