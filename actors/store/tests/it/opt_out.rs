//! Who does not want messages gets none: at the door, in a batch, and when one is about to leave.

use model::clock::At;
use model::consent::{Origin, Scope};
use model::event::EventKind;
use model::id::PublicId;
use model::message::Status;
use model::refusal::{Code, Refusal};
use model::submission::Credential;
use store::TransferKind;
use store::lane::{
    Accepted, Admin, AdminDone, Compliance, Complied, Lift, NewConsent, NewSuppression, Work,
};

use crate::world::{World, batch_of, each, readings};

const PERSON: &str = "+14155550123";

pub(crate) fn entry(address: &str, scope: Scope) -> NewSuppression {
    NewSuppression {
        id: PublicId::new(At::now()),
        address: address.to_owned(),
        scope,
        reason: String::from("manual"),
        source: String::from("api"),
    }
}

fn said(address: &str, channel: Scope, opt_in: bool) -> NewConsent {
    NewConsent {
        id: PublicId::new(At::now()),
        address: address.to_owned(),
        channel,
        opt_in,
        origin: Origin::Consent,
        source: String::from("web form"),
        consent_type: String::from("messaging"),
        lawful_basis: Some(String::from("consent")),
        purpose: None,
        text_version: None,
        proof_url: None,
        metadata: None,
        keyword: None,
        message: None,
    }
}

pub(crate) async fn comply(world: &mut World, change: Compliance) -> Complied {
    match world.admin(Admin::Comply(change)).await {
        AdminDone::Complied(complied) => complied,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn suppress(world: &mut World, address: &str, scope: Scope) -> u64 {
    let organization = world.organization;
    let entries = vec![entry(address, scope)];
    let change = Compliance::Suppress { organization, origin: Origin::Api, entries };
    match comply(world, change).await {
        Complied::Suppressed(touched) => touched,
        other => panic!("{other:?}"),
    }
}

async fn consent(world: &mut World, said: Vec<NewConsent>) {
    let organization = world.organization;
    comply(world, Compliance::Consent { organization, said }).await;
}

pub(crate) async fn refusal(world: &mut World, to: &str) -> Option<Code> {
    let submission = world.submission(vec![world.message(to)]);
    world.accept(vec![submission]).await.remove(0).err().map(|refusal| refusal.code)
}

#[tokio::test]
async fn a_suppressed_recipient_is_refused_and_free_again_when_lifted() {
    each(async |mut world| {
        assert_eq!(refusal(&mut world, PERSON).await, None);
        assert_eq!(suppress(&mut world, PERSON, Scope::Sms).await, 1);
        assert_eq!(suppress(&mut world, PERSON, Scope::Sms).await, 0, "there already");
        assert_eq!(suppress(&mut world, "+14155550124", Scope::Email).await, 1);
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
        assert_eq!(refusal(&mut world, "+14155550124").await, None, "another channel");
        let mut code = world.message(PERSON);
        code.category = model::message::Category::Otp;
        let submission = world.submission(vec![code]);
        let refused = world.accept(vec![submission]).await.remove(0);
        assert_eq!(refused, Err(Refusal::recipient_opted_out()), "codes too");

        let rows = world.store.suppressions_of(world.organization, PERSON).await.unwrap();
        let id = PublicId::from_bytes(rows[0].id.as_slice().try_into().unwrap());
        let (other, _) = world.organization_with(model::money::Micros(5)).await;
        let lift = |organization| Compliance::Lift { organization, which: Lift::Id(id) };
        assert_eq!(comply(&mut world, lift(other)).await, Complied::Lifted(0), "not theirs");
        let own = world.organization;
        assert_eq!(comply(&mut world, lift(own)).await, Complied::Lifted(1));
        assert_eq!(refusal(&mut world, PERSON).await, None);
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn the_list_is_known_to_a_lane_that_opens_later() {
    each(async |mut world| {
        suppress(&mut world, PERSON, Scope::All).await;
        drop(world.lane);
        world.lane = world.store.lane(readings, false).await.unwrap();
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
    })
    .await;
}

#[tokio::test]
async fn an_entry_holds_for_sends_of_its_own_transaction_and_not_for_others_people() {
    each(async |mut world| {
        let entries = vec![entry(PERSON, Scope::All)];
        let organization = world.organization;
        let change = Compliance::Suppress { organization, origin: Origin::Api, entries };
        let (other, key) = world.organization_with(model::money::Micros(5_000)).await;
        let mine = world.submission(vec![world.message(PERSON)]);
        let mut theirs = world.submission(vec![world.message(PERSON)]);
        (theirs.organization, theirs.credential) = (other, Credential::ApiKey(key));
        let admin = vec![Admin::Comply(change)];
        let accepts = vec![mine, theirs];
        let done = world.commit(Work { admin, accepts, ..Work::default() }).await;
        assert_eq!(done.accepts[0], Err(Refusal::recipient_opted_out()));
        assert!(done.accepts[1].is_ok());
    })
    .await;
}

#[tokio::test]
async fn of_a_batch_only_those_are_refused_who_opted_out() {
    each(async |mut world| {
        suppress(&mut world, PERSON, Scope::All).await;
        let messages = ["+14155550122", PERSON, "+14155550124"].map(|to| world.message(to));
        let mut submission = world.submission(messages.into());
        submission.batch = Some(batch_of(submission.messages.len()));
        let answer = world.accept(vec![submission]).await.remove(0).unwrap();
        let Accepted::Fresh { refused, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(refused, [(1, Refusal::recipient_opted_out())]);
        assert_eq!(world.wallet().await, (998_000, 2_000));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_message_meets_the_list_at_its_time_and_not_before() {
    each(async |mut world| {
        suppress(&mut world, PERSON, Scope::All).await;
        let mut message = world.message(PERSON);
        message.options.scheduled_at = Some(At(At::now().micros() + 3_600_000_000));
        let submission = world.submission(vec![message]);
        let answer = world.accept(vec![submission]).await.remove(0).unwrap();
        assert!(matches!(answer, Accepted::Fresh { later, .. } if later.len() == 1));
    })
    .await;
}

#[tokio::test]
async fn a_message_whose_recipient_opted_out_since_is_not_handed_over() {
    each(async |mut world| {
        let mut long = world.message(PERSON);
        long.segments = 2;
        let unwanted = world.accepted(long).await;
        let other = world.accepted(world.message("+14155550124")).await;
        let mut answer = world.message(PERSON);
        answer.options.bypass_opt_out = true;
        let answer = world.accepted(answer).await;
        suppress(&mut world, PERSON, Scope::All).await;

        assert_eq!(world.claim(&[unwanted, other, answer]).await, [false, true, true]);
        assert_eq!(world.status(unwanted.key).await, Status::Blocked);
        assert_eq!(world.wallet().await, (998_000, 2_000), "its hold is released");
        let kinds: Vec<_> =
            world.store.transfers_of(unwanted.key).await.unwrap().iter().map(|t| t.0).collect();
        assert_eq!(kinds, [TransferKind::Hold, TransferKind::Release]);
        let filter = store::Filter { status: Some(10), ..store::Filter::default() };
        let organization = world.organization;
        let rows = world.store.messages(organization, &filter, i64::MAX, 9).await.unwrap();
        assert_eq!(rows[0].error_code.as_deref(), Some("RECIPIENT_OPTED_OUT"));
        assert!(rows[0].done_at.is_some());
        let events = world.store.events(organization, unwanted.key, 0, 9).await.unwrap();
        assert_eq!(events.last().unwrap().kind, EventKind::Failed.code());
        assert_eq!(world.claim(&[unwanted, unwanted]).await, [false, false], "gone for good");
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn who_is_blocked_at_hand_off_is_counted_once() {
    each(async |mut world| {
        let row = world.accepted(world.message(PERSON)).await;
        suppress(&mut world, PERSON, Scope::All).await;
        let epoch = world.epoch;
        let claims = vec![store::lane::Claim { row, epoch }; 2];
        let done = world.commit(Work { claims, ..Work::default() }).await;
        assert_eq!((done.claims, done.blocked), (vec![false, false], vec![world.organization]));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn consent_withdrawn_is_kept_told_and_holds_until_it_is_given_again() {
    each(async |mut world| {
        let both = [Scope::Sms, Scope::Whatsapp].map(|channel| said(PERSON, channel, false));
        consent(&mut world, both.into()).await;
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
        let organization = world.organization;
        let states: Vec<_> = world.store.preferences(organization, PERSON).await.unwrap();
        assert_eq!(
            states.iter().map(|p| (p.channel, p.state)).collect::<Vec<_>>(),
            [(1, 2), (3, 2)]
        );

        consent(&mut world, vec![said(PERSON, Scope::Sms, true)]).await;
        assert_eq!(refusal(&mut world, PERSON).await, None);
        let history =
            world.store.consent_history(organization, PERSON, None, i64::MAX, 9).await.unwrap();
        assert_eq!(history.iter().map(|c| c.opt_in).collect::<Vec<_>>(), [1, 0, 0]);
        let log = world.store.log_of(organization, 0, 100).await.unwrap();
        let kinds: Vec<_> = log.iter().map(|line| line.kind).filter(|kind| *kind >= 100).collect();
        assert_eq!(kinds, [100, 100, 101]);
        let back = log.iter().find(|line| line.kind == EventKind::OptedIn.code()).unwrap();
        assert!(back.detail.as_deref().unwrap().contains("\"channel\":\"sms\""));
    })
    .await;
}

#[tokio::test]
async fn consent_does_not_take_away_what_the_organization_put_there() {
    each(async |mut world| {
        consent(&mut world, vec![said(PERSON, Scope::Sms, false)]).await;
        // The same entry, now the organization's own.
        assert_eq!(suppress(&mut world, PERSON, Scope::Sms).await, 1);
        consent(&mut world, vec![said(PERSON, Scope::Sms, true)]).await;
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
        let log = world.store.log_of(world.organization, 0, 100).await.unwrap();
        assert!(log.iter().all(|line| line.kind != EventKind::OptedIn.code()), "not back");
    })
    .await;
}

#[tokio::test]
async fn what_people_said_is_never_changed() {
    each(async |mut world| {
        consent(&mut world, vec![said(PERSON, Scope::Sms, false)]).await;
        let sql = ["update consent_records set opt_in = 1", "delete from consent_records"];
        for sql in sql {
            assert!(as_engine(&world.url, sql).await.is_err(), "{sql}");
        }
    })
    .await;
}

async fn as_engine(url: &str, sql: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::{Connection as _, Executor as _};
    if url.starts_with("sqlite") {
        let mut conn = sqlx::SqliteConnection::connect(url).await?;
        conn.execute(sql).await.map(|_| ())
    } else {
        let mut conn = sqlx::PgConnection::connect(url).await?;
        conn.execute("set role orbit_engine").await?;
        conn.execute(sql).await.map(|_| ())
    }
}
