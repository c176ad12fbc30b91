//! What the organizations of a transaction can still spend on calls: wallet and limit of the day.
//!
//! A call counts in the day's spend by what is put aside for it, and what it does not use is given
//! back, but for that of another day.

use std::collections::HashMap;

use model::carrier::OrgId;
use model::clock::At;
use model::money::Micros;
use model::refusal::{Code, Refusal};

use super::super::gates::{Purses, Spend};
use super::super::{Gathered, Lane};
use super::{CallChange, State};
use crate::error::StoreError;

pub(super) struct Till {
    purses: Purses,
    spend: Spend,
}

impl Till {
    /// Takes the whole of an amount, or nothing.
    pub(super) fn take(&mut self, organization: OrgId, amount: Micros) -> Result<(), Refusal> {
        if amount == Micros::ZERO {
            return Ok(());
        }
        self.spend.take(organization, amount)?;
        if self.purses.take(organization, amount) {
            return Ok(());
        }
        self.spend.give_back(organization, amount);
        let message = "the balance does not cover this call; top up the wallet";
        Err(Refusal::new(Code::BalanceTooLow, message))
    }

    /// Takes what there is of an amount that is owed; no limit holds it.
    pub(super) fn take_what_is_there(&mut self, organization: OrgId, amount: Micros) -> Micros {
        let taken = amount.min(self.purses.left(organization)).max(Micros::ZERO);
        if self.purses.take(organization, taken) {
            self.spend.owe(organization, taken);
            return taken;
        }
        Micros::ZERO
    }

    /// What was put aside at this time and not used.
    pub(super) fn give_back(&mut self, organization: OrgId, amount: Micros, since: At) {
        self.purses.give_back(organization, amount);
        if self.spend.is_today(since) {
            self.spend.give_back(organization, amount);
        }
    }
}

impl Lane {
    /// Locks and reads the wallets of all whose money these changes may move.
    pub(super) async fn open_till(
        &mut self,
        changes: &[CallChange],
        states: &HashMap<i64, State>,
        now: At,
        gathered: &Gathered,
    ) -> Result<Till, StoreError> {
        let of = |key: i64| states.get(&key).map(|call| call.organization);
        let mut organizations: Vec<OrgId> = Vec::new();
        for change in changes {
            match change {
                CallChange::Open(call) => organizations.push(call.organization),
                CallChange::Renew { key, .. } => organizations.extend(of(key.0)),
                CallChange::Close(closing) => organizations.extend(of(closing.key.0)),
                CallChange::Lost { .. } => {
                    organizations.extend(states.values().map(|call| call.organization));
                }
                CallChange::Progress(_)
                | CallChange::Transferred(_)
                | CallChange::Checkpoint(_)
                | CallChange::Ladder { .. }
                | CallChange::Held { .. } => {}
            }
        }
        organizations.sort_unstable();
        organizations.dedup();
        let mut purses = self.purses(&organizations).await?;
        purses.reckon(gathered);
        let spend = self.open_spend(organizations.into_iter(), now).await?;
        Ok(Till { purses, spend })
    }

    pub(super) async fn close_till(
        &mut self,
        till: Till,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        self.close_spend(till.spend, now, gathered).await?;
        self.tell_purses(&till.purses, now, gathered).await
    }
}
