//! One upstream SMPP account: `[[carriers]]`.

use std::fmt;

use model::address::SenderKind;
use model::country::is_country;
use model::id::{Kind, PublicId};
use model::route::is_network;
use serde::{Deserialize, Serialize};

use super::{Faults, some_text};

/// A text that no log, error or listing shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// How the parts of a long message are marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Concat {
    #[default]
    Udh8,
    Udh16,
    SarTlv,
    MessagePayload,
}

/// A kind of sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderType {
    Alphanumeric,
    International,
    ShortCode,
}

impl From<SenderType> for SenderKind {
    fn from(kind: SenderType) -> Self {
        match kind {
            SenderType::Alphanumeric => Self::Alphanumeric,
            SenderType::International => Self::International,
            SenderType::ShortCode => Self::ShortCode,
        }
    }
}

/// When a carrier is spared for a while because of its errors.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circuit {
    pub error_rate: f64,
    pub window_s: u64,
    pub min: u32,
    pub open_s: u64,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { error_rate: 0.5, window_s: 60, min: 20, open_s: 30 }
    }
}

impl Circuit {
    fn check(&self, key: &str, faults: &mut Faults) {
        let key = &format!("{key}.circuit");
        let rate = self.error_rate > 0.0 && self.error_rate <= 1.0;
        faults.unless(rate, key, "error_rate", "more than 0 and at most 1");
        faults.range(self.window_s, 1..=3_600, key, "window_s");
        faults.range(u64::from(self.min), 1..=1_000_000, key, "min");
        faults.range(self.open_s, 1..=3_600, key, "open_s");
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Names the account in the database; must not change once messages were sent.
    pub name: String,
    pub host: String,
    #[serde(default = "smpp_port")]
    pub port: u16,
    pub system_id: String,
    pub password: Secret,
    #[serde(default)]
    pub system_type: String,
    #[serde(default = "one")]
    pub connections: u32,
    #[serde(default = "hundred")]
    pub window_size: u32,
    /// Submits per second of the whole account; 0 is no limit.
    #[serde(default)]
    pub tps: u32,
    /// The only organization it serves; none: all.
    #[serde(default, deserialize_with = "some_text")]
    pub organization: Option<String>,
    #[serde(default, deserialize_with = "some_text")]
    pub default_sender: Option<String>,
    /// Takes no messages while false; what waits for it goes elsewhere.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The higher goes first among equally long prefixes.
    #[serde(default)]
    pub priority: i32,
    /// Among equals in priority the cheaper goes first, then the better; then weights share.
    #[serde(default)]
    pub cost_rate_micros: i64,
    #[serde(default = "fifty")]
    pub quality: u8,
    #[serde(default = "one")]
    pub weight: u32,
    /// Of recipients' digits; empty: all.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// ISO 3166; empty: all.
    #[serde(default)]
    pub countries: Vec<String>,
    /// MCC and MNC, or MCC alone; empty: all.
    #[serde(default)]
    pub mccmnc: Vec<String>,
    /// Empty: all.
    #[serde(default)]
    pub sender_types: Vec<SenderType>,
    #[serde(default)]
    pub circuit: Circuit,
    #[serde(default)]
    pub concat: Concat,
    /// Tell the carrier how long it may try a message.
    #[serde(default = "yes")]
    pub validity_period: bool,
}

fn smpp_port() -> u16 {
    2775
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn hundred() -> u32 {
    100
}

fn fifty() -> u8 {
    50
}

impl Carrier {
    /// The organization it serves alone.
    #[must_use]
    pub fn organization_id(&self) -> Option<PublicId> {
        PublicId::parse(Kind::Organization, self.organization.as_deref()?)
    }

    pub(super) fn check(&self, key: &str, faults: &mut Faults) {
        let name_fits = (1..=64).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        faults.unless(name_fits, key, "name", "1 to 64 letters, digits, - _ .");
        let ours = ["sandbox", "sandbox-live"].contains(&self.name.to_ascii_lowercase().as_str());
        faults.unless(!ours, key, "name", "another one: the program's own carriers are called so");
        faults.unless(!self.host.is_empty(), key, "host", "a host name or address");
        faults.unless(self.port != 0, key, "port", "1 to 65535");
        let system_id = (1..=15).contains(&self.system_id.len()) && self.system_id.is_ascii();
        faults.unless(system_id, key, "system_id", "1 to 15 ASCII characters");
        let password = self.password.reveal();
        let fits = password.len() <= 64 && password.is_ascii() && !password.contains('\0');
        faults.unless(fits, key, "password", "at most 64 ASCII characters");
        let fits = self.system_type.len() <= 12 && self.system_type.is_ascii();
        faults.unless(fits, key, "system_type", "at most 12 ASCII characters");
        faults.range(u64::from(self.connections), 1..=10, key, "connections");
        faults.range(u64::from(self.window_size), 1..=10_000, key, "window_size");
        faults.range(u64::from(self.tps), 0..=100_000, key, "tps");
        let known = self.organization.is_none() || self.organization_id().is_some();
        let expected = "org_ and 32 hexadecimal digits, or empty";
        faults.unless(known, key, "organization", expected);
        let sender = self.default_sender.as_deref();
        let fits = sender.is_none_or(|sender| SenderKind::of(sender).is_some());
        faults.unless(fits, key, "default_sender", super::SENDER);
        let digits =
            |p: &String| (1..=15).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
        let fits = self.prefixes.iter().all(digits);
        faults.unless(fits, key, "prefixes", "texts of 1 to 15 digits, without +");
        let fits = self.countries.iter().all(|country| is_country(country));
        faults.unless(fits, key, "countries", "ISO 3166 codes of two capital letters");
        let fits = self.mccmnc.iter().all(|network| is_network(network));
        faults.unless(fits, key, "mccmnc", "texts of 3, 5 or 6 digits");
        faults.range(u64::from(self.weight), 1..=10_000, key, "weight");
        faults.range(u64::from(self.quality), 0..=100, key, "quality");
        let cost = u64::try_from(self.cost_rate_micros).unwrap_or(u64::MAX);
        faults.range(cost, 0..=1_000_000_000, key, "cost_rate_micros");
        self.circuit.check(key, faults);
    }
}
