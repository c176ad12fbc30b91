//! Which carrier has a text whose parts are submitted one by one.
//!
//! Parts of one text that went by two carriers may never be joined. So a text stays with its first
//! part's carrier while that can send; and once a bind of a carrier was handed any of it, and did not
//! refuse it, with that carrier for good, as long as it takes messages at all. Remembered for ten
//! minutes, in memory, of a bounded number of texts: the oldest are forgotten first, and all in a
//! restart. What is no such part never comes here.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::carrier::CarrierId;
use model::clock::At;
use model::esme::Submitted;

/// Names that meet in one wait for each other, for the time of a look.
const SHARDS: usize = 16;
/// Texts of a shard's newer half; the older half holds at most as many.
const HALF_MAX: usize = 4_096;
/// A text is remembered for so long after its last part.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Names the text of which an ESME's submit to this number is one part.
pub(in crate::traffic) fn text_of(digits: &str, submitted: &Submitted) -> Option<u64> {
    let part = submitted.part()?;
    let mut hasher = DefaultHasher::new();
    (submitted.account, digits, part.text).hash(&mut hasher);
    Some(hasher.finish())
}

#[derive(Clone, Copy, Debug)]
struct Text {
    carrier: CarrierId,
    /// Parts that this carrier was handed and has not refused.
    handed: u32,
    at: At,
}

#[derive(Default)]
struct Shard {
    newer: HashMap<u64, Text>,
    older: HashMap<u64, Text>,
}

pub(super) struct Texts(Box<[Mutex<Shard>]>);

impl Default for Texts {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Shard {
    fn find(&self, text: u64, now: At) -> Option<Text> {
        let found = self.newer.get(&text).or_else(|| self.older.get(&text)).copied();
        found.filter(|text| now.since(text.at) < KEPT_FOR)
    }

    fn put(&mut self, text: u64, known: Text) {
        if self.newer.len() >= HALF_MAX && !self.newer.contains_key(&text) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(text, known);
    }
}

impl Texts {
    fn shard(&self, text: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(text % (SHARDS as u64)).unwrap_or(0);
        self.0[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text's carrier, and whether it has some of it.
    pub(super) fn find(&self, text: u64, now: At) -> Option<(CarrierId, bool)> {
        let known = self.shard(text).find(text, now)?;
        Some((known.carrier, known.handed > 0))
    }

    /// A part was given this carrier; the others are to follow.
    pub(super) fn keep(&self, text: u64, carrier: CarrierId, now: At) {
        let mut shard = self.shard(text);
        let before = shard.find(text, now).filter(|known| known.carrier == carrier);
        let handed = before.map_or(0, |known| known.handed);
        shard.put(text, Text { carrier, handed, at: now });
    }

    /// A bind of this carrier is handed a part.
    pub(super) fn handed(&self, text: u64, carrier: CarrierId, now: At) {
        let mut shard = self.shard(text);
        let before = shard.find(text, now).filter(|known| known.carrier == carrier);
        let handed = before.map_or(0, |known| known.handed).saturating_add(1);
        shard.put(text, Text { carrier, handed, at: now });
    }

    /// A part that this carrier was handed has certainly not been taken.
    pub(super) fn refused(&self, text: u64, carrier: CarrierId, now: At) {
        let mut shard = self.shard(text);
        if let Some(known) = shard.find(text, now).filter(|known| known.carrier == carrier) {
            let handed = known.handed.saturating_sub(1);
            shard.put(text, Text { handed, ..known });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: At = At(1_000_000_000);
    const ONE: CarrierId = CarrierId(1);
    const TWO: CarrierId = CarrierId(2);

    #[test]
    fn a_text_is_its_carriers_while_that_has_some_of_it() {
        let texts = Texts::default();
        assert_eq!(texts.find(7, NOW), None);
        texts.keep(7, ONE, NOW);
        assert_eq!(texts.find(7, NOW), Some((ONE, false)));
        texts.handed(7, ONE, NOW);
        texts.handed(7, ONE, NOW);
        texts.refused(7, ONE, NOW);
        assert_eq!(texts.find(7, NOW), Some((ONE, true)));
        texts.keep(7, ONE, NOW);
        texts.refused(7, TWO, NOW);
        assert_eq!(texts.find(7, NOW), Some((ONE, true)), "of another carrier");
        texts.refused(7, ONE, NOW);
        texts.refused(7, ONE, NOW);
        assert_eq!(texts.find(7, NOW), Some((ONE, false)));
        texts.handed(7, TWO, NOW);
        assert_eq!(texts.find(7, NOW), Some((TWO, true)));
        assert_eq!(texts.find(7, NOW.plus(KEPT_FOR)), None, "long ago");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let texts = Texts::default();
        let many = 3 * HALF_MAX as u64;
        for n in 0..many {
            texts.keep(n * SHARDS as u64, ONE, NOW);
        }
        let shard = texts.shard(0);
        assert!(shard.newer.len() <= HALF_MAX && shard.older.len() <= HALF_MAX);
        drop(shard);
        assert_eq!(texts.find(0, NOW), None);
        assert!(texts.find((many - 1) * SHARDS as u64, NOW).is_some());
    }
}
