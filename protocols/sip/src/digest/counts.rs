//! Which nonce counts came, so that no credentials are good twice; bounded, whatever comes.
//!
//! Only nonces that were used with a right password take room. When there is no room the oldest goes,
//! and with it every nonce as old: their owners get a fresh one, and a replay of theirs gets nothing.
//! Requests may overtake each other: the last 64 counts are told apart.

use std::collections::BTreeMap;

/// What tells nonces apart; older ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NonceId {
    pub(super) issued_ms: u64,
    pub(super) chance: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    highest: u32,
    /// Bit n: highest − n came.
    came: u64,
}

/// What a count is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Fresh,
    Replayed,
    /// Too old to be remembered.
    Forgotten,
}

#[derive(Debug, Clone)]
pub struct Counts {
    seen: BTreeMap<NonceId, Seen>,
    nonces_max: usize,
    /// Nonces up to this one were forgotten.
    floor: Option<NonceId>,
}

impl Counts {
    /// Remembers so many nonces, some 60 octets each.
    pub fn new(nonces_max: usize) -> Self {
        Self { seen: BTreeMap::new(), nonces_max: nonces_max.max(1), floor: None }
    }

    /// Nonces that are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    pub(super) fn take(&mut self, id: NonceId, count: u32) -> Taken {
        if let Some(seen) = self.seen.get_mut(&id) {
            return seen.take(count);
        }
        if self.floor.is_some_and(|floor| id <= floor) {
            return Taken::Forgotten;
        }
        self.seen.insert(id, Seen { highest: count, came: 1 });
        if self.seen.len() > self.nonces_max
            && let Some((oldest, _)) = self.seen.pop_first()
        {
            self.floor = Some(oldest);
        }
        Taken::Fresh
    }

    /// Drops nonces that are no longer good anyway.
    pub(super) fn expire(&mut self, issued_before_ms: u64) {
        while let Some(oldest) = self.seen.first_entry()
            && oldest.key().issued_ms < issued_before_ms
        {
            oldest.remove();
        }
    }
}

impl Seen {
    fn take(&mut self, count: u32) -> Taken {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.came = self.came.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return Taken::Fresh;
        }
        match 1_u64.checked_shl(self.highest - count) {
            Some(bit) if self.came & bit == 0 => {
                self.came |= bit;
                Taken::Fresh
            }
            _ => Taken::Replayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(issued_ms: u64) -> NonceId {
        NonceId { issued_ms, chance: 0 }
    }

    #[test]
    fn a_count_is_good_once_also_out_of_order() {
        let mut counts = Counts::new(10);
        for (count, taken) in [
            (1, Taken::Fresh),
            (1, Taken::Replayed),
            (3, Taken::Fresh),
            (2, Taken::Fresh),
            (2, Taken::Replayed),
            (100, Taken::Fresh),
            (37, Taken::Fresh),
            (36, Taken::Replayed),
            (u32::MAX, Taken::Fresh),
            (101, Taken::Replayed),
        ] {
            assert_eq!(counts.take(id(1), count), taken, "{count}");
        }
    }

    #[test]
    fn a_full_memory_forgets_the_oldest_and_never_lets_it_in_again() {
        let mut counts = Counts::new(2);
        for issued in [10, 20, 30] {
            assert_eq!(counts.take(id(issued), 1), Taken::Fresh);
        }
        assert_eq!(counts.len(), 2);
        assert_eq!(counts.take(id(10), 1), Taken::Forgotten);
        assert_eq!(counts.take(id(5), 1), Taken::Forgotten, "as old, though it was never used");
        assert_eq!(counts.take(id(20), 1), Taken::Replayed);
        assert_eq!(counts.take(id(20), 2), Taken::Fresh);
        assert_eq!(counts.take(id(15), 1), Taken::Fresh, "and it is the next to go");
        assert_eq!((counts.len(), counts.take(id(15), 2)), (2, Taken::Forgotten));
    }

    #[test]
    fn what_is_over_makes_room() {
        let mut counts = Counts::new(100);
        (1..=50).for_each(|issued| {
            counts.take(id(issued), 1);
        });
        counts.expire(41);
        assert_eq!(counts.len(), 10);
        counts.expire(u64::MAX);
        assert!(counts.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_fresh_twice(uses in proptest::collection::vec((0u64..6, 1u32..100), 1..300)) {
            let mut counts = Counts::new(3);
            let mut fresh = std::collections::BTreeSet::new();
            for (issued, count) in uses {
                if counts.take(id(issued), count) == Taken::Fresh {
                    prop_assert!(fresh.insert((issued, count)));
                }
                prop_assert!(counts.len() <= 3);
            }
        }
    }
}
