//! Room that owners grant ahead: how much, when none, and that it counts like an intent.

use actors::directory::Taken;
use model::message::{Category, Status};

use super::peer::{Act, Door, Peer};
use super::world::{World, profile, until};

/// Takes all the room there is.
fn take(world: &World) -> Option<Taken> {
    world.directory.take_room(world.carrier(0), usize::MAX)
}

/// Takes a whole window of room, as soon as that is granted.
async fn whole_window(world: &World) -> Taken {
    let all = || take(world).filter(|taken| taken.grant.parts == 10);
    let taken = std::cell::RefCell::new(None);
    until("a window is granted", async || {
        *taken.borrow_mut() = all();
        taken.borrow().is_some()
    })
    .await;
    taken.into_inner().unwrap()
}

async fn claimed(world: &World, keys: &[model::carrier::MessageKey]) -> usize {
    let mut claimed = 0;
    for key in keys {
        claimed += usize::from(world.row(*key).await.intent.is_some());
    }
    claimed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_is_granted_and_what_is_not_used_is_granted_again() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let taken = whole_window(&world).await;
    assert_eq!(taken.grant.epoch, world.epoch(0).await);
    assert!(take(&world).is_none(), "it was all there is");
    drop(taken);
    drop(whole_window(&world).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_room_counts_like_intents() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let world = World::of(profile("one", &peer)).await;
    let taken = whole_window(&world).await;
    let keys = world.send_many(Category::Transactional, 30).await;
    until("they wait", async || world.views.all()[0].waiting() == 30).await;
    assert_eq!(claimed(&world, &keys).await, 0, "the window ahead is in our hands");
    assert!(take(&world).is_none(), "what waits goes first");
    drop(taken);
    until("two windows are claimed", async || claimed(&world, &keys).await == 20).await;
    peer.answer(|_, _| Act::Ack);
    peer.release();
    world.all(&keys, Status::Sent).await;
    drop(whole_window(&world).await);
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_granted_while_paused_or_unbound() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    drop(whole_window(&world).await);
    world.pause("one", true).await;
    assert!(take(&world).is_none());
    let key = world.send("hello").await;
    assert!(world.row(key).await.intent.is_none());
    world.pause("one", false).await;
    world.all(&[key], Status::Sent).await;
    drop(whole_window(&world).await);
    peer.set_door(Door::Refusing);
    peer.hang_up();
    until("the bind is lost", async || world.views.all()[0].bound() == 0).await;
    until("the room is taken back", async || take(&world).is_none()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_accepted_into_granted_room_end_once_each() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    drop(whole_window(&world).await);
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.extend(world.send_many(Category::Transactional, 7).await);
    }
    world.all(&keys, Status::Sent).await;
    assert_eq!(peer.heard().len(), keys.len());
    world.assert_charged_once(&keys).await;
    world.end().await;
}
