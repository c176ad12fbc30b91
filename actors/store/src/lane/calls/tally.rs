//! How many calls each organization has, and when its next one is due: numbers in memory that bound
//! new calls. They are read when a lane is opened, and change with what it commits.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;

use crate::bulk::{Bulk, Column, Conn};
use crate::error::StoreError;

/// Of a lane: as committed. Of a transaction: what changes.
#[derive(Default)]
pub(crate) struct Tally {
    pub(super) open: HashMap<OrgId, i64>,
    pub(super) due: HashMap<OrgId, At>,
}

impl Tally {
    pub(crate) async fn read(conn: &mut Conn) -> Result<Self, StoreError> {
        let mut open = HashMap::new();
        for line in conn.fetch(&OPEN, &[Column::Int(vec![0])]).await? {
            open.insert(OrgId(line.int(0)?), line.int(1)?);
        }
        Ok(Self { open, due: HashMap::new() })
    }

    pub(super) fn open_of(&self, organization: OrgId) -> i64 {
        self.open.get(&organization).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, organization: OrgId, change: i64) {
        *self.open.entry(organization).or_default() += change;
    }

    /// What a transaction changed holds from now on.
    pub(crate) fn take_over(&mut self, changes: Self, now: At) {
        for (organization, change) in changes.open {
            self.add(organization, change);
        }
        self.open.retain(|_, count| *count > 0);
        self.due.extend(changes.due);
        if self.due.len() > DUE_MAX {
            self.due.retain(|_, due| *due > now);
        }
    }
}

/// Moments that have passed say nothing, and are dropped when there are more than so many.
const DUE_MAX: usize = 1_000;

static OPEN: Bulk = Bulk {
    sqlite: "select organization_id, count(*) from calls
         where ended_at is null and ?1 is not null group by organization_id",
    postgres: "select organization_id, count(*) from calls, unnest($1::bigint[])
         where ended_at is null group by organization_id",
};
