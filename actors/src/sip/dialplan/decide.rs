//! The plan of one call.
//!
//! First failure wins, in this order: help, then what can be read, then who is called, then whether the
//! caller may, from which number, at which price, and by whom. What leaves for the public network passes
//! `public`, whoever asks: a telephone, a forwarded number, a transfer.

use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::emergency::Emergency;
use model::message::Direction;
use model::voice::{Bounds, Rated, VoiceRates};

use super::numbers::{Number, Numbers, Routing};
use super::{Caller, CallerId, Dialled, Order, Place, Plan, Refused, Step};
use crate::sip::credentials::{Credential, Credentials};
use crate::sip::trunks::{Running, Trunks};

/// Telephones of one ring group.
const GROUP_MAX: usize = 16;
/// How often a number may lead to another one.
const FORWARDS_MAX: usize = 3;

/// What the plan is made from.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    pub credentials: &'a Credentials,
    pub numbers: &'a Numbers,
    pub trunks: &'a Trunks,
    pub emergency: &'a Emergency,
    pub bounds: &'a Bounds,
    pub rates: &'a VoiceRates,
    pub ring: Duration,
    /// A credential's own number is taken at its word, whoever has it.
    pub trusts_caller_ids: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub caller: &'a Caller,
    /// The Request-URI as it came.
    pub uri: &'a str,
    pub dialled: Dialled,
    /// The number that the caller says it calls from, and its name.
    pub says: CallerId,
    pub now: At,
}

struct Planner<'a> {
    tables: Tables<'a>,
    now: At,
}

/// Where a call goes, or why nowhere.
pub fn plan(tables: Tables<'_>, ask: &Ask<'_>) -> Result<Plan, Refused> {
    if tables.emergency.blocks(ask.uri) {
        return Err(Refused::Emergency);
    }
    let planner = Planner { tables, now: ask.now };
    match ask.caller {
        Caller::Phone(phone) => planner.of_phone(phone, ask),
        Caller::Trunk(caller) => match caller.trunk.organization {
            Some(organization) => planner.of_pbx(organization, ask),
            None => planner.of_carrier(ask),
        },
    }
}

impl Planner<'_> {
    fn of_phone(&self, phone: &Arc<Credential>, ask: &Ask<'_>) -> Result<Plan, Refused> {
        let own = phone.extension.as_deref().unwrap_or(&phone.username);
        let from = CallerId { number: Some(own.to_owned()), ..ask.says.clone() };
        let organization = phone.of.organization;
        let base = Base { organization, test: phone.sandbox, from };
        match &ask.dialled {
            Dialled::Short(digits) => {
                let callee = self.tables.credentials.by_extension(&phone.realm, digits);
                self.inside(base, callee, digits)
            }
            Dialled::Name(name) => {
                let callee = self.tables.credentials.find(&phone.realm, name);
                self.inside(base, callee, name)
            }
            Dialled::Number(number) => {
                if !phone.may_call(number) {
                    return Err(Refused::NotAllowed);
                }
                let number_from = self.caller_id(phone, ask)?;
                let from = CallerId { number: Some(number_from), ..ask.says.clone() };
                let plan = self.public(Base { from, ..base }, number)?;
                // Where its own number leads on to is no way around what it may.
                let may = plan.dials().all(|number| phone.may_call(number));
                may.then_some(plan).ok_or(Refused::NotAllowed)
            }
            Dialled::Nothing => Err(Refused::Unreadable),
        }
    }

    /// The number that a telephone shows: the one set for it, the one it says if that is its
    /// organization's, the organization's own.
    fn caller_id(&self, phone: &Credential, ask: &Ask<'_>) -> Result<String, Refused> {
        let organization = phone.of.organization;
        let numbers = self.tables.numbers;
        if let Some(set) = &phone.caller_id {
            let may = self.tables.trusts_caller_ids || numbers.owns(organization, set);
            return if may { Ok(set.clone()) } else { Err(Refused::CallerId) };
        }
        if let Some(says) = ask.says.number.as_deref().filter(|says| says.starts_with('+')) {
            let owns = numbers.owns(organization, says);
            return if owns { Ok(says.to_owned()) } else { Err(Refused::CallerId) };
        }
        numbers.default_of(organization).map(str::to_owned).ok_or(Refused::NoCallerId)
    }

    fn of_pbx(&self, organization: OrgId, ask: &Ask<'_>) -> Result<Plan, Refused> {
        let own = ask.says.number.as_deref().and_then(|says| self.tables.numbers.find(says));
        let own = own.filter(|own| own.organization == organization && own.voice);
        let test = own.is_some_and(|own| own.sandbox);
        let base = Base { organization, test, from: ask.says.clone() };
        let credentials = self.tables.credentials;
        let realm = credentials.realm_of(organization).unwrap_or_default();
        match &ask.dialled {
            Dialled::Short(digits) => {
                self.inside(base, credentials.by_extension(&realm, digits), digits)
            }
            Dialled::Name(name) => self.inside(base, credentials.find(&realm, name), name),
            Dialled::Number(number) => {
                if own.is_none() {
                    return Err(Refused::CallerId);
                }
                self.public(base, number)
            }
            Dialled::Nothing => Err(Refused::Unreadable),
        }
    }

    /// A carrier brings calls to numbers that are ours.
    fn of_carrier(&self, ask: &Ask<'_>) -> Result<Plan, Refused> {
        let Dialled::Number(dialled) = &ask.dialled else { return Err(Refused::Unknown) };
        let number = self.tables.numbers.find(dialled).ok_or(Refused::Unknown)?;
        let digits = dialled.trim_start_matches('+');
        let inward = self.tables.rates.find(Direction::Inbound, digits, self.now);
        let base = Base {
            organization: number.organization,
            test: number.sandbox,
            from: ask.says.clone(),
        };
        let mut plan = self.routed(&base, number, FORWARDS_MAX)?;
        plan.direction = Direction::Inbound;
        dialled.clone_into(&mut plan.to);
        plan.inward = inward.ok_or(Refused::NoPrice)?;
        plan.number = Some(number.id);
        Ok(plan)
    }

    /// A telephone of the same organization.
    fn inside(
        &self,
        base: Base,
        callee: Option<Arc<Credential>>,
        dialled: &str,
    ) -> Result<Plan, Refused> {
        let callee = callee.filter(|callee| callee.active).ok_or(Refused::Unknown)?;
        let base = Base { test: base.test || callee.sandbox, ..base };
        Ok(base.plan(dialled, vec![self.step(vec![Place::Phone(callee)], Order::Together)]))
    }

    /// A number of E.164: an organization's own, or the public network.
    fn public(&self, base: Base, number: &str) -> Result<Plan, Refused> {
        if self.tables.emergency.blocks(number) {
            return Err(Refused::Emergency);
        }
        if let Some(own) = self.tables.numbers.find(number)
            && own.organization == base.organization
        {
            let mut plan = self.routed(&base, own, FORWARDS_MAX)?;
            plan.number = Some(own.id);
            number.clone_into(&mut plan.to);
            return Ok(plan);
        }
        let digits = number.trim_start_matches('+');
        if self.tables.bounds.blocks(digits).is_some() {
            return Err(Refused::Fraud);
        }
        if base.test {
            return Err(Refused::Sandbox);
        }
        let rated = self.tables.rates.find(Direction::Outbound, digits, self.now);
        let outward = rated.ok_or(Refused::NoPrice)?;
        if self.tables.trunks.egress(base.organization, number).is_empty() {
            return Err(Refused::NoRoute);
        }
        let place = Place::Public { number: number.to_owned() };
        let step = self.step(vec![place], Order::Failover);
        Ok(Plan { outward, ..base.plan(number, vec![step]) })
    }

    /// Where calls to an organization's own number go.
    fn routed(&self, base: &Base, number: &Number, forwards: usize) -> Result<Plan, Refused> {
        if !number.voice {
            return Err(Refused::Unknown);
        }
        let phone = |credential: &i64| {
            let found = self.tables.credentials.by_number(*credential);
            found.filter(|c| c.active && c.of.organization == number.organization)
        };
        let to = number.e164.as_str();
        let one = |place| vec![self.step(vec![place], Order::Together)];
        let steps = match &number.routing {
            Routing::Nowhere => return Err(Refused::Unknown),
            Routing::Reject { busy: true } => return Err(Refused::Busy),
            Routing::Reject { busy: false } => return Err(Refused::Declined),
            Routing::Phone { credential } => {
                one(Place::Phone(phone(credential).ok_or(Refused::Unknown)?))
            }
            Routing::RingGroup { credentials, in_turn, ring_s } => {
                let found = credentials.iter().filter_map(phone).take(GROUP_MAX);
                let places: Vec<_> = found.map(Place::Phone).collect();
                if places.is_empty() {
                    return Err(Refused::Unknown);
                }
                let order = if *in_turn { Order::InTurn } else { Order::Together };
                let ring = Duration::from_secs(u64::from(*ring_s).max(1));
                vec![Step { places, order, ring }]
            }
            Routing::SipForward { uri } => {
                if self.tables.emergency.blocks(uri) {
                    return Err(Refused::Emergency);
                }
                one(Place::Address { uri: uri.clone() })
            }
            Routing::Trunk { trunk } => {
                let own = |of: &Arc<Running>| of.trunk.organization == Some(number.organization);
                let trunk = self.tables.trunks.find(*trunk).filter(own).ok_or(Refused::Unknown)?;
                one(Place::Trunk { trunk, to: to.to_owned() })
            }
            Routing::Forward { number: next } => {
                let owner = number.organization;
                return self.forwarded(base, next, owner, forwards);
            }
        };
        Ok(base.clone().plan(to, steps))
    }

    /// A number that leads to another: its owner pays for the way on.
    fn forwarded(
        &self,
        base: &Base,
        next: &str,
        owner: OrgId,
        forwards: usize,
    ) -> Result<Plan, Refused> {
        let left = forwards.checked_sub(1).ok_or(Refused::TooManyHops)?;
        if self.tables.emergency.blocks(next) {
            return Err(Refused::Emergency);
        }
        let base = Base { organization: owner, ..base.clone() };
        match self.tables.numbers.find(next) {
            Some(own) if own.organization == owner => self.routed(&base, own, left),
            _ => self.public(base, next),
        }
    }

    fn step(&self, places: Vec<Place>, order: Order) -> Step {
        Step { places, order, ring: self.tables.ring }
    }
}

/// What all plans of one call share.
#[derive(Clone, Debug)]
struct Base {
    organization: OrgId,
    test: bool,
    from: CallerId,
}

impl Base {
    fn plan(self, to: &str, steps: Vec<Step>) -> Plan {
        Plan {
            organization: self.organization,
            direction: Direction::Outbound,
            from: self.from,
            to: to.to_owned(),
            number: None,
            steps,
            inward: Rated::free(),
            outward: Rated::free(),
            test: self.test,
        }
    }
}
