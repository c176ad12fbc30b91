//! Organizations' own rules of routing, put in place of those they had. Table: routing_tables.

use model::carrier::OrgId;
use model::clock::At;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

impl Lane {
    pub(super) async fn route(
        &mut self,
        organization: OrgId,
        rules: &str,
        now: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(vec![organization.0]),
            Column::Text(vec![rules]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&PUT, &columns).await?;
        Ok(())
    }
}

static PUT: Bulk = Bulk {
    sqlite: "insert into routing_tables (organization_id, rules, updated_at) values (?1, ?2, ?3)
         on conflict (organization_id) do update
         set rules = excluded.rules, updated_at = excluded.updated_at",
    postgres: "insert into routing_tables (organization_id, rules, updated_at)
         select * from unnest($1::bigint[], $2::text[], $3::bigint[])
         on conflict (organization_id) do update
         set rules = excluded.rules, updated_at = excluded.updated_at",
};
