//! Which carrier takes a message: the table of carriers, how each stands, and the choice.
//!
//! pulse     how a carrier stands, told by its owner in atomics
//! breaker   when too many errors open a carrier's circuit
//! table     the carriers, found by prefix, country and network; never changed, replaced whole
//! choose    filters, then the order: longest prefix, priority, cost, quality, weight
//! portability  which network a number is of now, by the operator's hook
//! spread    shares by weight that hold exactly
//! simulate  the same without an effect, and what became of each carrier
//! sticky    who was written to by which carrier before
//! texts     which carrier has a text whose parts come one by one
//!
//! Shared by all that accept and by the carriers' owners; no actor. Asking takes one read lock for
//! the time of a pointer's copy, and never waits. It keeps nothing that could be lost with it.

pub mod breaker;
mod choose;
pub mod portability;
pub mod pulse;
pub mod simulate;
mod spread;
mod sticky;
mod table;
mod texts;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use model::address::{Recipient, SenderKind};
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::Category;
use model::money::Micros;
use model::pool::Pool;
use model::route::{NetworkSource, RouteNote};
use model::routing::Rule;
use proto_smpp::split::Concat;

use super::admission::Routes;
use breaker::Circuit;
use portability::{Known, Portability};
use pulse::{Pulse, Pulses};
use spread::Spread;
use sticky::Sticky;
pub(in crate::traffic) use table::Table;
use texts::Texts;
pub(in crate::traffic) use texts::text_of;

/// The program's own carrier for test messages; the recipient's last digit decides. Its messages may
/// wait in the store when there is no sandbox any more.
pub const SANDBOX: &str = "sandbox";
/// The same SMSC for live messages, which it delivers.
pub const SANDBOX_LIVE: &str = "sandbox-live";
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
    /// Names the text of which this is one part: all its parts go one way.
    pub text: Option<u64>,
    /// The only carriers, where the message's pool names some.
    pub only: Option<&'a [CarrierId]>,
    /// Carriers not to be asked again.
    pub tried: &'a [CarrierId],
    /// Asked without an effect.
    pub dry: bool,
    pub now: At,
}

/// What a carrier's owner knows of a message that is to go elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub organization: OrgId,
    /// E.164.
    pub to: &'a str,
    pub from: &'a str,
    pub kind: Option<SenderKind>,
    pub category: Category,
    pub submitted: Option<&'a Submitted>,
    /// The pool that its sender is of, by number.
    pub pool: Option<i64>,
    /// Carriers that had it.
    pub tried: &'a [CarrierId],
    pub now: At,
}

impl<'a> Asked<'a> {
    /// The recipient without `+`.
    fn digits(&self) -> &'a str {
        digits_of(self.to)
    }

    /// The text of which it is a part.
    fn text(&self) -> Option<u64> {
        self.submitted.and_then(|submitted| text_of(self.digits(), submitted))
    }

    fn wish(&self, (mccmnc, network): (Option<&'a str>, NetworkSource), dry: bool) -> Wish<'a> {
        Wish {
            organization: self.organization,
            digits: self.digits(),
            sender: self.kind.map(|kind| (self.from, kind)),
            category: self.category,
            mccmnc,
            network,
            text: self.text(),
            only: None,
            tried: self.tried,
            dry,
            now: self.now,
        }
    }
}

/// A carrier that takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: CarrierId,
    pub concat: Concat,
}

/// What an owner sends messages elsewhere by.
#[derive(Clone)]
pub struct Detours {
    pub router: Router,
    /// How long all binds may be lost before what waits goes elsewhere.
    pub down_after: Duration,
}

/// Where a message goes.
#[derive(Clone, Copy)]
pub(in crate::traffic) struct Choice<'a> {
    pub(in crate::traffic) id: CarrierId,
    /// A sandbox need not be listed among the carriers.
    pub(in crate::traffic) carrier: Option<&'a CarrierRoute>,
    pub(in crate::traffic) sandbox: bool,
    /// It can send now, as far as is known.
    pub(in crate::traffic) can_send: bool,
    pub(in crate::traffic) note: RouteNote,
}

/// The shared router; a clone is the same one.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    table: RwLock<Arc<Table>>,
    /// Also held while a table is made, so that none overtakes another.
    own: Mutex<Own>,
    memory: Memory,
}

/// A network by MCC and MNC, if it is known, and who says so.
type Network = (Option<Arc<str>>, NetworkSource);

/// What organizations have set.
#[derive(Default)]
pub(in crate::traffic) struct Own {
    rules: HashMap<OrgId, Vec<Rule>>,
    pools: HashMap<OrgId, Vec<Arc<Pool>>>,
}

/// What outlives a table.
#[derive(Default)]
pub(in crate::traffic) struct Memory {
    pulses: Pulses,
    spread: Spread,
    sticky: Sticky,
    texts: Texts,
    portability: OnceLock<Portability>,
}

impl Memory {
    /// The other parts of a text are to follow this one, whoever chose its carrier.
    pub(in crate::traffic) fn follow(&self, text: u64, carrier: CarrierId, now: At) {
        self.texts.keep(text, carrier, now);
    }

    /// Which network a number is of, and who says so. What is not remembered is asked for in the
    /// background, unless it is only tried out.
    pub(in crate::traffic) fn network(
        &self,
        digits: &str,
        planned: Option<&str>,
        now: At,
        dry: bool,
    ) -> Network {
        let Some(portability) = self.portability.get() else {
            return (planned.map(Arc::from), NetworkSource::Plan);
        };
        match portability.known(digits, now) {
            Known::Network(network) => (Some(network), NetworkSource::Portability),
            Known::NotPorted => (planned.map(Arc::from), NetworkSource::Plan),
            Known::Failed => (planned.map(Arc::from), NetworkSource::PlanInstead),
            Known::Nothing => {
                if !dry {
                    portability.begin(digits, now);
                }
                (planned.map(Arc::from), NetworkSource::PlanInstead)
            }
        }
    }
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
        let own = Own::default();
        let table = RwLock::new(Arc::new(Table::new(routes, &memory.pulses, &own)));
        Self(Arc::new(Inner { table, own: Mutex::new(own), memory }))
    }

    /// Takes other routes and rates from the next question on.
    pub fn replace(&self, routes: Routes) {
        let own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(routes, &own);
    }

    /// An organization's own rules hold from the next question on; an empty list takes them back.
    pub fn set_rules(&self, organization: OrgId, rules: Vec<Rule>) {
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.rules.insert(organization, rules);
        self.put(self.table().routes.clone(), &own);
    }

    /// The sender pools of these organizations, from the next question on.
    pub fn set_pools(&self, pools: impl IntoIterator<Item = (OrgId, Vec<Arc<Pool>>)>) {
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.pools.extend(pools);
        own.pools.retain(|_, pools| !pools.is_empty());
        self.put(self.table().routes.clone(), &own);
    }

    /// A sender pool of an organization.
    #[must_use]
    pub fn pool(&self, organization: OrgId, id: PublicId) -> Option<Arc<Pool>> {
        self.table().pool(organization, id).map(|known| Arc::clone(&known.pool))
    }

    /// The name of a carrier that is an organization's own.
    #[must_use]
    pub fn own_name(&self, organization: OrgId, carrier: CarrierId) -> Option<Arc<str>> {
        let table = self.table();
        let mut own = table.routes.carriers.iter().filter(|c| c.organization == Some(organization));
        own.find(|known| known.id == carrier).map(|known| Arc::clone(&known.name))
    }

    /// Whether an organization has a carrier of its own of this name.
    #[must_use]
    pub fn owns(&self, organization: OrgId, name: &str) -> bool {
        let table = self.table();
        let mut own = table.routes.carriers.iter().filter(|c| c.organization == Some(organization));
        own.any(|known| &*known.name == name)
    }

    /// Whether an organization may name a carrier in its rules.
    #[must_use]
    pub fn knows(&self, organization: OrgId, name: &str) -> bool {
        table::named(&self.table().routes.carriers, organization, name).is_some()
    }

    fn put(&self, routes: Routes, own: &Own) {
        let table = Arc::new(Table::new(routes, &self.0.memory.pulses, own));
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        self.0.memory.pulses.forget_unheld();
    }

    /// Asks this hook which network a number is of, from now on. The first one stays.
    pub fn ask_portability(&self, portability: Portability) {
        let _ = self.0.memory.portability.set(portability);
    }

    /// Learns the network of a recipient, so that the next question finds it. For those who may
    /// wait: twice the hook's time-out at most, and not at all without a hook.
    pub async fn learn(&self, to: &str, now: At) {
        if let Some(portability) = self.0.memory.portability.get()
            && let Some(recipient) = Recipient::parse(to)
        {
            portability.learn(recipient.digits(), now).await;
        }
    }

    /// The same of many recipients at once; how long that may take does not grow with them.
    pub async fn learn_all(&self, recipients: impl IntoIterator<Item = &str>, now: At) {
        let Some(portability) = self.0.memory.portability.get() else { return };
        let mut asking = tokio::task::JoinSet::new();
        for to in recipients {
            if let Some(recipient) = Recipient::parse(to)
                && portability.known(recipient.digits(), now) == Known::Nothing
            {
                let portability = portability.clone();
                asking.spawn(async move { portability.learn(recipient.digits(), now).await });
            }
        }
        asking.join_all().await;
    }

    /// How a carrier stands, for its owner to tell.
    #[must_use]
    pub fn pulse(&self, carrier: CarrierId) -> Arc<Pulse> {
        self.0.memory.pulses.of(carrier)
    }

    /// How many carriers it remembers the state of: those of its table, and those with an owner.
    #[must_use]
    pub fn remembers(&self) -> usize {
        self.0.memory.pulses.count()
    }

    /// A carrier that takes this live message; `now`: one that can send it at present.
    #[must_use]
    pub fn elsewhere(&self, asked: &Asked<'_>, now: bool) -> Option<Found> {
        let table = self.table();
        let holder = asked.text().and_then(|text| self.0.memory.texts.find(text, asked.now));
        let stays = holder.is_some_and(|(carrier, has)| {
            // Who takes no messages any more never sends the rest.
            has && asked.tried.contains(&carrier) && !self.is_off(carrier)
        });
        if stays {
            return None;
        }
        let (mccmnc, network) = self.network(&table, asked, false);
        let wish =
            Wish { only: table.only(asked), ..asked.wish((mccmnc.as_deref(), network), false) };
        let choice = table.way(&wish, &self.0.memory).ok()?;
        let carrier = choice.carrier.filter(|_| choice.can_send || !now)?;
        Some(Found { id: carrier.id, concat: carrier.concat })
    }

    /// The carrier of a part's text, and whether it has some of it.
    #[must_use]
    pub fn holder(&self, to: &str, submitted: &Submitted, now: At) -> Option<(CarrierId, bool)> {
        self.0.memory.texts.find(text_of(digits_of(to), submitted)?, now)
    }

    /// A bind of this carrier is handed a message: if it is a part of a text, the text stays there.
    pub fn handed(&self, carrier: CarrierId, to: &str, submitted: &Submitted, now: At) {
        if let Some(text) = text_of(digits_of(to), submitted) {
            self.0.memory.texts.handed(text, carrier, now);
        }
    }

    /// What this carrier was handed it has certainly not taken.
    pub fn refused(&self, carrier: CarrierId, to: &str, submitted: &Submitted, now: At) {
        if let Some(text) = text_of(digits_of(to), submitted) {
            self.0.memory.texts.refused(text, carrier, now);
        }
    }

    /// Which network the recipient's number is of, and who says so.
    fn network(&self, table: &Table, asked: &Asked<'_>, dry: bool) -> Network {
        let rate = table.routes.rates.find(asked.digits(), asked.now);
        let planned = rate.and_then(|rate| rate.mccmnc.as_deref());
        self.0.memory.network(asked.digits(), planned, asked.now, dry)
    }

    /// What a carrier's breaker goes by.
    #[must_use]
    pub fn circuit(&self, carrier: CarrierId) -> Circuit {
        let table = self.table();
        let known = table.routes.carriers.iter().find(|known| known.id == carrier);
        known.map_or_else(Circuit::default, |known| known.circuit)
    }

    /// True for a carrier that takes no messages any more.
    #[must_use]
    pub fn is_off(&self, carrier: CarrierId) -> bool {
        let table = self.table();
        let known = table.routes.carriers.iter().find(|known| known.id == carrier);
        known.is_none_or(|known| !known.enabled)
    }

    /// True for the program's own carriers: what goes there goes nowhere else.
    #[must_use]
    pub fn is_sandbox(&self, carrier: CarrierId) -> bool {
        let table = self.table();
        [table.routes.sandbox, table.routes.sandbox_live].contains(&Some(carrier))
    }

    pub(in crate::traffic) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.0.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::traffic) fn memory(&self) -> &Memory {
        &self.0.memory
    }
}

fn digits_of(number: &str) -> &str {
    number.strip_prefix('+').unwrap_or(number)
}

#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
