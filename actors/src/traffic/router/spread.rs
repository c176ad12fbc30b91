//! Shares by weight: exact over every round of a set of carriers, and mixed within it.

use std::sync::atomic::{AtomicU64, Ordering};

use model::share;

/// Counters; sets that meet in one share its rounds.
const COUNTERS: usize = 1024;

/// Where each set of equal carriers stands in its round.
pub(super) struct Spread(Box<[AtomicU64]>);

impl Default for Spread {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Spread {
    /// The next place in a round of so many, for the set of this name. Each place comes once a
    /// round, and neighbours lie far apart, so that shares hold over short stretches too.
    pub(super) fn next(&self, set: u64, total: u64) -> u64 {
        let at = usize::try_from(set % (COUNTERS as u64)).unwrap_or(0);
        share::place(self.0[at].fetch_add(1, Ordering::Relaxed), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_once_a_round() {
        let spread = Spread::default();
        for total in 1..200 {
            let mut seen: Vec<_> = (0..total).map(|_| spread.next(total, total)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..total).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_heavy_share_is_not_served_in_one_piece() {
        let spread = Spread::default();
        let longest = (0..100)
            .map(|_| spread.next(7, 100) < 50)
            .fold((0, 0), |(run, most): (u32, u32), heavy| {
                let run = if heavy { run + 1 } else { 0 };
                (run, most.max(run))
            })
            .1;
        assert!(longest <= 3, "{longest} in a row");
    }
}
