//! Carriers made and changed while the switch runs: by an organization over REST, and by the
//! operator on the command line. Others' binds stay as they are, seen from the carrier's side.

use std::net::SocketAddr;

use load_tests::peer::smsc::{ReceiptBind, Smsc, SmscOptions};
use serde_json::{Value, json};

use crate::carriers::smsc;
use crate::http::Http;
use crate::world::{Org, PASSWORD, World, wait_until};

const CREDENTIALS: &str = "/api/v1/messaging/smpp/credentials";
const CARRIERS: &str = "/api/v1/messaging/smpp/carriers";

/// A switch with a neighbour among its settings, and a client who may bind to this machine.
async fn world(name: &str, neighbour: &Smsc) -> (World, Org) {
    let mut world = World::new(name);
    world.set("smpp.carrier_networks", "[\"127.0.0.0/8\"]");
    world.carrier("neighbour", neighbour.address, "default_sender = \"Orbit\"");
    let org = world.org(name, "10").await;
    world.serve().await;
    world.bound("neighbour", 1).await;
    (world, org)
}

async fn made(http: &mut Http, path: &str, said: &Value) -> String {
    let reply = http.post(path, said).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.id()
}

/// A credential to this SMSC, and a carrier that binds with it; their ids.
async fn carrier(http: &mut Http, at: SocketAddr, more: Value) -> (String, String) {
    let mut said = json!({
        "host": at.ip().to_string(), "port": at.port(), "system_id": "orbit", "password": PASSWORD,
    });
    let more = more.as_object().expect("fields").clone();
    said.as_object_mut().expect("fields").extend(more);
    let credential = made(http, CREDENTIALS, &said).await;
    let carrier = made(http, CARRIERS, &json!({"credential_id": credential})).await;
    (credential, carrier)
}

async fn stands(world: &World, http: &mut Http, credential: &str, status: &str) -> Value {
    let path = format!("{CREDENTIALS}/{credential}/status");
    let mut last = Value::Null;
    let so = wait_until(async || {
        last = http.get(&path).await.data().clone();
        last["status"] == status
    });
    assert!(so.await, "not {status}: {last}\n{}", world.last_words());
    last
}

async fn patch(http: &mut Http, path: &str, said: &Value) -> Value {
    let body = said.to_string();
    let request = http.request("PATCH", path, &[], body.as_bytes());
    let reply = http.raw(&request).await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.data().clone()
}

async fn deleted(http: &mut Http, path: &str) -> u16 {
    let request = http.request("DELETE", path, &[], b"");
    http.raw(&request).await.expect("an answer").status
}

#[tokio::test]
async fn a_carrier_comes_changes_and_goes_and_its_neighbour_does_not_notice() {
    let (neighbour, own) = (smsc(SmscOptions::default()), smsc(SmscOptions::default()));
    let (mut world, org) = world("by-api", &neighbour).await;
    let mut http = world.http(&org.key);
    let (credential, id) = carrier(&mut http, own.address, json!({})).await;
    let standing = stands(&world, &mut http, &credential, "bound").await;
    assert_eq!(standing["carrier_id"], json!(id));
    assert_eq!(standing["binds"][0]["type"], "transceiver");
    let message = http.text("+14155550001", "by our own").await;
    http.becomes(&message, "delivered").await;
    assert_eq!((own.stats().submits, neighbour.stats().submits), (1, 0));

    // What only routing looks at leaves the bind as it is.
    let path = format!("{CARRIERS}/{id}");
    patch(&mut http, &path, &json!({"prefixes": ["44"], "default_sender": "Acme"})).await;
    let message = http.text("+14155550002", "not by our own").await;
    http.becomes(&message, "delivered").await;
    assert_eq!((own.stats().submits, neighbour.stats().submits), (1, 1));
    assert_eq!((own.stats().connections, own.stats().unbinds), (1, 0));

    // What the bind goes by makes it anew.
    patch(&mut http, &path, &json!({"prefixes": null})).await;
    let there = format!("{CREDENTIALS}/{credential}");
    patch(&mut http, &there, &json!({"window_size": 3, "connections": 2})).await;
    let again = wait_until(async || own.stats().binds == 3 && own.stats().unbinds == 1);
    assert!(again.await, "{:?}\n{}", own.stats(), world.last_words());
    let message = http.text("+14155550003", "by our own again").await;
    http.becomes(&message, "delivered").await;
    assert_eq!(own.stats().submits, 2);

    let off = patch(&mut http, &path, &json!({"enabled": false})).await;
    assert_eq!(off["enabled"], false);
    let gone = wait_until(async || own.stats().unbinds == 3);
    assert!(gone.await, "{:?}\n{}", own.stats(), world.last_words());
    stands(&world, &mut http, &credential, "disabled").await;
    let message = http.text("+14155550004", "by the platform's").await;
    http.becomes(&message, "delivered").await;
    assert_eq!(neighbour.stats().submits, 2);

    // It is there after the end of the process, and so is its password, sealed.
    patch(&mut http, &path, &json!({"enabled": true})).await;
    stands(&world, &mut http, &credential, "bound").await;
    let stats = neighbour.stats();
    assert_eq!((stats.connections, stats.binds, stats.unbinds), (1, 1, 0), "it saw nothing");
    world.kill();
    for file in ["data/orbit.db", "data/orbit.db-wal", "orbit.log"] {
        let octets = std::fs::read(world.scratch.file(file)).unwrap_or_default();
        let told = octets.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        assert!(!told, "{file}");
    }
    world.serve().await;
    let mut http = world.http(&org.key);
    stands(&world, &mut http, &credential, "bound").await;

    let mut told = Value::Null;
    let up = wait_until(async || {
        told = http.get("/api/v1/events?type=smpp.bind_up").await.data().clone();
        told.as_array().is_some_and(|told| !told.is_empty())
    });
    assert!(up.await, "{}", world.last_words());
    assert_eq!(told[0]["data"]["carrier_id"], json!(id), "{told}");
    assert_eq!(deleted(&mut http, &there).await, 409);
    assert_eq!(deleted(&mut http, &path).await, 204);
    assert_eq!(deleted(&mut http, &there).await, 204);
    let message = http.text("+14155550005", "by the platform's").await;
    http.becomes(&message, "delivered").await;
}

#[tokio::test]
async fn a_pair_sends_by_one_bind_and_hears_by_the_other() {
    let neighbour = smsc(SmscOptions::default());
    let own = smsc(SmscOptions { receipt_bind: ReceiptBind::Other, ..SmscOptions::default() });
    let (world, org) = world("pair", &neighbour).await;
    let mut http = world.http(&org.key);
    let pair = json!({"bind_mode": "transmitter_receiver"});
    let (credential, _) = carrier(&mut http, own.address, pair).await;
    let standing = stands(&world, &mut http, &credential, "bound").await;
    let kinds: Vec<&str> = standing["binds"]
        .as_array()
        .expect("binds")
        .iter()
        .map(|bind| bind["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(kinds, ["transmitter", "receiver"]);
    let mut ids = Vec::new();
    for at in 0..50 {
        ids.push(http.text(&crate::carriers::number(at), &format!("pair {at}")).await);
    }
    for id in ids {
        http.becomes(&id, "delivered").await;
    }
    let stats = own.stats();
    assert_eq!((stats.submits, stats.binds, stats.receipts_acked), (50, 2, 50), "{stats:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_another_one_binds_at_once() {
    let neighbour = smsc(SmscOptions::default());
    let own = smsc(SmscOptions::default());
    let (world, org) = world("wrong", &neighbour).await;
    let mut http = world.http(&org.key);
    let wrong = json!({"password": "wrong"});
    let (credential, id) = carrier(&mut http, own.address, wrong).await;
    let standing = stands(&world, &mut http, &credential, "failed").await;
    let why = standing["last_error"].as_str().expect("a reason");
    assert!(why.contains("bind refused"), "{why}");
    let path = format!("{CREDENTIALS}/{credential}/rotate");
    assert_eq!(http.post(&path, &json!({"password": PASSWORD})).await.status, 200);
    stands(&world, &mut http, &credential, "bound").await;
    assert_eq!(own.stats().binds_refused, 1, "it was not tried again and again");
    let test = json!({"to": "+14155550009", "from": "Acme", "body": "a test"});
    let tested = http.post(&format!("{CARRIERS}/{id}/test"), &test).await;
    assert_eq!(tested.status, 202, "{}", tested.text);
    http.becomes(&tested.id(), "delivered").await;
    assert_eq!(own.stats().submits, 1);
}

#[tokio::test]
async fn the_operator_adds_tries_and_removes_a_carrier_of_the_platform() {
    let (neighbour, added) = (smsc(SmscOptions::default()), smsc(SmscOptions::default()));
    let mut world = World::new("operator");
    world.carrier("neighbour", neighbour.address, "default_sender = \"Orbit\"");
    let org = world.org("operator", "10").await;
    // Before anything runs, too.
    let (host, port) = (added.address.ip().to_string(), added.address.port().to_string());
    let add = ["carrier", "add", "upstream", "--json", "--host", &host, "--port", &port];
    let with = ["--system-id", "orbit", "--password", PASSWORD, "--set", "priority=9"];
    let made = world.orbit(&[&add[..], &with].concat()).await.json();
    assert_eq!(made["carrier"]["source"], "api", "{made}");
    assert!(!made.to_string().contains(PASSWORD));
    world.serve().await;
    world.bound("upstream", 1).await;
    let mut http = world.http(&org.key);
    let message = http.text("+14155550001", "by the added one").await;
    http.becomes(&message, "delivered").await;
    assert_eq!((added.stats().submits, neighbour.stats().submits), (1, 0));

    let off = world.orbit(&["carrier", "disable", "upstream", "--json"]).await.json();
    assert_eq!(off["carrier"]["enabled"], false);
    let message = http.text("+14155550002", "by the neighbour").await;
    http.becomes(&message, "delivered").await;
    assert_eq!(neighbour.stats().submits, 1);
    let test = ["carrier", "test", "upstream", "--organization", &org.id, "--to", "+14155550003"];
    assert_eq!(world.orbit(&test).await.code, Some(1), "it does not run");
    world.orbit(&["carrier", "enable", "upstream", "--json"]).await.json();
    let tested = world.orbit(&[&test[..], &["--from", "Orbit", "--json"]].concat()).await.json();
    let id = tested["message_id"].as_str().expect("an id");
    http.becomes(id, "delivered").await;
    assert_eq!(added.stats().submits, 2);

    let listed = world.orbit(&["carrier", "list", "--json"]).await.json();
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["neighbour", "upstream"]);
    let refused = world.orbit(&["carrier", "disable", "neighbour"]).await;
    assert!(refused.err.contains("MANAGED_BY_SETTINGS"), "{refused:?}");
    world.orbit(&["carrier", "remove", "upstream", "--json"]).await.json();
    let message = http.text("+14155550004", "by the neighbour").await;
    http.becomes(&message, "delivered").await;
    assert_eq!((neighbour.stats().connections, neighbour.stats().unbinds), (1, 0));
}
