//! Two organizations: every reading operation of the served document, with the other's ids.

use std::net::SocketAddr;

use load_tests::peer::smsc::SmscOptions;
use load_tests::process::free_port;
use serde_json::{Value, json};

use crate::calls::declined;
use crate::carriers::smsc;
use crate::http::Http;
use crate::phones::Credential;
use crate::world::{World, wait_until};

/// What a stranger may have heard of an organization's.
struct Theirs {
    cursor: String,
    batch_id: String,
    call: String,
    event: String,
}

impl Theirs {
    /// What a reading operation is given for a parameter of its query.
    fn value<'a>(&'a self, path: &str, name: &str, message: &'a str) -> &'a str {
        match name {
            "cursor" => &self.cursor,
            "batch_id" => &self.batch_id,
            "call_id" => &self.call,
            "resource_id" if message.starts_with("msg_") => message,
            "resource_id" => "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00",
            "to" | "address" | "identifier" | "phone" => "%2B14155550123",
            "from" => "Orbit",
            "status" => "delivered",
            "direction" => "outbound",
            "channel" | "scope" => "sms",
            "type" => "message.*",
            "country" | "country_code" => "US",
            "capabilities" => "voice",
            "area_code" => "415",
            "contains" | "search" => "555",
            "format" => "json",
            "timezone_override" => "America/New_York",
            "consent_date" => "2026-01-31",
            "limit" => "200",
            "name" => "theirs",
            "created_after" | "ended_after" | "after" => "2020-01-01T00:00:00Z",
            "created_before" | "ended_before" | "before" => "2100-01-01T00:00:00Z",
            other => panic!("{path}: say what {other} should be"),
        }
    }
}

async fn telephone(http: &mut Http) -> Credential {
    let made = http.post("/api/v1/sip-credentials", &json!({"label": "theirs"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = |name: &str| made.data()[name].as_str().expect("a text").to_owned();
    Credential {
        user: text("sip_username"),
        password: text("sip_password"),
        realm: text("sip_server"),
    }
}

#[tokio::test]
async fn no_reading_operation_shows_what_is_anothers() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("tenants");
    world.carrier("main", carrier.address, "");
    let owner = world.org("Owner", "7").await;
    let other = world.org("Other", "3").await;
    let sip = SocketAddr::from(([127, 0, 0, 1], free_port().expect("a port")));
    world.set("sip.bind", &format!("\"{sip}\""));
    world.set("media.bind", "\"127.0.0.1\"");
    world.set("media.networks", "[\"127.0.0.0/8\"]");
    world.serve().await;
    let mut owners = world.http(&owner.key);
    let batch = json!({
        "channel": "sms", "from": "Orbit", "body": "between us",
        "recipients": [{"to": "+14155550123"}, {"to": "+14155550124"}],
    });
    let reply = owners.post("/api/v1/messages/batch", &batch).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let batch_id = reply.data()["batch_id"].as_str().expect("a batch").to_owned();
    let results = reply.data()["results"].as_array().expect("results").clone();
    let mut ids: Vec<String> = results
        .iter()
        .map(|result| result["message_id"].as_str().expect("an id").to_owned())
        .collect();
    for id in &ids {
        owners.becomes(id, "delivered").await;
    }
    let pool = json!({"name": "secretly", "senders": [{"value": "Secret"}]});
    let reply = owners.post("/api/v1/messaging/sender-pools", &pool).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    ids.push(reply.id());
    let added = world.orbit(&["number", "add", "--monthly-usd", "0", "+14155550100"]).await;
    assert_eq!(added.code, Some(0), "{}{}", added.out, added.err);
    let number = json!({"phone_number": "+14155550100"});
    let number = owners.post("/api/v1/numbers/purchase", &number).await;
    assert_eq!(number.status, 201, "{}", number.text);
    let routing = format!("/api/v1/numbers/{}/routing", number.id());
    let put = owners.put(&routing, &json!({"type": "proxy"})).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let parties = json!({"party_a": "+14155550177", "party_b": "+14155550178"});
    let session = owners.post("/api/v1/proxy/sessions", &parties).await;
    assert_eq!(session.status, 201, "{}", session.text);
    ids.extend([number.id(), session.id()]);
    let telephones = [telephone(&mut owners).await, telephone(&mut owners).await];
    declined(sip, &telephones).await;
    let mut calls = Vec::new();
    let is_there = wait_until(async || {
        calls = owners.all("/api/v1/voice/calls").await;
        calls.len() == 1
    });
    assert!(is_there.await, "{calls:?}");
    let call = calls[0]["id"].as_str().expect("a call").to_owned();
    ids.push(call.clone());
    let page = owners.get("/api/v1/messages?limit=1").await;
    let cursor = page.json["meta"]["pagination"]["cursor"].as_str().expect("more").to_owned();
    let transactions = owners.all("/api/v1/billing/transactions").await;
    let mut secrets = vec![
        owner.id.clone(),
        batch_id.clone(),
        String::from("between us"),
        String::from("secretly"),
        String::from("+14155550100"),
        String::from("+14155550177"),
    ];
    secrets.extend(ids.iter().cloned());
    secrets.extend(transactions.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)));

    let event = owners.all("/api/v1/events").await[0]["id"].as_str().expect("an id").to_owned();
    let theirs = Theirs { cursor, batch_id, call, event };

    let mut others = world.http(&other.key);
    // A gate that is off answers nobody.
    let on = json!({"dnc": {"enabled": true}, "rnd": {"enabled": true}});
    let gates = others.put("/api/v1/compliance/policies", &on).await;
    assert_eq!(gates.status, 200, "{}", gates.text);
    let document = others.get("/openapi.json").await.json;
    let paths = document["paths"].as_object().expect("paths");
    let mut walked = 0;
    for (path, item) in paths {
        let operation = &item["get"];
        if operation.is_null() {
            continue;
        }
        walked += 1;
        if path.ends_with("/stream") {
            let resumed = format!("{path}?last_event_id={}", theirs.event);
            let followed = format!("{path}?type=message.*&resource_id={}", ids[0]);
            for (path, until) in [(resumed, "unknown_id"), (followed, "retry:")] {
                let told = others.streamed(&path, until).await;
                let hidden = secrets.iter().all(|secret| !told.contains(secret.as_str()));
                assert!(hidden && told.starts_with("HTTP/1.1 200"), "{path}: {told}");
            }
            continue;
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of = |place: &str| {
            let named = parameters.iter().filter(|one| one["in"] == place);
            named.filter_map(|one| one["name"].as_str()).collect::<Vec<_>>()
        };
        let in_path = of("path");
        for id in &ids {
            let path = in_path
                .iter()
                .fold(path.clone(), |path, name| path.replace(&format!("{{{name}}}"), id));
            let required = parameters.iter().filter(|one| one["required"] == true);
            let required = required.filter(|one| one["in"] == "query");
            let required: Vec<&str> = required.filter_map(|one| one["name"].as_str()).collect();
            let told = |name: &str| format!("{name}={}", theirs.value(&path, name, id));
            let needed: Vec<String> = required.iter().map(|name| told(name)).collect();
            let needed = needed.join("&");
            let path = if needed.is_empty() { path } else { format!("{path}?{needed}") };
            let plain = others.get(&path).await;
            let hidden = secrets.iter().all(|secret| !plain.text.contains(secret.as_str()));
            assert!(hidden, "{path}: {}", plain.text);
            if in_path.is_empty() {
                assert_eq!(plain.status, 200, "{path}: {}", plain.text);
            } else {
                assert_eq!(plain.status, 404, "{path}");
                assert!(plain.code().ends_with("NOT_FOUND"), "{path}: {}", plain.text);
                continue;
            }
            for name in of("query").into_iter().filter(|name| !required.contains(name)) {
                let value = theirs.value(&path, name, id);
                let sign = if path.contains('?') { '&' } else { '?' };
                let reply = others.get(&format!("{path}{sign}{name}={value}")).await;
                let hidden = secrets.iter().all(|secret| !reply.text.contains(secret.as_str()));
                assert!(hidden, "{path}?{name}: {}", reply.text);
                if name == "cursor" {
                    assert_eq!(reply.code(), "INVALID_CURSOR", "{path}: {}", reply.text);
                } else {
                    let empty = reply
                        .data()
                        .as_array()
                        .is_none_or(|list| list.iter().all(|one| one["type"] == "top_up"));
                    assert!(empty, "{path}?{name}: {}", reply.text);
                }
            }
        }
    }
    assert!(walked >= 5, "{walked} reading operations");
    assert_eq!(others.balance().await, (3_000_000, 0));
    let total = others.get("/api/v1/messages").await.json["meta"]["pagination"]["total"].clone();
    assert_eq!(total, Value::from(0));
}
