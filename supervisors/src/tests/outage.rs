//! A database that is away: nothing is promised meanwhile, and nothing that was is forgotten.

use std::time::Duration;

use actors::writer::WriterMsg;
use model::message::{Category, Status};
use model::refusal::Code;
use proto_smpp::{Address, CommandId, CommandStatus, Message};
use store::testing::Outsider;

use tokio::time::timeout;

use super::peer::{Act, Peer, delivered};
use super::world::{PATIENCE, Plan, World, profile, until};

fn sent() -> Message {
    let (source, destination) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "14155550123"));
    Message::new(CommandId::SUBMIT_SM, source, destination)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_is_accepted_and_no_receipt_acknowledged() {
    let peer = Peer::new();
    peer.answer(|_, text| if text == "kept" { Act::Keep } else { Act::Ack });
    let world = World::of(profile("one", &peer)).await;
    let first = world.send("first").await;
    world.all(&[first], Status::Sent).await;
    let kept = world.send("kept").await;
    until("it is out", async || peer.times("kept") == 1).await;
    let writer = world.find::<WriterMsg>().unwrap();

    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    outsider.run("begin immediate").await.unwrap();
    let receipt = delivered(&world.row(first).await.external_id.unwrap(), &sent());
    peer.insist(receipt);
    peer.release();
    let refused = world.try_send(0, Category::Transactional, "refused").await.unwrap_err();
    assert_eq!((refused.code, refused.code.http_status()), (Code::ServiceUnavailable, 503));
    until("the writer says so", async || world.writer.refusing().is_some()).await;
    assert!(peer.acknowledged().is_empty(), "not stored, not acknowledged");
    assert_eq!(world.status(first).await, Status::Sent);

    let late = timeout(Duration::from_secs(2), world.try_send(0, Category::Otp, "refused"));
    assert!(late.await.unwrap().is_err(), "and at once");

    outsider.run("rollback").await.unwrap();
    until("the receipt is acknowledged", async || peer.acknowledged() == [(0, CommandStatus::OK)])
        .await;
    world.all(&[first], Status::Delivered).await;
    world.all(&[kept], Status::Sent).await;
    until("it accepts again", async || world.writer.refusing().is_none()).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    assert_eq!(world.find::<WriterMsg>().unwrap().get_id(), writer.get_id(), "nobody died of it");
    assert_eq!(peer.opened(), 1);
    assert_eq!(peer.times("refused"), 0, "what was refused is not sent after all");
    world.assert_charged_once(&[first, kept, key]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_killed_while_the_database_is_away_does_not_come_back_from_the_dead() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    until("it is bound", async || peer.bound() == 1).await;
    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    outsider.run("begin immediate").await.unwrap();
    let refused = world.try_send(0, Category::Transactional, "refused").await.unwrap_err();
    assert_eq!(refused.code, Code::ServiceUnavailable);
    let writer = world.find::<WriterMsg>().unwrap();
    writer.kill_and_wait(Some(PATIENCE)).await.unwrap();
    outsider.run("rollback").await.unwrap();
    world.successor(&writer).await;
    until("it accepts again", async || {
        world.try_send(0, Category::Transactional, "after").await.is_ok()
    })
    .await;
    until("and sends", async || peer.times("after") >= 1).await;
    for n in 0..5 {
        let key = world.send(&format!("text {n}")).await;
        world.all(&[key], Status::Sent).await;
    }
    world.end().await;
}

/// Cuts the lane off with `how`, while it waits for a table that somebody else has locked.
async fn cut(server: &str, how: &str) {
    let name = format!("orbit_tree_{:032x}", rand::random::<u128>());
    let mut admin = Outsider::connect(server).await.unwrap();
    admin.run(&format!("create database {name}")).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let peer = Peer::new();
    peer.answer(|_, text| if text == "kept" { Act::Keep } else { Act::Ack });
    let mut plan = Plan::of(vec![profile("one", &peer)]);
    plan.postgres = Some(format!("{base}/{name}"));
    let world = plan.start().await;
    let first = world.send("first").await;
    world.all(&[first], Status::Sent).await;
    let kept = world.send("kept").await;
    until("it is out", async || peer.times("kept") == 1).await;
    let (writer, external_id) = (world.find::<WriterMsg>(), world.row(first).await.external_id);

    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    outsider.run("begin; lock table messages in share mode").await.unwrap();
    peer.insist(delivered(&external_id.unwrap(), &sent()));
    peer.release();
    let mut knife = Outsider::connect(&world.url).await.unwrap();
    let blow = format!(
        "do $$ begin perform {how}(pid) from pg_stat_activity
         where application_name = 'orbit lane' and datname = current_database()
         and wait_event_type = 'Lock'; end $$"
    );
    let refused = {
        let asked = world.try_send(0, Category::Transactional, "refused");
        let knife = tokio::sync::Mutex::new(&mut knife);
        let striking = until("the writer says so", async || {
            knife.lock().await.run(&blow).await.unwrap();
            world.writer.refusing().is_some()
        });
        tokio::join!(asked, striking).0.unwrap_err()
    };
    assert_eq!((refused.code, refused.code.http_status()), (Code::ServiceUnavailable, 503));
    assert!(peer.acknowledged().is_empty(), "not stored, not acknowledged");

    outsider.run("rollback").await.unwrap();
    world.all(&[first], Status::Delivered).await;
    world.all(&[kept], Status::Sent).await;
    until("it accepts again", async || world.writer.refusing().is_none()).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    let now = world.find::<WriterMsg>();
    assert_eq!(now.map(|w| w.get_id()), writer.map(|w| w.get_id()), "nobody died of it");
    world.assert_charged_once(&[first, kept, key]).await;
    world.end().await;
    drop((outsider, knife));
    admin.run(&format!("drop database {name} with (force)")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_the_connection_is_connected_to_again() {
    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        cut(&server, "pg_terminate_backend").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_a_statement_short_keeps_its_connection() {
    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        cut(&server, "pg_cancel_backend").await;
    }
}
