//! Receipts: matched, parked, folded, and never twice.

use model::message::Status;
use model::submission::NewMessage;
use store::lane::{Overdue, Receipt, ReceiptFate, Work};
use store::{Filter, MessageRow};

use crate::world::{World, each, sent};

async fn receive(world: &mut World, id: &str, status: Option<Status>) -> ReceiptFate {
    let receipts = vec![world.receipt(id, status)];
    world.commit(Work { receipts, ..Work::default() }).await.receipts.remove(0)
}

#[tokio::test]
async fn a_receipt_delivers_its_message_and_final_states_absorb() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "a1").await;
        let fate = receive(&mut world, "a1", Some(Status::Delivered)).await;
        assert_eq!(fate, ReceiptFate::Applied(Status::Delivered));
        for late in [Status::Delivered, Status::Undelivered] {
            assert_eq!(receive(&mut world, "a1", Some(late)).await, ReceiptFate::Noted);
        }
        assert_eq!(world.status(row.key).await, Status::Delivered);
        let events = world.store.events(world.organization, row.key, 0, 50).await.unwrap();
        assert_eq!(events.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_ahead_of_its_answer_waits_for_it() {
    each(async |mut world| {
        let fate = receive(&mut world, "early", Some(Status::Delivered)).await;
        assert_eq!(fate, ReceiptFate::Parked);
        let row = world.sent("+14155550123", "early").await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        assert!(world.store.orphans(i64::MAX, i64::MAX, 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_receipt_and_its_answer_may_come_in_one_batch() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let results = vec![world.result(row, 1, sent(&["b2"]))];
        let receipts = vec![world.receipt("b2", Some(Status::Delivered))];
        world.commit(Work { results, receipts, ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
    })
    .await;
}

/// Receipts by their parts' ids.
type Told = &'static [(&'static str, Option<Status>)];

/// What answer and receipts leave of a message: come in one batch, or one after the other.
async fn left(
    world: &mut World,
    (segments, ids): (u8, &[&str]),
    receipts: Vec<Receipt>,
    at_once: bool,
) -> (MessageRow, Vec<(i64, i64)>) {
    let message = NewMessage { segments, ..world.message("+14155550123") };
    let row = world.accepted(message).await;
    world.claim(&[row]).await;
    let results = vec![world.result(row, segments, sent(ids))];
    let answered = Work { results, ..Work::default() };
    if at_once {
        world.commit(Work { receipts, ..answered }).await;
    } else {
        world.commit(answered).await;
        world.commit(Work { receipts, ..Work::default() }).await;
    }
    let all = Filter::default();
    let messages = world.store.messages(world.organization, &all, i64::MAX, 1).await;
    let message = messages.unwrap().remove(0);
    assert_eq!(message.key, row.key.0);
    let events = world.store.events(world.organization, row.key, 0, 50).await.unwrap();
    (message, events.iter().map(|event| (event.kind, event.status)).collect())
}

#[tokio::test]
async fn one_batch_leaves_what_two_leave() {
    each(async |mut world| {
        let cases: [(u8, &[&str], Told); 5] = [
            (1, &["a"], &[("a", Some(Status::Delivered))]),
            (1, &["b"], &[("b", Some(Status::Undelivered))]),
            (1, &["c"], &[("c", None)]),
            (2, &["d", "e"], &[("e", Some(Status::Delivered))]),
            (2, &["f", "g"], &[("g", Some(Status::Delivered)), ("f", Some(Status::Delivered))]),
        ];
        for (segments, ids, receipts) in cases {
            let mut both = Vec::new();
            for run in ["1", "2"] {
                let ids: Vec<String> = ids.iter().map(|id| format!("{id}x{run}")).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let mut told = Vec::new();
                for (id, status) in receipts {
                    let receipt = world.receipt(&format!("{id}x{run}"), *status);
                    let error = Some(String::from("011"));
                    told.push(Receipt { reason: Some("absent"), error, ..receipt });
                }
                let (message, events) = left(&mut world, (segments, &ids), told, run == "1").await;
                assert_eq!(message.external_id.as_deref(), Some(ids[0]));
                assert!(message.sent_at.is_some());
                both.push((
                    (message.status, message.sent_at.is_some(), message.done_at.is_some()),
                    (message.error_code, message.status_reason, message.carrier_error),
                    (message.from_delivered, events),
                ));
            }
            assert_eq!(both[0], both[1], "{ids:?}");
        }
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn of_two_that_wait_with_one_id_the_newer_is_meant_also_when_it_is_of_this_batch() {
    each(async |mut world| {
        let older = world.sent("+14155550123", "same").await;
        let receipts = vec![world.receipt("same", Some(Status::Delivered))];
        let (newer, _) = left(&mut world, (1, &["same"]), receipts, true).await;
        assert_eq!(Status::from_code(newer.status), Some(Status::Delivered));
        assert_eq!(world.status(older.key).await, Status::Sent);
    })
    .await;
}

#[tokio::test]
async fn hex_and_decimal_meet_and_the_rule_is_learned() {
    each(async |mut world| {
        let first = world.sent("+14155550123", "ff").await;
        let fate = receive(&mut world, "255", Some(Status::Delivered)).await;
        assert_eq!(fate, ReceiptFate::Applied(Status::Delivered));
        assert_eq!(world.status(first.key).await, Status::Delivered);
        // Now that the rule is known, the decimal reading of another message's hex id cannot win.
        let second = world.sent("+14155550123", "100").await;
        let _ = world.sent("+14155550123", "256").await;
        receive(&mut world, "256", Some(Status::Undelivered)).await;
        assert_eq!(world.status(second.key).await, Status::Undelivered);
    })
    .await;
}

#[tokio::test]
async fn another_reading_needs_the_same_recipient() {
    each(async |mut world| {
        let row = world.sent("+447911123456", "ff").await;
        let fate = receive(&mut world, "255", Some(Status::Delivered)).await;
        assert_eq!(fate, ReceiptFate::Parked);
        assert_eq!(world.status(row.key).await, Status::Sent);
    })
    .await;
}

#[tokio::test]
async fn all_parts_delivered_is_delivered_and_the_first_bad_news_wins() {
    each(async |mut world| {
        let mut long = world.message("+14155550123");
        long.segments = 2;
        let (good, bad) = (world.accepted(long.clone()).await, {
            let mut other = long.clone();
            other.id = model::id::PublicId::new(model::clock::At::now());
            world.accepted(other).await
        });
        world.claim(&[good, bad]).await;
        let results = vec![
            world.result(good, 2, sent(&["p1", "p2"])),
            world.result(bad, 2, sent(&["q1", "q2"])),
        ];
        world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(receive(&mut world, "p1", Some(Status::Delivered)).await, ReceiptFate::Noted);
        assert_eq!(receive(&mut world, "p1", Some(Status::Delivered)).await, ReceiptFate::Noted);
        assert_eq!(world.status(good.key).await, Status::Sent);
        receive(&mut world, "p2", Some(Status::Delivered)).await;
        assert_eq!(world.status(good.key).await, Status::Delivered);
        receive(&mut world, "q2", Some(Status::Expired)).await;
        receive(&mut world, "q1", Some(Status::Delivered)).await;
        assert_eq!(world.status(bad.key).await, Status::Expired);
    })
    .await;
}

#[tokio::test]
async fn an_intermediate_receipt_is_history_only() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "c3").await;
        assert_eq!(receive(&mut world, "c3", None).await, ReceiptFate::Noted);
        assert_eq!(world.status(row.key).await, Status::Sent);
    })
    .await;
}

#[tokio::test]
async fn of_an_id_used_again_the_newest_message_is_meant() {
    each(async |mut world| {
        let old = world.sent("+14155550123", "d4").await;
        let new = world.sent("+14155550123", "d4").await;
        receive(&mut world, "d4", Some(Status::Delivered)).await;
        assert_eq!(world.status(old.key).await, Status::Sent);
        assert_eq!(world.status(new.key).await, Status::Delivered);
    })
    .await;
}

#[tokio::test]
async fn a_late_receipt_replaces_submitted_no_receipt() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "e5").await;
        let organization = world.organization;
        let overdue = vec![Overdue { key: row.key, organization }; 1];
        world.commit(Work { overdue: overdue.clone(), ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::SubmittedNoReceipt);
        receive(&mut world, "e5", Some(Status::Delivered)).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        world.commit(Work { overdue, ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
    })
    .await;
}

#[tokio::test]
async fn a_rewritten_sender_is_shown() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "f6").await;
        let mut receipt = world.receipt("f6", Some(Status::Delivered));
        receipt.destination = String::from("Carrier");
        world.commit(Work { receipts: vec![receipt], ..Work::default() }).await;
        let filter = store::Filter::default();
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 1).await.unwrap();
        assert_eq!(rows[0].key, row.key.0);
        assert_eq!(rows[0].from_delivered.as_deref(), Some("Carrier"));
    })
    .await;
}

#[tokio::test]
async fn an_orphan_can_be_read() {
    each(async |mut world| {
        receive(&mut world, "nobody", Some(Status::Undelivered)).await;
        let orphans = world.store.orphans(i64::MAX, i64::MAX, 10).await.unwrap();
        assert_eq!(orphans[0].raw_id, "nobody");
        assert_eq!(orphans[0].carrier.as_deref(), Some("main"));
    })
    .await;
}
