//! What an SMS part costs by destination: longest prefix wins, then the latest start.
//!
//! Read from CSV `prefix,price_micros,mccmnc,valid_from`; an empty prefix is the default rate.

use std::collections::HashMap;

use thiserror::Error;

use crate::clock::At;
use crate::money::Micros;

/// One price per part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub price: Micros,
    pub mccmnc: Option<String>,
    pub valid_from: At,
}

/// All prices, by prefix of the recipient's digits.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    by_prefix: HashMap<String, Vec<Rate>>,
    longest: usize,
}

/// A line of the table that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("rates line {line}: {fault}")]
pub struct BadRate {
    pub line: u64,
    pub fault: &'static str,
}

impl Rates {
    /// Reads a whole table; the first bad line refuses all of it.
    pub fn from_csv(text: &str) -> Result<Self, BadRate> {
        let mut rates = Self::default();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(|_| BadRate { line: 1, fault: "no header" })?;
        if header != vec!["prefix", "price_micros", "mccmnc", "valid_from"] {
            let fault = "the header is not prefix,price_micros,mccmnc,valid_from";
            return Err(BadRate { line: 1, fault });
        }
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            let bad = |fault| BadRate { line, fault };
            if !reader.read_record(&mut record).map_err(|_| bad("not four fields"))? {
                return Ok(rates);
            }
            let prefix = &record[0];
            if prefix.len() > 15 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("the prefix is not digits"));
            }
            let price = record[1].parse::<i64>().ok().filter(|p| (0..=1_000_000_000).contains(p));
            let price = Micros(price.ok_or(bad("the price is not 0 to 1000000000"))?);
            let valid_from = match &record[3] {
                "" => At(0),
                text => At::parse(text)
                    .or_else(|| At::parse(&format!("{text}T00:00:00Z")))
                    .ok_or(bad("valid_from is not an ISO 8601 date or time"))?,
            };
            let mccmnc = Some(record[2].to_owned()).filter(|m| !m.is_empty());
            rates.add(prefix, Rate { price, mccmnc, valid_from });
        }
    }

    fn add(&mut self, prefix: &str, rate: Rate) {
        self.longest = self.longest.max(prefix.len());
        let rates = self.by_prefix.entry(prefix.to_owned()).or_default();
        rates.push(rate);
        rates.sort_by_key(|r| std::cmp::Reverse(r.valid_from));
    }

    /// The rate for a recipient's digits (no `+`) at a moment.
    #[must_use]
    pub fn find(&self, digits: &str, now: At) -> Option<&Rate> {
        let longest = self.longest.min(digits.len());
        (0..=longest).rev().find_map(|length| {
            let rates = self.by_prefix.get(&digits[..length])?;
            rates.iter().find(|rate| rate.valid_from <= now)
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
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
