//! What calls cost, how long they last, and what bounds them: `[voice]`.

use std::time::Duration;

use model::voice::{Bounds, Pace};
use serde::{Deserialize, Serialize};

use super::{Faults, Profile, is_prefix, some_text};

/// What the documentation promises each organization: calls at once, and new ones a second.
const DOCUMENTED: (u32, u32) = (50, 1);

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    #[serde(deserialize_with = "some_text")]
    pub rates_file: Option<String>,
    pub ring_timeout_s: u64,
    pub max_duration_s: u64,
    pub checkpoint_s: u64,
    pub concurrent_calls_max: u32,
    pub calls_per_second: u32,
    pub calls_burst: u32,
    pub blocked_prefixes: Vec<String>,
    pub trust_caller_ids: bool,
    pub ladder_days: u64,
    pub ladder_pieces_max: u64,
}

impl Voice {
    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "voice";
        faults.range(self.ring_timeout_s, 1..=600, section, "ring_timeout_s");
        faults.range(self.max_duration_s, 1..=604_800, section, "max_duration_s");
        faults.range(self.checkpoint_s, 1..=3_600, section, "checkpoint_s");
        let many = 0..=1_000_000;
        let concurrent = u64::from(self.concurrent_calls_max);
        faults.range(concurrent, many.clone(), section, "concurrent_calls_max");
        faults.range(u64::from(self.calls_per_second), many.clone(), section, "calls_per_second");
        faults.range(u64::from(self.calls_burst), 1..=1_000_000, section, "calls_burst");
        let fit = self.blocked_prefixes.iter().all(|prefix| is_prefix(prefix));
        faults.unless(fit, section, "blocked_prefixes", "1 to 15 digits each, without +");
        faults.range(self.ladder_days, 0..=36_500, section, "ladder_days");
        faults.range(self.ladder_pieces_max, 0..=100_000_000, section, "ladder_pieces_max");
    }

    /// What bounds each organization's calls.
    #[must_use]
    pub fn bounds(&self, profile: Profile) -> Bounds {
        let (concurrent, per_second) = match profile {
            Profile::Open => (0, 0),
            Profile::Documented => DOCUMENTED,
        };
        let own = |value: u32, other: u32| if value == 0 { other } else { value };
        Bounds {
            concurrent_max: i64::from(own(self.concurrent_calls_max, concurrent)),
            pace: Pace {
                per_second: own(self.calls_per_second, per_second),
                burst: self.calls_burst,
            },
            blocked_prefixes: self.blocked_prefixes.clone(),
            no_ladders: self.ladder_pieces_max == 0,
        }
    }

    #[must_use]
    pub fn checkpoint(&self) -> Duration {
        Duration::from_secs(self.checkpoint_s)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, super::super::SettingsError> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Settings::load(None, Vec::new(), pairs.iter().map(owned).collect())
    }

    #[test]
    fn calls_are_unbounded_but_for_dear_numbers_unless_the_operator_says_otherwise() {
        let voice = with(&[]).unwrap().voice;
        let open = voice.bounds(Profile::Open);
        assert_eq!((open.concurrent_max, open.pace.per_second), (0, 0));
        assert!(open.blocks("19005550123").is_some() && open.blocks("14155550123").is_none());
        let documented = voice.bounds(Profile::Documented);
        assert_eq!((documented.concurrent_max, documented.pace.per_second), (50, 1));
        let own = with(&[("voice.concurrent_calls_max", "7")]).unwrap().voice;
        assert_eq!(own.bounds(Profile::Documented).concurrent_max, 7);
        assert_eq!(own.checkpoint(), Duration::from_secs(10));
    }

    #[test]
    fn bad_values_are_refused_by_their_key() {
        for (key, value) in [
            ("voice.ring_timeout_s", "0"),
            ("voice.max_duration_s", "604801"),
            ("voice.checkpoint_s", "0"),
            ("voice.calls_burst", "0"),
        ] {
            let error = with(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn the_table_in_the_program_prices_calls_both_ways() {
        let rates = with(&[]).unwrap().read_voice_rates().unwrap();
        let now = model::clock::At(1_700_000_000_000_000);
        for direction in model::message::Direction::ALL {
            assert!(rates.find(*direction, "14155550123", now).is_some());
        }
        let missing = with(&[("voice.rates_file", "/nonexistent.csv")]).unwrap();
        let error = missing.read_voice_rates().unwrap_err().to_string();
        assert!(error.contains("voice.rates_file /nonexistent.csv"), "{error}");
    }
}
