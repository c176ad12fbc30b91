//! STOP, START and HELP: what they change, whom they tell, and how often they are answered.

use model::consent::Scope;
use model::event::EventKind;
use model::keyword::{Action, WordSet};
use model::refusal::Code;
use store::DueReplyRow;
use store::lane::{Compliance, Done, Inbound, InboundFate, Work};

use crate::inbound::from_handset;
use crate::opt_out::{comply, refusal, suppress};
use crate::world::{World, each};

const PERSON: &str = "+14155550123";

fn writes(world: &World, body: &str) -> Inbound {
    let mut item = from_handset(world, 0);
    item.fingerprint = rand::random();
    item.carrier_organization = Some(world.organization);
    item.body = body.to_owned();
    item
}

async fn hears(world: &mut World, body: &str) -> Done {
    let inbound = vec![writes(world, body)];
    let done = world.commit(Work { inbound, ..Work::default() }).await;
    assert_eq!(done.inbound, [InboundFate::Stored(world.organization)]);
    done
}

async fn due(world: &World) -> Vec<DueReplyRow> {
    world.store.due_replies(100).await.unwrap()
}

async fn kinds(world: &World) -> Vec<EventKind> {
    let log = world.store.log_of(world.organization, 0, 1_000).await.unwrap();
    log.iter().filter_map(|line| EventKind::from_code(line.kind)).collect()
}

/// Makes all answers so far old enough not to stand in the way of the next.
async fn a_day_passes(world: &World) {
    let sql = "update keyword_replies set created_at = created_at - 86400000000, state = 2";
    use sqlx::{Connection as _, Executor as _};
    if world.url.starts_with("sqlite") {
        sqlx::SqliteConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    } else {
        sqlx::PgConnection::connect(&world.url).await.unwrap().execute(sql).await.unwrap();
    }
}

#[tokio::test]
async fn stop_holds_start_gives_back_and_both_are_told_and_answered() {
    each(async |mut world| {
        let done = hears(&mut world, "Stop. ").await;
        assert!(done.replies_due);
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
        assert_eq!(kinds(&world).await, [EventKind::Received, EventKind::OptedOut]);
        let organization = world.organization;
        let entry = world.store.suppressions_of(organization, PERSON).await.unwrap().remove(0);
        assert_eq!((entry.scope, entry.reason.as_str()), (Scope::All.code(), "keyword"));
        let told = world.store.log_of(organization, 0, 9).await.unwrap().remove(1);
        let told: serde_json::Value = serde_json::from_str(&told.detail.unwrap()).unwrap();
        assert_eq!((&told["keyword"], &told["address"]), (&"Stop.".into(), &PERSON.into()));
        assert!(told["message_id"].as_str().unwrap().starts_with("msg_"));
        assert_eq!((&told["channel"], &told["source"]), (&"sms".into(), &"keyword".into()));

        assert!(hears(&mut world, "START").await.replies_due);
        assert_eq!(refusal(&mut world, PERSON).await, None);
        assert!(kinds(&world).await.contains(&EventKind::OptedIn));
        let due = due(&world).await;
        assert_eq!(due.len(), 2);
        assert_eq!((due[0].address.as_str(), due[0].number.as_str()), (PERSON, "+14155550100"));
        assert!(due[0].body.contains("START"), "{}", due[0].body);
        let history =
            world.store.consent_history(organization, PERSON, None, i64::MAX, 9).await.unwrap();
        let said: Vec<_> = history.iter().map(|c| (c.opt_in, c.keyword.as_deref())).collect();
        assert_eq!(said, [(1, Some("START")), (0, Some("Stop."))]);
        assert!(history[0].message_id.is_some());
        let state = world.store.preferences(organization, PERSON).await.unwrap().remove(0).state;
        assert_eq!(state, model::consent::Preference::OptedIn.code());
    })
    .await;
}

#[tokio::test]
async fn stop_is_confirmed_once_in_a_day_for_each_person() {
    each(async |mut world| {
        let mut other = writes(&world, "STOP");
        other.from = String::from("+14155550999");
        let inbound = vec![writes(&world, "STOP"), writes(&world, "stop!"), other];
        let done = world.commit(Work { inbound, ..Work::default() }).await;
        assert!(done.replies_due);
        assert_eq!(due(&world).await.len(), 2);
        assert!(!hears(&mut world, "QUIT").await.replies_due, "once for all words");
        a_day_passes(&world).await;
        assert!(hears(&mut world, "STOP").await.replies_due);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_was_left_out_does_not_count_as_one() {
    each(async |mut world| {
        hears(&mut world, "STOP").await;
        let message = model::carrier::MessageKey(due(&world).await[0].message_key);
        let note = Some(String::from("NO_ROUTE"));
        comply(&mut world, Compliance::ReplySettled { message, note }).await;
        assert!(due(&world).await.is_empty());
        assert!(hears(&mut world, "STOP").await.replies_due);
    })
    .await;
}

#[tokio::test]
async fn start_does_not_take_away_what_the_organization_put_there() {
    each(async |mut world| {
        hears(&mut world, "STOP").await;
        assert_eq!(suppress(&mut world, PERSON, Scope::Sms).await, 1);
        let done = hears(&mut world, "UNSTOP").await;
        assert!(!done.replies_due, "the person is not back");
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
        assert!(!kinds(&world).await.contains(&EventKind::OptedIn));
        let left = world.store.suppressions_of(world.organization, PERSON).await.unwrap();
        assert_eq!(left.iter().map(|e| e.scope).collect::<Vec<_>>(), [Scope::Sms.code()]);
    })
    .await;
}

#[tokio::test]
async fn yes_and_other_words_are_only_what_they_say() {
    each(async |mut world| {
        for text in ["yes", "please stop", "Stop it now", "STOPP", ""] {
            assert!(!hears(&mut world, text).await.replies_due, "{text}");
        }
        assert!(kinds(&world).await.iter().all(|kind| *kind == EventKind::Received));
        hears(&mut world, "stop").await;
        assert!(hears(&mut world, "Yes").await.replies_due, "it means start now");
        assert_eq!(refusal(&mut world, PERSON).await, None);
    })
    .await;
}

#[tokio::test]
async fn help_is_answered_also_to_who_opted_out_and_changes_nothing() {
    each(async |mut world| {
        hears(&mut world, "STOP").await;
        assert!(hears(&mut world, "HELP").await.replies_due);
        assert!(!hears(&mut world, "info").await.replies_due, "machines do not talk for ever");
        let last = due(&world).await.pop().unwrap();
        assert_eq!(last.body, Action::Help.built_in_reply());
        assert_eq!(refusal(&mut world, PERSON).await, Some(Code::RecipientOptedOut));
    })
    .await;
}

#[tokio::test]
async fn an_organizations_words_and_texts_hold_by_language_and_for_it_alone() {
    each(async |mut world| {
        let set = |language: &str, action, words: &[&str], reply: Option<&str>, default| WordSet {
            language: String::from(language),
            action,
            words: words.iter().map(|word| model::keyword::fold(word)).collect(),
            reply: reply.map(str::to_owned),
            default_language: default,
        };
        let sets = vec![
            set("de", Action::Stop, &["STOPP"], Some("Abgemeldet."), true),
            set("fr", Action::Stop, &["ARRÊT"], Some("Désabonné."), false),
        ];
        let (other, _) = world.organization_with(model::money::Micros(5)).await;
        comply(&mut world, Compliance::SetKeywords { organization: other, sets: vec![] }).await;
        let organization = world.organization;
        comply(&mut world, Compliance::SetKeywords { organization, sets: sets.clone() }).await;
        assert_eq!(world.store.word_sets(organization).await.unwrap(), sets);
        assert!(world.store.word_sets(other).await.unwrap().is_empty());

        hears(&mut world, "arrêt !").await;
        assert_eq!(due(&world).await[0].body, "Désabonné.");
        a_day_passes(&world).await;
        hears(&mut world, "Stopp!").await;
        assert_eq!(due(&world).await[0].body, "Abgemeldet.");
        a_day_passes(&world).await;
        hears(&mut world, "STOP").await;
        assert_eq!(due(&world).await[0].body, "Abgemeldet.", "the default language");

        let mut theirs = writes(&world, "STOPP");
        theirs.carrier_organization = Some(other);
        let done = world.commit(Work { inbound: vec![theirs], ..Work::default() }).await;
        assert_eq!((done.inbound, done.replies_due), (vec![InboundFate::Stored(other)], false));
    })
    .await;
}

#[tokio::test]
async fn a_send_and_a_stop_in_one_transaction_end_before_the_carrier() {
    each(async |mut world| {
        let accepts = vec![world.submission(vec![world.message(PERSON)])];
        let inbound = vec![writes(&world, "STOP")];
        let done = world.commit(Work { accepts, inbound, ..Work::default() }).await;
        let Ok(store::lane::Accepted::Fresh { first, .. }) = done.accepts[0] else {
            panic!("not accepted")
        };
        let (carrier, organization) = (world.carrier, world.organization);
        let row = store::lane::OutboxRef { carrier, class: 1, organization, key: first };
        assert_eq!(world.claim(&[row]).await, [false]);
        assert_eq!(world.wallet().await, (1_000_000, 0));
        world.assert_books().await;
    })
    .await;
}
