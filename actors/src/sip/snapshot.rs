//! A table that is read without a lock: each of its parts never changes, and another takes its place.
//!
//! A change copies one part, of which there are [`PARTS`], so that it costs little however much is in the
//! table. Who reads sees a part as it was before a change or after it, never between. Nothing here knows
//! what is in the table.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

const PARTS: usize = 512;

pub(super) struct Snapshot<K, V> {
    parts: Box<[ArcSwap<HashMap<K, V>>]>,
    hasher: RandomState,
    /// Held while a part takes another one's place.
    turn: Mutex<()>,
}

impl<K: Hash + Eq + Clone, V: Clone> Snapshot<K, V> {
    #[must_use]
    pub(super) fn new() -> Self {
        let parts = (0..PARTS).map(|_| ArcSwap::default()).collect();
        Self { parts, hasher: RandomState::new(), turn: Mutex::default() }
    }

    /// What stands under a key.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.parts[self.part_of(key)].load().get(key).cloned()
    }

    /// Puts what `make` makes of what stands there in its place; `None` from it leaves all as it is. With
    /// it goes what `stays` does not want to keep of that part.
    pub(super) fn change(
        &self,
        key: K,
        make: impl FnOnce(Option<&V>) -> Option<V>,
        stays: impl Fn(&V) -> bool,
    ) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let part = &self.parts[self.part_of(&key)];
        let before = part.load();
        let Some(value) = make(before.get(&key)) else { return };
        let kept = before.iter().filter(|(_, value)| stays(value));
        let mut next: HashMap<K, V> =
            kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        next.insert(key, value);
        part.store(Arc::new(next));
    }

    /// Takes many at once, for a start: in the place of those that have their keys.
    pub(super) fn fill(&self, all: impl IntoIterator<Item = (K, V)>) {
        let mut parts: Vec<Vec<(K, V)>> = (0..PARTS).map(|_| Vec::new()).collect();
        for (key, value) in all {
            parts[self.part_of(&key)].push((key, value));
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, fresh) in self.parts.iter().zip(parts) {
            if !fresh.is_empty() {
                let mut next = HashMap::clone(&part.load());
                next.extend(fresh);
                part.store(Arc::new(next));
            }
        }
    }

    fn part_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        usize::try_from(self.hasher.hash_one(key) % PARTS as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_and_what_is_refused_changes_nothing() {
        let table: Snapshot<String, u32> = Snapshot::new();
        table.fill((0..2_000).map(|at| (at.to_string(), at)));
        assert!((0..2_000).all(|at| table.get(at.to_string().as_str()) == Some(at)));
        table.change("7".into(), |known| known.map(|known| known + 1), |_| true);
        table.change("8".into(), |_| None, |_| true);
        table.change("new".into(), |known| known.is_none().then_some(1), |_| true);
        assert_eq!((table.get("7"), table.get("8"), table.get("new")), (Some(8), Some(8), Some(1)));
    }

    #[test]
    fn a_change_takes_along_what_nobody_wants_to_keep() {
        let table: Snapshot<u32, u32> = Snapshot::new();
        table.fill((0..PARTS as u32 * 8).map(|at| (at, at % 2)));
        (0..PARTS as u32 * 8).for_each(|at| table.change(at, |_| Some(1), |value| *value == 1));
        let kept: usize = table.parts.iter().map(|part| part.load().len()).sum();
        assert_eq!(kept, PARTS * 8);
        table.change(0, |_| Some(0), |value| *value == 0);
        let gone: usize = table.parts.iter().map(|part| part.load().len()).sum();
        assert!(gone < kept);
    }
}
