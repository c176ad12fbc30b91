//! Batches, as read: what was said to them, and how their messages stand.
//! Tables: batches, messages, outbox, ledger.

use model::carrier::OrgId;
use model::id::PublicId;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// What was answered to a batch.
    pub struct BatchRow {
        pub id: Vec<u8>,
        pub created_at: i64,
        pub accepted: i64,
        pub rejected: i64,
        /// JSON: a list of `{"index", "error"}`, by index.
        pub refused: String,
        pub template_id: Option<Vec<u8>>,
    }
}

row! {
    /// How many messages of a batch stand so.
    pub struct BatchCount {
        pub status: i64,
        /// 1: queued, and on its way.
        pub sending: i64,
        pub messages: i64,
        pub segments: i64,
    }
}

row! {
    /// What was moved for a batch by one kind of transfer.
    pub struct BatchMoney {
        pub kind: i64,
        pub amount: i64,
    }
}

impl Store {
    pub async fn batch_row(
        &self,
        organization: OrgId,
        batch: PublicId,
    ) -> Result<Option<BatchRow>, StoreError> {
        let sql = "select id, created_at, accepted, rejected, refused, template_id from batches
            where id = $1 and organization_id = $2";
        let query = sqlx::query_as(sql).bind(batch.as_bytes().to_vec()).bind(organization.0);
        self.one_of(organization, query).await
    }

    /// The messages of a batch by where they stand.
    pub async fn batch_counts(
        &self,
        organization: OrgId,
        batch: PublicId,
    ) -> Result<Vec<BatchCount>, StoreError> {
        let sql = "select m.status,
                case when m.status = 1 and o.intent is not null then 1 else 0 end as sending,
                count(*) as messages, cast(sum(m.segments) as bigint) as segments
            from messages m
            left join outbox o on m.status = 1 and o.carrier_id = m.carrier_id
                and o.class = (case when m.category = 2 then 0 else 1 end)
                and o.organization_id = m.organization_id and o.key = m.key
            where m.batch_id = $1 and m.organization_id = $2
            group by 1, 2 order by 1, 2";
        let query = sqlx::query_as(sql).bind(batch.as_bytes().to_vec()).bind(organization.0);
        self.all_of(organization, query).await
    }

    /// The money of a batch by kind of transfer.
    pub async fn batch_money(
        &self,
        organization: OrgId,
        batch: PublicId,
    ) -> Result<Vec<BatchMoney>, StoreError> {
        let sql = "select l.kind, cast(sum(l.amount) as bigint) as amount
            from messages m join ledger l
                on l.message_key = m.key and l.organization_id = m.organization_id
            where m.batch_id = $1 and m.organization_id = $2
            group by l.kind order by l.kind";
        let query = sqlx::query_as(sql).bind(batch.as_bytes().to_vec()).bind(organization.0);
        self.all_of(organization, query).await
    }
}
