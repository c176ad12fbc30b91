//! A message moves to another carrier: once, only by who holds it, at the same price.

use std::time::Duration;

use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::event::EventKind;
use model::message::Status;
use store::lane::{Admin, AdminDone, CancelFate, Claim, Fate, OutboxRef, Outcome, Work};
use store::{TransferKind, WaitingRow};

use crate::world::{World, each, sent};

fn divert(to: CarrierId, tried: &str) -> Outcome {
    Outcome::Divert {
        to,
        tried: tried.to_owned(),
        reason: "refused",
        carrier_error: Some(String::from("0x00000008 ESME_RSYSERR")),
        waiting: false,
    }
}

/// A second carrier and its epoch.
async fn second(world: &mut World) -> (CarrierId, i64) {
    world.own("second").await
}

/// Accepts and claims one message, and moves it; where its row is now.
async fn moved(world: &mut World, to: CarrierId) -> OutboxRef {
    let row = world.accepted(world.message("+14155550123")).await;
    assert_eq!(world.claim(&[row]).await, [true]);
    let tried = row.carrier.0.to_string();
    let result = world.result(row, 1, divert(to, &tried));
    let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
    assert!(matches!(done.results[..], [Fate::Diverted { .. }]), "{:?}", done.results);
    OutboxRef { carrier: to, ..row }
}

async fn waiting(world: &World, carrier: CarrierId) -> Vec<WaitingRow> {
    world.store.waiting(carrier, 1, world.organization, 0, 10).await.unwrap()
}

#[tokio::test]
async fn a_diverted_message_waits_for_the_other_carrier_behind_what_came_before() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let mut earlier = world.message("+14155550124");
        earlier.carrier = to;
        let earlier = world.accepted(earlier).await;
        let row = moved(&mut world, to).await;
        assert!(waiting(&world, world.carrier).await.is_empty());
        let rows = waiting(&world, to).await;
        assert_eq!(rows.iter().map(|r| r.key).collect::<Vec<_>>(), [earlier.key.0, row.key.0]);
        assert_eq!(rows[1].tried, Some(world.carrier.0.to_string()));
        assert_eq!((rows[1].attempts, rows[1].intent), (0, None));
        assert!(rows[1].place > rows[0].place);
        let after = waiting(&world, to).await;
        let later = world.store.waiting(to, 1, world.organization, after[0].place, 10).await;
        assert_eq!(later.unwrap().len(), 1, "an owner that has read the first reads the second");
        assert_eq!(world.status(row.key).await, Status::Queued);
        let events = world.store.events(world.organization, row.key, 0, 10).await.unwrap();
        let last = events.last().unwrap();
        assert_eq!(EventKind::from_code(last.kind), Some(EventKind::Diverted));
        let detail: serde_json::Value =
            serde_json::from_str(last.detail.as_deref().unwrap()).unwrap();
        let expected = serde_json::json!({"from_carrier": world.carrier.0, "to_carrier": to.0,
            "reason": "refused", "carrier_error": "0x00000008 ESME_RSYSERR"});
        assert_eq!(detail, expected);
    })
    .await;
}

#[tokio::test]
async fn a_row_moves_once_however_often_that_is_said_at_once() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let row = world.accepted(world.message("+14155550123")).await;
        assert_eq!(world.claim(&[row]).await, [true]);
        let results = vec![world.result(row, 1, divert(to, "1")); 2];
        let done = world.commit(Work { results, ..Work::default() }).await;
        let [Fate::Diverted { place }, Fate::Stale] = done.results[..] else { panic!("{done:?}") };
        assert_eq!(waiting(&world, to).await[0].place, place);
        let events = world.store.events(world.organization, row.key, 0, 10).await.unwrap();
        let moves = events.iter().filter(|row| row.kind == EventKind::Diverted.code());
        assert_eq!(moves.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn it_is_held_and_settled_once_whoever_delivers_it() {
    each(async |mut world| {
        let (to, epoch) = second(&mut world).await;
        let row = moved(&mut world, to).await;
        assert_eq!(world.wallet().await, (999_000, 1_000));
        let done = world.commit(Work { claims: vec![Claim { row, epoch }], ..Work::default() });
        assert_eq!(done.await.claims, [true]);
        let mut result = world.result(row, 1, sent(&["abc"]));
        result.epoch = epoch;
        let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Closed]);
        assert_eq!(world.status(row.key).await, Status::Sent);
        assert_eq!(world.wallet().await, (999_000, 0));
        let kinds: Vec<_> =
            world.store.transfers_of(row.key).await.unwrap().iter().map(|t| t.0).collect();
        assert_eq!(kinds, [TransferKind::Hold, TransferKind::Settle]);
        let receipt =
            store::lane::Receipt { carrier: to, ..world.receipt("abc", Some(Status::Delivered)) };
        world.commit(Work { receipts: vec![receipt], ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn only_who_holds_its_intent_moves_it() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let unclaimed = world.accepted(world.message("+14155550123")).await;
        let stale = world.accepted(world.message("+14155550124")).await;
        world.claim(&[stale]).await;
        let closed = world.sent("+14155550125", "x").await;
        let (_, epoch) = world.own("main").await;
        let mut of_another_life = world.result(stale, 1, divert(to, "1"));
        of_another_life.epoch = epoch;
        let results = vec![
            world.result(unclaimed, 1, divert(to, "1")),
            of_another_life,
            world.result(closed, 1, divert(to, "1")),
        ];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale; 3]);
        assert!(waiting(&world, to).await.is_empty());
        assert_eq!(waiting(&world, world.carrier).await.len(), 1);
        assert_eq!(world.status(closed.key).await, Status::Sent);
    })
    .await;
}

/// The same of what only waits.
fn on(to: CarrierId) -> Outcome {
    let (tried, reason) = (String::from("~1"), "carrier_down");
    Outcome::Divert { to, tried, reason, carrier_error: None, waiting: true }
}

#[tokio::test]
async fn what_waits_moves_without_an_intent_and_only_while_nobody_has_one() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let free = world.accepted(world.message("+14155550123")).await;
        let claimed = world.accepted(world.message("+14155550124")).await;
        world.claim(&[claimed]).await;
        let results = [free, claimed].map(|row| world.result(row, 1, on(to))).to_vec();
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert!(matches!(done.results[..], [Fate::Diverted { .. }, Fate::Stale]), "{done:?}");
        let rows = waiting(&world, to).await;
        assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), [free.key.0]);
        assert_eq!((rows[0].intent, rows[0].tried.as_deref()), (None, Some("~1")));
        let later_life = world.epoch + 1;
        let doubtful = world.store.in_doubt(world.carrier, later_life, 0, 10).await.unwrap();
        assert_eq!(doubtful.iter().map(|row| row.key).collect::<Vec<_>>(), [claimed.key.0]);
        // Whose row moved meanwhile has nothing to claim, or to move again.
        assert_eq!(world.claim(&[free]).await, [false]);
        let results = vec![world.result(free, 1, on(to))];
        let done = world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_taken_in_part_is_marked_to_stay() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        for (stays, tried) in [(false, None), (true, Some("!")), (false, Some("!"))] {
            assert_eq!(world.claim(&[row]).await, [true]);
            let due_at = At::now();
            let outcome = Outcome::Retry { due_at, attempts: 1, carrier_error: None, stays };
            let result = world.result(row, 1, outcome);
            let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
            assert_eq!(done.results, [Fate::Again]);
            assert_eq!(waiting(&world, world.carrier).await[0].tried.as_deref(), tried);
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiting_test_message_says_that_it_is_one() {
    each(async |mut world| {
        world.accepted(world.message("+14155550123")).await;
        let mut message = world.message("+14155550124");
        message.test = true;
        world.accepted(message).await;
        let rows = waiting(&world, world.carrier).await;
        assert_eq!(rows.iter().map(|row| row.test_mode).collect::<Vec<_>>(), [0, 1]);
    })
    .await;
}

#[tokio::test]
async fn the_first_carriers_late_words_change_nothing() {
    each(async |mut world| {
        let (to, epoch) = second(&mut world).await;
        let row = moved(&mut world, to).await;
        let old = OutboxRef { carrier: world.carrier, ..row };
        let late = vec![world.result(old, 1, sent(&["77"])), world.result(old, 1, divert(to, "1"))];
        let done = world.commit(Work { results: late, ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Stale, Fate::Stale]);
        let receipt = world.receipt("77", Some(Status::Delivered));
        world.commit(Work { receipts: vec![receipt], ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Queued);
        let claims = vec![Claim { row, epoch }];
        world.commit(Work { claims, ..Work::default() }).await;
        // The other carrier gives the same id: the parked receipt is not of it.
        let mut result = world.result(row, 1, sent(&["77"]));
        result.epoch = epoch;
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Sent);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_diverted_message_is_cancelled_where_it_is() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let row = moved(&mut world, to).await;
        let (organization, messages) = (world.organization, vec![row.key]);
        let done = world.admin(Admin::Cancel { organization, messages }).await;
        let AdminDone::Cancelled(fates) = done else { panic!("{done:?}") };
        assert_eq!(fates, [CancelFate::Cancelled { row: Some(row) }]);
        assert_eq!(world.wallet().await, (1_000_000, 0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn several_move_one_behind_the_other() {
    each(async |mut world| {
        let (to, _) = second(&mut world).await;
        let rows = [
            world.accepted(world.message("+14155550123")).await,
            world.accepted(world.message("+14155550124")).await,
        ];
        world.claim(&rows).await;
        let results = rows.map(|row| world.result(row, 1, divert(to, "1"))).to_vec();
        let done = world.commit(Work { results, ..Work::default() }).await;
        let [Fate::Diverted { place: first }, Fate::Diverted { place: then }] = done.results[..]
        else {
            panic!("{:?}", done.results)
        };
        assert!(first < then);
        let places: Vec<_> = waiting(&world, to).await.iter().map(|row| row.place).collect();
        assert_eq!(places, [first, then]);
        let backlog = world.store.backlog(to).await.unwrap();
        assert_eq!((backlog[0].waiting, backlog[0].newest), (2, then));
        assert_eq!(OrgId(backlog[0].organization_id), world.organization);
    })
    .await;
}

#[tokio::test]
async fn what_was_in_doubt_is_marked_to_stay() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let outcome = Outcome::Resolve {
            to: String::from("+14155550123"),
            from: String::from("Orbit"),
            since: At::now().minus(Duration::from_secs(1)),
            resend: true,
            attempts: 1,
            submitted: 1,
        };
        let result = world.result(row, 1, outcome);
        let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert_eq!(done.results, [Fate::Again]);
        assert_eq!(waiting(&world, world.carrier).await[0].tried.as_deref(), Some("!"));
    })
    .await;
}
