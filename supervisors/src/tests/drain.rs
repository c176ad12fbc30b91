//! Draining and pausing: what is under way is finished, what is not goes back untouched.

use model::carrier::MessageKey;
use model::message::{Category, Status};
use tokio::time::timeout;

use super::peer::{Act, Door, Peer};
use super::world::{PATIENCE, Plan, World, profile, until};
use crate::root::RootMsg;

/// Tells the root to drain; the handle is done when it has answered.
fn drain(world: &World, name: Option<&str>) -> tokio::task::JoinHandle<()> {
    let (root, name) = (world.root.clone(), name.map(String::from));
    tokio::spawn(async move {
        let ask = |reply| RootMsg::Drain { name, reply };
        root.call(ask, Some(PATIENCE)).await.unwrap().unwrap();
    })
}

async fn claimed(world: &World, keys: &[MessageKey]) -> usize {
    let mut claimed = 0;
    for key in keys {
        claimed += usize::from(world.row(*key).await.intent.is_some());
    }
    claimed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_is_out_and_puts_the_rest_back() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let mut profile = profile("one", &peer);
    profile.window = 5;
    let world = World::of(profile).await;
    let keys = world.send_many(Category::Transactional, 30).await;
    until("a window is out", async || peer.heard().len() == 5).await;
    until("another is claimed", async || claimed(&world, &keys).await == 10).await;
    let drained = drain(&world, None);
    until("unsent claims go back", async || claimed(&world, &keys).await == 5).await;
    assert!(!drained.is_finished());
    peer.release();
    timeout(PATIENCE, drained).await.unwrap().unwrap();
    // It has said goodbye before it answered; the peer may read that a little later.
    until("the peer has read the goodbye", async || (peer.unbinds(), peer.bound()) == (1, 0)).await;
    assert_eq!(peer.heard().len(), 5);
    assert_eq!(claimed(&world, &keys).await, 0);
    let epoch = world.epoch(0).await;
    let in_doubt = world.store.in_doubt(world.carrier(0), epoch + 1, 0, 10).await.unwrap();
    assert!(in_doubt.is_empty());
    let mut sent = 0;
    for key in &keys {
        sent += usize::from(world.status(*key).await == Status::Sent);
    }
    assert_eq!(sent, 5);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_though_the_carrier_is_away() {
    let peer = Peer::new();
    peer.set_door(Door::Refusing);
    let world = World::of(profile("one", &peer)).await;
    let key = world.send("hello").await;
    until("it has tried", async || peer.opened() > 1).await;
    timeout(PATIENCE, drain(&world, None)).await.unwrap().unwrap();
    peer.set_door(Door::Open);
    until("who comes up late leaves again", async || peer.unbinds() == 1).await;
    assert_eq!(world.status(key).await, Status::Queued);
    assert!(peer.heard().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_when_the_connection_is_lost_meanwhile() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let mut profile = profile("one", &peer);
    profile.window = 5;
    profile.doubt.wait = PATIENCE * 2;
    let world = World::of(profile).await;
    let keys = world.send_many(Category::Transactional, 30).await;
    until("another window is claimed", async || claimed(&world, &keys).await == 10).await;
    let drained = drain(&world, None);
    peer.set_door(Door::Away);
    peer.hang_up();
    timeout(PATIENCE, drained).await.unwrap().unwrap();
    assert_eq!(claimed(&world, &keys).await, 5, "in doubt, and nothing else");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_does_not_answer_holds_up_no_neighbours_drain() {
    let peers = [Peer::new(), Peer::new(), Peer::new()];
    peers[0].answer(|_, _| Act::Keep);
    let names = ["a", "b", "c"];
    let profiles = names.iter().zip(&peers).map(|(name, peer)| profile(name, peer)).collect();
    let world = Plan::of(profiles).start().await;
    world.send("never answered").await;
    until("it is out", async || peers[0].heard().len() == 1).await;
    until("all are bound", async || peers.iter().all(|peer| peer.bound() == 1)).await;
    let drained = drain(&world, None);
    until("the others leave", async || peers[1].unbinds() + peers[2].unbinds() == 2).await;
    assert!(!drained.is_finished());
    peers[0].release();
    timeout(PATIENCE, drained).await.unwrap().unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_carrier_gets_nothing_until_it_is_resumed_restarts_or_not() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    until("it is bound", async || peer.bound() == 1).await;
    world.pause("one", true).await;
    until("it is paused", async || world.views.all()[0].is_paused()).await;
    let keys = world.send_many(Category::Transactional, 20).await;
    let owner = world.owner(0).await;
    owner.kill();
    until("there is another", async || world.owner(0).await.get_id() != owner.get_id()).await;
    until("it has read its rows", async || world.views.all()[0].waiting() == 20).await;
    until("it is bound", async || peer.bound() == 1).await;
    assert!(world.views.all()[0].is_paused());
    let more = world.send("more").await;
    assert_eq!(claimed(&world, &keys).await, 0);
    assert!(peer.heard().is_empty());
    world.pause("one", false).await;
    world.all(&keys, Status::Sent).await;
    world.all(&[more], Status::Sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_carrier_says_so_and_goes_on_when_resumed() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    until("it is bound", async || peer.bound() == 1).await;
    timeout(PATIENCE, drain(&world, Some("one"))).await.unwrap().unwrap();
    assert!(world.views.all()[0].is_paused());
    let key = world.send("meanwhile").await;
    world.pause("one", false).await;
    world.all(&[key], Status::Sent).await;
    assert!(!world.views.all()[0].is_paused());
    world.end().await;
}
