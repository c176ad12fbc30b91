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
use model::id::PublicId;
use model::message::Direction;
use model::voice::{Bounds, Rated, VoiceRates};

use super::{Caller, CallerId, Dialled, Diverted, Order, Place, Plan, Refused, Step};
use crate::sip::credentials::{Credential, Credentials};
use crate::sip::masks::{Mask, Masks};
use crate::sip::numbers::Numbers;
use crate::sip::trunks::Trunks;

/// What the plan is made from.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    pub credentials: &'a Credentials,
    pub numbers: &'a Numbers,
    pub masks: &'a Masks,
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
    /// How often it was sent on before it came here, as Diversion says.
    pub forwards: usize,
    pub now: At,
}

pub(super) struct Planner<'a> {
    pub(super) tables: Tables<'a>,
    pub(super) now: At,
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
        let base = Base::new(organization, phone.sandbox, from, ask);
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
                let caller = from.clone();
                let plan = self.public(Base { caller, from, ..base }, number)?;
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
        let first = numbers.default_of(organization);
        first.map(|number| number.to_string()).ok_or(Refused::NoCallerId)
    }

    fn of_pbx(&self, organization: OrgId, ask: &Ask<'_>) -> Result<Plan, Refused> {
        let own = ask.says.number.as_deref().and_then(|says| self.tables.numbers.find(says));
        let own = own.filter(|own| own.organization == organization && own.voice);
        let test = own.as_ref().is_some_and(|own| own.sandbox);
        let base = Base::new(organization, test, ask.says.clone(), ask);
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
        let says = ask.says.clone();
        let mut base = Base::new(number.organization, number.sandbox, says, ask);
        let steps = self.routed(&mut base, &number)?;
        let inward = inward.ok_or(Refused::NoPrice)?;
        Ok(Plan { direction: Direction::Inbound, inward, ..base.plan(dialled, steps) })
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
    pub(super) fn public(&self, mut base: Base, number: &str) -> Result<Plan, Refused> {
        let steps = self.onward(&mut base, number)?;
        Ok(base.plan(number, steps))
    }

    /// Where a call to a number goes, whoever sends it there: help is asked for first.
    pub(super) fn onward(&self, base: &mut Base, number: &str) -> Result<Vec<Step>, Refused> {
        if self.tables.emergency.blocks(number) {
            return Err(Refused::Emergency);
        }
        match self.tables.numbers.find(number) {
            Some(own) if own.organization == base.organization => self.routed(base, &own),
            _ => Ok(vec![self.step(vec![self.outside(base, number)?], Order::Together)]),
        }
    }

    /// The public network, as somebody whom it can call back.
    fn outside(&self, base: &mut Base, number: &str) -> Result<Place, Refused> {
        let digits = number.trim_start_matches('+');
        if self.tables.bounds.blocks(digits).is_some() {
            return Err(Refused::Fraud);
        }
        if base.test {
            return Err(Refused::Sandbox);
        }
        let rated = self.tables.rates.find(Direction::Outbound, digits, self.now);
        let rated = rated.ok_or(Refused::NoPrice)?;
        if self.tables.trunks.egress(base.organization, number).is_empty() {
            return Err(Refused::NoRoute);
        }
        let has_number = base.from.number.as_deref().is_some_and(|number| number.starts_with('+'));
        if let Some(diverted) = base.diverted.as_ref().filter(|_| !has_number) {
            base.from = CallerId { number: Some(diverted.by.to_string()), ..base.from.clone() };
        }
        Ok(Place::Public { number: number.to_owned(), rated })
    }

    pub(super) fn step(&self, places: Vec<Place>, order: Order) -> Step {
        Step { places, order, ring: self.tables.ring }
    }
}

/// What all ways of one call share.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) organization: OrgId,
    pub(super) test: bool,
    /// Who called, and as whom it calls on.
    pub(super) caller: CallerId,
    pub(super) from: CallerId,
    /// How often it was sent on.
    pub(super) forwards: usize,
    pub(super) number: Option<PublicId>,
    pub(super) diverted: Option<Diverted>,
    pub(super) mask: Option<Arc<Mask>>,
    pub(super) record: bool,
}

impl Base {
    fn new(organization: OrgId, test: bool, from: CallerId, ask: &Ask<'_>) -> Self {
        let (number, diverted, mask) = (None, None, None);
        let (caller, forwards) = (from.clone(), ask.forwards);
        let record = false;
        Self { organization, test, caller, from, forwards, number, diverted, mask, record }
    }

    fn plan(self, to: &str, steps: Vec<Step>) -> Plan {
        Plan {
            organization: self.organization,
            direction: Direction::Outbound,
            caller: self.caller,
            from: self.from,
            to: to.to_owned(),
            number: self.number,
            diverted: self.diverted,
            mask: self.mask,
            record: self.record,
            steps,
            inward: Rated::free(),
            test: self.test,
        }
    }
}
