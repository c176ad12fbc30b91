//! Sender pools, as read. Tables: sender_pools, sender_pool_uses.

use model::carrier::OrgId;
use model::id::PublicId;
use model::pool::{Pool, Strategy, senders_of};

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A pool of an organization.
    pub struct PoolRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub name: String,
        pub strategy: i64,
        /// JSON.
        pub senders: String,
        /// JSON: names; null for any.
        pub carrier_ids: Option<String>,
        pub sticky_ttl_days: i64,
        pub created_at: i64,
        pub updated_at: i64,
    }
}

row! {
    /// How often a sender was used by live messages.
    pub struct PoolUseRow {
        pub pool_id: i64,
        pub sender: String,
        pub used: i64,
    }
}

/// The columns of [`PoolRow`]; statements add what they select by.
macro_rules! select_pools {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, name, strategy, senders, carrier_ids,
                sticky_ttl_days, created_at, updated_at
            from sender_pools ",
            $rest
        )
    };
}

impl PoolRow {
    /// The pool as it chooses. What no version of this program wrote is a pool without senders.
    #[must_use]
    pub fn pool(&self) -> Pool {
        let names = self.carrier_ids.as_deref();
        Pool {
            id: self.id,
            public_id: PublicId::from_bytes(
                self.public_id.as_slice().try_into().unwrap_or_default(),
            ),
            organization: OrgId(self.organization_id),
            strategy: Strategy::from_code(self.strategy).unwrap_or_default(),
            senders: senders_of(&self.senders),
            carriers: names.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            sticky_ttl_days: self.sticky_ttl_days,
        }
    }
}

impl Store {
    /// Every organization's, in pages by number.
    pub async fn all_sender_pools(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<PoolRow>, StoreError> {
        let sql = select_pools!("where id > $1 order by id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// An organization's, by name.
    pub async fn sender_pools(
        &self,
        organization: OrgId,
        limit: i64,
    ) -> Result<Vec<PoolRow>, StoreError> {
        let sql = select_pools!("where organization_id = $1 order by name, id limit $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn sender_pool(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<PoolRow>, StoreError> {
        let sql = select_pools!("where organization_id = $1 and public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }

    /// How often the senders of an organization's pools were used on a day.
    pub async fn sender_pool_uses(
        &self,
        organization: OrgId,
        day: i64,
        limit: i64,
    ) -> Result<Vec<PoolUseRow>, StoreError> {
        let sql = "select u.pool_id, u.sender, u.used
            from sender_pools p join sender_pool_uses u
                on u.pool_id = p.id and u.test_mode = 0 and u.day = $1
            where p.organization_id = $2 order by u.pool_id, u.sender limit $3";
        let query = sqlx::query_as(sql).bind(day).bind(organization.0).bind(limit);
        self.all_of(organization, query).await
    }
}
