//! Sender pools from the command line to the carrier: turns, carriers, and caps that hold for many
//! connections at once and across a kill.

use std::collections::BTreeMap;
use std::time::Duration;

use load_tests::peer::smsc::wire;
use model::clock::At;
use serde_json::json;
use tokio::task::JoinSet;

use crate::carriers::number;
use crate::esme::{Esme, Submit};
use crate::scripted::{Polite, Scripted};
use crate::world::{Org, World, wait_until};

const SMS: &str = "/api/v1/messages/sms";
const QUERY_SM: u32 = 0x03;
const INVALID_SOURCE: u32 = 0x0A;
/// Of the vendor's range: a cap is reached.
const CAPPED: u32 = 0x403;

/// A carrier that takes and delivers all, and remembers it.
fn polite() -> Scripted {
    let mut polite = Polite::default();
    Scripted::start(move |pdu, out| polite.does(pdu, out))
}

/// Sends by a pool on so many connections at once; how many were taken, by sender.
async fn send_at_once(
    world: &World,
    org: &Org,
    pool: &str,
    count: usize,
) -> BTreeMap<String, usize> {
    let mut sends = JoinSet::new();
    for at in 0..count {
        let mut http = world.http(&org.key);
        let body = json!({"to": number(at), "body": "hello", "sender_pool_id": pool});
        sends.spawn(async move { http.post(SMS, &body).await });
    }
    let mut taken = BTreeMap::new();
    for reply in sends.join_all().await {
        if reply.status == 202 {
            let from = reply.data()["from"].as_str().expect("a sender").to_owned();
            *taken.entry(from).or_insert(0) += 1;
        } else {
            assert_eq!(
                (reply.status, reply.code()),
                (422, "SENDER_POOL_EXHAUSTED"),
                "{}",
                reply.text
            );
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_holds_its_caps_and_its_carriers_whatever_happens() {
    let (main, second) = (polite(), polite());
    let mut world = World::new("pools");
    world.carrier("main", main.address, "priority = 9");
    world.carrier("second", second.address, "priority = 1");
    let org = world.org("Pooled", "10").await;
    let in_org = ["--json", "--organization", &org.id];
    let senders = "senders=[{\"value\": \"One\", \"daily_cap\": 9}, \
        {\"value\": \"+14155550101\", \"daily_cap\": 20}]";
    let add =
        [&["pool", "add"][..], &in_org[..], &["numbers", "strategy=round_robin", senders]].concat();
    let made = world.orbit(&add).await.json();
    let pool = made["id"].as_str().expect("an id").to_owned();
    let set = [&["pool", "set"][..], &in_org[..], &["numbers", "carrier_ids=second"]].concat();
    let refused = world.orbit(&set).await;
    assert_ne!(refused.code, Some(0), "nobody knows the carriers: {refused:?}");

    world.serve().await;
    world.bound("main", 1).await;
    world.bound("second", 1).await;
    assert_eq!(world.orbit(&set).await.json()["carrier_ids"], json!(["second"]));
    let taken = send_at_once(&world, &org, &pool, 64).await;
    let expected = BTreeMap::from([(String::from("+14155550101"), 20), (String::from("One"), 9)]);
    assert_eq!(taken, expected);
    let arrived = wait_until(async || second.submits().len() == 29).await;
    assert!(arrived, "{} of 29", second.submits().len());
    let mut sources = BTreeMap::new();
    for submit in second.submits() {
        *sources.entry(submit.source.clone()).or_insert(0) += 1;
    }
    assert_eq!(
        sources,
        BTreeMap::from([(String::from("14155550101"), 20), (String::from("One"), 9)])
    );
    assert!(main.submits().is_empty(), "only by the carrier that the pool names");

    world.kill();
    world.serve().await;
    assert_eq!(send_at_once(&world, &org, &pool, 16).await, BTreeMap::new(), "the caps hold still");
    let show = [&["pool", "show"][..], &in_org[..], &["numbers"]].concat();
    let shown = world.orbit(&show).await.json();
    assert_eq!(shown["senders"][0]["used_today"], 9, "{shown}");
    let raise = "senders=[{\"value\": \"One\", \"daily_cap\": 12}]";
    let set = [&["pool", "set"][..], &in_org[..], &["numbers", raise, "carrier_ids=null"]].concat();
    assert_eq!(world.orbit(&set).await.json()["carrier_ids"], json!([]));
    world.bound("main", 1).await;
    let taken = send_at_once(&world, &org, &pool, 16).await;
    assert_eq!(taken, BTreeMap::from([(String::from("One"), 3)]));
    assert!(wait_until(async || main.submits().len() == 3).await, "any carrier again");

    let list = [&["pool", "list"][..], &in_org[..]].concat();
    assert_eq!(world.orbit(&list).await.json().as_array().expect("a list").len(), 1);
    let unknown = [&["pool", "set"][..], &in_org[..], &["numbers", "colour=red"]].concat();
    let refused = world.orbit(&unknown).await;
    assert!(refused.err.contains("no field colour"), "{refused:?}");
    let remove = [&["pool", "remove"][..], &in_org[..], &["numbers"]].concat();
    assert_eq!(world.orbit(&remove).await.json()["removed"], true);
    let mut http = world.http(&org.key);
    let body = json!({"to": number(1), "body": "hello", "sender_pool_id": pool});
    assert_eq!(http.post(SMS, &body).await.code(), "VALIDATION_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_goes_from_the_sender_its_pool_chooses_then() {
    let carrier = polite();
    let mut world = World::new("pools-later");
    world.carrier("main", carrier.address, "");
    world.set("schedules.lead_min_s", "1");
    let org = world.org("Later", "1").await;
    world.serve().await;
    world.bound("main", 1).await;
    let mut http = world.http(&org.key);
    let pool = json!({"name": "later", "senders": [{"value": "One"}, {"value": "Two"}]});
    let made = http.post("/api/v1/messaging/sender-pools", &pool).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let pool = made.data()["id"].clone();
    let at = At::now().plus(Duration::from_secs(2)).iso();
    let body =
        json!({"to": number(1), "body": "later", "sender_pool_id": pool, "scheduled_at": at});
    let id = http.send(&body).await;
    assert_eq!(http.message(&id).await["from"], json!(null));
    let told = http.becomes(&id, "delivered").await;
    assert_eq!((&told["from"], &told["sender_pool_id"]), (&json!("One"), &pool), "{told}");
    assert_eq!(carrier.submits()[0].source, "One");
}

/// What query_sm for a message, from this source, is answered.
async fn queried(esme: &mut Esme, id: &str, source: (u8, &str)) -> u32 {
    let mut out = Vec::new();
    wire::put(&mut out, QUERY_SM, wire::OK, 77, |out| {
        out.extend_from_slice(format!("{id}\0").as_bytes());
        out.extend_from_slice(&[source.0, 0]);
        out.extend_from_slice(format!("{}\0", source.1).as_bytes());
    });
    esme.write(&out).await;
    loop {
        let (header, _) = esme.next().await.expect("an answer");
        if header.command == QUERY_SM | wire::RESPONSE {
            return header.status;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sends_by_its_pool_what_names_no_sender() {
    let carrier = polite();
    let mut world = World::new("pools-smpp");
    world.set("smpp.bind", "\"127.0.0.1:0\"");
    world.carrier("main", carrier.address, "");
    let org = world.org("Pooled", "1").await;
    world.serve().await;
    world.bound("main", 1).await;
    let mut http = world.http(&org.key);
    let pool = json!({"name": "turns", "senders": [
        {"value": "One", "daily_cap": 1}, {"value": "+14155550101", "daily_cap": 2}]});
    let made = http.post("/api/v1/messaging/sender-pools", &pool).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let pool = made.id();
    let named = format!("default_sender_pool_id={pool}");
    let add = ["smpp", "add", "--json", "--organization", &org.id, "--system-id", "acme"];
    let add = [&add[..], &["--password", "acmeacme", &named, "allowed_senders=Named"]].concat();
    world.orbit(&add).await.json();
    let shown = world.orbit(&["smpp", "show", "acme", "--json"]).await.json();
    assert_eq!(shown["default_sender_pool_id"], pool.as_str(), "{shown}");
    let mut esme = Esme::bound(world.door(), "acme", "acmeacme").await;
    let submit = |text: &'static str, source| Submit {
        text: text.as_bytes(),
        source,
        registered: 1,
        ..Submit::default()
    };
    let empty = (0, "");

    let mut ids = Vec::new();
    for (sequence, text) in [(2, "first"), (3, "second")] {
        let (status, id) = esme.submits(sequence, &submit(text, empty)).await;
        assert_eq!(status, wire::OK, "{text}");
        ids.push(id);
        let (_, body) = esme.brought().await;
        let receipt = crate::scripted::Submit::parse(&body);
        // The receipt goes to the sender that was chosen, typed as what it is.
        let (ton, sender) = [(5, "One"), (1, "14155550101")][sequence as usize - 2];
        assert_eq!(receipt.destination, sender, "{text}");
        let typed = [&[ton, u8::from(ton == 1)], sender.as_bytes(), b"\0"].concat();
        assert!(body.windows(typed.len()).any(|part| part == typed), "{text}: {body:?}");
    }
    let mut sources: Vec<String> = carrier.submits().into_iter().map(|s| s.source).collect();
    sources.sort();
    assert_eq!(sources, ["14155550101", "One"], "in turn");
    let listed = http.get("/api/v1/messages?limit=1").await;
    let newest = &listed.data()[0];
    assert_eq!(
        (&newest["from"], &newest["sender_pool_id"]),
        (&json!("+14155550101"), &json!(pool)),
        "{newest}"
    );
    for source in [empty, (1, "14155550101")] {
        assert_eq!(queried(&mut esme, &ids[1], source).await, wire::OK, "{source:?}");
    }
    assert_eq!(queried(&mut esme, &ids[1], (5, "One")).await, INVALID_SOURCE);

    // Who names a sender has that one, if it may; the pool is not asked.
    assert_eq!(esme.submits(4, &submit("named", (5, "Named"))).await.0, wire::OK);
    assert_eq!(esme.submits(5, &submit("else", (5, "Else"))).await.0, INVALID_SOURCE);
    assert_eq!(esme.submits(6, &submit("third", empty)).await.0, wire::OK);
    assert_eq!(esme.submits(7, &submit("over", empty)).await.0, CAPPED, "all caps are reached");

    let remove = ["pool", "remove", "--json", "--organization", &org.id, "turns"];
    assert_eq!(world.orbit(&remove).await.json()["removed"], true);
    assert_eq!(esme.submits(8, &submit("gone", empty)).await.0, INVALID_SOURCE);
    assert_eq!(queried(&mut esme, &ids[1], (1, "14155550101")).await, wire::OK);
    assert_eq!(http.count("direction=outbound").await, 4, "what was refused is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_pool_chooses_for_a_later_message_when_its_time_comes() {
    let carrier = polite();
    let mut world = World::new("pools-smpp-later");
    world.set("smpp.bind", "\"127.0.0.1:0\"");
    world.carrier("main", carrier.address, "");
    let org = world.org("Later", "1").await;
    world.serve().await;
    world.bound("main", 1).await;
    let mut http = world.http(&org.key);
    let pool = json!({"name": "later", "senders": [{"value": "One"}]});
    let made = http.post("/api/v1/messaging/sender-pools", &pool).await;
    let account = json!({"system_id": "acme", "password": "acmeacme",
        "default_sender_pool_id": made.id()});
    assert_eq!(http.post("/api/v1/smpp/accounts", &account).await.status, 201);
    let mut esme = Esme::bound(world.door(), "acme", "acmeacme").await;
    let later = Submit {
        source: (0, ""),
        schedule: "000000000002000R",
        registered: 1,
        ..Submit::default()
    };
    let (status, id) = esme.submits(2, &later).await;
    assert_eq!(status, wire::OK);
    assert_eq!(queried(&mut esme, &id, (0, "")).await, wire::OK);
    assert_eq!(queried(&mut esme, &id, (5, "One")).await, INVALID_SOURCE, "none is chosen yet");
    let (_, body) = esme.brought().await;
    assert_eq!(crate::scripted::Submit::parse(&body).destination, "One");
    assert_eq!(queried(&mut esme, &id, (5, "One")).await, wire::OK);
}
