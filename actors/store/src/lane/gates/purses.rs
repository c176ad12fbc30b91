//! The purses: what each organization of a batch can spend, decided in memory in order of arrival.
//!
//! Their rows stay locked until the commit. Who pays and is then near nothing is told so once.
//! Table: wallets.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::money::Micros;

use super::super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

#[derive(Default)]
pub(crate) struct Purses(HashMap<OrgId, Purse>);

#[derive(Default)]
struct Purse {
    before: Micros,
    left: Micros,
    /// It was told that little is left.
    told: bool,
}

impl Purses {
    /// Counts the money that this transaction has moved already, and not yet written.
    pub(crate) fn reckon(&mut self, gathered: &Gathered) {
        for (organization, purse) in &mut self.0 {
            let moved = gathered.wallets.get(organization);
            purse.left += moved.map_or(Micros::ZERO, |(available, _)| *available);
        }
    }

    pub(crate) fn left(&self, organization: OrgId) -> Micros {
        self.0.get(&organization).map_or(Micros::ZERO, |purse| purse.left)
    }

    /// Takes an amount, if there is so much.
    pub(crate) fn take(&mut self, organization: OrgId, amount: Micros) -> bool {
        if amount == Micros::ZERO {
            return true;
        }
        match self.0.get_mut(&organization) {
            Some(purse) if purse.left >= amount => {
                purse.left -= amount;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn give_back(&mut self, organization: OrgId, amount: Micros) {
        if let Some(purse) = self.0.get_mut(&organization) {
            purse.left += amount;
        }
    }
}

impl Lane {
    /// The purses of these organizations, which are in rising order.
    pub(crate) async fn purses(&mut self, organizations: &[OrgId]) -> Result<Purses, StoreError> {
        let numbers = organizations.iter().map(|organization| organization.0).collect();
        let lines = self.conn.fetch(&SELECT_WALLETS, &[Column::Int(numbers)]).await?;
        let mut purses = HashMap::with_capacity(lines.len());
        for line in lines {
            let (left, told) = (Micros(line.int(1)?), line.maybe_int(2)?.is_some());
            purses.insert(OrgId(line.int(0)?), Purse { before: left, left, told });
        }
        Ok(Purses(purses))
    }

    /// Says of those who paid that little is left.
    pub(crate) async fn tell_purses(
        &mut self,
        purses: &Purses,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let low: Vec<(OrgId, Micros)> = purses
            .0
            .iter()
            .filter(|(_, purse)| purse.left != purse.before && !purse.told)
            .filter(|(organization, purse)| purse.left < self.guards.balance_low(**organization))
            .map(|(organization, purse)| (*organization, purse.left))
            .collect();
        self.tell_low(&low, now, gathered).await
    }
}

static SELECT_WALLETS: Bulk = Bulk {
    sqlite: "select organization_id, available, low_at from wallets where organization_id = ?1",
    postgres: "select organization_id, available, low_at from wallets
         where organization_id = any($1::bigint[]) order by organization_id for update",
};
