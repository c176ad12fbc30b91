//! Organizations' own rules of routing, as read. Table: routing_tables.

use model::carrier::OrgId;
use model::routing::Rule;

use crate::error::StoreError;
use crate::{Store, row};

row! {
    /// An organization's rules, as JSON.
    pub struct RoutingRow {
        pub organization_id: i64,
        pub rules: String,
        pub updated_at: i64,
    }
}

impl RoutingRow {
    /// The rules; what no version of this program wrote is none.
    #[must_use]
    pub fn parsed(&self) -> Vec<Rule> {
        serde_json::from_str(&self.rules).unwrap_or_default()
    }
}

impl Store {
    /// What an organization has set, if it ever did.
    pub async fn routing(&self, organization: OrgId) -> Result<Option<RoutingRow>, StoreError> {
        let sql = "select organization_id, rules, updated_at from routing_tables
            where organization_id = $1";
        self.one_of(organization, sqlx::query_as(sql).bind(organization.0)).await
    }

    /// What all organizations have set, for the router.
    pub async fn routings(&self) -> Result<Vec<RoutingRow>, StoreError> {
        let sql = "select organization_id, rules, updated_at from routing_tables
            order by organization_id";
        Ok(sqlx::query_as(sql).fetch_all(self.engine()).await?)
    }
}
