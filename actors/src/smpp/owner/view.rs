//! What an operator sees of a carrier: kept by its owner, read by the API and the CLI.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{Gauge, gauge};
use model::carrier::CarrierId;

use super::bind_view::{BindStanding, BindView};
use crate::series::Series;
use crate::smpp::profile::Profile;

/// One carrier account, as it stands.
#[derive(Debug)]
pub struct CarrierView {
    pub id: CarrierId,
    pub name: Arc<str>,
    /// How many binds it has.
    pub connections: usize,
    pub binds: Vec<Arc<BindView>>,
    bound: AtomicUsize,
    waiting: AtomicI64,
    oldest: AtomicI64,
    in_flight: AtomicUsize,
    in_doubt: AtomicUsize,
    paused: AtomicBool,
    last_error: Mutex<String>,
    meters: Meters,
}

struct Meters {
    waiting: Gauge,
    age: Gauge,
    in_flight: Gauge,
    in_doubt: Gauge,
    bound: Gauge,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    /// A carrier that is gone has nothing any more.
    fn clear(&self, name: &str) {
        gauge!("orbit_binds_configured", "carrier" => name.to_owned()).set(0.0);
        let all = [&self.waiting, &self.age, &self.in_flight, &self.in_doubt, &self.bound];
        all.iter().for_each(|gauge| gauge.set(0.0));
    }
}

/// All carriers by name. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Views {
    all: Arc<RwLock<BTreeMap<Arc<str>, Arc<CarrierView>>>>,
    series: Series,
}

impl Views {
    /// Of carriers whose metrics are kept there.
    #[must_use]
    pub fn measured(series: Series) -> Self {
        Self { series, ..Self::default() }
    }

    /// The view of an account, made on its first owner's start and kept over restarts.
    pub(super) fn enter(&self, profile: &Profile, id: CarrierId) -> Arc<CarrierView> {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let view = all
            .entry(profile.name.clone())
            .or_insert_with(|| Arc::new(CarrierView::new(id, profile)));
        view.bound.store(0, Ordering::Release);
        view.clone()
    }

    /// Forgets an account that is gone, and all that was measured of it.
    pub fn forget(&self, name: &str) {
        self.remove(name);
        self.series.forget(name);
    }

    /// Forgets an account's view: its next owner makes another one.
    pub fn remove(&self, name: &str) {
        let gone = self.all.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(view) = gone {
            view.meters.clear(name);
        }
    }

    #[must_use]
    pub fn all(&self) -> Vec<Arc<CarrierView>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<CarrierView>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl CarrierView {
    fn new(id: CarrierId, profile: &Profile) -> Self {
        let name = profile.name.clone();
        let kinds = profile.binds();
        let connections = kinds.len();
        let binds = kinds.into_iter().map(|kind| Arc::new(BindView::new(kind))).collect();
        let label = || name.to_string();
        let meters = Meters {
            waiting: gauge!("orbit_queue_depth", "carrier" => label()),
            age: gauge!("orbit_queue_age_seconds", "carrier" => label()),
            in_flight: gauge!("orbit_in_flight", "carrier" => label()),
            in_doubt: gauge!("orbit_in_doubt", "carrier" => label()),
            bound: gauge!("orbit_binds_bound", "carrier" => label()),
        };
        gauge!("orbit_binds_configured", "carrier" => label()).set(wide(connections));
        Self {
            id,
            name,
            connections,
            binds,
            bound: AtomicUsize::new(0),
            waiting: AtomicI64::new(0),
            oldest: AtomicI64::new(0),
            in_flight: AtomicUsize::new(0),
            in_doubt: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            last_error: Mutex::new(String::new()),
            meters,
        }
    }

    /// How the whole account stands, in one word.
    #[must_use]
    pub fn status(&self) -> &'static str {
        let count = |standing| self.binds.iter().filter(|b| b.standing() == standing).count();
        match count(BindStanding::Bound) {
            0 if self.binds.is_empty() => "disabled",
            0 if count(BindStanding::Failed) > 0 => "failed",
            0 => "connecting",
            bound if bound == self.binds.len() => "bound",
            _ => "degraded",
        }
    }

    #[must_use]
    pub fn bound(&self) -> usize {
        self.bound.load(Ordering::Acquire)
    }

    /// Messages stored for this carrier and not yet done with.
    #[must_use]
    pub fn waiting(&self) -> i64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// When the longest waiting of them was accepted, in microseconds; 0 for none.
    #[must_use]
    pub fn oldest(&self) -> i64 {
        self.oldest.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn in_doubt(&self) -> usize {
        self.in_doubt.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Why the last connection ended; empty when none did.
    #[must_use]
    pub fn last_error(&self) -> String {
        let said = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !said.is_empty() {
            return said;
        }
        // A bind knows a moment before its owner hears of it.
        let mut of_binds = self.binds.iter().map(|bind| bind.last_error());
        of_binds.find(|said| !said.is_empty()).unwrap_or_default()
    }

    pub(super) fn set_error(&self, why: &str) {
        why.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn set_bound(&self, bound: usize) {
        self.bound.store(bound, Ordering::Release);
        self.meters.bound.set(wide(bound));
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    pub(super) fn add_waiting(&self, change: i64) {
        self.waiting.fetch_add(change, Ordering::AcqRel);
    }

    pub(super) fn set_waiting(&self, count: i64) {
        self.waiting.store(count, Ordering::Release);
    }

    pub(super) fn set_under_way(&self, in_flight: usize, in_doubt: usize) {
        self.in_flight.store(in_flight, Ordering::Release);
        self.in_doubt.store(in_doubt, Ordering::Release);
    }

    pub(super) fn set_oldest(&self, at: i64) {
        self.oldest.store(at, Ordering::Release);
    }

    /// Brings the gauges up to date; called when metrics are read, not per message.
    pub fn publish(&self, now_us: i64) {
        self.meters.waiting.set(wide(usize::try_from(self.waiting()).unwrap_or(0)));
        self.meters.in_flight.set(wide(self.in_flight()));
        self.meters.in_doubt.set(wide(self.in_doubt()));
        let oldest = self.oldest();
        let age = if oldest == 0 { 0 } else { (now_us - oldest).max(0) / 1_000_000 };
        self.meters.age.set(wide(usize::try_from(age).unwrap_or(0)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact past 2^52")]
fn wide(count: usize) -> f64 {
    count as f64
}
