//! How events reach customers' endpoints: `[webhooks]`.

use actors::customer::webhook::guard::Networks;
use serde::{Deserialize, Serialize};

use super::Faults;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    pub endpoints_max: u32,
    pub retry_delays_s: Vec<u64>,
    pub timeout_s: u64,
    pub in_flight_max: usize,
    pub expire_h: u64,
    pub disable_after_h: u64,
    pub secret_grace_h: u64,
    pub log_days: u64,
    pub allowed_networks: Vec<String>,
}

impl Webhooks {
    /// The private networks that endpoints may be in.
    #[must_use]
    pub fn networks(&self) -> Networks {
        Networks::parse(&self.allowed_networks).unwrap_or_default()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "webhooks";
        faults.range(u64::from(self.endpoints_max), 1..=10_000, section, "endpoints_max");
        let steps = self.retry_delays_s.len() as u64;
        faults.range(steps, 0..=20, section, "retry_delays_s (how many)");
        let longest = self.retry_delays_s.iter().copied().max().unwrap_or_default();
        faults.range(longest, 0..=604_800, section, "retry_delays_s");
        faults.range(self.timeout_s, 1..=300, section, "timeout_s");
        faults.range(self.in_flight_max as u64, 1..=1_000, section, "in_flight_max");
        faults.range(self.expire_h, 1..=720, section, "expire_h");
        faults.range(self.disable_after_h, 1..=8_760, section, "disable_after_h");
        faults.range(self.secret_grace_h, 0..=720, section, "secret_grace_h");
        faults.range(self.log_days, 1..=3_650, section, "log_days");
        if let Err(bad) = Networks::parse(&self.allowed_networks) {
            let expected = format!("networks such as 10.0.0.0/8, not \"{bad}\"");
            faults.unless(false, section, "allowed_networks", &expected);
        }
    }
}
