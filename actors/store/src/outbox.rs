//! What waits for a carrier, as its owner reads it. Tables: outbox, messages.

use model::carrier::{CarrierId, OrgId};

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A waiting message with all that its hand-off needs.
    pub struct WaitingRow {
        pub key: i64,
        /// Where it stands in its line: rising in the order in which rows came.
        pub place: i64,
        pub class: i64,
        pub organization_id: i64,
        pub due_at: i64,
        pub attempts: i64,
        pub intent: Option<i64>,
        pub intent_at: Option<i64>,
        pub id: Vec<u8>,
        pub category: i64,
        pub encoding: i64,
        pub segments: i64,
        pub unit_price: i64,
        pub from_ton: i64,
        pub test_mode: i64,
        pub created_at: i64,
        pub expires_at: Option<i64>,
        pub to_addr: String,
        pub from_addr: String,
        pub body: String,
        pub smpp_account_id: Option<i64>,
        pub submitted: Option<Vec<u8>>,
        /// Carriers it has left, as the result that moved it wrote them.
        pub tried: Option<String>,
        pub sender_pool_id: Option<i64>,
    }
}

row! {
    /// How much waits, by class and organization.
    pub struct BacklogRow {
        pub class: i64,
        pub organization_id: i64,
        pub waiting: i64,
        pub oldest: i64,
        /// The highest place among them.
        pub newest: i64,
    }
}

row! {
    struct OrganizationBacklog {
        organization_id: i64,
        waiting: i64,
    }
}

/// The columns of [`WaitingRow`], given where a row stands; statements add what they select by.
macro_rules! select_waiting {
    ($place:literal) => {
        concat!(
            "select o.key, ",
            $place,
            " as place, o.class, o.organization_id, o.due_at, o.attempts, o.intent, o.intent_at,
                m.id, m.category, m.encoding, m.segments, m.unit_price, m.from_ton, m.test_mode,
                m.created_at, m.expires_at, m.to_addr, m.from_addr, m.body, m.smpp_account_id, m.submitted,
                o.tried, m.sender_pool_id
            from outbox o join messages m on m.key = o.key "
        )
    };
}

impl Store {
    /// How many messages of each organization wait for carriers.
    pub async fn backlog_by_organization(&self) -> Result<Vec<(OrgId, i64)>, StoreError> {
        let sql =
            "select organization_id, count(*) as waiting from outbox group by organization_id";
        let rows: Vec<OrganizationBacklog> = sqlx::query_as(sql).fetch_all(self.engine()).await?;
        Ok(rows.into_iter().map(|row| (OrgId(row.organization_id), row.waiting)).collect())
    }

    /// Waiting rows of one class and organization, above the place `after`, in their order: most
    /// stand where their key says, fired ones where their place does.
    pub async fn waiting(
        &self,
        carrier: CarrierId,
        class: i64,
        organization: OrgId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<WaitingRow>, StoreError> {
        let sql = concat!(
            "select w.* from (",
            select_waiting!("o.key"),
            "where o.carrier_id = $1 and o.class = $2 and o.organization_id = $3 and o.key > $4
                and o.place is null and o.intent is null order by o.key limit $5) w
            union all select p.* from (",
            select_waiting!("o.place"),
            "where o.carrier_id = $6 and o.class = $7 and o.organization_id = $8
                and o.place > $9 and o.intent is null order by o.place limit $10) p
            order by place limit $11"
        );
        let mut query = sqlx::query_as(sql);
        for _ in 0..2 {
            let line = query.bind(carrier.0).bind(class).bind(organization.0);
            query = line.bind(after).bind(limit);
        }
        Ok(query.bind(limit).fetch_all(self.engine()).await?)
    }

    /// Rows whose intent an earlier owner stored: bytes may have left, nobody knows.
    pub async fn in_doubt(
        &self,
        carrier: CarrierId,
        epoch: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<WaitingRow>, StoreError> {
        let sql = concat!(
            select_waiting!("coalesce(o.place, o.key)"),
            "where o.carrier_id = $1 and o.intent is not null and o.intent <> $2 and o.key > $3
            order by o.key limit $4"
        );
        Ok(sqlx::query_as(sql)
            .bind(carrier.0)
            .bind(epoch)
            .bind(after)
            .bind(limit)
            .fetch_all(self.engine())
            .await?)
    }

    /// What waits for a carrier now, in doubt aside.
    pub async fn backlog(&self, carrier: CarrierId) -> Result<Vec<BacklogRow>, StoreError> {
        let sql = "select o.class, o.organization_id, count(*) as waiting,
                cast(min(o.due_at) as bigint) as oldest,
                cast(max(coalesce(o.place, o.key)) as bigint) as newest
            from outbox o where o.carrier_id = $1 and o.intent is null
            group by o.class, o.organization_id";
        Ok(sqlx::query_as(sql).bind(carrier.0).fetch_all(self.engine()).await?)
    }
}
