//! One upstream SMPP account: `[[carriers]]`.

use std::collections::BTreeMap;
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
    #[serde(default)]
    pub bind_mode: BindMode,
    #[serde(default)]
    pub tls: bool,
    /// Take the certificate only if it is the host's, and of an authority that is trusted.
    #[serde(default = "yes")]
    pub tls_verify: bool,
    /// PEM file of authorities, in place of those that the machine trusts.
    #[serde(default, deserialize_with = "some_text")]
    pub tls_ca_file: Option<String>,
    #[serde(default)]
    pub interface_version: InterfaceVersion,
    /// None of these four: as `[smpp]` says.
    #[serde(default)]
    pub enquire_link_s: Option<u64>,
    #[serde(default)]
    pub response_timeout_s: Option<u64>,
    #[serde(default)]
    pub reconnect_min_s: Option<u64>,
    #[serde(default)]
    pub reconnect_max_s: Option<u64>,
    /// In place of what the sender's and the recipient's kind ask for.
    #[serde(default)]
    pub source_ton: Option<u8>,
    #[serde(default)]
    pub source_npi: Option<u8>,
    #[serde(default)]
    pub dest_ton: Option<u8>,
    #[serde(default)]
    pub dest_npi: Option<u8>,
    /// How texts of the GSM alphabet are written.
    #[serde(default)]
    pub default_encoding: DefaultEncoding,
    /// What data_coding says of them.
    #[serde(default)]
    pub gsm7_data_coding: Option<u8>,
    /// Ask for receipts.
    #[serde(default = "yes")]
    pub dlr_expected: bool,
    /// None: as `smpp.receipt_timeout_h` says.
    #[serde(default)]
    pub dlr_timeout_h: Option<u64>,
    #[serde(default)]
    pub dlr_id_format: DlrIdFormat,
    /// What a receipt's state makes of a message, where it is not the usual.
    #[serde(default)]
    pub state_map: BTreeMap<ReceiptState, ReceiptMeaning>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BindMode {
    #[default]
    Transceiver,
    TransmitterReceiver,
    Transmitter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum InterfaceVersion {
    #[serde(rename = "3.3")]
    V33,
    #[default]
    #[serde(rename = "3.4")]
    V34,
    #[serde(rename = "5.0")]
    V50,
}

impl InterfaceVersion {
    /// As a bind writes it.
    #[must_use]
    pub fn octet(self) -> u8 {
        match self {
            Self::V33 => 0x33,
            Self::V34 => 0x34,
            Self::V50 => 0x50,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultEncoding {
    #[default]
    Gsm7,
    Latin1,
}

/// How the id of an answer becomes the id of the receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DlrIdFormat {
    /// It is the same; where it is not, hexadecimal and decimal are tried.
    #[default]
    AsIs,
    HexToDec,
    DecToHex,
}

/// message_state, or its word in a receipt's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptMeaning {
    /// History only.
    Ignored,
    Delivered,
    Undelivered,
    Expired,
    Failed,
    Rejected,
    SubmittedNoReceipt,
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
        // The book says 15; some carriers give longer ones.
        let system_id = (1..=64).contains(&self.system_id.len()) && self.system_id.is_ascii();
        faults.unless(system_id, key, "system_id", "1 to 64 ASCII characters");
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
        for (field, seconds, most) in [
            ("enquire_link_s", self.enquire_link_s, 3_600),
            ("response_timeout_s", self.response_timeout_s, 600),
            ("reconnect_min_s", self.reconnect_min_s, 3_600),
            ("reconnect_max_s", self.reconnect_max_s, 86_400),
            ("dlr_timeout_h", self.dlr_timeout_h, 720),
        ] {
            faults.range(seconds.unwrap_or(1), 1..=most, key, field);
        }
        for (field, octet, most) in [
            ("source_ton", self.source_ton, 6),
            ("source_npi", self.source_npi, 18),
            ("dest_ton", self.dest_ton, 6),
            ("dest_npi", self.dest_npi, 18),
        ] {
            faults.range(u64::from(octet.unwrap_or(0)), 0..=most, key, field);
        }
    }

    /// What is wrong with it: each key, and what it must be.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Faults::default();
        self.check("", &mut faults);
        let pair = |text: String| {
            let (key, expected) = text.split_once(" must be ")?;
            Some((key.trim_start_matches('.').to_owned(), expected.to_owned()))
        };
        faults.0.into_iter().filter_map(pair).collect()
    }
}
