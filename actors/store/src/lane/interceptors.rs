//! Organizations' interceptors, as they change. Table: interceptors.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// A change of one rule.
#[derive(Clone, Debug)]
pub enum InterceptorChange {
    /// Refused when the organization has `most` already.
    Create {
        id: PublicId,
        organization: OrgId,
        position: i64,
        rule: String,
        most: i64,
    },
    Update {
        id: PublicId,
        organization: OrgId,
        position: i64,
        rule: String,
    },
    Delete {
        id: PublicId,
        organization: OrgId,
    },
}

impl Lane {
    /// False when there are as many as may be, or there is no such rule of this organization.
    pub(super) async fn change_interceptor(
        &mut self,
        change: &InterceptorChange,
        now: At,
    ) -> Result<bool, StoreError> {
        let touched = match change {
            InterceptorChange::Create { id, organization, position, rule, most } => {
                let number = self.number();
                let columns = [
                    Column::Int(vec![number]),
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Int(vec![*position]),
                    Column::Text(vec![rule]),
                    Column::Int(vec![now.micros()]),
                    Column::Int(vec![*most]),
                ];
                self.conn.run(&INSERT, &columns).await?
            }
            InterceptorChange::Update { id, organization, position, rule } => {
                let columns = [
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Int(vec![*position]),
                    Column::Text(vec![rule]),
                    Column::Int(vec![now.micros()]),
                ];
                self.conn.run(&UPDATE, &columns).await?
            }
            InterceptorChange::Delete { id, organization } => {
                let columns =
                    [Column::Blob(vec![id.as_bytes()]), Column::Int(vec![organization.0])];
                self.conn.run(&DELETE, &columns).await?
            }
        };
        Ok(touched > 0)
    }
}

static INSERT: Bulk = Bulk {
    sqlite: "insert into interceptors (id, public_id, organization_id, position, rule, created_at,
            updated_at)
         select ?1, ?2, ?3, ?4, ?5, ?6, ?6
         where (select count(*) from interceptors where organization_id = ?3) < ?7",
    postgres: "insert into interceptors (id, public_id, organization_id, position, rule,
            created_at, updated_at)
         select v.i, v.p, v.o, v.n, v.r, v.at, v.at
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::text[],
            $6::bigint[], $7::bigint[]) v (i, p, o, n, r, at, most)
         where (select count(*) from interceptors x where x.organization_id = v.o) < v.most",
};

static UPDATE: Bulk = Bulk {
    sqlite: "update interceptors set position = ?3, rule = ?4, updated_at = ?5
         where public_id = ?1 and organization_id = ?2",
    postgres: "update interceptors x set position = v.n, rule = v.r, updated_at = v.at
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
            v (p, o, n, r, at)
         where x.public_id = v.p and x.organization_id = v.o",
};

static DELETE: Bulk = Bulk {
    sqlite: "delete from interceptors where public_id = ?1 and organization_id = ?2",
    postgres: "delete from interceptors where (public_id, organization_id) in
         (select * from unnest($1::bytea[], $2::bigint[]))",
};
