//! How seconds become money: a price a minute, in steps.
//!
//! A call is paid for its first step whole, and then by further steps; nothing is paid unless it was
//! answered. Parts of a millionth are rounded up, so that what is put aside always covers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::money::Micros;

/// What a leg costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    /// Millionths of a dollar a minute.
    pub per_minute: i64,
    /// Seconds of the first step, and of each further one.
    pub initial_s: u32,
    pub increment_s: u32,
    /// Once, when answered.
    pub connect_fee: i64,
}

impl Tariff {
    /// Of legs that are no carrier's, as SIP and WebRTC: by the second, for nothing.
    pub const FREE: Self = Self { per_minute: 0, initial_s: 1, increment_s: 1, connect_fee: 0 };

    #[must_use]
    pub fn is_free(&self) -> bool {
        self.per_minute == 0 && self.connect_fee == 0
    }

    /// The seconds that are paid of an answered call.
    #[must_use]
    pub fn billable_s(&self, talked: Duration) -> i64 {
        let talked = whole_seconds(talked);
        let (initial, increment) = (i64::from(self.initial_s), i64::from(self.increment_s.max(1)));
        let beyond = talked.saturating_sub(initial).max(0);
        initial + (beyond + increment - 1) / increment * increment
    }

    /// What so many paid seconds cost.
    #[must_use]
    pub fn cost(&self, billable_s: i64) -> Micros {
        if billable_s <= 0 {
            return Micros::ZERO;
        }
        let by_time = i128::from(self.per_minute) * i128::from(billable_s);
        let by_time = i64::try_from((by_time + 59) / 60).unwrap_or(i64::MAX);
        Micros(by_time) + Micros(self.connect_fee)
    }

    /// The seconds that are put aside when a call is dialled.
    #[must_use]
    pub fn first_hold_s(&self) -> i64 {
        i64::from(self.initial_s) + i64::from(self.increment_s)
    }
}

/// A span in seconds, rounded up.
#[must_use]
pub fn whole_seconds(span: Duration) -> i64 {
    let up = u64::from(span.subsec_nanos() > 0);
    i64::try_from(span.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PSTN: Tariff =
        Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };
    const WHATSAPP: Tariff = Tariff { increment_s: 1, ..PSTN };

    fn of(tariff: Tariff, seconds: u64) -> (i64, Micros) {
        let billable = tariff.billable_s(Duration::from_secs(seconds));
        (billable, tariff.cost(billable))
    }

    #[test]
    fn seconds_are_paid_in_steps() {
        assert_eq!(of(PSTN, 61), (120, Micros(24_000)));
        assert_eq!(of(WHATSAPP, 61), (61, Micros(12_200)));
        assert_eq!(of(WHATSAPP, 5), (60, Micros(12_000)));
        assert_eq!(of(PSTN, 60), (60, Micros(12_000)));
        assert_eq!(of(PSTN, 0), (60, Micros(12_000)));
        assert_eq!(of(PSTN, 120).0, 120);
        assert_eq!(PSTN.billable_s(Duration::from_millis(60_001)), 120);
        assert_eq!(PSTN.billable_s(Duration::from_millis(59_999)), 60);
        assert_eq!(of(Tariff::FREE, 7), (7, Micros::ZERO));
    }

    #[test]
    fn a_connection_is_paid_once_and_only_when_there_was_one() {
        let tariff = Tariff { connect_fee: 500, ..WHATSAPP };
        assert_eq!(of(tariff, 1).1, Micros(12_500));
        assert_eq!(tariff.cost(0), Micros::ZERO);
    }

    #[test]
    fn what_is_put_aside_covers_what_is_paid() {
        let odd = Tariff { per_minute: 7_901, initial_s: 30, increment_s: 6, connect_fee: 3 };
        for talked in 0..600 {
            let (billable, cost) = of(odd, talked);
            assert!(billable >= i64::try_from(talked).unwrap());
            assert!(cost <= odd.cost(odd.first_hold_s().max(billable)));
        }
        assert!(odd.cost(1) + odd.cost(2) >= odd.cost(3));
        assert_eq!(Tariff { per_minute: 1, ..WHATSAPP }.cost(1), Micros(1));
        assert_eq!(Tariff { per_minute: i64::MAX, ..PSTN }.cost(i64::MAX), Micros(i64::MAX));
    }
}
