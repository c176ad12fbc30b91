//! Which country a phone number is of: ISO 3166 by calling code, and by leading digits where
//! several countries share one.
//!
//! From the same metadata as `address.rs`. The patterns that tell countries of one calling code
//! apart are slow, so what they said of a range of numbers is remembered, for a bounded number of
//! ranges.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;

use crate::address::calling_code;

/// National digits that decide; no plan tells countries apart by more.
const DECISIVE: usize = 7;
/// Ranges remembered.
const RANGES_MAX: usize = 50_000;
/// The mark of calling codes that belong to no country.
const NOWHERE: &str = "001";

type Ranges = RwLock<HashMap<u64, Option<&'static str>>>;

static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::default);

/// The country of an E.164 number, as two capital letters. `None`: of none, as satellite phones.
#[must_use]
pub fn country_of(number: &str) -> Option<&'static str> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let code = calling_code(digits)?;
    let national = &digits[code.len()..];
    let regions = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
    if let [only] = regions.as_slice() {
        return named(only.id());
    }
    let range = digits.get(..code.len() + DECISIVE).unwrap_or(digits).parse::<u64>().ok()?;
    let known = RANGES.read().unwrap_or_else(PoisonError::into_inner).get(&range).copied();
    if let Some(country) = known {
        return country;
    }
    let country = among(&regions, national).and_then(|region| named(region.id()));
    let mut ranges = RANGES.write().unwrap_or_else(PoisonError::into_inner);
    if ranges.len() >= RANGES_MAX {
        ranges.clear();
    }
    ranges.insert(range, country);
    country
}

/// True for two letters that some numbers are of.
#[must_use]
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && DATABASE.by_id(text).is_some()
}

/// Whether a country's numbers begin with 1.
#[must_use]
pub fn is_north_american(country: &str) -> bool {
    DATABASE.by_id(country).is_some_and(|numbers| numbers.country_code() == 1)
}

fn named(id: &'static str) -> Option<&'static str> {
    (id != NOWHERE).then_some(id)
}

/// By leading digits where a country has them, then by the shape of its numbers, then the main one.
fn among<'m>(regions: &[&'m Metadata], national: &str) -> Option<&'m Metadata> {
    let leads = |region: &&&Metadata| {
        let pattern = region.leading_digits();
        pattern.and_then(|p| p.find(national).map(|found| found.start() == 0)).unwrap_or(false)
    };
    let fits =
        |region: &&&Metadata| region.leading_digits().is_none() && has_number(region, national);
    let main = |region: &&&Metadata| region.is_main_country_for_code();
    let found = regions.iter().find(leads).or_else(|| regions.iter().find(fits));
    found.or_else(|| regions.iter().find(main)).or(regions.first()).copied()
}

/// True when a number of some kind of that country looks so.
fn has_number(region: &Metadata, national: &str) -> bool {
    let kinds = region.descriptors();
    let described = [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.uan(),
    ];
    described.into_iter().flatten().any(|kind| kind.is_match(national))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_countries_even_where_they_share_a_calling_code() {
        for (number, country) in [
            ("+14155550123", "US"),
            ("+14165550123", "CA"),
            ("+12425550123", "BS"),
            ("+18765550123", "JM"),
            ("+447400123456", "GB"),
            ("+447911123456", "GG"),
            ("+447781123456", "GG"),
            ("+79161234567", "RU"),
            ("+77011234567", "KZ"),
            ("+33612345678", "FR"),
            ("+905321234567", "TR"),
            ("+3725123456", "EE"),
        ] {
            assert_eq!(country_of(number), Some(country), "{number}");
            assert_eq!(country_of(number), Some(country), "{number}, remembered");
        }
    }

    #[test]
    fn satellites_and_nonsense_are_of_no_country() {
        for number in ["+881612345678", "+883510012345", "+8821612345", "+999123456", "", "+"] {
            assert_eq!(country_of(number), None, "{number}");
        }
        assert!(is_country("DE") && !is_country("001") && !is_country("de") && !is_country("XX"));
    }
}
