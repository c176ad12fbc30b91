//! Test keys: the recipient's last digit decides, nothing is charged.

use serde_json::json;

use crate::world::{World, org_of};

const PATH: &str = "/api/v1/messages/sms";

#[tokio::test]
async fn each_digit_ends_as_the_table_says_and_costs_nothing() {
    let mut world = World::new("digits");
    // Longer than digit 6 takes, shorter than digit 0.
    world.set("sandbox.receipt_timeout_s", "6");
    let org = world.org("Tests", "1").await;
    let key = world.test_key(&org).await;
    world.serve().await;
    let mut http = world.http(&key);
    let mut ids = Vec::new();
    for digit in 0..10 {
        let to = format!("+1500555000{digit}");
        let body = json!({"to": to, "from": "Orbit", "body": "magic"});
        let reply = http.post(PATH, &body).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(reply.header("x-orbit-env"), Some("sandbox"));
        assert_eq!(reply.data()["test_mode"], true);
        ids.push(reply.id());
    }
    let ends = [
        (2, "delivered"),
        (9, "delivered"),
        (4, "failed"),
        (7, "rejected"),
        (8, "blocked"),
        (3, "undelivered"),
        (5, "expired"),
        (6, "submitted_no_receipt"),
        (1, "submitted_no_receipt"),
    ];
    for (digit, status) in ends {
        let message = http.becomes(&ids[digit], status).await;
        assert_eq!(message["test_mode"], true, "{message}");
        let reason = match digit {
            6 => json!("unknown"),
            1 => json!("dlr_timeout"),
            _ => continue,
        };
        assert_eq!(message["status_reason"], reason, "{message}");
    }
    let rewritten = http.message(&ids[9]).await;
    assert!(rewritten["from_delivered"].is_string(), "{rewritten}");
    assert_ne!(rewritten["from_delivered"], rewritten["from"]);
    for digit in [7, 8] {
        let story = http.story(&ids[digit]).await;
        assert!(!story.iter().any(|(kind, _)| kind == "message.sent"), "{digit}: {story:?}");
    }

    let mut live = world.http(&org.key);
    assert_eq!(live.balance().await, (1_000_000, 0));
    let ledger = live.all("/api/v1/billing/transactions").await;
    assert_eq!(ledger.len(), 1, "only the opening credit: {ledger:?}");
    let message = http.becomes(&ids[0], "delivered").await;
    assert_eq!(message["status"], "delivered", "late, and twice");
}

#[tokio::test]
async fn a_sandbox_organization_refuses_live_keys() {
    let mut world = World::new("sandbox-org");
    let words = ["org", "create", "--json", "--name", "Sand", "--sandbox"];
    let org = org_of(&world.orbit(&words).await.json());
    assert!(org.key.starts_with("dv_test_sk_"), "{org:?}");
    let create = ["key", "create", "--json", "--mode", "live", "--organization", &org.id];
    let live = world.orbit(&create).await.json();
    world.serve().await;
    let body = json!({"to": "+15005550002", "from": "Orbit", "body": "x"});
    let mut http = world.http(live["api_key"].as_str().expect("a key"));
    let refused = http.post(PATH, &body).await;
    assert_eq!((refused.status, refused.code()), (403, "WRONG_KEY_MODE"), "{}", refused.text);
    let refused = http.get("/api/v1/messages").await;
    assert_eq!((refused.status, refused.code()), (403, "WRONG_KEY_MODE"), "{}", refused.text);
    let mut http = world.http(&org.key);
    let id = http.send(&body).await;
    http.becomes(&id, "delivered").await;
}

#[tokio::test]
async fn a_live_key_finds_no_magic_and_no_way_to_the_sandbox() {
    let mut world = World::new("live");
    let org = world.org("Live", "1").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let body = json!({"to": "+15005550002", "from": "Orbit", "body": "x"});
    let refused = http.post(PATH, &body).await;
    assert_eq!((refused.status, refused.code()), (422, "NO_ROUTE"), "{}", refused.text);
    assert_eq!(refused.header("x-orbit-env"), None);
    assert_eq!(http.balance().await, (1_000_000, 0));
}
