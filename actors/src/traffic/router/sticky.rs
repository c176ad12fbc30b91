//! Who was written to by which carrier before: a fixed number of places, no lock.
//!
//! A place holds one pair's mark and its carrier in one word. Pairs that meet in a place drive each
//! other out, so what is remembered is most of the recent ones, never a wrong carrier but by one
//! chance in 2^40; and the router looks whether that carrier may take the message at all.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use model::carrier::{CarrierId, OrgId};

/// Places: half a megabyte.
const PLACES: usize = 1 << 16;
const CARRIER_BITS: u32 = 24;
const CARRIER_MASK: u64 = (1 << CARRIER_BITS) - 1;

pub(super) struct Sticky(Box<[AtomicU64]>);

/// What is kept together: an organization's sender and a recipient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair(u64);

impl Pair {
    pub(super) fn of(organization: OrgId, sender: &str, digits: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (organization, sender, digits).hash(&mut hasher);
        Self(hasher.finish())
    }

    fn place(self) -> usize {
        usize::try_from(self.0 & (PLACES as u64 - 1)).unwrap_or(0)
    }

    fn mark(self) -> u64 {
        self.0 & !CARRIER_MASK
    }
}

impl Default for Sticky {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Sticky {
    pub(super) fn find(&self, pair: Pair) -> Option<CarrierId> {
        let word = self.0[pair.place()].load(Ordering::Relaxed);
        let carrier = word & CARRIER_MASK;
        (carrier != 0 && word & !CARRIER_MASK == pair.mark())
            .then(|| i64::try_from(carrier).ok().map(CarrierId))
            .flatten()
    }

    pub(super) fn keep(&self, pair: Pair, carrier: CarrierId) {
        let number = u64::try_from(carrier.0).unwrap_or(0);
        if number <= CARRIER_MASK {
            self.0[pair.place()].store(pair.mark() | number, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_found_again_and_no_other() {
        let sticky = Sticky::default();
        let pair = |org, from| Pair::of(OrgId(org), from, "14155550123");
        assert_eq!(sticky.find(pair(1, "Orbit")), None);
        sticky.keep(pair(1, "Orbit"), CarrierId(7));
        assert_eq!(sticky.find(pair(1, "Orbit")), Some(CarrierId(7)));
        for other in [pair(2, "Orbit"), pair(1, "12345")] {
            assert_eq!(sticky.find(other), None);
        }
        sticky.keep(pair(1, "Orbit"), CarrierId(8));
        assert_eq!(sticky.find(pair(1, "Orbit")), Some(CarrierId(8)));
        sticky.keep(pair(3, "x"), CarrierId(1 << 40));
        assert_eq!(sticky.find(pair(3, "x")), None, "a number too long to keep");
    }
}
