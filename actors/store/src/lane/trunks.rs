//! Changes of customers' SIP trunks, asked for by the API as [`super::Admin::Trunk`]. Table: sip_trunks.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;

use super::Lane;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// All that is stored of a trunk but its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrunk {
    pub name: String,
    /// JSON.
    pub settings: String,
    pub disabled: bool,
}

/// What becomes of a trunk's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrunkPassword {
    Stays,
    /// Sealed; none: it has none.
    Is(Option<Vec<u8>>),
}

/// A change of an organization's trunks.
#[derive(Clone, Debug)]
pub enum TrunkChange {
    Create {
        organization: OrgId,
        id: PublicId,
        trunk: NewTrunk,
        /// Sealed.
        password: Option<Vec<u8>>,
        /// So many may an organization have.
        most: i64,
    },
    /// Stored only if nobody has changed the trunk since it was `seen`.
    Replace {
        organization: OrgId,
        id: PublicId,
        seen: At,
        trunk: NewTrunk,
        password: TrunkPassword,
    },
    Delete {
        organization: OrgId,
        id: PublicId,
    },
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrunkDone {
    Stored,
    Unknown,
    TooMany,
    /// Somebody changed it meanwhile.
    Changed,
    /// Numbers are routed to it.
    InUse,
}

impl Lane {
    pub(super) async fn change_trunk(
        &mut self,
        change: &TrunkChange,
        now: At,
    ) -> Result<TrunkDone, StoreError> {
        let (organization, id) = match change {
            TrunkChange::Create { organization, id, .. }
            | TrunkChange::Replace { organization, id, .. }
            | TrunkChange::Delete { organization, id } => (*organization, *id),
        };
        match change {
            TrunkChange::Create { trunk, password, most, .. } => {
                let has = self.conn.fetch(&COUNT, &[Column::Int(vec![organization.0])]).await?;
                if has.first().map_or(Ok(0), |line| line.int(0))? >= *most {
                    return Ok(TrunkDone::TooMany);
                }
                let columns = [
                    Column::Int(vec![self.number()]),
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![organization.0]),
                    Column::Text(vec![&trunk.name]),
                    Column::Text(vec![&trunk.settings]),
                    Column::MaybeBlob(vec![password.as_deref()]),
                    Column::Int(vec![now.micros()]),
                    Column::MaybeInt(vec![trunk.disabled.then_some(now.micros())]),
                ];
                self.conn.run(&INSERT, &columns).await?;
                Ok(TrunkDone::Stored)
            }
            TrunkChange::Replace { seen, trunk, password, .. } => {
                let Some((number, updated_at)) = self.find_trunk(organization, id).await? else {
                    return Ok(TrunkDone::Unknown);
                };
                if updated_at != seen.micros() {
                    return Ok(TrunkDone::Changed);
                }
                let later = now.micros().max(updated_at + 1);
                let columns = [
                    Column::Int(vec![number]),
                    Column::Text(vec![&trunk.name]),
                    Column::Text(vec![&trunk.settings]),
                    Column::Int(vec![later]),
                    Column::MaybeInt(vec![trunk.disabled.then_some(later)]),
                ];
                self.conn.run(&REPLACE, &columns).await?;
                if let TrunkPassword::Is(password) = password {
                    let columns =
                        [Column::Int(vec![number]), Column::MaybeBlob(vec![password.as_deref()])];
                    self.conn.run(&SET_PASSWORD, &columns).await?;
                }
                Ok(TrunkDone::Stored)
            }
            TrunkChange::Delete { .. } => {
                let Some((number, _)) = self.find_trunk(organization, id).await? else {
                    return Ok(TrunkDone::Unknown);
                };
                if self.trunk_routed(number).await? {
                    return Ok(TrunkDone::InUse);
                }
                self.conn.run(&DELETE, &[Column::Int(vec![number])]).await?;
                Ok(TrunkDone::Stored)
            }
        }
    }

    /// Its number, and when it was changed last.
    pub(super) async fn find_trunk(
        &mut self,
        organization: OrgId,
        id: PublicId,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        let lines = self.conn.fetch(&FIND, &columns).await?;
        lines.first().map(|line| Ok((line.int(0)?, line.int(1)?))).transpose()
    }
}

static COUNT: Bulk = Bulk {
    sqlite: "select count(*) from sip_trunks where organization_id = ?1",
    postgres: "select count(*) from sip_trunks where organization_id = any ($1::bigint[])",
};

static FIND: Bulk = Bulk {
    sqlite: "select id, updated_at from sip_trunks where organization_id = ?1 and public_id = ?2",
    postgres: "select t.id, t.updated_at from unnest($1::bigint[], $2::bytea[]) v (o, p)
         join sip_trunks t on t.organization_id = v.o and t.public_id = v.p",
};

static INSERT: Bulk = Bulk {
    sqlite: "insert into sip_trunks (id, public_id, organization_id, name, settings, password,
            created_at, updated_at, disabled_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)",
    postgres: "insert into sip_trunks (id, public_id, organization_id, name, settings, password,
            created_at, updated_at, disabled_at)
         select i, p, o, n, s, w, at, at, d from unnest($1::bigint[], $2::bytea[], $3::bigint[],
            $4::text[], $5::text[], $6::bytea[], $7::bigint[], $8::bigint[])
            v (i, p, o, n, s, w, at, d)",
};

static REPLACE: Bulk = Bulk {
    sqlite: "update sip_trunks set name = ?2, settings = ?3, updated_at = ?4, disabled_at = ?5
         where id = ?1",
    postgres: "update sip_trunks t set name = v.n, settings = v.s, updated_at = v.at,
            disabled_at = v.d
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
            v (i, n, s, at, d)
         where t.id = v.i",
};

static SET_PASSWORD: Bulk = Bulk {
    sqlite: "update sip_trunks set password = ?2 where id = ?1",
    postgres: "update sip_trunks t set password = v.w
         from unnest($1::bigint[], $2::bytea[]) v (i, w) where t.id = v.i",
};

static DELETE: Bulk = Bulk {
    sqlite: "delete from sip_trunks where id = ?1",
    postgres: "delete from sip_trunks where id = any ($1::bigint[])",
};
