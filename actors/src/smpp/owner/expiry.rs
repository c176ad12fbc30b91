//! What the owner does with messages it will not send: those whose validity is over, and those that
//! were stopped.
//!
//! An expired message is claimed like any other, so that nobody else can send it, and ends without
//! having been handed to a bind. That goes on while the carrier is away or paused.

use std::collections::HashSet;
use std::time::Duration;

use model::clock::At;
use ractor::ActorRef;
use store::lane::OutboxRef;
use tokio::time::Instant;

use super::{OwnerMsg, OwnerState};

/// Expired messages ended at once.
const AT_ONCE: usize = 1_000;
/// All that waits in memory is looked through, so not at every message.
const EVERY: Duration = Duration::from_secs(1);

impl OwnerState {
    /// Their outbox rows are gone.
    pub(super) fn cancelled(&mut self, rows: &[OutboxRef]) {
        if self.recovered {
            self.view.add_waiting(-i64::try_from(rows.len()).unwrap_or(0));
        } else {
            let gone: HashSet<i64> = rows.iter().map(|row| row.key.0).collect();
            self.early.retain(|(_, place)| !gone.contains(place));
        }
        self.backlog.remove(rows);
        for row in rows {
            self.rested.remove(&row.key.0);
        }
    }

    /// Ends what waits and is too late to be sent.
    pub(super) fn expire(&mut self, me: &ActorRef<OwnerMsg>) {
        if self.draining.is_some() || Instant::now() < self.expire_after {
            return;
        }
        let now = At::now();
        if self.soonest_expiry() > now {
            return;
        }
        self.expire_after = Instant::now() + EVERY;
        let mut claimed = Vec::new();
        for key in self.ready.iter() {
            if self.flights.get_mut(key).is_some_and(|flight| flight.expire(now)) {
                claimed.push(*key);
            }
        }
        self.conclude(me, claimed);
        let jobs = self.backlog.expired(now, AT_ONCE);
        self.ask_for(me, jobs);
    }

    /// How long until there may be something to end.
    pub(super) fn expires_in(&self, now: At) -> Duration {
        if self.draining.is_some() {
            return Duration::MAX;
        }
        let pause = self.expire_after.saturating_duration_since(Instant::now());
        self.soonest_expiry().since(now).max(pause)
    }

    fn soonest_expiry(&self) -> At {
        // With a bind the first is looked at anyway, and the others after it.
        let looked_at = if self.window() == 0 { self.ready.len() } else { 0 };
        let ready = self.ready.iter().take(looked_at).filter_map(|key| self.flights.get(key));
        let ready = ready.map(|flight| flight.job.expires_at).min();
        ready.unwrap_or(At(i64::MAX)).min(self.backlog.soonest())
    }
}
