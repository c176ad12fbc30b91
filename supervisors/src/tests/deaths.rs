//! One test per way to die below a carrier, and what lives on.

use std::time::Duration;

use actors::smpp::backlog::Load;
use actors::smpp::owner::OwnerMsg;
use actors::traffic::sweeper::{SweeperMsg, Swept};
use model::message::{Category, Status};

use super::peer::{Door, Peer};
use super::world::{Plan, QUICK, World, profile, until};
use crate::carriers::CarriersMsg;
use crate::restart::Policy;
use crate::sandbox::SandboxMsg;

/// A world of two carriers, both bound.
async fn two() -> (World, Peer, Peer) {
    let (one, other) = (Peer::new(), Peer::new());
    let world = Plan::of(vec![profile("one", &one), profile("other", &other)]).start().await;
    until("both are bound", async || one.bound() == 1 && other.bound() == 1).await;
    (world, one, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_bind_is_replaced_alone() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    profile.connections = 2;
    let world = World::of(profile).await;
    until("both are bound", async || peer.bound() == 2).await;
    let (owner, binds) = (world.owner(0).await, world.binds(0).await);
    binds[0].kill();
    until("there is another", async || {
        let now = world.binds(0).await;
        now.len() == 2 && now[0].get_id() == binds[1].get_id() && peer.bound() == 2
    })
    .await;
    assert_eq!(world.owner(0).await.get_id(), owner.get_id());
    let keys = world.send_many(Category::Transactional, 50).await;
    world.all(&keys, Status::Sent).await;
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_bind_is_replaced() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let bind = world.binds(0).await.remove(0);
    bind.stop(None);
    world.successor(&bind).await;
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_is_away_refuses_or_curses_kills_no_bind() {
    let peer = Peer::new();
    peer.set_door(Door::Away);
    let world = World::of(profile("one", &peer)).await;
    let bind = world.binds(0).await.remove(0);
    for door in [Door::Away, Door::Refusing, Door::Cursed] {
        peer.set_door(door);
        let before = peer.opened();
        until(&format!("it tries again while {door:?}"), async || peer.opened() > before + 2).await;
    }
    assert_eq!(world.binds(0).await[0].get_id(), bind.get_id());
    let key = world.send("hello").await;
    peer.set_door(Door::Open);
    world.all(&[key], Status::Sent).await;
    assert_eq!(world.binds(0).await[0].get_id(), bind.get_id());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_that_is_never_answered_is_tried_again() {
    let peer = Peer::new();
    peer.set_door(Door::Silent);
    let mut profile = profile("one", &peer);
    profile.timers.bind = Duration::from_millis(50);
    let world = World::of(profile).await;
    until("it tries again", async || peer.opened() > 2).await;
    peer.set_door(Door::Open);
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_takes_its_binds_along_and_no_neighbour() {
    let (world, one, other) = two().await;
    let (owner, neighbour) = (world.owner(0).await, world.owner(1).await);
    let (branch, bind) = (world.branch(0).await, world.binds(0).await.remove(0));
    owner.kill();
    until("there is another", async || {
        world.owner(0).await.get_id() != owner.get_id() && one.bound() == 1
    })
    .await;
    assert_eq!(world.branch(0).await.get_id(), branch.get_id());
    assert_ne!(world.binds(0).await[0].get_id(), bind.get_id());
    assert_eq!(world.owner(1).await.get_id(), neighbour.get_id());
    assert_eq!(other.opened(), 1);
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_cannot_read_more_goes_on_with_what_it_has() {
    let (world, one, _other) = two().await;
    let owner = world.owner(0).await;
    let load = Load { class: 1, organization: world.organization, after: 0, limit: 1 };
    let jobs = Err(String::from("the store cannot be read"));
    owner.send_message(OwnerMsg::Loaded { load, jobs }).unwrap();
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    assert_eq!(world.owner(0).await.get_id(), owner.get_id());
    assert_eq!(one.opened(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_cannot_recover_is_replaced() {
    let (world, _one, other) = two().await;
    let owner = world.owner(0).await;
    let nothing = Err(String::from("the store cannot be read"));
    owner.send_message(OwnerMsg::Recovered(nothing)).unwrap();
    until("there is another", async || world.owner(0).await.get_id() != owner.get_id()).await;
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    assert_eq!(other.opened(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_branch_comes_back_and_its_neighbour_hears_nothing_of_it() {
    let (world, one, other) = two().await;
    let branch = world.branch(0).await;
    let accepted = world.send("before").await;
    branch.kill();
    until("the binds fall with it", async || one.bound() == 0).await;
    let elsewhere = world.try_send(1, Category::Transactional, "elsewhere").await.unwrap();
    world.all(&[elsewhere], Status::Sent).await;
    let key = world.send("after").await;
    world.all(&[accepted, key], Status::Sent).await;
    assert_ne!(world.branch(0).await.get_id(), branch.get_id());
    assert_eq!(other.opened(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_ends_a_branch_and_its_neighbour_delivers() {
    let (one, other) = (Peer::new(), Peer::new());
    let mut plan = Plan::of(vec![profile("one", &one), profile("other", &other)]);
    plan.policy = Policy { restarts_max: 2, ..QUICK };
    let world = plan.start().await;
    until("both are bound", async || one.bound() == 1 && other.bound() == 1).await;
    let branch = world.branch(0).await;
    for life in 1..=3 {
        until("it is bound", async || one.bound() == 1 && one.opened() == life).await;
        world.binds(0).await[0].kill();
    }
    until("the branch falls", async || {
        !world
            .find_all::<crate::carrier::CarrierMsg>()
            .iter()
            .any(|b| b.get_id() == branch.get_id())
    })
    .await;
    let elsewhere = world.try_send(1, Category::Transactional, "elsewhere").await.unwrap();
    world.all(&[elsewhere], Status::Sent).await;
    assert_eq!(other.opened(), 1);
    let key = world.send("later").await;
    world.all(&[key], Status::Sent).await;
    assert_ne!(world.branch(0).await.get_id(), branch.get_id());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_carriers_come_back_when_their_supervisor_is_killed() {
    let (world, one, other) = two().await;
    let carriers = world.find::<CarriersMsg>().unwrap();
    carriers.kill();
    world.successor(&carriers).await;
    until("both are bound", async || one.bound() == 1 && other.bound() == 1).await;
    let key = world.send("hello").await;
    world.all(&[key], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeper_and_sandbox_are_replaced_and_nobody_notices() {
    let (world, one, other) = two().await;
    let sweeper = world.find::<SweeperMsg>().unwrap();
    sweeper.kill();
    let sweeper = world.successor(&sweeper).await;
    sweeper.send_message(SweeperMsg::Swept(Swept::Lost)).unwrap();
    world.successor(&sweeper).await;
    let sandbox = world.find::<SandboxMsg>().unwrap();
    sandbox.kill();
    world.successor(&sandbox).await;
    assert_eq!((one.opened(), other.opened()), (1, 1));
    world.end().await;
}
