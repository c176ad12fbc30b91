//! Texts that a customer has cut itself: their parts do not end up at two carriers, whatever these
//! refuse, and whoever is away.

use std::sync::Arc;

use model::carrier::MessageKey;
use model::esme::Submitted;
use model::message::{Category, Status};
use model::submission::NewMessage;
use store::lane::Accepted;

use super::diverts::{cut, diverts, world};
use super::peer::{Act, Door, Peer};
use super::world::World;

/// A part of one text of two.
fn part(world: &World, number: u8) -> NewMessage {
    let mut message = world.message(0, Category::Transactional, &format!("part {number}"));
    let mut user_data = vec![5, 0, 3, 9, 2, number];
    user_data.extend_from_slice(message.body.as_bytes());
    let submitted = Submitted { account: 7, esm_class: 0x40, user_data, ..Submitted::default() };
    message.options.submitted = Some(Arc::new(submitted));
    message
}

async fn send(world: &World, numbers: &[u8]) -> Vec<MessageKey> {
    let parts = numbers.iter().map(|number| part(world, *number)).collect();
    let accepted = world.writer.submit(world.submission(parts)).await.unwrap();
    let Accepted::Fresh { first, .. } = accepted else { panic!("{accepted:?}") };
    (first.0..).take(numbers.len()).map(MessageKey).collect()
}

/// How often each part came.
fn came(peer: &Peer) -> [usize; 2] {
    let heard = peer.heard();
    ["part 1", "part 2"].map(|part| heard.iter().filter(|h| h.text.ends_with(part)).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_refused_alone_stays_where_the_others_are() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, text| if text.ends_with("2") { Act::Status(0x08) } else { Act::Ack });
    let world = world(&[&first, &second]).await;
    let taken = send(&world, &[1]).await;
    world.all(&taken, Status::Sent).await;
    let refused = send(&world, &[2]).await;
    world.all(&refused, Status::Failed).await;
    assert_eq!(came(&first)[0], 1);
    assert!(second.heard().is_empty(), "{:?}", second.heard());
    assert!(diverts(&world, refused[0]).await.is_empty());
    // A text of which nothing was taken is not held.
    let plain = world.send("plain 2").await;
    world.all(&[plain], Status::Sent).await;
    assert_eq!(second.times("plain 2"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_all_refused_go_elsewhere_together() {
    let (first, second) = (Peer::new(), Peer::new());
    first.answer(|_, _| Act::Status(0x08));
    let world = world(&[&first, &second]).await;
    let both = send(&world, &[1, 2]).await;
    world.all(&both, Status::Sent).await;
    assert_eq!(came(&second), [1, 1]);
    for key in &both {
        assert_eq!(world.row(*key).await.carrier.as_deref(), Some("two"));
    }
    world.assert_charged_once(&both).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_waits_for_the_carrier_that_has_the_others() {
    let (first, second) = (Peer::new(), Peer::new());
    let world = world(&[&first, &second]).await;
    let taken = send(&world, &[1]).await;
    world.all(&taken, Status::Sent).await;
    cut(&world, "one", &first).await;
    let waits = send(&world, &[2]).await;
    let plain = world.send("plain").await;
    world.all(&[plain], Status::Sent).await;
    assert_eq!((second.times("plain"), came(&second)), (1, [0, 0]));
    first.set_door(Door::Open);
    world.all(&waits, Status::Sent).await;
    assert_eq!((came(&first), came(&second)), ([1, 1], [0, 0]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_only_waited_goes_elsewhere_as_a_whole_and_stays_there() {
    let (first, second) = (Peer::new(), Peer::new());
    let world = world(&[&first, &second]).await;
    cut(&world, "one", &first).await;
    let moved = send(&world, &[1]).await;
    world.all(&moved, Status::Sent).await;
    assert_eq!(came(&second), [1, 0]);
    // The first one is back, and was meant to have the rest.
    first.set_door(Door::Open);
    let follows = send(&world, &[2]).await;
    world.all(&follows, Status::Sent).await;
    assert_eq!((came(&first), came(&second)), ([0, 0], [1, 1]));
    let told = diverts(&world, follows[0]).await;
    assert!(
        told[0].contains("\"reason\":\"text\"") || told[0].contains("carrier_down"),
        "{told:?}"
    );
    world.end().await;
}
