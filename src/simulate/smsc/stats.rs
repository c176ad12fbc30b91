//! What the SMSC counts, readable from another thread while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Written by the SMSC's thread alone.
        #[derive(Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        #[derive(Debug, Clone, Default, Serialize)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    connections,
    /// Connections that were closed at once.
    turned_away,
    binds,
    binds_refused,
    unbinds,
    submits,
    answers,
    /// Submits answered with `--error-status`.
    refused,
    malformed,
    unknown_commands,
    /// Answers to its own enquire_link.
    enquiries_answered,
    receipts_sent,
    receipts_acked,
    /// Receipts and inbound messages that were answered with an error and sent again.
    deliveries_refused,
    copies_sent,
    foreign_sent,
    /// Answers to copies and foreign receipts.
    extras_acked,
    mo_sent,
    mo_acked,
    /// alert_notifications, which nobody answers.
    alerts_sent,
    /// Submits with the destination, text and part of an earlier one.
    duplicates,
    /// The highest number of unanswered submits of one bind.
    max_in_flight,
    /// The most submits of one bind, and of all, in any second.
    max_submits_per_second_one_bind,
    max_submits_per_second,
    drops,
    flaps,
    /// PDUs that found their queue full.
    lost,
    /// Microseconds since the start.
    first_submit_us,
    last_submit_us,
    last_receipt_ack_us,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}

pub(crate) fn raise(counter: &AtomicU64, value: u64) {
    counter.fetch_max(value, Ordering::Relaxed);
}

const SLOTS: usize = 1000;

/// Counts events in a second that slides by milliseconds.
pub(crate) struct SlidingSecond {
    slots: Vec<u32>,
    last_ms: u64,
    sum: u64,
}

impl SlidingSecond {
    pub(crate) fn new() -> Self {
        Self { slots: vec![0; SLOTS], last_ms: 0, sum: 0 }
    }

    /// The number of events in the second that ends at `now_ms`, with these.
    pub(crate) fn add(&mut self, now_ms: u64, count: u32) -> u64 {
        let passed = now_ms.saturating_sub(self.last_ms).min(SLOTS as u64);
        for step in 1..=passed {
            let index = ((now_ms - passed + step) % SLOTS as u64) as usize;
            self.sum -= u64::from(self.slots[index]);
            self.slots[index] = 0;
        }
        self.last_ms = self.last_ms.max(now_ms);
        let index = (self.last_ms % SLOTS as u64) as usize;
        self.slots[index] += count;
        self.sum += u64::from(count);
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_slides() {
        let mut second = SlidingSecond::new();
        assert_eq!(second.add(10, 5), 5);
        assert_eq!(second.add(500, 5), 10);
        assert_eq!(second.add(1009, 1), 11, "999 ms after the first");
        assert_eq!(second.add(1010, 1), 7, "the first five are a second old");
        assert_eq!(second.add(90_000, 2), 2);
    }

    #[test]
    fn a_snapshot_shows_what_was_counted() {
        let counters = Counters::default();
        add(&counters.submits, 3);
        raise(&counters.max_in_flight, 9);
        raise(&counters.max_in_flight, 4);
        let stats = counters.snapshot();
        assert_eq!((stats.submits, stats.max_in_flight), (3, 9));
    }
}
