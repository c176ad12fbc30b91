//! What bounds an organization's calls: how many at once, how many new ones a second, and where to.
//!
//! The pace is GCRA: of each organization one moment is kept, when its next call would be due if it
//! dialled at exactly its pace.

use crate::clock::At;

/// What the operator allows each organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Calls at once; nought is no bound.
    pub concurrent_max: i64,
    pub pace: Pace,
    /// Digits without `+` that no call may begin with: they cost too much.
    pub blocked_prefixes: Vec<String>,
    /// What is seen of calls is not kept.
    pub no_ladders: bool,
}

impl Bounds {
    /// The prefix that closes a number, as its digits without `+`.
    #[must_use]
    pub fn blocks(&self, digits: &str) -> Option<&str> {
        let prefixes = self.blocked_prefixes.iter().map(String::as_str);
        prefixes.into_iter().find(|prefix| digits.starts_with(prefix))
    }
}

/// New calls a second; nought is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    pub per_second: u32,
    /// Calls that may come at once.
    pub burst: u32,
}

/// What becomes of a call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may be dialled; keep this in place of what was kept.
    Now(At),
    /// Not before this moment.
    At(At),
}

impl Pace {
    #[must_use]
    pub fn turn(&self, due: Option<At>, now: At) -> Turn {
        if self.per_second == 0 {
            return Turn::Now(now);
        }
        let step = 1_000_000 / i64::from(self.per_second).clamp(1, 1_000_000);
        let due = due.unwrap_or(now).max(now);
        let ahead = step.saturating_mul(i64::from(self.burst.max(1)) - 1);
        let earliest = At(due.0.saturating_sub(ahead));
        if earliest > now { Turn::At(earliest) } else { Turn::Now(At(due.0 + step)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_pace_holds() {
        let pace = Pace { per_second: 2, burst: 3 };
        let mut due = None;
        let mut dial = |at: i64| match pace.turn(due, At(at)) {
            Turn::Now(next) => {
                due = Some(next);
                true
            }
            Turn::At(_) => false,
        };
        assert_eq!([0, 0, 0, 0].map(&mut dial), [true, true, true, false]);
        assert_eq!([499_999, 500_000, 500_000].map(&mut dial), [false, true, false]);
        assert_eq!([9_000_000; 4].map(&mut dial), [true, true, true, false]);
        assert_eq!(pace.turn(Some(At(2_000_000)), At(0)), Turn::At(At(1_000_000)));
    }

    #[test]
    fn dear_prefixes_are_closed() {
        let bounds = Bounds { blocked_prefixes: vec![String::from("1900")], ..Bounds::default() };
        assert_eq!(bounds.blocks("19005550123"), Some("1900"));
        assert_eq!(bounds.blocks("14155550123"), None);
        assert_eq!(Bounds::default().blocks("1"), None);
    }

    #[test]
    fn nought_is_no_bound() {
        let open = Pace::default();
        assert_eq!(open.turn(Some(At(i64::MAX)), At(5)), Turn::Now(At(5)));
    }
}
