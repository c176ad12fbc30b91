//! Webhooks as read: by their owners, and by the actors behind them.
//! Tables: webhooks, webhook_deliveries, webhook_attempts, events.

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;

use crate::error::StoreError;
use crate::open::above;
use crate::{Store, row};

row! {
    /// An endpoint.
    pub struct WebhookRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        /// 0: a customer's; 1: the organization's callbacks.
        pub kind: i64,
        pub url: String,
        pub events: String,
        pub description: Option<String>,
        pub secret: String,
        pub old_secret: Option<String>,
        pub old_secret_until: Option<i64>,
        pub cursor: i64,
        pub failing_since: Option<i64>,
        pub disabled_at: Option<i64>,
        pub disabled_reason: Option<String>,
        pub created_at: i64,
    }
}

row! {
    /// An event that waits.
    pub struct PendingRow {
        pub seq: i64,
        pub public_id: Vec<u8>,
        pub message_key: i64,
        pub kind: i64,
        pub attempts: i64,
        pub due_at: i64,
        pub expires_at: i64,
        /// Of its message.
        pub webhook_url: Option<String>,
    }
}

row! {
    /// One event for one endpoint.
    pub struct DeliveryRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub webhook_id: i64,
        pub webhook_public_id: Vec<u8>,
        pub webhook_kind: i64,
        pub seq: i64,
        pub message_key: i64,
        pub kind: i64,
        pub state: i64,
        pub attempts: i64,
        pub due_at: i64,
        pub reason: Option<String>,
        pub at: i64,
        pub event_at: Option<i64>,
        pub message_id: Option<Vec<u8>>,
    }
}

row! {
    /// One request and its answer.
    pub struct AttemptRow {
        pub seq: i64,
        pub attempt: i64,
        pub at: i64,
        pub elapsed_us: i64,
        pub status: Option<i64>,
        pub error: Option<String>,
        pub request_headers: String,
        pub response_headers: Option<String>,
        pub response_body: Option<String>,
    }
}

row! {
    /// An event without its message, to be sent again.
    pub struct LoggedEvent {
        pub seq: i64,
        pub message_key: i64,
        pub kind: i64,
        pub at: i64,
        /// 1: its message names a `webhook_url`.
        pub is_callback: i64,
    }
}

/// The columns of [`LoggedEvent`]; statements add what they select by.
macro_rules! select_events {
    ($rest:literal) => {
        select_events!("events e", $rest)
    };
    ($from:literal, $rest:literal) => {
        concat!(
            "select e.seq, e.message_key, e.kind, e.at,
                case when m.webhook_url is null then 0 else 1 end as is_callback
            from ",
            $from,
            " left join messages m on m.key = e.message_key ",
            $rest
        )
    };
}

/// Which events are to be sent again.
#[derive(Clone, Copy, Debug)]
pub struct LogRange {
    pub from: At,
    pub to: At,
    /// Only those of messages that name a `webhook_url`.
    pub callbacks: bool,
}

row! {
    struct Number {
        n: i64,
    }
}

/// The columns of [`WebhookRow`]; statements add what they select by.
macro_rules! select_webhooks {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, kind, url, events, description, secret,
                old_secret, old_secret_until, cursor, failing_since, disabled_at, disabled_reason,
                created_at
            from webhooks ",
            $rest
        )
    };
}

/// The columns of [`DeliveryRow`]; a delivery of an endpoint that is gone is not shown.
macro_rules! select_deliveries {
    ($rest:literal) => {
        concat!(
            "select d.id, d.public_id, d.webhook_id, w.public_id as webhook_public_id,
                w.kind as webhook_kind, d.seq,
                d.message_key, d.kind, d.state, d.attempts, d.due_at, d.reason, d.at,
                e.at as event_at, m.id as message_id
            from webhook_deliveries d join webhooks w on w.id = d.webhook_id
            left join events e on e.seq = d.seq
            left join messages m on m.key = d.message_key ",
            $rest
        )
    };
}

impl Store {
    /// The numbers of the endpoints that are to run, above `after`, of all organizations.
    pub async fn running_webhooks(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "select id as n from webhooks where disabled_at is null and id > $1
            order by id limit $2";
        let rows: Vec<Number> =
            sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| row.n).collect())
    }

    /// An endpoint by its number, whoever owns it.
    pub async fn webhook_by_number(&self, id: i64) -> Result<Option<WebhookRow>, StoreError> {
        let sql = select_webhooks!("where id = $1");
        Ok(sqlx::query_as(sql).bind(id).fetch_optional(self.engine()).await?)
    }

    /// What waits at an endpoint, in order of the log.
    pub async fn pending_deliveries(
        &self,
        webhook: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<PendingRow>, StoreError> {
        let sql = "select d.seq, d.public_id, d.message_key, d.kind, d.attempts, d.due_at,
                d.expires_at, m.webhook_url
            from webhook_deliveries d left join messages m on m.key = d.message_key
            where d.webhook_id = $1 and d.state = 1 and d.seq > $2
            order by d.seq limit $3";
        let query = sqlx::query_as(sql).bind(webhook).bind(after).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// The lines above `after` that an endpoint is done with, though its cursor is not there yet.
    pub async fn settled_deliveries(
        &self,
        webhook: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = "select seq as n from webhook_deliveries
            where webhook_id = $1 and seq > $2 and state <> 1 order by seq limit $3";
        let query = sqlx::query_as(sql).bind(webhook).bind(after).bind(limit);
        let rows: Vec<Number> = query.fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| row.n).collect())
    }

    /// An organization's endpoints below `before`, newest first.
    pub async fn webhooks(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<WebhookRow>, StoreError> {
        let sql = select_webhooks!(
            "where organization_id = $1 and kind = 0 and id < $2 order by id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn webhook(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<WebhookRow>, StoreError> {
        let sql = select_webhooks!("where organization_id = $1 and public_id = $2 and kind = 0");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// The hidden endpoint of an organization's callbacks.
    pub async fn callbacks(&self, organization: OrgId) -> Result<Option<WebhookRow>, StoreError> {
        let sql = select_webhooks!("where organization_id = $1 and kind = 1");
        self.one_of(organization, sqlx::query_as(sql).bind(organization.0)).await
    }

    /// An endpoint's deliveries below the line `before`, newest event first.
    pub async fn deliveries(
        &self,
        organization: OrgId,
        webhook: i64,
        state: Option<i64>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let sql = select_deliveries!(
            "where d.organization_id = $1 and d.webhook_id = $2 and d.seq < $3
                and ($4 = 0 or d.state = $5) order by d.seq desc limit $6"
        );
        let state = state.unwrap_or(0);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(webhook)
            .bind(before)
            .bind(state)
            .bind(state)
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// What was given up, below `before`, newest first.
    pub async fn dead_letters(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let sql = select_deliveries!(
            "where d.organization_id = $1 and d.state = 3 and d.id < $2
            order by d.id desc limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn delivery(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let sql = select_deliveries!("where d.organization_id = $1 and d.public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// The requests made to an endpoint for the lines `from` to `to`, in order.
    pub async fn delivery_attempts(
        &self,
        organization: OrgId,
        webhook: i64,
        (from, to): (i64, i64),
        limit: i64,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = "select seq, attempt, at, elapsed_us, status, error, request_headers,
                response_headers, response_body
            from webhook_attempts
            where organization_id = $1 and webhook_id = $2 and seq >= $3 and seq <= $4
            order by seq desc, id limit $5";
        let query =
            sqlx::query_as(sql).bind(organization.0).bind(webhook).bind(from).bind(to).bind(limit);
        self.all_of(organization, query).await
    }

    /// One event.
    pub async fn logged_event(
        &self,
        organization: OrgId,
        seq: i64,
    ) -> Result<Option<LoggedEvent>, StoreError> {
        let sql = select_events!("where e.organization_id = $1 and e.seq = $2");
        self.one_of(organization, sqlx::query_as(sql).bind(organization.0).bind(seq)).await
    }

    /// The events of these kinds within a time, oldest first.
    pub async fn log_range(
        &self,
        organization: OrgId,
        kinds: &[EventKind],
        range: LogRange,
        limit: i64,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        // Lines are in order of time: what lies before the range need not be looked at.
        let start = self.line_before(organization, range.from.micros()).await?;
        let sql = select_events!(
            "runs r cross join events e",
            "where r.organization_id = $1 and r.kind = 2 and r.high >= $2
                and e.seq >= (case when r.low > $2 then r.low else $2 end) and e.seq <= r.high
                and e.at >= $3 and e.at < $4
                and $5 like '%,' || cast(e.kind as text) || ',%'
                and ($6 = 0 or m.webhook_url is not null)
            order by r.high, e.seq limit $7"
        );
        let mut names = String::from(",");
        kinds.iter().for_each(|kind| names.push_str(&format!("{},", kind.code())));
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(above(start))
            .bind(range.from.micros())
            .bind(range.to.micros())
            .bind(names)
            .bind(i64::from(range.callbacks))
            .bind(limit);
        self.all_by_runs(organization, query).await
    }

    /// The last line of an organization's log from before a moment; 0 when there is none.
    pub async fn line_before(&self, organization: OrgId, at: i64) -> Result<i64, StoreError> {
        let sql = "select e.seq as n from runs r cross join events e
            where r.organization_id = $1 and r.kind = 2 and e.seq >= r.low and e.seq <= r.high
                and e.at < $2
            order by r.high desc, e.seq desc limit 1";
        let query = sqlx::query_as(sql).bind(organization.0).bind(at);
        let line: Vec<Number> = self.all_by_runs(organization, query).await?;
        Ok(line.first().map_or(0, |line| line.n))
    }
}
