//! What may have been kept long enough, oldest first, as the retention actor reads it.
//! Tables: messages, events, runs, quarantine, organizations, ledger, retention, calls,
//! sip_messages.
//!
//! Each read is a stretch of rows in the order they were made, whatever their age or state: reading
//! on until a row fits would be reading to the end of the table.

use model::carrier::OrgId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A message, as far as its age is concerned.
    pub struct AgedMessage {
        pub key: i64,
        pub status: i64,
        pub created_at: i64,
        pub sent_at: Option<i64>,
        pub carrier_id: i64,
        pub external_id: Option<String>,
    }
}

row! {
    /// A line of the log, as far as its age is concerned.
    pub struct AgedLine {
        pub seq: i64,
        pub at: i64,
        pub kind: i64,
        pub message_key: i64,
    }
}

row! {
    /// A row of quarantine or ledger, as far as its age is concerned.
    pub struct AgedRow {
        pub seq: i64,
        pub at: i64,
        pub kind: i64,
    }
}

row! {
    /// A run of which nothing is left.
    pub struct SpentRun {
        pub kind: i64,
        pub high: i64,
    }
}

row! {
    /// A call, as far as its age is concerned.
    pub struct AgedCall {
        pub key: i64,
        pub created_at: i64,
        pub ended_at: Option<i64>,
    }
}

row! {
    struct Number {
        n: i64,
    }
}

impl Store {
    pub async fn aged_messages(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<AgedMessage>, StoreError> {
        let sql = "select key, status, created_at, sent_at, carrier_id, external_id
            from messages where key > $1 order by key limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    pub async fn aged_lines(&self, after: i64, limit: i64) -> Result<Vec<AgedLine>, StoreError> {
        let sql = "select seq, at, kind, message_key from events
            where seq > $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Lines that are of no message.
    pub async fn aged_own_lines(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<AgedLine>, StoreError> {
        let sql = "select seq, at, kind, message_key from events
            where message_key = 0 and seq > $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    pub async fn aged_calls(&self, after: i64, limit: i64) -> Result<Vec<AgedCall>, StoreError> {
        let sql = "select key, created_at, ended_at from calls
            where key > $1 order by key limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Pieces of what was seen of calls.
    pub async fn aged_ladders(&self, after: i64, limit: i64) -> Result<Vec<AgedRow>, StoreError> {
        let sql = "select seq, at, cast(0 as bigint) as kind from sip_messages
            where seq > $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// The newest piece of a call's messages of which `most` are newer; 0: there are not so many.
    pub async fn ladder_beyond(&self, most: i64) -> Result<i64, StoreError> {
        let sql = "select seq as n from sip_messages order by seq desc limit 1 offset $1";
        let row: Option<Number> =
            sqlx::query_as(sql).bind(most).fetch_optional(self.engine()).await?;
        Ok(row.map_or(0, |row| row.n))
    }

    pub async fn aged_quarantine(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<AgedRow>, StoreError> {
        let sql = "select seq, at, cast(0 as bigint) as kind from quarantine
            where seq > $1 order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// The oldest transfers of an organization.
    pub async fn aged_transfers(
        &self,
        organization: OrgId,
        limit: i64,
    ) -> Result<Vec<AgedRow>, StoreError> {
        let sql = "select seq, at, kind from ledger where organization_id = $1
            order by seq limit $2";
        Ok(sqlx::query_as(sql).bind(organization.0).bind(limit).fetch_all(self.engine()).await?)
    }

    /// Those of an organization's oldest runs, so many of each kind, that hold nothing any more.
    pub async fn spent_runs(
        &self,
        organization: OrgId,
        limit: i64,
    ) -> Result<Vec<SpentRun>, StoreError> {
        let sql = "select r.kind, r.high from (select kind, low, high from runs
                where organization_id = $1 and kind = 1 order by high limit $2) r
            where not exists (select 1 from messages m
                where m.key >= r.low and m.key <= r.high and m.organization_id = $1)
            union all
            select r.kind, r.high from (select kind, low, high from runs
                where organization_id = $1 and kind = 2 order by high limit $2) r
            where not exists (select 1 from events e where e.seq >= r.low and e.seq <= r.high)";
        let query = sqlx::query_as(sql).bind(organization.0).bind(limit);
        self.all_by_runs(organization, query).await
    }

    pub async fn organizations_after(
        &self,
        after: OrgId,
        limit: i64,
    ) -> Result<Vec<OrgId>, StoreError> {
        let sql = "select id as n from organizations where id > $1 order by id limit $2";
        let rows: Vec<Number> =
            sqlx::query_as(sql).bind(after.0).bind(limit).fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| OrgId(row.n)).collect())
    }

    /// How far the log was read for bodies; 0 at first.
    pub async fn retention_cursor(&self, name: &'static str) -> Result<i64, StoreError> {
        let sql = "select seq as n from retention where name = $1";
        let row: Option<Number> =
            sqlx::query_as(sql).bind(name).fetch_optional(self.engine()).await?;
        Ok(row.map_or(0, |row| row.n))
    }
}
