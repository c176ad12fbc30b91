//! What a minute costs by destination and direction: longest prefix, then latest start.
//!
//! Read from CSV `prefix,direction,rate_per_min_micros,initial_s,increment_s,connect_fee_micros,
//! valid_from,valid_to`; an empty prefix is the default of its direction.

use super::tariff::Tariff;
use crate::clock::At;
use crate::message::Direction;
use crate::prefixes::{BadRate, Prefixes, Span, moment, number};

const HEADER: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,\
    connect_fee_micros,valid_from,valid_to";
const PRICE_MAX: i64 = 1_000_000_000;
const STEP_MAX_S: i64 = 3_600;

/// All tariffs, by prefix of the number that is called.
#[derive(Clone, Debug, Default)]
pub struct VoiceRates(Prefixes<(Direction, Tariff)>);

/// What a call to a number costs, and under which prefix that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rated {
    pub prefix: String,
    pub tariff: Tariff,
}

impl Rated {
    /// Of calls that no carrier carries.
    #[must_use]
    pub fn free() -> Self {
        Self { prefix: String::new(), tariff: Tariff::FREE }
    }
}

impl VoiceRates {
    /// Reads a whole table; the first bad line refuses all of it.
    pub fn from_csv(text: &str) -> Result<Self, BadRate> {
        Prefixes::read(text, HEADER, row).map(Self)
    }

    /// The tariff of a call with these digits (no `+`), as it is dialled at a moment.
    #[must_use]
    pub fn find(&self, direction: Direction, digits: &str, now: At) -> Option<Rated> {
        let found = self.0.find(digits, now, |(of, _)| *of == direction);
        found.map(|(length, (_, tariff))| Rated {
            prefix: digits[..length].to_owned(),
            tariff: *tariff,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn row(record: &csv::StringRecord) -> Result<(Span, (Direction, Tariff)), &'static str> {
    let direction =
        Direction::parse(&record[1]).ok_or("the direction is neither outbound nor inbound")?;
    let price = number(&record[2], PRICE_MAX, "the price is not 0 to 1000000000")?;
    let step = |text: &str, fault| {
        let seconds = number(text, STEP_MAX_S, fault)?;
        u32::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or(fault)
    };
    let initial_s = step(&record[3], "initial_s is not 1 to 3600")?;
    let increment_s = step(&record[4], "increment_s is not 1 to 3600")?;
    let fee = number(&record[5], PRICE_MAX, "the connect fee is not 0 to 1000000000")?;
    let span = Span { from: moment(&record[6])?.unwrap_or(At(0)), to: moment(&record[7])? };
    let tariff = Tariff { per_minute: price, initial_s, increment_s, connect_fee: fee };
    Ok((span, (direction, tariff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,\
        connect_fee_micros,valid_from,valid_to\n\
        ,outbound,90000,60,60,0,,\n1,outbound,12000,60,60,0,,2026-01-01\n\
        1,outbound,13000,60,60,0,2026-01-01,\n1415,inbound,4000,6,6,100,,\n";

    #[test]
    fn prefix_direction_and_time_decide() {
        let rates = VoiceRates::from_csv(TABLE).unwrap();
        let at = |text| At::parse(text).unwrap();
        let find = |direction, digits, now| {
            rates.find(direction, digits, at(now)).map(|r| (r.prefix, r.tariff.per_minute))
        };
        let (before, then) = ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z");
        let one = |price| Some((String::from("1"), price));
        assert_eq!(find(Direction::Outbound, "14155550123", before), one(12_000));
        assert_eq!(find(Direction::Outbound, "14155550123", then), one(13_000));
        assert_eq!(find(Direction::Outbound, "4420", then), Some((String::new(), 90_000)));
        assert_eq!(find(Direction::Inbound, "4420", then), None);
        let inbound = rates.find(Direction::Inbound, "14155550123", at(then)).unwrap();
        assert_eq!((inbound.prefix.as_str(), inbound.tariff.connect_fee), ("1415", 100));
        assert_eq!(rates.find(Direction::Inbound, "é", at(then)), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = |line: &str| VoiceRates::from_csv(&format!("{TABLE}{line}\n")).unwrap_err();
        assert_eq!(bad("1,up,1,60,60,0,,").line, 6);
        assert_eq!(bad("1,inbound,1,0,60,0,,").fault, "initial_s is not 1 to 3600");
        assert_eq!(bad("1,inbound,1,60,3601,0,,").fault, "increment_s is not 1 to 3600");
        assert_eq!(bad("1,inbound,-1,60,60,0,,").fault, "the price is not 0 to 1000000000");
        assert!(VoiceRates::from_csv("prefix,price_micros,mccmnc,valid_from\n").is_err());
    }
}
