//! The timers of all transactions: one queue for each duration there is, RFC 3261 table 4.
//!
//! SIP knows some dozen durations (T1 and its doubles, T2, T4, timers C and D, …). What waits
//! equally long ends in the order in which it began, so each duration is a queue, linked through
//! one array of hooks: setting and clearing are a few writes, the next deadline is the earliest
//! head, and nothing stale is ever left behind. Time never goes back here: an earlier `now` is
//! taken for the latest that was seen.

use std::time::{Duration, Instant};

/// One of the durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(pub(super) u8);

/// Neither in a queue nor next to anybody.
const NONE: u32 = u32::MAX;
const IDLE: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
struct Hook {
    at: Duration,
    next: u32,
    before: u32,
    queue: u8,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    wait: Duration,
    first: u32,
    last: u32,
}

#[derive(Debug)]
pub(super) struct Timers {
    start: Instant,
    now: Duration,
    queues: Vec<Queue>,
    hooks: Vec<Hook>,
}

impl Timers {
    pub(super) fn new(start: Instant, waits: &[Duration]) -> Self {
        let queue = |wait: &Duration| Queue { wait: *wait, first: NONE, last: NONE };
        Self {
            start,
            now: Duration::ZERO,
            queues: waits.iter().map(queue).collect(),
            hooks: Vec::new(),
        }
    }

    /// It is that late, or later.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now.saturating_duration_since(self.start));
    }

    /// The hook ends after `wait` from now; what it waited for before is forgotten.
    pub(super) fn set(&mut self, hook: u32, wait: Wait) {
        self.clear(hook);
        if self.hooks.len() <= hook as usize {
            let idle = Hook { at: Duration::ZERO, next: NONE, before: NONE, queue: IDLE };
            self.hooks.resize(hook as usize + 1, idle);
        }
        let Some(queue) = self.queues.get_mut(usize::from(wait.0)) else { return };
        let before = std::mem::replace(&mut queue.last, hook);
        let at = self.now.saturating_add(queue.wait);
        if before == NONE {
            queue.first = hook;
        } else {
            self.hooks[before as usize].next = hook;
        }
        self.hooks[hook as usize] = Hook { at, next: NONE, before, queue: wait.0 };
    }

    pub(super) fn clear(&mut self, hook: u32) {
        let Some(own) = self.hooks.get_mut(hook as usize) else { return };
        let Hook { next, before, queue, .. } = *own;
        own.queue = IDLE;
        let Some(queue) = self.queues.get_mut(usize::from(queue)) else { return };
        if before == NONE {
            queue.first = next
        } else {
            self.hooks[before as usize].next = next
        }
        if next == NONE { queue.last = before } else { self.hooks[next as usize].before = before }
    }

    /// The earliest hook that is due; it is cleared.
    pub(super) fn due(&mut self) -> Option<u32> {
        let (at, hook) = self.first()?;
        if at > self.now {
            return None;
        }
        self.clear(hook);
        Some(hook)
    }

    /// When the next hook is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.first().map(|(at, _)| self.start + at)
    }

    fn first(&self) -> Option<(Duration, u32)> {
        let heads = self.queues.iter().filter(|queue| queue.first != NONE);
        heads.map(|queue| (self.hooks[queue.first as usize].at, queue.first)).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn timers() -> (Instant, Timers) {
        let start = Instant::now();
        (start, Timers::new(start, &[S, 2 * S, 5 * S]))
    }

    #[test]
    fn the_earliest_comes_first_and_each_once() {
        let (start, mut timers) = timers();
        timers.set(0, Wait(2));
        timers.set(1, Wait(0));
        timers.advance(start + S / 2);
        timers.set(7, Wait(0));
        assert_eq!(timers.deadline(), Some(start + S));
        assert_eq!(timers.due(), None);
        timers.advance(start + 6 * S);
        assert_eq!([timers.due(), timers.due(), timers.due()], [Some(1), Some(7), Some(0)]);
        assert_eq!((timers.due(), timers.deadline()), (None, None));
    }

    #[test]
    fn set_again_it_waits_anew_and_cleared_it_never_ends() {
        let (start, mut timers) = timers();
        for hook in 0..3 {
            timers.set(hook, Wait(0));
        }
        timers.clear(1);
        timers.set(0, Wait(1));
        timers.clear(9);
        timers.advance(start + 10 * S);
        assert_eq!([timers.due(), timers.due(), timers.due()], [Some(2), Some(0), None]);
    }

    #[test]
    fn time_does_not_go_back() {
        let (start, mut timers) = timers();
        timers.advance(start + 3 * S);
        timers.advance(start);
        timers.set(0, Wait(0));
        assert_eq!(timers.deadline(), Some(start + 4 * S));
    }

    proptest! {
        #[test]
        fn they_end_as_in_a_sorted_list(orders in prop::collection::vec((0u32..6, 0u8..4, 0u32..3), 0..200)) {
            let (start, mut timers) = timers();
            let mut plain: Vec<(Duration, u32)> = Vec::new();
            let (mut now, waits) = (Duration::ZERO, [S, 2 * S, 5 * S]);
            for (hook, wait, step) in orders {
                now += step * S / 2;
                timers.advance(start + now);
                plain.retain(|(_, own)| *own != hook);
                match waits.get(usize::from(wait)) {
                    Some(duration) => {
                        timers.set(hook, Wait(wait));
                        plain.push((now + *duration, hook));
                    }
                    None => timers.clear(hook),
                }
                plain.sort_unstable();
                prop_assert_eq!(timers.deadline(), plain.first().map(|(at, _)| start + *at));
                let first = plain.first().map(|(at, _)| *at).filter(|at| *at <= now);
                let due = timers.due();
                let ended = plain.iter().position(|(_, own)| Some(*own) == due);
                prop_assert_eq!(ended.map(|at| plain.remove(at).0), first);
            }
        }
    }
}
