//! Claims and results: one intent, one settlement.

use std::time::Duration;

use model::carrier::MessageKey;
use model::clock::At;
use model::id::PublicId;
use model::message::Status;
use model::money::Micros;
use model::refusal::MessageError;
use model::submission::{NewMessage, Submission};
use store::TransferKind;
use store::lane::{Accepted, Admin, Claim, Fate, OutboxRef, Outcome, Work};

use crate::world::{each, sent};

#[tokio::test]
async fn a_row_is_claimed_once() {
    each(async |mut world| {
        let first = world.accepted(world.message("+14155550123")).await;
        let second = world.accepted(world.message("+14155550124")).await;
        assert_eq!(world.claim(&[first]).await, [true]);
        assert_eq!(world.claim(&[first, second]).await, [false, true]);
    })
    .await;
}

#[tokio::test]
async fn a_result_settles_the_hold_exactly_once() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "abc").await;
        assert_eq!(world.wallet().await, (999_000, 0));
        let again = world.result(row, 1, sent(&["abc"]));
        let done = world.commit(Work { results: vec![again], ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale]);
        assert_eq!(world.wallet().await, (999_000, 0));
        let kinds: Vec<_> =
            world.store.transfers_of(row.key).await.unwrap().iter().map(|t| t.0).collect();
        assert_eq!(kinds, [TransferKind::Hold, TransferKind::Settle]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_stale_result_does_not_spoil_its_batch() {
    each(async |mut world| {
        let old = world.sent("+14155550123", "abc").await;
        let new = world.accepted(world.message("+14155550124")).await;
        world.claim(&[new]).await;
        let results =
            vec![world.result(old, 1, sent(&["abc"])), world.result(new, 1, sent(&["def"]))];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale, Fate::Closed]);
        assert_eq!(world.status(new.key).await, Status::Sent);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_another_epoch_settles_nothing() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let (_, epoch) = world.own("main").await;
        assert_eq!(epoch, world.epoch + 1);
        let mut result = world.result(row, 1, sent(&["abc"]));
        result.epoch = epoch;
        let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale]);
        assert_eq!(world.status(row.key).await, Status::Queued);
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_was_followed_claims_nothing() {
    each(async |mut world| {
        let old = world.accepted(world.message("+14155550123")).await;
        let other = world.own("other").await;
        let mut elsewhere = world.message("+14155550124");
        elsewhere.carrier = other.0;
        let elsewhere = world.accepted(elsewhere).await;
        let (_, epoch) = world.own("main").await;
        let late = Claim { row: old, epoch: world.epoch };
        let good = Claim { row: elsewhere, epoch: other.1 };
        let claims = vec![late, good];
        let done = world.commit(Work { claims, ..Work::default() }).await;
        assert_eq!(done.claims, [false, true]);
        world.epoch = epoch;
        assert_eq!(world.claim(&[old]).await, [true]);
        // In the transaction that made another one its owner, too.
        let next = world.accepted(world.message("+14155550125")).await;
        let admin = vec![Admin::OwnCarrier { name: String::from("main") }];
        let claims = vec![Claim { row: next, epoch }];
        let done = world.commit(Work { admin, claims, ..Work::default() }).await;
        assert_eq!(done.claims, [false]);
    })
    .await;
}

#[tokio::test]
async fn of_two_results_for_one_row_the_first_alone_counts() {
    each(async |mut world| {
        let refused = || Outcome::Ended {
            status: Status::Rejected,
            reason: None,
            error: Some(MessageError::InvalidRecipient),
            carrier_error: None,
            submitted: 0,
            parts: Vec::new(),
        };
        let later =
            |stays| Outcome::Retry { due_at: At::now(), attempts: 1, carrier_error: None, stays };
        let twice = [
            (sent(&["abc"]), refused(), [Fate::Closed, Fate::Stale], (999_000, 0)),
            (refused(), sent(&["def"]), [Fate::Closed, Fate::Stale], (999_000, 0)),
            (later(true), later(false), [Fate::Again, Fate::Stale], (998_000, 1_000)),
            (later(true), sent(&["ghi"]), [Fate::Again, Fate::Stale], (997_000, 2_000)),
        ];
        for (first, second, fates, wallet) in twice {
            let row = world.accepted(world.message("+14155550123")).await;
            world.claim(&[row]).await;
            let results = vec![world.result(row, 1, first), world.result(row, 1, second)];
            let done = world.commit(Work { results, ..Work::default() }).await;
            assert_eq!(done.results, fates);
            assert_eq!(world.wallet().await, wallet);
            world.assert_books().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_intent_of_one_epoch_is_no_other_epochs() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let mut stranger = world.result(row, 1, sent(&["abc"]));
        stranger.epoch += 1;
        let results = vec![stranger, world.result(row, 1, sent(&["def"]))];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale, Fate::Closed]);
        assert_eq!(world.wallet().await, (999_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_not_submitted_is_released() {
    each(async |mut world| {
        let mut message = world.message("+14155550123");
        message.segments = 3;
        let row = world.accepted(message).await;
        assert_eq!(world.wallet().await, (997_000, 3_000));
        world.claim(&[row]).await;
        let outcome = Outcome::Ended {
            status: Status::Rejected,
            reason: None,
            error: Some(MessageError::InvalidRecipient),
            carrier_error: Some(String::from("0x0000000B")),
            submitted: 1,
            parts: Vec::new(),
        };
        let result = world.result(row, 3, outcome);
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(world.wallet().await, (999_000, 0));
        assert_eq!(world.status(row.key).await, Status::Rejected);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_retry_goes_back_without_its_intent() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let due_at = At::now().plus(Duration::from_secs(9));
        let outcome = Outcome::Retry { due_at, attempts: 1, carrier_error: None, stays: false };
        let result = world.result(row, 1, outcome);
        let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Again]);
        let waiting =
            world.store.waiting(row.carrier, row.class, row.organization, 0, 10).await.unwrap();
        assert_eq!((waiting[0].attempts, waiting[0].due_at), (1, due_at.micros()));
        assert_eq!(world.claim(&[row]).await, [true]);
    })
    .await;
}

#[tokio::test]
async fn an_intent_of_an_earlier_life_is_in_doubt() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let doubtful = world.store.in_doubt(row.carrier, world.epoch + 1, 0, 10).await.unwrap();
        assert_eq!(doubtful.len(), 1);
        assert_eq!(doubtful[0].intent, Some(world.epoch));
        assert!(world.store.in_doubt(row.carrier, world.epoch, 0, 10).await.unwrap().is_empty());
    })
    .await;
}

/// As after a power cut under load: an owner reads page by page what it has to ask receipts about.
#[tokio::test]
async fn thousands_in_doubt_are_read_in_order_page_by_page() {
    each(async |mut world| {
        let mut rows = Vec::new();
        (world.organization, world.key) = world.organization_with(Micros(10_000_000)).await;
        for _ in 0..6 {
            let one = world.message("+14155550123");
            let all = std::iter::repeat_with(|| NewMessage {
                id: PublicId::new(At::now()),
                ..one.clone()
            });
            let batch = Some(crate::world::batch_of(1_000));
            let many = Submission { batch, ..world.submission(all.take(1_000).collect()) };
            let answer = world.accept(vec![many]).await.remove(0).unwrap();
            let Accepted::Fresh { first, .. } = answer else { panic!("replayed") };
            let class = one.category.class();
            let row = |n| OutboxRef {
                carrier: world.carrier,
                class,
                organization: world.organization,
                key: MessageKey(first.0 + n),
            };
            rows.extend((0..1_000).map(row));
        }
        assert!(world.claim(&rows).await.iter().all(|ours| *ours));
        world.run("analyze").await;
        let (mut after, mut read) = (0, Vec::new());
        loop {
            let page =
                world.store.in_doubt(world.carrier, world.epoch + 1, after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.key;
            read.extend(page.iter().map(|row| MessageKey(row.key)));
        }
        assert_eq!(read, rows.iter().map(|row| row.key).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn doubt_is_resolved_by_a_parked_receipt_or_by_giving_up() {
    each(async |mut world| {
        let witnessed = world.accepted(world.message("+14155550123")).await;
        let silent = world.accepted(world.message("+14155550999")).await;
        let since = At::now().minus(Duration::from_secs(1));
        world.claim(&[witnessed, silent]).await;
        let early = world.receipt("77", Some(Status::Delivered));
        world.commit(Work { receipts: vec![early], ..Work::default() }).await;
        let resolve = |to: &str, resend| Outcome::Resolve {
            to: to.to_owned(),
            from: String::from("Orbit"),
            since,
            resend,
            attempts: 1,
            submitted: 1,
        };
        let results = vec![
            world.result(witnessed, 1, resolve("+14155550123", true)),
            world.result(silent, 1, resolve("+14155550999", false)),
        ];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Closed, Fate::Closed]);
        assert_eq!(world.status(witnessed.key).await, Status::Delivered);
        assert_eq!(world.status(silent.key).await, Status::SubmittedNoReceipt);
        assert_eq!(world.wallet().await, (998_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_long_message_in_doubt_is_settled_by_the_receipts_of_its_parts() {
    each(async |mut world| {
        let mut long = world.message("+14155550123");
        long.segments = 3;
        let row = world.accepted(long).await;
        let since = At::now().minus(Duration::from_secs(1));
        world.claim(&[row]).await;
        let receipts =
            vec![world.receipt("71", Some(Status::Delivered)), world.receipt("72", None)];
        world.commit(Work { receipts, ..Work::default() }).await;
        let outcome = Outcome::Resolve {
            to: String::from("+14155550123"),
            from: String::from("Orbit"),
            since,
            resend: true,
            attempts: 1,
            submitted: 3,
        };
        let results = vec![world.result(row, 3, outcome)];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Closed]);
        assert_eq!(world.status(row.key).await, Status::Sent);
        let receipts = vec![world.receipt("72", Some(Status::Delivered))];
        world.commit(Work { receipts, ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn claims_of_many_rows_go_in_one_statement() {
    each(async |mut world| {
        let many = (0..700).map(|n| world.message(&format!("+1415555{n:04}"))).collect();
        let submission = world.submission(many);
        let answer = world.accept(vec![submission]).await.remove(0).unwrap();
        let store::lane::Accepted::Fresh { first, .. } = answer else { panic!("replayed") };
        let claims: Vec<Claim> = (0..700)
            .map(|n| Claim {
                row: store::lane::OutboxRef {
                    carrier: world.carrier,
                    class: 1,
                    organization: world.organization,
                    key: model::carrier::MessageKey(first.0 + n),
                },
                epoch: world.epoch,
            })
            .collect();
        let done = world.commit(Work { claims, ..Work::default() }).await;
        assert_eq!(done.claims, vec![true; 700]);
    })
    .await;
}
