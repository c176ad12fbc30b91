//! Many sends at once: one effect per idempotency key, and no cent more than there is.

use load_tests::peer::smsc::SmscOptions;
use serde_json::{Value, json};

use crate::carriers::{RATE, number, smsc};
use crate::http::Reply;
use crate::world::World;

const PATH: &str = "/api/v1/messages/sms";

/// The same request from many connections at once.
async fn together(
    world: &World,
    key: &str,
    count: usize,
    request: impl Fn(usize) -> (Vec<(String, String)>, Value),
) -> Vec<Reply> {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(count));
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..count {
        let (mut http, start) = (world.http(key), std::sync::Arc::clone(&start));
        let (headers, body) = request(at);
        tasks.spawn(async move {
            // Opens the connection, so that all begin at one time.
            http.get("/livez").await;
            start.wait().await;
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            http.post_with(PATH, &headers, body.to_string().as_bytes()).await
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn one_key_from_64_connections_is_one_message() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("idempotent");
    world.carrier("main", carrier.address, "");
    let org = world.org("Twins", "10").await;
    world.serve().await;
    let body = json!({"to": "+14155550123", "from": "Orbit", "body": "once"});
    let header = || vec![("Idempotency-Key".to_owned(), "only-one-0001".to_owned())];
    let replies = together(&world, &org.key, 64, |_| (header(), body.clone())).await;
    let first = replies[0].data().clone();
    assert!(first["id"].as_str().is_some_and(|id| id.starts_with("msg_")), "{first}");
    for reply in &replies {
        assert_eq!((reply.status, reply.data()), (202, &first), "{}", reply.text);
    }
    let replayed =
        replies.iter().filter(|reply| reply.header("Idempotent-Replayed") == Some("true"));
    assert_eq!(replayed.count(), 63);

    let mut http = world.http(&org.key);
    let other = json!({"to": "+14155550123", "from": "Orbit", "body": "twice"});
    let headers = [("Idempotency-Key", "only-one-0001")];
    let refused = http.post_with(PATH, &headers, other.to_string().as_bytes()).await;
    assert_eq!((refused.status, refused.code()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let id = first["id"].as_str().expect("an id");
    http.becomes(id, "delivered").await;
    assert_eq!(http.count("").await, 1);
    assert_eq!(carrier.stats().submits, 1);
    assert_eq!(http.balance().await, (10_000_000 - RATE, 0));

    world.kill();
    world.serve().await;
    let mut http = world.http(&org.key);
    let later = http.post_with(PATH, &headers, body.to_string().as_bytes()).await;
    assert_eq!(later.header("Idempotent-Replayed"), Some("true"), "keys outlive a crash");
    assert_eq!((later.status, later.data()), (202, &first), "{}", later.text);
}

#[tokio::test]
async fn a_balance_for_twenty_takes_twenty() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("balance");
    world.carrier("main", carrier.address, "");
    let org = world.org("Poor", "0.158").await;
    world.serve().await;
    let send = |at| (Vec::new(), json!({"to": number(at), "from": "Orbit", "body": "one part"}));
    let replies = together(&world, &org.key, 50, send).await;
    let with = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((with(202), with(402)), (20, 30));
    let refused = replies.iter().find(|reply| reply.status == 402).expect("thirty");
    assert_eq!(refused.code(), "BALANCE_TOO_LOW");
    let mut http = world.http(&org.key);
    for reply in replies.iter().filter(|reply| reply.status == 202) {
        http.becomes(&reply.id(), "delivered").await;
    }
    assert_eq!(http.balance().await, (0, 0));
    assert_eq!(carrier.stats().submits, 20);
    let paused = http.get("/api/v1/billing/balance").await;
    assert_eq!(paused.data()["outbound_paused"], true);
    world.orbit(&["topup", "--organization", &org.id, "--usd", "0.0079"]).await;
    http.text("+14155550199", "again").await;
}
