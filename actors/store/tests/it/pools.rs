//! Sender pools: every strategy, caps that hold under any batching, and places given back.

use std::collections::HashMap;
use std::sync::Arc;

use model::address::SenderKind;
use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::id::PublicId;
use model::message::Status;
use model::money::Micros;
use model::policy::{Approval, Policy};
use model::pool::{PoolSender, PoolWay, Pooled, Strategy};
use model::refusal::{Code, Detail, Refusal};
use model::route::RouteNote;
use model::submission::{NewMessage, SendOptions};
use serde_json::json;
use store::lane::{
    Accepted, Admin, AdminDone, Edit, Fire, FireFate, NewPool, PolicyChange, PoolChange, PoolDone,
    SenderCountry, Work,
};

use crate::schema::run;
use crate::world::{World, batch_of, each, readings};

const TO: &str = "+14155550123";
const PARIS: &str = "+33612345678";
const DAY_US: i64 = 86_400_000_000;

fn sender(value: &str) -> PoolSender {
    PoolSender {
        value: Arc::from(value),
        kind: SenderKind::of(value).unwrap(),
        weight: 1,
        countries: Vec::new(),
        daily_cap: None,
    }
}

fn capped(value: &str, cap: i64) -> PoolSender {
    PoolSender { daily_cap: Some(cap), ..sender(value) }
}

fn only(value: &str, country: &str) -> PoolSender {
    PoolSender { countries: vec![country.to_owned()], ..sender(value) }
}

fn pool(strategy: Strategy, senders: Vec<PoolSender>) -> NewPool {
    let name = String::from("pool");
    NewPool { name, strategy, senders, carriers: Vec::new(), sticky_ttl_days: 30 }
}

/// A pool as sends name it.
#[derive(Clone, Copy)]
struct Known {
    number: i64,
    id: PublicId,
}

async fn change(world: &mut World, change: PoolChange) -> PoolDone {
    match world.admin(Admin::Pool(Box::new(change))).await {
        AdminDone::Pool(done) => done,
        other => panic!("{other:?}"),
    }
}

async fn create(world: &mut World, pool: NewPool) -> Known {
    let (organization, id) = (world.organization, PublicId::new(At::now()));
    let done = change(world, PoolChange::Create { organization, id, pool }).await;
    assert_eq!(done, PoolDone::Stored);
    let row = world.store.sender_pool(organization, id).await.unwrap().unwrap();
    Known { number: row.id, id }
}

async fn update(world: &mut World, known: Known, pool: NewPool) {
    let row = world.store.sender_pool(world.organization, known.id).await.unwrap().unwrap();
    let (organization, id, seen) = (world.organization, known.id, At(row.updated_at));
    let done = change(world, PoolChange::Update { organization, id, seen, pool }).await;
    assert_eq!(done, PoolDone::Stored);
}

fn way(kind: SenderKind, carrier: CarrierId) -> PoolWay {
    PoolWay { kind, carrier, segments: 1, route: RouteNote::plain("test") }
}

fn by(world: &World, known: Known, to: &str) -> NewMessage {
    let kinds = [SenderKind::Alphanumeric, SenderKind::International, SenderKind::ShortCode];
    let ways = kinds.map(|kind| way(kind, world.carrier)).to_vec();
    let pooled = Pooled { id: known.number, public_id: known.id, ways, foreign: Vec::new() };
    let options = SendOptions { pool: Some(Box::new(pooled)), ..SendOptions::default() };
    NewMessage { from: String::new(), from_ton: 0, options, ..world.message(to) }
}

fn picked(answer: &Result<Accepted, Refusal>) -> Result<String, Code> {
    match answer {
        Ok(Accepted::Fresh { picked, .. }) => Ok(picked[0].1.from.to_string()),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

/// Offers each message as an item of its own, all in one transaction; answers from whom they go.
async fn offer(world: &mut World, messages: Vec<NewMessage>) -> Vec<Result<String, Code>> {
    let items = messages.into_iter().map(|message| world.submission(vec![message])).collect();
    world.accept(items).await.iter().map(picked).collect()
}

async fn send(world: &mut World, known: Known, to: &str) -> Result<String, Code> {
    let message = by(world, known, to);
    offer(world, vec![message]).await.remove(0)
}

/// So many messages to different recipients, a few to a transaction.
async fn shares(world: &mut World, known: Known, count: usize, at_once: usize) -> Vec<String> {
    let mut all = Vec::new();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(at_once) {
        let to = |n: &usize| by(world, known, &format!("+1415555{n:04}"));
        let messages = some.iter().map(to).collect();
        all.extend(offer(world, messages).await.into_iter().map(Result::unwrap));
    }
    all
}

fn counted(senders: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for sender in senders {
        *counts.entry(sender.as_str()).or_insert(0) += 1;
    }
    counts
}

async fn newest(world: &World, count: i64) -> Vec<store::MessageRow> {
    let all = store::Filter::default();
    world.store.messages(world.organization, &all, i64::MAX, count).await.unwrap()
}

async fn used(world: &World, known: Known) -> HashMap<String, i64> {
    let today = At::now().0.div_euclid(DAY_US);
    let rows = world.store.sender_pool_uses(world.organization, today, 1_000).await.unwrap();
    let own = rows.into_iter().filter(|row| row.pool_id == known.number);
    own.map(|row| (row.sender, row.used)).collect()
}

#[tokio::test]
async fn senders_take_turns_as_they_are_listed() {
    each(async |mut world| {
        let senders = vec![sender("One"), sender("Two"), sender("+14155550100")];
        let known = create(&mut world, pool(Strategy::RoundRobin, senders)).await;
        let order = ["One", "Two", "+14155550100"];
        for at_once in [1, 4, 9] {
            let all = shares(&mut world, known, 9, at_once).await;
            let expected: Vec<_> = order.iter().cycle().take(9).copied().collect();
            assert_eq!(all, expected);
        }
        // What takes no part takes no turn: a plain message, a message that is refused.
        let plain = world.message(TO);
        world.accepted(plain).await;
        let dear = NewMessage { unit_price: Micros(2_000_000), ..by(&world, known, TO) };
        assert_eq!(offer(&mut world, vec![dear]).await, [Err(Code::BalanceTooLow)]);
        assert_eq!(send(&mut world, known, TO).await.unwrap(), "One");
        let row = newest(&world, 1).await.remove(0);
        assert_eq!((&*row.from_addr, row.sender_pool_id), ("One", Some(known.number)));
        assert_eq!(row.sender_pool.as_deref(), Some(&known.id.as_bytes()[..]));
        let ton = world.store.waiting(world.carrier, 1, world.organization, row.key - 1, 1);
        let waiting = ton.await.unwrap().remove(0);
        assert_eq!((waiting.from_ton, waiting.sender_pool_id), (5, Some(known.number)));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn turns_go_on_where_they_were_in_another_life() {
    each(async |mut world| {
        let senders = vec![sender("One"), sender("Two"), sender("Three")];
        let known = create(&mut world, pool(Strategy::RoundRobin, senders)).await;
        assert_eq!(shares(&mut world, known, 4, 4).await, ["One", "Two", "Three", "One"]);
        drop(std::mem::replace(&mut world.lane, world.store.lane(readings, false).await.unwrap()));
        assert_eq!(shares(&mut world, known, 2, 1).await, ["Two", "Three"]);
    })
    .await;
}

#[tokio::test]
async fn weights_are_exact_over_time() {
    each(async |mut world| {
        let weighted = |value, weight| PoolSender { weight, ..sender(value) };
        let senders = vec![weighted("Seven", 70), weighted("Two", 20), weighted("One", 10)];
        let known = create(&mut world, pool(Strategy::Weighted, senders)).await;
        for at_once in [1, 7, 30] {
            let all = shares(&mut world, known, 30, at_once).await;
            let expected = HashMap::from([("Seven", 21), ("Two", 6), ("One", 3)]);
            assert_eq!(counted(&all), expected);
            assert_eq!(counted(&all[..10]), HashMap::from([("Seven", 7), ("Two", 2), ("One", 1)]));
        }
    })
    .await;
}

#[tokio::test]
async fn the_least_used_of_today_goes_first() {
    each(async |mut world| {
        let senders = vec![sender("One"), sender("Two"), only("French", "FR")];
        let known = create(&mut world, pool(Strategy::LeastUsed, senders.clone())).await;
        assert_eq!(shares(&mut world, known, 4, 4).await, ["One", "Two", "One", "Two"]);
        assert_eq!(send(&mut world, known, PARIS).await.unwrap(), "French");
        assert_eq!(used(&world, known).await["French"], 1);
        // One that is new catches up.
        let more = [senders, vec![sender("New")]].concat();
        update(&mut world, known, pool(Strategy::LeastUsed, more)).await;
        assert_eq!(shares(&mut world, known, 3, 2).await, ["New", "New", "One"]);
        // A day later all begin anew.
        run(&world.url, "update sender_pool_uses set day = day - 1").await;
        assert_eq!(shares(&mut world, known, 3, 3).await, ["One", "Two", "New"]);
    })
    .await;
}

#[tokio::test]
async fn a_recipient_keeps_its_sender_while_that_may_send_and_is_remembered() {
    each(async |mut world| {
        let senders = vec![sender("One"), capped("Two", 3)];
        let known = create(&mut world, pool(Strategy::Sticky, senders.clone())).await;
        let other = "+14155550124";
        assert_eq!(send(&mut world, known, TO).await.unwrap(), "One");
        // Also within one transaction.
        let twice = vec![by(&world, known, other), by(&world, known, other)];
        let same = offer(&mut world, twice).await;
        assert_eq!(same, [Ok(String::from("Two")), Ok(String::from("Two"))]);
        for _ in 0..3 {
            assert_eq!(send(&mut world, known, TO).await.unwrap(), "One");
        }
        assert_eq!(send(&mut world, known, other).await.unwrap(), "Two");
        // Its cap is reached: another one, who stays.
        assert_eq!(send(&mut world, known, other).await.unwrap(), "One");
        run(&world.url, "update sender_pool_uses set day = day - 1").await;
        assert_eq!(send(&mut world, known, other).await.unwrap(), "One");
        // It is remembered no more: whose turn it is.
        let third = send(&mut world, known, "+14155550125").await.unwrap();
        run(&world.url, "update sender_pool_sticky set expires_at = 1").await;
        let next = send(&mut world, known, "+14155550125").await.unwrap();
        assert_ne!(third, next);
        // Its sender has left the pool.
        update(&mut world, known, pool(Strategy::Sticky, vec![sender("New")])).await;
        assert_eq!(send(&mut world, known, TO).await.unwrap(), "New");
        // What a refused message would have kept is not kept.
        update(&mut world, known, pool(Strategy::Sticky, senders)).await;
        let dear = "+14155550126";
        let message = NewMessage { unit_price: Micros(2_000_000), ..by(&world, known, dear) };
        assert_eq!(offer(&mut world, vec![message]).await, [Err(Code::BalanceTooLow)]);
        assert_eq!(rows(&world, "recipient = '+14155550126'").await, 0);
    })
    .await;
}

/// Rows of remembered recipients.
async fn rows(world: &World, condition: &str) -> i64 {
    use sqlx::Connection as _;
    let sql = format!("select count(*) from sender_pool_sticky where {condition}");
    let sql = sqlx::AssertSqlSafe(sql);
    if world.store.is_postgres() {
        let mut conn = sqlx::PgConnection::connect(&world.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    } else {
        let mut conn = sqlx::SqliteConnection::connect(&world.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
    }
}

#[tokio::test]
async fn caps_hold_however_sends_are_batched_and_say_when_there_is_room_again() {
    each(async |mut world| {
        let senders = vec![capped("One", 5), capped("Two", 9)];
        let known = create(&mut world, pool(Strategy::RoundRobin, senders.clone())).await;
        let mut let_in = Vec::new();
        for size in [1, 7, 64, 64] {
            let messages = (0..size).map(|_| by(&world, known, TO)).collect();
            let answers = offer(&mut world, messages).await;
            for answer in answers {
                match answer {
                    Ok(from) => let_in.push(from),
                    Err(code) => assert_eq!(code, Code::SenderPoolExhausted),
                }
            }
        }
        assert_eq!(counted(&let_in), HashMap::from([("One", 5), ("Two", 9)]));
        let item = world.submission(vec![by(&world, known, TO)]);
        let refusal = world.accept(vec![item]).await.remove(0).unwrap_err();
        let (_, at) = refusal.details.iter().find(|(name, _)| *name == "resets_at").unwrap();
        let Detail::Text(at) = at else { panic!("no text") };
        let midnight = (At::now().0.div_euclid(DAY_US) + 1) * DAY_US;
        assert_eq!(At::parse(at).unwrap().0, midnight);
        // Of a batch each recipient is decided alone.
        let higher = vec![capped("One", 7), capped("Two", 9)];
        update(&mut world, known, pool(Strategy::RoundRobin, higher)).await;
        let mut batch = world.submission((0..4).map(|_| by(&world, known, TO)).collect());
        batch.batch = Some(batch_of(4));
        let answer = world.accept(vec![batch]).await.remove(0).unwrap();
        let Accepted::Fresh { refused, picked, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(picked.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(
            used(&world, known).await,
            HashMap::from([(String::from("One"), 7), (String::from("Two"), 9),])
        );
        // Test messages are counted apart.
        let test = NewMessage { test: true, unit_price: Micros::ZERO, ..by(&world, known, TO) };
        assert_eq!(offer(&mut world, vec![test]).await, [Ok(String::from("One"))]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_sent_gives_its_place_back_once() {
    each(async |mut world| {
        let known = create(&mut world, pool(Strategy::RoundRobin, vec![capped("One", 1)])).await;
        let dear = NewMessage { unit_price: Micros(2_000_000), ..by(&world, known, TO) };
        assert_eq!(offer(&mut world, vec![dear]).await, [Err(Code::BalanceTooLow)]);
        let row = world.accepted(by(&world, known, TO)).await;
        assert_eq!(send(&mut world, known, TO).await, Err(Code::SenderPoolExhausted));
        for _ in 0..2 {
            let (organization, messages) = (world.organization, vec![row.key]);
            world.admin(Admin::Cancel { organization, messages }).await;
        }
        assert_eq!(used(&world, known).await["One"], 0);
        assert_eq!(send(&mut world, known, TO).await.unwrap(), "One");
        assert_eq!(send(&mut world, known, TO).await, Err(Code::SenderPoolExhausted));
        // A dry run takes nothing, and foresees what a send would be told.
        let item = world.submission(vec![by(&world, known, TO)]);
        let work = Work { previews: vec![item], ..Work::default() };
        let foreseen = world.commit(work).await.previews.remove(0).unwrap();
        assert_eq!(foreseen.refused[0].1.code, Code::SenderPoolExhausted);
    })
    .await;
}

#[tokio::test]
async fn a_sender_serves_its_countries_the_kinds_that_go_and_what_is_approved() {
    each(async |mut world| {
        let senders = vec![only("French", "FR"), only("+14155550100", "US"), only("777777", "US")];
        let known = create(&mut world, pool(Strategy::RoundRobin, senders)).await;
        assert_eq!(send(&mut world, known, PARIS).await.unwrap(), "French");
        assert_eq!(send(&mut world, known, "+447911123456").await, Err(Code::SenderPoolUncovered));
        // Only short codes find a carrier, and it is another one, in two parts.
        let (second, _) = world.own("second").await;
        let mut message = by(&world, known, TO);
        let short = PoolWay { segments: 2, ..way(SenderKind::ShortCode, second) };
        message.options.pool.as_mut().unwrap().ways = vec![short];
        for _ in 0..2 {
            let message = NewMessage { id: PublicId::new(At::now()), ..message.clone() };
            let before = world.wallet().await;
            assert_eq!(offer(&mut world, vec![message]).await, [Ok(String::from("777777"))]);
            assert_eq!(world.wallet().await, (before.0 - 2_000, before.1 + 2_000));
        }
        let waiting = world.store.backlog(second).await.unwrap();
        assert_eq!(waiting[0].waiting, 2);
        message.id = PublicId::new(At::now());
        message.options.pool.as_mut().unwrap().ways = Vec::new();
        assert_eq!(offer(&mut world, vec![message]).await, [Err(Code::NoRoute)]);

        // Where the policy asks for approval, others are passed over.
        let policy = Policy::read(&json!({"sender_ids": {"require_approved": true}})).unwrap();
        let (organization, policy) = (world.organization, Box::new(policy));
        world.admin(Admin::Policy(PolicyChange::Set { organization, policy })).await;
        let named = vec![sender("Fresh"), sender("Known"), capped("+14155550101", 1)];
        update(&mut world, known, pool(Strategy::RoundRobin, named)).await;
        assert_eq!(send(&mut world, known, TO).await.unwrap(), "+14155550101");
        assert_eq!(send(&mut world, known, TO).await, Err(Code::SenderPoolExhausted));
        approve(&mut world, "Known", "US").await;
        for _ in 0..2 {
            assert_eq!(send(&mut world, known, TO).await.unwrap(), "Known");
        }
        update(&mut world, known, pool(Strategy::RoundRobin, vec![sender("Fresh")])).await;
        assert_eq!(send(&mut world, known, TO).await, Err(Code::SenderIdNotApproved));

        // Numbers that the organization does not have are passed over too.
        let named = vec![sender("+14155550102"), sender("Known")];
        update(&mut world, known, pool(Strategy::RoundRobin, named)).await;
        let without = |world: &World, foreign: &[&str]| {
            let mut message = by(world, known, TO);
            let pooled = message.options.pool.as_mut().unwrap();
            pooled.foreign = foreign.iter().map(|sender| Arc::from(*sender)).collect();
            message
        };
        let messages = (0..2).map(|_| without(&world, &["+14155550102"])).collect();
        let both = offer(&mut world, messages).await;
        assert_eq!(both, [Ok(String::from("Known")), Ok(String::from("Known"))]);
        let message = without(&world, &["+14155550102", "Known"]);
        assert_eq!(offer(&mut world, vec![message]).await, [Err(Code::SenderNotOwned)]);
    })
    .await;
}

async fn approve(world: &mut World, sender: &str, country: &str) {
    let (organization, id) = (world.organization, PublicId::new(At::now()));
    let country = country.to_owned();
    let countries = vec![SenderCountry {
        country: country.clone(),
        document_refs: String::from("[]"),
        notes: None,
    }];
    let (sender, use_case) = (sender.to_owned(), None);
    let asked = PolicyChange::RegisterSender { organization, id, sender, use_case, countries };
    world.admin(Admin::Policy(asked)).await;
    let approval = Approval::Approved;
    world
        .admin(Admin::Policy(PolicyChange::DecideSender { id, country, approval, reason: None }))
        .await;
}

#[tokio::test]
async fn a_scheduled_message_is_given_its_sender_when_it_fires() {
    each(async |mut world| {
        let known = create(&mut world, pool(Strategy::RoundRobin, vec![capped("One", 1)])).await;
        let mut keys = Vec::new();
        for _ in 0..2 {
            let mut message = by(&world, known, TO);
            message.options.scheduled_at = Some(At(At::now().0 - 1));
            let item = world.submission(vec![message]);
            let answer = world.accept(vec![item]).await.remove(0).unwrap();
            let Accepted::Fresh { first, later, picked, .. } = answer else { panic!("{answer:?}") };
            assert_eq!((later.len(), picked.len()), (1, 0));
            keys.push(first);
        }
        assert_eq!(used(&world, known).await, HashMap::new());
        let (organization, id) = (world.organization, known.id);
        let delete = || PoolChange::Delete { organization, id };
        assert_eq!(change(&mut world, delete()).await, PoolDone::InUse);
        let due = world.store.due(At::now(), (i64::MIN, i64::MIN), 10).await.unwrap();
        let fires = due.iter().map(|row| {
            assert_eq!(row.sender_pool.as_deref(), Some(&known.id.as_bytes()[..]));
            Fire {
                key: MessageKey(row.key),
                organization: OrgId(row.organization_id),
                edits: row.edits,
                created_at: At(row.created_at),
                expires_at: row.expires_at(),
                message: Ok(by(&world, known, TO)),
            }
        });
        let work = Work { fires: fires.collect(), ..Work::default() };
        let fates = world.commit(work).await.fires;
        let FireFate::Queued { pick: Some(pick), .. } = &fates[0] else { panic!("{fates:?}") };
        assert_eq!(&*pick.from, "One");
        assert_eq!(fates[1], FireFate::Ended(Status::Blocked));
        let row = newest(&world, 2).await;
        assert_eq!((&*row[1].from_addr, &*row[0].from_addr), ("One", ""));
        assert_eq!(row[0].error_code.as_deref(), Some("SENDER_POOL_EXHAUSTED"));
        // One that was fired gives its place back, too.
        let messages = vec![keys[0]];
        world.admin(Admin::Cancel { organization, messages }).await;
        assert_eq!(used(&world, known).await["One"], 0);
        assert_eq!(change(&mut world, delete()).await, PoolDone::Stored);
        assert_eq!(change(&mut world, delete()).await, PoolDone::Unknown);
        // What is gone sends nothing, now or later.
        assert_eq!(send(&mut world, known, TO).await, Err(Code::ValidationError));
        let mut message = by(&world, known, TO);
        message.options.scheduled_at = Some(At::now());
        assert_eq!(offer(&mut world, vec![message]).await, [Err(Code::ValidationError)]);
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_message_can_be_given_a_pool_and_another_sender() {
    each(async |mut world| {
        let known = create(&mut world, pool(Strategy::RoundRobin, vec![sender("One")])).await;
        let at = Some(At::now());
        let mut plain = world.message(TO);
        plain.options.scheduled_at = at;
        let item = world.submission(vec![plain]);
        let answer = world.accept(vec![item]).await.remove(0).unwrap();
        let Accepted::Fresh { first: key, .. } = answer else { panic!("{answer:?}") };
        let organization = world.organization;
        let edit = |message: NewMessage, edits| {
            let mut message = message;
            message.options.scheduled_at = at;
            let created_at = At::now();
            Admin::Edit(Box::new(Edit { key, organization, edits, created_at, message }))
        };
        let message = by(&world, known, TO);
        assert_eq!(world.admin(edit(message, 0)).await, AdminDone::Edited(true));
        let due = world.store.due(At::now(), (i64::MIN, i64::MIN), 10).await.unwrap();
        assert!(due[0].sender_pool.is_some() && due[0].from_addr.is_empty());
        let message = world.message(TO);
        assert_eq!(world.admin(edit(message, 1)).await, AdminDone::Edited(true));
        let id = known.id;
        let done = change(&mut world, PoolChange::Delete { organization, id }).await;
        assert_eq!(done, PoolDone::Stored);
        let message = by(&world, known, TO);
        assert_eq!(world.admin(edit(message, 2)).await, AdminDone::Edited(false));
    })
    .await;
}

#[tokio::test]
async fn pools_are_bounded_named_once_and_ones_own() {
    each(async |mut world| {
        let first = pool(Strategy::RoundRobin, vec![sender("One")]);
        let known = create(&mut world, first.clone()).await;
        let organization = world.organization;
        let again = |name: &str| PoolChange::Create {
            organization,
            id: PublicId::new(At::now()),
            pool: NewPool { name: name.to_owned(), ..first.clone() },
        };
        assert_eq!(change(&mut world, again("pool")).await, PoolDone::NameTaken);
        for n in 1..50 {
            assert_eq!(change(&mut world, again(&n.to_string())).await, PoolDone::Stored);
        }
        assert_eq!(change(&mut world, again("more")).await, PoolDone::TooMany);
        let id = known.id;
        let row = world.store.sender_pool(organization, id).await.unwrap().unwrap();
        let to = |name: &str, seen| PoolChange::Update {
            organization,
            id,
            seen: At(seen),
            pool: NewPool { name: name.to_owned(), ..first.clone() },
        };
        assert_eq!(change(&mut world, to("1", row.updated_at)).await, PoolDone::NameTaken);
        assert_eq!(change(&mut world, to("x", row.updated_at)).await, PoolDone::Stored);
        assert_eq!(change(&mut world, to("y", row.updated_at)).await, PoolDone::Changed);

        let (other, key) = world.organization_with(Micros(1_000_000)).await;
        assert!(world.store.sender_pool(other, id).await.unwrap().is_none());
        let theirs = PoolChange::Delete { organization: other, id };
        assert_eq!(change(&mut world, theirs).await, PoolDone::Unknown);
        let mut item = world.submission(vec![by(&world, known, TO)]);
        item.organization = other;
        item.credential = model::submission::Credential::ApiKey(key);
        let answer = world.accept(vec![item]).await.remove(0);
        assert_eq!(answer.unwrap_err().code, Code::ValidationError);
        assert_eq!(used(&world, known).await, HashMap::new());
    })
    .await;
}

#[tokio::test]
async fn what_counts_no_more_is_dropped() {
    each(async |mut world| {
        let known = create(&mut world, pool(Strategy::Sticky, vec![sender("One")])).await;
        let stays =
            NewPool { name: String::from("b"), ..pool(Strategy::Sticky, vec![sender("Two")]) };
        let stays = create(&mut world, stays).await;
        for to in ["+14155550123", "+14155550124"] {
            send(&mut world, known, to).await.unwrap();
            send(&mut world, stays, to).await.unwrap();
        }
        let sql = format!(
            "update sender_pool_sticky set expires_at = 1
                where pool_id = {} and recipient = '+14155550123';
            update sender_pool_uses set day = day - 2 where pool_id = {}",
            stays.number, stays.number
        );
        run(&world.url, &sql).await;
        let sweep = || Work { forget_parked_before: Some(At(1)), ..Work::default() };
        world.commit(sweep()).await;
        assert_eq!((rows(&world, "1 = 1").await, used(&world, stays).await.len()), (3, 0));
        let (organization, id) = (world.organization, known.id);
        change(&mut world, PoolChange::Delete { organization, id }).await;
        for _ in 0..4 {
            world.commit(sweep()).await;
        }
        assert_eq!(rows(&world, "1 = 1").await, 1);
        assert_eq!(send(&mut world, stays, "+14155550124").await.unwrap(), "Two");
    })
    .await;
}
