//! Receipts whose id alone does not say which message they mean.

use model::clock::At;
use model::esme::Submitted;
use model::message::Status;
use store::lane::{OutboxRef, Outcome, PartId, Receipt, ReceiptFate, Work};

use crate::inbound::from_handset;
use crate::world::{World, each};

const ANNA: &str = "+14155550123";
const BERT: &str = "+14155550177";

fn about(world: &World, id: &str, to: &str) -> Receipt {
    let mut receipt = world.receipt(id, Some(Status::Delivered));
    receipt.source = to.to_owned();
    receipt
}

async fn receive(world: &mut World, receipt: Receipt) -> ReceiptFate {
    let receipts = vec![receipt];
    world.commit(Work { receipts, ..Work::default() }).await.receipts.remove(0)
}

#[tokio::test]
async fn of_several_messages_with_an_id_the_recipients_own_is_meant() {
    each(async |mut world| {
        let anna = world.sent(ANNA, "7").await;
        let bert = world.sent(BERT, "7").await;
        let receipt = about(&world, "7", ANNA);
        receive(&mut world, receipt).await;
        assert_eq!(world.status(anna.key).await, Status::Delivered);
        assert_eq!(world.status(bert.key).await, Status::Sent);
        // The addresses may stand the other way round.
        let mut receipt = about(&world, "7", "Orbit");
        receipt.destination = BERT.to_owned();
        receive(&mut world, receipt).await;
        assert_eq!(world.status(bert.key).await, Status::Delivered);
        // An older one that ended is not preferred to a newer one that waits.
        let again = world.sent(ANNA, "7").await;
        let receipt = about(&world, "7", ANNA);
        receive(&mut world, receipt).await;
        assert_eq!(world.status(again.key).await, Status::Delivered);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_for_another_than_the_message_that_ended_waits_for_its_own() {
    each(async |mut world| {
        let anna = world.sent(ANNA, "7").await;
        let receipt = about(&world, "7", ANNA);
        receive(&mut world, receipt).await;
        assert_eq!(world.status(anna.key).await, Status::Delivered);
        // The carrier gave the id again, and the receipt came before its answer.
        let receipt = about(&world, "7", BERT);
        assert_eq!(receive(&mut world, receipt).await, ReceiptFate::Parked);
        let bert = world.sent(BERT, "7").await;
        assert_eq!(world.status(bert.key).await, Status::Delivered);
        assert!(world.store.orphans(i64::MAX, i64::MAX, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_message_without_an_id_is_found_by_its_recipient_if_it_is_alone() {
    each(async |mut world| {
        let anna = world.sent(ANNA, "").await;
        let bert = world.sent(BERT, "").await;
        let filter = store::Filter::default();
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 2).await.unwrap();
        assert!(rows.iter().all(|row| row.external_id.is_none()), "no id is no empty id");
        let receipt = about(&world, "told-in-receipts-alone", BERT);
        let fate = receive(&mut world, receipt).await;
        assert_eq!(fate, ReceiptFate::Applied(Status::Delivered));
        assert_eq!(world.status(anna.key).await, Status::Sent);
        assert_eq!(world.status(bert.key).await, Status::Delivered);
        // Two to one recipient from one sender cannot be told apart.
        let second = world.sent(ANNA, "").await;
        let receipt = about(&world, "either", ANNA);
        assert_eq!(receive(&mut world, receipt).await, ReceiptFate::Parked);
        assert_eq!(world.status(second.key).await, Status::Sent);
        // A message that has an id is not taken for one that has none.
        world.sent("+14155550188", "known").await;
        let receipt = about(&world, "unknown", "+14155550188");
        assert_eq!(receive(&mut world, receipt).await, ReceiptFate::Parked);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_ahead_of_an_answer_without_an_id_waits_for_it_too() {
    each(async |mut world| {
        let receipts = vec![about(&world, "ahead", ANNA), about(&world, "other", BERT)];
        let done = world.commit(Work { receipts, ..Work::default() }).await;
        assert_eq!(done.receipts, [ReceiptFate::Parked, ReceiptFate::Parked]);
        let anna = world.sent(ANNA, "").await;
        assert_eq!(world.status(anna.key).await, Status::Delivered);
        let orphans = world.store.orphans(i64::MAX, i64::MAX, 10).await.unwrap();
        assert_eq!((orphans.len(), orphans[0].raw_id.as_str()), (1, "other"));
    })
    .await;
}

async fn long(world: &mut World, ids: &[&str]) -> OutboxRef {
    let mut message = world.message(ANNA);
    message.segments = 3;
    let row = world.accepted(message).await;
    world.claim(&[row]).await;
    let parts = ids.iter().zip(1..).map(|(id, part)| PartId { part, id: (*id).to_owned() });
    let outcome = Outcome::Sent { parts: parts.collect(), external_id: ids[0].to_owned() };
    let results = vec![world.result(row, 3, outcome)];
    world.commit(Work { results, ..Work::default() }).await;
    row
}

#[tokio::test]
async fn each_receipt_of_a_long_message_without_ids_is_for_its_next_part() {
    each(async |mut world| {
        let row = long(&mut world, &["", "", ""]).await;
        let receipts = vec![about(&world, "x1", ANNA), about(&world, "x2", ANNA)];
        let done = world.commit(Work { receipts, ..Work::default() }).await;
        assert_eq!(done.receipts, [ReceiptFate::Noted, ReceiptFate::Noted]);
        let receipt = about(&world, "x3", ANNA);
        assert_eq!(receive(&mut world, receipt).await, ReceiptFate::Applied(Status::Delivered));
        assert_eq!(world.status(row.key).await, Status::Delivered);
    })
    .await;
}

async fn settle_partly(world: &mut World, before: At) {
    world.commit(Work { partly_before: Some(before), ..Work::default() }).await;
}

#[tokio::test]
async fn parts_without_a_word_are_waited_for_and_then_count_as_the_others() {
    each(async |mut world| {
        let row = long(&mut world, &["p1", "p2", "p3"]).await;
        let silent = long(&mut world, &["q1", "q2", "q3"]).await;
        let receipt = about(&world, "p3", ANNA);
        receive(&mut world, receipt).await;
        settle_partly(&mut world, At(1)).await;
        assert_eq!(world.status(row.key).await, Status::Sent, "it is not time yet");
        settle_partly(&mut world, At(i64::MAX)).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        assert_eq!(world.status(silent.key).await, Status::Sent, "nothing is known of it");
        let filter = store::Filter { status: Some(4), ..store::Filter::default() };
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 9).await.unwrap();
        assert_eq!(rows[0].status_reason.as_deref(), Some("part_receipts_missing"));
        let events = world.store.events(world.organization, row.key, 0, 50).await.unwrap();
        settle_partly(&mut world, At(i64::MAX)).await;
        let after = world.store.events(world.organization, row.key, 0, 50).await.unwrap();
        assert_eq!(events.len(), after.len(), "once");
    })
    .await;
}

#[tokio::test]
async fn bad_news_of_a_part_ends_the_wait_for_the_others() {
    each(async |mut world| {
        let row = long(&mut world, &["p1", "p2", "p3"]).await;
        let receipt = about(&world, "p1", ANNA);
        receive(&mut world, receipt).await;
        let mut receipt = about(&world, "p2", ANNA);
        receipt.status = Some(Status::Undelivered);
        receive(&mut world, receipt).await;
        settle_partly(&mut world, At(i64::MAX)).await;
        assert_eq!(world.status(row.key).await, Status::Undelivered);
    })
    .await;
}

#[tokio::test]
async fn octets_that_are_no_text_are_kept_beside_it_over_the_join_of_their_parts() {
    each(async |mut world| {
        let said = |octets: &[u8]| Submitted {
            data_coding: 4,
            user_data: octets.to_vec(),
            tlvs: vec![0x14, 0x01, 0, 0],
            ..Submitted::default()
        };
        for number in [2, 1] {
            let mut item = from_handset(&world, number);
            item.carrier_organization = Some(world.organization);
            item.part = Some(store::lane::InboundPart { reference: 7, total: 2, number });
            item.body = String::new();
            item.said = said(&[number, 0xFF]);
            world.commit(Work { inbound: vec![item], ..Work::default() }).await;
        }
        let filter = store::Filter { direction: Some(2), ..store::Filter::default() };
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 9).await.unwrap();
        let kept = rows[0].said.as_deref().and_then(|octets| Submitted::from_octets(0, octets));
        assert_eq!(kept, Some(said(&[1, 0xFF, 2, 0xFF])));
        let row = world.sent(ANNA, "out").await;
        let all = store::Filter::default();
        let rows = world.store.messages(world.organization, &all, row.key.0 + 1, 1).await.unwrap();
        assert_eq!(rows[0].said, None, "of inbound messages alone");
    })
    .await;
}
