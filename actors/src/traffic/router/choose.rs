//! The choice: which carriers may take a message, which of them can now, and which comes first.
//!
//! An organization's own carriers that cover the destination, else the platform's. Filters:
//! enabled, coverage, kind of sender, not tried yet. Those that can send now go before those that
//! cannot. Then the longest prefix, priority, cost, quality; among equals who was taken for this
//! recipient before, else shares by weight.

use model::address::SenderKind;
use model::carrier::{CarrierId, OrgId};
use model::country::country_of;
use model::route::{By, Passed, PassedOver, RouteNote};

use super::pulse::Standing;
use super::sticky::Pair;
use super::table::{Group, Table};
use super::{Choice, Memory, Wish};

/// What tells two candidates apart, the most telling first.
const ORDER: [By; 5] = [By::Health, By::Prefix, By::Priority, By::Cost, By::Quality];

type Key = [i64; ORDER.len()];

/// Names the places of carriers that may cover the destination.
type Walk<'w> = dyn Fn(&mut dyn FnMut(usize)) + 'w;

/// A carrier that may take the message.
struct Candidate {
    key: Key,
    standing: Standing,
    /// Its lists name the destination.
    named: bool,
}

/// What a first look at all candidates says.
#[derive(Default)]
struct Survey {
    best: Option<Key>,
    second: Option<Key>,
    /// Carriers that could take it.
    among: u16,
    /// Equal to the best: how many, their weights, and a name of the set.
    equals: u16,
    weights: u64,
    set: u64,
    passed: PassedOver,
}

impl Table {
    /// The way of a live message, the sandbox aside. No way: why those looked at were not taken.
    pub(super) fn way(&self, wish: &Wish<'_>, memory: &Memory) -> Result<Choice<'_>, PassedOver> {
        let country = if self.by_country { country_of(wish.digits) } else { None };
        let mut passed = PassedOver::default();
        let own = self.own.get(&wish.organization);
        let own = own
            .map(|group| (group, ["organization_carrier_prefix", "organization_carrier_default"]));
        let platform = (&self.platform, ["platform_carrier_prefix", "platform_carrier_default"]);
        for (group, reasons) in own.into_iter().chain([platform]) {
            match self.among(group, wish, country, memory, reasons) {
                Ok(choice) => return Ok(choice),
                Err(more) => passed.join(more),
            }
        }
        Err(passed)
    }

    fn among(
        &self,
        group: &Group,
        wish: &Wish<'_>,
        country: Option<&str>,
        memory: &Memory,
        [named, by_default]: [&'static str; 2],
    ) -> Result<Choice<'_>, PassedOver> {
        let walk = |name: &mut dyn FnMut(usize)| {
            group.each(&self.routes.carriers, wish.digits, country, wish.mccmnc, name);
        };
        let (at, candidate, note) = self.pick(&walk, wish, country, memory)?;
        let carrier = &self.routes.carriers[at];
        let reason = if candidate.named { named } else { by_default };
        let note = RouteNote { reason, ..note };
        Ok(Choice { id: carrier.id, carrier: Some(carrier), sandbox: false, note })
    }

    fn pick(
        &self,
        walk: &Walk<'_>,
        wish: &Wish<'_>,
        country: Option<&str>,
        memory: &Memory,
    ) -> Result<(usize, Candidate, RouteNote), PassedOver> {
        for may_try in [true, false] {
            let look = |at| self.look(at, wish, country, may_try);
            let survey = self.survey(walk, &look);
            let Some(best) = survey.best else { return Err(survey.passed) };
            let found = self.first(walk, &look, wish, memory, &survey, best);
            let Some((at, candidate, by)) = found else { return Err(survey.passed) };
            // Of several only one message a second tries a carrier whose circuit is open.
            let tries = candidate.standing == Standing::MayTry && survey.among > 1;
            if tries && may_try && !self.entries[at].pulse.probe(wish.now) {
                continue;
            }
            let (among, passed, network) = (survey.among, survey.passed, wish.network);
            let note = RouteNote { reason: "", by, among, passed, network };
            return Ok((at, candidate, note));
        }
        Err(PassedOver::default())
    }

    /// One carrier: whether it may take the message, and where that puts it.
    fn look(
        &self,
        at: usize,
        wish: &Wish<'_>,
        country: Option<&str>,
        may_try: bool,
    ) -> Result<Candidate, Passed> {
        let (carrier, entry) = (&self.routes.carriers[at], &self.entries[at]);
        if !carrier.enabled {
            return Err(Passed::Disabled);
        }
        let covered = carrier.covers(wish.digits, country, wish.mccmnc);
        let close = covered.ok_or(Passed::NotCovered)?;
        let kind = self.kind(at, wish.sender.map(|(_, kind)| kind));
        let fits = kind.is_none_or(|kind| {
            carrier.sender_types.is_empty() || carrier.sender_types.contains(&kind)
        });
        if !fits {
            return Err(Passed::SenderType);
        }
        if wish.tried.contains(&carrier.id) {
            return Err(Passed::Tried);
        }
        let mut standing = entry.pulse.standing(wish.now);
        if standing == Standing::MayTry && !may_try {
            standing = Standing::CircuitOpen;
        }
        let health = match standing {
            Standing::Fine | Standing::MayTry => 0,
            Standing::CircuitOpen => 1,
            Standing::Paused | Standing::Unbound => 2,
        };
        let key = [
            health,
            -close.rank(),
            -carrier.priority,
            carrier.cost_rate.0,
            -i64::from(carrier.quality),
        ];
        Ok(Candidate { key, standing, named: close.is_named() })
    }

    /// The kind of the sender that a message has at this carrier.
    fn kind(&self, at: usize, given: Option<SenderKind>) -> Option<SenderKind> {
        given.or(self.entries[at].default_kind).or(self.default_kind)
    }

    fn survey(&self, walk: &Walk<'_>, look: &dyn Fn(usize) -> Result<Candidate, Passed>) -> Survey {
        let mut survey = Survey::default();
        walk(&mut |at| {
            let candidate = match look(at) {
                Ok(candidate) => candidate,
                Err(Passed::NotCovered) => return,
                Err(why) => return survey.passed.add(why),
            };
            survey.among = survey.among.saturating_add(1);
            let weight = u64::from(self.routes.carriers[at].weight.max(1));
            let name = u64::try_from(self.routes.carriers[at].id.0).unwrap_or(0);
            let name = name.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let key = candidate.key;
            match survey.best {
                Some(best) if key > best => {
                    survey.second = Some(survey.second.map_or(key, |second| second.min(key)));
                }
                Some(best) if key == best => {
                    survey.equals += 1;
                    survey.weights += weight;
                    survey.set = survey.set.wrapping_add(name);
                }
                former => {
                    survey.second = former.or(survey.second);
                    survey.best = Some(key);
                    (survey.equals, survey.weights, survey.set) = (1, weight, name);
                }
            }
            match candidate.standing {
                Standing::Fine | Standing::MayTry => {}
                Standing::CircuitOpen => survey.passed.add(Passed::CircuitOpen),
                Standing::Paused => survey.passed.add(Passed::Paused),
                Standing::Unbound => survey.passed.add(Passed::Unbound),
            }
        });
        survey
    }

    /// The first of the best, and what made it so.
    fn first(
        &self,
        walk: &Walk<'_>,
        look: &dyn Fn(usize) -> Result<Candidate, Passed>,
        wish: &Wish<'_>,
        memory: &Memory,
        survey: &Survey,
        best: Key,
    ) -> Option<(usize, Candidate, By)> {
        let apart =
            survey.second.and_then(|second| (0..ORDER.len()).find(|n| second[*n] != best[*n]));
        let by = apart.map_or(By::Only, |n| ORDER[n]);
        let sticks = survey.equals > 1 || wish.long.is_some() && survey.among > 1;
        if !sticks {
            let found = self.find(walk, look, &|_, candidate| candidate.key == best);
            return found.map(|(at, candidate)| (at, candidate, by));
        }
        let sender = wish.sender.map_or("", |(sender, _)| sender);
        let pair = Pair::of(wish.organization, sender, wish.digits, wish.long);
        let before = memory.sticky.find(pair);
        let kept = before.and_then(|id| {
            self.find(walk, look, &|at, candidate| {
                let same = candidate.key == best;
                // The parts of a long message stay together as long as their carrier can send.
                let together = wish.long.is_some() && candidate.key[0] == 0;
                self.routes.carriers[at].id == id && (same || together)
            })
        });
        if let Some((at, candidate)) = kept {
            return Some((at, candidate, By::Sticky));
        }
        let (at, candidate, by) = if survey.equals > 1 {
            let set = survey.set.wrapping_add(wish.organization.0.unsigned_abs());
            let place = memory.spread.next(set, survey.weights);
            let (at, candidate) = self.at_place(walk, look, best, place)?;
            (at, candidate, By::Weight)
        } else {
            let (at, candidate) = self.find(walk, look, &|_, candidate| candidate.key == best)?;
            (at, candidate, by)
        };
        memory.sticky.keep(pair, self.routes.carriers[at].id);
        Some((at, candidate, by))
    }

    fn find(
        &self,
        walk: &Walk<'_>,
        look: &dyn Fn(usize) -> Result<Candidate, Passed>,
        wanted: &dyn Fn(usize, &Candidate) -> bool,
    ) -> Option<(usize, Candidate)> {
        let mut found = None;
        walk(&mut |at| {
            if found.is_none()
                && let Ok(candidate) = look(at)
                && wanted(at, &candidate)
            {
                found = Some((at, candidate));
            }
        });
        found
    }

    /// The one of the best whose weight covers a place in their round.
    fn at_place(
        &self,
        walk: &Walk<'_>,
        look: &dyn Fn(usize) -> Result<Candidate, Passed>,
        best: Key,
        place: u64,
    ) -> Option<(usize, Candidate)> {
        let sum = std::cell::Cell::new(0);
        self.find(walk, look, &|at, candidate| {
            if candidate.key != best {
                return false;
            }
            sum.set(sum.get() + u64::from(self.routes.carriers[at].weight.max(1)));
            place < sum.get()
        })
    }
}

impl Table {
    /// The way of any message: test messages go to the sandbox, live ones that no carrier takes to
    /// the live sandbox if there is one.
    pub(in crate::traffic) fn route(
        &self,
        wish: &Wish<'_>,
        test: bool,
        memory: &Memory,
    ) -> Result<Choice<'_>, PassedOver> {
        if test {
            let id = self.routes.sandbox.ok_or_else(PassedOver::default)?;
            return Ok(self.sandbox(id, "sandbox_test"));
        }
        self.way(wish, memory).or_else(|passed| {
            let id = self.routes.sandbox_live.ok_or(passed)?;
            Ok(self.sandbox(id, "sandbox_default"))
        })
    }

    /// The carrier of this name, if it takes messages and this organization may use it.
    pub(in crate::traffic) fn named(&self, organization: OrgId, name: &str) -> Option<Choice<'_>> {
        let sandboxes = [self.routes.sandbox, self.routes.sandbox_live];
        let carrier = self.routes.carriers.iter().find(|carrier| &*carrier.name == name)?;
        let may = carrier.organization.is_none_or(|owner| owner == organization);
        let takes = carrier.enabled && may && !sandboxes.contains(&Some(carrier.id));
        let note = RouteNote::plain("interceptor");
        takes.then_some(Choice { id: carrier.id, carrier: Some(carrier), sandbox: false, note })
    }

    fn sandbox(&self, id: CarrierId, reason: &'static str) -> Choice<'_> {
        let carrier = self.routes.carriers.iter().find(|carrier| carrier.id == id);
        Choice { id, carrier, sandbox: true, note: RouteNote::plain(reason) }
    }
}
