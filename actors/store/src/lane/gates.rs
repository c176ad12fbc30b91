//! The gates inside the transaction: what was checked before is looked at again where it holds.
//!
//! Whoever lets messages in (accepts, schedules that fall due) opens the gates for all candidates
//! of the batch at once, which locks and reads rows in this order: wallets. Then each candidate is
//! decided in order of arrival, in memory: [`Gates::pass`], and [`Gates::pay`] for all of an item
//! that passed. What passed and was not paid is taken back with [`Gates::undo`]; what is let in is
//! told with [`Gates::keep`], and [`Lane::close_gates`] writes it.

use std::collections::HashMap;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::message::Category;
use model::money::Micros;
use model::refusal::Refusal;
use model::submission::{NewMessage, Submission};

use super::{Gathered, Lane};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;

/// One message before the gates.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "gates to come read the rest")]
pub(crate) struct Candidate<'a> {
    pub(crate) organization: OrgId,
    /// E.164 with `+`.
    pub(crate) to: &'a str,
    pub(crate) from: &'a str,
    pub(crate) category: Category,
    pub(crate) test: bool,
    /// What is held for it.
    pub(crate) cost: Micros,
    /// Asked for at this time: it meets the gates then, and not before.
    pub(crate) scheduled_at: Option<At>,
}

impl<'a> Candidate<'a> {
    pub(crate) fn of(item: &Submission, message: &'a NewMessage) -> Self {
        Self {
            organization: item.organization,
            to: &message.to,
            from: &message.from,
            category: message.category,
            test: message.test,
            cost: message.hold(),
            scheduled_at: message.options.scheduled_at,
        }
    }
}

/// What the candidates of one batch meet, as it stands inside the transaction.
pub(crate) struct Gates {
    purses: HashMap<OrgId, Micros>,
}

impl Lane {
    pub(super) async fn open_gates(
        &mut self,
        candidates: &[Candidate<'_>],
        _now: At,
    ) -> Result<Gates, StoreError> {
        let purses = self.purses(candidates).await?;
        Ok(Gates { purses })
    }

    /// Writes what the candidates that were let in have used up.
    pub(super) async fn close_gates(&mut self, _gates: Gates, _now: At) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes back what messages used up that end without having been sent.
    pub(super) async fn forget_hits(&mut self, _messages: &[MessageKey]) -> Result<(), StoreError> {
        Ok(())
    }

    /// What each organization of the batch can spend; its rows stay locked until the commit.
    async fn purses(
        &mut self,
        candidates: &[Candidate<'_>],
    ) -> Result<HashMap<OrgId, Micros>, StoreError> {
        let paying =
            candidates.iter().filter(|c| c.cost > Micros::ZERO && c.scheduled_at.is_none());
        let mut organizations: Vec<i64> = paying.map(|c| c.organization.0).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let lines = self.conn.fetch(&SELECT_WALLETS, &[Column::Int(organizations)]).await?;
        let mut purses = HashMap::new();
        for line in lines {
            purses.insert(OrgId(line.int(0)?), Micros(line.int(1)?));
        }
        Ok(purses)
    }
}

impl Gates {
    /// Counts the money that this transaction has moved already, and not yet written.
    pub(super) fn reckon(&mut self, gathered: &Gathered) {
        for (organization, purse) in &mut self.purses {
            let moved = gathered.wallets.get(organization);
            *purse += moved.map_or(Micros::ZERO, |(available, _)| *available);
        }
    }

    /// Looks at one candidate, and counts it where gates count. A time: it may go, but not before;
    /// nothing is counted, and it comes before the gates again.
    pub(crate) fn pass(&mut self, candidate: &Candidate<'_>) -> Result<Option<At>, Refusal> {
        Ok(candidate.scheduled_at)
    }

    /// Takes back what a pass counted.
    pub(crate) fn undo(&mut self, _candidate: &Candidate<'_>) {}

    /// Takes the price of all that an item sends.
    pub(crate) fn pay(&mut self, organization: OrgId, cost: Micros) -> Result<(), Refusal> {
        if cost == Micros::ZERO {
            return Ok(());
        }
        let purse = self.purses.entry(organization).or_default();
        if *purse < cost {
            return Err(Refusal::balance_too_low());
        }
        *purse -= cost;
        Ok(())
    }

    /// A candidate that passed and is paid for became this message.
    pub(crate) fn keep(&mut self, _candidate: &Candidate<'_>, _key: MessageKey) {}
}

static SELECT_WALLETS: Bulk = Bulk {
    sqlite: "select organization_id, available from wallets where organization_id = ?1",
    postgres: "select organization_id, available from wallets
         where organization_id = any($1::bigint[]) order by organization_id for update",
};
