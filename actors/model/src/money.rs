//! Money: whole micro-USD inside, cents and micros outside. Never a float.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

/// An amount in millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);

impl Micros {
    pub const ZERO: Self = Self(0);
    /// One million dollars is far below `i64`'s end; a single top-up may not exceed it.
    pub const TOP_UP_MAX: Self = Self(1_000_000 * 1_000_000);

    /// Whole cents, rounded down: what is shown as `balance` never promises more than there is.
    #[must_use]
    pub fn cents(self) -> i64 {
        self.0.div_euclid(10_000)
    }

    /// Reads a decimal dollar amount such as `12`, `12.5` or `0.000001`; exact, or nothing.
    #[must_use]
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
        whole.checked_mul(1_000_000)?.checked_add(fraction).map(Self)
    }

    #[must_use]
    pub fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

/// Dollars with six decimals: `0.007900`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let whole = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", whole / 1_000_000, whole % 1_000_000)
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Micros {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_or_not_at_all() {
        assert_eq!(Micros::parse_usd("12"), Some(Micros(12_000_000)));
        assert_eq!(Micros::parse_usd("0.0079"), Some(Micros(7_900)));
        for bad in ["", ".", ".5", "-1", "1e3", "0.0000001", "9999999999999999", "1.2.3", "NaN"] {
            assert_eq!(Micros::parse_usd(bad), None, "{bad}");
        }
        assert_eq!(Micros(7_900).to_string(), "0.007900");
        assert_eq!(Micros(-1).to_string(), "-0.000001");
    }

    #[test]
    fn cents_round_down() {
        assert_eq!(Micros(19_999).cents(), 1);
        assert_eq!(Micros(-1).cents(), -1);
    }
}
