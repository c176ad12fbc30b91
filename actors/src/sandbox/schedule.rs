//! What is due when: a heap by time, and by arrival within the same moment.
//!
//! Pure; its owner bounds it, asks for the deadline and keeps one timer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Things that wait for their time.
#[derive(Debug)]
pub struct Schedule<T> {
    heap: BinaryHeap<Entry<T>>,
    pushed: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> Schedule<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }

    pub fn push(&mut self, at: Instant, what: T) {
        let order = self.pushed;
        self.pushed += 1;
        self.heap.push(Entry { at, order, what });
    }

    /// Takes the next thing whose time has come.
    pub fn due(&mut self, now: Instant) -> Option<T> {
        if self.deadline()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.what)
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The heap gives its greatest first, so the earliest is the greatest.
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_their_order() {
        let start = tokio::time::Instant::now().into_std();
        let at = |millis| start + Duration::from_millis(millis);
        let mut schedule = Schedule::new();
        for (millis, what) in [(20, "c"), (10, "a"), (30, "d"), (10, "b")] {
            schedule.push(at(millis), what);
        }
        assert_eq!(schedule.deadline(), Some(at(10)));
        assert_eq!(schedule.due(at(9)), None);
        let mut taken = Vec::new();
        while let Some(what) = schedule.due(at(20)) {
            taken.push(what);
        }
        assert_eq!(taken, ["a", "b", "c"]);
        assert_eq!((schedule.len(), schedule.due(at(30))), (1, Some("d")));
        assert!(schedule.is_empty() && schedule.deadline().is_none());
    }
}
