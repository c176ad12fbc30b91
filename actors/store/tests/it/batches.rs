//! Batches: what was said to them survives, how they stand is counted, and a preview leaves
//! nothing behind.

use model::clock::At;
use model::id::PublicId;
use model::message::Status;
use model::money::Micros;
use model::refusal::Code;
use model::submission::{NewBatch, Submission};
use store::TransferKind;
use store::lane::{Accepted, OutboxRef, Work};

use crate::world::{World, each, sent};

/// Three messages of five recipients.
fn batch(world: &World) -> Submission {
    let id = PublicId::new(At::now());
    let messages = (0..3).map(|n| world.message(&format!("+1415555000{n}"))).collect();
    let error = |code: &str| format!("{{\"code\":\"{code}\"}}");
    let batch = NewBatch {
        id,
        places: vec![0, 2, 4],
        refused: vec![(1, error("A")), (3, error("B"))],
        template: Some(id),
    };
    Submission { batch: Some(batch), ..world.submission(messages) }
}

#[tokio::test]
async fn what_was_said_to_a_batch_is_kept_with_it() {
    each(async |mut world| {
        let submission = batch(&world);
        let id = submission.batch.as_ref().unwrap().id;
        let answer = world.accept(vec![submission]).await.remove(0).unwrap();
        let Accepted::Fresh { at, .. } = answer else { panic!("{answer:?}") };
        let row = world.store.batch_row(world.organization, id).await.unwrap().unwrap();
        assert_eq!((row.accepted, row.rejected, row.created_at), (3, 2, at.0));
        assert_eq!(row.template_id.as_deref(), Some(id.as_bytes().as_slice()));
        let refused = r#"[{"error":{"code":"A"},"index":1},{"error":{"code":"B"},"index":3}]"#;
        assert_eq!(row.refused, refused);
        let (other, _) = world.organization_with(Micros(5)).await;
        assert!(world.store.batch_row(other, id).await.unwrap().is_none());
        assert!(world.store.batch_counts(other, id).await.unwrap().is_empty());
        assert!(world.store.batch_money(other, id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_refused_batch_leaves_no_row() {
    each(async |mut world| {
        let (organization, key) = world.organization_with(Micros(2_500)).await;
        (world.organization, world.key) = (organization, key);
        let submission = batch(&world);
        let id = submission.batch.as_ref().unwrap().id;
        let answer = world.accept(vec![submission]).await.remove(0);
        assert_eq!(answer.unwrap_err().code, Code::BalanceTooLow);
        assert!(world.store.batch_row(organization, id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_counted_by_status_and_by_money() {
    each(async |mut world| {
        let submission = batch(&world);
        let id = submission.batch.as_ref().unwrap().id;
        let answer = world.accept(vec![submission]).await.remove(0).unwrap();
        let Accepted::Fresh { first, .. } = answer else { panic!("{answer:?}") };
        let row = |n: i64| OutboxRef {
            carrier: world.carrier,
            class: 1,
            organization: world.organization,
            key: model::carrier::MessageKey(first.0 + n),
        };
        let (one, two) = (row(0), row(1));
        assert_eq!(world.claim(&[one, two]).await, [true, true]);
        let result = world.result(one, 1, sent(&["a1"]));
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        let counts = world.store.batch_counts(world.organization, id).await.unwrap();
        let counts: Vec<_> =
            counts.iter().map(|c| (c.status, c.sending, c.messages, c.segments)).collect();
        let (queued, sent) = (Status::Queued.code(), Status::Sent.code());
        assert_eq!(counts, [(queued, 0, 1, 1), (queued, 1, 1, 1), (sent, 0, 1, 1)]);
        let money = world.store.batch_money(world.organization, id).await.unwrap();
        let money: Vec<_> = money.iter().map(|m| (m.kind, m.amount)).collect();
        let (hold, settle) = (TransferKind::Hold.code(), TransferKind::Settle.code());
        assert_eq!(money, [(hold, 3_000), (settle, 1_000)]);
    })
    .await;
}

#[tokio::test]
async fn a_preview_says_what_would_be_and_leaves_nothing() {
    each(async |mut world| {
        let (organization, key) = world.organization_with(Micros(3_500)).await;
        (world.organization, world.key) = (organization, key);
        let previews = vec![batch(&world), batch(&world)];
        // Each sees the wallet as it is, not what another preview would have left.
        let done = world.commit(Work { previews, ..Work::default() }).await;
        for answer in &done.previews {
            let foreseen = answer.as_ref().unwrap();
            assert_eq!((foreseen.refused.len(), foreseen.unpaid.as_ref()), (0, None));
        }
        assert_eq!(done.previews.len(), 2);
        assert_eq!(world.store.count_messages(organization, None, 10).await.unwrap(), 0);
        assert_eq!(world.wallet().await, (3_500, 0));

        // With a batch that is let in beside it, and then without enough for another.
        let work =
            Work { accepts: vec![batch(&world)], previews: vec![batch(&world)], ..Work::default() };
        let done = world.commit(work).await;
        assert!(matches!(done.accepts[0], Ok(Accepted::Fresh { .. })));
        let previews = vec![batch(&world)];
        let done = world.commit(Work { previews, ..Work::default() }).await;
        let unpaid = done.previews[0].as_ref().unwrap().unpaid.as_ref().unwrap();
        assert_eq!(unpaid.code, Code::BalanceTooLow);
        assert_eq!(world.wallet().await, (500, 3_000));
        world.assert_books().await;
    })
    .await;
}
