//! Customers' SIP trunks, as read. Table: sip_trunks.

use model::carrier::OrgId;
use model::id::PublicId;
use model::trunk::TrunkSettings;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// A trunk with its sealed password, for the switch.
    pub struct TrunkRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub name: String,
        /// JSON.
        pub settings: String,
        pub password: Option<Vec<u8>>,
        pub disabled_at: Option<i64>,
    }
}

row! {
    /// A trunk as its organization sees it.
    pub struct TrunkListedRow {
        pub id: i64,
        pub public_id: Vec<u8>,
        pub organization_id: i64,
        pub name: String,
        /// JSON.
        pub settings: String,
        pub created_at: i64,
        pub updated_at: i64,
        pub disabled_at: Option<i64>,
    }
}

/// The columns of [`TrunkRow`].
macro_rules! select_trunks {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, name, settings, password, disabled_at
            from sip_trunks ",
            $rest
        )
    };
}

/// The columns of [`TrunkListedRow`].
macro_rules! select_listed {
    ($rest:literal) => {
        concat!(
            "select id, public_id, organization_id, name, settings, created_at, updated_at,
                disabled_at
            from sip_trunks ",
            $rest
        )
    };
}

/// The fields of a trunk. What no version of this program wrote is a trunk that leads nowhere.
fn settings_of(text: &str) -> TrunkSettings {
    serde_json::from_str(text).unwrap_or_default()
}

impl TrunkRow {
    #[must_use]
    pub fn fields(&self) -> TrunkSettings {
        settings_of(&self.settings)
    }
}

impl TrunkListedRow {
    #[must_use]
    pub fn fields(&self) -> TrunkSettings {
        settings_of(&self.settings)
    }
}

impl Store {
    /// Every organization's, in pages by number.
    pub async fn all_trunks(&self, after: i64, limit: i64) -> Result<Vec<TrunkRow>, StoreError> {
        let sql = select_trunks!("where id > $1 order by id limit $2");
        Ok(sqlx::query_as(sql).bind(after).bind(limit).fetch_all(self.engine()).await?)
    }

    /// An organization's with their passwords, for the switch.
    pub async fn trunks_of(
        &self,
        organization: OrgId,
        limit: i64,
    ) -> Result<Vec<TrunkRow>, StoreError> {
        let sql = select_trunks!("where organization_id = $1 order by id limit $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(limit);
        Ok(query.fetch_all(self.engine()).await?)
    }

    /// An organization's, newest first.
    pub async fn own_trunks(
        &self,
        organization: OrgId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<TrunkListedRow>, StoreError> {
        let sql =
            select_listed!("where organization_id = $1 and id < $2 order by id desc limit $3");
        let query = sqlx::query_as(sql).bind(organization.0).bind(before).bind(limit);
        self.all_of(organization, query).await
    }

    pub async fn own_trunk(
        &self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<TrunkListedRow>, StoreError> {
        let sql = select_listed!("where organization_id = $1 and public_id = $2");
        let query = sqlx::query_as(sql).bind(organization.0).bind(id.as_bytes().to_vec());
        self.one_of(organization, query).await
    }
}
