//! Accepting: keys, money, and all of a request or nothing.

use model::money::Micros;
use model::refusal::Code;
use store::lane::{Accepted, Admin, Work};

use crate::world::each;

fn code(answer: &store::lane::AcceptAnswer) -> Option<Code> {
    answer.as_ref().err().map(|refusal| refusal.code)
}

#[tokio::test]
async fn one_key_is_one_message_within_a_batch_and_across_batches() {
    each(async |mut world| {
        let twins = (0..64).map(|_| world.keyed("the-same-key", 1)).collect::<Vec<_>>();
        let first = twins[0].messages[0].id;
        let answers = world.accept(twins).await;
        assert!(matches!(answers[0], Ok(Accepted::Fresh { .. })));
        let replayed = Ok(Accepted::Replayed { reference: first });
        assert!(answers[1..].iter().all(|answer| *answer == replayed));

        let later = world.keyed("the-same-key", 1);
        assert_eq!(world.accept(vec![later]).await, [replayed]);
        assert_eq!(world.store.count_messages(world.organization, None, 100).await.unwrap(), 1);
        assert_eq!(world.wallet().await, (999_000, 1_000));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    each(async |mut world| {
        let (one, other) = (world.keyed("a-good-key", 1), world.keyed("a-good-key", 2));
        let answers = world.accept(vec![one, other.clone()]).await;
        assert_eq!(code(&answers[1]), Some(Code::IdempotencyKeyReused));
        let answers = world.accept(vec![other]).await;
        assert_eq!(code(&answers[0]), Some(Code::IdempotencyKeyReused));
    })
    .await;
}

#[tokio::test]
async fn a_refused_send_keeps_no_key() {
    each(async |mut world| {
        let mut dear = world.keyed("a-dear-key", 1);
        dear.messages[0].unit_price = Micros(2_000_000);
        assert_eq!(code(&world.accept(vec![dear]).await[0]), Some(Code::BalanceTooLow));
        let cheap = world.keyed("a-dear-key", 2);
        assert!(matches!(world.accept(vec![cheap]).await[0], Ok(Accepted::Fresh { .. })));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_balance_for_n_sends_exactly_n() {
    each(async |mut world| {
        let (organization, key) = world.organization_with(Micros(7_500)).await;
        (world.organization, world.key) = (organization, key);
        let offered = (0..20)
            .map(|_| world.submission(vec![world.message("+14155550123")]))
            .collect::<Vec<_>>();
        let answers = world.accept(offered).await;
        assert!(answers[..7].iter().all(Result::is_ok));
        assert!(answers[7..].iter().all(|answer| code(answer) == Some(Code::BalanceTooLow)));
        assert_eq!(world.wallet().await, (500, 7_000));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_paid_whole_or_not_at_all() {
    each(async |mut world| {
        let (organization, key) = world.organization_with(Micros(2_500)).await;
        (world.organization, world.key) = (organization, key);
        let three = (0..3).map(|_| world.message("+14155550123")).collect();
        let three = world.submission(three);
        assert_eq!(code(&world.accept(vec![three]).await[0]), Some(Code::BalanceTooLow));
        assert_eq!(world.store.count_messages(organization, None, 10).await.unwrap(), 0);
        assert_eq!(world.wallet().await, (2_500, 0));
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_sends_nothing_even_when_it_was_read_before() {
    each(async |mut world| {
        let key = crate::world::new_key(model::api_key::Mode::Live);
        let id = key.id;
        let organization = world.organization;
        let done = world.admin(Admin::CreateKey { organization, key }).await;
        let store::lane::AdminDone::Key(number) = done else { panic!("{done:?}") };
        world.key = number;
        world.admin(Admin::RevokeKey { id }).await;
        let send = world.submission(vec![world.message("+14155550123")]);
        assert_eq!(code(&world.accept(vec![send]).await[0]), Some(Code::InvalidApiKey));
        assert_eq!(world.wallet().await, (1_000_000, 0));
    })
    .await;
}

#[tokio::test]
async fn a_thousand_messages_fit_one_transaction() {
    each(async |mut world| {
        let many = (0..1_000).map(|n| world.message(&format!("+1415555{n:04}"))).collect();
        let many = world.submission(many);
        let answers = world.accept(vec![many]).await;
        assert!(matches!(answers[0], Ok(Accepted::Fresh { .. })));
        assert_eq!(
            world.store.count_messages(world.organization, None, 5_000).await.unwrap(),
            1_000
        );
        assert_eq!(world.wallet().await, (0, 1_000_000));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_batch_of_work_is_a_commit_of_nothing() {
    each(async |mut world| {
        let done = world.commit(Work::default()).await;
        assert!(done.accepts.is_empty());
    })
    .await;
}
