//! What we say of webhooks and SMPP, judged by clients that others wrote: `standardwebhooks` of
//! PyPI and npm, `smpplib` of PyPI, `smpp` of npm.

use std::net::SocketAddr;

use load_tests::peer::smsc::wire::{self, DELIVER_SM};
use serde_json::{Value, json};

use crate::hook::{Heard, Hook};
use crate::scripted::{Polite, Scripted, Submit};
use crate::tools::Judges;
use crate::world::{Org, World};

const WEBHOOKS: &str = "/api/v1/webhooks";
const ACCOUNTS: &str = "/api/v1/smpp/accounts";
pub(crate) const PERSON: &str = "14155550123";
/// A number of the organization.
pub(crate) const OURS: &str = "14155550100";
pub(crate) const HEARD_SHORT: &str = "Yes, gladly";
pub(crate) const HEARD_LONG: &str = "I shall come, if it does not rain; if it rains I shall come all the \
    same, but later, with an umbrella and with dry shoes, and I shall bring my own tea, so that you \
    need not wait for me in the rain.";
pub(crate) const WIDE: &str = "Привет, мир 👋";
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

    /// What the handset wrote came whole, from it and to the organization's number.
    fn heard(&self) {
        let mut parts: Vec<&Value> = self.all("inbound").iter().map(|f| &f["inbound"]).collect();
        let addresses = |part: &&Value| part["from"] == PERSON && part["to"] == OURS;
        assert!(parts.iter().all(addresses), "{parts:?}");
        parts.sort_by_key(|part| part["udh"].as_str().unwrap_or_default().to_owned());
        let text = |part: &&Value| part["text"].as_str().expect("a text").to_owned();
        let (long, mut whole): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| part["udh"].is_string());
        assert_eq!(long.len(), 2, "{long:?}");
        assert_eq!(long.iter().map(text).collect::<String>(), HEARD_LONG);
        whole.sort_by_key(text);
        let whole: Vec<(String, &Value)> =
            whole.iter().map(|part| (text(part), &part["data_coding"])).collect();
        let wanted = [(HEARD_SHORT, json!(0)), (WIDE, json!(8))];
        let wanted: Vec<_> = wanted.iter().map(|(text, n)| ((*text).to_owned(), n)).collect();
        assert_eq!(whole, wanted);
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

/// A switch with a carrier that delivers for one organization, and a door for its ESMEs.
pub(crate) struct Switch {
    pub(crate) world: World,
    pub(crate) carrier: Scripted,
    pub(crate) org: Org,
}

impl Switch {
    pub(crate) async fn new(name: &str) -> Self {
        let mut polite = Polite::default();
        let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
        let mut world = World::new(name);
        world.set("smpp.bind", "\"127.0.0.1:0\"");
        let org = world.org("Bound", "10").await;
        world.carrier("main", carrier.address, &format!("organization = \"{}\"", org.id));
        Self { world, carrier, org }
    }

    /// A handset writes to the organization: once in letters, once in two parts, once in UCS-2.
    /// The carrier has all of it acknowledged.
    pub(crate) async fn is_written_to(&self) {
        let wide: Vec<u8> = WIDE.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let (first, second) = HEARD_LONG.split_at(HEARD_LONG.len() / 2);
        let part = |number: u8, text: &str| [&[5, 0, 3, 7, 2, number], text.as_bytes()].concat();
        let texts: [(u8, u8, Vec<u8>); 4] = [
            (0, 0, HEARD_SHORT.as_bytes().to_vec()),
            (0x40, 0, part(1, first)),
            (0x40, 0, part(2, second)),
            (0, 8, wide),
        ];
        let answers = self.carrier.seen(DELIVER_SM | wire::RESPONSE).len();
        let mut out = Vec::new();
        for (sequence, (esm_class, data_coding, text)) in (900..).zip(&texts) {
            wire::put(&mut out, DELIVER_SM, wire::OK, sequence, |out| {
                out.extend_from_slice(b"\0\x01\x01");
                out.extend_from_slice(PERSON.as_bytes());
                out.extend_from_slice(b"\0\x01\x01");
                out.extend_from_slice(OURS.as_bytes());
                out.extend_from_slice(&[0, *esm_class, 0, 0, 0, 0, 0, 0, *data_coding, 0]);
                out.push(u8::try_from(text.len()).expect("one part"));
                out.extend_from_slice(text);
            });
        }
        self.carrier.inject(&out);
        let acks = self.carrier.sees(DELIVER_SM | wire::RESPONSE, answers + texts.len()).await;
        assert!(acks.iter().all(|ack| ack.header.status == 0), "{acks:?}");
    }

    /// Where customers bind, as the log says.
    pub(crate) fn door(&self) -> SocketAddr {
        self.world.door()
    }

    async fn ask(
        &self,
        judges: &Judges,
        (system_id, password): (&str, &str),
        (receipts, inbound, messages): (u64, u64, Value),
    ) -> Saw {
        let door = self.door();
        let asked = json!({
            "host": door.ip().to_string(), "port": door.port(), "system_id": system_id,
            "password": password, "receipts": receipts, "inbound": inbound, "messages": messages,
        });
        Saw(judges.ask(&self.world.scratch, "esme", &asked).await)
    }

    /// What reached the carrier in UCS-2, or in the default alphabet.
    pub(crate) fn carried(&self, wide: bool) -> Vec<Submit> {
        let submits = self.carrier.submits().into_iter();
        submits.filter(|submit| (submit.data_coding == 8) == wide).collect()
    }
}

fn message(name: &str, to: &str, text: &str) -> Value {
    json!({"name": name, "from": "Orbit", "to": to, "text": text})
}

pub(crate) fn joined(mut parts: Vec<Submit>) -> String {
    parts.sort_by_key(|part| part.udh().last().copied());
    parts.iter().map(Submit::text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_pypi_sends_and_has_its_receipts() {
    let Some(judges) = Judges::python().await else { return };
    let mut switch = Switch::new("judge-smpp-py").await;
    switch.world.serve().await;
    switch.world.bound("main", 1).await;
    let mut http = switch.world.http(&switch.org.key);
    let made = http.post(ACCOUNTS, &json!({"system_id": "judge"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let password = made.data()["password"].as_str().expect("a password").to_owned();

    let wrong = switch.ask(&judges, ("judge", "wrong"), (0, 0, json!([]))).await;
    assert_eq!((wrong.one("bind"), wrong.0.len()), (Some(INVALID_PASSWORD), 1), "{:?}", wrong.0);
    let nobody = switch.ask(&judges, ("nobody", &password), (0, 0, json!([]))).await;
    assert_eq!(nobody.one("bind"), Some(INVALID_SYSTEM_ID), "{:?}", nobody.0);

    let stop = json!({"address": format!("+{STOPPED}"), "reason": "STOP"});
    let stop = http.post("/api/v1/compliance/suppression-list", &stop).await;
    assert_eq!(stop.status, 201, "{}", stop.text);
    let long: String = (0..60).map(|number| format!("part {number}, ")).collect();
    let messages = json!([
        message("short", PERSON, "Hello [you], it is 5 o'clock"),
        message("long", PERSON, &long),
        message("wide", PERSON, WIDE),
        message("stopped", STOPPED, "An offer"),
    ]);
    switch.is_written_to().await;
    let saw = switch.ask(&judges, ("judge", &password), (6, 4, messages)).await;
    assert_eq!((saw.one("bind"), saw.one("unbind")), (Some(0), Some(0)), "{:?}", saw.0);
    let (short, long_ids, wide) = (saw.ids("short"), saw.ids("long"), saw.ids("wide"));
    assert_eq!((short.len(), long_ids.len(), wide.len()), (1, 4, 1), "{:?}", saw.0);
    saw.delivered(&[short, long_ids, wide].concat());
    saw.heard();
    let refused = saw.all("submit").into_iter().find(|fact| fact["submit"] == "stopped");
    assert_eq!(refused.map(|fact| &fact["status"]), Some(&json!(OPTED_OUT)), "{:?}", saw.0);

    let texts = switch.carried(false);
    let (parts, whole): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!(joined(parts), long);
    assert_eq!(joined(switch.carried(true)), WIDE);
    assert_eq!(whole.len(), 1, "what was refused reaches nobody: {whole:?}");
    assert_eq!(http.count("status=delivered").await, 6);
    assert_eq!(http.count("direction=outbound").await, 6);
    let shown = http.get(&format!("{ACCOUNTS}/{}", made.id())).await;
    assert!(!shown.text.contains(&password), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smpp_library_of_npm_sends_and_has_its_receipts() {
    let Some(judges) = Judges::node().await else { return };
    let mut switch = Switch::new("judge-smpp-js").await;
    let id = switch.org.id.clone();
    let add = ["smpp", "add", "--json", "--organization", &id, "--system-id", "judge"];
    let made = switch.world.orbit(&add).await.json();
    let password = made["password"].as_str().expect("a password").to_owned();
    switch.world.serve().await;
    switch.world.bound("main", 1).await;

    let wrong = switch.ask(&judges, ("judge", "wrong"), (0, 0, json!([]))).await;
    assert_eq!((wrong.one("bind"), wrong.0.len()), (Some(INVALID_PASSWORD), 1), "{:?}", wrong.0);
    let long: String = (0..60).map(|number| format!("part {number}, ")).collect();
    let wide_long = format!("{WIDE} ").repeat(12);
    let messages = json!([
        message("short", PERSON, "Hello"),
        message("long", PERSON, &long),
        message("wide", PERSON, WIDE),
        message("wide long", PERSON, &wide_long),
    ]);
    switch.is_written_to().await;
    let saw = switch.ask(&judges, ("judge", &password), (4, 4, messages)).await;
    assert_eq!((saw.one("bind"), saw.one("unbind")), (Some(0), Some(0)), "{:?}", saw.0);
    let ids = ["short", "long", "wide", "wide long"].map(|name| saw.ids(name));
    assert!(ids.iter().all(|ids| ids.len() == 1), "{:?}", saw.0);
    saw.delivered(&ids.concat());
    saw.heard();
    let texts = switch.carried(false);
    let (parts, whole): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!((joined(whole), joined(parts)), (String::from("Hello"), long));
    let (parts, whole): (Vec<_>, Vec<_>) =
        switch.carried(true).into_iter().partition(|submit| !submit.udh().is_empty());
    assert_eq!((joined(whole), joined(parts)), (WIDE.to_owned(), wide_long));
    assert_eq!(switch.world.http(&switch.org.key).count("status=delivered").await, 4);
}
