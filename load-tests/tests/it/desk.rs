//! The operator's commands, with a switch running and without.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use load_tests::peer::smsc::SmscOptions;
use serde_json::Value;

use crate::carriers::smsc;
use crate::world::{PASSWORD, World, run, spawn, wait_until};

#[tokio::test]
async fn an_organization_is_made_with_and_without_a_running_switch() {
    let mut world = World::new("desk-org");
    let before = world.org("Before", "12.5").await;
    assert!(before.id.starts_with("org_") && before.key.starts_with("dv_live_sk_"), "{before:?}");
    world.serve().await;
    let after = world.org("After", "0.000001").await;
    assert_ne!(before.id, after.id);
    assert_eq!(world.http(&before.key).balance().await, (12_500_000, 0));
    assert_eq!(world.http(&after.key).balance().await, (1, 0));
    let listed = world.orbit(&["org", "list", "--json"]).await.json();
    let names = listed.as_array().expect("a list").iter().map(|row| row["name"].clone());
    assert_eq!(names.collect::<Vec<_>>().len(), 2, "{listed}");
    let socket = world.scratch.file("data/admin.sock");
    let mode = fs::metadata(socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bad = world.orbit(&["org", "create", "--name", "X", "--credit-usd", "-1"]).await;
    assert_ne!(bad.code, Some(0), "{bad:?}");
    let refused = world.orbit(&["org", "create", "--name", "", "--credit-usd", "1"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("name"), "{refused:?}");
}

#[tokio::test]
async fn keys_have_a_mode_and_scopes_and_are_revoked_at_once() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("desk-key");
    world.carrier("main", carrier.address, "");
    let org = world.org("Keys", "1").await;
    world.serve().await;
    let create = ["key", "create", "--json", "--organization", &org.id];
    let words = [&create[..], &["--mode", "test", "--scope", "messages:read"]].concat();
    let made = world.orbit(&words).await.json();
    let key = made["api_key"].as_str().expect("a key");
    assert!(key.starts_with("dv_test_sk_"), "{made}");
    let mut http = world.http(key);
    assert_eq!(http.get("/api/v1/messages").await.status, 200);
    let refused = http.get("/api/v1/billing/balance").await;
    assert_eq!((refused.status, refused.code()), (403, "INSUFFICIENT_PERMISSIONS"));
    let message = serde_json::json!({"to": "+14155550123", "from": "Orbit", "body": "x"});
    let refused = http.post("/api/v1/messages/sms", &message).await;
    assert_eq!((refused.status, refused.code()), (403, "INSUFFICIENT_PERMISSIONS"));

    let writing = [&create[..], &["--scope", "messages:write", "--scope", "messages:read"]];
    let made = world.orbit(&writing.concat()).await.json();
    let mut http = world.http(made["api_key"].as_str().expect("a key"));
    let id = made["key_id"].as_str().expect("an id");
    assert_eq!(http.get("/api/v1/messages").await.status, 200);
    let revoked = world.orbit(&["key", "revoke", id, "--json"]).await.json();
    assert_eq!(revoked["revoked"], true);
    // A send asks the store itself: no second of memory counts.
    let refused = http.post("/api/v1/messages/sms", &message).await;
    assert_eq!((refused.status, refused.code()), (401, "INVALID_API_KEY"), "{}", refused.text);
    let gone = wait_until(async || http.get("/api/v1/messages").await.status == 401).await;
    assert!(gone, "reading with a revoked key goes on");
    let again = world.orbit(&["key", "revoke", id]).await;
    assert_eq!(again.code, Some(1), "{again:?}");

    let unknown = [&create[..], &["--scope", "everything"]].concat();
    let refused = world.orbit(&unknown).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("messages:write"), "{refused:?}");
}

#[tokio::test]
async fn a_top_up_is_spendable_at_once_and_in_the_ledger() {
    let mut world = World::new("desk-topup");
    let org = world.org("Money", "1").await;
    let top_up = ["topup", "--json", "--organization", &org.id, "--usd", "2.000001"];
    let said = world.orbit(&top_up).await.json();
    assert_eq!(said["balance_usd"], "3.000001");
    world.serve().await;
    world.orbit(&top_up).await.json();
    let mut http = world.http(&org.key);
    assert_eq!(http.balance().await, (5_000_002, 0));
    let kinds = http.all("/api/v1/billing/transactions").await;
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert!(kinds.iter().all(|one| one["type"] == "top_up"), "{kinds:?}");
}

#[tokio::test]
async fn a_queue_is_shown_paused_resumed_and_drained() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("desk-queue");
    world.carrier("main", carrier.address, "");
    let org = world.org("Queue", "10").await;
    let idle = world.orbit(&["queue", "show"]).await;
    assert_eq!(idle.code, Some(1), "{idle:?}");
    assert!(idle.err.contains("orbit serve"), "{idle:?}");
    world.serve().await;
    let show = async |world: &World| {
        let queues = world.orbit(&["queue", "show", "--json"]).await.json();
        let rows = queues.as_array().expect("a list").clone();
        rows.into_iter().find(|row| row["carrier"] == "main").expect("our carrier")
    };
    world.bound("main", 1).await;
    world.orbit(&["queue", "pause", "main"]).await;
    let mut http = world.http(&org.key);
    let id = http.text("+14155550123", "held back").await;
    let row = show(&world).await;
    assert_eq!((&row["paused"], &row["waiting"]), (&Value::Bool(true), &Value::from(1)), "{row}");
    assert_eq!(carrier.stats().submits, 0);

    world.kill();
    world.serve().await;
    assert_eq!(show(&world).await["paused"], true, "a pause outlives a crash");
    assert_eq!(world.http(&org.key).message(&id).await["status"], "queued");
    world.orbit(&["queue", "resume", "main"]).await;
    world.http(&org.key).becomes(&id, "delivered").await;
    assert_eq!(show(&world).await["paused"], false);

    let drained = world.orbit(&["queue", "drain", "main", "--json"]).await.json();
    assert_eq!(drained["drained"], true);
    let left = wait_until(async || carrier.stats().unbinds == 1).await;
    assert!(left, "{:?}", carrier.stats());
    let unknown = world.orbit(&["queue", "pause", "nobody"]).await;
    assert!(unknown.err.contains("nobody") && unknown.err.contains("main"), "{unknown:?}");
}

#[tokio::test]
async fn send_and_tail_show_a_message_on_its_way() {
    let mut world = World::new("desk-send");
    let org = world.org("Sender", "1").await;
    let test_key = world.test_key(&org).await;
    world.serve().await;
    let settings = world.scratch.file("orbit.toml").display().to_string();
    let tail = ["tail", "--lines", "3", "--json", "--config", &settings];
    let mut tailing = spawn(world.scratch.path(), &tail, "tail");
    // It follows from the moment it first asked: only the switch knows when that was, so messages
    // are sent until its three lines are full.
    let send = ["send", "--json", "--to", "+15005550002", "--from", "Orbit", "--body", "hi"];
    let words = [&send[..], &["--key", &test_key]].concat();
    let mut ended = None;
    let told = wait_until(async || {
        let said = world.orbit(&words).await.json();
        assert_eq!(said["status"], "queued");
        ended = tailing.0.try_wait().expect("our child");
        ended.is_some()
    });
    assert!(told.await, "tail does not end");
    assert!(ended.is_some_and(|status| status.success()));
    let lines = fs::read_to_string(world.scratch.file("tail.out")).expect("its output");
    let events: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 3, "{lines}");
    assert!(events.iter().all(|event| event["to"] == "+15005550002"), "{lines}");

    let refused = world.orbit(&[&send[..], &["--key", "dv_live_sk_nobody"]].concat()).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("INVALID_API_KEY"), "{refused:?}");
}

#[tokio::test]
async fn bad_settings_end_with_64_and_every_fault() {
    let mut world = World::new("desk-config");
    let good = world.orbit(&["config", "check", "--json"]).await.json();
    assert_eq!(good["in_doubt"]["wait_s"], 1);
    world.carrier("main", ([127, 0, 0, 1], 2775).into(), "window_size = 0");
    world.set("smpp.response_timeout_s", "0");
    world.set("in_doubt.otp", "\"maybe\"");
    let bad = world.orbit(&["config", "check"]).await;
    assert_eq!(bad.code, Some(64), "{bad:?}");
    assert!(bad.err.contains("otp"), "{bad:?}");
    world.set("in_doubt.otp", "\"resend\"");
    let bad = world.orbit(&["config", "check"]).await;
    assert_eq!(bad.code, Some(64), "{bad:?}");
    for fault in ["window_size", "response_timeout_s"] {
        assert!(bad.err.contains(fault), "{bad:?}");
    }
    assert!(!bad.err.contains(PASSWORD) && !bad.out.contains(PASSWORD), "{bad:?}");
    let serve = world.orbit(&["serve"]).await;
    assert_eq!(serve.code, Some(64), "{serve:?}");
    world.set("smpp.no_such_key", "1");
    let unknown = world.orbit(&["config", "check"]).await;
    assert_eq!(unknown.code, Some(64), "{unknown:?}");
    assert!(unknown.err.contains("no_such_key"), "{unknown:?}");
    let missing = run(world.scratch.path(), &["config", "check", "--config", "nowhere.toml"]).await;
    assert_eq!(missing.code, Some(64), "{missing:?}");
}

#[tokio::test]
async fn migrate_prepares_an_empty_folder_and_leaves_a_served_one_alone() {
    let mut world = World::new("desk-migrate");
    let first = world.orbit(&["migrate"]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(world.scratch.file("data/orbit.db").is_file());
    world.serve().await;
    let served = world.orbit(&["migrate"]).await;
    assert_eq!(served.code, Some(1), "{served:?}");
    assert!(served.err.contains("serves"), "{served:?}");
}

#[tokio::test]
async fn orphans_and_quarantine_are_empty_at_first() {
    let world = World::new("desk-orphans");
    assert_eq!(world.orbit(&["orphans", "--json"]).await.json(), Value::Array(Vec::new()));
    assert_eq!(world.orbit(&["quarantine", "--json"]).await.json(), Value::Array(Vec::new()));
    let openapi = run(world.scratch.path(), &["openapi"]).await;
    assert_eq!(openapi.json()["openapi"].as_str().map(|text| &text[..2]), Some("3."));
}
