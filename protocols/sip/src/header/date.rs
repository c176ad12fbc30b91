//! Date: a moment in GMT as RFC 1123 writes it, RFC 3261 §20.17. No other zone is a Date.

use bytes::Bytes;

use super::Value;
use crate::grammar::{self, Cursor, ValueError};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_A_DAY: i64 = 86_400;

/// Seconds since 1970 in UTC, of the years 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i64);

impl Value for Date {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let cursor = Cursor::new("Date", text);
        let bad = || cursor.error("not a moment in GMT");
        let text = std::str::from_utf8(grammar::trim(text)).map_err(|_| bad())?;
        let (day_name, rest) = text.split_once(',').ok_or_else(bad)?;
        let mut words = rest.split_ascii_whitespace();
        let mut word = || words.next().ok_or_else(bad);
        let (day, month, year, time, zone) = (word()?, word()?, word()?, word()?, word()?);
        let known = DAYS.iter().any(|name| name.eq_ignore_ascii_case(day_name));
        let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month));
        if !known || !zone.eq_ignore_ascii_case("GMT") || words.next().is_some() {
            return Err(bad());
        }
        let number = |text: &str, length: usize| {
            grammar::number::<u16>(text.as_bytes()).filter(|_| text.len() == length)
        };
        let mut clock = time.split(':').map(|part| number(part, 2));
        let mut part = || clock.next().flatten().map(i64::from).ok_or_else(bad);
        let (hour, minute, second) = (part()?, part()?, part()?);
        let month = i64::try_from(month.ok_or_else(bad)?).map_err(|_| bad())? + 1;
        let year = number(year, 4).map(i64::from).ok_or_else(bad)?;
        let day = number(day, 2).or_else(|| number(day, 1)).map(i64::from).ok_or_else(bad)?;
        let there = clock.next().is_none() && hour < 24 && minute < 60 && second <= 60;
        if !there || !(1..=days_of(year, month)).contains(&day) {
            return Err(bad());
        }
        let days = days_since_1970(year, month, day);
        // A leap second is the one before it.
        Ok(Self(days * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second.min(59)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (days, second) = (self.0.div_euclid(SECONDS_A_DAY), self.0.rem_euclid(SECONDS_A_DAY));
        let (year, month, day) = date_of(days);
        // 1 January 1970 was a Thursday.
        let name = DAYS[(days + 3).rem_euclid(7) as usize];
        let month = MONTHS[(month - 1).rem_euclid(12) as usize];
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let text =
            format!("{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
        out.extend_from_slice(text.as_bytes());
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 January 1970: whole years counted from March on, so that a leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The same back.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Date, ValueError> {
        Date::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_moment_in_gmt() {
        let known = "Sat, 13 Nov 2010 23:29:00 GMT";
        assert_eq!(parse(known), Ok(Date(1_289_690_940)));
        assert_eq!(Date(1_289_690_940).to_bytes(), known);
        assert_eq!(Date(0).to_bytes(), "Thu, 01 Jan 1970 00:00:00 GMT");
        for bad in [
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 01 Jan 2010 16:00 GMT",
            "Fri, 31 Feb 2010 16:00:00 GMT",
            "Fri, 01 Jan 2010 24:00:00 GMT",
            "Xyz, 01 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 10 16:00:00 GMT",
            "1289690940",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_comes_back() {
        let mut expected = Date(-170 * 366 * SECONDS_A_DAY + 3_723);
        for _ in 0..8 * 36_524 {
            expected.0 += SECONDS_A_DAY;
            assert_eq!(Date::parse(&expected.to_bytes()), Ok(expected));
        }
    }
}
