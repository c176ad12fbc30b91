//! Sender pools: senders that an organization uses in turn, and how one is chosen for a message.
//!
//! A pool is a row; its senders are JSON. What a message knows of its pool before one is chosen is a
//! [`Pooled`]: the way it would go from each kind of sender. The choice is a [`Pick`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::SenderKind;
use crate::carrier::{CarrierId, OrgId};
use crate::id::{Kind, PublicId};
use crate::refusal::{Code, Detail, Refusal};
use crate::route::RouteNote;

/// Pools of one organization.
pub const POOLS_MAX: usize = 50;
/// Senders of one pool: each is looked at for each message.
pub const SENDERS_MAX: usize = 100;
/// Carriers that a pool names.
pub const CARRIERS_MAX: usize = 20;
/// Countries of one sender.
pub const COUNTRIES_MAX: usize = 250;
pub const WEIGHT_MAX: i64 = 1_000;
pub const DAILY_CAP_MAX: i64 = 1_000_000_000;
pub const STICKY_DAYS_MAX: i64 = 365;
/// Days that a recipient's sender is remembered, unless the pool says otherwise.
pub const STICKY_DAYS: i64 = 30;
pub const NAME_CHARS_MAX: usize = 100;

/// Which of the senders that may serve a message does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One after the other, as the pool lists them.
    #[default]
    RoundRobin,
    /// Shares by weight.
    Weighted,
    /// The one that the recipient was written to from before; else by weight.
    Sticky,
    /// The one with the fewest messages today.
    LeastUsed,
}

impl Strategy {
    pub const NAMES: &'static [&'static str] = &["round_robin", "weighted", "sticky", "least_used"];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Weighted => "weighted",
            Self::Sticky => "sticky",
            Self::LeastUsed => "least_used",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == text)
    }

    /// As stored.
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64 + 1
    }

    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.code() == code)
    }

    const ALL: [Self; 4] = [Self::RoundRobin, Self::Weighted, Self::Sticky, Self::LeastUsed];
}

/// One sender of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSender {
    pub value: Arc<str>,
    pub kind: SenderKind,
    pub weight: u32,
    /// ISO 3166; none means every country, and numbers of none.
    pub countries: Vec<String>,
    /// Messages a day, UTC; `None`: any number.
    pub daily_cap: Option<i64>,
}

impl PoolSender {
    /// Whether it may write to a number of this country.
    #[must_use]
    pub fn covers(&self, country: Option<&str>) -> bool {
        self.countries.is_empty()
            || country.is_some_and(|country| self.countries.iter().any(|own| own == country))
    }
}

/// A sender as JSON.
#[derive(Deserialize, Serialize)]
struct Stored {
    value: String,
    r#type: String,
    weight: u32,
    countries: Vec<String>,
    daily_cap: Option<i64>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub id: i64,
    pub public_id: PublicId,
    pub organization: OrgId,
    pub strategy: Strategy,
    pub senders: Vec<PoolSender>,
    /// Names: the only carriers that take its messages. None means any.
    pub carriers: Vec<String>,
    pub sticky_ttl_days: i64,
}

impl Pool {
    /// Whether some sender may write to a number of this country.
    #[must_use]
    pub fn covers(&self, country: Option<&str>) -> bool {
        self.senders.iter().any(|sender| sender.covers(country))
    }
}

/// There is no such pool of the organization, or not any more.
#[must_use]
pub fn unknown() -> Refusal {
    Refusal::new(Code::ValidationError, "there is no such sender pool").field("sender_pool_id")
}

/// No sender of the pool may write to this country; `None`: to a number of no country.
#[must_use]
pub fn uncovered(id: PublicId, country: Option<&str>) -> Refusal {
    let named = country.unwrap_or("a number of no country");
    Refusal::new(Code::SenderPoolUncovered, format!("the pool has no sender for {named}"))
        .field("sender_pool_id")
        .detail("sender_pool_id", Detail::Text(id.show(Kind::SenderPool)))
        .detail("country", Detail::Text(country.unwrap_or_default().to_owned()))
}

/// Senders as they are stored.
#[must_use]
pub fn senders_text(senders: &[PoolSender]) -> String {
    let stored = senders.iter().map(|sender| Stored {
        value: sender.value.to_string(),
        r#type: sender.kind.as_str().to_owned(),
        weight: sender.weight,
        countries: sender.countries.clone(),
        daily_cap: sender.daily_cap,
    });
    serde_json::to_string(&stored.collect::<Vec<_>>()).unwrap_or_else(|_| String::from("[]"))
}

/// Senders as they were stored. What no version of this program wrote is none.
#[must_use]
pub fn senders_of(text: &str) -> Vec<PoolSender> {
    let stored: Vec<Stored> = serde_json::from_str(text).unwrap_or_default();
    let sender = |stored: Stored| {
        Some(PoolSender {
            kind: SenderKind::of(&stored.value)?,
            value: Arc::from(stored.value),
            weight: stored.weight,
            countries: stored.countries,
            daily_cap: stored.daily_cap,
        })
    };
    stored.into_iter().filter_map(sender).collect()
}

/// A message whose sender its pool chooses, as it is before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooled {
    pub id: i64,
    pub public_id: PublicId,
    /// One for each kind of sender that some carrier takes.
    pub ways: Vec<PoolWay>,
    /// Its senders that the organization may not send from now.
    pub foreign: Vec<Arc<str>>,
}

/// How the message goes from one kind of sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolWay {
    pub kind: SenderKind,
    pub carrier: CarrierId,
    pub segments: u8,
    pub route: RouteNote,
}

/// The sender chosen, and the way that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    pub from: Arc<str>,
    pub way: PoolWay,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_read_as_they_were_written() {
        let senders = vec![
            PoolSender {
                value: Arc::from("Orbit"),
                kind: SenderKind::Alphanumeric,
                weight: 3,
                countries: vec![String::from("FR")],
                daily_cap: Some(200),
            },
            PoolSender {
                value: Arc::from("+14155550100"),
                kind: SenderKind::International,
                weight: 1,
                countries: Vec::new(),
                daily_cap: None,
            },
        ];
        assert_eq!(senders_of(&senders_text(&senders)), senders);
        assert!(senders[0].covers(Some("FR")) && !senders[0].covers(Some("US")));
        assert!(!senders[0].covers(None) && senders[1].covers(None));
        assert_eq!(senders_of("nonsense"), []);
    }

    #[test]
    fn a_strategy_is_its_name_and_its_code() {
        for name in Strategy::NAMES {
            let strategy = Strategy::parse(name).unwrap();
            assert_eq!(strategy.as_str(), *name);
            assert_eq!(Strategy::from_code(strategy.code()), Some(strategy));
        }
        assert_eq!(Strategy::parse("random"), None);
        assert_eq!(Strategy::from_code(0), None);
    }
}
