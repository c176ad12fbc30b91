//! What bounds calls: the day's spend, keys, destinations, pace, and how many there are at once.

use model::clock::At;
use model::id::PublicId;
use model::message::Direction;
use model::money::Micros;
use model::protection::{Overrides, Protection};
use model::refusal::Code;
use model::submission::{Credential, Idempotency};
use model::voice::{Bounds, Pace};
use sqlx::{Connection as _, Executor as _};
use store::lane::{Admin, CallDone, NewCall, Opened};
use store::{Lane, Options, Store};

use crate::calls::{HOLD, close, key_of, new_call, open, refused, run};
use crate::world::{World, each, readings};

#[tokio::test]
async fn the_days_limit_holds_calls_and_what_they_do_not_use_is_free_again() {
    each(async |mut world| {
        let organization = world.organization;
        let own = Overrides { daily_spend: Some(Micros(HOLD + 12_000)), ..Overrides::default() };
        world.admin(Admin::Protect { organization, own }).await;
        let done =
            world.calls(vec![open(new_call(organization)), open(new_call(organization))]).await;
        let key = key_of(&done[0]);
        assert_eq!(refused(&done[1]), Code::SpendLimitReached);
        let done = world
            .calls(vec![close(key, At::now(), Vec::new()), open(new_call(organization))])
            .await;
        let key = key_of(&done[1]);
        // What was put aside yesterday raises nothing today.
        let sql =
            format!("update calls set created_at = created_at - 86400000000 where key = {}", key.0);
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        if world.store.is_postgres() {
            let mut conn = sqlx::PgConnection::connect(&world.url).await.unwrap();
            conn.execute(sql).await.unwrap();
        } else {
            let mut conn = sqlx::SqliteConnection::connect(&world.url).await.unwrap();
            conn.execute(sql).await.unwrap();
        }
        let done = world
            .calls(vec![close(key, At::now(), Vec::new()), open(new_call(organization))])
            .await;
        assert_eq!(refused(&done[1]), Code::SpendLimitReached);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn one_idempotency_key_is_one_call() {
    each(async |mut world| {
        let organization = world.organization;
        let keyed = |key: &str, body: u8| {
            let idempotency = Idempotency {
                route: "POST /voice/calls",
                key: key.to_owned(),
                fingerprint: [body; 32],
            };
            NewCall { idempotency: Some(idempotency), ..new_call(organization) }
        };
        let (first, twin, other) = (keyed("a", 1), keyed("a", 1), keyed("a", 2));
        let (reference, later) = (first.id, keyed("a", 1));
        let done = world.calls(vec![open(first), open(twin), open(other)]).await;
        key_of(&done[0]);
        let replayed = CallDone::Opened(Ok(Opened::Replayed { reference }));
        assert_eq!(done[1], replayed);
        assert_eq!(refused(&done[2]), Code::IdempotencyKeyReused);
        assert_eq!(world.calls(vec![open(later)]).await, [replayed]);
        assert_eq!(world.wallet().await, (1_000_000 - HOLD, HOLD));
        let (poor, _) = world.organization_with(Micros(1)).await;
        let refused_once = NewCall { organization: poor, ..keyed("b", 1) };
        let again = NewCall { id: PublicId::new(At::now()), ..refused_once.clone() };
        assert_eq!(refused(&world.calls(vec![open(refused_once)]).await[0]), Code::BalanceTooLow);
        assert_eq!(refused(&world.calls(vec![open(again)]).await[0]), Code::BalanceTooLow);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_and_a_closed_destination_are_refused() {
    each(async |mut world| {
        let organization = world.organization;
        let mut call = new_call(organization);
        call.credential = Credential::ApiKey(world.key + 1_000);
        assert_eq!(refused(&world.calls(vec![open(call)]).await[0]), Code::InvalidApiKey);
        let mut call = new_call(organization);
        call.credential = Credential::ApiKey(world.key);
        key_of(&world.calls(vec![open(call)]).await[0]);
        let prefixes = Some(vec![String::from("1415")]);
        let own = Overrides { blocked_prefixes: prefixes, ..Overrides::default() };
        world.admin(Admin::Protect { organization, own }).await;
        let closed = world.calls(vec![open(new_call(organization))]).await;
        assert_eq!(refused(&closed[0]), Code::DestinationNotAllowed);
        let mut inbound = new_call(organization);
        inbound.direction = Direction::Inbound;
        key_of(&world.calls(vec![open(inbound.clone())]).await[0]);
        // A number of ours that leads on to where it may not call.
        let led = NewCall {
            id: PublicId::new(At::now()),
            dials: vec![String::from("+14155550123")],
            ..inbound
        };
        let led = world.calls(vec![open(led)]).await;
        assert_eq!(refused(&led[0]), Code::DestinationNotAllowed);
    })
    .await;
}

/// A lane with bounds on calls, beside the world's own.
async fn bounded(world: &World, bounds: Bounds) -> Lane {
    let options = Options { bounds, protection: Protection::default(), ..Options::new(&world.url) };
    Store::open(options).await.unwrap().lane(readings, false).await.unwrap()
}

#[tokio::test]
async fn an_organization_has_so_many_calls_at_once_and_no_more() {
    each(async |mut world| {
        let kept = world.opened().await;
        let bounds = Bounds { concurrent_max: 2, ..Bounds::default() };
        let mut lane = bounded(&world, bounds).await;
        let organization = world.organization;
        let two = || vec![open(new_call(organization)), open(new_call(organization))];
        // The one of the earlier lane counts.
        let done = run(&mut lane, two()).await;
        let second = key_of(&done[0]);
        assert_eq!(refused(&done[1]), Code::ConcurrentCallLimit);
        let mut changes =
            vec![close(second, At::now(), Vec::new()), close(kept, At::now(), Vec::new())];
        changes.extend(two());
        changes.extend(two());
        let done = run(&mut lane, changes).await;
        let refusals = done.iter().filter(|done| matches!(done, CallDone::Opened(Err(_))));
        assert_eq!(refusals.count(), 2);
        let (other, _) = world.organization_with(Micros(1_000_000)).await;
        key_of(&run(&mut lane, vec![open(new_call(other))]).await[0]);
        assert_eq!(world.wallet().await, (1_000_000 - 2 * HOLD, 2 * HOLD));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn an_organization_dials_so_fast_and_not_where_it_costs_too_much() {
    each(async |world| {
        let pace = Pace { per_second: 1, burst: 3 };
        let blocked_prefixes = vec![String::from("1900")];
        let bounds = Bounds { pace, blocked_prefixes, ..Bounds::default() };
        let mut lane = bounded(&world, bounds).await;
        let organization = world.organization;
        let calls = (0..4).map(|_| open(new_call(organization))).collect();
        let done = run(&mut lane, calls).await;
        key_of(&done[2]);
        assert_eq!(refused(&done[3]), Code::CallRateExceeded);
        let CallDone::Opened(Err(refusal)) = &done[3] else { panic!("{done:?}") };
        assert_eq!(refusal.retry_after_s, Some(1));
        assert_eq!(world.wallet().await, (1_000_000 - 3 * HOLD, 3 * HOLD));
        let mut dear = new_call(organization);
        dear.to = String::from("+19005550123");
        assert_eq!(refused(&run(&mut lane, vec![open(dear)]).await[0]), Code::FraudBlocked);
        // A number of ours that leads on to one, whoever calls it.
        for direction in [Direction::Inbound, Direction::Outbound] {
            let dials = vec![String::from("+14155550123"), String::from("+19005550123")];
            let led = NewCall { direction, dials, ..new_call(organization) };
            assert_eq!(refused(&run(&mut lane, vec![open(led)]).await[0]), Code::FraudBlocked);
        }
        world.assert_books().await;
    })
    .await;
}
