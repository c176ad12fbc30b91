//! What an SMS part costs by destination: longest prefix wins, then the latest start.
//!
//! Read from CSV `prefix,price_micros,mccmnc,valid_from`; an empty prefix is the default rate.

use crate::clock::At;
use crate::money::Micros;
pub use crate::prefixes::BadRate;
use crate::prefixes::{Prefixes, Span, moment, number};

const HEADER: &str = "prefix,price_micros,mccmnc,valid_from";

/// One price per part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub price: Micros,
    pub mccmnc: Option<String>,
}

/// All prices, by prefix of the recipient's digits.
#[derive(Clone, Debug, Default)]
pub struct Rates(Prefixes<Rate>);

impl Rates {
    /// Reads a whole table; the first bad line refuses all of it.
    pub fn from_csv(text: &str) -> Result<Self, BadRate> {
        let row = |record: &csv::StringRecord| {
            let price = number(&record[1], 1_000_000_000, "the price is not 0 to 1000000000")?;
            let mccmnc = Some(record[2].to_owned()).filter(|m| !m.is_empty());
            let from = moment(&record[3])?.unwrap_or(At(0));
            Ok((Span { from, to: None }, Rate { price: Micros(price), mccmnc }))
        };
        Prefixes::read(text, HEADER, row).map(Self)
    }

    /// The rate for a recipient's digits (no `+`) at a moment.
    #[must_use]
    pub fn find(&self, digits: &str, now: At) -> Option<&Rate> {
        self.0.find(digits, now, |_| true).map(|(_, rate)| rate)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "prefix,price_micros,mccmnc,valid_from\n\
        ,9000,,\n1,7900,310260,\n1415,5000,,\n1415,6000,,2030-01-01\n44,40000,23410,2020-01-01T00:00:00Z\n";

    #[test]
    fn the_longest_prefix_wins_and_then_the_latest_start() {
        let rates = Rates::from_csv(TABLE).unwrap();
        let now = At::parse("2026-01-01T00:00:00Z").unwrap();
        let later = At::parse("2031-01-01T00:00:00Z").unwrap();
        assert_eq!(rates.find("14155550123", now).unwrap().price, Micros(5_000));
        assert_eq!(rates.find("14155550123", later).unwrap().price, Micros(6_000));
        assert_eq!(rates.find("15005550002", now).unwrap().mccmnc.as_deref(), Some("310260"));
        assert_eq!(rates.find("33612345678", now).unwrap().price, Micros(9_000));
        assert_eq!(rates.find("447911123456", At(0)).unwrap().price, Micros(9_000));
    }

    #[test]
    fn no_rate_is_no_price() {
        let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,7900,,\n").unwrap();
        assert_eq!(rates.find("33612345678", At(0)), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = |line: &str| Rates::from_csv(&format!("{TABLE}{line}\n")).unwrap_err();
        assert_eq!(bad("x,1,,").fault, "the prefix is not digits");
        assert_eq!(bad("1,-1,,").line, 7);
        assert_eq!(bad("1,1,,soon").line, 7);
        assert_eq!(bad("1,1").line, 7);
        assert!(Rates::from_csv("a,b\n").is_err());
    }
}
