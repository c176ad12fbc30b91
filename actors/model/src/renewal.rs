//! What becomes of a number when the month that is paid for is over: paid, waited for, taken back.
//!
//! Months are the calendar's, UTC, counted from the day of the purchase: of one on the 31st the month
//! ends on the last day where there is no 31st, and the next on the 31st again. Time and money come as
//! arguments; whoever asks writes the answer down.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::clock::At;

/// Who could not pay is asked again after this, and at once after a top-up.
const AGAIN: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How long a number stays that is not paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// As it is.
    pub grace: Duration,
    /// Then suspended, before it is taken back.
    pub suspended: Duration,
}

/// A number whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub assigned_at: At,
    /// Until then it is paid.
    pub paid_until: At,
    /// When its month could not be paid first.
    pub unpaid_since: Option<At>,
    pub auto_renew: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// One more month is paid.
    Paid {
        until: At,
    },
    /// It stays as it is until the grace is over.
    Waits {
        since: At,
        again_at: At,
    },
    /// It is taken out of service.
    Suspended {
        since: At,
        again_at: At,
    },
    TakenBack(Why),
}

/// Why an organization has a number no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Requested,
    /// It was not to be renewed.
    NotRenewed,
    Unpaid,
}

impl Why {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::NotRenewed => "not_renewed",
            Self::Unpaid => "unpaid",
        }
    }
}

impl Patience {
    /// When a number that is unpaid since then is suspended.
    #[must_use]
    pub fn suspends_at(&self, since: At) -> At {
        since.plus(self.grace)
    }

    /// When it is taken back.
    #[must_use]
    pub fn takes_back_at(&self, since: At) -> At {
        self.suspends_at(since).plus(self.suspended)
    }
}

impl Standing {
    /// Decides at `at`, which is not before the end of the paid month. `pay` takes the price of one
    /// month, or nothing; it is not asked for what is not to be renewed.
    pub fn decide(&self, at: At, patience: &Patience, pay: impl FnOnce() -> bool) -> Renewal {
        if !self.auto_renew {
            return Renewal::TakenBack(Why::NotRenewed);
        }
        if pay() {
            return Renewal::Paid { until: month_after(self.assigned_at, self.paid_until) };
        }
        let since = self.unpaid_since.unwrap_or(at);
        let (suspends, takes_back) = (patience.suspends_at(since), patience.takes_back_at(since));
        let again = at.plus(AGAIN);
        if at >= takes_back {
            Renewal::TakenBack(Why::Unpaid)
        } else if at >= suspends {
            Renewal::Suspended { since, again_at: again.min(takes_back) }
        } else {
            Renewal::Waits { since, again_at: again.min(suspends) }
        }
    }
}

/// The end of the month that follows on `paid_until`, of months that are counted from `first`. Up to a
/// day between the two is nobody's month.
#[must_use]
pub fn month_after(first: At, paid_until: At) -> At {
    next(first, paid_until).unwrap_or_else(|| paid_until.plus(DAY * 30))
}

fn next(first: At, paid_until: At) -> Option<At> {
    let (first, from) = (civil(first)?, civil(paid_until.plus(DAY))?);
    let between = (i32::from(from.year()) - i32::from(first.year())) * 12
        + (i32::from(from.month()) - i32::from(first.month()));
    let mut ends = (between.max(1)..).take(3).map(|months| {
        let end = first.checked_add(months.months()).ok()?;
        (end > from).then(|| TimeZone::UTC.to_timestamp(end).ok()).flatten()
    });
    ends.find_map(|end| end).map(|end| At(end.as_microsecond()))
}

fn civil(at: At) -> Option<DateTime> {
    Timestamp::from_microsecond(at.micros()).ok().map(|at| TimeZone::UTC.to_datetime(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { grace: DAY.saturating_mul(7), suspended: DAY };

    fn at(text: &str) -> At {
        At::parse(text).unwrap()
    }

    #[test]
    fn months_are_the_calendars_and_counted_from_the_first_day() {
        for (first, ends) in [
            ("2026-01-31", ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
            ("2028-01-30", ["2028-02-29", "2028-03-30", "2028-04-30", "2028-05-30"]),
            ("2026-11-15", ["2026-12-15", "2027-01-15", "2027-02-15", "2027-03-15"]),
            ("2026-02-28", ["2026-03-28", "2026-04-28", "2026-05-28", "2026-06-28"]),
        ] {
            let first = at(&format!("{first}T23:59:59Z"));
            let mut until = first;
            for end in ends {
                until = month_after(first, until);
                assert_eq!(until.iso(), format!("{end}T23:59:59.000Z"));
            }
        }
    }

    #[test]
    fn a_month_that_was_counted_from_a_little_before_is_no_month_short() {
        // Of a number that was bought when the day of its purchase was the API's.
        let first = at("2026-02-01T00:00:00.001Z");
        let paid = at("2026-02-28T23:59:59.999Z");
        assert_eq!(month_after(first, paid).iso(), "2026-04-01T00:00:00.001Z");
        let paid = at("2026-03-01T00:00:00.000Z");
        assert_eq!(month_after(first, paid).iso(), "2026-04-01T00:00:00.001Z");
        // A clock that was far off.
        assert_eq!(
            month_after(first, at("2025-02-01T00:00:00Z")).iso(),
            "2026-03-01T00:00:00.001Z"
        );
        assert!(month_after(first, At(i64::MAX)) >= first, "no overflow");
    }

    #[test]
    fn what_is_not_paid_waits_then_is_suspended_then_taken_back() {
        let due = at("2026-03-31T10:00:00Z");
        let mut number = Standing {
            assigned_at: at("2026-01-31T10:00:00Z"),
            paid_until: due,
            unpaid_since: None,
            auto_renew: true,
        };
        let until = at("2026-04-30T10:00:00Z");
        assert_eq!(number.decide(due, &PATIENCE, || true), Renewal::Paid { until });
        let poor = || false;
        let waits = number.decide(due, &PATIENCE, poor);
        assert_eq!(waits, Renewal::Waits { since: due, again_at: due.plus(AGAIN) });
        number.unpaid_since = Some(due);
        let ends = due.plus(PATIENCE.grace);
        let late = number.decide(ends.minus(Duration::from_secs(1)), &PATIENCE, poor);
        assert_eq!(late, Renewal::Waits { since: due, again_at: ends });
        let out = number.decide(ends, &PATIENCE, poor);
        assert_eq!(out, Renewal::Suspended { since: due, again_at: ends.plus(AGAIN) });
        assert_eq!(number.decide(ends, &PATIENCE, || true), Renewal::Paid { until });
        let over = ends.plus(PATIENCE.suspended);
        assert_eq!(number.decide(over, &PATIENCE, poor), Renewal::TakenBack(Why::Unpaid));
        number.auto_renew = false;
        let unasked = number.decide(due, &PATIENCE, || panic!("nothing is taken"));
        assert_eq!(unasked, Renewal::TakenBack(Why::NotRenewed));
    }
}
