//! How long a call is paid for, and when more has to be put aside.
//!
//! Pure: the lane holds the money and reckons what is charged; this says when to ask it for another slice,
//! and when a call ends because there is none. A slice is asked for a minute before the last one is over, so
//! that a slow commit ends no call. The end comes a moment before what is paid for is, since seconds are
//! rounded up. What costs nothing is never asked about.

use std::time::{Duration, Instant};

/// Seconds of one more slice.
pub(super) const SLICE_S: i64 = 60;
/// How long before the end of what is paid for more is asked for.
const AHEAD: Duration = Duration::from_secs(60);
/// When it is asked again after an answer that told nothing.
const AGAIN: Duration = Duration::from_secs(5);
/// Talk ends so long before what is paid for.
const MARGIN: Duration = Duration::from_millis(500);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// So many seconds more, as the slice of this number.
    Renew { slice: i64, seconds: i64 },
    /// What is paid for is over.
    End,
}

/// The money of one call.
#[derive(Debug, Default)]
pub(super) struct Money {
    /// From the answer on; `None`: it costs nothing.
    covered: Option<Duration>,
    answered: Option<Instant>,
    /// The last slice that was asked for; the first came with the call.
    slice: i64,
    asked: bool,
    not_before: Option<Instant>,
    exhausted: bool,
}

impl Money {
    /// What the first slice pays for.
    #[must_use]
    pub(super) fn new(covered_s: Option<i64>) -> Self {
        Self { covered: covered_s.map(seconds), slice: 1, ..Self::default() }
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// The slice is there.
    pub(super) fn renewed(&mut self, covered_s: Option<i64>) {
        self.asked = false;
        self.covered = covered_s.map(seconds);
    }

    /// There is no money for more.
    pub(super) fn exhausted(&mut self) {
        (self.asked, self.exhausted) = (false, true);
    }

    /// Nothing is known of what was asked: the same slice is asked for again.
    pub(super) fn unknown(&mut self, now: Instant) {
        self.asked = false;
        self.slice -= 1;
        self.not_before = Some(now + AGAIN);
    }

    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.end()? <= now {
            return Some(Due::End);
        }
        if self.ask_at()? > now {
            return None;
        }
        self.asked = true;
        self.slice += 1;
        Some(Due::Renew { slice: self.slice, seconds: SLICE_S })
    }

    #[must_use]
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.end(), self.ask_at()].into_iter().flatten().min()
    }

    fn end(&self) -> Option<Instant> {
        Some(self.answered? + self.covered?.saturating_sub(MARGIN))
    }

    fn ask_at(&self) -> Option<Instant> {
        if self.asked || self.exhausted {
            return None;
        }
        let at = self.answered? + self.covered?.saturating_sub(AHEAD);
        Some(self.not_before.map_or(at, |not_before| at.max(not_before)))
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    fn answered(covered_s: Option<i64>) -> (Money, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let mut money = Money::new(covered_s);
        money.answered(start);
        (money, move |after| start + Duration::from_secs(after))
    }

    #[test]
    fn each_slice_is_asked_for_a_minute_ahead() {
        let (mut money, at) = answered(Some(120));
        assert_eq!((money.due(at(59)), money.deadline()), (None, Some(at(60))));
        assert_eq!(money.due(at(60)), Some(Due::Renew { slice: 2, seconds: 60 }));
        assert_eq!(money.due(at(61)), None);
        money.renewed(Some(180));
        assert_eq!(money.due(at(119)), None);
        assert_eq!(money.due(at(120)), Some(Due::Renew { slice: 3, seconds: 60 }));
    }

    #[test]
    fn without_money_the_call_ends_before_what_is_paid_for_does() {
        let (mut money, at) = answered(Some(120));
        assert!(money.due(at(60)).is_some());
        money.exhausted();
        assert_eq!(money.due(at(119)), None);
        assert!(money.deadline().unwrap() < at(120));
        assert_eq!(money.due(at(120)), Some(Due::End));
    }

    #[test]
    fn an_answer_that_told_nothing_is_asked_for_again_under_its_number() {
        let (mut money, at) = answered(Some(120));
        assert_eq!(money.due(at(60)), Some(Due::Renew { slice: 2, seconds: 60 }));
        money.unknown(at(61));
        assert_eq!(money.due(at(65)), None);
        assert_eq!(money.due(at(66)), Some(Due::Renew { slice: 2, seconds: 60 }));
        assert_eq!(money.due(at(120)), Some(Due::End));
    }

    #[test]
    fn what_costs_nothing_or_is_not_answered_is_never_due() {
        let (mut free, at) = answered(None);
        assert_eq!((free.due(at(100_000)), free.deadline()), (None, None));
        let mut ringing = Money::new(Some(120));
        assert_eq!((ringing.due(at(100_000)), ringing.deadline()), (None, None));
    }

    #[test]
    fn short_slices_are_asked_for_at_once() {
        let (mut money, at) = answered(Some(12));
        assert_eq!(money.due(at(0)), Some(Due::Renew { slice: 2, seconds: 60 }));
        money.renewed(Some(72));
        assert_eq!(money.deadline(), Some(at(12)));
    }
}
