//! What guards an organization against fraud with its own account: where it may send, how much it
//! may spend a day, how fast it may send to one range of numbers, and when it is warned.
//!
//! The operator's settings hold for all; an organization may set its own in their place.

use crate::country::country_of;
use crate::money::Micros;

/// Digits after the calling code that make a range of numbers.
pub const RANGE_DIGITS: usize = 3;

/// What holds for one organization. Zero and empty: no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// ISO 3166, two capital letters each; empty: every country.
    pub allowed_countries: Vec<String>,
    /// Digits without `+`.
    pub blocked_prefixes: Vec<String>,
    /// Of a day in UTC.
    pub daily_spend: Micros,
    /// Messages a minute to one range of numbers, but for one-time codes.
    pub velocity: i64,
    /// The same for one-time codes.
    pub otp_velocity: i64,
    /// Below this the wallet is low.
    pub balance_low: Micros,
}

/// What an organization has set in place of the operator's; `None`: the operator's holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub allowed_countries: Option<Vec<String>>,
    pub blocked_prefixes: Option<Vec<String>>,
    pub daily_spend: Option<Micros>,
    pub velocity: Option<i64>,
    pub otp_velocity: Option<i64>,
    pub balance_low: Option<Micros>,
}

/// Why a destination is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    Prefix(String),
    /// Its country; `None`: it is of none.
    Country(Option<&'static str>),
}

impl Protection {
    #[must_use]
    pub fn with(&self, own: &Overrides) -> Self {
        let list =
            |own: &Option<Vec<String>>, all: &Vec<String>| own.as_ref().unwrap_or(all).clone();
        Self {
            allowed_countries: list(&own.allowed_countries, &self.allowed_countries),
            blocked_prefixes: list(&own.blocked_prefixes, &self.blocked_prefixes),
            daily_spend: own.daily_spend.unwrap_or(self.daily_spend),
            velocity: own.velocity.unwrap_or(self.velocity),
            otp_velocity: own.otp_velocity.unwrap_or(self.otp_velocity),
            balance_low: own.balance_low.unwrap_or(self.balance_low),
        }
    }

    /// Whether a number, as its digits without `+`, may be sent to.
    #[must_use]
    pub fn forbids(&self, digits: &str) -> Option<Forbidden> {
        let blocked = self.blocked_prefixes.iter().find(|p| digits.starts_with(p.as_str()));
        if let Some(prefix) = blocked {
            return Some(Forbidden::Prefix(prefix.clone()));
        }
        if self.allowed_countries.is_empty() {
            return None;
        }
        let country = country_of(digits);
        let allowed =
            country.is_some_and(|c| self.allowed_countries.iter().any(|known| known == c));
        (!allowed).then_some(Forbidden::Country(country))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_bounded_by_prefix_and_by_country() {
        let open = Protection::default();
        assert_eq!(open.forbids("881612345678"), None);
        let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let protection = Protection {
            allowed_countries: texts(&["US", "KZ"]),
            blocked_prefixes: texts(&["881", "1900"]),
            ..open
        };
        assert_eq!(protection.forbids("14155550123"), None);
        assert_eq!(protection.forbids("77011234567"), None);
        assert_eq!(protection.forbids("79161234567"), Some(Forbidden::Country(Some("RU"))));
        assert_eq!(protection.forbids("882161234567"), Some(Forbidden::Country(None)));
        let premium = Some(Forbidden::Prefix(String::from("1900")));
        assert_eq!(protection.forbids("19005550123"), premium);
    }

    #[test]
    fn what_an_organization_sets_takes_the_place_of_the_operators() {
        let operator = Protection { daily_spend: Micros(5), velocity: 7, ..Protection::default() };
        let own = Overrides { daily_spend: Some(Micros(0)), ..Overrides::default() };
        let both = operator.with(&own);
        assert_eq!((both.daily_spend, both.velocity), (Micros(0), 7));
    }
}
