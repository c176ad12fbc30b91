//! Trunks as the settings want them: how their names are found, whom TLS trusts, how we register.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::system_lookup;
use actors::sip::minder::{LEAVE, Ways};
use actors::sip::names::{Limits, Names};
use actors::sip::srv;
use actors::sip::trunks::{Health, Registered, Trunks};
use actors::smpp::tls::{Tls, Trust};
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result};
use metrics::gauge;
use proto_sip::registration::Settings as Registration;
use ractor::ActorRef;
use supervisors::restart::Policy;
use supervisors::root::RootMsg;
use supervisors::sip::SipArgs;
use supervisors::trunks::TrunksArgs;

use crate::settings::Settings;

/// Names that are remembered, and questions that wait for the machine's resolver at once.
const NAMES_MAX: usize = 10_000;
const ASKS_MAX: usize = 64;
/// Those of one organization.
const ASKS_EACH_MAX: usize = 8;
/// Between two tellings of a trunk's health.
const TELL: Duration = Duration::from_secs(30);

/// How other telephone systems are found and known.
pub(super) struct Outside {
    pub(super) names: Names,
    pub(super) tls: Option<Tls>,
}

impl Outside {
    /// Fails on a file of authorities that cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let sip = &settings.sip;
        let limits = Limits {
            names_max: NAMES_MAX,
            asks_max: ASKS_MAX,
            asks_each_max: ASKS_EACH_MAX,
            patience: Duration::from_secs(sip.name_timeout_s),
            keep: Duration::from_secs(sip.name_keep_s),
        };
        let tls = match &sip.trunk_ca_file {
            Some(file) => {
                let tls = Tls::new(Trust::File(Path::new(file)));
                Some(tls.map_err(anyhow::Error::msg).context("sip.trunk_ca_file")?)
            }
            None => Tls::new(Trust::Machine).ok(),
        };
        let names = Names::serving(system_lookup(), srv::system_services(), limits);
        Ok(Self { names, tls })
    }
}

/// Who minds the trunks of a switch whose SIP is made of these.
pub(super) fn minded(
    settings: &Settings,
    sip: &SipArgs,
    trunks: &Trunks,
    outside: &Outside,
    writer: &WriterHandle,
) -> TrunksArgs {
    let (wires, shards) = (sip.handle.clone(), sip.handle.clone());
    let ways = Ways {
        wire: Box::new(move || wires.wire()),
        shard: Box::new(move |call_id| shards.shard(call_id)),
        own: sip.own.clone(),
        names: outside.names.clone(),
        trunks: trunks.clone(),
        tls: outside.tls.clone(),
        writer: writer.clone(),
        registration: Registration {
            expires_s: settings.sip.trunk_expires_s,
            retry_min: Duration::from_secs(settings.sip.trunk_retry_min_s),
            retry_max: Duration::from_secs(settings.sip.trunk_retry_max_s),
            agent: String::from("Orbit"),
        },
        tell: TELL,
    };
    TrunksArgs { ways: Arc::new(ways), policy: Policy::WORKER }
}

/// Ends our registrations, when the process ends.
pub(super) async fn leave(root: &ActorRef<RootMsg>) {
    let reply = |reply| RootMsg::DrainTrunks { reply };
    let _ = root.call(reply, Some(LEAVE + Duration::from_secs(1))).await;
}

/// What is said of trunks when somebody asks for metrics: each of the operator's, and how many there are.
#[expect(clippy::cast_precision_loss, reason = "trunks are far fewer than 2^52")]
pub(super) fn publish(trunks: &Trunks) {
    let mut counts = [[0_usize; 3]; 2];
    for running in trunks.all() {
        let (trunk, health) = (&running.trunk, running.live.health());
        let is_ours = trunk.organization.is_none();
        counts[usize::from(is_ours)][health as usize] += 1;
        if !is_ours {
            continue;
        }
        let name = trunk.name.to_string();
        let up = f64::from(u8::from(health != Health::Down));
        gauge!("orbit_trunk_up", "trunk" => name.clone()).set(up);
        gauge!("orbit_trunk_calls", "trunk" => name.clone()).set(running.live.calls() as f64);
        if trunk.registers() {
            let registered = running.live.standing().registered == Registered::Yes;
            gauge!("orbit_trunk_registered", "trunk" => name).set(f64::from(u8::from(registered)));
        }
    }
    for (owner, counts) in ["organization", "operator"].into_iter().zip(counts) {
        for health in Health::ALL {
            let count = counts[health as usize] as f64;
            gauge!("orbit_trunks", "owner" => owner, "health" => health.as_str()).set(count);
        }
    }
}
