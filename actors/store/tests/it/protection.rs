//! Bounds against fraud with an organization's own account: the day's spend, the pace to one range
//! of numbers, and what the log tells of them.

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::message::Category;
use model::money::Micros;
use model::protection::{Overrides, Protection};
use model::refusal::{Code, Detail};
use model::submission::NewMessage;
use sqlx::{Connection as _, Executor as _};
use store::lane::{AcceptAnswer, Admin, AdminDone};
use store::{LoggedRow, Options, Store};

use crate::world::{World, each, readings};

const TO: &str = "+14155550123";

async fn protect(world: &mut World, own: Overrides) {
    let organization = world.organization;
    let done = world.admin(Admin::Protect { organization, own }).await;
    assert_eq!(done, AdminDone::Protected);
}

fn spend(micros: i64) -> Overrides {
    Overrides { daily_spend: Some(Micros(micros)), ..Overrides::default() }
}

/// Each an item of its own, all in one transaction; the refusals' codes.
async fn offer(world: &mut World, messages: Vec<NewMessage>) -> Vec<Option<Code>> {
    let items = messages.into_iter().map(|message| world.submission(vec![message])).collect();
    world.accept(items).await.iter().map(code).collect()
}

fn many(world: &World, count: usize) -> Vec<NewMessage> {
    (0..count).map(|_| world.message(TO)).collect()
}

fn code(answer: &AcceptAnswer) -> Option<Code> {
    answer.as_ref().err().map(|refusal| refusal.code)
}

async fn told(world: &World, kind: EventKind) -> Vec<LoggedRow> {
    let rows = world.store.log_of(world.organization, 0, 1_000).await.unwrap();
    rows.into_iter().filter(|row| row.kind == kind.code()).collect()
}

async fn run(world: &World, sql: &str) {
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    if world.store.is_postgres() {
        sqlx::PgConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    } else {
        sqlx::SqliteConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_day_costs_no_more_than_its_limit_and_the_next_begins_anew() {
    each(async |mut world| {
        protect(&mut world, spend(5_500)).await;
        let reached = Some(Code::SpendLimitReached);
        let messages = many(&world, 3);
        assert_eq!(offer(&mut world, messages).await, [None; 3]);
        assert!(told(&world, EventKind::SpendWarning).await.is_empty());
        let messages = many(&world, 4);
        assert_eq!(offer(&mut world, messages).await, [None, None, reached, reached]);
        let item = world.submission(many(&world, 1));
        let refusal = world.accept(vec![item]).await.remove(0).unwrap_err();
        assert!(refusal.details.contains(&("limit_micros", Detail::Number(5_500))));
        assert!(refusal.details.contains(&("spent_micros", Detail::Number(5_000))));
        assert_eq!(world.wallet().await, (995_000, 5_000));
        for kind in [EventKind::SpendWarning, EventKind::SpendReached] {
            assert_eq!(told(&world, kind).await.len(), 1, "{kind:?}");
        }
        let spent = world.store.spent_on(world.organization, At::now()).await.unwrap();
        assert_eq!(spent, Micros(5_000));

        run(&world, "update daily_spend set day = day - 1").await;
        let messages = many(&world, 6);
        let answers = offer(&mut world, messages).await;
        assert_eq!(answers.iter().filter(|code| code.is_none()).count(), 5);
        assert_eq!(told(&world, EventKind::SpendReached).await.len(), 2);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_wallet_refuses_is_not_spent() {
    each(async |mut world| {
        protect(&mut world, spend(3_000_000)).await;
        let dear = NewMessage { unit_price: Micros(2_000_000), ..world.message(TO) };
        let test = NewMessage { test: true, unit_price: Micros::ZERO, ..world.message(TO) };
        let messages = vec![dear, world.message(TO), test];
        assert_eq!(offer(&mut world, messages).await, [Some(Code::BalanceTooLow), None, None]);
        let spent = world.store.spent_on(world.organization, At::now()).await.unwrap();
        assert_eq!(spent, Micros(1_000));
    })
    .await;
}

#[tokio::test]
async fn a_range_of_numbers_gets_so_many_a_minute() {
    each(async |mut world| {
        let own = Overrides { velocity: Some(4), otp_velocity: Some(2), ..Overrides::default() };
        protect(&mut world, own).await;
        let code = |world: &World, to: &str| {
            let message = world.message(to);
            NewMessage { category: Category::Otp, ..message }
        };
        let fast = Some(Code::VelocityExceeded);
        // One transaction is of one minute; the next may be of another, which then counts anew.
        let minute = || At::now().0 / 60_000_000;
        let began = minute();
        let messages = vec![
            code(&world, "+14155550101"),
            code(&world, "+14155550102"),
            code(&world, "+14155550103"),
            code(&world, "+14165550103"),
            world.message("+14155550104"),
            NewMessage { test: true, ..code(&world, "+14155550105") },
        ];
        assert_eq!(offer(&mut world, messages).await, [None, None, fast, None, None, None]);
        let messages = many(&world, 5);
        let answers = offer(&mut world, messages).await;
        let one_more = code(&world, TO);
        let codes = offer(&mut world, vec![one_more]).await;
        if minute() == began {
            assert_eq!(answers, [None, None, None, fast, fast]);
            assert_eq!(codes, [fast]);
        }
        let alerts = told(&world, EventKind::Velocity).await;
        assert!(!alerts.is_empty() && alerts.len() <= 2, "once an hour: {}", alerts.len());
        let detail: &str = alerts[0].detail.as_deref().unwrap();
        assert_eq!(detail, r#"{"prefix":"1415","one_time_codes":true,"limit_per_minute":2}"#);
    })
    .await;
}

#[tokio::test]
async fn what_a_later_gate_refuses_sets_no_pace() {
    each(async |mut world| {
        let own = Overrides { velocity: Some(1), ..spend(1_000_000_000) };
        protect(&mut world, own).await;
        let dear = || NewMessage { unit_price: Micros(2_000_000), ..world.message(TO) };
        let messages = vec![dear(), dear(), world.message(TO), world.message(TO)];
        let low = Some(Code::BalanceTooLow);
        let fast = Some(Code::VelocityExceeded);
        assert_eq!(offer(&mut world, messages).await, [low, low, None, fast]);
    })
    .await;
}

#[tokio::test]
async fn alerts_of_a_kind_come_once_an_hour() {
    each(async |mut world| {
        let hour = || At::now().0 / 3_600_000_000;
        let began = hour();
        let kind = EventKind::DestinationRefused;
        for prefix in 0..20 {
            let detail = format!("{{\"prefix\":\"{prefix}\"}}");
            let organization = world.organization;
            world.admin(Admin::Alert { organization, kind, detail }).await;
        }
        let expected = if hour() == began { 1..=1 } else { 1..=2 };
        assert!(expected.contains(&told(&world, kind).await.len()));
    })
    .await;
}

#[tokio::test]
async fn a_low_wallet_is_told_once_until_the_next_top_up() {
    each(async |mut world| {
        let own = Overrides { balance_low: Some(Micros(998_000)), ..Overrides::default() };
        protect(&mut world, own).await;
        let low = EventKind::WalletLow;
        for (sends, events) in [(2, 0), (1, 1), (5, 1)] {
            for _ in 0..sends {
                world.accepted(world.message(TO)).await;
            }
            assert_eq!(told(&world, low).await.len(), events, "after {sends} more");
        }
        let detail = told(&world, low).await.remove(0).detail.unwrap();
        let said = r#"{"balance_micros":997000,"threshold_micros":998000,"currency":"USD"}"#;
        assert_eq!(detail, said);
        let (organization, note) = (world.organization, String::from("more"));
        let amount = Micros(6_000);
        world.admin(Admin::TopUp { organization, amount, note }).await;
        world.accepted(world.message(TO)).await;
        assert_eq!(told(&world, low).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_organizations_settings_are_its_own_and_last() {
    each(async |mut world| {
        let own = Overrides {
            allowed_countries: Some(vec![String::from("US"), String::from("DE")]),
            blocked_prefixes: Some(Vec::new()),
            otp_velocity: Some(0),
            ..spend(1_500)
        };
        protect(&mut world, own.clone()).await;
        let organization = world.organization;
        assert_eq!(world.store.protection(organization).await.unwrap(), own);
        let stranger = OrgId(organization.0 + 1);
        assert_eq!(world.store.protection(stranger).await.unwrap(), Overrides::default());
        assert_eq!(world.store.protections().await.unwrap(), [(organization, own)]);

        world.lane = world.store.lane(readings, false).await.unwrap();
        let reached = Some(Code::SpendLimitReached);
        let messages = many(&world, 2);
        assert_eq!(offer(&mut world, messages).await, [None, reached]);
        protect(&mut world, Overrides::default()).await;
        let messages = many(&world, 2);
        assert_eq!(offer(&mut world, messages).await, [None, None]);
    })
    .await;
}

#[tokio::test]
async fn the_operators_limit_holds_for_those_who_set_none() {
    each(async |mut world| {
        let protection = Protection { daily_spend: Micros(1_000), ..Protection::default() };
        let store = Store::open(Options { protection, ..Options::new(&world.url) }).await.unwrap();
        world.lane = store.lane(readings, false).await.unwrap();
        let reached = Some(Code::SpendLimitReached);
        let messages = many(&world, 2);
        assert_eq!(offer(&mut world, messages).await, [None, reached]);
        protect(&mut world, spend(0)).await;
        let messages = many(&world, 2);
        assert_eq!(offer(&mut world, messages).await, [None, None]);
        store.close().await;
    })
    .await;
}
