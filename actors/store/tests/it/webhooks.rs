//! Webhooks as rows: cursors, deliveries, dead letters, replays, and who sees them.

use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use store::lane::{
    Admin, AdminDone, AttemptLog, DeliveryRecord, DeliveryState, Record, ReplayEvent, Resume,
    WebhookChange, WebhookDone, WebhookFields, Work,
};
use store::{LogRange, WebhookRow};

use crate::world::{World, each};

impl World {
    async fn change(&mut self, change: WebhookChange) -> WebhookDone {
        match self.admin(Admin::Webhook(Box::new(change))).await {
            AdminDone::Webhook(done) => done,
            other => panic!("{other:?}"),
        }
    }

    async fn webhook(&mut self, organization: OrgId, most: i64) -> Option<i64> {
        let create = WebhookChange::Create {
            organization,
            id: PublicId::new(At::now()),
            fields: fields("https://example.com/a"),
            secret: String::from("whsec_a"),
            most,
        };
        match self.change(create).await {
            WebhookDone::Made(number) => Some(number),
            WebhookDone::Full => None,
            other => panic!("{other:?}"),
        }
    }

    async fn row(&self, webhook: i64) -> WebhookRow {
        self.store.webhook_by_number(webhook).await.unwrap().unwrap()
    }
}

fn fields(url: &str) -> WebhookFields {
    let events = String::from("[\"*\"]");
    WebhookFields { url: url.to_owned(), events, description: None }
}

fn delivery(seq: i64, state: DeliveryState, attempt: i64) -> DeliveryRecord {
    DeliveryRecord {
        id: PublicId::of_row(At(0), seq),
        seq,
        message_key: 7,
        kind: EventKind::Sent.code(),
        state,
        attempts: attempt,
        due_at: At(1_000),
        expires_at: At(2_000),
        reason: None,
        attempt: Some(AttemptLog {
            attempt,
            at: At(500 + attempt),
            elapsed_us: 9_000,
            status: Some(500),
            request_headers: String::from("{}"),
            ..AttemptLog::default()
        }),
    }
}

fn record(world: &World, webhook: i64, cursor: i64, deliveries: Vec<DeliveryRecord>) -> Record {
    Record {
        webhook,
        organization: world.organization,
        cursor,
        failing_since: None,
        deliveries,
        disable: None,
    }
}

#[tokio::test]
async fn a_new_endpoint_hears_of_what_comes_after_it_and_of_its_own_transaction() {
    each(async |mut world| {
        let before = world.accepted(world.message("+14155550123")).await;
        let webhook = world.webhook(world.organization, 50).await.unwrap();
        let cursor = world.row(webhook).await.cursor;
        let known = world.store.log_of(world.organization, 0, 9).await.unwrap();
        assert!(known.iter().all(|line| line.seq < cursor && line.message_key == before.key.0));
        world.accepted(world.message("+14155550124")).await;
        assert_eq!(world.store.log_of(world.organization, cursor, 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_organization_has_only_so_many_endpoints_and_one_for_callbacks() {
    each(async |mut world| {
        let organization = world.organization;
        assert!(world.webhook(organization, 2).await.is_some());
        let second = world.webhook(organization, 2).await.unwrap();
        assert_eq!(world.webhook(organization, 2).await, None);
        let callbacks = |n| WebhookChange::Callbacks {
            organization,
            id: PublicId::new(At(n)),
            secret: format!("whsec_{n}"),
        };
        let made = world.change(callbacks(1)).await;
        assert_eq!(world.change(callbacks(2)).await, made);
        assert_eq!(world.store.callbacks(organization).await.unwrap().unwrap().secret, "whsec_1");
        assert_eq!(world.store.webhooks(organization, i64::MAX, 9).await.unwrap().len(), 2);
        let delete = WebhookChange::Delete { organization, webhook: second };
        assert_eq!(world.change(delete.clone()).await, WebhookDone::Changed(true));
        assert_eq!(world.change(delete).await, WebhookDone::Changed(false));
        assert!(world.webhook(organization, 2).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_report_moves_the_cursor_and_keeps_what_became_of_each_event() {
    each(async |mut world| {
        let organization = world.organization;
        let webhook = world.webhook(organization, 50).await.unwrap();
        let end = i64::MAX - 9;
        let deliveries = vec![
            delivery(end, DeliveryState::Pending, 1),
            delivery(end + 1, DeliveryState::Delivered, 1),
        ];
        let first =
            Record { failing_since: Some(At(77)), ..record(&world, webhook, end + 1, deliveries) };
        assert_eq!(world.change(WebhookChange::Record(first)).await, WebhookDone::Done);
        let row = world.row(webhook).await;
        assert_eq!((row.cursor, row.failing_since), (end + 1, Some(77)));
        let pending = world.store.pending_deliveries(webhook, 0, 9).await.unwrap();
        assert_eq!((pending.len(), pending[0].seq, pending[0].due_at), (1, end, 1_000));
        assert_eq!(world.store.settled_deliveries(webhook, 0, 9).await.unwrap(), [end + 1]);

        let dead =
            DeliveryRecord { reason: Some("attempts"), ..delivery(end, DeliveryState::Dead, 2) };
        let second = record(&world, webhook, end, vec![dead]);
        world.change(WebhookChange::Record(second)).await;
        let row = world.row(webhook).await;
        assert_eq!((row.cursor, row.failing_since), (end + 1, None), "a cursor never goes back");
        let letters = world.store.dead_letters(organization, i64::MAX, 9).await.unwrap();
        assert_eq!((letters.len(), letters[0].attempts), (1, 2));
        assert_eq!(letters[0].reason.as_deref(), Some("attempts"));
        let attempts =
            world.store.delivery_attempts(organization, webhook, (end, end + 1), 9).await.unwrap();
        let order: Vec<_> = attempts.iter().map(|a| (a.seq - end, a.attempt)).collect();
        assert_eq!(order, [(1, 1), (0, 1), (0, 2)]);
        let listed = world.store.deliveries(organization, webhook, None, i64::MAX, 9).await;
        assert_eq!(listed.unwrap().iter().map(|d| d.seq - end).collect::<Vec<_>>(), [1, 0]);
    })
    .await;
}

#[tokio::test]
async fn reports_of_many_endpoints_are_one_transaction_and_of_a_deleted_one_nothing_is_kept() {
    each(async |mut world| {
        let organization = world.organization;
        let (kept, gone) = (
            world.webhook(organization, 50).await.unwrap(),
            world.webhook(organization, 50).await.unwrap(),
        );
        world.change(WebhookChange::Delete { organization, webhook: gone }).await;
        let report = |webhook, seq| {
            let deliveries = vec![
                delivery(seq, DeliveryState::Pending, 1),
                delivery(seq, DeliveryState::Delivered, 2),
            ];
            let record = record(&world, webhook, i64::MAX - 1, deliveries);
            Admin::Webhook(Box::new(WebhookChange::Record(record)))
        };
        let admin = vec![report(kept, 5), report(gone, 6), report(kept, 7)];
        world.commit(Work { admin, ..Work::default() }).await;
        let rows = world.store.deliveries(organization, kept, None, i64::MAX, 9).await.unwrap();
        let states: Vec<_> = rows.iter().map(|row| (row.seq, row.state, row.attempts)).collect();
        assert_eq!(states, [(7, 2, 2), (5, 2, 2)], "the later word on an event counts");
        assert!(world.store.settled_deliveries(gone, 0, 9).await.unwrap().is_empty());
        let attempts = world.store.delivery_attempts(organization, gone, (0, 99), 9).await;
        assert!(attempts.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_is_disabled_once_told_of_once_and_resumes_where_it_stood() {
    each(async |mut world| {
        let organization = world.organization;
        let webhook = world.webhook(organization, 50).await.unwrap();
        let cursor = world.row(webhook).await.cursor;
        let disable = Record {
            disable: Some(("gone", String::from("{\"reason\":\"gone\"}"))),
            ..record(&world, webhook, cursor, Vec::new())
        };
        world.change(WebhookChange::Record(disable.clone())).await;
        world.change(WebhookChange::Record(disable)).await;
        let row = world.row(webhook).await;
        assert!(row.disabled_at.is_some());
        assert_eq!(row.disabled_reason.as_deref(), Some("gone"));
        let told = world.store.log_of(organization, cursor, 9).await.unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].kind, told[0].message_key), (EventKind::WebhookDisabled.code(), 0));
        assert!(world.store.running_webhooks(0, 9).await.unwrap().is_empty());
        let fields = fields("https://example.com/b");
        let resume = Resume::From(cursor - 1);
        let update = WebhookChange::Update { organization, webhook, fields, resume };
        assert_eq!(world.change(update).await, WebhookDone::Changed(true));
        let row = world.row(webhook).await;
        assert_eq!((row.cursor, row.disabled_at), (cursor, None));
        assert_eq!(row.url, "https://example.com/b");
        assert_eq!(world.store.running_webhooks(0, 9).await.unwrap(), [webhook]);
    })
    .await;
}

#[tokio::test]
async fn a_replay_makes_pending_what_was_over_and_what_never_was() {
    each(async |mut world| {
        let organization = world.organization;
        let webhook = world.webhook(organization, 50).await.unwrap();
        let over = delivery(5, DeliveryState::Dead, 7);
        let change = WebhookChange::Record(record(&world, webhook, 9, vec![over]));
        world.change(change).await;
        let event = |seq| ReplayEvent {
            id: PublicId::of_row(At(0), seq),
            seq,
            message_key: 7,
            kind: EventKind::Sent.code(),
        };
        let expires_at = At::now().plus(Duration::from_secs(60));
        let events = vec![event(5), event(6)];
        world.change(WebhookChange::Replay { organization, webhook, events, expires_at }).await;
        let pending = world.store.pending_deliveries(webhook, 0, 9).await.unwrap();
        let shown: Vec<_> = pending.iter().map(|row| (row.seq, row.attempts)).collect();
        assert_eq!(shown, [(5, 0), (6, 0)]);
        assert!(pending.iter().all(|row| row.expires_at == expires_at.micros()));
        assert!(world.store.dead_letters(organization, i64::MAX, 9).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_log_is_read_by_time_kind_and_callback() {
    each(async |mut world| {
        let organization = world.organization;
        world.sent("+14155550123", "a1").await;
        let mut message = world.message("+14155550124");
        message.options.webhook_url = Some(String::from("https://example.com/c"));
        world.accepted(message).await;
        let all = world.store.log_of(organization, 0, 9).await.unwrap();
        let whole = LogRange { from: At(0), to: At(i64::MAX), callbacks: false };
        let created = [EventKind::Created];
        let found = world.store.log_range(organization, &created, whole, 9).await.unwrap();
        assert_eq!(
            found.iter().map(|event| event.seq).collect::<Vec<_>>(),
            [all[0].seq, all[2].seq]
        );
        let callbacks = LogRange { callbacks: true, ..whole };
        let found = world.store.log_range(organization, &created, callbacks, 9).await.unwrap();
        assert_eq!(found.len(), 1);
        let single = world.store.logged_event(organization, all[2].seq).await.unwrap().unwrap();
        assert_eq!((single.seq, single.is_callback), (all[2].seq, 1));
        let later = LogRange { from: At(all[2].at + 1), ..whole };
        assert!(world.store.log_range(organization, &created, later, 9).await.unwrap().is_empty());
        let last = world.store.line_before(organization, all[2].at + 1).await.unwrap();
        assert_eq!(last, all[2].seq);
        assert_eq!(world.store.line_before(organization, 5).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn old_deliveries_are_dropped_and_pending_ones_are_not() {
    each(async |mut world| {
        let organization = world.organization;
        let webhook = world.webhook(organization, 50).await.unwrap();
        let deliveries =
            vec![delivery(5, DeliveryState::Pending, 1), delivery(6, DeliveryState::Delivered, 1)];
        world.change(WebhookChange::Record(record(&world, webhook, 9, deliveries))).await;
        let keep = WebhookChange::Forget { before: At(100) };
        assert_eq!(world.change(keep).await, WebhookDone::Forgot(0));
        let drop = WebhookChange::Forget { before: At::now().plus(Duration::from_secs(60)) };
        assert_eq!(world.change(drop).await, WebhookDone::Forgot(2));
        let rows = world.store.deliveries(organization, webhook, None, i64::MAX, 9).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [5]);
    })
    .await;
}

#[tokio::test]
async fn webhooks_of_others_are_not_seen_and_not_changed() {
    each(async |mut world| {
        let owner = world.organization;
        let (stranger, _) = world.organization_with(model::money::Micros(5)).await;
        let webhook = world.webhook(owner, 50).await.unwrap();
        let change = record(&world, webhook, 9, vec![delivery(5, DeliveryState::Dead, 1)]);
        world.change(WebhookChange::Record(change)).await;
        let row = world.row(webhook).await;
        let id = PublicId::from_bytes(row.public_id.try_into().unwrap());
        let dead = world.store.dead_letters(owner, i64::MAX, 9).await.unwrap().remove(0);
        let dead = PublicId::from_bytes(dead.public_id.try_into().unwrap());
        assert!(world.store.delivery(owner, dead).await.unwrap().is_some());
        let store = &world.store;
        assert!(store.webhook(stranger, id).await.unwrap().is_none());
        assert!(store.webhooks(stranger, i64::MAX, 9).await.unwrap().is_empty());
        assert!(store.dead_letters(stranger, i64::MAX, 9).await.unwrap().is_empty());
        assert!(store.delivery(stranger, dead).await.unwrap().is_none());
        assert!(store.deliveries(stranger, webhook, None, i64::MAX, 9).await.unwrap().is_empty());
        let attempts = store.delivery_attempts(stranger, webhook, (0, 99), 9).await.unwrap();
        assert!(attempts.is_empty());
        let (organization, fields) = (stranger, fields("https://example.com/x"));
        let (secret, until) = (String::from("whsec_x"), At::now());
        for change in [
            WebhookChange::Delete { organization, webhook },
            WebhookChange::Update { organization, webhook, fields, resume: Resume::No },
            WebhookChange::Rotate { organization, webhook, secret, until },
        ] {
            assert_eq!(world.change(change).await, WebhookDone::Changed(false));
        }
        assert_eq!(world.row(webhook).await.secret, "whsec_a");
    })
    .await;
}
