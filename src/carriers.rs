//! The book of carriers: those of the settings file and those of the API, as one list that runs.
//!
//! form     which fields there are, and whether they fit
//! change   what callers may do: to an organization's own, or the platform's
//! running  the list as supervisors, routing and the sweeper want it, made anew upon each change
//! show     the list as the API and the desk show it
//!
//! Rows hold the truth. The book reads them, never the other way round; a change that nobody was
//! told of is found by the next look, every half minute.

pub(crate) mod change;
pub(crate) mod form;
mod running;
pub(crate) mod show;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use actors::smpp::owner::{CarrierView, Views};
use actors::traffic::admission::{Admission, Routes};
use actors::traffic::sweeper::Watch;
use actors::writer::WriterHandle;
use model::carrier::{CarrierId, OrgId};
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use sha2::{Digest as _, Sha256};
use store::{Store, StoreError};
use supervisors::carriers::Plan;

use crate::boot::carriers::Parts;
use crate::settings::{Carrier, Settings};
use crate::vault::Vault;

/// All that is wrong with what was asked for.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Vec<Refusal>);

impl Refused {
    pub(crate) fn one(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }

    /// The first of them, for who shows one.
    pub(crate) fn first(self) -> Refusal {
        let none = || Refusal::new(Code::InternalError, "something went wrong here");
        self.0.into_iter().next().unwrap_or_else(none)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::one(refusal)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "reading the store");
        Self::one(Refusal::unavailable("the store does not answer"))
    }
}

/// A carrier of the settings file.
#[derive(Clone)]
pub(crate) struct Filed {
    pub(crate) id: CarrierId,
    pub(crate) carrier: Carrier,
    pub(crate) organization: Option<OrgId>,
}

impl Filed {
    /// Derived from its name, so that it is the same after each start.
    pub(crate) fn carrier_id(&self) -> PublicId {
        filed_id(&self.carrier.name)
    }

    pub(crate) fn credential_id(&self) -> PublicId {
        derived("credential", &self.carrier.name)
    }
}

/// The id of a carrier of the settings file.
pub(crate) fn filed_id(name: &str) -> PublicId {
    derived("carrier", name)
}

fn derived(what: &str, name: &str) -> PublicId {
    let digest = Sha256::digest(format!("settings {what} {name}"));
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    PublicId::from_bytes(octets)
}

/// The book. A clone is the same one.
#[derive(Clone)]
pub struct Book(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Store,
    writer: WriterHandle,
    vault: Vault,
    filed: Vec<Filed>,
    /// None: nothing runs here, rows are changed and no more.
    running: Option<Running>,
}

/// What a running switch does with the book.
struct Running {
    parts: Parts,
    /// The sandbox's accounts.
    sandboxes: Vec<supervisors::carrier::CarrierArgs>,
    admission: Admission,
    /// Without carriers.
    routes: Routes,
    plan: Plan,
    told: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// One look at a time.
    busy: tokio::sync::Mutex<()>,
    /// The accounts whose receipts are looked after.
    watched: RwLock<Vec<Watch>>,
    /// Accounts that cannot be run, and why.
    faults: RwLock<HashMap<String, String>>,
}

/// What a running book is made of.
pub(crate) struct RunningParts {
    pub(crate) parts: Parts,
    pub(crate) sandboxes: Vec<supervisors::carrier::CarrierArgs>,
    pub(crate) admission: Admission,
    pub(crate) routes: Routes,
    pub(crate) plan: Plan,
}

impl Book {
    pub(crate) fn new(
        settings: Settings,
        store: Store,
        writer: WriterHandle,
        vault: Vault,
        filed: Vec<Filed>,
        running: Option<RunningParts>,
    ) -> Self {
        let running = running.map(|parts| Running {
            parts: parts.parts,
            sandboxes: parts.sandboxes,
            admission: parts.admission,
            routes: parts.routes,
            plan: parts.plan,
            told: OnceLock::new(),
            busy: tokio::sync::Mutex::new(()),
            watched: RwLock::default(),
            faults: RwLock::default(),
        });
        Self(Arc::new(Inner { settings, store, writer, vault, filed, running }))
    }

    /// Who is told when the plan is another one.
    pub(crate) fn tell(&self, told: impl Fn() + Send + Sync + 'static) {
        if let Some(running) = &self.0.running {
            let _ = running.told.set(Box::new(told));
        }
    }

    /// Whether an organization may have us connect there, as far as the name tells.
    pub(crate) fn may_lead_to(&self, host: &str, port: u16) -> bool {
        form::may_lead_to(host, port, &self.0.settings.smpp.networks())
    }

    pub(crate) fn filed(&self) -> &[Filed] {
        &self.0.filed
    }

    pub(crate) fn view(&self, account: &str) -> Option<Arc<CarrierView>> {
        self.views()?.find(account)
    }

    /// Whether it has binds, or will in a moment.
    fn is_planned(&self, account: &str) -> bool {
        let plan = self.0.running.as_ref().map(|running| running.plan.accounts());
        let binds = |args: &supervisors::carrier::CarrierArgs| {
            *args.profile.name == *account && args.profile.connections > 0
        };
        plan.is_some_and(|accounts| accounts.iter().any(binds))
    }

    /// How many accounts there should be an owner for.
    #[cfg(test)]
    pub(crate) fn planned(&self) -> usize {
        self.0.running.as_ref().map_or(0, |running| running.plan.accounts().len())
    }

    fn views(&self) -> Option<&Views> {
        self.0.running.as_ref().map(|running| &running.parts.views)
    }

    /// Why an account cannot be run.
    pub(crate) fn fault(&self, account: &str) -> Option<String> {
        let running = self.0.running.as_ref()?;
        let faults = running.faults.read().unwrap_or_else(PoisonError::into_inner);
        faults.get(account).cloned()
    }

    /// The accounts whose receipts are looked after.
    pub(crate) fn watched(&self) -> Vec<Watch> {
        let Some(running) = &self.0.running else { return Vec::new() };
        running.watched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
