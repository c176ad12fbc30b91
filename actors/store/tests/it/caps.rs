//! Frequency caps: exact under any batching, one clock, one count, and given back when unsent.

use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::{Category, Status};
use model::money::Micros;
use model::refusal::{Code, Detail, Refusal};
use model::submission::NewMessage;
use sqlx::Connection as _;
use store::lane::{
    Accepted, Admin, AdminDone, CapChange, CapDone, CapPatch, NewCap, Outcome, Work,
};

use crate::world::{World, batch_of, each, readings};

const TO: &str = "+14155550123";
const HOUR_S: i64 = 3_600;

fn cap(limit: i64, window_s: i64) -> NewCap {
    NewCap {
        id: PublicId::new(At::now()),
        name: String::from("test"),
        channel: None,
        category: None,
        limit,
        window_s,
        enabled: true,
    }
}

async fn change(world: &mut World, change: CapChange) -> CapDone {
    match world.admin(Admin::Cap(change)).await {
        AdminDone::Cap(done) => done,
        other => panic!("{other:?}"),
    }
}

async fn create(world: &mut World, cap: NewCap) {
    let organization = world.organization;
    assert_eq!(change(world, CapChange::Create { organization, cap }).await, CapDone::Stored);
}

async fn patch(world: &mut World, id: PublicId, patch: CapPatch) {
    let organization = world.organization;
    let done = change(world, CapChange::Change { organization, id, patch }).await;
    assert_eq!(done, CapDone::Stored);
}

fn marketing(world: &World, to: &str) -> NewMessage {
    NewMessage { category: Category::Marketing, ..world.message(to) }
}

/// Offers each message as an item of its own, all in one transaction; answers who was let in.
async fn offer(world: &mut World, messages: Vec<NewMessage>) -> Vec<bool> {
    let items = messages.into_iter().map(|message| world.submission(vec![message])).collect();
    let answers = world.accept(items).await;
    let let_in = |answer: &store::lane::AcceptAnswer| match answer {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.code, Code::FrequencyCapExceeded);
            false
        }
    };
    answers.iter().map(let_in).collect()
}

/// How many of so many equal messages, offered together, are let in.
async fn let_in(world: &mut World, count: usize) -> usize {
    let messages = (0..count).map(|_| marketing(world, TO)).collect();
    offer(world, messages).await.into_iter().filter(|in_| *in_).count()
}

async fn refusal(world: &mut World) -> Refusal {
    let message = marketing(world, TO);
    let item = world.submission(vec![message]);
    world.accept(vec![item]).await.remove(0).unwrap_err()
}

fn fact<'a>(refusal: &'a Refusal, name: &str) -> &'a Detail {
    &refusal.details.iter().find(|(known, _)| *known == name).unwrap().1
}

/// As if that many of the oldest messages had been sent that much earlier.
async fn age(world: &World, messages: i64, seconds: i64) {
    let micros = seconds * 1_000_000;
    let sql = format!(
        "update cap_hits set accepted_at = accepted_at - {micros} where message_key in
            (select distinct message_key from cap_hits order by message_key limit {messages})"
    );
    world.run(&sql).await;
}

async fn times(world: &World) -> Vec<i64> {
    let sql = "select accepted_at from cap_hits order by accepted_at";
    if world.store.is_postgres() {
        let mut conn = sqlx::PgConnection::connect(&world.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
    } else {
        let mut conn = sqlx::SqliteConnection::connect(&world.url).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap()
    }
}

#[tokio::test]
async fn exactly_the_limit_is_let_in_however_sends_are_batched() {
    each(async |mut world| {
        create(&mut world, cap(5, HOUR_S)).await;
        assert_eq!(let_in(&mut world, 2).await, 2);
        assert_eq!(let_in(&mut world, 64).await, 3);
        for size in [1, 7, 64] {
            assert_eq!(let_in(&mut world, size).await, 0);
        }
        let others = (0..64).map(|n| marketing(&world, &format!("+141555501{:02}", n % 8)));
        let others = others.collect();
        let in_ = offer(&mut world, others).await;
        assert_eq!(in_.iter().filter(|in_| **in_).count(), 8 * 5);
        assert_eq!(world.store.count_messages(world.organization, None, 99).await.unwrap(), 45);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn the_window_rolls_hit_by_hit() {
    each(async |mut world| {
        let rule = cap(3, HOUR_S);
        let id = rule.id;
        create(&mut world, rule).await;
        assert_eq!(let_in(&mut world, 9).await, 3);
        age(&world, 2, HOUR_S - 30).await;
        let before = At::now();
        let refused = refusal(&mut world).await;
        let Detail::Text(retry_at) = fact(&refused, "retry_at") else { panic!("no text") };
        let wait = At::parse(retry_at).unwrap().micros() - before.micros();
        assert!((0..=30_002_000).contains(&wait), "{wait}");
        assert_eq!(*fact(&refused, "limit"), Detail::Number(3));
        assert_eq!(*fact(&refused, "window_seconds"), Detail::Number(HOUR_S));
        assert_eq!(*fact(&refused, "rule_id"), Detail::Text(id.show(model::id::Kind::Cap)));
        age(&world, 2, 30).await;
        assert_eq!(let_in(&mut world, 9).await, 2);
        assert_eq!(let_in(&mut world, 9).await, 0);
    })
    .await;
}

#[tokio::test]
async fn no_window_of_a_running_stream_holds_more_than_the_limit() {
    each(async |mut world| {
        create(&mut world, cap(4, 1)).await;
        let mut accepted = 0;
        // Until the second window is full: a second by the clock that counts.
        while accepted < 8 {
            accepted += let_in(&mut world, 3).await;
        }
        let times = times(&world).await;
        assert!(times.windows(5).all(|five| five[4] - five[0] >= 1_000_000), "{times:?}");
    })
    .await;
}

#[tokio::test]
async fn every_rule_must_have_room_and_none_counts_a_refusal() {
    each(async |mut world| {
        create(&mut world, cap(2, HOUR_S)).await;
        let wide = NewCap { category: Some(Category::Marketing), ..cap(4, 24 * HOUR_S) };
        create(&mut world, wide).await;
        assert_eq!(let_in(&mut world, 10).await, 2);
        // The narrow window passes: of the wide rule's four, two are left.
        age(&world, 2, HOUR_S).await;
        assert_eq!(let_in(&mut world, 10).await, 2);
        age(&world, 4, HOUR_S).await;
        assert_eq!(let_in(&mut world, 10).await, 0);
        let refused = refusal(&mut world).await;
        assert_eq!(*fact(&refused, "window_seconds"), Detail::Number(24 * HOUR_S));
    })
    .await;
}

#[tokio::test]
async fn a_rule_covers_what_it_names() {
    each(async |mut world| {
        let of = |world: &World, category| NewMessage { category, ..world.message(TO) };
        create(&mut world, cap(1, HOUR_S)).await;
        let all = |world: &World| Category::ALL.iter().map(|c| of(world, *c)).collect::<Vec<_>>();
        let messages = all(&world);
        // Transactional, one-time code, service; marketing shares the one with service.
        assert_eq!(offer(&mut world, messages).await, [true, true, true, false]);
        let codes = NewCap { category: Some(Category::Otp), ..cap(1, HOUR_S) };
        create(&mut world, codes).await;
        let messages = all(&world);
        assert_eq!(offer(&mut world, messages).await, [true, true, false, false]);
        let messages = all(&world);
        assert_eq!(offer(&mut world, messages).await, [true, false, false, false]);
        let elsewhere = NewCap {
            channel: Some(String::from("whatsapp")),
            category: Some(Category::Transactional),
            ..cap(1, HOUR_S)
        };
        create(&mut world, elsewhere).await;
        let messages = vec![world.message(TO), world.message(TO)];
        assert_eq!(offer(&mut world, messages).await, [true, true]);
    })
    .await;
}

#[tokio::test]
async fn what_the_wallet_refuses_is_given_back_within_the_batch() {
    each(async |mut world| {
        create(&mut world, cap(2, HOUR_S)).await;
        let dear = NewMessage { unit_price: Micros(2_000_000), ..marketing(&world, TO) };
        let cheap = || marketing(&world, TO);
        let items = [dear, cheap(), cheap(), cheap()];
        let items = items.into_iter().map(|message| world.submission(vec![message])).collect();
        let answers = world.accept(items).await;
        let codes: Vec<_> = answers.iter().map(|a| a.as_ref().err().map(|r| r.code)).collect();
        let cap = Some(Code::FrequencyCapExceeded);
        assert_eq!(codes, [Some(Code::BalanceTooLow), None, None, cap]);
        assert_eq!(times(&world).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_messages_of_a_batch_are_counted_one_by_one() {
    each(async |mut world| {
        create(&mut world, cap(2, HOUR_S)).await;
        let messages = [TO, "+14155550199", TO, TO].map(|to| marketing(&world, to)).to_vec();
        let mut item = world.submission(messages);
        item.batch = Some(batch_of(item.messages.len()));
        let answer = world.accept(vec![item]).await.remove(0).unwrap();
        let Accepted::Fresh { refused, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3]);
        assert_eq!(world.wallet().await.1, 3_000);
        let mut item = world.submission(vec![marketing(&world, TO)]);
        item.batch = Some(batch_of(item.messages.len()));
        let answer = world.accept(vec![item]).await.remove(0).unwrap();
        assert!(matches!(answer, Accepted::Nothing { .. }), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn test_and_live_messages_are_counted_apart() {
    each(async |mut world| {
        create(&mut world, cap(1, HOUR_S)).await;
        let test = |world: &World| {
            let message = marketing(world, TO);
            NewMessage { test: true, unit_price: Micros::ZERO, ..message }
        };
        let messages = vec![test(&world), marketing(&world, TO), test(&world)];
        assert_eq!(offer(&mut world, messages).await, [true, true, false]);
        let standing = |test| world.store.cap_standings(world.organization, TO, test, At::now());
        assert_eq!(standing(true).await.unwrap()[0].count, 1);
        assert!(standing(false).await.unwrap()[0].free_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_message_that_ends_unsent_gives_its_hit_back() {
    each(async |mut world| {
        create(&mut world, cap(1, HOUR_S)).await;
        for (status, room) in [(Status::Blocked, 1), (Status::Rejected, 0)] {
            let row = world.accepted(marketing(&world, TO)).await;
            assert_eq!(let_in(&mut world, 1).await, 0);
            world.claim(&[row]).await;
            let outcome = Outcome::Ended {
                status,
                reason: None,
                error: None,
                carrier_error: None,
                submitted: 0,
                parts: Vec::new(),
            };
            let result = world.result(row, 1, outcome);
            world.commit(Work { results: vec![result], ..Work::default() }).await;
            assert_eq!(times(&world).await.len(), 1 - room, "{status:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn rules_are_changed_switched_off_and_deleted() {
    each(async |mut world| {
        let rule = cap(1, HOUR_S);
        let (id, organization) = (rule.id, world.organization);
        create(&mut world, rule).await;
        assert_eq!(let_in(&mut world, 3).await, 1);
        patch(&mut world, id, CapPatch { limit: Some(2), ..CapPatch::default() }).await;
        assert_eq!(let_in(&mut world, 3).await, 1);
        patch(&mut world, id, CapPatch { enabled: Some(false), ..CapPatch::default() }).await;
        assert_eq!(let_in(&mut world, 3).await, 3);
        patch(&mut world, id, CapPatch { enabled: Some(true), ..CapPatch::default() }).await;
        assert_eq!(let_in(&mut world, 3).await, 0);
        let longer = CapPatch { window_s: Some(2 * HOUR_S), ..CapPatch::default() };
        patch(&mut world, id, longer).await;
        age(&world, 2, HOUR_S + 60).await;
        let sweep = || Work { forget_parked_before: Some(At(1)), ..Work::default() };
        world.commit(sweep()).await;
        assert_eq!(let_in(&mut world, 3).await, 0, "the longer window holds what was counted");

        let stranger = CapChange::Delete { organization: OrgId(organization.0 + 1), id };
        assert_eq!(change(&mut world, stranger).await, CapDone::Unknown);
        let delete = || CapChange::Delete { organization, id };
        assert_eq!(change(&mut world, delete()).await, CapDone::Stored);
        assert_eq!(change(&mut world, delete()).await, CapDone::Unknown);
        assert!(world.store.cap_rule(organization, id).await.unwrap().is_none());
        assert_eq!(let_in(&mut world, 3).await, 3);
        world.commit(sweep()).await;
        assert!(times(&world).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn hits_that_count_no_more_are_dropped_and_no_others() {
    each(async |mut world| {
        create(&mut world, cap(3, HOUR_S)).await;
        assert_eq!(let_in(&mut world, 3).await, 3);
        age(&world, 2, HOUR_S + 1).await;
        let work = Work { forget_parked_before: Some(At(1)), ..Work::default() };
        world.commit(work).await;
        assert_eq!(times(&world).await.len(), 1);
        assert_eq!(let_in(&mut world, 5).await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_organization_has_fifty_rules_at_most_and_its_own() {
    each(async |mut world| {
        let organization = world.organization;
        for _ in 0..50 {
            create(&mut world, cap(1, 1)).await;
        }
        let one_more = CapChange::Create { organization, cap: cap(1, 1) };
        assert_eq!(change(&mut world, one_more).await, CapDone::TooMany);
        assert_eq!(world.store.cap_rules(organization, i64::MAX, 99).await.unwrap().len(), 50);
        let (other, key) = world.organization_with(Micros(9_000)).await;
        assert!(world.store.cap_rules(other, i64::MAX, 99).await.unwrap().is_empty());
        (world.organization, world.key) = (other, key);
        assert_eq!(let_in(&mut world, 9).await, 9);
    })
    .await;
}

#[tokio::test]
async fn the_next_life_of_the_writer_knows_the_rules() {
    each(async |mut world| {
        create(&mut world, cap(2, HOUR_S)).await;
        assert_eq!(let_in(&mut world, 1).await, 1);
        world.lane = world.store.lane(readings, false).await.unwrap();
        assert_eq!(let_in(&mut world, 5).await, 1);
    })
    .await;
}

/// A part of a text, as an ESME submits it: by reference, number of parts, and place.
fn part(world: &World, (reference, total, number): (u8, u8, u8)) -> NewMessage {
    let submitted = Submitted {
        account: 7,
        esm_class: 0x40,
        user_data: vec![5, 0, 3, reference, total, number, b'x'],
        ..Submitted::default()
    };
    saying(marketing(world, TO), submitted)
}

fn saying(mut message: NewMessage, submitted: Submitted) -> NewMessage {
    message.options.submitted = Some(Arc::new(submitted));
    message
}

#[tokio::test]
async fn the_parts_of_a_text_count_as_one_message() {
    each(async |mut world| {
        create(&mut world, cap(2, HOUR_S)).await;
        let wide = NewCap { category: Some(Category::Marketing), ..cap(9, 24 * HOUR_S) };
        create(&mut world, wide).await;
        // One after the other, and in any order; then in one batch.
        for number in [2, 1, 3] {
            let message = part(&world, (9, 3, number));
            assert_eq!(offer(&mut world, vec![message]).await, [true], "{number}");
        }
        let next = [1, 2, 3].map(|number| part(&world, (10, 3, number))).to_vec();
        assert_eq!(offer(&mut world, next).await, [true; 3]);
        let third = [1, 2, 3].map(|number| part(&world, (11, 3, number))).to_vec();
        assert_eq!(offer(&mut world, third).await, [false; 3]);
        assert_eq!(let_in(&mut world, 1).await, 0);
        assert_eq!(times(&world).await.len(), 4, "two of each rule");
        let standings = world.store.cap_standings(world.organization, TO, false, At::now());
        let counts: Vec<_> = standings.await.unwrap().iter().map(|one| one.count).collect();
        assert_eq!(counts, [2, 2]);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_reference_used_again_hides_no_message() {
    each(async |mut world| {
        create(&mut world, cap(3, HOUR_S)).await;
        // Three texts of one reference, their first parts at once, and a fourth.
        let firsts = (0..4).map(|_| part(&world, (1, 2, 1))).collect();
        assert_eq!(offer(&mut world, firsts).await, [true, true, true, false]);
        let seconds = (0..4).map(|_| part(&world, (1, 2, 2))).collect();
        assert_eq!(offer(&mut world, seconds).await, [true, true, true, false]);
        assert_eq!(times(&world).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn parts_of_other_texts_and_parts_that_come_late_count_anew() {
    each(async |mut world| {
        create(&mut world, cap(10, HOUR_S)).await;
        let sar = |number: u8| Submitted {
            account: 7,
            user_data: vec![b'x'],
            tlvs: vec![2, 0x0C, 0, 2, 0, 9, 2, 0x0E, 0, 1, 2, 2, 0x0F, 0, 1, number],
            ..Submitted::default()
        };
        let by_another = |mut message: NewMessage| {
            let submitted = message.options.submitted.as_deref().cloned().unwrap();
            message.options.submitted = Some(Arc::new(Submitted { account: 8, ..submitted }));
            message
        };
        let second = || part(&world, (9, 2, 2));
        let messages = vec![
            part(&world, (9, 2, 1)),
            NewMessage { from: String::from("Other"), ..second() },
            NewMessage { to: String::from("+14155550199"), ..second() },
            by_another(second()),
            part(&world, (9, 3, 2)),
            part(&world, (9, 1, 1)),
            saying(marketing(&world, TO), sar(1)),
            saying(marketing(&world, TO), sar(2)),
        ];
        assert_eq!(offer(&mut world, messages).await, [true; 8]);
        assert_eq!(times(&world).await.len(), 7, "the last two are one text");
        age(&world, 1, 601).await;
        let late = vec![part(&world, (9, 2, 2))];
        assert_eq!(offer(&mut world, late).await, [true]);
        assert_eq!(times(&world).await.len(), 8);
    })
    .await;
}

#[tokio::test]
async fn a_part_that_is_not_paid_for_begins_no_text_and_joins_none() {
    each(async |mut world| {
        create(&mut world, cap(1, HOUR_S)).await;
        let dear = |part| NewMessage { unit_price: Micros(2_000_000), ..part };
        let part = |number| part(&world, (9, 3, number));
        let messages = vec![dear(part(1)), part(2), dear(part(3)), part(3), part(1), part(2)];
        let items = messages.into_iter().map(|message| world.submission(vec![message])).collect();
        let answers = world.accept(items).await;
        let codes: Vec<_> = answers.iter().map(|a| a.as_ref().err().map(|r| r.code)).collect();
        let (poor, cap) = (Some(Code::BalanceTooLow), Some(Code::FrequencyCapExceeded));
        assert_eq!(codes, [poor, None, poor, None, None, cap]);
        assert_eq!(times(&world).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_called_off_after_one_part_counts_no_more() {
    each(async |mut world| {
        create(&mut world, cap(1, HOUR_S)).await;
        for (parts, left) in [(1, 0), (2, 1)] {
            let mut rows = Vec::new();
            for number in 1..=parts {
                let message = part(&world, (9, 3, number));
                rows.push(world.accepted(message).await);
            }
            world.claim(&rows).await;
            let blocked = || Outcome::Ended {
                status: Status::Blocked,
                reason: None,
                error: None,
                carrier_error: None,
                submitted: 0,
                parts: Vec::new(),
            };
            let results = rows.iter().map(|row| world.result(*row, 1, blocked())).collect();
            world.commit(Work { results, ..Work::default() }).await;
            assert_eq!(times(&world).await.len(), left, "{parts} parts");
        }
    })
    .await;
}
