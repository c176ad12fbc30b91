//! The health of one host: what may go to it now, and when again.
//!
//! Pure. A host that failed several times in a row gets one request at a time and a rest after
//! each, so that a dead one costs next to nothing and its events spend no attempts for it.

use std::collections::BTreeSet;
use std::time::Duration;

use model::clock::At;

use super::super::{Plan, schedule};

#[derive(Debug, Default)]
pub(super) struct Target {
    /// What may go, by time.
    ready: BTreeSet<(At, i64)>,
    flying: usize,
    /// In a row.
    failures: u32,
    /// Nothing goes before.
    hold_until: Option<At>,
}

impl Target {
    pub(super) fn ready(&mut self, due: At, seq: i64) {
        self.ready.insert((due, seq));
    }

    pub(super) fn unready(&mut self, due: At, seq: i64) {
        self.ready.remove(&(due, seq));
    }

    fn room(&self, plan: &Plan) -> bool {
        let most = if self.failures >= plan.probe_after { 1 } else { plan.in_flight_max };
        self.flying < most
    }

    pub(super) fn next(&mut self, plan: &Plan, now: At) -> Option<i64> {
        if !self.room(plan) || self.hold_until.is_some_and(|until| until > now) {
            return None;
        }
        let (due, seq) = *self.ready.first()?;
        if due > now {
            return None;
        }
        self.ready.pop_first();
        self.flying += 1;
        Some(seq)
    }

    pub(super) fn landed(&mut self) {
        self.flying = self.flying.saturating_sub(1);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.hold_until = None;
    }

    pub(super) fn failed(
        &mut self,
        plan: &Plan,
        now: At,
        retry_after: Option<Duration>,
        chance: f64,
    ) {
        self.failures = self.failures.saturating_add(1);
        let mut hold = retry_after.unwrap_or_default();
        if self.failures >= plan.probe_after {
            let rest = plan.delays.first().copied().unwrap_or_default();
            hold = hold.max(schedule::spread(rest, chance));
        }
        if !hold.is_zero() {
            let until = now.plus(hold);
            self.hold_until = Some(self.hold_until.map_or(until, |known| known.max(until)));
        }
    }

    pub(super) fn wake_at(&self, plan: &Plan) -> Option<At> {
        let (due, _) = self.ready.first().filter(|_| self.room(plan))?;
        Some(self.hold_until.map_or(*due, |until| until.max(*due)))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.flying == 0
    }
}
