//! The log by organization, with what each line's message says: the source of webhooks, streams
//! and `/events`. Tables: runs, events, messages.
//!
//! The lines of an organization are found run by run: of each run of its own, the lines between a
//! low and a high number.

use model::carrier::{MessageKey, OrgId};

use crate::error::StoreError;
use crate::open::{above, below};
use crate::{Store, row};

row! {
    /// One line of the log. What is of a message is null on a line of the organization's own.
    pub struct LoggedRow {
        pub seq: i64,
        pub organization_id: i64,
        pub message_key: i64,
        pub kind: i64,
        pub status: i64,
        pub at: i64,
        pub detail: Option<String>,
        /// How many events of the message there are up to this one; 0 without a message.
        pub sequence: i64,
        pub id: Option<Vec<u8>>,
        pub direction: Option<i64>,
        pub to_addr: Option<String>,
        pub from_addr: Option<String>,
        /// Null, too, once the retention settings have taken it out.
        pub body: Option<String>,
        pub segments: Option<i64>,
        pub created_at: Option<i64>,
        pub test_mode: Option<i64>,
        pub metadata: Option<String>,
        pub batch_id: Option<Vec<u8>>,
        pub external_id: Option<String>,
        pub status_reason: Option<String>,
        pub error_code: Option<String>,
        pub carrier_error: Option<String>,
        pub webhook_url: Option<String>,
    }
}

row! {
    struct Newest {
        n: i64,
    }
}

/// The columns of [`LoggedRow`]; statements add what they select by.
macro_rules! select_logged {
    ($rest:literal) => {
        select_logged!("events e", $rest)
    };
    ($from:literal, $rest:literal) => {
        concat!(
            "select e.seq, e.organization_id, e.message_key, e.kind, e.status, e.at, e.detail,
                case when e.message_key = 0 then 0 else (select count(*) from events p
                    where p.message_key = e.message_key and p.seq <= e.seq) end as sequence,
                m.id, m.direction, m.to_addr, m.from_addr,
                case when m.redacted_at is null then m.body end as body, m.segments, m.created_at,
                m.test_mode, m.metadata, m.batch_id, m.external_id, m.status_reason, m.error_code,
                m.carrier_error, m.webhook_url
            from ",
            $from,
            " left join messages m on m.key = e.message_key ",
            $rest
        )
    };
}

/// What a list of events is narrowed to.
#[derive(Clone, Debug)]
pub struct LogFilter {
    /// Kinds as stored, as `,1,4,`: SQL of either database finds one in it.
    kinds: String,
    pub message: Option<MessageKey>,
    pub after: i64,
    pub before: i64,
}

impl LogFilter {
    #[must_use]
    pub fn new(kinds: &[model::event::EventKind]) -> Self {
        let mut text = String::from(",");
        for kind in kinds {
            text.push_str(&format!("{},", kind.code()));
        }
        Self { kinds: text, message: None, after: i64::MIN, before: i64::MAX }
    }
}

impl Store {
    /// The lines of one organization above `after`, oldest first.
    pub async fn log_of(
        &self,
        organization: OrgId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LoggedRow>, StoreError> {
        let sql = select_logged!(
            "runs r cross join events e",
            "where r.organization_id = $1 and r.kind = 2 and r.high >= $2
                and e.seq >= (case when r.low > $2 then r.low else $2 end) and e.seq <= r.high
            order by r.high, e.seq limit $3"
        );
        let query = sqlx::query_as(sql).bind(organization.0).bind(above(after)).bind(limit);
        self.all_by_runs(organization, query).await
    }

    /// The number of an organization's newest line; 0 when there is none.
    pub async fn newest_of(&self, organization: OrgId) -> Result<i64, StoreError> {
        let sql = "select coalesce(max(high), 0) as n from runs
            where organization_id = $1 and kind = 2";
        let newest: Option<Newest> =
            self.one_of(organization, sqlx::query_as(sql).bind(organization.0)).await?;
        Ok(newest.map_or(0, |newest| newest.n))
    }

    /// The lines of one organization below `before` that a filter lets through, newest first.
    pub async fn log_page(
        &self,
        organization: OrgId,
        filter: &LogFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<LoggedRow>, StoreError> {
        let Some(message) = filter.message else {
            return self.log_page_of_all(organization, filter, before, limit).await;
        };
        let sql = select_logged!(
            "where e.message_key = $1 and e.organization_id = $2 and e.seq < $3
                and $4 like '%,' || cast(e.kind as text) || ',%' and e.at >= $5 and e.at < $6
            order by e.seq desc limit $7"
        );
        let query = sqlx::query_as(sql)
            .bind(message.0)
            .bind(organization.0)
            .bind(before)
            .bind(filter.kinds.clone())
            .bind(filter.after)
            .bind(filter.before)
            .bind(limit);
        self.all_of(organization, query).await
    }

    /// The same, whatever their message.
    async fn log_page_of_all(
        &self,
        organization: OrgId,
        filter: &LogFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<LoggedRow>, StoreError> {
        let sql = select_logged!(
            "runs r cross join events e",
            "where r.organization_id = $1 and r.kind = 2 and r.low <= $2
                and r.high <= coalesce((select min(b.high) from runs b
                    where b.organization_id = $1 and b.kind = 2 and b.high >= $2),
                    9223372036854775807)
                and e.seq >= r.low and e.seq <= (case when r.high < $2 then r.high else $2 end)
                and $3 like '%,' || cast(e.kind as text) || ',%'
                and e.at >= $4 and e.at < $5
            order by r.high desc, e.seq desc limit $6"
        );
        let query = sqlx::query_as(sql)
            .bind(organization.0)
            .bind(below(before))
            .bind(filter.kinds.clone())
            .bind(filter.after)
            .bind(filter.before)
            .bind(limit);
        self.all_by_runs(organization, query).await
    }

    /// One line.
    pub async fn logged(
        &self,
        organization: OrgId,
        seq: i64,
    ) -> Result<Option<LoggedRow>, StoreError> {
        let sql = select_logged!("where e.organization_id = $1 and e.seq = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(seq);
        self.one_of(organization, query).await
    }

    /// How many lines of one organization are above `after`, counted to `most` and no further.
    pub async fn log_count(
        &self,
        organization: OrgId,
        after: i64,
        most: i64,
    ) -> Result<i64, StoreError> {
        let sql = "select count(*) as n from (select 1 as one from runs r cross join events e
            where r.organization_id = $1 and r.kind = 2 and r.high >= $2
                and e.seq >= (case when r.low > $2 then r.low else $2 end) and e.seq <= r.high
            limit $3) counted";
        let query = sqlx::query_as(sql).bind(organization.0).bind(above(after)).bind(most);
        let count: Vec<Newest> = self.all_by_runs(organization, query).await?;
        Ok(count.first().map_or(0, |count| count.n))
    }

    /// The cursor from which the lines since `since` follow that lead up to `seq`, itself
    /// included; at most `most` lines before it.
    pub async fn log_overlap(
        &self,
        organization: OrgId,
        seq: i64,
        since: i64,
        most: i64,
    ) -> Result<i64, StoreError> {
        let sql = "select coalesce(min(w.seq), $1) - 1 as n from (
            select e.seq, e.at from runs r cross join events e
            where r.organization_id = $2 and r.kind = 2 and r.low <= $1
                and r.high <= coalesce((select min(b.high) from runs b
                    where b.organization_id = $2 and b.kind = 2 and b.high >= $1),
                    9223372036854775807)
                and e.seq >= r.low and e.seq <= (case when r.high < $1 then r.high else $1 end)
            order by r.high desc, e.seq desc limit $3) w
            where w.at >= $4";
        let query = sqlx::query_as(sql).bind(seq).bind(organization.0).bind(most).bind(since);
        let first: Vec<Newest> = self.all_by_runs(organization, query).await?;
        Ok(first.first().map_or(seq - 1, |first| first.n))
    }
}
