//! Keys, passwords and texts never reach a log, however much is logged.

use load_tests::peer::smsc::SmscOptions;
use serde_json::json;

use crate::carriers::smsc;
use crate::world::{PASSWORD, World};

/// Everything that logs, and the work that should not show in it.
async fn says_nothing(name: &str, level: &str, format: &str) {
    let options = SmscOptions { drop_every: 5, ..SmscOptions::default() };
    let carrier = smsc(options);
    let mut world = World::new(name);
    world.set("log.level", &format!("{level:?}"));
    world.set("log.format", &format!("{format:?}"));
    world.carrier("main", carrier.address, "");
    let org = world.org("Discreet", "10").await;
    let test_key = world.test_key(&org).await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let mut ids = Vec::new();
    for at in 0..8 {
        ids.push(http.text(&format!("+1415555{at:04}"), "xylophone at midnight").await);
    }
    for id in &ids {
        http.becomes(id, "delivered").await;
    }
    http.get("/api/v1/messages").await;
    let refused = json!({"to": "pizza", "from": "Orbit", "body": "xylophone"});
    http.post("/api/v1/messages/sms", &refused).await;
    let stranger = "dv_live_sk_strangersstrangersstrangers";
    world.http(stranger).get("/api/v1/messages").await;
    let mut test = world.http(&test_key);
    let id = test.text("+15005550002", "xylophone test").await;
    test.becomes(&id, "delivered").await;
    let made = world.orbit(&["key", "create", "--json", "--organization", &org.id]).await.json();
    let made = made["api_key"].as_str().expect("a key").to_owned();
    assert_eq!(world.terminate().await, Some(0));
    let log = world.log();
    assert!(log.contains("bound"), "it does log: {log}");
    for secret in [&org.key, &test_key, &made, stranger, PASSWORD, "xylophone"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}

#[tokio::test]
async fn a_log_of_everything_holds_no_secret() {
    says_nothing("secrets", "debug", "text").await;
}

#[tokio::test]
async fn a_log_of_even_more_in_json_holds_no_secret() {
    says_nothing("secrets-json", "trace", "json").await;
}
