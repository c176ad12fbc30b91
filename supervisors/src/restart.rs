//! When a dead child may live again: pure arithmetic.
//!
//! At most so many restarts within a stretch of time, each rest twice as long as the one before;
//! past that the supervisor fails too, and the one above it counts.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How often, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub restarts_max: usize,
    pub within: Duration,
    pub rest_min: Duration,
    pub rest_max: Duration,
}

impl Policy {
    /// For a worker: a bug in one item should not end more than that item.
    pub const WORKER: Self = Self {
        restarts_max: 10,
        within: Duration::from_secs(60),
        rest_min: Duration::from_millis(50),
        rest_max: Duration::from_secs(5),
    };
    /// For a supervisor under another one.
    pub const BRANCH: Self = Self {
        restarts_max: 20,
        within: Duration::from_secs(600),
        rest_min: Duration::from_millis(500),
        rest_max: Duration::from_secs(30),
    };
}

/// The restarts of one child.
#[derive(Clone, Debug, Default)]
pub struct Log {
    restarts: VecDeque<Instant>,
}

impl Log {
    /// How long to rest before the next restart. `None`: the budget is spent.
    pub fn next(&mut self, policy: &Policy, now: Instant) -> Option<Duration> {
        while let Some(first) = self.restarts.front()
            && now.saturating_duration_since(*first) >= policy.within
        {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= policy.restarts_max {
            return None;
        }
        let doublings = u32::try_from(self.restarts.len().min(20)).unwrap_or(20);
        self.restarts.push_back(now);
        Some(policy.rest_min.saturating_mul(1 << doublings).min(policy.rest_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        restarts_max: 3,
        within: Duration::from_secs(60),
        rest_min: Duration::from_secs(1),
        rest_max: Duration::from_secs(3),
    };

    #[test]
    fn rests_double_to_a_limit_and_then_the_budget_is_spent() {
        let now = Instant::now();
        let mut log = Log::default();
        let rests: Vec<_> = (0..4).map(|_| log.next(&POLICY, now)).collect();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(rests, [seconds(1), seconds(2), seconds(3), None]);
    }

    #[test]
    fn old_deaths_are_forgiven() {
        let now = Instant::now();
        let mut log = Log::default();
        for n in 0..100 {
            let at = now + Duration::from_secs(21) * n;
            assert!(log.next(&POLICY, at).is_some(), "restart {n}");
        }
    }
}
