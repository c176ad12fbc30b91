//! Why a message goes by its carrier: what is kept of the decision with the message's first event.
//!
//! Plain values that cost nothing to carry; the words are made once, when the event is written.

/// What told the carriers that could take a message apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// There was no other.
    #[default]
    Only,
    /// The others cannot send at present.
    Health,
    /// The order of the organization's own rule.
    Order,
    /// A longer prefix, or the network itself.
    Prefix,
    Priority,
    Cost,
    Quality,
    /// Equal in all; their weights decide.
    Weight,
    /// The recipient was written to from this sender by it before.
    Sticky,
}

impl By {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Health => "health",
            Self::Order => "order",
            Self::Prefix => "prefix",
            Self::Priority => "priority",
            Self::Cost => "cost",
            Self::Quality => "quality",
            Self::Weight => "weight",
            Self::Sticky => "sticky",
        }
    }
}

/// Who said which network a number is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkSource {
    /// The numbering plan, as the rates have it.
    #[default]
    Plan,
    Portability,
    /// Portability was asked for and did not answer in time; the numbering plan stands in.
    PlanInstead,
}

impl NetworkSource {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "numbering_plan",
            Self::Portability => "portability",
            Self::PlanInstead => "numbering_plan_instead",
        }
    }
}

/// Why a carrier was not taken, though it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    Disabled,
    /// Its lists do not hold the destination.
    NotCovered,
    SenderType,
    /// It was tried already.
    Tried,
    /// Too many errors lately.
    CircuitOpen,
    /// None of its connections is bound.
    Unbound,
    /// Its operator holds it.
    Paused,
    /// The message's sender pool does not name it.
    NotInPool,
}

impl Passed {
    pub const ALL: [Self; 8] = [
        Self::Disabled,
        Self::NotCovered,
        Self::SenderType,
        Self::Tried,
        Self::CircuitOpen,
        Self::Unbound,
        Self::Paused,
        Self::NotInPool,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NotCovered => "not_covered",
            Self::SenderType => "sender_type",
            Self::Tried => "tried",
            Self::CircuitOpen => "circuit_open",
            Self::Unbound => "unbound",
            Self::Paused => "paused",
            Self::NotInPool => "not_in_pool",
        }
    }

    fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// A set of [`Passed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver(u8);

impl PassedOver {
    pub fn add(&mut self, why: Passed) {
        self.0 |= why.bit();
    }

    pub fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[must_use]
    pub fn holds(self, why: Passed) -> bool {
        self.0 & why.bit() != 0
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The decision as it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteNote {
    /// Whose carrier, and whether for its prefix.
    pub reason: &'static str,
    pub by: By,
    /// Carriers that could have taken it.
    pub among: u16,
    /// Why others could not.
    pub passed: PassedOver,
    pub network: NetworkSource,
}

impl RouteNote {
    /// A decision without a choice.
    #[must_use]
    pub fn plain(reason: &'static str) -> Self {
        Self { reason, ..Self::default() }
    }

    /// The detail of the message's first event: a JSON object.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut text = format!("{{\"route\":\"{}\"", self.reason);
        if self.among > 1 || self.by != By::Only {
            text.push_str(&format!(",\"by\":\"{}\",\"among\":{}", self.by.as_str(), self.among));
        }
        if !self.passed.is_empty() {
            let names = Passed::ALL.into_iter().filter(|why| self.passed.holds(*why));
            let names: Vec<_> = names.map(|why| format!("\"{}\"", why.as_str())).collect();
            text.push_str(&format!(",\"passed\":[{}]", names.join(",")));
        }
        if self.network != NetworkSource::Plan {
            text.push_str(&format!(",\"network\":\"{}\"", self.network.as_str()));
        }
        text.push('}');
        text
    }
}

/// True for MCC and MNC as digits, or an MCC alone.
#[must_use]
pub fn is_network(text: &str) -> bool {
    matches!(text.len(), 3 | 5 | 6) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_without_a_choice_says_no_more_than_its_reason() {
        let note = RouteNote::plain("platform_carrier_default");
        assert_eq!(note.detail(), "{\"route\":\"platform_carrier_default\"}");
    }

    #[test]
    fn a_choice_says_what_decided_and_what_was_passed_over() {
        let mut note = RouteNote { by: By::Cost, among: 3, ..RouteNote::plain("x") };
        note.passed.add(Passed::Unbound);
        note.passed.add(Passed::Disabled);
        note.network = NetworkSource::Portability;
        let detail: serde_json::Value = serde_json::from_str(&note.detail()).unwrap();
        let expected = serde_json::json!({"route": "x", "by": "cost", "among": 3,
            "passed": ["disabled", "unbound"], "network": "portability"});
        assert_eq!(detail, expected);
    }
}
