//! One test per way to die of the writer: nothing accepted is lost, and nobody waits for ever.

use std::time::Duration;

use actors::writer::{Then, WriterMsg};
use model::message::{Category, Status};
use model::refusal::Code;
use store::lane::{Admin, Work};
use store::testing::Outsider;

use super::peer::{Act, Peer};
use super::world::{PATIENCE, Plan, QUICK, World, profile, until};
use crate::restart::Policy;

/// Something to store that changes nothing.
fn errand() -> Work {
    let admin = vec![Admin::NameCarrier { name: String::from("one") }];
    Work { admin, ..Work::default() }
}

/// A root that rests long enough between two lives for a test to look in.
fn slow(profile: actors::smpp::profile::Profile) -> Plan {
    let rest = Duration::from_millis(700);
    let mut plan = Plan::of(vec![profile]);
    plan.root_policy = Policy { rest_min: rest, rest_max: rest, ..QUICK };
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_writer_is_away_sends_are_refused_and_afterwards_all_goes_on() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let world = slow(profile("one", &peer)).start().await;
    let keys = world.send_many(Category::Transactional, 30).await;
    until("a window is out", async || peer.heard().len() == 10).await;
    let (writer, owner) = (world.find::<WriterMsg>().unwrap(), world.owner(0).await);
    writer.kill_and_wait(Some(PATIENCE)).await.unwrap();
    let refused = world.try_send(0, Category::Transactional, "refused").await.unwrap_err();
    assert_eq!(refused.code, Code::ServiceUnavailable);
    assert_eq!(refused.code.http_status(), 503);
    assert!(refused.retry_after_s.is_some());
    peer.answer(|_, _| Act::Ack);
    world.successor(&writer).await;
    world.all(&keys, Status::Sent).await;
    assert_ne!(world.owner(0).await.get_id(), owner.get_id(), "carriers begin anew behind it");
    assert_eq!(peer.times("refused"), 0);
    world.assert_charged_once(&keys).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_does_not_know_what_it_stored_is_replaced() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let writer = world.find::<WriterMsg>().unwrap();
    writer.send_message(WriterMsg::Broken(String::from("the outcome is unknown"))).unwrap();
    world.successor(&writer).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_where_it_commits_ends_the_writer_and_not_the_switch() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let writer = world.find::<WriterMsg>().unwrap();
    world.writer.ask(errand(), Then::new(|_| panic!("whoever asked panics"))).unwrap();
    world.successor(&writer).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_cannot_start_is_tried_again() {
    let peer = Peer::new();
    let mut plan = Plan::of(vec![profile("one", &peer)]);
    plan.root_policy = Policy { restarts_max: 1_000, ..QUICK };
    let world = plan.start().await;
    let mut outsider = Outsider::connect(&world.url).await.unwrap();
    let no_lanes = "create trigger no_lane before insert on lanes
         begin select raise(abort, 'no lanes today'); end";
    outsider.run(no_lanes).await.unwrap();
    let writer = world.find::<WriterMsg>().unwrap();
    writer.kill_and_wait(Some(PATIENCE)).await.unwrap();
    let refused = world.try_send(0, Category::Transactional, "refused").await.unwrap_err();
    assert_eq!(refused.code, Code::ServiceUnavailable);
    assert_eq!(world.find::<WriterMsg>().map(|writer| writer.get_id()), None);
    outsider.run("drop trigger no_lane").await.unwrap();
    world.successor(&writer).await;
    let key = world.send("after").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_gives_up_when_the_writers_budget_is_spent() {
    let peer = Peer::new();
    let mut plan = Plan::of(vec![profile("one", &peer)]);
    plan.root_policy = Policy { restarts_max: 2, ..QUICK };
    let world = plan.start().await;
    for _ in 0..2 {
        let writer = world.find::<WriterMsg>().unwrap();
        writer.kill();
        world.successor(&writer).await;
    }
    world.find::<WriterMsg>().unwrap().kill();
    until("the root is gone", async || world.task.is_finished()).await;
    until("and the carriers with it", async || peer.bound() == 0).await;
    world.assert_books().await;
}
