//! Which carrier takes a message: the table of carriers, how each stands, and the choice.
//!
//! pulse     how a carrier stands, told by its owner in atomics
//! breaker   when too many errors open a carrier's circuit
//! table     the carriers, found by prefix, country and network; never changed, replaced whole
//! choose    filters, then the order: longest prefix, priority, cost, quality, weight
//! spread    shares by weight that hold exactly
//! sticky    who was written to by which carrier before
//!
//! Shared by all that accept and by the carriers' owners; no actor. Asking takes one read lock for
//! the time of a pointer's copy, and never waits. It keeps nothing that could be lost with it.

pub mod breaker;
mod choose;
pub mod pulse;
mod spread;
mod sticky;
mod table;

use std::sync::{Arc, PoisonError, RwLock};

use model::address::SenderKind;
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::message::Category;
use model::money::Micros;
use model::route::{NetworkSource, RouteNote};
use proto_smpp::split::Concat;

use super::admission::Routes;
use breaker::Circuit;
use pulse::{Pulse, Pulses};
use spread::Spread;
use sticky::Sticky;
pub(in crate::traffic) use table::Table;

/// Carriers that one message is tried at, at most.
pub const TRIED_MAX: usize = 3;

/// One carrier as routing sees it.
#[derive(Clone, Debug)]
pub struct CarrierRoute {
    pub id: CarrierId,
    pub name: Arc<str>,
    /// Takes no message while false.
    pub enabled: bool,
    /// The higher goes first among equally long prefixes.
    pub priority: i64,
    /// Its share among carriers that are equal in all else.
    pub weight: u32,
    /// 0 to 100; the higher goes first among equals in cost.
    pub quality: u8,
    /// What a part costs at this carrier; the lower goes first among equals in priority.
    pub cost_rate: Micros,
    /// Digits without `+`; none at all means every destination.
    pub prefixes: Vec<String>,
    /// ISO 3166; none means every country.
    pub countries: Vec<String>,
    /// Networks by MCC and MNC, or whole countries by MCC; none means every network.
    pub mccmnc: Vec<String>,
    /// None means every kind of sender.
    pub sender_types: Vec<SenderKind>,
    pub circuit: Circuit,
    /// The only organization that may use it; `None` is a carrier of the platform.
    pub organization: Option<OrgId>,
    pub default_sender: Option<String>,
    pub concat: Concat,
}

impl CarrierRoute {
    /// A carrier of the platform that takes every message.
    #[must_use]
    pub fn new(id: CarrierId, name: &str) -> Self {
        Self {
            id,
            name: Arc::from(name),
            enabled: true,
            priority: 0,
            weight: 1,
            quality: 50,
            cost_rate: Micros::ZERO,
            prefixes: Vec::new(),
            countries: Vec::new(),
            mccmnc: Vec::new(),
            sender_types: Vec::new(),
            circuit: Circuit::default(),
            organization: None,
            default_sender: None,
            concat: Concat::default(),
        }
    }
}

/// What routing needs to know of a message.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub organization: OrgId,
    /// The recipient without `+`.
    pub digits: &'a str,
    /// `None`: the carrier's default, or the switch's.
    pub sender: Option<(&'a str, SenderKind)>,
    pub category: Category,
    pub mccmnc: Option<&'a str>,
    pub network: NetworkSource,
    /// Names the long message of which this is one part: all its parts go one way.
    pub long: Option<u64>,
    /// Carriers not to be asked again.
    pub tried: &'a [CarrierId],
    pub now: At,
}

/// Where a message goes.
#[derive(Clone, Copy)]
pub(in crate::traffic) struct Choice<'a> {
    pub(in crate::traffic) id: CarrierId,
    /// A sandbox need not be listed among the carriers.
    pub(in crate::traffic) carrier: Option<&'a CarrierRoute>,
    pub(in crate::traffic) sandbox: bool,
    pub(in crate::traffic) note: RouteNote,
}

/// The shared router; a clone is the same one.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    table: RwLock<Arc<Table>>,
    memory: Memory,
}

/// What outlives a table.
#[derive(Default)]
pub(in crate::traffic) struct Memory {
    pulses: Pulses,
    spread: Spread,
    sticky: Sticky,
}

impl Default for Router {
    fn default() -> Self {
        Self::new(Routes::default())
    }
}

impl Router {
    #[must_use]
    pub fn new(routes: Routes) -> Self {
        let memory = Memory::default();
        let table = RwLock::new(Arc::new(Table::new(routes, &memory.pulses)));
        Self(Arc::new(Inner { table, memory }))
    }

    /// Takes other routes and rates from the next question on.
    pub fn replace(&self, routes: Routes) {
        let table = Arc::new(Table::new(routes, &self.0.memory.pulses));
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// How a carrier stands, for its owner to tell.
    #[must_use]
    pub fn pulse(&self, carrier: CarrierId) -> Arc<Pulse> {
        self.0.memory.pulses.of(carrier)
    }

    /// Another carrier for a message of the live traffic that these have not taken.
    #[must_use]
    pub fn elsewhere(&self, wish: &Wish<'_>) -> Option<CarrierRoute> {
        let table = self.table();
        table.way(wish, &self.0.memory).ok().and_then(|choice| choice.carrier).cloned()
    }

    pub(in crate::traffic) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::traffic) fn memory(&self) -> &Memory {
        &self.0.memory
    }
}

#[cfg(test)]
mod tests;
