//! Where calls to an organization's own number go: its routing, as steps of a plan.
//!
//! A number may lead to another one, that to the next, and so on three times, wherever the call was sent on
//! before it came here (RFC 5806). Each number, user and address on the way is asked for help. What is not
//! there any more (a telephone, a trunk) is left out of a group; what leads nowhere at all is refused.

use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::number::{Fallback, RingGroup, RingStrategy, RingTarget, Routing, SipForward};
use proto_sip::StatusCode;

use super::decide::{Base, Planner};
use super::{Address, CallerId, Diverted, Headers, Order, Place, Refused, Step};
use crate::sip::credentials::Credential;
use crate::sip::numbers::Number;
use crate::sip::trunks::Running;

/// Places of one ring group.
const GROUP_MAX: usize = 16;
/// How often a number may lead to another one.
const FORWARDS_MAX: usize = 3;

impl Planner<'_> {
    /// Where calls to an organization's own number go.
    pub(super) fn routed(&self, base: &mut Base, number: &Number) -> Result<Vec<Step>, Refused> {
        if !number.voice {
            return Err(Refused::Unknown);
        }
        base.number.get_or_insert(number.id);
        base.record |= number.record;
        match number.routing.as_ref().ok_or(Refused::Unknown)? {
            Routing::Reject { status } => {
                Err(Refused::Rejected(StatusCode::new(*status).unwrap_or(StatusCode::DECLINE)))
            }
            Routing::Forward { number: next } => {
                sent_on(base, number)?;
                self.onward(base, next)
            }
            Routing::RingGroup(group) => Ok(vec![self.group(base, number, group)?]),
            Routing::SipForward(forward) => self.sip_forward(base, number, forward),
            Routing::Proxy {} => self.masked(base, number),
        }
    }

    /// To the other party of the caller's session, as a call of the number itself. Who is nobody's party,
    /// or does not say who it is, reaches nobody.
    fn masked(&self, base: &mut Base, number: &Number) -> Result<Vec<Step>, Refused> {
        let caller = base.from.shown().filter(|_| base.mask.is_none());
        let found =
            caller.and_then(|caller| self.tables.masks.find(&number.e164, caller, self.now));
        let fits = found.filter(|mask| mask.organization == number.organization && mask.voice);
        let mask = fits.ok_or(Refused::Declined)?;
        counted(base)?;
        let number = Some(number.e164.to_string());
        base.from = CallerId { number, ..CallerId::default() };
        base.diverted = None;
        base.mask = Some(Arc::clone(&mask));
        self.onward(base, &mask.other)
    }

    fn sip_forward(
        &self,
        base: &mut Base,
        number: &Number,
        forward: &SipForward,
    ) -> Result<Vec<Step>, Refused> {
        sent_on(base, number)?;
        let (place, timeout, fallback) = match forward {
            SipForward::Inline { sip_uri, sip_username, headers, timeout, fallback } => {
                let address = Address {
                    uri: sip_uri.clone(),
                    username: sip_username.clone(),
                    password: number.password.clone(),
                    headers: listed(headers),
                };
                (self.address(address).map(Some)?, timeout, fallback)
            }
            SipForward::Trunk { trunk_id, headers, timeout, fallback } => {
                let trunk = PublicId::parse(Kind::Trunk, trunk_id);
                let trunk = trunk.and_then(|trunk| self.tables.trunks.find(trunk));
                let own = |of: &Arc<Running>| {
                    of.trunk.organization == Some(number.organization) && of.takes_calls()
                };
                let to = number.e164.to_string();
                let headers = listed(headers);
                let place = trunk.filter(own).map(|trunk| Place::Trunk { trunk, to, headers });
                (place, timeout, fallback)
            }
        };
        let ring = Duration::from_secs(u64::try_from(*timeout).unwrap_or_default().max(1));
        let first = place.map(|place| Step { places: vec![place], order: Order::Together, ring });
        let mut steps: Vec<Step> = first.into_iter().collect();
        if let Some(fallback) = fallback {
            match self.fallback(base, number, fallback) {
                Ok(more) => steps.extend(more),
                // The way that is there is tried; where it fails nothing else is.
                Err(refused) if refused != Refused::Emergency && !steps.is_empty() => {}
                Err(refused) => return Err(refused),
            }
        }
        if steps.is_empty() { Err(Refused::Unknown) } else { Ok(steps) }
    }

    fn fallback(
        &self,
        base: &mut Base,
        number: &Number,
        fallback: &Fallback,
    ) -> Result<Vec<Step>, Refused> {
        match fallback {
            Fallback::Forward { number: next } => self.onward(base, next),
            Fallback::RingGroup(group) => Ok(vec![self.group(base, number, group)?]),
        }
    }

    fn group(&self, base: &mut Base, number: &Number, group: &RingGroup) -> Result<Step, Refused> {
        let (mut places, mut why) = (Vec::new(), None);
        for target in &group.targets {
            match self.targeted(base, number, target) {
                Ok(more) => places.extend(more),
                Err(Refused::Emergency) => return Err(Refused::Emergency),
                Err(refused) => why = why.or(Some(refused)),
            }
        }
        if places.is_empty() {
            return Err(why.unwrap_or(Refused::Unknown));
        }
        places.truncate(GROUP_MAX);
        let order = match group.strategy {
            RingStrategy::Simultaneous => Order::Together,
            RingStrategy::Sequential => Order::InTurn,
        };
        let ring = u64::try_from(group.ring_seconds).unwrap_or_default().max(1);
        Ok(Step { places, order, ring: Duration::from_secs(ring) })
    }

    /// The places of a group's member. Another number of the organization is where that leads to first.
    fn targeted(
        &self,
        base: &mut Base,
        number: &Number,
        target: &RingTarget,
    ) -> Result<Vec<Place>, Refused> {
        match target {
            RingTarget::User { name } => {
                let phone = self.user(number.organization, name).ok_or(Refused::Unknown)?;
                base.test |= phone.sandbox;
                Ok(vec![Place::Phone(phone)])
            }
            RingTarget::Sip { sip_uri } => {
                let (username, password, headers) = (None, None, Vec::new());
                let uri = sip_uri.clone();
                Ok(vec![self.address(Address { uri, username, password, headers })?])
            }
            RingTarget::Phone { number: next } => {
                let mut sent = Base { mask: None, ..base.clone() };
                sent_on(&mut sent, number)?;
                let steps = self.onward(&mut sent, next)?;
                // Nobody is shown two callers at once.
                if sent.mask.is_some() {
                    return Err(Refused::Declined);
                }
                (base.from, base.test) = (sent.from, sent.test);
                base.diverted = base.diverted.take().or(sent.diverted);
                Ok(steps.into_iter().next().map(|step| step.places).unwrap_or_default())
            }
        }
    }

    /// All phones of an organization's credential, by its extension or its name.
    fn user(&self, organization: OrgId, name: &str) -> Option<Arc<Credential>> {
        let credentials = self.tables.credentials;
        let realm = credentials.realm_of(organization)?;
        let found = credentials.by_extension(&realm, name).or(credentials.find(&realm, name));
        found.filter(|phone| phone.active && phone.of.organization == organization)
    }

    fn address(&self, address: Address) -> Result<Place, Refused> {
        if self.tables.emergency.blocks(&address.uri) {
            return Err(Refused::Emergency);
        }
        Ok(Place::Address(Arc::new(address)))
    }
}

/// A number sends the call on.
fn sent_on(base: &mut Base, number: &Number) -> Result<(), Refused> {
    counted(base)?;
    let by = base.diverted.take().map_or_else(|| Arc::clone(&number.e164), |diverted| diverted.by);
    base.diverted = Some(Diverted { by, counter: base.forwards });
    Ok(())
}

fn counted(base: &mut Base) -> Result<(), Refused> {
    base.forwards = base.forwards.saturating_add(1);
    if base.forwards > FORWARDS_MAX { Err(Refused::TooManyHops) } else { Ok(()) }
}

fn listed(headers: &std::collections::BTreeMap<String, String>) -> Headers {
    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
