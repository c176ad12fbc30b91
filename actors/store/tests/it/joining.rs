//! Parts of long inbound messages: any order, any life of the writer, one message.

use model::clock::At;
use model::event::EventKind;
use model::message::Encoding;
use store::MessageRow;
use store::lane::{Inbound, InboundFate, InboundPart, Work};

use crate::inbound::from_handset;
use crate::world::{World, each, readings};

fn part(world: &World, reference: u16, total: u8, number: u8, body: &str) -> Inbound {
    let mut item = from_handset(world, 0);
    item.fingerprint = [0; 32];
    item.fingerprint[..3].copy_from_slice(&[reference as u8, total, number]);
    item.fingerprint[3..3 + body.len()].copy_from_slice(body.as_bytes());
    item.carrier_organization = Some(world.organization);
    item.body = body.to_owned();
    item.raw = body.as_bytes().to_vec();
    item.part = Some(InboundPart { reference, total, number });
    item
}

async fn comes(world: &mut World, item: Inbound) -> InboundFate {
    world.commit(Work { inbound: vec![item], ..Work::default() }).await.inbound.remove(0)
}

async fn inbox(world: &World) -> Vec<MessageRow> {
    let filter = store::Filter { direction: Some(2), ..store::Filter::default() };
    let mut rows = world.store.messages(world.organization, &filter, i64::MAX, 99).await.unwrap();
    rows.reverse();
    rows
}

async fn give_up(world: &mut World, before: At) {
    world.commit(Work { join_before: Some(before), ..Work::default() }).await;
}

#[tokio::test]
async fn parts_in_any_order_and_lives_are_one_message() {
    each(async |mut world| {
        let third = part(&world, 7, 3, 3, "fast");
        assert_eq!(comes(&mut world, third).await, InboundFate::Kept);
        drop(world.lane);
        world.lane = world.store.lane(readings, false).await.unwrap();
        let mut first = part(&world, 7, 3, 1, "hold ");
        first.encoding = Encoding::Ucs2;
        assert_eq!(comes(&mut world, first).await, InboundFate::Kept);
        assert!(inbox(&world).await.is_empty());
        let second = part(&world, 7, 3, 2, "me ");
        assert_eq!(comes(&mut world, second).await, InboundFate::Stored(world.organization));
        let rows = inbox(&world).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].body.as_str(), rows[0].segments), ("hold me fast", 3));
        assert_eq!(rows[0].encoding, Encoding::Ucs2.code());
        give_up(&mut world, At(i64::MAX)).await;
        assert_eq!(inbox(&world).await.len(), 1, "nothing is left of it");
    })
    .await;
}

#[tokio::test]
async fn a_part_that_comes_again_is_a_repeat_by_any_connection() {
    each(async |mut world| {
        let first = part(&world, 7, 2, 1, "a");
        assert_eq!(comes(&mut world, first.clone()).await, InboundFate::Kept);
        assert_eq!(comes(&mut world, first.clone()).await, InboundFate::Repeated);
        let second = part(&world, 7, 2, 2, "b");
        assert!(matches!(comes(&mut world, second).await, InboundFate::Stored(_)));
        let mut later = first;
        later.session += 60_000_000;
        assert_eq!(comes(&mut world, later).await, InboundFate::Repeated);
        assert_eq!(inbox(&world).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_stays_incomplete_is_delivered_as_such_after_its_time() {
    each(async |mut world| {
        for (number, body) in [(1, "one "), (3, "three")] {
            let item = part(&world, 9, 3, number, body);
            comes(&mut world, item).await;
        }
        give_up(&mut world, At(At::now().micros() - 60_000_000)).await;
        assert!(inbox(&world).await.is_empty(), "its time is not over");
        give_up(&mut world, At(At::now().micros() + 1)).await;
        let rows = inbox(&world).await;
        assert_eq!((rows[0].body.as_str(), rows[0].segments), ("one three", 2));
        let log = world.store.log_of(world.organization, 0, 9).await.unwrap();
        assert_eq!(log[0].kind, EventKind::Received.code());
        let detail: serde_json::Value =
            serde_json::from_str(log[0].detail.as_deref().unwrap()).unwrap();
        assert_eq!(detail["incomplete"], true);
        assert_eq!((&detail["parts_received"], &detail["parts_total"]), (&2.into(), &3.into()));
    })
    .await;
}

#[tokio::test]
async fn a_reference_used_again_parts_the_old_text_from_the_new() {
    each(async |mut world| {
        for item in [
            part(&world, 5, 2, 1, "old"),
            part(&world, 5, 2, 1, "new "),
            part(&world, 5, 2, 2, "text"),
        ] {
            comes(&mut world, item).await;
        }
        let bodies: Vec<_> = inbox(&world).await.into_iter().map(|row| row.body).collect();
        assert_eq!(bodies, ["old", "new text"]);
    })
    .await;
}

#[tokio::test]
async fn people_and_numbers_are_not_mixed() {
    each(async |mut world| {
        let mut other = part(&world, 5, 2, 2, "b");
        other.from = String::from("+14155550999");
        for item in [part(&world, 5, 2, 1, "a"), other, part(&world, 6, 2, 2, "c")] {
            assert_eq!(comes(&mut world, item).await, InboundFate::Kept);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reply_names_the_message_it_answers() {
    each(async |mut world| {
        let mut question = world.message("+14155550123");
        (question.from, question.from_ton) = (String::from("+14155550100"), 1);
        let asked = question.id;
        world.accepted(question).await;
        let item = from_handset(&world, 3);
        let fate = comes(&mut world, item).await;
        assert_eq!(fate, InboundFate::Stored(world.organization));
        let log = world.store.log_of(world.organization, 0, 9).await.unwrap();
        let kinds: Vec<_> = log.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [1, EventKind::Received.code(), EventKind::Replied.code()]);
        let detail = log[2].detail.as_deref().unwrap();
        assert!(detail.contains(&asked.show(model::id::Kind::Message)), "{detail}");
    })
    .await;
}
