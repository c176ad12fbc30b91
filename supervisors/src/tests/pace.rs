//! How much and how fast, as the peer sees it; and how much waits before the writer.

use std::time::Duration;

use actors::writer::WriterMsg;
use model::message::{Category, Status};
use model::refusal::Code;
use store::testing::Outsider;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::peer::{Act, Peer};
use super::world::{PATIENCE, Plan, World, profile, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_ever_has_more_open_than_its_window() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let mut profile = profile("one", &peer);
    (profile.connections, profile.window) = (2, 5);
    let world = World::of(profile).await;
    let keys = world.send_many(Category::Transactional, 200).await;
    until("both windows are out", async || peer.heard().len() == 10).await;
    until("all are sent", async || {
        peer.flush();
        peer.heard().len() == 200
    })
    .await;
    peer.release();
    world.all(&keys, Status::Sent).await;
    assert_eq!(peer.most_open(), 5);
    let used: std::collections::BTreeSet<_> = peer.heard().iter().map(|h| h.connection).collect();
    assert_eq!(used.len(), 2, "both connections are used");
    world.end().await;
}

/// The most that came within any second, the wire's own delays aside.
fn fastest(peer: &Peer) -> usize {
    let second = Duration::from_millis(900);
    let mut times: Vec<Instant> = peer.heard().iter().map(|heard| heard.at).collect();
    times.sort();
    let within =
        |from: Instant| times.iter().filter(|t| **t >= from && **t - from < second).count();
    times.iter().map(|from| within(*from)).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_second_holds_more_than_a_carriers_pace_over_all_connections() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    (profile.connections, profile.tps) = (2, 20);
    let world = World::of(profile).await;
    let keys = world.send_many(Category::Transactional, 60).await;
    world.all(&keys, Status::Sent).await;
    assert!(fastest(&peer) <= 20, "{} in a second", fastest(&peer));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carriers_pace_holds_over_the_death_of_its_owner() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    (profile.connections, profile.tps, profile.window) = (2, 20, 50);
    let world = World::of(profile).await;
    let keys = world.send_many(Category::Transactional, 20).await;
    world.all(&keys, Status::Sent).await;
    world.owner(0).await.kill();
    let keys = world.send_many(Category::Transactional, 20).await;
    world.all(&keys, Status::Sent).await;
    assert!(fastest(&peer) <= 20, "{} in a second", fastest(&peer));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_gate_refuses_at_once_and_empties_when_the_writer_dies() {
    let peer = Peer::new();
    let mut plan = Plan::of(vec![profile("one", &peer)]);
    plan.limits.accepts_max = 10;
    let world = plan.start().await;
    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    outsider.run("begin immediate").await.unwrap();
    let mut asked = JoinSet::new();
    for _ in 0..9 {
        let message = world.message(0, Category::Transactional, "hello");
        let (writer, submission) = (world.writer.clone(), world.submission(vec![message]));
        asked.spawn(async move { writer.submit(submission).await });
    }
    until("the gate is full", async || world.writer.permits_in_use() == 9).await;
    let at_once =
        timeout(Duration::from_millis(500), world.try_send(0, Category::Transactional, "x"));
    let refused = at_once.await.unwrap().unwrap_err();
    assert_eq!((refused.code, refused.code.http_status()), (Code::ServiceUnavailable, 503));
    assert!(refused.retry_after_s.is_some());

    let writer = world.find::<WriterMsg>().unwrap();
    writer.kill_and_wait(Some(PATIENCE)).await.unwrap();
    // All but those of the batch under way, if that was begun.
    until("permits come back", async || world.writer.permits_in_use() <= 8).await;
    outsider.run("rollback").await.unwrap();
    until("all of them", async || world.writer.permits_in_use() == 0).await;
    let mut stored = 0;
    while let Some(answer) = asked.join_next().await {
        match answer.unwrap() {
            Ok(_) => stored += 1,
            Err(refusal) => assert_eq!(refusal.code, Code::ServiceUnavailable),
        }
    }
    assert!(stored < 9);
    world.successor(&writer).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}
