//! Phones and calls: `[sip] [emergency] [numbers]`.

use std::net::SocketAddr;

use actors::customer::webhook::guard::Networks;
use model::emergency::{self, EXTRA_DIGITS};
use model::sip;
use proto_sip::digest::Algorithm;
use serde::{Deserialize, Serialize};

use super::{Faults, some_address, some_text};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// UDP and TCP.
    #[serde(deserialize_with = "some_address")]
    pub bind: Option<SocketAddr>,
    #[serde(deserialize_with = "some_address")]
    pub tls_bind: Option<SocketAddr>,
    #[serde(deserialize_with = "some_text")]
    pub tls_cert: Option<String>,
    #[serde(deserialize_with = "some_text")]
    pub tls_key: Option<String>,
    #[serde(deserialize_with = "some_text")]
    pub public_address: Option<String>,
    pub allowed_origins: Vec<String>,
    pub domain: String,
    pub public_port: u16,
    pub digest_algorithms: Vec<String>,
    pub digest_without_qop: bool,
    pub nonce_life_s: u64,
    pub expires_min_s: u32,
    pub expires_max_s: u32,
    pub expires_default_s: u32,
    pub lockout_tries: u32,
    pub lockout_within_s: u64,
    pub lockout_s: u64,
    pub scanners: Vec<String>,
    pub connections_max: usize,
    pub per_address_max: usize,
    pub unbound_per_address_max: usize,
    pub message_max_bytes: usize,
    pub message_timeout_s: u64,
    pub write_timeout_s: u64,
    pub idle_timeout_s: u64,
    pub shards: usize,
    pub messages_max: usize,
    pub registers_max: usize,
    pub transactions_max: usize,
    pub calls_max: usize,
    pub session_timer_s: u32,
    pub retry_after_s: u32,
    pub credentials_per_organization_max: u32,
    pub trunk_networks: Vec<String>,
    #[serde(deserialize_with = "some_text")]
    pub trunk_ca_file: Option<String>,
    pub trunk_expires_s: u32,
    pub trunk_retry_min_s: u64,
    pub trunk_retry_max_s: u64,
    pub name_keep_s: u64,
    pub name_timeout_s: u64,
}

impl Sip {
    /// The private networks that organizations' trunks may be in.
    #[must_use]
    pub fn networks(&self) -> Networks {
        Networks::parse(&self.trunk_networks).unwrap_or_default()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let expected = "a domain in lower case, as sip.example.com";
        faults.unless(sip::is_domain(&self.domain), "sip", "domain", expected);
        faults.range(u64::from(self.public_port), 1..=65_535, "sip", "public_port");
        if let Err(bad) = Networks::parse(&self.trunk_networks) {
            let expected = format!("networks such as 10.0.0.0/8, not \"{bad}\"");
            faults.unless(false, "sip", "trunk_networks", &expected);
        }
        let most = u64::from(self.credentials_per_organization_max);
        faults.range(most, 0..=1_000_000, "sip", "credentials_per_organization_max");
        let files = self.tls_cert.is_some() && self.tls_key.is_some();
        let expected = "set together with sip.tls_cert and sip.tls_key";
        faults.unless(files || self.tls_bind.is_none(), "sip", "tls_bind", expected);
        let names = self.algorithms().len();
        let expected = "a list of MD5 and SHA-256, the better first";
        let known = names > 0 && names == self.digest_algorithms.len();
        faults.unless(known, "sip", "digest_algorithms", expected);
        let named = self.scanners.iter().all(|name| (3..=64).contains(&name.len()));
        faults.unless(named, "sip", "scanners", "names of 3 to 64 characters");
        self.check_ranges(faults);
    }

    fn check_ranges(&self, faults: &mut Faults) {
        let long = |number: usize| number as u64;
        let least = u64::from(self.expires_min_s);
        let most = u64::from(self.expires_max_s);
        let usual = u64::from(self.expires_default_s);
        let million = 1_000_000;
        for (value, range, key) in [
            (self.nonce_life_s, 10..=86_400, "nonce_life_s"),
            (least, 1..=86_400, "expires_min_s"),
            (most, least..=604_800, "expires_max_s"),
            (usual, least..=most, "expires_default_s"),
            (u64::from(self.lockout_tries), 0..=million, "lockout_tries"),
            (self.lockout_within_s, 1..=86_400, "lockout_within_s"),
            (self.lockout_s, 1..=86_400, "lockout_s"),
            (long(self.connections_max), 1..=million, "connections_max"),
            (long(self.per_address_max), 1..=million, "per_address_max"),
            (long(self.unbound_per_address_max), 1..=million, "unbound_per_address_max"),
            (long(self.message_max_bytes), 2_048..=65_535, "message_max_bytes"),
            (self.message_timeout_s, 1..=600, "message_timeout_s"),
            (self.write_timeout_s, 1..=600, "write_timeout_s"),
            (self.idle_timeout_s, 1..=86_400, "idle_timeout_s"),
            (long(self.shards), 1..=64, "shards"),
            (long(self.messages_max), 64..=million, "messages_max"),
            (long(self.registers_max), 64..=million, "registers_max"),
            (long(self.transactions_max), 1_000..=10 * million, "transactions_max"),
            (u64::from(self.retry_after_s), 1..=3_600, "retry_after_s"),
            (long(self.calls_max), 1..=million, "calls_max"),
            (u64::from(self.session_timer_s), 0..=86_400, "session_timer_s"),
            (u64::from(self.trunk_expires_s), 30..=86_400, "trunk_expires_s"),
            (self.trunk_retry_min_s, 1..=3_600, "trunk_retry_min_s"),
            (
                self.trunk_retry_max_s,
                self.trunk_retry_min_s.min(3_600)..=86_400,
                "trunk_retry_max_s",
            ),
            (self.name_keep_s, 1..=86_400, "name_keep_s"),
            (self.name_timeout_s, 1..=10, "name_timeout_s"),
        ] {
            faults.range(value, range, "sip", key);
        }
    }

    /// In the order in which they are offered; what is none is left out.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let known = [Algorithm::Md5, Algorithm::Sha256];
        let named = |name: &String| known.into_iter().find(|one| one.name() == name);
        self.digest_algorithms.iter().filter_map(named).collect()
    }
}

/// Numbers that are never called.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    pub extra_codes: Vec<String>,
}

impl Emergency {
    #[must_use]
    pub fn matcher(&self) -> emergency::Emergency {
        emergency::Emergency::new(&self.extra_codes)
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let fits = self.extra_codes.iter().all(|code| emergency::is_code(code));
        let (least, most) = (EXTRA_DIGITS.start(), EXTRA_DIGITS.end());
        let expected = format!("a list of codes of {least} to {most} digits");
        faults.unless(fits, "emergency", "extra_codes", &expected);
    }
}

/// Phone numbers of organizations.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    pub parked_days: u64,
    pub grace_days: u64,
    pub suspended_days: u64,
    pub renew_sweep_s: u64,
}

impl Numbers {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.parked_days, 0..=365, "numbers", "parked_days");
        faults.range(self.grace_days, 0..=365, "numbers", "grace_days");
        faults.range(self.suspended_days, 0..=365, "numbers", "suspended_days");
        faults.range(self.renew_sweep_s, 1..=86_400, "numbers", "renew_sweep_s");
    }
}
