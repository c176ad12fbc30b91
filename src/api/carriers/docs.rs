//! What goes in and comes out, for the OpenAPI document: bodies are read field by field, by the
//! rules of the settings file, and answers are made from the same struct.
#![expect(dead_code, reason = "schemas are described, not built")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What may be said of a new credential.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CredentialIn {
    /// At most 64 ASCII characters (SMPP 3.4 says 8). Shown once, by `reveal`.
    password: String,
    #[serde(flatten)]
    rest: CredentialPatch,
}

/// What may be changed of a credential; what is left out stays, null is the default.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CredentialPatch {
    /// 1 to 100 characters; the system_id when left out.
    name: Option<String>,
    /// Required of a new one. A host name, or a public address.
    #[schema(example = "smsc.example.com")]
    host: Option<String>,
    /// 2775; with TLS 3550.
    port: Option<u16>,
    /// Required of a new one. 1 to 15 ASCII characters.
    #[schema(example = "acme")]
    system_id: Option<String>,
    /// At most 12 ASCII characters.
    system_type: Option<String>,
    /// `transceiver`, `transmitter_receiver` or `transmitter`.
    bind_mode: Option<String>,
    tls: Option<bool>,
    /// The certificate must be the host's, of an authority that is trusted.
    tls_verify: Option<bool>,
    /// `3.3`, `3.4` or `5.0`.
    interface_version: Option<String>,
    /// 1 to 10 binds, or pairs of them.
    connections: Option<u32>,
    /// 1 to 10000 unanswered submits per bind.
    window_size: Option<u32>,
    /// Submits per second over all binds, at most 100000; 0 for no limit.
    tps: Option<u32>,
    /// 1 to 3600.
    enquire_link_s: Option<u64>,
    /// 1 to 600.
    response_timeout_s: Option<u64>,
    /// 1 to 3600.
    reconnect_min_s: Option<u64>,
    /// 1 to 86400.
    reconnect_max_s: Option<u64>,
}

/// A credential.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialOut {
    #[schema(example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    name: String,
    /// `api`, or `settings`: that of a carrier of the settings file.
    source: String,
    /// `disabled`, `connecting`, `bound`, `degraded` or `failed`.
    status: String,
    /// Why the last connection ended, or why it cannot be run.
    last_error: Option<String>,
    /// The carrier that binds with it.
    carrier_id: Option<String>,
    /// When its password was shown.
    revealed_at: Option<String>,
    host: String,
    port: u16,
    system_id: String,
    system_type: String,
    bind_mode: String,
    tls: bool,
    tls_verify: bool,
    tls_ca_file: Option<String>,
    interface_version: String,
    connections: u32,
    window_size: u32,
    tps: u32,
    /// null: as the switch is set; so the next three.
    enquire_link_s: Option<u64>,
    response_timeout_s: Option<u64>,
    reconnect_min_s: Option<u64>,
    reconnect_max_s: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// Another password; one is made when it is left out.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RotateIn {
    /// At most 64 ASCII characters.
    password: Option<String>,
}

/// A password, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasswordOut {
    id: String,
    /// null: it is the one that was given.
    password: Option<String>,
}

/// How an account stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatusOut {
    /// `disabled`, `connecting`, `bound`, `degraded` (some binds are up) or `failed`.
    status: String,
    last_error: Option<String>,
    carrier_id: Option<String>,
    /// Messages stored for it and not yet done with.
    waiting: i64,
    /// Parts that a bind has, or will in a moment.
    in_flight: i64,
    /// Messages that may have left.
    in_doubt: i64,
    binds: Vec<BindOut>,
}

/// One bind.
#[derive(Serialize, ToSchema)]
pub(crate) struct BindOut {
    /// `transmitter`, `receiver` or `transceiver`.
    r#type: String,
    /// `connecting`, `bound` or `failed`.
    status: String,
    since: String,
    /// Submits without an answer.
    window_in_use: i64,
    last_enquire_link_at: Option<String>,
    last_error: Option<String>,
}

/// What may be said of a new carrier.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CarrierIn {
    #[schema(example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    credential_id: String,
    #[serde(flatten)]
    rest: CarrierPatch,
}

/// What may be changed of a carrier; what is left out stays, null is the default.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CarrierPatch {
    /// 1 to 100 characters; its id when left out.
    name: Option<String>,
    /// Another credential, which no carrier uses.
    credential_id: Option<String>,
    enabled: Option<bool>,
    #[serde(flatten)]
    settings: CarrierSettings,
}

/// What a carrier is chosen for, and its habits.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct CarrierSettings {
    /// Of messages that name no sender.
    default_sender: Option<String>,
    /// The higher goes first among equally long prefixes.
    priority: Option<i32>,
    /// Of recipients' digits, without +; empty for all.
    prefixes: Option<Vec<String>>,
    /// Among equals in priority the cheaper goes first: millionths of a dollar a part.
    cost_rate_micros: Option<i64>,
    /// 0 to 100: then the better.
    quality: Option<u8>,
    /// 1 to 10000: then weights share.
    weight: Option<u32>,
    /// ISO 3166; empty for all.
    countries: Option<Vec<String>>,
    /// MCC and MNC, or MCC alone; empty for all.
    mccmnc: Option<Vec<String>>,
    /// Of `alphanumeric`, `international`, `short_code`; empty for all.
    sender_types: Option<Vec<String>>,
    circuit: Option<CircuitSettings>,
    /// `udh8`, `udh16`, `sar_tlv` or `message_payload`.
    concat: Option<String>,
    /// Tell the carrier how long it may try a message.
    validity_period: Option<bool>,
    /// 0 to 6; null: by the kind of sender.
    source_ton: Option<u8>,
    /// 0 to 18.
    source_npi: Option<u8>,
    /// 0 to 6.
    dest_ton: Option<u8>,
    /// 0 to 18.
    dest_npi: Option<u8>,
    /// `gsm7` or `latin1`: how texts of the GSM alphabet are written.
    default_encoding: Option<String>,
    /// What data_coding says of them; null: 0.
    gsm7_data_coding: Option<u8>,
    /// Ask for receipts.
    dlr_expected: Option<bool>,
    /// 1 to 720; null: as the switch is set.
    dlr_timeout_h: Option<u64>,
    /// `as_is`, `hex_to_dec` or `dec_to_hex`: from the id in the answer to that in the receipt.
    dlr_id_format: Option<String>,
    /// From `enroute`, `delivered`, `expired`, `deleted`, `undeliverable`, `accepted`, `unknown`,
    /// `rejected` to `ignored`, `delivered`, `undelivered`, `expired`, `failed`, `rejected`,
    /// `submitted_no_receipt`.
    state_map: Option<BTreeMap<String, String>>,
}

/// When a carrier is spared for a while because of its errors.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct CircuitSettings {
    /// More than 0, at most 1.
    error_rate: Option<f64>,
    /// 1 to 3600.
    window_s: Option<u64>,
    /// Answers in the window before the rate counts.
    min: Option<u32>,
    /// 1 to 3600.
    open_s: Option<u64>,
}

/// A carrier.
#[derive(Serialize, ToSchema)]
pub(crate) struct CarrierOut {
    #[schema(example = "car_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    name: String,
    /// `api`, or `settings`: it stands in the settings file.
    source: String,
    /// `org`, or `platform`.
    scope: String,
    credential_id: String,
    enabled: bool,
    /// `disabled`, `connecting`, `bound`, `degraded` or `failed`.
    status: String,
    last_error: Option<String>,
    #[serde(flatten)]
    settings: CarrierSettings,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A test message.
#[derive(Deserialize, ToSchema)]
pub(crate) struct TestIn {
    #[schema(example = "+14155550123")]
    to: String,
    /// The carrier's default, or the switch's.
    from: Option<String>,
    /// A word of ours when left out.
    body: Option<String>,
}
