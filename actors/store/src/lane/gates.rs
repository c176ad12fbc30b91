//! The gates inside the transaction: what was checked before is looked at again where it holds.
//!
//! Whoever lets messages in (accepts, schedules that fall due) opens the gates for all candidates
//! of the batch at once, which locks and reads rows in one order, so that two lanes never wait for
//! each other. Then each candidate is decided in order of arrival, in memory: [`Gates::pass`], and
//! [`Gates::pay`] for all of an item that passed. What passed and was not paid is taken back with
//! [`Gates::undo`]; what is let in is told with [`Gates::keep`], and [`Lane::close_gates`] writes it.
//! A candidate that names a pool is given its sender when it passes.

mod caps;
mod opt_out;
mod policy;
mod pools;
mod purses;
mod spend;
mod velocity;

use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::message::Category;
use model::money::Micros;
use model::pool::{self, Pick, Pooled};
use model::refusal::Refusal;
use model::submission::{NewMessage, Submission};

use self::opt_out::OptedOut;
use self::pools::Chosen;
use super::{Gathered, Lane};
use crate::error::StoreError;

pub(super) use caps::{Swept, capped};
pub(super) use pools::Taken;
pub(super) use purses::Purses;
pub(super) use spend::Spend;
pub(super) use velocity::{Counted, Minute};

pub(super) const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// One message before the gates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) organization: OrgId,
    /// E.164 with `+`.
    pub(crate) to: &'a str,
    /// Empty while its pool has not chosen one.
    pub(crate) from: &'a str,
    pub(crate) pooled: Option<&'a Pooled>,
    /// What its pool chose when it passed.
    pub(crate) chosen: Option<Chosen>,
    pub(crate) category: Category,
    pub(crate) test: bool,
    /// Of one part.
    pub(crate) unit_price: Micros,
    /// What is held for it.
    pub(crate) cost: Micros,
    /// Asked for at this time: it meets the gates then, and not before.
    pub(crate) scheduled_at: Option<At>,
    /// See [`SendOptions::bypass_opt_out`](model::submission::SendOptions::bypass_opt_out).
    pub(crate) bypass_opt_out: bool,
    /// What it said beside its text, if it came by SMPP.
    pub(crate) submitted: Option<&'a Submitted>,
}

impl<'a> Candidate<'a> {
    pub(crate) fn of(item: &Submission, message: &'a NewMessage) -> Self {
        Self {
            organization: item.organization,
            to: &message.to,
            from: &message.from,
            pooled: message.options.pool.as_deref(),
            chosen: None,
            category: message.category,
            test: message.test,
            unit_price: message.unit_price,
            cost: message.hold(),
            scheduled_at: message.options.scheduled_at,
            bypass_opt_out: message.options.bypass_opt_out,
            submitted: message.options.submitted.as_deref(),
        }
    }
}

/// What the candidates of one batch meet, as it stands inside the transaction.
pub(crate) struct Gates {
    opted_out: OptedOut,
    pools: pools::Pools,
    policy: policy::PolicyGate,
    velocity: velocity::Velocity,
    caps: caps::Caps,
    spend: spend::Spend,
    purses: Purses,
}

impl Lane {
    pub(super) async fn open_gates(
        &mut self,
        candidates: &[Candidate<'_>],
        now: At,
    ) -> Result<Gates, StoreError> {
        let opted_out = self.opted_out(candidates).await?;
        let pools = self.open_pools(candidates, now).await?;
        let policy = self.open_policies(candidates, &pools, now).await?;
        let velocity = self.open_velocity(candidates, now);
        let caps = self.open_caps(candidates, now).await?;
        let paying =
            candidates.iter().filter(|c| c.cost > Micros::ZERO && c.scheduled_at.is_none());
        let mut organizations: Vec<OrgId> = paying.map(|c| c.organization).collect();
        organizations.sort_unstable();
        organizations.dedup();
        let purses = self.purses(&organizations).await?;
        let spend = self.open_spend(organizations.into_iter(), now).await?;
        Ok(Gates { opted_out, pools, policy, velocity, caps, spend, purses })
    }

    /// Writes what the candidates that were let in have used up.
    pub(super) async fn close_gates(
        &mut self,
        gates: Gates,
        now: At,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        self.close_velocity(gates.velocity, now, gathered);
        self.close_pools(gates.pools).await?;
        self.close_caps(gates.caps).await?;
        self.close_spend(gates.spend, now, gathered).await?;
        self.tell_purses(&gates.purses, now, gathered).await
    }
}

impl Gates {
    /// Counts the money that this transaction has moved already, and not yet written.
    pub(super) fn reckon(&mut self, gathered: &Gathered) {
        self.purses.reckon(gathered);
    }

    /// Looks at one candidate, and counts it where gates count. A time: it may go, but not before;
    /// nothing is counted, and it comes before the gates again. The answer to a keyword meets none.
    pub(crate) fn pass(&mut self, candidate: &mut Candidate<'_>) -> Result<Option<At>, Refusal> {
        let Some(pooled) = candidate.pooled else { return self.pass_from(candidate) };
        self.pools.check(candidate, pooled)?;
        if candidate.scheduled_at.is_some() {
            return Ok(candidate.scheduled_at);
        }
        self.opted_out.check(candidate)?;
        let approved = |sender: &str| match pooled.foreign.iter().any(|other| &**other == sender) {
            true => Err(Refusal::sender_not_owned()),
            false => self.policy.approved(candidate, sender),
        };
        let chosen = self.pools.pick(candidate, pooled, approved)?;
        let Some((sender, way)) = self.pools.named(candidate, &chosen) else {
            return Err(pool::unknown());
        };
        let (value, cost) = (sender.value.clone(), candidate.unit_price.times(way.segments.into()));
        let passed = self.pass_from(&Candidate { from: &value, cost, ..*candidate });
        match passed {
            Ok(None) => (candidate.chosen, candidate.cost) = (Some(chosen), cost),
            Ok(Some(_)) | Err(_) => self.pools.undo(candidate, &chosen),
        }
        passed
    }

    fn pass_from(&mut self, candidate: &Candidate<'_>) -> Result<Option<At>, Refusal> {
        if candidate.scheduled_at.is_some() {
            return Ok(candidate.scheduled_at);
        }
        if candidate.bypass_opt_out {
            return Ok(None);
        }
        self.opted_out.check(candidate)?;
        if let Some(later) = self.policy.pass(candidate)? {
            return Ok(Some(later));
        }
        self.velocity.pass(candidate)?;
        if let Err(refusal) = self.caps.pass(candidate) {
            self.velocity.undo(candidate);
            return Err(refusal);
        }
        if let Err(refusal) = self.spend.pass(candidate) {
            self.velocity.undo(candidate);
            self.caps.undo(candidate);
            return Err(refusal);
        }
        Ok(None)
    }

    /// Takes back what a pass counted.
    pub(crate) fn undo(&mut self, candidate: &Candidate<'_>) {
        if candidate.bypass_opt_out {
            return;
        }
        self.velocity.undo(candidate);
        self.caps.undo(candidate);
        self.spend.undo(candidate);
        if let Some(chosen) = &candidate.chosen {
            self.pools.undo(candidate, chosen);
        }
    }

    /// Takes the price of all that an item sends.
    pub(crate) fn pay(&mut self, organization: OrgId, cost: Micros) -> Result<(), Refusal> {
        if self.purses.take(organization, cost) {
            return Ok(());
        }
        Err(Refusal::balance_too_low())
    }

    /// A candidate that passed and is paid for became this message.
    pub(crate) fn keep(&mut self, candidate: &Candidate<'_>, key: MessageKey) {
        if !candidate.bypass_opt_out {
            self.caps.keep(candidate, key);
        }
        if let Some(chosen) = &candidate.chosen {
            self.pools.keep(candidate, chosen);
        }
    }

    /// The sender that a candidate which passed was given by its pool, and the day it is counted on.
    pub(crate) fn picked(&self, candidate: &Candidate<'_>) -> Option<(Pick, i64)> {
        self.pools.pick_of(candidate).map(|pick| (pick, self.pools.day()))
    }
}
