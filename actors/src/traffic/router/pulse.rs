//! How a carrier stands: told by its owner, read at every choice, without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use model::carrier::CarrierId;
use model::clock::At;

/// Between two messages that try a carrier whose circuit may close again.
const PROBE_EVERY_US: i64 = 1_000_000;

/// What one carrier can do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Fine,
    /// The circuit has been open long enough: one message may try.
    MayTry,
    CircuitOpen,
    Paused,
    Unbound,
}

impl Standing {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::MayTry => "circuit_half_open",
            Self::CircuitOpen => "circuit_open",
            Self::Paused => "paused",
            Self::Unbound => "unbound",
        }
    }
}

/// One carrier's state.
#[derive(Debug, Default)]
pub struct Pulse {
    bound: AtomicUsize,
    paused: AtomicBool,
    /// Until when the circuit is open; 0: it is closed.
    open_until: AtomicI64,
    /// When a message last tried a carrier whose circuit was open.
    probed: AtomicI64,
}

impl Pulse {
    pub fn set_bound(&self, bound: usize) {
        self.bound.store(bound, Ordering::Relaxed);
    }

    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// `None`: the circuit is closed.
    pub fn set_open_until(&self, until: Option<At>) {
        self.open_until.store(until.map_or(0, At::micros), Ordering::Relaxed);
    }

    #[must_use]
    pub fn standing(&self, now: At) -> Standing {
        if self.paused.load(Ordering::Relaxed) {
            return Standing::Paused;
        }
        if self.bound.load(Ordering::Relaxed) == 0 {
            return Standing::Unbound;
        }
        match self.open_until.load(Ordering::Relaxed) {
            0 => Standing::Fine,
            until if now.micros() < until => Standing::CircuitOpen,
            _ if now.micros() - self.probed.load(Ordering::Relaxed) < PROBE_EVERY_US => {
                Standing::CircuitOpen
            }
            _ => Standing::MayTry,
        }
    }

    /// Takes the turn of the one message that may try. False: another has it.
    pub fn probe(&self, now: At) -> bool {
        let last = self.probed.load(Ordering::Relaxed);
        let (relaxed, now) = (Ordering::Relaxed, now.micros());
        now - last >= PROBE_EVERY_US
            && self.probed.compare_exchange(last, now, relaxed, relaxed).is_ok()
    }
}

/// All carriers' states, made on first mention and kept while a table or an owner holds them.
#[derive(Debug, Default)]
pub struct Pulses(RwLock<HashMap<CarrierId, Arc<Pulse>>>);

impl Pulses {
    #[must_use]
    pub fn of(&self, carrier: CarrierId) -> Arc<Pulse> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&carrier).cloned();
        known.unwrap_or_else(|| {
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(carrier).or_default())
        })
    }

    /// Drops those that nobody holds any more.
    pub(super) fn forget_unheld(&self) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, pulse| Arc::strong_count(pulse) > 1);
        all.shrink_to_fit();
    }

    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> At {
        At(1_800_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_carrier_stands_as_its_owner_says() {
        let pulse = Pulse::default();
        assert_eq!(pulse.standing(at(0)), Standing::Unbound);
        pulse.set_bound(2);
        assert_eq!(pulse.standing(at(0)), Standing::Fine);
        pulse.set_open_until(Some(at(30)));
        assert_eq!(pulse.standing(at(29)), Standing::CircuitOpen);
        pulse.set_open_until(None);
        assert_eq!(pulse.standing(at(29)), Standing::Fine);
        pulse.set_paused(true);
        assert_eq!(pulse.standing(at(29)), Standing::Paused);
    }

    #[test]
    fn a_state_is_kept_as_long_as_somebody_holds_it() {
        let pulses = Pulses::default();
        let held = pulses.of(CarrierId(1));
        held.set_bound(1);
        drop(pulses.of(CarrierId(2)));
        pulses.forget_unheld();
        assert_eq!(pulses.count(), 1);
        assert_eq!(pulses.of(CarrierId(1)).standing(at(0)), Standing::Fine);
    }

    #[test]
    fn one_message_a_second_tries_a_circuit_that_may_close() {
        let pulse = Pulse::default();
        pulse.set_bound(1);
        pulse.set_open_until(Some(at(30)));
        assert_eq!(pulse.standing(at(30)), Standing::MayTry);
        assert!(pulse.probe(at(30)));
        assert!(!pulse.probe(at(30)), "another has tried");
        assert_eq!(pulse.standing(at(30)), Standing::CircuitOpen);
        assert_eq!(pulse.standing(at(31)), Standing::MayTry);
        assert!(pulse.probe(at(31)));
    }
}
