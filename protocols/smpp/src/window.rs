//! The requests in flight on one session: each is answered, or runs out, exactly once.
//!
//! Sequence numbers only go up and the time-out is one for all, so a queue in sending order is
//! ordered by both sequence and deadline. Answers mostly come in that order and leave from the
//! front; one out of order costs a binary search. Memory is bounded by the window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The highest sequence number; the next is 1 (SMPP 3.4 §5.1.4).
pub const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;

#[derive(Debug)]
pub struct Window<T> {
    capacity: usize,
    timeout: Duration,
    entries: VecDeque<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    sequence: u32,
    deadline: Instant,
    tag: T,
}

impl<T> Window<T> {
    pub fn new(capacity: usize, timeout: Duration) -> Self {
        Self { capacity, timeout, entries: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is in flight beyond a smaller capacity stays until it is answered.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// How many more may be sent.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.entries.len())
    }

    /// Notes a request sent now. A full window, or a sequence number not after the last one, gives
    /// the tag back.
    pub fn insert(&mut self, sequence: u32, now: Instant, tag: T) -> Result<(), T> {
        let in_order =
            self.entries.back().is_none_or(|last| self.age(sequence) > self.age(last.sequence));
        if self.room() == 0 || !in_order {
            return Err(tag);
        }
        let mut deadline = now + self.timeout;
        if let Some(last) = self.entries.back() {
            deadline = deadline.max(last.deadline);
        }
        self.entries.push_back(Entry { sequence, deadline, tag });
        Ok(())
    }

    /// Takes the request that a response answers; the second time there is none.
    pub fn take(&mut self, sequence: u32) -> Option<T> {
        if !(1..=LAST_SEQUENCE).contains(&sequence) {
            return None;
        }
        let wanted = self.age(sequence);
        let at = self.entries.binary_search_by_key(&wanted, |e| self.age(e.sequence)).ok()?;
        self.entries.remove(at).map(|entry| entry.tag)
    }

    /// Takes one request whose time is over; call until `None`.
    pub fn expire(&mut self, now: Instant) -> Option<(u32, T)> {
        if self.entries.front()?.deadline > now {
            return None;
        }
        self.entries.pop_front().map(|entry| (entry.sequence, entry.tag))
    }

    /// When the next request runs out.
    pub fn deadline(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.deadline)
    }

    /// The tags of all that is unanswered, in sending order.
    pub fn into_tags(self) -> Vec<T> {
        self.entries.into_iter().map(|entry| entry.tag).collect()
    }

    /// How far a number lies after the oldest in flight, around the wrap.
    fn age(&self, sequence: u32) -> u32 {
        let oldest = self.entries.front().map_or(1, |entry| entry.sequence);
        if sequence >= oldest { sequence - oldest } else { sequence + (LAST_SEQUENCE - oldest) }
    }
}

/// The number after this one, around the wrap.
pub fn next_sequence(sequence: u32) -> u32 {
    if sequence >= LAST_SEQUENCE { 1 } else { sequence + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn each_request_is_taken_once_in_any_order() {
        let now = Instant::now();
        let mut window = Window::new(10, S);
        for sequence in [3, 4, 7, 8, 20] {
            window.insert(sequence, now, sequence * 10).unwrap();
        }
        for sequence in [7, 3, 20, 4, 8] {
            assert_eq!(window.take(sequence), Some(sequence * 10));
            assert_eq!(window.take(sequence), None);
        }
        assert!(window.is_empty());
        assert_eq!(window.take(5), None);
    }

    #[test]
    fn a_full_window_gives_the_tag_back() {
        let now = Instant::now();
        let mut window = Window::new(1, S);
        assert_eq!(window.insert(1, now, 'a'), Ok(()));
        assert_eq!((window.room(), window.insert(2, now, 'b')), (0, Err('b')));
        window.take(1);
        assert_eq!(window.insert(2, now, 'b'), Ok(()));
        assert_eq!(window.insert(2, now, 'c'), Err('c'));
    }

    #[test]
    fn time_takes_the_oldest_first() {
        let now = Instant::now();
        let mut window = Window::new(10, 5 * S);
        for i in 1..=3u32 {
            window.insert(i, now + S * i, i).unwrap();
        }
        window.take(1);
        assert_eq!(window.deadline(), Some(now + 7 * S));
        assert_eq!(window.expire(now + 6 * S), None);
        assert_eq!(window.expire(now + 8 * S), Some((2, 2)));
        assert_eq!(window.expire(now + 8 * S), Some((3, 3)));
        assert_eq!(window.expire(now + 8 * S), None);
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_hide_a_deadline() {
        let now = Instant::now() + S * 100;
        let mut window = Window::new(10, S);
        window.insert(1, now, 1).unwrap();
        window.insert(2, now - S * 50, 2).unwrap();
        assert_eq!(window.expire(now), None);
        assert_eq!(window.expire(now + S), Some((1, 1)));
        assert_eq!(window.deadline(), Some(now + S));
    }

    #[test]
    fn numbers_wrap_past_the_last() {
        let now = Instant::now();
        let mut window = Window::new(100, S);
        let mut sequence = LAST_SEQUENCE - 3;
        let mut sent = Vec::new();
        for _ in 0..10 {
            window.insert(sequence, now, sequence).unwrap();
            sent.push(sequence);
            sequence = next_sequence(sequence);
        }
        assert_eq!(&sent[3..6], [LAST_SEQUENCE, 1, 2]);
        for strange in [0, LAST_SEQUENCE + 1, u32::MAX, 500] {
            assert_eq!(window.take(strange), None);
        }
        sent.reverse();
        for sequence in sent {
            assert_eq!(window.take(sequence), Some(sequence));
        }
    }

    #[test]
    fn the_unanswered_come_out_in_sending_order() {
        let now = Instant::now();
        let mut window = Window::new(9, S);
        for i in 1..=5 {
            window.insert(i, now, i).unwrap();
        }
        window.take(3);
        assert_eq!(window.into_tags(), [1, 2, 4, 5]);
    }
}
