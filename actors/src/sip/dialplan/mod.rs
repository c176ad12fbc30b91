//! What becomes of a call: from who calls and what was dialled to where it goes and what it costs, or
//! to why it does not.
//!
//! dialled   a Request-URI as a telephone means it
//! numbers   the organizations' own numbers, and what each is routed to
//! decide    the plan itself: help first, then who may call what
//! refused   the answers that say no
//!
//! Pure: tables, time and prices come in as arguments, a plan goes out as a value. Nothing here opens
//! a leg; that the numbers of help are asked for at every entry is `decide`'s first line.

mod decide;
mod dialled;
pub mod numbers;
mod refused;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::message::Direction;
use model::voice::Rated;

pub use decide::{Ask, Tables, plan};
pub use dialled::Dialled;
pub use refused::Refused;

use super::credentials::Credential;
use super::trunks::Running;

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
    pub from: CallerId,
    /// E.164 with `+`, or what was dialled.
    pub to: String,
    /// The organization's number that it is of.
    pub number: Option<i64>,
    pub steps: Vec<Step>,
    /// What the leg of who calls costs, and what the leg to the public network costs.
    pub inward: Rated,
    pub outward: Rated,
    /// Nothing leaves the switch, and nothing is paid.
    pub test: bool,
}

/// Places that are tried together, or one after the other.
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
    /// The next only when one cannot take the call at all.
    Failover,
}

/// Somewhere a call can go.
#[derive(Clone, Debug)]
pub enum Place {
    /// All contacts of a telephone.
    Phone(Arc<Credential>),
    /// A customer's telephone system.
    Trunk { trunk: Arc<Running>, to: String },
    /// An address outside, which a customer routes its number to.
    Address { uri: String },
    /// The public network, by the trunks that lead there.
    Public { number: String },
}

impl Plan {
    /// Numbers of the public network that it may dial, whatever was dialled.
    pub fn dials(&self) -> impl Iterator<Item = &str> {
        let places = self.steps.iter().flat_map(|step| &step.places);
        places.filter_map(|place| match place {
            Place::Public { number } => Some(number.as_str()),
            _ => None,
        })
    }

    /// Who called, for the records of its organization: who withholds its number does so from others.
    #[must_use]
    pub fn recorded(&self) -> Option<&str> {
        match self.direction {
            Direction::Inbound => self.from.shown(),
            Direction::Outbound => self.from.number.as_deref(),
        }
    }

    /// What is put aside for it: both legs as one.
    #[must_use]
    pub fn rated(&self) -> Rated {
        let (inward, outward) = (&self.inward, &self.outward);
        if inward.tariff.is_free() {
            return outward.clone();
        }
        if outward.tariff.is_free() {
            return inward.clone();
        }
        let (a, b) = (inward.tariff, outward.tariff);
        let tariff = model::voice::Tariff {
            per_minute: a.per_minute.saturating_add(b.per_minute),
            initial_s: a.initial_s.max(b.initial_s),
            increment_s: a.increment_s.max(b.increment_s),
            connect_fee: a.connect_fee.saturating_add(b.connect_fee),
        };
        Rated { prefix: outward.prefix.clone(), tariff }
    }
}
