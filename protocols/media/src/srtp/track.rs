//! What is known of one source under a key: the highest index, and which of the last 128 came.
//!
//! An RTP packet carries the low 16 bits of its index; `guess` takes the nearest to the highest seen
//! (RFC 3711 §3.3.1). Neither question changes anything: `note` does, after the tag was checked.

/// Indices below the highest that can still be told apart.
const WINDOW: u64 = 128;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Track {
    highest: Option<u64>,
    /// Bit n: highest − n came.
    came: u128,
}

impl Track {
    /// The index of a number; `None` if it came before, is too old, or lies before the beginning.
    pub(super) fn guess(&self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(u64::from(sequence)) };
        let ahead = sequence.wrapping_sub(highest as u16) as i16;
        self.unless_seen(highest.checked_add_signed(i64::from(ahead))?)
    }

    pub(super) fn unless_seen(&self, index: u64) -> Option<u64> {
        let Some(behind) = self.highest.and_then(|highest| highest.checked_sub(index)) else {
            return Some(index);
        };
        (behind < WINDOW && self.came & (1 << behind) == 0).then_some(index)
    }

    /// The index after the highest.
    pub(super) fn after(&self) -> u64 {
        // RFC 3711 §3.4: the first is 1.
        self.highest.unwrap_or(0) + 1
    }

    pub(super) fn note(&mut self, index: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            self.came = 1;
            return;
        };
        if let Some(ahead) = index.checked_sub(highest).filter(|ahead| *ahead > 0) {
            self.came = if ahead < WINDOW { (self.came << ahead) | 1 } else { 1 };
            self.highest = Some(index);
        } else if highest - index < WINDOW {
            self.came |= 1 << (highest - index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_comes_once_and_the_window_moves_up() {
        let mut track = Track::default();
        track.note(100);
        assert_eq!(track.guess(100), None);
        assert_eq!(track.guess(99), Some(99));
        track.note(99);
        assert_eq!(track.guess(99), None);
        track.note(227);
        assert_eq!(track.guess(100), None, "seen");
        assert_eq!(track.guess(99), None, "too old");
        assert_eq!(track.guess(101), Some(101));
        track.note(1_000);
        assert_eq!(track.guess(999), Some(999));
    }

    #[test]
    fn numbers_wrap_into_the_next_round_and_back() {
        let mut track = Track::default();
        track.note(65_535);
        assert_eq!(track.guess(0), Some(65_536));
        track.note(65_536);
        assert_eq!(track.guess(65_534), Some(65_534));
        let mut first = Track::default();
        first.note(2);
        assert_eq!(first.guess(65_535), None, "before the beginning");
    }

    proptest! {
        #[test]
        fn no_index_is_taken_twice(numbers in proptest::collection::vec(any::<u16>(), 1..300)) {
            let mut track = Track::default();
            let mut taken = std::collections::BTreeSet::new();
            for number in numbers {
                if let Some(index) = track.guess(number) {
                    prop_assert_eq!(index as u16, number);
                    prop_assert!(taken.insert(index));
                    track.note(index);
                }
            }
        }
    }
}
