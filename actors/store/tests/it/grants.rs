//! Room granted ahead: intents that are stored with the messages they are for.

use std::time::Duration;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::message::{Category, Status};
use store::lane::{Accepted, Fate, Grant, OutboxRef, Work};

use crate::world::{World, each, sent};

fn grant(world: &World, parts: usize) -> Grant {
    Grant { carrier: world.carrier, epoch: world.epoch, parts }
}

/// Accepts one submission per message; the numbers of all, and of those stored with an intent.
async fn accept(
    world: &mut World,
    messages: Vec<model::submission::NewMessage>,
    grants: Vec<Grant>,
) -> (Vec<MessageKey>, Vec<MessageKey>) {
    let accepts = messages.into_iter().map(|message| world.submission(vec![message])).collect();
    let done = world.commit(Work { accepts, grants, ..Work::default() }).await;
    let key = |answer: &store::lane::AcceptAnswer| match answer {
        Ok(Accepted::Fresh { first, .. }) => *first,
        other => panic!("{other:?}"),
    };
    (done.accepts.iter().map(key).collect(), done.intended)
}

async fn waiting(world: &World, class: i64) -> Vec<i64> {
    let organization: OrgId = world.organization;
    let rows = world.store.waiting(world.carrier, class, organization, 0, 10).await.unwrap();
    rows.iter().map(|row| row.key).collect()
}

#[tokio::test]
async fn room_goes_to_one_time_codes_first_and_the_rest_waits() {
    each(async |mut world| {
        let mut code = world.message("+14155550125");
        code.category = Category::Otp;
        let messages = vec![world.message("+14155550123"), world.message("+14155550124"), code];
        let grants = vec![grant(&world, 2)];
        let (keys, intended) = accept(&mut world, messages, grants).await;
        assert_eq!(intended, [keys[0], keys[2]]);
        assert_eq!(waiting(&world, 1).await, [keys[1].0]);
        assert!(waiting(&world, 0).await.is_empty());
        // A later owner finds both in doubt, ours none.
        let doubted = world.store.in_doubt(world.carrier, world.epoch + 1, 0, 10).await.unwrap();
        assert_eq!(doubted.iter().map(|row| row.key).collect::<Vec<_>>(), [keys[0].0, keys[2].0]);
        assert!(doubted.iter().all(|row| row.intent == Some(world.epoch)));
        assert_eq!(world.store.in_doubt(world.carrier, world.epoch, 0, 10).await.unwrap().len(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_stored_with_an_intent_is_claimed_no_more_and_settled_once() {
    each(async |mut world| {
        let messages = vec![world.message("+14155550123")];
        let grants = vec![grant(&world, 9)];
        let (keys, intended) = accept(&mut world, messages, grants).await;
        assert_eq!(intended, keys);
        let (carrier, organization) = (world.carrier, world.organization);
        let row = OutboxRef { carrier, class: 1, organization, key: keys[0] };
        assert_eq!(world.claim(&[row]).await, [false]);
        for fate in [Fate::Closed, Fate::Stale] {
            let result = world.result(row, 1, sent(&["abc"]));
            let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
            assert_eq!(done.results, [fate]);
        }
        assert_eq!(world.status(row.key).await, Status::Sent);
        assert_eq!(world.wallet().await, (999_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn room_of_an_earlier_owner_is_void() {
    each(async |mut world| {
        let old = grant(&world, 9);
        let (_, epoch) = world.own("main").await;
        let messages = vec![world.message("+14155550123")];
        let (keys, intended) = accept(&mut world, messages, vec![old]).await;
        assert_eq!(intended, []);
        assert_eq!(waiting(&world, 1).await, [keys[0].0]);
        // The new owner's is good, and known to the next writer too.
        world.lane = reopened(&world).await;
        world.epoch = epoch;
        let grants = vec![grant(&world, 1)];
        let messages = vec![world.message("+14155550124")];
        let (keys, intended) = accept(&mut world, messages, grants).await;
        assert_eq!(intended, keys);
    })
    .await;
}

async fn reopened(world: &World) -> store::Lane {
    world.store.lane(crate::world::readings, false).await.unwrap()
}

#[tokio::test]
async fn room_is_not_for_what_is_scheduled_refused_or_too_long() {
    each(async |mut world| {
        let mut later = world.message("+14155550123");
        later.options.scheduled_at = Some(At::now().plus(Duration::from_secs(600)));
        let mut long = world.message("+14155550124");
        long.segments = 3;
        let grants = vec![grant(&world, 2)];
        let (keys, intended) = accept(&mut world, vec![later, long], grants).await;
        assert_eq!(intended, []);
        assert_eq!(waiting(&world, 1).await, [keys[1].0]);
        let mut dear = world.message("+14155550125");
        dear.unit_price = model::money::Micros(i64::MAX / 4);
        let (dear, cheap) = (world.submission(vec![dear]), world.message("+14155550126"));
        let accepts = vec![dear, world.submission(vec![cheap])];
        let grants = vec![grant(&world, 1)];
        let done = world.commit(Work { accepts, grants, ..Work::default() }).await;
        assert!(done.accepts[0].is_err() && done.accepts[1].is_ok());
        assert_eq!(done.intended.len(), 1);
        world.assert_books().await;
    })
    .await;
}
