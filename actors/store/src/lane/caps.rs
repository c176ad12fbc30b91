//! Changes of frequency caps, asked for by the API as [`super::Admin::Cap`].
//!
//! A rule that is deleted is only marked: its hits go a few at a time, and the row with the last
//! of them. Table: cap_rules.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::message::Category;

use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column, Line};
use crate::error::StoreError;

/// Rules of one organization: each is looked at on every send it covers.
const RULES_MAX: i64 = 50;

/// A change of an organization's rules.
#[derive(Clone, Debug)]
pub enum CapChange {
    Create { organization: OrgId, cap: NewCap },
    Change { organization: OrgId, id: PublicId, patch: CapPatch },
    Delete { organization: OrgId, id: PublicId },
}

/// A rule to store.
#[derive(Clone, Debug)]
pub struct NewCap {
    pub id: PublicId,
    pub name: String,
    /// `None`: every channel.
    pub channel: Option<String>,
    /// `None`: marketing and service.
    pub category: Option<Category>,
    pub limit: i64,
    pub window_s: i64,
    pub enabled: bool,
}

/// What is to be different; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct CapPatch {
    pub name: Option<String>,
    pub channel: Option<Option<String>>,
    pub category: Option<Option<Category>>,
    pub limit: Option<i64>,
    pub window_s: Option<i64>,
    pub enabled: Option<bool>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapDone {
    Stored,
    /// The organization has no such rule.
    Unknown,
    /// The organization has as many as it may.
    TooMany,
}

/// A rule as its columns hold it.
struct Stored {
    key: i64,
    name: String,
    channel: Option<String>,
    category: Option<i64>,
    limit: i64,
    window_s: i64,
    disabled_at: Option<i64>,
}

impl Stored {
    fn read(line: &Line) -> Result<Self, StoreError> {
        Ok(Self {
            key: line.int(0)?,
            name: line.text(1)?,
            channel: line.maybe_text(2)?,
            category: line.maybe_int(3)?,
            limit: line.int(4)?,
            window_s: line.int(5)?,
            disabled_at: line.maybe_int(6)?,
        })
    }

    fn patch(&mut self, patch: &CapPatch, now: At) {
        if let Some(name) = &patch.name {
            name.clone_into(&mut self.name);
        }
        if let Some(channel) = &patch.channel {
            self.channel.clone_from(channel);
        }
        if let Some(category) = patch.category {
            self.category = category.map(Category::code);
        }
        self.limit = patch.limit.unwrap_or(self.limit);
        self.window_s = patch.window_s.unwrap_or(self.window_s);
        match patch.enabled {
            Some(true) => self.disabled_at = None,
            Some(false) => self.disabled_at = self.disabled_at.or(Some(now.micros())),
            None => {}
        }
    }
}

impl Lane {
    pub(super) async fn cap(
        &mut self,
        change: &CapChange,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<CapDone, StoreError> {
        match change {
            CapChange::Create { organization, cap } => {
                if self.count_caps(*organization).await? >= RULES_MAX {
                    return Ok(CapDone::TooMany);
                }
                self.insert_cap(*organization, cap, now).await?;
                gathered.capped.insert(*organization, true);
                Ok(CapDone::Stored)
            }
            CapChange::Change { organization, id, patch } => {
                self.change_cap(*organization, *id, patch, now).await
            }
            CapChange::Delete { organization, id } => {
                let columns = [
                    Column::Int(vec![organization.0]),
                    Column::Blob(vec![id.as_bytes()]),
                    Column::Int(vec![now.micros()]),
                ];
                if self.conn.run(&DELETE_CAP, &columns).await? == 0 {
                    return Ok(CapDone::Unknown);
                }
                let left = self.count_caps(*organization).await?;
                gathered.capped.insert(*organization, left > 0);
                Ok(CapDone::Stored)
            }
        }
    }

    async fn count_caps(&mut self, organization: OrgId) -> Result<i64, StoreError> {
        let lines = self.conn.fetch(&COUNT_CAPS, &[Column::Int(vec![organization.0])]).await?;
        lines.first().map_or(Ok(0), |line| line.int(0))
    }

    async fn insert_cap(
        &mut self,
        organization: OrgId,
        cap: &NewCap,
        now: At,
    ) -> Result<(), StoreError> {
        let columns = [
            Column::Int(vec![self.number()]),
            Column::Blob(vec![cap.id.as_bytes()]),
            Column::Int(vec![organization.0]),
            Column::Text(vec![&cap.name]),
            Column::MaybeText(vec![cap.channel.as_deref()]),
            Column::MaybeInt(vec![cap.category.map(Category::code)]),
            Column::Int(vec![cap.limit]),
            Column::Int(vec![cap.window_s]),
            Column::Int(vec![now.micros()]),
            Column::MaybeInt(vec![(!cap.enabled).then_some(now.micros())]),
        ];
        self.conn.run(&INSERT_CAP, &columns).await?;
        Ok(())
    }

    async fn change_cap(
        &mut self,
        organization: OrgId,
        id: PublicId,
        patch: &CapPatch,
        now: At,
    ) -> Result<CapDone, StoreError> {
        let columns = [Column::Int(vec![organization.0]), Column::Blob(vec![id.as_bytes()])];
        let lines = self.conn.fetch(&SELECT_CAP, &columns).await?;
        let Some(line) = lines.first() else {
            return Ok(CapDone::Unknown);
        };
        let mut cap = Stored::read(line)?;
        cap.patch(patch, now);
        let columns = [
            Column::Int(vec![cap.key]),
            Column::Text(vec![&cap.name]),
            Column::MaybeText(vec![cap.channel.as_deref()]),
            Column::MaybeInt(vec![cap.category]),
            Column::Int(vec![cap.limit]),
            Column::Int(vec![cap.window_s]),
            Column::MaybeInt(vec![cap.disabled_at]),
            Column::Int(vec![now.micros()]),
        ];
        self.conn.run(&UPDATE_CAP, &columns).await?;
        Ok(CapDone::Stored)
    }
}

static COUNT_CAPS: Bulk = Bulk {
    sqlite: "select count(*) from cap_rules where organization_id = ?1 and deleted_at is null",
    postgres: "select count(*) from cap_rules
         where organization_id = any($1::bigint[]) and deleted_at is null",
};

static INSERT_CAP: Bulk = Bulk {
    sqlite: "insert into cap_rules (id, public_id, organization_id, name, channel, category,
            max_count, window_s, created_at, updated_at, disabled_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
    postgres: "insert into cap_rules (id, public_id, organization_id, name, channel, category,
            max_count, window_s, created_at, updated_at, disabled_at)
         select v.i, v.p, v.o, v.n, v.c, v.k, v.l, v.w, v.t, v.t, v.d
         from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[])
            v (i, p, o, n, c, k, l, w, t, d)",
};

static SELECT_CAP: Bulk = Bulk {
    sqlite: "select id, name, channel, category, max_count, window_s, disabled_at from cap_rules
         where organization_id = ?1 and public_id = ?2 and deleted_at is null",
    postgres: "select r.id, r.name, r.channel, r.category, r.max_count, r.window_s, r.disabled_at
         from unnest($1::bigint[], $2::bytea[]) v (o, i)
         join cap_rules r on r.organization_id = v.o and r.public_id = v.i
         where r.deleted_at is null for update of r",
};

static UPDATE_CAP: Bulk = Bulk {
    sqlite: "update cap_rules set name = ?2, channel = ?3, category = ?4, max_count = ?5,
            window_s = ?6, disabled_at = ?7, updated_at = ?8 where id = ?1",
    postgres: "update cap_rules set name = v.n, channel = v.c, category = v.k, max_count = v.l,
            window_s = v.w, disabled_at = v.d, updated_at = v.u
         from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[]) v (i, n, c, k, l, w, d, u)
         where id = v.i",
};

static DELETE_CAP: Bulk = Bulk {
    sqlite: "update cap_rules set deleted_at = ?3
         where organization_id = ?1 and public_id = ?2 and deleted_at is null",
    postgres: "update cap_rules set deleted_at = v.n
         from unnest($1::bigint[], $2::bytea[], $3::bigint[]) v (o, i, n)
         where organization_id = v.o and public_id = v.i and deleted_at is null",
};
