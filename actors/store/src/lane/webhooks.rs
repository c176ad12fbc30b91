//! Webhooks in the lane: endpoints made and changed, and what became of their events.
//!
//! The actor of an endpoint records deliveries, retries and dead letters together with how far it
//! has read the log, in one transaction: an event is behind the cursor only once it is delivered
//! or a row here. Tables: webhooks, webhook_deliveries, webhook_attempts, events (gathered).

mod record;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::message::Status;

use super::{EventRow, Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

pub use record::{AttemptLog, DeliveryRecord, DeliveryState, Record};

/// A change of webhooks.
#[derive(Clone, Debug)]
pub enum WebhookChange {
    /// Refused when the organization has `most` already.
    Create {
        organization: OrgId,
        id: PublicId,
        fields: WebhookFields,
        secret: String,
        most: i64,
    },
    /// The hidden endpoint of an organization's callbacks, made on first need.
    Callbacks {
        organization: OrgId,
        id: PublicId,
        secret: String,
    },
    Update {
        organization: OrgId,
        webhook: i64,
        fields: WebhookFields,
        resume: Resume,
    },
    Delete {
        organization: OrgId,
        webhook: i64,
    },
    /// The old secret is good until then.
    Rotate {
        organization: OrgId,
        webhook: i64,
        secret: String,
        until: At,
    },
    /// Puts an event of the organization into the log.
    Tell {
        organization: OrgId,
        kind: EventKind,
        detail: String,
    },
    /// Makes these events pending again.
    Replay {
        organization: OrgId,
        webhook: i64,
        events: Vec<ReplayEvent>,
        expires_at: At,
    },
    /// Of the actor behind an endpoint.
    Record(Record),
    /// Drops what is older, a few thousand rows at a time.
    Forget {
        before: At,
    },
}

/// What its owner says of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookFields {
    pub url: String,
    /// JSON list of patterns.
    pub events: String,
    pub description: Option<String>,
}

/// Whether an endpoint is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// As it is.
    Unchanged,
    /// Pauses: nothing is lost, events wait in the log.
    No,
    /// Runs again, from where it stood but not from before this line.
    From(i64),
}

/// One event to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEvent {
    pub id: PublicId,
    pub seq: i64,
    pub message_key: i64,
    pub kind: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookDone {
    /// The number of the endpoint.
    Made(i64),
    /// There are as many as may be.
    Full,
    /// False: there is no such endpoint of this organization.
    Changed(bool),
    Done,
    /// Rows dropped.
    Forgot(u64),
}

impl WebhookChange {
    /// True for what an actor reports, rather than a caller asks: kept and tried again while the
    /// database is away.
    #[must_use]
    pub fn is_report(&self) -> bool {
        matches!(self, Self::Record(_) | Self::Forget { .. })
    }
}

impl Lane {
    pub(super) async fn change_webhook(
        &mut self,
        change: &WebhookChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<WebhookDone, StoreError> {
        Ok(match change {
            WebhookChange::Create { organization, id, fields, secret, most } => {
                self.create_webhook(*organization, *id, fields, secret, *most, now).await?
            }
            WebhookChange::Callbacks { organization, id, secret } => {
                let fields = WebhookFields {
                    url: String::new(),
                    events: String::from("[\"message.*\"]"),
                    description: None,
                };
                let number = self.number();
                self.insert_webhook(number, *organization, *id, 1, &fields, secret, now).await?;
                let columns = [Column::Int(vec![organization.0])];
                let lines = self.conn.fetch(&SELECT_CALLBACKS, &columns).await?;
                let line = lines.first().ok_or(StoreError::Impossible("no callbacks"))?;
                WebhookDone::Made(line.int(0)?)
            }
            WebhookChange::Update { organization, webhook, fields, resume } => {
                self.update_webhook(*organization, *webhook, fields, *resume, now).await?
            }
            WebhookChange::Delete { organization, webhook } => {
                let columns = [Column::Int(vec![*webhook]), Column::Int(vec![organization.0])];
                let gone = self.conn.run(&DELETE_WEBHOOK, &columns).await? > 0;
                if gone {
                    self.conn.run(&DROP_PENDING, &columns[..1]).await?;
                }
                WebhookDone::Changed(gone)
            }
            WebhookChange::Rotate { organization, webhook, secret, until } => {
                let columns = [
                    Column::Int(vec![*webhook]),
                    Column::Int(vec![organization.0]),
                    Column::Text(vec![secret]),
                    Column::Int(vec![until.micros()]),
                ];
                WebhookDone::Changed(self.conn.run(&ROTATE_SECRET, &columns).await? > 0)
            }
            WebhookChange::Tell { organization, kind, detail } => {
                gathered.events.push(told(*organization, *kind, detail.clone()));
                WebhookDone::Done
            }
            WebhookChange::Replay { organization, webhook, events, expires_at } => {
                self.replay(*organization, *webhook, events, *expires_at, now).await?
            }
            // Recorded together, after all other changes of the batch.
            WebhookChange::Record(_) => WebhookDone::Done,
            WebhookChange::Forget { before } => {
                let column = || [Column::Int(vec![before.micros()])];
                let attempts = self.conn.run(&FORGET_ATTEMPTS, &column()).await?;
                let deliveries = self.conn.run(&FORGET_DELIVERIES, &column()).await?;
                WebhookDone::Forgot(attempts.max(deliveries))
            }
        })
    }

    async fn create_webhook(
        &mut self,
        organization: OrgId,
        id: PublicId,
        fields: &WebhookFields,
        secret: &str,
        most: i64,
        now: At,
    ) -> Result<WebhookDone, StoreError> {
        let lines = self.conn.fetch(&COUNT_WEBHOOKS, &[Column::Int(vec![organization.0])]).await?;
        let count = lines.first().map_or(Ok(0), |line| line.int(0))?;
        if count >= most {
            return Ok(WebhookDone::Full);
        }
        let number = self.number();
        self.insert_webhook(number, organization, id, 0, fields, secret, now).await?;
        Ok(WebhookDone::Made(number))
    }

    /// The cursor begins at the newest number: what is logged from this transaction on is told.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn insert_webhook(
        &mut self,
        number: i64,
        organization: OrgId,
        id: PublicId,
        kind: i64,
        fields: &WebhookFields,
        secret: &str,
        now: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(vec![number]),
            Column::Blob(vec![id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Int(vec![kind]),
            Column::Text(vec![&fields.url]),
            Column::Text(vec![&fields.events]),
            Column::MaybeText(vec![fields.description.as_deref()]),
            Column::Text(vec![secret]),
            Column::Int(vec![number]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&INSERT_WEBHOOK, &columns).await?;
        Ok(())
    }

    async fn update_webhook(
        &mut self,
        organization: OrgId,
        webhook: i64,
        fields: &WebhookFields,
        resume: Resume,
        now: At,
    ) -> Result<WebhookDone, StoreError> {
        let columns = [
            Column::Int(vec![webhook]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![&fields.url]),
            Column::Text(vec![&fields.events]),
            Column::MaybeText(vec![fields.description.as_deref()]),
        ];
        if self.conn.run(&UPDATE_WEBHOOK, &columns).await? == 0 {
            return Ok(WebhookDone::Changed(false));
        }
        match resume {
            Resume::Unchanged => {}
            Resume::No => {
                let columns = [
                    Column::Int(vec![webhook]),
                    Column::Int(vec![now.micros()]),
                    Column::Text(vec!["owner"]),
                ];
                self.conn.run(&DISABLE_WEBHOOK, &columns).await?;
            }
            Resume::From(line) => {
                let columns = [Column::Int(vec![webhook]), Column::Int(vec![line])];
                self.conn.run(&RESUME_WEBHOOK, &columns).await?;
            }
        }
        Ok(WebhookDone::Changed(true))
    }

    async fn replay(
        &mut self,
        organization: OrgId,
        webhook: i64,
        events: &[ReplayEvent],
        expires_at: At,
        now: At,
    ) -> Result<WebhookDone, StoreError> {
        let count = events.len();
        let numbers = events.iter().map(|_| self.number()).collect();
        let columns = [
            Column::Int(numbers),
            Column::Blob(events.iter().map(|e| e.id.as_bytes().as_slice()).collect()),
            Column::Int(vec![organization.0; count]),
            Column::Int(vec![webhook; count]),
            Column::Int(events.iter().map(|e| e.seq).collect()),
            Column::Int(events.iter().map(|e| e.message_key).collect()),
            Column::Int(events.iter().map(|e| e.kind).collect()),
            Column::Int(vec![DeliveryState::Pending.code(); count]),
            Column::Int(vec![0; count]),
            Column::Int(vec![now.micros(); count]),
            Column::Int(vec![expires_at.micros(); count]),
            Column::MaybeText(vec![None; count]),
            Column::Int(vec![now.micros(); count]),
        ];
        self.conn.run(&record::SAVE_DELIVERIES, &columns).await?;
        Ok(WebhookDone::Done)
    }
}

/// An event of an organization.
fn told(organization: OrgId, kind: EventKind, detail: String) -> EventRow {
    EventRow {
        organization,
        message: model::carrier::MessageKey(0),
        kind,
        status: Status::Queued,
        detail: Some(detail),
    }
}

static COUNT_WEBHOOKS: Bulk = Bulk {
    sqlite: "select count(*) from webhooks where organization_id = ?1 and kind = 0",
    postgres: "select count(w.id) from unnest($1::bigint[]) v (o)
         left join webhooks w on w.organization_id = v.o and w.kind = 0",
};

static SELECT_CALLBACKS: Bulk = Bulk {
    sqlite: "select id from webhooks where organization_id = ?1 and kind = 1",
    postgres: "select w.id from unnest($1::bigint[]) v (o)
         join webhooks w on w.organization_id = v.o where w.kind = 1",
};

static INSERT_WEBHOOK: Bulk = Bulk {
    sqlite: "insert into webhooks (id, public_id, organization_id, kind, url, events, description,
            secret, cursor, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict do nothing",
    postgres: "insert into webhooks (id, public_id, organization_id, kind, url, events,
            description, secret, cursor, created_at)
         select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
         on conflict do nothing",
};

static UPDATE_WEBHOOK: Bulk = Bulk {
    sqlite: "update webhooks set url = ?3, events = ?4, description = ?5
         where id = ?1 and organization_id = ?2 and kind = 0",
    postgres: "update webhooks set url = v.u, events = v.e, description = v.d
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])
            v (i, o, u, e, d)
         where id = v.i and organization_id = v.o and kind = 0",
};

static DISABLE_WEBHOOK: Bulk = Bulk {
    sqlite: "update webhooks set disabled_at = ?2, disabled_reason = ?3
         where id = ?1 and disabled_at is null",
    postgres: "update webhooks set disabled_at = v.n, disabled_reason = v.r
         from unnest($1::bigint[], $2::bigint[], $3::text[]) v (i, n, r)
         where id = v.i and disabled_at is null",
};

static RESUME_WEBHOOK: Bulk = Bulk {
    sqlite: "update webhooks set disabled_at = null, disabled_reason = null, failing_since = null,
            cursor = max(cursor, ?2)
         where id = ?1 and disabled_at is not null",
    postgres: "update webhooks set disabled_at = null, disabled_reason = null,
            failing_since = null, cursor = greatest(cursor, v.c)
         from unnest($1::bigint[], $2::bigint[]) v (i, c)
         where id = v.i and disabled_at is not null",
};

static DELETE_WEBHOOK: Bulk = Bulk {
    sqlite: "delete from webhooks where id = ?1 and organization_id = ?2 and kind = 0",
    postgres: "delete from webhooks w using unnest($1::bigint[], $2::bigint[]) v (i, o)
         where w.id = v.i and w.organization_id = v.o and w.kind = 0",
};

static DROP_PENDING: Bulk = Bulk {
    sqlite: "delete from webhook_deliveries where webhook_id = ?1 and state = 1",
    postgres: "delete from webhook_deliveries d using unnest($1::bigint[]) v (i)
         where d.webhook_id = v.i and d.state = 1",
};

static ROTATE_SECRET: Bulk = Bulk {
    sqlite: "update webhooks set old_secret = secret, old_secret_until = ?4, secret = ?3
         where id = ?1 and organization_id = ?2",
    postgres: "update webhooks set old_secret = secret, old_secret_until = v.u, secret = v.s
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) v (i, o, s, u)
         where id = v.i and organization_id = v.o",
};

// The oldest rows have the lowest numbers: a stretch of those is looked at, however many there are.
static FORGET_ATTEMPTS: Bulk = Bulk {
    sqlite: "delete from webhook_attempts where id in (select id from (
            select id, at from webhook_attempts order by id limit 2000) oldest where at < ?1)",
    postgres: "delete from webhook_attempts where id in (select x.id
            from unnest($1::bigint[]) v (b)
            join (select id, at from webhook_attempts order by id limit 2000) x on x.at < v.b)",
};

static FORGET_DELIVERIES: Bulk = Bulk {
    sqlite: "delete from webhook_deliveries where state <> 1 and id in (select id from (
            select id, at from webhook_deliveries order by id limit 2000) oldest where at < ?1)",
    postgres: "delete from webhook_deliveries where state <> 1 and id in (select x.id
            from unnest($1::bigint[]) v (b)
            join (select id, at from webhook_deliveries order by id limit 2000) x on x.at < v.b)",
};
