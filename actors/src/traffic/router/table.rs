//! The table of carriers, found by what they cover. Never changed: another one takes its place.

use std::collections::HashMap;
use std::sync::Arc;

use model::address::SenderKind;
use model::carrier::{CarrierId, OrgId};
use model::id::PublicId;
use model::pool::Pool;
use model::routing::Rule;

use super::pulse::{Pulse, Pulses};
use super::{Asked, CarrierRoute, Own, Routes};

/// Routes, and how to find the few of them that may take a message.
pub(in crate::traffic) struct Table {
    pub(in crate::traffic) routes: Routes,
    /// As `routes.carriers`.
    pub(super) entries: Vec<Entry>,
    pub(super) own: HashMap<OrgId, Group>,
    pub(super) platform: Group,
    /// Organizations' own rules, the first that matches decides.
    pub(super) rules: HashMap<OrgId, Vec<Ruled>>,
    pools: HashMap<OrgId, Vec<PoolAt>>,
    /// Some carrier names countries.
    pub(super) by_country: bool,
    /// The kind of the switch's default sender.
    pub(super) default_kind: Option<SenderKind>,
}

/// A sender pool, and the carriers that it names as far as they are there.
pub(in crate::traffic) struct PoolAt {
    pub(in crate::traffic) pool: Arc<Pool>,
    pub(in crate::traffic) carriers: Vec<CarrierId>,
}

/// What is known of a carrier beside its route.
pub(super) struct Entry {
    pub(super) pulse: Arc<Pulse>,
    /// The kind of its own default sender.
    pub(super) default_kind: Option<SenderKind>,
}

/// A rule, and the places of its carriers in `routes.carriers`, as it lists them.
pub(super) struct Ruled {
    pub(super) rule: Rule,
    pub(super) carriers: Vec<usize>,
}

/// Carriers that are chosen among, by the most telling of their lists. The numbers are places in
/// `routes.carriers`.
#[derive(Default)]
pub(super) struct Group {
    prefixes: HashMap<u64, Vec<usize>>,
    /// Bit `n` set: some prefix has `n` digits.
    lengths: u16,
    networks: HashMap<String, Vec<usize>>,
    countries: HashMap<String, Vec<usize>>,
    any: Vec<usize>,
}

impl Table {
    pub(super) fn new(routes: Routes, pulses: &Pulses, set: &Own) -> Self {
        let kind = |sender: &Option<String>| sender.as_deref().and_then(SenderKind::of);
        let mut own: HashMap<OrgId, Group> = HashMap::new();
        let mut platform = Group::default();
        let sandboxes = [routes.sandbox, routes.sandbox_live];
        let mut entries = Vec::with_capacity(routes.carriers.len());
        for (at, carrier) in routes.carriers.iter().enumerate() {
            let (pulse, default_kind) = (pulses.of(carrier.id), kind(&carrier.default_sender));
            entries.push(Entry { pulse, default_kind });
            if sandboxes.contains(&Some(carrier.id)) {
                continue;
            }
            let group = match carrier.organization {
                Some(organization) => own.entry(organization).or_default(),
                None => &mut platform,
            };
            group.add(at, carrier);
        }
        let resolve = |organization: OrgId, rule: &Rule| Ruled {
            carriers: rule
                .carriers
                .iter()
                .filter_map(|name| named(&routes.carriers, organization, name))
                .filter(|at| !sandboxes.contains(&Some(routes.carriers[*at].id)))
                .collect(),
            rule: rule.clone(),
        };
        let rules: HashMap<OrgId, Vec<Ruled>> = set
            .rules
            .iter()
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(id, rules)| (*id, rules.iter().map(|rule| resolve(*id, rule)).collect()))
            .collect();
        let at = |pool: &Arc<Pool>| {
            let places = pool.carriers.iter();
            let places = places.filter_map(|n| named(&routes.carriers, pool.organization, n));
            let carriers = places.map(|at| routes.carriers[at].id).collect();
            PoolAt { pool: Arc::clone(pool), carriers }
        };
        let pools = set.pools.iter();
        let pools = pools.map(|(id, own)| (*id, own.iter().map(at).collect())).collect();
        let of_carriers = routes.carriers.iter().any(|carrier| !carrier.countries.is_empty());
        let mut ruled = rules.values().flatten();
        let by_country = of_carriers || ruled.any(|ruled| !ruled.rule.countries.is_empty());
        let default_kind = kind(&routes.default_sender);
        Self { routes, entries, own, platform, rules, pools, by_country, default_kind }
    }

    /// A sender pool of an organization.
    pub(in crate::traffic) fn pool(&self, organization: OrgId, id: PublicId) -> Option<&PoolAt> {
        self.pools.get(&organization)?.iter().find(|known| known.pool.public_id == id)
    }

    /// The only carriers of a message that is under way, where its pool names some.
    pub(super) fn only(&self, asked: &Asked<'_>) -> Option<&[CarrierId]> {
        let pools = self.pools.get(&asked.organization)?;
        let known = pools.iter().find(|known| Some(known.pool.id) == asked.pool)?;
        (!known.pool.carriers.is_empty()).then_some(&known.carriers[..])
    }
}

/// The place of a carrier that an organization may name: its own first, then the platform's.
pub(super) fn named(carriers: &[CarrierRoute], organization: OrgId, name: &str) -> Option<usize> {
    let of = |owner: Option<OrgId>| {
        carriers.iter().position(|known| known.organization == owner && *known.name == *name)
    };
    of(Some(organization)).or_else(|| of(None))
}

impl Group {
    fn add(&mut self, at: usize, carrier: &CarrierRoute) {
        if !carrier.prefixes.is_empty() {
            for prefix in &carrier.prefixes {
                let (length, key) = (prefix.len().min(15), key_of(prefix));
                self.lengths |= 1 << length;
                let listed = self.prefixes.entry(key).or_default();
                if !listed.contains(&at) {
                    listed.push(at);
                }
            }
            return;
        }
        let (lists, names) = match (&carrier.mccmnc[..], &carrier.countries[..]) {
            ([], []) => return self.any.push(at),
            ([], countries) => (&mut self.countries, countries),
            (networks, _) => (&mut self.networks, networks),
        };
        for name in names {
            let listed = lists.entry(name.clone()).or_default();
            if !listed.contains(&at) {
                listed.push(at);
            }
        }
    }

    /// Names each carrier that may cover the destination, once; more than these do not.
    pub(super) fn each(
        &self,
        carriers: &[CarrierRoute],
        digits: &str,
        country: Option<&str>,
        mccmnc: Option<&str>,
        mut name: impl FnMut(usize),
    ) {
        let mut keys = [0_u64; 16];
        let mut key = 1;
        for (length, byte) in (1..16).zip(digits.bytes()) {
            key = key * 10 + u64::from(byte.wrapping_sub(b'0'));
            keys[length] = key;
        }
        let longest = digits.len().min(15);
        for length in (1..=longest).rev().filter(|length| self.lengths & 1 << length != 0) {
            for at in self.prefixes.get(&keys[length]).into_iter().flatten() {
                // Its longest prefix has named it already.
                if carriers[*at].prefix_of(digits) == length {
                    name(*at);
                }
            }
        }
        if !self.networks.is_empty()
            && let Some(network) = mccmnc
        {
            for at in self.networks.get(network).into_iter().flatten() {
                name(*at);
            }
            let country = network.get(..3).filter(|country| *country != network);
            for at in country.and_then(|country| self.networks.get(country)).into_iter().flatten() {
                if !carriers[*at].mccmnc.iter().any(|known| known == network) {
                    name(*at);
                }
            }
        }
        if !self.countries.is_empty()
            && let Some(country) = country
        {
            self.countries.get(country).into_iter().flatten().for_each(|at| name(*at));
        }
        self.any.iter().for_each(|at| name(*at));
    }
}

impl CarrierRoute {
    /// Digits of its longest prefix that a number begins with; 0 for none.
    pub(super) fn prefix_of(&self, digits: &str) -> usize {
        let fitting = self.prefixes.iter().filter(|prefix| digits.starts_with(prefix.as_str()));
        fitting.map(String::len).max().unwrap_or(0)
    }

    /// How closely its lists name a destination; `None`: one of them does not hold it.
    pub(super) fn covers(
        &self,
        digits: &str,
        country: Option<&str>,
        mccmnc: Option<&str>,
    ) -> Option<Closeness> {
        let prefix = self.prefix_of(digits);
        if prefix == 0 && !self.prefixes.is_empty() {
            return None;
        }
        let network = self
            .mccmnc
            .iter()
            .filter(|known| mccmnc.is_some_and(|network| network.starts_with(known.as_str())))
            .map(String::len)
            .max()
            .unwrap_or(0);
        if network == 0 && !self.mccmnc.is_empty() {
            return None;
        }
        let named = country.is_some_and(|country| self.countries.iter().any(|own| own == country));
        if !named && !self.countries.is_empty() {
            return None;
        }
        Some(Closeness { network, prefix, country: named })
    }
}

/// The network itself before a prefix, a longer prefix before a shorter, a country before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closeness {
    network: usize,
    pub(super) prefix: usize,
    country: bool,
}

impl Closeness {
    /// Named by some list, not only as one of all destinations.
    pub(super) fn is_named(self) -> bool {
        self.network > 0 || self.prefix > 0 || self.country
    }

    /// The same order as a number.
    pub(super) fn rank(self) -> i64 {
        let wide = |n: usize| i64::try_from(n).unwrap_or(0);
        wide(self.network) * 100 + wide(self.prefix) * 2 + i64::from(self.country)
    }
}

/// A prefix as a number; a leading one keeps its zeros.
fn key_of(prefix: &str) -> u64 {
    prefix.bytes().take(15).fold(1, |key, byte| key * 10 + u64::from(byte.wrapping_sub(b'0') % 10))
}
