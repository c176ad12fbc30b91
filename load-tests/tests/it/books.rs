//! Five hundred messages through the whole of it, and every cent of them.

use std::sync::Arc;

use load_tests::peer::smsc::{Smsc, SmscOptions};
use serde_json::json;
use tokio::sync::Mutex;

use crate::carriers::{RATE, smsc};
use crate::world::{Org, World, wait_until};

const MESSAGES: usize = 500;
const CONNECTIONS: usize = 16;
const CREDIT: i64 = 50_000_000;

/// Sends all from many connections at once; their ids.
async fn send_all(world: &World, org: &Org) -> Vec<String> {
    let next = Arc::new(Mutex::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut http, next) = (world.http(&org.key), Arc::clone(&next));
        tasks.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let at = {
                    let mut next = next.lock().await;
                    *next += 1;
                    *next - 1
                };
                if at >= MESSAGES {
                    return ids;
                }
                // Every fifth has two parts.
                let more = if at % 5 == 0 { "y".repeat(160) } else { String::new() };
                let body = json!({
                    "to": format!("+1415555{at:04}"), "from": "Orbit",
                    "body": format!("t{at} hello{more}"),
                });
                ids.push(http.send(&body).await);
            }
        });
    }
    tasks.join_all().await.concat()
}

/// The books of a world after five hundred messages.
pub(crate) async fn balance(mut world: World, carrier: Smsc) {
    let org = world.org("Books", "50").await;
    world.serve().await;
    let ids = send_all(&world, &org).await;
    assert_eq!(ids.len(), MESSAGES);
    let mut http = world.http(&org.key);
    let left = async |http: &mut crate::http::Http| {
        let mut left = 0;
        for status in ["queued", "sending", "sent"] {
            left += http.count(&format!("status={status}")).await;
        }
        left
    };
    let done = wait_until(async || left(&mut http).await == 0).await;
    assert!(done, "{} are on their way\n{}", left(&mut http).await, world.last_words());

    let messages = http.all("/api/v1/messages").await;
    assert_eq!(messages.len(), MESSAGES);
    assert!(messages.iter().all(|message| message["status"] == "delivered"), "{messages:?}");
    let parts: i64 = messages.iter().map(|message| message["segments"].as_i64().unwrap_or(0)).sum();
    assert_eq!(parts, 600);
    assert_eq!(http.balance().await, (CREDIT - parts * RATE, 0));

    let ledger = http.all("/api/v1/billing/transactions").await;
    let amounts = |kind: &str| {
        let of_kind = ledger.iter().filter(|one| one["type"] == kind);
        of_kind.map(|one| one["amount_micros"].as_i64().unwrap_or(0)).collect::<Vec<_>>()
    };
    for kind in ["hold", "settle"] {
        let amounts = amounts(kind);
        assert_eq!((amounts.len(), amounts.iter().sum()), (MESSAGES, parts * RATE), "{kind}");
    }
    assert!(amounts("release").is_empty());
    let changes = ledger.iter().map(|one| one["balance_change_micros"].as_i64().unwrap_or(0));
    assert_eq!(changes.sum::<i64>(), CREDIT - parts * RATE);

    let seen = wait_until(async || carrier.stats().receipts_acked == 600).await;
    let stats = carrier.stats();
    assert!(seen, "{stats:?}");
    assert_eq!((stats.submits, stats.duplicates, stats.malformed), (600, 0, 0), "{stats:?}");
    assert!(stats.max_in_flight <= 10, "{stats:?}");
}

#[tokio::test]
async fn five_hundred_messages_are_delivered_paid_and_seen_once() {
    let carrier = smsc(SmscOptions::default());
    let mut world = World::new("books");
    world.carrier("main", carrier.address, "connections = 2\nwindow_size = 10");
    balance(world, carrier).await;
}
