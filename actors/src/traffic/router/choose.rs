//! The choice: which carriers may take a message, which of them can now, and which comes first.
//!
//! An organization's own carriers that cover the destination, else the platform's. Filters:
//! enabled, coverage, kind of sender, not tried yet. Those that can send now go before those that
//! cannot. Then the longest prefix, priority, cost, quality; among equals who was taken for this
//! recipient before, else shares by weight. The parts of one text go by one carrier. An organization's own rule that matches takes the place
//! of all that: its carriers, in its order.

use model::address::SenderKind;
use model::carrier::CarrierId;
use model::country::country_of;
use model::route::{By, Passed, PassedOver, RouteNote};
use model::routing::Strategy;

use super::pulse::Standing;
use super::sticky::Pair;
use super::table::{Closeness, Group, Ruled, Table};
use super::{CarrierRoute, Choice, Memory, Wish};

type Key = [i64; 5];

/// What tells two candidates apart.
#[derive(Clone, Copy)]
pub(super) enum Plan<'r> {
    Usual,
    Rule(&'r Ruled),
}

impl Plan<'_> {
    /// The names of what a key holds, the most telling first.
    fn names(self) -> [By; 5] {
        match self {
            Self::Usual => [By::Health, By::Prefix, By::Priority, By::Cost, By::Quality],
            Self::Rule(ruled) => match ruled.rule.strategy {
                Strategy::Priority | Strategy::Weighted => {
                    [By::Health, By::Order, By::Order, By::Order, By::Order]
                }
                Strategy::Cost => [By::Health, By::Cost, By::Quality, By::Order, By::Order],
                Strategy::Quality => [By::Health, By::Quality, By::Cost, By::Order, By::Order],
            },
        }
    }

    /// The lowest goes first.
    fn key(self, health: i64, close: Closeness, carrier: &CarrierRoute, at: usize) -> Key {
        let (cost, quality) = (carrier.cost_rate.0, -i64::from(carrier.quality));
        match self {
            Self::Usual => [health, -close.rank(), -carrier.priority, cost, quality],
            Self::Rule(ruled) => match ruled.rule.strategy {
                Strategy::Priority => {
                    let position = ruled.carriers.iter().position(|listed| *listed == at);
                    let position = position.and_then(|position| i64::try_from(position).ok());
                    [health, position.unwrap_or(i64::MAX), 0, 0, 0]
                }
                Strategy::Cost => [health, cost, quality, 0, 0],
                Strategy::Quality => [health, quality, cost, 0, 0],
                Strategy::Weighted => [health, 0, 0, 0, 0],
            },
        }
    }
}

/// Names the places of carriers that may cover the destination.
type Walk<'w> = dyn Fn(&mut dyn FnMut(usize)) + 'w;

/// A carrier that may take the message.
pub(super) struct Candidate {
    key: Key,
    standing: Standing,
    /// Its lists name the destination.
    named: bool,
}

/// What told the first from the others.
#[derive(Clone, Copy)]
enum Apart {
    Nothing,
    /// This place of their keys.
    Key(usize),
    By(By),
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
        let country = self.country(wish);
        if let Some((_, ruled)) = self.rule(wish, country) {
            return self.by_rule(ruled, wish, country, memory);
        }
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
            // Their own that cover it have all had it: still not the platform's.
            if passed.holds(Passed::Tried) {
                break;
            }
        }
        Err(passed)
    }

    pub(super) fn country(&self, wish: &Wish<'_>) -> Option<&'static str> {
        if self.by_country { country_of(wish.digits) } else { None }
    }

    /// The organization's own rule that decides, and its place.
    pub(super) fn rule(&self, wish: &Wish<'_>, country: Option<&str>) -> Option<(usize, &Ruled)> {
        if self.rules.is_empty() {
            return None;
        }
        let sender = wish.sender.map(|(_, kind)| kind).or(self.default_kind);
        let (digits, mccmnc, category) = (wish.digits, wish.mccmnc, wish.category);
        let rules = self.rules.get(&wish.organization)?;
        let mut rules = rules.iter().enumerate();
        rules.find(|(_, ruled)| ruled.rule.matches(digits, country, mccmnc, sender, category))
    }

    fn by_rule(
        &self,
        ruled: &Ruled,
        wish: &Wish<'_>,
        country: Option<&str>,
        memory: &Memory,
    ) -> Result<Choice<'_>, PassedOver> {
        let walk = |name: &mut dyn FnMut(usize)| ruled.carriers.iter().for_each(|at| name(*at));
        let plan = Plan::Rule(ruled);
        let (at, candidate, note) = self.pick(&walk, plan, wish, country, memory)?;
        let carrier = &self.routes.carriers[at];
        let note = RouteNote { reason: "organization_rule", ..note };
        let can_send = candidate.key[0] == 0;
        Ok(Choice { id: carrier.id, carrier: Some(carrier), sandbox: false, can_send, note })
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
        let (at, candidate, note) = self.pick(&walk, Plan::Usual, wish, country, memory)?;
        let carrier = &self.routes.carriers[at];
        let reason = if candidate.named { named } else { by_default };
        let note = RouteNote { reason, ..note };
        let can_send = candidate.key[0] == 0;
        Ok(Choice { id: carrier.id, carrier: Some(carrier), sandbox: false, can_send, note })
    }

    fn pick(
        &self,
        walk: &Walk<'_>,
        plan: Plan<'_>,
        wish: &Wish<'_>,
        country: Option<&str>,
        memory: &Memory,
    ) -> Result<(usize, Candidate, RouteNote), PassedOver> {
        for may_try in [true, false] {
            let look = |at| self.look(at, plan, wish, country, may_try);
            let survey = self.survey(walk, &look);
            let found = self.first(walk, &look, wish, memory, &survey);
            let Some((at, candidate, apart)) = found else { return Err(survey.passed) };
            let by = match apart {
                Apart::Nothing => By::Only,
                Apart::Key(n) => plan.names()[n],
                Apart::By(by) => by,
            };
            // Of several only one message a second tries a carrier whose circuit is open; and of what
            // comes from another carrier, where it could wait as well, if there is no other either.
            let chooses = survey.among > 1 || !wish.tried.is_empty();
            let tries = candidate.standing == Standing::MayTry && chooses && !wish.dry;
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
    pub(super) fn look(
        &self,
        at: usize,
        plan: Plan<'_>,
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
        if wish.only.is_some_and(|only| !only.contains(&carrier.id)) {
            return Err(Passed::NotInPool);
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
        let key = plan.key(health, close, carrier, at);
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
    ) -> Option<(usize, Candidate, Apart)> {
        let best = survey.best?;
        let by = survey
            .second
            .and_then(|second| (0..best.len()).find(|n| second[*n] != best[*n]))
            .map_or(Apart::Nothing, Apart::Key);
        if let Some(text) = wish.text.filter(|_| survey.among > 1) {
            return self.with_its_text(text, (walk, look), wish, memory, survey);
        }
        if survey.equals == 1 {
            let found = self.find(walk, look, &|_, candidate| candidate.key == best);
            return found.map(|(at, candidate)| (at, candidate, by));
        }
        let sender = wish.sender.map_or("", |(sender, _)| sender);
        let pair = Pair::of(wish.organization, sender, wish.digits);
        let before = memory.sticky.find(pair);
        let kept = before.and_then(|id| {
            self.find(walk, look, &|at, candidate| {
                self.routes.carriers[at].id == id && candidate.key == best
            })
        });
        if let Some((at, candidate)) = kept {
            return Some((at, candidate, Apart::By(By::Sticky)));
        }
        let set = survey.set.wrapping_add(wish.organization.0.unsigned_abs());
        let place = memory.spread.next(set, survey.weights);
        let (at, candidate) = self.at_place(walk, look, best, place)?;
        memory.sticky.keep(pair, self.routes.carriers[at].id);
        Some((at, candidate, Apart::By(By::Weight)))
    }

    /// The carrier of a text's other parts, while it can send or once it has some of them; else the
    /// first of the best, for them too.
    fn with_its_text(
        &self,
        text: u64,
        (walk, look): (&Walk<'_>, &dyn Fn(usize) -> Result<Candidate, Passed>),
        wish: &Wish<'_>,
        memory: &Memory,
        survey: &Survey,
    ) -> Option<(usize, Candidate, Apart)> {
        let kept = memory.texts.find(text, wish.now).and_then(|(id, has)| {
            self.find(walk, look, &|at, candidate| {
                self.routes.carriers[at].id == id && (has || candidate.key[0] == 0)
            })
        });
        if let Some((at, candidate)) = kept {
            return Some((at, candidate, Apart::By(By::Sticky)));
        }
        let alone = Wish { text: None, ..*wish };
        let (at, candidate, by) = self.first(walk, look, &alone, memory, survey)?;
        memory.texts.keep(text, self.routes.carriers[at].id, wish.now);
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
            let sandbox = self.routes.sandbox_live.filter(|_| wish.only.is_none());
            let id = sandbox.ok_or(passed)?;
            Ok(self.sandbox(id, "sandbox_default"))
        })
    }

    /// The carrier of this name, if it takes messages, this organization may use it, and so does the
    /// message's pool.
    pub(in crate::traffic) fn named(
        &self,
        wish: &Wish<'_>,
        name: &str,
    ) -> Result<Choice<'_>, PassedOver> {
        let mut passed = PassedOver::default();
        let sandboxes = [self.routes.sandbox, self.routes.sandbox_live];
        let carrier = self.routes.carriers.iter().find(|carrier| &*carrier.name == name);
        let carrier = carrier.ok_or(passed)?;
        let may = carrier.organization.is_none_or(|owner| owner == wish.organization);
        let takes = carrier.enabled && may && !sandboxes.contains(&Some(carrier.id));
        if takes && wish.only.is_some_and(|only| !only.contains(&carrier.id)) {
            passed.add(Passed::NotInPool);
            return Err(passed);
        }
        let note = RouteNote::plain("interceptor");
        let (id, carrier) = (carrier.id, Some(carrier));
        let choice = Choice { id, carrier, sandbox: false, can_send: true, note };
        takes.then_some(choice).ok_or(passed)
    }

    fn sandbox(&self, id: CarrierId, reason: &'static str) -> Choice<'_> {
        let carrier = self.routes.carriers.iter().find(|carrier| carrier.id == id);
        Choice { id, carrier, sandbox: true, can_send: true, note: RouteNote::plain(reason) }
    }
}
