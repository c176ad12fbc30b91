//! The dates in a receipt's text: digits, in the carrier's local time.
//!
//! By the book YYMMDDhhmm; carriers also send seconds, a four-digit year, signs between the digits,
//! or all zeros. No time zone is known here, so none is guessed.

use std::fmt;

/// A date and time of unknown zone. `Display` writes YYMMDDhhmm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

impl Stamp {
    /// Reads 10 or 12 digits with a short year, 12 or 14 with a long one; `None` for anything
    /// else, and for all zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        let short = |digits: &[u8]| Self::read(2000 + u16::from(pair(digits, 0)?), &digits[2..]);
        let long = |digits: &[u8]| {
            let century = u16::from(pair(digits, 0)?) * 100;
            Self::read(century + u16::from(pair(digits, 2)?), &digits[4..])
        };
        match digits.len() {
            10 => short(&digits),
            // Twelve digits are YYMMDDhhmmss, or YYYYMMDDhhmm: 20… as YY would be the year 2020,
            // so the long form is believed first only when it makes a date.
            12 if digits[..2] == [2, 0] => long(&digits).or_else(|| short(&digits)),
            12 => short(&digits),
            14 => long(&digits),
            _ => None,
        }
    }

    /// Month, day, hour, minute, and second if there.
    fn read(year: u16, rest: &[u8]) -> Option<Self> {
        let stamp = Self {
            year,
            month: pair(rest, 0)?,
            day: pair(rest, 2)?,
            hour: pair(rest, 4)?,
            minute: pair(rest, 6)?,
            second: pair(rest, 8).unwrap_or(0),
        };
        let date = (1..=12).contains(&stamp.month) && (1..=31).contains(&stamp.day);
        let time = stamp.hour < 24 && stamp.minute < 60 && stamp.second < 61;
        (date && time && year > 0).then_some(stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, .. } = self;
        write!(f, "{:02}{month:02}{day:02}{hour:02}{minute:02}", year % 100)
    }
}

fn pair(digits: &[u8], at: usize) -> Option<u8> {
    Some(digits.get(at)? * 10 + digits.get(at + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> Option<(u16, u8, u8, u8, u8, u8)> {
        Stamp::parse(text).map(|s| (s.year, s.month, s.day, s.hour, s.minute, s.second))
    }

    #[test]
    fn every_known_form_is_read() {
        let minute = Some((2026, 11, 24, 13, 5, 0));
        assert_eq!(stamp("2611241305"), minute);
        assert_eq!(stamp("202611241305"), minute);
        assert_eq!(stamp("2026-11-24 13:05"), minute);
        assert_eq!(stamp("261124130559"), Some((2026, 11, 24, 13, 5, 59)));
        assert_eq!(stamp("20261124130559"), Some((2026, 11, 24, 13, 5, 59)));
        assert_eq!(stamp("200913112233"), Some((2020, 9, 13, 11, 22, 33)));
    }

    #[test]
    fn zeros_and_nonsense_are_no_date() {
        for text in ["", "0000000000", "000000000000", "2613241305", "26112413", "NULL"] {
            assert_eq!(stamp(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_written_as_the_book_says() {
        assert_eq!(Stamp::parse("2611241305").unwrap().to_string(), "2611241305");
    }
}
