//! `[protection]`: what guards organizations that set nothing themselves.

use model::country::is_country;
use model::money::Micros;
use model::protection;
use serde::{Deserialize, Serialize};

use super::Faults;

/// Amounts and rates above this are slips of the finger.
pub(crate) const MICROS_MAX: i64 = 1_000_000_000_000_000;
pub(crate) const VELOCITY_MAX: i64 = 10_000_000;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    pub allowed_countries: Vec<String>,
    pub blocked_prefixes: Vec<String>,
    pub daily_spend_micros: i64,
    pub velocity_per_minute: i64,
    pub otp_velocity_per_minute: i64,
    pub balance_low_micros: i64,
}

impl Protection {
    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "protection";
        let known = self.allowed_countries.iter().all(|country| is_country(country));
        let countries = "ISO 3166 codes in capitals, as in [\"US\", \"DE\"]";
        faults.unless(known, section, "allowed_countries", countries);
        let fit = self.blocked_prefixes.iter().all(|prefix| is_prefix(prefix));
        faults.unless(fit, section, "blocked_prefixes", "1 to 15 digits each, without +");
        let mut range = |value: i64, most: i64, key: &str| {
            let expected = format!("0 to {most}, not {value}");
            faults.unless((0..=most).contains(&value), section, key, &expected);
        };
        range(self.daily_spend_micros, MICROS_MAX, "daily_spend_micros");
        range(self.velocity_per_minute, VELOCITY_MAX, "velocity_per_minute");
        range(self.otp_velocity_per_minute, VELOCITY_MAX, "otp_velocity_per_minute");
        range(self.balance_low_micros, MICROS_MAX, "balance_low_micros");
    }

    /// As those who guard know it.
    #[must_use]
    pub fn rules(&self) -> protection::Protection {
        protection::Protection {
            allowed_countries: self.allowed_countries.clone(),
            blocked_prefixes: self.blocked_prefixes.clone(),
            daily_spend: Micros(self.daily_spend_micros),
            velocity: self.velocity_per_minute,
            otp_velocity: self.otp_velocity_per_minute,
            balance_low: Micros(self.balance_low_micros),
        }
    }
}

/// Digits that numbers may begin with.
pub(crate) fn is_prefix(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn with(key: &str, value: &str) -> Result<Settings, super::super::SettingsError> {
        let file = std::env::temp_dir().join(format!("orbit-{}-{key}.toml", std::process::id()));
        std::fs::write(&file, format!("[protection]\n{key} = {value}\n")).unwrap();
        let settings = Settings::load(Some(&file), Vec::new(), Vec::new());
        std::fs::remove_file(&file).unwrap();
        settings
    }

    #[test]
    fn what_guards_by_default_is_satellites_and_a_pace_for_codes() {
        let settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        let rules = settings.protection.rules();
        assert!(rules.forbids("881612345678").is_some() && rules.forbids("33612345678").is_none());
        assert_eq!((rules.velocity, rules.otp_velocity, rules.daily_spend.0), (0, 600, 0));
    }

    #[test]
    fn bad_values_are_refused_by_their_key() {
        for (key, value) in [
            ("allowed_countries", "[\"us\"]"),
            ("blocked_prefixes", "[\"+881\"]"),
            ("daily_spend_micros", "-1"),
            ("otp_velocity_per_minute", "10000001"),
        ] {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.contains(&format!("protection.{key}")), "{error}");
        }
        let france = with("allowed_countries", "[\"FR\"]").unwrap().protection.rules();
        assert!(france.forbids("14155550123").is_some());
    }
}
