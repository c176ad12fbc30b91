//! The carrier accounts of the settings, and the sandbox's two, as supervisors want them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actors::directory::Directory;
use actors::smpp::hand::Condemned;
use actors::smpp::owner::Views;
use actors::smpp::profile::{Doubt, Endpoint, Profile, Retry, Timers, VendorStatus, WhenInDoubt};
use actors::smpp::translate::{self, Dialect};
use actors::traffic::router::breaker::Circuit;
use actors::traffic::router::{CarrierRoute, Detours};
use actors::traffic::sweeper::SweeperArgs;
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result, bail};
use model::carrier::{CarrierId, OrgId};
use model::message::Status;
use model::money::Micros;
use model::refusal::MessageError;
use proto_smpp::split::Concat;
use store::Store;
use store::lane::{Admin, AdminDone, Work};
use supervisors::carrier::CarrierArgs;
use supervisors::restart::Policy;
use supervisors::sandbox::SandboxHandle;

use crate::settings::{self, Carrier, Settings};

/// Takes test messages; the recipient's last digit decides.
pub(super) const SANDBOX: &str = "sandbox";
/// The same SMSC for live messages, which it delivers.
pub(super) const SANDBOX_LIVE: &str = "sandbox-live";
/// A carrier that answers slowly should be fed no more than this by the sandbox's binds.
const SANDBOX_WINDOW: usize = 200;

/// Sends of a message that is never answered.
const DOUBT_TRIES: i64 = 3;

/// The sandbox's own statuses for what it refuses.
const SANDBOX_STATUSES: &[VendorStatus] = &[
    (0x400, Status::Failed, Some(MessageError::CarrierRejected)),
    (0x401, Status::Blocked, Some(MessageError::Blocked)),
    (0x402, Status::Rejected, Some(MessageError::CarrierRejected)),
];

/// What every account is given.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) writer: WriterHandle,
    pub(super) directory: Directory,
    pub(super) views: Views,
    pub(super) condemned: Condemned,
    pub(super) sandbox: SandboxHandle,
    pub(super) detours: Detours,
}

/// All account names that have work: the settings', and the sandbox's.
pub(super) fn names(settings: &Settings) -> Vec<String> {
    let mut names: Vec<String> = settings.carriers.iter().map(|c| c.name.clone()).collect();
    if settings.sandbox.enabled {
        names.extend([SANDBOX, SANDBOX_LIVE].map(String::from));
    }
    names
}

/// The stored numbers of account names, made for new ones.
pub(super) async fn identify(
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

/// The accounts to run, and the routes to those of the settings.
pub(super) async fn accounts(
    settings: &Settings,
    ids: &HashMap<String, CarrierId>,
    parts: &Parts,
) -> Result<(Vec<CarrierArgs>, Vec<CarrierRoute>)> {
    let (mut accounts, mut routes) = (Vec::new(), Vec::new());
    for carrier in &settings.carriers {
        let organization = organization(&parts.store, carrier).await?;
        let concat = concat(carrier.concat);
        let profile = Profile {
            name: Arc::from(carrier.name.as_str()),
            endpoint: Endpoint::Tcp { host: carrier.host.clone(), port: carrier.port },
            system_id: carrier.system_id.clone(),
            password: carrier.password.reveal().to_owned(),
            system_type: carrier.system_type.clone(),
            connections: carrier.connections as usize,
            window: carrier.window_size as usize,
            tps: carrier.tps as usize,
            concat,
            dialect: Dialect::STANDARD,
            validity_period: carrier.validity_period,
            organization,
            vendor_statuses: &[],
            receipt_timeout: Duration::from_secs(settings.smpp.receipt_timeout_h * 3_600),
            timers: timers(settings),
            retry: retry(settings),
            doubt: doubt(settings),
        };
        let Some(id) = ids.get(&carrier.name).copied() else { continue };
        routes.push(CarrierRoute { id, organization, ..route(carrier) });
        accounts.push(account(profile, parts));
    }
    if settings.sandbox.enabled {
        for name in [SANDBOX, SANDBOX_LIVE] {
            accounts.push(account(sandbox(settings, name, parts), parts));
        }
    }
    Ok((accounts, routes))
}

/// A carrier of the settings as routing sees it, but for its numbers.
fn route(carrier: &Carrier) -> CarrierRoute {
    let circuit = &carrier.circuit;
    CarrierRoute {
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
        ..CarrierRoute::new(CarrierId(0), &carrier.name)
    }
}

/// Looks after the receipts of every account.
pub(super) fn sweeper(
    accounts: &[CarrierArgs],
    ids: &HashMap<String, CarrierId>,
    parts: &Parts,
) -> SweeperArgs {
    let timeouts: Vec<(CarrierId, Duration)> = accounts
        .iter()
        .filter_map(|account| {
            let id = ids.get(&*account.profile.name)?;
            Some((*id, account.profile.receipt_timeout))
        })
        .collect();
    SweeperArgs::new(parts.store.clone(), parts.writer.clone(), Arc::new(move || timeouts.clone()))
}

fn account(profile: Profile, parts: &Parts) -> CarrierArgs {
    CarrierArgs {
        profile: Arc::new(profile),
        store: parts.store.clone(),
        writer: parts.writer.clone(),
        directory: parts.directory.clone(),
        views: parts.views.clone(),
        condemned: parts.condemned.clone(),
        detours: parts.detours.clone(),
        policy: Policy::WORKER,
    }
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
        bind: Duration::from_secs(smpp.bind_timeout_s),
        reconnect_min: Duration::from_secs(smpp.reconnect_min_s),
        reconnect_max: Duration::from_secs(smpp.reconnect_max_s),
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
        let route = route(&settings.unwrap().carriers[0]);
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
