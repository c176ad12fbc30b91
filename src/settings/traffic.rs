//! How messages travel: `[smpp] [in_doubt] [inbound] [gates] [sandbox] [schedules] [rates]
//! [senders]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use actors::customer::webhook::guard::Networks;
use model::address::SenderKind;
use model::message::Category;
use serde::{Deserialize, Serialize};

use super::{Faults, some_address, some_text};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Smpp {
    #[serde(deserialize_with = "some_address")]
    pub bind: Option<SocketAddr>,
    #[serde(deserialize_with = "some_address")]
    pub tls_bind: Option<SocketAddr>,
    #[serde(deserialize_with = "some_text")]
    pub tls_cert: Option<String>,
    #[serde(deserialize_with = "some_text")]
    pub tls_key: Option<String>,
    pub connections_max: usize,
    pub per_address_max: usize,
    pub unbound_per_address_max: usize,
    pub lockout_tries: u32,
    pub lockout_within_s: u64,
    pub lockout_s: u64,
    pub enquire_link_s: u64,
    pub response_timeout_s: u64,
    pub write_timeout_s: u64,
    pub bind_timeout_s: u64,
    pub reconnect_min_s: u64,
    pub reconnect_max_s: u64,
    pub receipt_timeout_h: u64,
    pub part_receipts_wait_s: u64,
    pub retry_attempts: u32,
    pub retry_base_ms: u64,
    pub inbound_window: usize,
    pub parked_receipts_max: u32,
    pub alerts_per_second: u32,
    pub credentials_per_organization_max: u32,
    pub carriers_per_organization_max: u32,
    pub carrier_networks: Vec<String>,
}

impl Smpp {
    /// The private networks that organizations' carriers may be in.
    #[must_use]
    pub fn networks(&self) -> Networks {
        Networks::parse(&self.carrier_networks).unwrap_or_default()
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        let files = self.tls_cert.is_some() && self.tls_key.is_some();
        let expected = "set together with smpp.tls_cert and smpp.tls_key";
        faults.unless(files || self.tls_bind.is_none(), "smpp", "tls_bind", expected);
        let many = 1..=1_000_000;
        faults.range(self.connections_max as u64, many.clone(), "smpp", "connections_max");
        faults.range(self.per_address_max as u64, many.clone(), "smpp", "per_address_max");
        let key = "unbound_per_address_max";
        faults.range(self.unbound_per_address_max as u64, many, "smpp", key);
        faults.range(u64::from(self.lockout_tries), 0..=1_000_000, "smpp", "lockout_tries");
        faults.range(self.lockout_within_s, 1..=86_400, "smpp", "lockout_within_s");
        faults.range(self.lockout_s, 1..=86_400, "smpp", "lockout_s");
        faults.range(self.enquire_link_s, 1..=3_600, "smpp", "enquire_link_s");
        faults.range(self.response_timeout_s, 1..=600, "smpp", "response_timeout_s");
        faults.range(self.write_timeout_s, 1..=600, "smpp", "write_timeout_s");
        faults.range(self.bind_timeout_s, 1..=600, "smpp", "bind_timeout_s");
        faults.range(self.reconnect_min_s, 1..=3_600, "smpp", "reconnect_min_s");
        let longest = self.reconnect_min_s..=86_400;
        faults.range(self.reconnect_max_s, longest, "smpp", "reconnect_max_s");
        faults.range(self.receipt_timeout_h, 1..=720, "smpp", "receipt_timeout_h");
        let wait = self.part_receipts_wait_s;
        faults.range(wait, 1..=604_800, "smpp", "part_receipts_wait_s");
        faults.range(u64::from(self.retry_attempts), 0..=100, "smpp", "retry_attempts");
        faults.range(self.retry_base_ms, 1..=600_000, "smpp", "retry_base_ms");
        faults.range(self.inbound_window as u64, 1..=100_000, "smpp", "inbound_window");
        let parked = u64::from(self.parked_receipts_max);
        faults.range(parked, 100..=1_000_000, "smpp", "parked_receipts_max");
        faults.range(u64::from(self.alerts_per_second), 0..=1_000, "smpp", "alerts_per_second");
        let key = "credentials_per_organization_max";
        faults.range(u64::from(self.credentials_per_organization_max), 0..=10_000, "smpp", key);
        let key = "carriers_per_organization_max";
        faults.range(u64::from(self.carriers_per_organization_max), 0..=10_000, "smpp", key);
        if let Err(bad) = Networks::parse(&self.carrier_networks) {
            let expected = format!("networks such as 10.0.0.0/8, not \"{bad}\"");
            faults.unless(false, "smpp", "carrier_networks", &expected);
        }
    }
}

/// What to do with a message that may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    Resend,
    GiveUp,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InDoubt {
    pub otp: Doubt,
    pub transactional: Doubt,
    pub service: Doubt,
    pub marketing: Doubt,
    pub wait_s: u64,
}

impl InDoubt {
    #[must_use]
    pub fn of(&self, category: Category) -> Doubt {
        match category {
            Category::Otp => self.otp,
            Category::Transactional => self.transactional,
            Category::Service => self.service,
            Category::Marketing => self.marketing,
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.wait_s, 0..=86_400, "in_doubt", "wait_s");
    }
}

/// What comes from handsets.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    pub join_parts_s: u64,
}

impl Inbound {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.join_parts_s, 1..=86_400, "inbound", "join_parts_s");
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gates {
    pub accepts_max: usize,
    pub backlog_per_organization_max: u64,
}

impl Gates {
    pub(super) fn check(&self, faults: &mut Faults) {
        let many = 1..=10_000_000;
        faults.range(self.accepts_max as u64, many, "gates", "accepts_max");
        let key = "backlog_per_organization_max";
        faults.range(self.backlog_per_organization_max, 1..=1_000_000_000, "gates", key);
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    pub enabled: bool,
    pub receipt_timeout_s: u64,
}

impl Sandbox {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.receipt_timeout_s, 1..=86_400, "sandbox", "receipt_timeout_s");
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedules {
    pub lead_min_s: u64,
    pub ahead_max_days: u64,
    pub tick_ms: u64,
    pub page: usize,
}

impl Schedules {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range(self.lead_min_s, 0..=86_400, "schedules", "lead_min_s");
        faults.range(self.ahead_max_days, 1..=366, "schedules", "ahead_max_days");
        faults.range(self.tick_ms, 10..=60_000, "schedules", "tick_ms");
        faults.range(self.page as u64, 1..=10_000, "schedules", "page");
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateTable {
    #[serde(deserialize_with = "some_text")]
    pub file: Option<String>,
}

impl RateTable {
    /// The table's file; none: the one in the program.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        self.file.as_deref().map(PathBuf::from)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Senders {
    #[serde(deserialize_with = "some_text")]
    pub default_sender: Option<String>,
    pub require_owned: bool,
}

impl Senders {
    pub(super) fn check(&self, faults: &mut Faults) {
        let sender = self.default_sender.as_deref();
        let fits = sender.is_none_or(|sender| SenderKind::of(sender).is_some());
        faults.unless(fits, "senders", "default_sender", super::SENDER);
    }
}
