//! Messages that leave their carrier: delivered once, by the next that takes them, at one price.

use std::time::Duration;

use model::event::EventKind;
use model::message::{Category, Status};
use model::refusal::MessageError;
use proto_smpp::{Address, CommandId, Message};
use store::TransferKind;

use super::peer::{Act, Door, Peer, delivered};
use super::world::{PRICE, Plan, World, profile, until};

/// Carriers in this order of priority, all of them bound.
pub(super) async fn world(peers: &[&Peer]) -> World {
    named(&["one", "two", "three", "four"], peers).await
}

async fn named(names: &[&str], peers: &[&Peer]) -> World {
    let profiles = names.iter().zip(peers).map(|(name, peer)| profile(name, peer)).collect();
    let world = Plan::of(profiles).start().await;
    for peer in peers {
        until("they are bound", async || peer.bound() == 1).await;
    }
    for (at, _) in peers.iter().enumerate() {
        let view = world.views.all().into_iter().find(|view| view.id == world.carrier(at)).unwrap();
        until("and known to be", async || view.bound() == 1).await;
    }
    world.admission.replace(world.open_routes());
    world
}

/// The carrier of this name has lost its bind, and gets no other.
pub(super) async fn cut(world: &World, name: &str, peer: &Peer) {
    peer.set_door(Door::Away);
    peer.hang_up();
    let view = world.views.find(name).unwrap();
    until("it is unbound", async || view.bound() == 0).await;
}

pub(super) async fn diverts(world: &World, key: model::carrier::MessageKey) -> Vec<String> {
    let events = world.events(key).await;
    let diverted = events.iter().filter(|event| event.kind == EventKind::Diverted.code());
    diverted.filter_map(|event| event.detail.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_carrier_refuses_goes_by_the_next_once() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x08));
    let world = world(&[&first, &second]).await;
    let keys = world.send_many(Category::Transactional, 30).await;
    world.all(&keys, Status::Sent).await;
    for (n, key) in keys.iter().enumerate() {
        let text = format!("text {n}");
        assert_eq!((first.times(&text), second.times(&text)), (1, 1), "{text}");
        let told = diverts(&world, *key).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("\"reason\":\"refused\""), "{told:?}");
        assert!(told[0].contains("\"0x00000008 ESME_RSYSERR\""), "{told:?}");
        assert_eq!(world.row(*key).await.carrier.as_deref(), Some("two"));
    }
    world.assert_charged_once(&keys).await;
    for name in ["one", "two"] {
        let view = world.views.find(name).unwrap();
        until("nothing waits any more", async || view.waiting() == 0).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_carriers_are_tried_and_no_fourth() {
    let peers = [Peer::new(), Peer::new(), Peer::new(), Peer::new()];
    for peer in &peers[..3] {
        peer.answer(|_, _| Act::Status(0x45));
    }
    let world = world(&peers.each_ref()).await;
    let key = world.send("text").await;
    world.all(&[key], Status::Failed).await;
    assert_eq!(peers.each_ref().map(|peer| peer.times("text").min(1)), [1, 1, 1, 0]);
    assert_eq!(peers.each_ref().map(|peer| peer.times("text"))[..2], [1, 1]);
    let row = world.row(key).await;
    assert_eq!(row.error_code.as_deref(), Some(MessageError::NetworkError.as_str()));
    assert_eq!(row.carrier_error.as_deref(), Some("0x00000045 ESME_RSUBMITFAIL"));
    let kinds = world.store.transfers_of(key).await.unwrap();
    let kinds: Vec<_> = kinds.iter().map(|(kind, amount, _)| (*kind, amount.0)).collect();
    assert_eq!(kinds, [(TransferKind::Hold, PRICE), (TransferKind::Release, PRICE)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_refusals_are_final_some_are_tried_elsewhere_once() {
    let peers = [Peer::new(), Peer::new(), Peer::new()];
    for peer in &peers {
        peer.answer(|_, text| Act::Status(u32::from_str_radix(text, 16).unwrap()));
    }
    let world = world(&peers.each_ref()).await;
    for (status, carriers, error) in [
        ("0B", 1, MessageError::InvalidRecipient),
        ("0A", 2, MessageError::SenderNotAllowed),
        ("33", 2, MessageError::UnknownCarrierError),
    ] {
        let key = world.send(status).await;
        world.all(&[key], Status::Rejected).await;
        assert_eq!(world.row(key).await.error_code.as_deref(), Some(error.as_str()), "{status}");
        let heard: usize = peers.iter().map(|peer| peer.times(status)).sum();
        assert_eq!(heard, carriers, "{status}");
        assert_eq!(diverts(&world, key).await.len(), carriers - 1);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_carrier_that_is_away_goes_elsewhere() {
    let (first, second) = (Peer::new(), Peer::new());
    let world = world(&[&first, &second]).await;
    first.set_door(Door::Away);
    first.hang_up();
    let view = world.views.find("one").unwrap();
    until("it is unbound", async || view.bound() == 0).await;
    let keys = world.send_many(Category::Transactional, 40).await;
    world.all(&keys, Status::Sent).await;
    assert_eq!((first.heard().len(), second.heard().len()), (0, 40));
    for key in &keys {
        assert!(diverts(&world, *key).await[0].contains("\"carrier_down\""));
    }
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_accepted_stays_where_it_is() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Keep);
    let world = world(&[&first, &second]).await;
    let keys = world.send_many(Category::Transactional, 10).await;
    until("a window is out", async || first.heard().len() == 10).await;
    // Again after the doubt, and now refused: the first try may have been taken.
    first.answer(|_, _| Act::Status(0x08));
    world.binds(0).await[0].kill();
    world.all(&keys, Status::Failed).await;
    assert!(second.heard().is_empty());
    for key in &keys {
        assert!(diverts(&world, *key).await.is_empty());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_is_switched_off_gives_up_what_waits() {
    let (first, second) = (Peer::new(), Peer::new());
    let world = world(&[&first, &second]).await;
    first.set_door(Door::Away);
    first.hang_up();
    let view = world.views.find("one").unwrap();
    until("it is unbound", async || view.bound() == 0).await;
    let mut routes = world.open_routes();
    routes.carriers[0].enabled = false;
    world.admission.replace(routes);
    let key = world.send("text").await;
    world.all(&[key], Status::Sent).await;
    assert_eq!((first.times("text"), second.times("text")), (0, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_carriers_receipt_does_no_harm() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x08));
    second.answer(|_, _| Act::Keep);
    let world = world(&[&first, &second]).await;
    let key = world.send("text").await;
    until("the second has it", async || second.times("text") == 1).await;
    let (source, destination) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "14155550123"));
    let sent = Message::new(CommandId::SUBMIT_SM, source, destination);
    for id in ["1", "00000001", "text"] {
        first.insist(delivered(id, &sent));
    }
    until("they are acknowledged", async || first.acknowledged().len() == 3).await;
    assert_eq!(world.status(key).await, Status::Queued);
    second.release();
    world.all(&[key], Status::Sent).await;
    world.assert_charged_once(&[key]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_leaves_a_diverted_row_where_it_is() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x08));
    second.answer(|_, _| Act::Keep);
    let world = world(&[&first, &second]).await;
    let keys = world.send_many(Category::Otp, 30).await;
    until("the second has a window", async || second.heard().len() == 10).await;
    first.answer(|_, _| Act::Ack);
    for at in [1, 0] {
        let owner = world.owner(at).await;
        owner.kill();
        until("another owner is there", async || world.owner(at).await.get_id() != owner.get_id())
            .await;
    }
    second.release();
    world.all(&keys, Status::Sent).await;
    for key in &keys {
        assert!(diverts(&world, *key).await.len() <= 1, "none moved twice");
    }
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_open_the_circuit_and_a_good_answer_closes_it() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x08));
    let world = world(&[&first, &second]).await;
    let mut routes = world.open_routes();
    routes.carriers[0].circuit.min = 5;
    routes.carriers[0].circuit.open = Duration::from_millis(300);
    world.admission.replace(routes);
    let pulse = world.admission.router().pulse(world.carrier(0));
    let now = model::clock::At::now;
    let fine = |at| pulse.standing(at) == actors::traffic::router::pulse::Standing::Fine;
    let keys = world.send_many(Category::Transactional, 10).await;
    world.all(&keys, Status::Sent).await;
    until("the circuit is open", async || {
        let key = world.send("more").await;
        world.all(&[key], Status::Sent).await;
        !fine(now())
    })
    .await;
    first.answer(|_, _| Act::Ack);
    until("the circuit is closed", async || {
        let key = world.send("again").await;
        world.all(&[key], Status::Sent).await;
        fine(now())
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_for_another_carrier_rather_than_end() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x0A));
    let world = world(&[&first, &second]).await;
    second.set_door(Door::Away);
    second.hang_up();
    let view = world.views.find("two").unwrap();
    until("it is unbound", async || view.bound() == 0).await;
    let key = world.send("text").await;
    until("it has moved", async || !diverts(&world, key).await.is_empty()).await;
    assert_eq!(world.status(key).await, Status::Queued);
    second.set_door(Door::Open);
    world.all(&[key], Status::Sent).await;
    assert_eq!((first.times("text"), second.times("text")), (1, 1));
    world.assert_charged_once(&[key]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_in_part_stays_though_all_of_it_is_refused_later() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|heard, _| if heard == 0 { Act::Ack } else { Act::Status(0x08) });
    let world = world(&[&first, &second]).await;
    let mut message = world.message(0, Category::Transactional, &"long ".repeat(40));
    message.segments = 2;
    let accepted = world.writer.submit(world.submission(vec![message])).await.unwrap();
    let store::lane::Accepted::Fresh { first: key, .. } = accepted else { panic!("{accepted:?}") };
    world.all(&[key], Status::Failed).await;
    assert!(first.heard().len() > 3, "it was tried again");
    assert!(second.heard().is_empty() && diverts(&world, key).await.is_empty());
    world.assert_books().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_message_only_waited_it_may_come_back() {
    let (first, second) = (Peer::new(), Peer::new());
    second.answer(|_, _| Act::Keep);
    let world = world(&[&first, &second]).await;
    cut(&world, "one", &first).await;
    let keys = world.send_many(Category::Transactional, 40).await;
    until("the second has a window", async || second.heard().len() == 10).await;
    for key in &keys {
        until("it has moved", async || !diverts(&world, *key).await.is_empty()).await;
    }
    first.set_door(Door::Open);
    let view = world.views.find("one").unwrap();
    until("the first is back", async || view.bound() == 1).await;
    cut(&world, "two", &second).await;
    until("it has those that no bind had", async || first.heard().len() == 30).await;
    second.answer(|_, _| Act::Ack);
    second.set_door(Door::Open);
    world.all(&keys, Status::Sent).await;
    assert_eq!(first.heard().len(), 30, "what was in doubt stayed with the second");
    world.assert_charged_once(&keys).await;
    for name in ["one", "two"] {
        let view = world.views.find(name).unwrap();
        until("nothing waits any more", async || view.waiting() == 0).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_messages_and_a_sandboxs_go_nowhere_else() {
    let (first, sandbox, second) = (Peer::new(), Peer::new(), Peer::new());
    let peers = [&first, &sandbox, &second];
    let world = named(&["one", "sandbox", "two"], &peers).await;
    cut(&world, "one", &first).await;
    cut(&world, "sandbox", &sandbox).await;
    let mut messages = [(0, "test"), (0, "live"), (1, "of the sandbox")]
        .map(|(carrier, text)| world.message(carrier, Category::Transactional, text));
    messages[0].test = true;
    let accepted = world.writer.submit(world.submission(messages.to_vec())).await.unwrap();
    let store::lane::Accepted::Fresh { first: key, .. } = accepted else { panic!("{accepted:?}") };
    let [test, live, of_sandbox] = [0, 1, 2].map(|n| model::carrier::MessageKey(key.0 + n));
    world.all(&[live], Status::Sent).await;
    sandbox.set_door(Door::Open);
    first.set_door(Door::Open);
    world.all(&[test, of_sandbox], Status::Sent).await;
    assert_eq!((first.times("test"), second.times("live")), (1, 1));
    assert_eq!((sandbox.times("of the sandbox"), second.heard().len()), (1, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_paused_and_then_switched_off_gives_up_what_waits() {
    let (first, second) = (Peer::new(), Peer::new());
    let world = world(&[&first, &second]).await;
    world.pause("one", true).await;
    let view = world.views.find("one").unwrap();
    until("it is paused", async || view.is_paused()).await;
    let key = world.send("text").await;
    let mut routes = world.open_routes();
    routes.carriers[0].enabled = false;
    world.admission.replace(routes);
    world.all(&[key], Status::Sent).await;
    assert_eq!((first.times("text"), second.times("text")), (0, 1));
    assert!(diverts(&world, key).await[0].contains("\"carrier_disabled\""));
    world.end().await;
}
