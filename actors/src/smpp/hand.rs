//! The item in hand: what an actor was doing when it died, seen by its supervisor.
//!
//! Written before an item is touched and cleared after; plain atomics, so that it outlives a panic
//! and costs nothing. What kills its actor twice is named to everyone through `Condemned`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something that can kill: a message going out, or a PDU coming in by its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    Message(i64),
    Pdu(u64),
}

/// One actor's slot. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct InHand {
    slot: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    message: AtomicI64,
    pdu: AtomicU64,
}

impl InHand {
    pub fn take_message(&self, key: i64) {
        self.slot.message.store(key, Ordering::Relaxed);
    }

    pub fn take_pdu(&self, fingerprint: u64) {
        self.slot.pdu.store(fingerprint, Ordering::Relaxed);
    }

    pub fn lay_down(&self) {
        self.slot.message.store(0, Ordering::Relaxed);
        self.slot.pdu.store(0, Ordering::Relaxed);
    }

    /// What was in hand, if anything; read by the supervisor of a dead actor.
    #[must_use]
    pub fn item(&self) -> Option<Item> {
        match (self.slot.message.load(Ordering::Acquire), self.slot.pdu.load(Ordering::Acquire)) {
            (0, 0) => None,
            (0, pdu) => Some(Item::Pdu(pdu)),
            (key, _) => Some(Item::Message(key)),
        }
    }
}

/// What may not be touched again, and how often each item has killed. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Condemned {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    deaths: Mutex<HashMap<Item, u32>>,
    condemned: Mutex<HashSet<Item>>,
    count: AtomicUsize,
}

/// Deaths after which an item is set aside.
const DEATHS_MAX: u32 = 2;
/// Items remembered; a bound for a peer that invents ever new poison.
const REMEMBERED_MAX: usize = 10_000;

impl Condemned {
    /// Counts a death; true when the item has now killed too often.
    #[must_use]
    pub fn killed(&self, item: Item) -> bool {
        let mut deaths = self.inner.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        if deaths.len() >= REMEMBERED_MAX {
            deaths.clear();
        }
        let count = deaths.entry(item).or_default();
        *count += 1;
        if *count < DEATHS_MAX {
            return false;
        }
        deaths.remove(&item);
        let mut condemned = self.inner.condemned.lock().unwrap_or_else(PoisonError::into_inner);
        if condemned.len() < REMEMBERED_MAX {
            condemned.insert(item);
        }
        self.inner.count.store(condemned.len(), Ordering::Release);
        true
    }

    /// True for what must not be touched. One load while there is nothing.
    #[must_use]
    pub fn holds(&self, item: Item) -> bool {
        self.inner.count.load(Ordering::Acquire) > 0
            && self.inner.condemned.lock().unwrap_or_else(PoisonError::into_inner).contains(&item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kills_twice_is_condemned() {
        let condemned = Condemned::default();
        let item = Item::Pdu(7);
        assert!(!condemned.killed(item));
        assert!(!condemned.holds(item));
        assert!(condemned.killed(item));
        assert!(condemned.holds(item));
        assert!(!condemned.holds(Item::Message(7)));
    }

    #[test]
    fn a_slot_names_what_was_in_hand_when_its_holder_died() {
        let slot = InHand::default();
        let seen_by_supervisor = slot.clone();
        let died = std::thread::spawn(move || {
            slot.take_message(42);
            panic!("on purpose");
        });
        assert!(died.join().is_err());
        assert_eq!(seen_by_supervisor.item(), Some(Item::Message(42)));
        seen_by_supervisor.lay_down();
        assert_eq!(seen_by_supervisor.item(), None);
    }
}
