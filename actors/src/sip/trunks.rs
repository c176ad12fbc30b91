//! The trunks in memory: customers' telephone systems and the operator's carriers, as one list.
//!
//! The book of trunks (`src/trunks.rs`) puts them here when it reads rows and settings; the switch reads
//! a list that never changes: another takes its place. What is known of a trunk while it runs (its health,
//! the calls it has, its registration) goes on over its changes (`live`). Nothing here opens a socket.

mod live;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::network::Network;
use model::trunk::{Encryption, Source, Target};
use model::voice::{Pace, Turn};
use tokio::sync::watch;

pub use live::{Health, Live, Registered, Standing};

use super::flow::Flow;
use super::srv;
use crate::customer::webhook::guard::Networks;

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// A trunk, until it is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// The same over its changes and over restarts.
    pub id: PublicId,
    /// None: the operator's, which leads to the public network.
    pub organization: Option<OrgId>,
    pub name: Arc<str>,
    /// Where calls go; none: they only come.
    pub target: Option<Target>,
    /// Who calls in.
    pub sources: Vec<Source>,
    pub username: Option<String>,
    pub password: Option<Password>,
    /// As they are preferred.
    pub codecs: Vec<String>,
    pub encryption: Encryption,
    /// We register there.
    pub register: bool,
    /// How often it is asked whether it is there; none: never.
    pub ping: Option<Duration>,
    /// Calls at once; 0: any number.
    pub max_channels: usize,
    /// New calls in a second; 0: any number.
    pub max_cps: usize,
    /// First digits of the numbers it takes, without `+`; empty: all.
    pub prefixes: Vec<String>,
    /// The higher is asked first.
    pub priority: i64,
    /// Its share among those of one priority.
    pub weight: u32,
    pub enabled: bool,
}

impl Trunk {
    /// Whether we are to be registered there.
    #[must_use]
    pub fn registers(&self) -> bool {
        self.enabled && self.register && self.target.is_some() && self.username.is_some()
    }

    /// Digits of the longest prefix that fits; none: it does not take the number.
    #[must_use]
    pub fn closeness(&self, digits: &str) -> Option<usize> {
        if self.prefixes.is_empty() {
            return Some(0);
        }
        let fitting = self.prefixes.iter().filter(|prefix| digits.starts_with(prefix.as_str()));
        fitting.map(String::len).max()
    }
}

/// How long it holds where a name is.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A call's place on its trunk, given back when dropped.
#[derive(Debug)]
pub struct Channel(Arc<Running>);

impl Drop for Channel {
    fn drop(&mut self) {
        self.0.live.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A trunk with what is known of it.
#[derive(Debug)]
pub struct Running {
    pub trunk: Trunk,
    pub live: Arc<Live>,
}

impl Running {
    /// A place for one more call, while there is one.
    #[must_use]
    pub fn take_channel(self: &Arc<Self>) -> Option<Channel> {
        let most = match self.trunk.max_channels {
            0 => usize::MAX,
            most => most,
        };
        let more = |calls: usize| (calls < most).then_some(calls + 1);
        let taken = self.live.calls.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Channel(Arc::clone(self)))
    }

    /// The same for a call that begins now, while there are not too many of those.
    #[must_use]
    pub fn take_call(self: &Arc<Self>, now: At) -> Option<Channel> {
        let channel = self.take_channel()?;
        let per_second = u32::try_from(self.trunk.max_cps).unwrap_or(u32::MAX);
        let mut due = self.live.due.lock().unwrap_or_else(PoisonError::into_inner);
        match (Pace { per_second, burst: per_second }).turn(*due, now) {
            Turn::Now(next) => *due = Some(next),
            Turn::At(_) => return None,
        }
        Some(channel)
    }

    /// Whether calls may go there. One that is down may be there all the same: nobody knows better, and
    /// it is tried after all others.
    #[must_use]
    pub fn takes_calls(&self) -> bool {
        self.trunk.enabled && self.trunk.target.is_some()
    }

    /// Whether it calls us by this registration of ours.
    fn is_registered_by(&self, flow: Flow) -> bool {
        let address = flow.peer().ip().to_canonical();
        let is_source = |source: &Source| match source {
            Source::Network(network) => network.contains(address),
            Source::Host(_) => false,
        };
        self.live.registrar() == Some(address) || self.trunk.sources.iter().any(is_source)
    }
}

/// Whom an address calls in as.
#[derive(Clone, Debug)]
pub enum Caller {
    One(Arc<Running>),
    /// Several trunks say so: only a password tells which.
    Several,
    Nobody,
}

/// All trunks. A clone is the same.
#[derive(Clone)]
pub struct Trunks(Arc<Inner>);

struct Inner {
    list: ArcSwap<List>,
    /// Held while a list takes another one's place.
    turn: Mutex<()>,
    changed: watch::Sender<u64>,
    /// Private networks that customers' trunks may be in.
    networks: Networks,
    /// Customers' trunks may lead to the public network too.
    tenants_egress: bool,
    /// Where the operator's trunks are that have a name, and when that was asked.
    places: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

#[derive(Default)]
struct List {
    by_id: HashMap<PublicId, Arc<Running>>,
    /// By organization, the operator's without one.
    by_owner: HashMap<Option<OrgId>, Vec<Arc<Running>>>,
    /// Enabled ones, by the networks they call from.
    by_network: HashMap<Network, Vec<Arc<Running>>>,
    /// The lengths of those networks, each once: IPv4 or not, and bits.
    lengths: BTreeSet<(bool, u8)>,
    /// Enabled ones that call from the addresses of a name.
    by_name: Vec<(String, Arc<Running>)>,
    /// Enabled ones of customers that a password lets in, by the name that goes with it.
    by_username: HashMap<String, Vec<Arc<Running>>>,
    /// Enabled ones that we register with, by the user of our contact there.
    by_contact: HashMap<Box<str>, Arc<Running>>,
}

impl List {
    fn new(by_owner: HashMap<Option<OrgId>, Vec<Arc<Running>>>) -> Self {
        let mut list = Self { by_owner, ..Self::default() };
        for running in list.by_owner.values().flatten() {
            list.by_id.insert(running.trunk.id, Arc::clone(running));
            if running.trunk.registers() {
                list.by_contact.insert(running.live.contact().into(), Arc::clone(running));
            }
            if let (Some(name), Some(_), Some(_), true) = (
                &running.trunk.username,
                &running.trunk.password,
                running.trunk.organization,
                running.trunk.enabled,
            ) {
                list.by_username.entry(name.clone()).or_default().push(Arc::clone(running));
            }
            let sources = running.trunk.sources.iter().filter(|_| running.trunk.enabled);
            for source in sources {
                match source {
                    Source::Network(network) => {
                        let network = network.normal();
                        list.lengths.insert((network.is_ipv4(), network.bits()));
                        let callers = list.by_network.entry(network).or_default();
                        callers.push(Arc::clone(running));
                    }
                    Source::Host(name) => list.by_name.push((name.clone(), Arc::clone(running))),
                }
            }
        }
        list
    }
}

impl fmt::Debug for Trunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trunks")
    }
}

impl Trunks {
    #[must_use]
    pub fn new(networks: Networks, tenants_egress: bool) -> Self {
        let (list, turn) = (ArcSwap::default(), Mutex::default());
        let changed = watch::Sender::new(0);
        let places = Mutex::default();
        Self(Arc::new(Inner { list, turn, changed, networks, tenants_egress, places }))
    }

    /// Puts these in the place of all that one owner had.
    pub fn replace(&self, owners: impl IntoIterator<Item = (Option<OrgId>, Vec<Trunk>)>) {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.0.list.load();
        let mut by_owner = before.by_owner.clone();
        for (owner, trunks) in owners {
            let running = trunks.into_iter().map(|trunk| match before.by_id.get(&trunk.id) {
                Some(same) if same.trunk == trunk => Arc::clone(same),
                known => {
                    // Elsewhere it is another trunk, of which nothing is known yet.
                    let same = known.filter(|known| known.trunk.target == trunk.target);
                    let live = same.map_or_else(Arc::default, |known| Arc::clone(&known.live));
                    Arc::new(Running { trunk, live })
                }
            });
            let running: Vec<_> = running.collect();
            match running.is_empty() {
                true => by_owner.remove(&owner),
                false => by_owner.insert(owner, running),
            };
        }
        self.0.list.store(Arc::new(List::new(by_owner)));
        self.0.changed.send_modify(|changes| *changes += 1);
    }

    /// Changes whenever the list does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    #[must_use]
    pub fn find(&self, id: PublicId) -> Option<Arc<Running>> {
        self.0.list.load().by_id.get(&id).cloned()
    }

    #[must_use]
    pub fn all(&self) -> Vec<Arc<Running>> {
        self.0.list.load().by_id.values().cloned().collect()
    }

    /// The trunks of an organization, or the operator's.
    #[must_use]
    pub fn of(&self, owner: Option<OrgId>) -> Vec<Arc<Running>> {
        self.0.list.load().by_owner.get(&owner).cloned().unwrap_or_default()
    }

    /// The operator's trunks that take a number of the public network, and with leave the
    /// organization's own: the closest prefix first, then the higher priority; those that are down after
    /// all others. Each group is of equals, among whom the one who asks chooses by weight.
    #[must_use]
    pub fn egress(&self, organization: OrgId, number: &str) -> Vec<Vec<Arc<Running>>> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        let mut found = self.of(None);
        if self.0.tenants_egress {
            found.extend(self.of(Some(organization)));
        }
        let rank = |running: &Running| {
            let close = running.trunk.closeness(digits)?;
            let down = running.live.health() == Health::Down;
            Some((down, Reverse(close), Reverse(running.trunk.priority)))
        };
        let takes = found.into_iter().filter(|running| running.takes_calls());
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (rank, running) in takes.filter_map(|running| Some((rank(&running)?, running))) {
            groups.entry(rank).or_default().push(running);
        }
        groups.into_values().collect()
    }

    /// Whose call comes to this contact of ours: a registrar was told it, and calls from where we
    /// registered, or from a source of its trunk.
    #[must_use]
    pub fn registered(&self, contact: &str, flow: Flow) -> Option<Arc<Running>> {
        let found = self.0.list.load().by_contact.get(contact).cloned();
        found.filter(|running| running.is_registered_by(flow))
    }

    /// Whose call comes from this address: the operator's trunk before customers', who may name what is
    /// not theirs, and among those the one that names it most closely. Sources that are names are asked
    /// for elsewhere ([`Self::named_sources`]); `resolved` says which of those have this address, as
    /// closely as a network of that address alone.
    #[must_use]
    pub fn caller(&self, address: IpAddr, resolved: impl Fn(&str) -> bool) -> Caller {
        let (list, address) = (self.0.list.load(), address.to_canonical());
        let lengths = list.lengths.iter().filter(|(v4, _)| *v4 == address.is_ipv4());
        let by_network = lengths.flat_map(|(_, bits)| {
            let network = Network::of(address, *bits);
            let callers = network.and_then(|network| list.by_network.get(&network));
            callers.into_iter().flatten().map(|running| (*bits, running))
        });
        let by_name = list.by_name.iter().filter(|(name, _)| resolved(name));
        let by_name = by_name.map(|(_, running)| (u8::MAX, running));
        let rank =
            |bits: u8, running: &Running| (running.trunk.organization.is_none(), bits.min(128));
        let mut found: Option<(_, &Arc<Running>)> = None;
        let mut several = false;
        for (bits, running) in by_network.chain(by_name) {
            let bits = if address.is_ipv4() { bits.min(32) } else { bits };
            let rank = rank(bits, running);
            match found {
                Some((best, _)) if best > rank => {}
                Some((best, known)) if best == rank => {
                    several |= known.trunk.id != running.trunk.id
                }
                _ => (found, several) = (Some((rank, running)), false),
            }
        }
        match found {
            Some(_) if several => Caller::Several,
            Some((_, one)) => Caller::One(Arc::clone(one)),
            None => Caller::Nobody,
        }
    }

    /// Customers' trunks that a password lets in with this name.
    #[must_use]
    pub fn named(&self, username: &str) -> Vec<Arc<Running>> {
        self.0.list.load().by_username.get(username).cloned().unwrap_or_default()
    }

    /// Whether somebody else calls from there already: the operator or another customer, or one of the
    /// operator's carriers is there.
    #[must_use]
    pub fn is_of_another(&self, organization: OrgId, source: &Source) -> bool {
        let list = self.0.list.load();
        let others = list.by_owner.iter().filter(|(owner, _)| **owner != Some(organization));
        let mut others = others.flat_map(|(_, running)| running);
        others.any(|running| {
            let trunk = &running.trunk;
            let target = trunk.target.as_ref().filter(|_| trunk.organization.is_none());
            trunk.sources.iter().any(|other| overlap(source, other))
                || target.is_some_and(|target| match (source, target.address()) {
                    (Source::Network(network), Some(address)) => network.contains(address),
                    (Source::Host(name), _) => name.eq_ignore_ascii_case(&target.host),
                    _ => false,
                })
        })
    }

    /// Names whose addresses count as sources, each once.
    #[must_use]
    pub fn named_sources(&self) -> Vec<String> {
        let list = self.0.list.load();
        let mut names: Vec<String> = list.by_name.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether one of the operator's trunks is there or calls from there: no customer's call goes to it
    /// but by the way to the public network, since it knows us by our address alone.
    #[must_use]
    pub fn is_carriers(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_at = |name: &str| {
            let found = places.get(name).map(|(_, found)| found.as_slice());
            found.unwrap_or_default().contains(&address)
        };
        self.of(None).iter().any(|running| {
            let trunk = &running.trunk;
            let target = trunk.target.as_ref();
            target.is_some_and(|to| to.address().map(|at| at.to_canonical()) == Some(address))
                || target.is_some_and(|target| is_at(&srv::wanted_of(target)))
                || trunk.sources.iter().any(|source| match source {
                    Source::Network(network) => network.contains(address),
                    Source::Host(name) => is_at(name),
                })
        })
    }

    /// Names of the operator's trunks of which it is not known where they are now: those that were never
    /// found, and those that were not asked for lately.
    #[must_use]
    pub fn names_to_ask(&self, now: Instant) -> Vec<String> {
        let places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |name: &String| {
            let known = places.get(name).filter(|(_, found)| !found.is_empty());
            known.is_some_and(|(at, _)| *at + ASK_AGAIN > now)
        };
        let mut names: Vec<String> = Vec::new();
        for running in self.of(None) {
            let target = running.trunk.target.as_ref().filter(|target| target.address().is_none());
            names.extend(target.map(srv::wanted_of));
            names.extend(running.trunk.sources.iter().filter_map(|source| match source {
                Source::Host(name) => Some(name.clone()),
                Source::Network(_) => None,
            }));
        }
        names.retain(|name| !is_known(name));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where a name of the operator's trunks was found to be. What is found nowhere stays where it was, and
    /// what was never found stays unknown.
    pub fn learned(&self, name: String, found: Vec<IpAddr>, now: Instant) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_empty() && !places.contains_key(&name) {
            tracing::warn!(name, "where a carrier is is not known: no customer's route is taken");
        }
        let (asked, known) = places.entry(name).or_insert_with(|| (now, Vec::new()));
        *asked = now;
        if !found.is_empty() {
            *known = found.into_iter().map(|address| address.to_canonical()).collect();
        }
    }

    /// Whether a customer's trunk may be at this address.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.0.networks.allow(address, true)
    }

    /// Whether a trunk may be reached at this address: customers' trunks only where the internet is,
    /// or in networks that the operator names.
    #[must_use]
    pub fn may_reach(&self, trunk: &Trunk, address: IpAddr) -> bool {
        trunk.organization.is_none() || self.allows(address)
    }
}

/// Whether two say that the same address may call.
fn overlap(one: &Source, other: &Source) -> bool {
    match (one, other) {
        (Source::Host(one), Source::Host(other)) => one == other,
        (Source::Network(one), Source::Network(other)) => {
            one.contains(other.address()) || other.contains(one.address())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
