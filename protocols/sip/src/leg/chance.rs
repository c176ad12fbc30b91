//! Chance for waits and numbers, of a seed that the user gives: nothing here has to be secret.

use std::time::Duration;

/// A sequence of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }

    /// A first number for a sequence, low enough to go on from for a long time.
    pub(super) fn first(&mut self) -> u32 {
        self.below(1 << 30) + 1
    }

    /// A wait of whole hundredths of a second, RFC 3261 §14.1.
    pub(super) fn wait(&mut self, least_ms: u32, most_ms: u32) -> Duration {
        let steps = (most_ms.saturating_sub(least_ms)) / 10 + 1;
        Duration::from_millis(u64::from(least_ms + 10 * self.below(steps)))
    }
}
