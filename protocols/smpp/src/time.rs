//! Times on the wire: `YYMMDDhhmmsstnnp`, SMPP 3.4 §7.1.1. Absolute with a zone, or relative.
//!
//! Years are 2000 to 2099. Relative times count months as 30 and years as 365 days, since no
//! calendar is known here.

use std::time::Duration;

const DAY_S: u64 = 86_400;

/// A time as a PDU gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Seconds of the Unix epoch, UTC.
    At(i64),
    /// From now on.
    In(Duration),
}

impl Time {
    /// Reads a schedule_delivery_time or validity_period; `None` for what is none. Empty is not
    /// asked here: it means "not given".
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != 16 || !text[..15].iter().all(u8::is_ascii_digit) {
            return None;
        }
        let pair = |at: usize| u64::from(text[at] - b'0') * 10 + u64::from(text[at + 1] - b'0');
        let [year, month, day] = [pair(0), pair(2), pair(4)];
        let [hour, minute, second] = [pair(6), pair(8), pair(10)];
        let clock = hour * 3_600 + minute * 60 + second;
        if text[15] == b'R' {
            let days = year * 365 + month * 30 + day;
            return Some(Self::In(Duration::from_secs(days * DAY_S + clock)));
        }
        let quarters = i64::try_from(pair(13)).ok()?;
        let zone = match text[15] {
            b'+' => quarters * 900,
            b'-' => -quarters * 900,
            _ => return None,
        };
        let date = (1..=12).contains(&month) && (1..=31).contains(&day);
        if !date || hour > 23 || minute > 59 || second > 59 || quarters > 48 {
            return None;
        }
        let days = days_of(2000 + i64::try_from(year).ok()?, month, day);
        let utc = days * i64::try_from(DAY_S).ok()? + i64::try_from(clock).ok()? - zone;
        Some(Self::At(utc))
    }

    /// Writes an absolute time in UTC.
    #[must_use]
    pub fn write(at: i64) -> String {
        let day = 86_400;
        let (days, clock) = (at.div_euclid(day), at.rem_euclid(day));
        let (year, month, date) = date_of(days);
        let (hour, minute, second) = (clock / 3_600, clock / 60 % 60, clock % 60);
        format!("{:02}{month:02}{date:02}{hour:02}{minute:02}{second:02}000+", year.rem_euclid(100))
    }
}

/// Days of the Unix epoch, by counting years from March, so that a leap day comes last.
fn days_of(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = (i64::try_from(month).unwrap_or(1) + 9) % 12;
    let of_year = (153 * month + 2) / 5 + i64::try_from(day).unwrap_or(1) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_times_are_read_in_their_zone() {
        assert_eq!(Time::parse(b"261128120000000+"), Some(Time::At(1_795_867_200)));
        assert_eq!(Time::parse(b"261128120000004+"), Some(Time::At(1_795_867_200 - 3_600)));
        assert_eq!(Time::parse(b"261128120000004-"), Some(Time::At(1_795_867_200 + 3_600)));
        assert_eq!(Time::parse(b"000101000000000+"), Some(Time::At(946_684_800)));
    }

    #[test]
    fn relative_times_are_lengths() {
        assert_eq!(Time::parse(b"000002000000000R"), Some(Time::In(Duration::from_secs(172_800))));
        assert_eq!(Time::parse(b"000000000500000R"), Some(Time::In(Duration::from_secs(300))));
        let month = Duration::from_secs(30 * DAY_S);
        assert_eq!(Time::parse(b"000100000000000R"), Some(Time::In(month)));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for at in [946_684_800, 951_782_400, 1_795_867_201, 4_102_444_799] {
            assert_eq!(Time::parse(Time::write(at).as_bytes()), Some(Time::At(at)), "{at}");
        }
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in [
            "",
            "2611281200",
            "261328120000000+",
            "261128240000000+",
            "261128120000049+",
            "261128120000000Z",
            "26112812000000x+",
        ] {
            assert_eq!(Time::parse(text.as_bytes()), None, "{text}");
        }
    }
}
