//! What becomes of a call: from who calls and what was dialled to where it goes and what it costs, or
//! to why it does not.
//!
//! dialled   a Request-URI as a telephone means it
//! decide    the plan itself: help first, then who may call what
//! routed    where calls to an organization's own number go
//! refused   the answers that say no
//!
//! Pure: tables, time and prices come in as arguments, a plan goes out as a value. Nothing here opens
//! a leg; that the numbers of help are asked for at every entry is `decide`'s first line.

mod decide;
mod dialled;
mod refused;
mod routed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::id::PublicId;
use model::message::Direction;
use model::voice::{Rated, Tariff};

pub use decide::{Ask, Tables, plan};
pub use dialled::Dialled;
pub use refused::Refused;

use super::credentials::Credential;
use super::masks::Mask;
use super::trunks::{Password, Running};

/// Who calls, as it proved.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A telephone of an organization.
    Phone(Arc<Credential>),
    /// A customer's telephone system; or a carrier of ours, who brings calls to our numbers and nothing
    /// else.
    Trunk(Arc<Running>),
}

/// Who the other side is shown as calling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerId {
    /// E.164 with `+`, an extension or a name; `None`: nothing is known.
    pub number: Option<String>,
    pub name: Option<String>,
    /// It is not to be shown to who is called; carriers are told, with the wish not to show it.
    pub withheld: bool,
}

impl CallerId {
    /// The number, if it may be shown.
    #[must_use]
    pub fn shown(&self) -> Option<&str> {
        self.number.as_deref().filter(|_| !self.withheld)
    }
}

/// Where a call goes first, second, and so on.
#[derive(Clone, Debug)]
pub struct Plan {
    pub organization: OrgId,
    /// As its organization sees it.
    pub direction: Direction,
    /// Who called, for its organization's records.
    pub caller: CallerId,
    /// Who calls, for who is called.
    pub from: CallerId,
    /// E.164 with `+`, or what was dialled.
    pub to: String,
    /// The organization's number that it is of.
    pub number: Option<PublicId>,
    /// The number it was sent on from, and how often it was sent on before.
    pub diverted: Option<Diverted>,
    /// The masking session that it goes by.
    pub mask: Option<Arc<Mask>>,
    /// A number that it came to wants it recorded, as far as consent allows.
    pub record: bool,
    pub steps: Vec<Step>,
    /// What the leg of who calls costs.
    pub inward: Rated,
    /// Nothing leaves the switch, and nothing is paid.
    pub test: bool,
}

/// A call that came to a number and goes on from there, RFC 5806.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverted {
    /// E.164 with `+`.
    pub by: Arc<str>,
    pub counter: usize,
}

/// Places that are tried together, or one after the other; the next step when nobody of it takes the call.
#[derive(Clone, Debug)]
pub struct Step {
    pub places: Vec<Place>,
    pub order: Order,
    pub ring: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All at once; the first that answers has the call.
    Together,
    /// The next when one does not answer.
    InTurn,
}

/// Somewhere a call can go.
#[derive(Clone, Debug)]
pub enum Place {
    /// All contacts of a telephone.
    Phone(Arc<Credential>),
    /// A customer's telephone system.
    Trunk { trunk: Arc<Running>, to: String, headers: Headers },
    /// An address outside, which a customer routes its number to.
    Address(Arc<Address>),
    /// The public network, by the trunks that lead there, the next when one cannot take the call at all.
    Public { number: String, rated: Rated },
}

/// What a customer adds to calls to its number: names and values.
pub type Headers = Vec<(String, String)>;

/// Somewhere outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    pub uri: String,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub headers: Headers,
}

impl Plan {
    /// Of a telephone that rings nobody, whatever it dials: it takes somebody's place.
    #[must_use]
    pub fn nowhere(phone: &Credential, dialled: Dialled) -> Self {
        let own = phone.extension.as_deref().unwrap_or(&phone.username);
        let own = CallerId { number: Some(own.to_owned()), ..CallerId::default() };
        Self {
            organization: phone.of.organization,
            direction: Direction::Outbound,
            caller: own.clone(),
            from: own,
            to: match dialled {
                Dialled::Number(text) | Dialled::Short(text) | Dialled::Name(text) => text,
                Dialled::Nothing => String::new(),
            },
            number: None,
            diverted: None,
            mask: None,
            record: false,
            steps: Vec::new(),
            inward: Rated::free(),
            test: phone.sandbox,
        }
    }

    /// Numbers of the public network that it may dial, whatever was dialled.
    pub fn dials(&self) -> impl Iterator<Item = &str> {
        let places = self.steps.iter().flat_map(|step| &step.places);
        places.filter_map(|place| match place {
            Place::Public { number, .. } => Some(number.as_str()),
            _ => None,
        })
    }

    /// Who called, for the records of its organization: who withholds its number does so from others.
    #[must_use]
    pub fn recorded(&self) -> Option<&str> {
        self.known(&self.caller)
    }

    /// As whom it calls who is called, for the records.
    #[must_use]
    pub fn recorded_as(&self) -> Option<&str> {
        self.known(&self.from)
    }

    fn known<'a>(&self, caller: &'a CallerId) -> Option<&'a str> {
        match self.direction {
            Direction::Inbound => caller.shown(),
            Direction::Outbound => caller.number.as_deref(),
        }
    }

    /// What is put aside for it: both legs as one, the other leg as dear as the dearest it may dial.
    #[must_use]
    pub fn rated(&self) -> Rated {
        let places = self.steps.iter().flat_map(|step| &step.places);
        let outward = places.filter_map(|place| match place {
            Place::Public { rated, .. } => Some(rated),
            _ => None,
        });
        let outward = outward.fold(Rated::free(), |dearest, rated| {
            if dearest.tariff.is_free() {
                return rated.clone();
            }
            let tariff = joined(dearest.tariff, rated.tariff, i64::max);
            Rated { prefix: dearest.prefix, tariff }
        });
        if self.inward.tariff.is_free() {
            return outward;
        }
        if outward.tariff.is_free() {
            return self.inward.clone();
        }
        let tariff = joined(self.inward.tariff, outward.tariff, i64::saturating_add);
        Rated { prefix: outward.prefix, tariff }
    }
}

/// Two tariffs as one: steps as long as the longer ones.
fn joined(a: Tariff, b: Tariff, money: fn(i64, i64) -> i64) -> Tariff {
    Tariff {
        per_minute: money(a.per_minute, b.per_minute),
        initial_s: a.initial_s.max(b.initial_s),
        increment_s: a.increment_s.max(b.increment_s),
        connect_fee: money(a.connect_fee, b.connect_fee),
    }
}
