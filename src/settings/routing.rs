//! When messages leave their carrier for another, and who knows of ported numbers: `[routing]
//! [portability]`.

use std::time::Duration;

use actors::traffic::router::portability::{Hook, NUMBER};
use serde::{Deserialize, Serialize};

use super::{Faults, Secret, some_text};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    pub down_after_s: u64,
    pub throttled_s: u64,
}

impl Routing {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.down_after_s, 0..=86_400, "routing", "down_after_s");
        faults.range(self.throttled_s, 0..=86_400, "routing", "throttled_s");
    }
}

/// A look-up of networks by number.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Portability {
    #[serde(deserialize_with = "some_text")]
    pub url: Option<String>,
    pub token: Secret,
    pub timeout_ms: u64,
    pub ttl_s: u64,
    pub cache_max: usize,
    pub in_flight_max: usize,
}

impl Portability {
    /// How it is asked; `None`: it is not.
    #[must_use]
    pub fn hook(&self) -> Option<Hook> {
        let token = self.token.reveal();
        Some(Hook {
            url: self.url.clone()?,
            token: (!token.is_empty()).then(|| token.to_owned()),
            timeout: Duration::from_millis(self.timeout_ms),
            ttl: Duration::from_secs(self.ttl_s),
            cache_max: self.cache_max,
            in_flight_max: self.in_flight_max,
        })
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let url = self.url.as_deref();
        let fits = url.is_none_or(|url| {
            (url.starts_with("http://") || url.starts_with("https://")) && url.contains(NUMBER)
        });
        let expected = "http:// or https:// with {number} in it, or empty";
        faults.unless(fits, "portability", "url", expected);
        faults.range(self.timeout_ms, 10..=10_000, "portability", "timeout_ms");
        faults.range(self.ttl_s, 1..=31_536_000, "portability", "ttl_s");
        faults.range(self.cache_max as u64, 1..=10_000_000, "portability", "cache_max");
        faults.range(self.in_flight_max as u64, 1..=10_000, "portability", "in_flight_max");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_needs_a_url_with_a_place_for_the_number() {
        let portability = |url: Option<&str>| Portability {
            url: url.map(str::to_owned),
            token: Secret::from(String::from("sesame")),
            timeout_ms: 500,
            ttl_s: 60,
            cache_max: 1,
            in_flight_max: 1,
        };
        let faults = |url| {
            let mut faults = Faults::default();
            portability(url).check(&mut faults);
            faults.0.len()
        };
        assert_eq!([None, Some("https://x/{number}")].map(faults), [0, 0]);
        assert_eq!([Some("https://x/"), Some("ftp://x/{number}")].map(faults), [1, 1]);
        assert!(portability(None).hook().is_none());
        let hook = portability(Some("http://x/{number}")).hook().unwrap();
        assert_eq!(
            (hook.token.as_deref(), hook.timeout),
            (Some("sesame"), Duration::from_millis(500))
        );
    }
}
