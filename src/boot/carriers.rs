//! Carrier accounts of the settings and of the API, and the sandbox's two, as supervisors and
//! routing want them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::directory::Directory;
use actors::smpp::alerts::Alerts;
use actors::smpp::hand::Condemned;
use actors::smpp::owner::Views;
use actors::smpp::profile::{
    self, Doubt, Endpoint, Link, Profile, Retry, Timers, VendorStatus, WhenInDoubt,
};
use actors::smpp::quirks::Quirks;
use actors::smpp::tls::{Tls, Trust};
use actors::smpp::translate::{self, Dialect};
use actors::traffic::router::breaker::Circuit;
use actors::traffic::router::{CarrierRoute, Detours, SANDBOX, SANDBOX_LIVE};
use actors::traffic::sweeper::SweeperArgs;
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result, bail};
use model::carrier::{CarrierId, OrgId};
use model::id::{Kind, PublicId};
use model::message::Status;
use model::money::Micros;
use model::refusal::MessageError;
use proto_smpp::message_id::Rule;
use proto_smpp::receipt::State;
use proto_smpp::split::Concat;
use sha2::{Digest as _, Sha256};
use store::Store;
use store::lane::{Admin, AdminDone, Work};
use supervisors::carrier::CarrierArgs;
use supervisors::restart::Policy;
use supervisors::sandbox::SandboxHandle;

use crate::carriers::{self, Book, Filed};
use crate::settings::{
    self, BindMode, Carrier, DefaultEncoding, DlrIdFormat, ReceiptMeaning, ReceiptState, Settings,
};

/// A carrier that answers slowly should be fed no more than this by the sandbox's binds.
const SANDBOX_WINDOW: usize = 200;

/// Sends of a message that is never answered.
const DOUBT_TRIES: i64 = 3;

/// The least rest after a carrier refused our name or password: tries lock accounts out.
const LOCKED_OUT: Duration = Duration::from_secs(60);
/// The least rest while a carrier still holds an earlier connection of ours.
const ALREADY_BOUND: Duration = Duration::from_secs(10);

/// The sandbox's own statuses for what it refuses.
const SANDBOX_STATUSES: &[VendorStatus] = &[
    (0x400, Status::Failed, Some(MessageError::CarrierRejected)),
    (0x401, Status::Blocked, Some(MessageError::Blocked)),
    (0x402, Status::Rejected, Some(MessageError::CarrierRejected)),
];

/// What every account is given.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) writer: WriterHandle,
    pub(crate) directory: Directory,
    pub(crate) views: Views,
    pub(crate) condemned: Condemned,
    pub(crate) sandbox: SandboxHandle,
    pub(crate) detours: Detours,
    pub(crate) alerts: Alerts,
}

/// All account names that have work: the settings', and the sandbox's.
pub(crate) fn names(settings: &Settings) -> Vec<String> {
    let mut names: Vec<String> = settings.carriers.iter().map(|c| c.name.clone()).collect();
    if settings.sandbox.enabled {
        names.extend([SANDBOX, SANDBOX_LIVE].map(String::from));
    }
    names
}

/// The stored numbers of account names, made for new ones.
pub(crate) async fn identify(
    store: &Store,
    names: &[String],
) -> Result<HashMap<String, CarrierId>> {
    let mut lane = store.lane(translate::alternatives, false).await?;
    let admin = names.iter().map(|name| Admin::NameCarrier { name: name.clone() }).collect();
    let done = lane.commit(&Work { admin, ..Work::default() }).await?;
    let mut ids = HashMap::new();
    for (name, done) in names.iter().zip(done.admin) {
        let AdminDone::Carrier { id, .. } = done else { bail!("carrier {name} has no number") };
        ids.insert(name.clone(), id);
    }
    Ok(ids)
}

/// The carriers of the settings, with the organizations that they name.
pub(crate) async fn filed(
    settings: &Settings,
    ids: &HashMap<String, CarrierId>,
    store: &Store,
) -> Result<Vec<Filed>> {
    let mut filed = Vec::new();
    for carrier in &settings.carriers {
        let organization = organization(store, carrier).await?;
        let Some(id) = ids.get(&carrier.name).copied() else { continue };
        // What cannot be run is said before anything starts.
        profile(carrier, organization, settings, None)
            .map_err(|why| anyhow::anyhow!("carrier {}: {why}", carrier.name))?;
        filed.push(Filed { id, carrier: carrier.clone(), organization });
    }
    Ok(filed)
}

/// The sandbox's accounts.
pub(super) fn sandboxes(settings: &Settings, parts: &Parts) -> Vec<CarrierArgs> {
    if !settings.sandbox.enabled {
        return Vec::new();
    }
    [SANDBOX, SANDBOX_LIVE].map(|name| account(sandbox(settings, name, parts), parts)).into()
}

/// How an account is run. `only`: it may be at public addresses and in these networks alone.
pub(crate) fn profile(
    carrier: &Carrier,
    organization: Option<OrgId>,
    settings: &Settings,
    only: Option<&Networks>,
) -> Result<Profile, String> {
    let tls = if carrier.tls { Some(tls(carrier)?) } else { None };
    let (host, port) = (carrier.host.clone(), carrier.port);
    Ok(Profile {
        name: Arc::from(carrier.name.as_str()),
        endpoint: Endpoint::Tcp { host, port, tls, only: only.cloned() },
        system_id: carrier.system_id.clone(),
        password: carrier.password.reveal().to_owned(),
        system_type: carrier.system_type.clone(),
        connections: carrier.connections as usize,
        window: carrier.window_size as usize,
        tps: carrier.tps as usize,
        concat: concat(carrier.concat),
        dialect: Dialect::STANDARD,
        validity_period: carrier.validity_period,
        organization,
        vendor_statuses: &[],
        receipt_timeout: hours(carrier.dlr_timeout_h.unwrap_or(settings.smpp.receipt_timeout_h)),
        timers: timers_of(carrier, settings),
        retry: retry(settings),
        doubt: doubt(settings),
        link: Link {
            mode: match carrier.bind_mode {
                BindMode::Transceiver => profile::BindMode::Transceiver,
                BindMode::TransmitterReceiver => profile::BindMode::TransmitterReceiver,
                BindMode::Transmitter => profile::BindMode::Transmitter,
            },
            interface_version: carrier.interface_version.octet(),
            told: organization.map(|organization| (organization, told_as(&carrier.name))),
        },
        quirks: quirks(carrier),
        made_of: made_of(carrier, organization),
    })
}

/// An account without binds: what waits there expires, or is given to others.
pub(crate) fn parked(name: &str, settings: &Settings) -> Profile {
    Profile {
        name: Arc::from(name),
        endpoint: Endpoint::Pipe(Arc::new(|| None)),
        system_id: String::new(),
        password: String::new(),
        system_type: String::new(),
        connections: 0,
        window: 0,
        tps: 0,
        concat: Concat::Udh8,
        dialect: Dialect::STANDARD,
        validity_period: true,
        organization: None,
        vendor_statuses: &[],
        receipt_timeout: hours(settings.smpp.receipt_timeout_h),
        timers: timers(settings),
        retry: retry(settings),
        doubt: doubt(settings),
        link: Link::default(),
        quirks: Quirks::default(),
        made_of: [0; 32],
    }
}

/// The carrier as routing sees it.
pub(crate) fn route(carrier: &Carrier, id: CarrierId, organization: Option<OrgId>) -> CarrierRoute {
    let circuit = &carrier.circuit;
    CarrierRoute {
        organization,
        enabled: carrier.enabled,
        priority: i64::from(carrier.priority),
        weight: carrier.weight,
        quality: carrier.quality,
        cost_rate: Micros(carrier.cost_rate_micros),
        prefixes: carrier.prefixes.clone(),
        countries: carrier.countries.clone(),
        mccmnc: carrier.mccmnc.clone(),
        sender_types: carrier.sender_types.iter().map(|kind| (*kind).into()).collect(),
        circuit: Circuit {
            error_rate: circuit.error_rate,
            window: Duration::from_secs(circuit.window_s),
            min: circuit.min,
            open: Duration::from_secs(circuit.open_s),
        },
        default_sender: carrier.default_sender.clone(),
        concat: concat(carrier.concat),
        ..CarrierRoute::new(id, &carrier.name)
    }
}

/// The same, for whatever is sent by it.
pub(crate) fn for_all(carrier: &Carrier) -> Carrier {
    Carrier {
        enabled: true,
        prefixes: Vec::new(),
        countries: Vec::new(),
        mccmnc: Vec::new(),
        sender_types: Vec::new(),
        ..carrier.clone()
    }
}

/// Looks after the receipts of every account, and of those that ended.
pub(super) fn sweeper(book: &Book, parts: &Parts) -> SweeperArgs {
    let book = book.clone();
    let carriers = Arc::new(move || book.watched());
    SweeperArgs::new(parts.store.clone(), parts.writer.clone(), carriers)
}

pub(crate) fn account(profile: Profile, parts: &Parts) -> CarrierArgs {
    CarrierArgs {
        profile: Arc::new(profile),
        store: parts.store.clone(),
        writer: parts.writer.clone(),
        directory: parts.directory.clone(),
        views: parts.views.clone(),
        condemned: parts.condemned.clone(),
        detours: parts.detours.clone(),
        alerts: parts.alerts.clone(),
        policy: Policy::WORKER,
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

fn tls(carrier: &Carrier) -> Result<Tls, String> {
    let file = carrier.tls_ca_file.as_deref().map(Path::new);
    Tls::new(match file {
        _ if !carrier.tls_verify => Trust::Anyone,
        Some(file) => Trust::File(file),
        None => Trust::Machine,
    })
}

fn timers_of(carrier: &Carrier, settings: &Settings) -> Timers {
    let usual = timers(settings);
    let or = |seconds: Option<u64>, usual| seconds.map_or(usual, Duration::from_secs);
    Timers {
        enquire_link: or(carrier.enquire_link_s, usual.enquire_link),
        response: or(carrier.response_timeout_s, usual.response),
        reconnect_min: or(carrier.reconnect_min_s, usual.reconnect_min),
        reconnect_max: or(carrier.reconnect_max_s, usual.reconnect_max),
        ..usual
    }
}

fn quirks(carrier: &Carrier) -> Quirks {
    let status = |meaning: &ReceiptMeaning| match meaning {
        ReceiptMeaning::Ignored => None,
        ReceiptMeaning::Delivered => Some(Status::Delivered),
        ReceiptMeaning::Undelivered => Some(Status::Undelivered),
        ReceiptMeaning::Expired => Some(Status::Expired),
        ReceiptMeaning::Failed => Some(Status::Failed),
        ReceiptMeaning::Rejected => Some(Status::Rejected),
        ReceiptMeaning::SubmittedNoReceipt => Some(Status::SubmittedNoReceipt),
    };
    let state = |state: &ReceiptState| match state {
        ReceiptState::Enroute => State::Enroute,
        ReceiptState::Delivered => State::Delivered,
        ReceiptState::Expired => State::Expired,
        ReceiptState::Deleted => State::Deleted,
        ReceiptState::Undeliverable => State::Undeliverable,
        ReceiptState::Accepted => State::Accepted,
        ReceiptState::Unknown => State::Unknown,
        ReceiptState::Rejected => State::Rejected,
    };
    Quirks {
        source_ton: carrier.source_ton,
        source_npi: carrier.source_npi,
        dest_ton: carrier.dest_ton,
        dest_npi: carrier.dest_npi,
        latin1: carrier.default_encoding == DefaultEncoding::Latin1,
        gsm7_data_coding: carrier.gsm7_data_coding,
        no_receipts: !carrier.dlr_expected,
        id_rule: match carrier.dlr_id_format {
            DlrIdFormat::AsIs => Rule::Same,
            DlrIdFormat::HexToDec => Rule::HexToDec,
            DlrIdFormat::DecToHex => Rule::DecToHex,
        },
        states: carrier.state_map.iter().map(|(from, to)| (state(from), status(to))).collect(),
    }
}

/// The carrier's public id: an API's account is named by it.
fn told_as(account: &str) -> String {
    match PublicId::parse(Kind::Carrier, account) {
        Some(_) => account.to_owned(),
        None => carriers::filed_id(account).show(Kind::Carrier),
    }
}

/// What of an account its binds and its owner go by. Routing takes the rest without them.
pub(crate) fn made_of(carrier: &Carrier, organization: Option<OrgId>) -> [u8; 32] {
    let routed = Carrier {
        priority: 0,
        cost_rate_micros: 0,
        quality: 0,
        weight: 0,
        default_sender: None,
        organization: None,
        ..for_all(carrier)
    };
    let text = serde_json::to_string(&routed).unwrap_or_default();
    let mut digest = Sha256::new();
    for part in [text.as_str(), carrier.password.reveal(), &format!("{organization:?}")] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn sandbox(settings: &Settings, name: &str, parts: &Parts) -> Profile {
    let pipe = parts.sandbox.clone();
    let timers = timers(settings);
    let short = Duration::from_millis(200);
    Profile {
        name: Arc::from(name),
        endpoint: Endpoint::Pipe(Arc::new(move || pipe.connect())),
        system_id: name.to_owned(),
        password: String::from("sandbox"),
        system_type: String::new(),
        connections: 1,
        window: SANDBOX_WINDOW,
        tps: 0,
        concat: Concat::Udh8,
        dialect: Dialect::STANDARD,
        validity_period: true,
        organization: None,
        vendor_statuses: SANDBOX_STATUSES,
        receipt_timeout: Duration::from_secs(settings.sandbox.receipt_timeout_s),
        timers: Timers { reconnect_min: short, reconnect_max: short, ..timers },
        retry: retry(settings),
        doubt: doubt(settings),
        link: Link::default(),
        quirks: Quirks::default(),
        made_of: [0; 32],
    }
}

async fn organization(store: &Store, carrier: &Carrier) -> Result<Option<OrgId>> {
    let Some(id) = carrier.organization_id() else { return Ok(None) };
    let found = store.organization(id).await?;
    let found = found.with_context(|| {
        let (name, organization) = (&carrier.name, carrier.organization.as_deref());
        format!("carrier {name}: no organization {}", organization.unwrap_or_default())
    })?;
    Ok(Some(OrgId(found.id)))
}

fn timers(settings: &Settings) -> Timers {
    let smpp = &settings.smpp;
    Timers {
        enquire_link: Duration::from_secs(smpp.enquire_link_s),
        response: Duration::from_secs(smpp.response_timeout_s),
        write: Duration::from_secs(smpp.write_timeout_s),
        bind: Duration::from_secs(smpp.bind_timeout_s),
        reconnect_min: Duration::from_secs(smpp.reconnect_min_s),
        reconnect_max: Duration::from_secs(smpp.reconnect_max_s),
        locked_out: LOCKED_OUT,
        already_bound: ALREADY_BOUND,
        inbound_window: smpp.inbound_window,
    }
}

fn retry(settings: &Settings) -> Retry {
    Retry {
        attempts: i64::from(settings.smpp.retry_attempts),
        base: Duration::from_millis(settings.smpp.retry_base_ms),
        throttled_for: Duration::from_secs(settings.routing.throttled_s),
    }
}

fn doubt(settings: &Settings) -> Doubt {
    let when = |doubt| match doubt {
        settings::Doubt::Resend => WhenInDoubt::Resend,
        settings::Doubt::GiveUp => WhenInDoubt::GiveUp,
    };
    let rules = &settings.in_doubt;
    Doubt {
        wait: Duration::from_secs(rules.wait_s),
        tries: DOUBT_TRIES,
        otp: when(rules.otp),
        transactional: when(rules.transactional),
        service: when(rules.service),
        marketing: when(rules.marketing),
    }
}

fn concat(concat: settings::Concat) -> Concat {
    match concat {
        settings::Concat::Udh8 => Concat::Udh8,
        settings::Concat::Udh16 => Concat::Udh16,
        settings::Concat::SarTlv => Concat::SarTlv,
        settings::Concat::MessagePayload => Concat::MessagePayload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::address::SenderKind;

    #[test]
    fn a_carriers_keys_of_routing_reach_the_router() {
        let keys = [
            ("name", "a"),
            ("host", "h"),
            ("system_id", "s"),
            ("password", "p"),
            ("enabled", "false"),
            ("priority", "3"),
            ("weight", "4"),
            ("quality", "60"),
            ("cost_rate_micros", "700"),
            ("circuit__error_rate", "0.2"),
            ("circuit__window_s", "10"),
            ("circuit__min", "5"),
            ("circuit__open_s", "7"),
        ];
        let file = std::env::temp_dir().join(format!("orbit-routes-{}.toml", std::process::id()));
        let lists = "prefixes = [\"1\"]\ncountries = [\"US\"]\nmccmnc = [\"310\"]\n\
            sender_types = [\"short_code\"]\n";
        let keys: String = keys
            .iter()
            .map(|(key, value)| {
                let quoted = ["name", "host", "system_id", "password"].contains(key);
                let value = if quoted { format!("\"{value}\"") } else { (*value).to_owned() };
                format!("{} = {value}\n", key.replace("__", "."))
            })
            .collect();
        std::fs::write(&file, format!("[[carriers]]\n{keys}{lists}")).unwrap();
        let settings = Settings::load(Some(&file), Vec::new(), Vec::new());
        std::fs::remove_file(&file).unwrap();
        let route = route(&settings.unwrap().carriers[0], CarrierId(1), None);
        assert!(!route.enabled);
        assert_eq!((route.priority, route.weight, route.quality), (3, 4, 60));
        assert_eq!(route.cost_rate, Micros(700));
        assert_eq!((route.prefixes, route.mccmnc), (vec!["1".into()], vec!["310".into()]));
        assert_eq!(route.countries, ["US"]);
        assert_eq!(route.sender_types, [SenderKind::ShortCode]);
        let (window, open) = (Duration::from_secs(10), Duration::from_secs(7));
        assert_eq!(route.circuit, Circuit { error_rate: 0.2, window, min: 5, open });
    }
}
