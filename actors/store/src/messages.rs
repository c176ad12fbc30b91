//! Messages and their history, as read. Tables: messages, outbox, events, carriers, parked,
//! quarantine.

use model::carrier::{MessageKey, OrgId};
use model::id::PublicId;

use crate::error::StoreError;
use crate::open::below;
use crate::{Store, row};

row! {
    /// A message as its organization sees it.
    pub struct MessageRow {
        pub key: i64,
        pub id: Vec<u8>,
        pub direction: i64,
        /// `queued` here may be `sending`: see `intent`.
        pub status: i64,
        pub intent: Option<i64>,
        pub attempts: Option<i64>,
        pub category: i64,
        pub encoding: i64,
        pub segments: i64,
        pub test_mode: i64,
        pub carrier: Option<String>,
        pub unit_price: i64,
        pub created_at: i64,
        pub sent_at: Option<i64>,
        pub done_at: Option<i64>,
        pub to_addr: String,
        pub from_addr: String,
        pub from_delivered: Option<String>,
        pub body: String,
        pub mccmnc: Option<String>,
        pub metadata: Option<String>,
        pub batch_id: Option<Vec<u8>>,
        pub external_id: Option<String>,
        pub status_reason: Option<String>,
        pub error_code: Option<String>,
        pub carrier_error: Option<String>,
        pub scheduled_at: Option<i64>,
        pub validity_s: Option<i64>,
        pub parent_id: Option<Vec<u8>>,
        pub template_id: Option<Vec<u8>>,
        pub redacted_at: Option<i64>,
        /// What the PDU of an inbound message said beside its text.
        pub said: Option<Vec<u8>>,
        /// How the account that submitted it writes ids; of messages that came by SMPP.
        pub smpp_id_format: Option<i64>,
        pub sender_pool_id: Option<i64>,
        /// The same as it is shown, as long as it is there.
        pub sender_pool: Option<Vec<u8>>,
    }
}

row! {
    /// One line of a message's history.
    pub struct EventRow {
        pub seq: i64,
        pub kind: i64,
        pub status: i64,
        pub at: i64,
        pub detail: Option<String>,
    }
}

row! {
    /// One line of the log of all organizations, for an operator.
    pub struct TailRow {
        pub seq: i64,
        pub at: i64,
        pub kind: i64,
        pub status: i64,
        pub detail: Option<String>,
        pub id: Vec<u8>,
        pub to_addr: String,
        pub from_addr: String,
        pub segments: i64,
        pub carrier: Option<String>,
        pub status_reason: Option<String>,
        pub error_code: Option<String>,
    }
}

row! {
    /// A receipt that matched nothing.
    pub struct OrphanRow {
        pub seq: i64,
        pub carrier: Option<String>,
        pub raw_id: String,
        pub state: i64,
        pub error: Option<String>,
        pub source: String,
        pub destination: String,
        pub at: i64,
    }
}

row! {
    /// A carrier of which parked receipts were dropped before their time.
    pub struct DroppedRow {
        pub carrier: String,
        pub receipts: i64,
        pub dropped_at: i64,
    }
}

row! {
    pub struct QuarantineRow {
        pub seq: i64,
        pub carrier: Option<String>,
        pub message_key: Option<i64>,
        pub reason: String,
        pub item: String,
        pub at: i64,
    }
}

row! {
    struct Count {
        n: i64,
    }
}

/// What a list is narrowed to. Each is optional.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<i64>,
    pub direction: Option<i64>,
    pub to: Option<String>,
    pub from: Option<String>,
    pub batch: Option<PublicId>,
    pub created_after: Option<i64>,
    pub created_before: Option<i64>,
}

impl Filter {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.status.is_none()
            && self.direction.is_none()
            && self.to.is_none()
            && self.from.is_none()
            && self.batch.is_none()
            && self.created_after.is_none()
            && self.created_before.is_none()
    }
}

/// The columns of [`MessageRow`]; statements add what they select by.
macro_rules! select_messages {
    ($rest:literal) => {
        select_messages!("messages m", $rest)
    };
    ($from:literal, $rest:literal) => {
        concat!(
            "select m.key, m.id, m.direction, m.status, o.intent, o.attempts, m.category,
                m.encoding, m.segments, m.test_mode, c.name as carrier, m.unit_price,
                m.created_at, m.sent_at, m.done_at, m.to_addr, m.from_addr, m.from_delivered,
                m.body, m.mccmnc, m.metadata, m.batch_id, m.external_id, m.status_reason,
                m.error_code, m.carrier_error, m.scheduled_at, m.validity_s,
                (select p.id from messages p where p.key = m.parent_key) as parent_id,
                m.template_id, m.redacted_at,
                case when m.direction = 2 then m.submitted end as said,
                case when m.smpp_account_id is not null then coalesce((select a.id_format
                    from smpp_accounts a where a.id = m.smpp_account_id), 1) end as smpp_id_format,
                m.sender_pool_id,
                (select s.public_id from sender_pools s where s.id = m.sender_pool_id)
                    as sender_pool
            from ",
            $from,
            " left join carriers c on c.id = m.carrier_id
            left join outbox o on m.status = 1 and o.carrier_id = m.carrier_id
                and o.class = (case when m.category = 2 then 0 else 1 end)
                and o.organization_id = m.organization_id and o.key = m.key ",
            $rest
        )
    };
}

impl Store {
    pub async fn message(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<MessageRow>, StoreError> {
        let sql = select_messages!("where m.organization_id = $1 and m.id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// Newest first, below `before`. A null filter takes all.
    pub async fn messages(
        &self,
        organization: OrgId,
        filter: &Filter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let sql = select_messages!(
            "runs r cross join messages m",
            "where r.organization_id = $1 and r.kind = 1 and r.low <= $2
                and r.high <= coalesce((select min(b.high) from runs b
                    where b.organization_id = $1 and b.kind = 1 and b.high >= $2),
                    9223372036854775807)
                and m.key >= r.low and m.key <= (case when r.high < $2 then r.high else $2 end)
                and m.organization_id = $1
                and ($3 is null or (m.status = $4 and (m.status <> 1 or o.intent is null)
                    or $5 = 2 and m.status = 1 and o.intent is not null))
                and ($6 is null or m.direction = $7)
                and ($8 is null or m.to_addr = $9)
                and ($10 is null or m.from_addr = $11)
                and ($12 is null or m.batch_id = $13)
                and m.created_at >= $14 and m.created_at < $15
            order by r.high desc, m.key desc limit $16"
        );
        let batch = filter.batch.map(|b| b.as_bytes().to_vec());
        // Each optional bind comes twice: once as a flag, since PostgreSQL cannot type a lone null.
        let flag = |given: bool| given.then_some(1_i64);
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(below(before))
            .bind(flag(filter.status.is_some()))
            .bind(filter.status.unwrap_or(0))
            .bind(filter.status.unwrap_or(0))
            .bind(flag(filter.direction.is_some()))
            .bind(filter.direction.unwrap_or(0))
            .bind(flag(filter.to.is_some()))
            .bind(filter.to.clone().unwrap_or_default())
            .bind(flag(filter.from.is_some()))
            .bind(filter.from.clone().unwrap_or_default())
            .bind(flag(batch.is_some()))
            .bind(batch.unwrap_or_default())
            .bind(filter.created_after.unwrap_or(i64::MIN))
            .bind(filter.created_before.unwrap_or(i64::MAX))
            .bind(limit);
        self.all_by_runs(organization, query).await
    }

    /// How many messages an organization has, counted to `most` and no further.
    pub async fn count_messages(
        &self,
        organization: OrgId,
        status: Option<i64>,
        most: i64,
    ) -> Result<i64, StoreError> {
        let sql = "select count(*) as n from (
            select 1 from runs r cross join messages m
            where r.organization_id = $1 and r.kind = 1 and m.key >= r.low and m.key <= r.high
                and m.organization_id = $1 and ($2 is null or m.status = $3)
            limit $4) counted";
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(status.map(|_| 1_i64))
            .bind(status.unwrap_or(0))
            .bind(most);
        let count: Vec<Count> = self.all_by_runs(organization, query).await?;
        Ok(count.first().map_or(0, |count| count.n))
    }

    /// The messages of one batch, in the order they were given.
    pub async fn batch(
        &self,
        organization: OrgId,
        batch: PublicId,
        limit: i64,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let sql = select_messages!(
            "where m.batch_id = $1 and m.organization_id = $2 order by m.key limit $3"
        );
        let batch = batch.as_bytes().to_vec();
        let query = sqlx::query_as(sql).bind(batch).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }

    /// A message's history, oldest first, above `after`.
    pub async fn events(
        &self,
        organization: OrgId,
        message: MessageKey,
        after: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let sql = "select seq, kind, status, at, detail from events
            where message_key = $1 and organization_id = $2 and seq > $3 order by seq limit $4";
        let query =
            sqlx::query_as(sql).bind(message.0).bind(organization.0).bind(after).bind(limit);
        self.all_of(organization, query).await
    }

    /// The log of all organizations above `after`, oldest first.
    pub async fn tail(&self, after: i64, limit: i64) -> Result<Vec<TailRow>, StoreError> {
        let sql = "select e.seq, e.at, e.kind, e.status, e.detail, m.id, m.to_addr, m.from_addr,
                m.segments, c.name as carrier, m.status_reason, m.error_code
            from events e join messages m on m.key = e.message_key
            left join carriers c on c.id = m.carrier_id
            where e.seq > $1 order by e.seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// The number of the newest line of the log; 0 when there is none.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        let sql = "select coalesce(max(seq), 0) as n from events";
        let newest: Count = sqlx::query_as(sql).fetch_one(self.engine()).await?;
        Ok(newest.n)
    }

    /// Receipts that matched nothing since before `parked_before`, newest first.
    pub async fn orphans(
        &self,
        parked_before: i64,
        below: i64,
        limit: i64,
    ) -> Result<Vec<OrphanRow>, StoreError> {
        let sql = "select p.seq, c.name as carrier, p.raw_id, p.state, p.error, p.source,
                p.destination, p.at
            from parked p left join carriers c on c.id = p.carrier_id
            where p.at < $1 and p.seq < $2 order by p.seq desc limit $3";
        Ok(sqlx::query_as(sql)
            .bind(parked_before)
            .bind(below)
            .bind(limit)
            .fetch_all(self.engine())
            .await?)
    }

    /// Carriers of which parked receipts were dropped because there were too many, and how many it
    /// were in all; those of late first.
    pub async fn receipts_dropped(
        &self,
        since: i64,
        limit: i64,
    ) -> Result<Vec<DroppedRow>, StoreError> {
        let sql = "select name as carrier, dropped_receipts as receipts, dropped_at from carriers
            where dropped_at >= $1 order by dropped_at desc limit $2";
        Ok(sqlx::query_as(sql).bind(since).bind(limit).fetch_all(self.engine()).await?)
    }

    /// What was set aside, newest first.
    pub async fn quarantined(
        &self,
        below: i64,
        limit: i64,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let sql = "select q.seq, c.name as carrier, q.message_key, q.reason, q.item, q.at
            from quarantine q left join carriers c on c.id = q.carrier_id
            where q.seq < $1 order by q.seq desc limit $2";
        Ok(sqlx::query_as(sql).bind(below).bind(limit).fetch_all(self.engine()).await?)
    }
}
