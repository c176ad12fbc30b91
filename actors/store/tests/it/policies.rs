//! The gates of an organization's own policy, and the lists and senders they look at.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::message::{Category, Status};
use model::policy::{Approval, Policy};
use model::refusal::{Code, Detail, Refusal};
use model::submission::NewMessage;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use store::lane::{
    Accepted, Admin, AdminDone, DncEntry, PolicyChange, PolicyDone, RndEntry, SenderCountry,
};

use crate::world::{World, batch_of, each, readings};

const PHONE: &str = "+14155550123";
/// Iceland keeps UTC all year.
const REYKJAVIK: &str = "+3546112345";

async fn change(world: &mut World, change: PolicyChange) -> PolicyDone {
    match world.admin(Admin::Policy(change)).await {
        AdminDone::Policy(done) => done,
        other => panic!("{other:?}"),
    }
}

async fn set(world: &mut World, policy: Value) {
    let policy = Box::new(Policy::read(&policy).unwrap());
    let organization = world.organization;
    let done = change(world, PolicyChange::Set { organization, policy }).await;
    assert_eq!(done, PolicyDone::Set);
}

async fn unwanted(world: &mut World, phone: &str) {
    let entry = DncEntry { phone: phone.to_owned(), reason: String::from("asked us to stop") };
    let organization = world.organization;
    let entries = vec![entry.clone(), entry];
    let done = change(world, PolicyChange::AddDnc { organization, entries }).await;
    assert_eq!(done, PolicyDone::Rows(1));
}

async fn given_back(world: &mut World, phone: &str, day: Option<&str>) {
    let disconnected_on = day.map(str::to_owned);
    let entries = vec![RndEntry { phone: phone.to_owned(), disconnected_on }];
    let organization = world.organization;
    let done = change(world, PolicyChange::ImportRnd { organization, entries }).await;
    assert_eq!(done, PolicyDone::Rows(1));
}

async fn register(world: &mut World, sender: &str, countries: &[&str]) -> (PublicId, PolicyDone) {
    let id = PublicId::new(At::now());
    let countries = countries.iter().map(|country| SenderCountry {
        country: (*country).to_owned(),
        document_refs: String::from("[]"),
        notes: None,
    });
    let registration = PolicyChange::RegisterSender {
        organization: world.organization,
        id,
        sender: sender.to_owned(),
        use_case: None,
        countries: countries.collect(),
    };
    let done = change(world, registration).await;
    (id, done)
}

async fn decide(world: &mut World, id: PublicId, country: &str, approval: Approval) -> PolicyDone {
    let country = country.to_owned();
    change(world, PolicyChange::DecideSender { id, country, approval, reason: None }).await
}

/// Writes what consent keeps: SMS, and 1 for opted in.
async fn consents(world: &World, phone: &str, at: At) {
    let sql = format!(
        "insert into channel_preferences
            (organization_id, address, channel, state, source, updated_at)
         values ({}, '{phone}', 1, 1, 'test', {})",
        world.organization.0, at.0
    );
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    if world.store.is_postgres() {
        sqlx::PgConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    } else {
        sqlx::SqliteConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    }
}

async fn send(world: &mut World, message: NewMessage) -> Result<Accepted, Refusal> {
    let submission = world.submission(vec![message]);
    world.accept(vec![submission]).await.remove(0)
}

async fn sent_to(world: &mut World, phone: &str) -> Result<Accepted, Refusal> {
    let message = world.message(phone);
    send(world, message).await
}

fn passed(answer: &Result<Accepted, Refusal>) -> bool {
    matches!(answer, Ok(Accepted::Fresh { later, .. }) if later.is_empty())
}

fn code(answer: Result<Accepted, Refusal>) -> Option<Code> {
    answer.err().map(|refusal| refusal.code)
}

fn fact(refusal: &Refusal, name: &str) -> String {
    match refusal.details.iter().find(|(known, _)| *known == name) {
        Some((_, Detail::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Hours in UTC that are closed now and open in two hours, and the minute they open.
fn closed_now(policy: &str) -> (Value, At) {
    let opens = At::now().plus(Duration::from_secs(2 * 60 * 60));
    let opens = At(opens.0 - opens.0 % 60_000_000);
    let closes = opens.plus(Duration::from_secs(60 * 60));
    let window = json!({"start": &opens.iso()[11..16], "end": &closes.iso()[11..16]});
    let hours = json!({"enabled": true, "policy": policy, "windows": {"sms": window}});
    (json!({"quiet_hours": hours}), opens)
}

#[tokio::test]
async fn what_is_not_switched_on_lets_everything_through() {
    each(async |mut world| {
        unwanted(&mut world, PHONE).await;
        given_back(&mut world, PHONE, Some("2026-01-01")).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        // Switched on and off again.
        set(&mut world, json!({"dnc": {"enabled": true}})).await;
        assert_eq!(code(sent_to(&mut world, PHONE).await), Some(Code::RecipientOnDnc));
        set(&mut world, json!({})).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
    })
    .await;
}

#[tokio::test]
async fn unknown_consent_is_refused_until_it_is_known() {
    each(async |mut world| {
        set(&mut world, json!({"unknown_consent": {"sms": "refuse", "voice": "allow"}})).await;
        let refusal = sent_to(&mut world, PHONE).await.unwrap_err();
        assert_eq!(refusal.code, Code::ConsentRequired);
        assert_eq!(refusal.field.as_deref(), Some("to"));
        let mut code = world.message(PHONE);
        code.category = Category::Otp;
        assert!(passed(&send(&mut world, code).await));
        consents(&world, PHONE, At::now()).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        assert_eq!(world.wallet().await, (998_000, 2_000));
    })
    .await;
}

#[tokio::test]
async fn the_organizations_list_holds_for_its_categories() {
    each(async |mut world| {
        unwanted(&mut world, PHONE).await;
        let policy = json!({"dnc": {"enabled": true, "categories": ["marketing"]}});
        set(&mut world, policy).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        let mut advert = world.message(PHONE);
        advert.category = Category::Marketing;
        let refusal = send(&mut world, advert.clone()).await.unwrap_err();
        assert_eq!(refusal.code, Code::RecipientOnDnc);
        assert_eq!(fact(&refusal, "source"), "org_list");
        let (organization, phones) = (world.organization, vec![PHONE.to_owned(); 2]);
        let done = change(&mut world, PolicyChange::RemoveDnc { organization, phones }).await;
        assert_eq!(done, PolicyDone::Rows(1));
        advert.id = PublicId::new(At::now());
        assert!(passed(&send(&mut world, advert).await));
    })
    .await;
}

#[tokio::test]
async fn a_number_given_back_is_refused_unless_its_holder_consented_since() {
    each(async |mut world| {
        set(&mut world, json!({"rnd": {"enabled": true}})).await;
        given_back(&mut world, PHONE, Some("2026-01-31")).await;
        let mut code = world.message(PHONE);
        code.category = Category::Otp;
        let refusal = send(&mut world, code).await.unwrap_err();
        assert_eq!(refusal.code, Code::RecipientOnDnc);
        assert_eq!(fact(&refusal, "source"), "rnd");
        consents(&world, PHONE, At::parse("2026-01-31T23:00:00Z").unwrap()).await;
        assert_eq!(code_for(&mut world).await, Some(Code::RecipientOnDnc));
        given_back(&mut world, PHONE, Some("2026-01-30")).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        given_back(&mut world, REYKJAVIK, Some("2026-01-30")).await;
        given_back(&mut world, REYKJAVIK, None).await;
        assert!(passed(&sent_to(&mut world, REYKJAVIK).await));
    })
    .await;
}

async fn code_for(world: &mut World) -> Option<Code> {
    code(sent_to(world, PHONE).await)
}

#[tokio::test]
async fn quiet_hours_refuse_and_say_when_they_end() {
    each(async |mut world| {
        let (policy, opens) = closed_now("reject");
        set(&mut world, policy).await;
        let refusal = sent_to(&mut world, REYKJAVIK).await.unwrap_err();
        assert_eq!(refusal.code, Code::QuietHoursBlocked);
        assert_eq!(fact(&refusal, "next_allowed_at"), opens.iso());
        assert_eq!(fact(&refusal, "local_timezone"), "Atlantic/Reykjavik");
        let mut code = world.message(REYKJAVIK);
        code.category = Category::Otp;
        assert!(passed(&send(&mut world, code).await));
        // Asked for at a time, it meets the gates then.
        let mut later = world.message(REYKJAVIK);
        later.options.scheduled_at = Some(opens);
        assert!(send(&mut world, later).await.is_ok());
        let always = json!({"start": "00:00", "end": "24:00"});
        set(&mut world, json!({"quiet_hours": {"enabled": true, "windows": {"sms": always}}}))
            .await;
        assert!(passed(&sent_to(&mut world, REYKJAVIK).await));
    })
    .await;
}

#[tokio::test]
async fn deferred_is_scheduled_for_the_end_of_quiet_hours_and_holds_nothing() {
    each(async |mut world| {
        let (policy, opens) = closed_now("defer");
        set(&mut world, policy).await;
        let before = world.wallet().await;
        let answer = sent_to(&mut world, REYKJAVIK).await.unwrap();
        let Accepted::Fresh { first, later, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(later, [(0, opens)]);
        assert_eq!(world.status(first).await, Status::Scheduled);
        let filter = store::Filter::default();
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 1).await.unwrap();
        assert_eq!(rows[0].scheduled_at, Some(opens.0));
        assert_eq!(world.wallet().await, before);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn messages_of_a_batch_are_decided_one_by_one() {
    each(async |mut world| {
        let (mut policy, opens) = closed_now("defer");
        policy["dnc"] = json!({"enabled": true});
        policy["quiet_hours"]["countries"] = json!({"US": {"start": "00:00", "end": "24:00"}});
        set(&mut world, policy).await;
        unwanted(&mut world, "+14155550002").await;
        let mut batch = world.submission(vec![
            world.message("+14155550001"),
            world.message("+14155550002"),
            world.message(REYKJAVIK),
            world.message("+14155550003"),
        ]);
        batch.batch = Some(batch_of(batch.messages.len()));
        let answer = world.accept(vec![batch]).await.remove(0).unwrap();
        let Accepted::Fresh { refused, later, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(refused.len(), 1);
        assert_eq!((refused[0].0, refused[0].1.code), (1, Code::RecipientOnDnc));
        assert_eq!(later, [(2, opens)]);
        assert_eq!(world.wallet().await, (998_000, 2_000));
    })
    .await;
}

#[tokio::test]
async fn a_sender_goes_where_it_is_approved() {
    each(async |mut world| {
        set(&mut world, json!({"sender_ids": {"require_approved": true}})).await;
        let refusal = sent_to(&mut world, PHONE).await.unwrap_err();
        assert_eq!(refusal.code, Code::SenderIdNotApproved);
        assert_eq!(refusal.field.as_deref(), Some("from"));
        assert_eq!(fact(&refusal, "country"), "US");
        let (id, done) = register(&mut world, "Orbit", &["GB", "US"]).await;
        assert_eq!(done, PolicyDone::Registered);
        assert_eq!(code_for(&mut world).await, Some(Code::SenderIdNotApproved));
        assert_eq!(decide(&mut world, id, "US", Approval::Approved).await, PolicyDone::Rows(1));
        assert!(passed(&sent_to(&mut world, PHONE).await));
        // Neither another country, nor another spelling; a number needs no approval.
        assert_eq!(
            code(sent_to(&mut world, "+447400123456").await),
            Some(Code::SenderIdNotApproved)
        );
        let mut loud = world.message(PHONE);
        loud.from = String::from("ORBIT");
        assert_eq!(code(send(&mut world, loud).await), Some(Code::SenderIdNotApproved));
        let mut number = world.message("+447400123456");
        number.from = String::from("+14155550100");
        assert!(passed(&send(&mut world, number).await));
        assert_eq!(decide(&mut world, id, "US", Approval::Rejected).await, PolicyDone::Rows(1));
        assert_eq!(code_for(&mut world).await, Some(Code::SenderIdNotApproved));

        let log = world.store.log_of(world.organization, 0, 100).await.unwrap();
        let lines = log.iter().filter(|row| row.kind == EventKind::SenderIdUpdated.code());
        let told: Vec<Value> = lines
            .map(|row| serde_json::from_str(row.detail.as_deref().unwrap()).unwrap())
            .collect();
        assert_eq!(told.len(), 2);
        assert_eq!(
            (&told[0]["status"], &told[1]["status"]),
            (&json!("approved"), &json!("rejected"))
        );
        assert_eq!((&told[0]["sender_id"], &told[0]["country"]), (&json!("Orbit"), &json!("US")));
    })
    .await;
}

#[tokio::test]
async fn a_sender_is_registered_once_per_country_and_gone_when_removed() {
    each(async |mut world| {
        let (id, _) = register(&mut world, "Orbit", &["GB", "DE"]).await;
        let (_, again) = register(&mut world, "Orbit", &["FR", "GB"]).await;
        assert_eq!(again, PolicyDone::Taken(vec![String::from("GB")]));
        let senders = world.store.senders(world.organization, i64::MAX, 10).await.unwrap();
        assert_eq!(senders.len(), 1);
        let number = senders[0].number;
        let countries =
            world.store.sender_countries(world.organization, number, number).await.unwrap();
        let names: Vec<&str> = countries.iter().map(|row| row.country.as_str()).collect();
        assert_eq!(names, ["DE", "GB"]);
        assert_eq!(world.store.pending_senders(10).await.unwrap().len(), 2);
        assert_eq!(decide(&mut world, id, "FR", Approval::Approved).await, PolicyDone::Unknown);
        let organization = world.organization;
        let removed = change(&mut world, PolicyChange::RemoveSender { organization, id }).await;
        assert_eq!(removed, PolicyDone::Rows(1));
        let removed = change(&mut world, PolicyChange::RemoveSender { organization, id }).await;
        assert_eq!(removed, PolicyDone::Unknown);
        assert!(world.store.pending_senders(10).await.unwrap().is_empty());
        assert_eq!(register(&mut world, "Orbit", &["GB"]).await.1, PolicyDone::Registered);
    })
    .await;
}

#[tokio::test]
async fn a_policy_is_known_to_the_next_lane() {
    each(async |mut world| {
        unwanted(&mut world, PHONE).await;
        set(&mut world, json!({"dnc": {"enabled": true}})).await;
        world.lane = world.store.lane(readings, false).await.unwrap();
        assert_eq!(code_for(&mut world).await, Some(Code::RecipientOnDnc));
        let row = world.store.policy(world.organization).await.unwrap().unwrap();
        let kept = Policy::read(&serde_json::from_str(&row.body).unwrap()).unwrap();
        assert!(kept.dnc.enabled && kept.is_active());
    })
    .await;
}

#[tokio::test]
async fn in_one_transaction_each_organization_is_judged_by_its_own_policy() {
    each(async |mut world| {
        unwanted(&mut world, PHONE).await;
        set(&mut world, json!({"dnc": {"enabled": true}})).await;
        let listed = world.submission(vec![world.message(PHONE)]);
        let other = world.submission(vec![world.message(REYKJAVIK)]);
        let credit = model::money::Micros(1_000_000);
        (world.organization, world.key) = world.organization_with(credit).await;
        let theirs = world.submission(vec![world.message(PHONE)]);
        let answers = world.accept(vec![listed, theirs, other]).await;
        assert_eq!(code(answers[0].clone()), Some(Code::RecipientOnDnc));
        assert!(passed(&answers[1]) && passed(&answers[2]), "{answers:?}");
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn one_organizations_policy_and_lists_are_nobody_elses() {
    each(async |mut world| {
        unwanted(&mut world, PHONE).await;
        given_back(&mut world, PHONE, Some("2026-01-01")).await;
        consents(&world, REYKJAVIK, At::now()).await;
        let (id, _) = register(&mut world, "Orbit", &["US"]).await;
        decide(&mut world, id, "US", Approval::Approved).await;
        set(&mut world, json!({"dnc": {"enabled": true}})).await;
        let first: OrgId = world.organization;

        (world.organization, world.key) =
            world.organization_with(model::money::Micros(1_000_000)).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        set(&mut world, json!({"dnc": {"enabled": true}, "rnd": {"enabled": true}})).await;
        assert!(passed(&sent_to(&mut world, PHONE).await));
        set(&mut world, json!({"unknown_consent": {"sms": "refuse"}})).await;
        assert_eq!(code(sent_to(&mut world, REYKJAVIK).await), Some(Code::ConsentRequired));
        set(&mut world, json!({"sender_ids": {"require_approved": true}})).await;
        assert_eq!(code_for(&mut world).await, Some(Code::SenderIdNotApproved));

        let (store, second) = (&world.store, world.organization);
        assert!(store.sender(second, id).await.unwrap().is_none());
        assert!(store.senders(second, i64::MAX, 10).await.unwrap().is_empty());
        assert!(store.sender_countries(second, 0, i64::MAX).await.unwrap().is_empty());
        assert!(store.dnc_entries(second, i64::MAX, 10).await.unwrap().is_empty());
        assert!(store.dnc_source(second, PHONE).await.unwrap().is_none());
        assert_eq!(store.disconnected_on(second, PHONE).await.unwrap(), None);
        assert_eq!(store.dnc_source(first, PHONE).await.unwrap().unwrap().source, "org_list");
        let organization = second;
        let removed = change(&mut world, PolicyChange::RemoveSender { organization, id }).await;
        assert_eq!(removed, PolicyDone::Unknown);
        assert!(world.store.sender(first, id).await.unwrap().is_some());
        let countries = world.store.sender_countries(first, 0, i64::MAX).await.unwrap();
        assert_eq!(countries.len(), 1);
    })
    .await;
}
