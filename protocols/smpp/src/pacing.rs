//! How fast a link may go, and how long to rest after it failed.
//!
//! `Sliding` is exact: in any window of one second, wherever it begins, at most N are granted. A
//! token bucket would let almost 2N through around a pause. It is for what is sent to us; `Even` is
//! for what we send, which a peer counts where it arrives. `Backoff` doubles from one second to
//! sixty; its jitter comes as an argument, so tests can choose it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// The second of [`Even`]: what the way to the peer squeezes together still fits one there.
const LONG_SECOND: Duration = Duration::from_millis(1_020);
/// How many stretches of a second may each be taken at once.
const STRETCHES: usize = 20;
const LONGEST_REST: Duration = Duration::from_secs(60);

/// At most `limit` grants in any second.
#[derive(Clone, Debug)]
pub struct Sliding {
    limit: usize,
    window: Duration,
    /// How many of `grants` are still inside the second.
    taken: usize,
    /// Moments and how many were granted at each, oldest first.
    grants: VecDeque<(Instant, usize)>,
}

/// Growing rests between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Backoff {
    tries: u32,
}

impl Sliding {
    /// A limit of 0 grants nothing.
    pub fn new(limit: usize) -> Self {
        Self { limit, window: SECOND, taken: 0, grants: VecDeque::new() }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit from now on; what was granted still counts.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many may be taken now.
    pub fn room(&mut self, now: Instant) -> usize {
        self.forget(now);
        self.limit.saturating_sub(self.taken)
    }

    /// When at least one may be taken: `now`, or later. With a limit of 0, a second from now on,
    /// again and again.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        if self.room(now) > 0 {
            return now;
        }
        if self.limit == 0 {
            return now + self.window;
        }
        // As many must leave the second as stand over the limit less one.
        let mut leave = self.taken + 1 - self.limit;
        for &(at, count) in &self.grants {
            if count >= leave {
                return at + self.window;
            }
            leave -= count;
        }
        now
    }

    /// Takes up to `wanted` and says how many were granted.
    pub fn take(&mut self, now: Instant, wanted: usize) -> usize {
        let granted = self.room(now).min(wanted);
        if granted > 0 {
            self.taken += granted;
            match self.grants.back_mut() {
                // A clock that stands still, or a caller whose clock went back: same moment.
                Some((at, count)) if *at >= now => *count += granted,
                _ => self.grants.push_back((now, granted)),
            }
        }
        granted
    }

    fn forget(&mut self, now: Instant) {
        while let Some(&(at, count)) = self.grants.front()
            && now.saturating_duration_since(at) >= self.window
        {
            self.taken -= count;
            self.grants.pop_front();
        }
    }
}

/// At most `limit` grants in any second, and these spread over it. A peer that counts arrivals sees
/// no more: grants that stood close to a second's ends would be pushed into one by the way there.
#[derive(Clone, Debug)]
pub struct Even {
    second: Sliding,
    /// When all that was granted would have left, one after the other.
    clear_at: Option<Instant>,
}

impl Even {
    /// A limit of 0 grants nothing. The first second counts as used up.
    pub fn spent(limit: usize, now: Instant) -> Self {
        let mut second = Sliding { window: LONG_SECOND, ..Sliding::new(limit) };
        second.take(now, limit);
        Self { second, clear_at: None }
    }

    /// How far ahead of the clock grants may be.
    fn slack(&self) -> Duration {
        self.step() * u32::try_from(self.burst() - 1).unwrap_or(u32::MAX)
    }

    fn burst(&self) -> usize {
        (self.second.limit / STRETCHES).max(1)
    }

    fn step(&self) -> Duration {
        SECOND / u32::try_from(self.second.limit.max(1)).unwrap_or(u32::MAX)
    }

    /// When at least one may be taken: `now`, or later.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        let spread = self.clear_at.and_then(|at| at.checked_sub(self.slack()));
        self.second.ready_at(now).max(spread.unwrap_or(now))
    }

    /// Takes up to `wanted` and says how many were granted.
    pub fn take(&mut self, now: Instant, wanted: usize) -> usize {
        let from = self.clear_at.map_or(now, |at| at.max(now));
        let ahead = from - now;
        let Some(left) = self.slack().checked_sub(ahead) else {
            return 0;
        };
        let step = self.step();
        let spread = usize::try_from(left.as_nanos() / step.as_nanos().max(1)).unwrap_or(0) + 1;
        let granted = self.second.take(now, wanted.min(spread));
        if granted > 0 {
            self.clear_at = Some(from + step * u32::try_from(granted).unwrap_or(u32::MAX));
        }
        granted
    }
}

impl Backoff {
    /// The next rest: 1, 2, 4 … 60 s, of which `jitter` (0 to 1) takes up to the half away.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let whole = SECOND.saturating_mul(1 << self.tries.min(6)).min(LONGEST_REST);
        self.tries = self.tries.saturating_add(1);
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        whole.mul_f64(1.0 - jitter / 2.0)
    }

    /// How many rests were handed out since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The link holds: the next rest is the shortest again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn no_second_anywhere_holds_more_than_the_limit() {
        let start = Instant::now();
        let mut pace = Sliding::new(10);
        let mut granted = Vec::new();
        let mut now = start;
        let mut seed = 7u32;
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            now += MS * (seed >> 16 & 0x3F);
            for _ in 0..pace.take(now, (seed >> 28) as usize) {
                granted.push(now);
            }
        }
        for window in granted.windows(11) {
            assert!(window[10] - window[0] >= SECOND);
        }
        let seconds = (now - start).as_secs() as usize;
        assert!(granted.len() > seconds * 9, "and nearly all of it is used");
    }

    #[test]
    fn ready_at_is_the_first_moment_that_grants() {
        let start = Instant::now();
        let mut pace = Sliding::new(3);
        assert_eq!(pace.take(start, 2), 2);
        assert_eq!(pace.take(start + 400 * MS, 5), 1);
        let at = start + 500 * MS;
        assert_eq!((pace.ready_at(at), pace.take(at, 1)), (start + SECOND, 0));
        assert_eq!(pace.take(start + 999 * MS, 1), 0);
        assert_eq!(pace.take(start + SECOND, 9), 2);
        assert_eq!(pace.ready_at(start + SECOND), start + 1400 * MS);
    }

    #[test]
    fn a_lowered_limit_counts_what_was_granted_before() {
        let start = Instant::now();
        let mut pace = Sliding::new(4);
        pace.take(start, 2);
        pace.take(start + 100 * MS, 2);
        pace.set_limit(2);
        assert_eq!(pace.ready_at(start + 200 * MS), start + 1100 * MS);
        assert_eq!(pace.take(start + SECOND, 1), 0);
        assert_eq!(pace.take(start + 1100 * MS, 9), 2);
        pace.set_limit(0);
        assert_eq!(pace.take(start + SECOND * 9, 1), 0);
        assert!(pace.ready_at(start + SECOND * 9) > start + SECOND * 9);
    }

    #[test]
    fn an_even_pace_stays_below_its_limit_however_arrivals_are_pushed_together() {
        for limit in [1, 7, 50, 1_000] {
            let start = Instant::now();
            let mut pace = Even::spent(limit, start);
            let mut arrivals = Vec::new();
            let mut now = start;
            let mut seed = 7u32;
            while now < start + 9 * SECOND {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                now = pace.ready_at(now).max(now) + MS * (seed >> 30);
                // The way takes up to twenty milliseconds, as it likes.
                let late = MS * (seed >> 16 & 0xF);
                arrivals.extend(vec![now + late; pace.take(now, usize::MAX)]);
            }
            arrivals.sort_unstable();
            for window in arrivals.windows(limit + 1) {
                assert!(window[limit] - window[0] >= SECOND, "{limit}");
            }
            let wanted = limit as f64 * 8.0 * 0.9;
            assert!(arrivals.len() as f64 >= wanted, "{limit}: {}", arrivals.len());
        }
    }

    #[test]
    fn an_even_pace_grants_a_stretch_at_once_and_no_more() {
        let start = Instant::now();
        let mut pace = Even::spent(100, start);
        assert_eq!(pace.take(start + SECOND, 9), 0, "the second before is used up");
        let now = start + LONG_SECOND;
        assert_eq!(pace.take(now, 9), 5);
        assert_eq!(pace.take(now, 9), 0);
        assert_eq!(pace.ready_at(now), now + 10 * MS);
        assert_eq!(pace.take(now + 10 * MS, 9), 1);
        assert_eq!(Even::spent(0, start).take(now, 9), 0);
    }

    #[test]
    fn rests_double_to_a_minute_and_begin_again() {
        let mut backoff = Backoff::default();
        let rests: Vec<_> = (0..8).map(|_| backoff.next(0.0).as_secs()).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), 500 * MS);
        assert_eq!(backoff.next(f64::NAN), 2 * SECOND);
        assert_eq!(backoff.tries(), 2);
    }
}
