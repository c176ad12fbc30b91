//! What was under way when a part died: never lost, charged once, sent twice only where we say so.

use std::time::Duration;

use model::clock::At;
use model::event::EventKind;
use model::message::{Category, Status};
use model::money::Micros;
use proto_smpp::{Address, CommandId, Message};
use store::lane::{Fate, HandoffResult, OutboxRef, Outcome, PartId, Work};

use super::peer::{Act, Peer, delivered};
use super::world::{PRICE, World, profile, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_bind_had_is_in_doubt_and_sent_again() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let world = World::of(profile("one", &peer)).await;
    let keys = world.send_many(Category::Transactional, 10).await;
    until("a window is out", async || peer.heard().len() == 10).await;
    peer.answer(|_, _| Act::Ack);
    world.binds(0).await[0].kill();
    world.all(&keys, Status::Sent).await;
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(peer.times(&format!("text {n}")), 2);
        let events = world.events(*key).await;
        let doubts = events.iter().filter(|event| event.kind == EventKind::InDoubt.code());
        assert_eq!(doubts.count(), 1);
    }
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marketing_in_doubt_is_given_up_and_charged_once() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let world = World::of(profile("one", &peer)).await;
    let keys = world.send_many(Category::Marketing, 10).await;
    until("a window is out", async || peer.heard().len() == 10).await;
    peer.answer(|_, _| Act::Ack);
    world.binds(0).await[0].kill();
    world.all(&keys, Status::SubmittedNoReceipt).await;
    for key in &keys {
        assert_eq!(world.row(*key).await.status_reason.as_deref(), Some("ack_timeout"));
    }
    assert_eq!(peer.heard().len(), 10, "better never than twice");
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_closes_mid_window_loses_nothing_and_kills_nobody() {
    let peer = Peer::new();
    peer.answer(|nth, _| match nth {
        25 | 26 | 60 => Act::Close,
        nth if nth % 3 == 0 => Act::AckThenReceipt,
        nth if nth % 3 == 1 => Act::ReceiptThenAck,
        _ => Act::Ack,
    });
    let world = World::of(profile("one", &peer)).await;
    let bind = world.binds(0).await.remove(0);
    let keys = world.send_many(Category::Transactional, 100).await;
    let done = |status| matches!(status, Status::Sent | Status::Delivered);
    for key in &keys {
        until("it is sent", async || done(world.status(*key).await)).await;
    }
    assert_eq!(world.binds(0).await[0].get_id(), bind.get_id());
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_carrier_refuses_for_now_is_sent_again_and_charged_once() {
    let peer = Peer::new();
    let (system_error, no_such_address) = (Act::Status(0x08), Act::Status(0x0B));
    peer.answer(move |nth, text| match text {
        "nobody" => no_such_address,
        _ if nth < 5 => system_error,
        _ => Act::Ack,
    });
    let world = World::of(profile("one", &peer)).await;
    let keys = world.send_many(Category::Transactional, 20).await;
    world.all(&keys, Status::Sent).await;
    let refused = world.send("nobody").await;
    world.all(&[refused], Status::Rejected).await;
    assert_eq!(peer.heard().len(), 26);
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_for_what_is_in_doubt_settles_it() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let mut profile = profile("one", &peer);
    profile.doubt.wait = Duration::from_secs(1);
    let world = World::of(profile).await;
    let key = world.send("hello").await;
    until("it is out", async || peer.heard().len() == 1).await;
    let (source, destination) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "14155550123"));
    let sent = Message::new(CommandId::SUBMIT_SM, source, destination);
    world.binds(0).await[0].kill();
    peer.insist(delivered("abc", &sent));
    world.all(&[key], Status::Delivered).await;
    assert_eq!(peer.heard().len(), 1, "it is not sent again");
    world.assert_charged_once(&[key]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_has_a_successor_with_a_new_epoch_and_nothing_is_lost() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let world = World::of(profile("one", &peer)).await;
    let keys = world.send_many(Category::Transactional, 10).await;
    until("a window is out", async || peer.heard().len() == 10).await;
    let (owner, epoch) = (world.owner(0).await, world.epoch(0).await);
    owner.kill();
    until("all are out again", async || peer.heard().len() == 20).await;
    assert_eq!(world.epoch(0).await, epoch + 1);

    // What the first life would have said of them counts no more.
    let late = |key| HandoffResult {
        row: OutboxRef {
            carrier: world.carrier(0),
            class: 1,
            organization: world.organization,
            key,
        },
        epoch,
        category: Category::Transactional,
        segments: 1,
        unit_price: Micros(PRICE),
        outcome: Outcome::Sent {
            parts: vec![PartId { part: 1, id: String::from("late") }],
            external_id: String::from("late"),
        },
    };
    let results = keys.iter().map(|key| late(*key)).collect();
    let done = world.writer.perform(Work { results, ..Work::default() }).await.unwrap();
    assert_eq!(done.results, vec![Fate::Stale; 10]);

    peer.release();
    world.all(&keys, Status::Sent).await;
    for key in &keys {
        assert_ne!(world.row(*key).await.external_id.as_deref(), Some("late"));
    }
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_that_die_while_messages_come_leave_none_behind() {
    let peer = Peer::new();
    let mut profile = profile("one", &peer);
    profile.doubt.tries = 100;
    profile.window = 2;
    let world = World::of(profile).await;
    peer.answer(|nth, _| if nth % 40 == 39 { Act::Keep } else { Act::Ack });
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.extend(world.send_many(Category::Transactional, 40).await);
        let owner = world.owner(0).await;
        owner.kill();
        let deadline = At::now().plus(Duration::from_millis(60));
        while At::now() < deadline || world.owner(0).await.get_id() == owner.get_id() {
            keys.push(world.send("meanwhile").await);
        }
    }
    peer.release();
    world.binds(0).await[0].kill();
    world.all(&keys, Status::Sent).await;
    world.assert_charged_once(&keys).await;
    until("nothing waits", async || world.views.all()[0].in_doubt() == 0).await;
    world.end().await;
}
