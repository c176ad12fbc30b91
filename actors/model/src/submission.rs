//! A send on its way in: checked, priced and routed, not yet stored.

use std::sync::Arc;
use std::time::Duration;

use crate::carrier::{CarrierId, MessageKey, OrgId};
use crate::clock::At;
use crate::esme::Submitted;
use crate::id::PublicId;
use crate::message::{Category, Encoding};
use crate::money::Micros;
use crate::pool::{Pick, Pooled};
use crate::route::RouteNote;

/// One message that passed all pure checks.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub id: PublicId,
    /// E.164 with `+`.
    pub to: String,
    /// Empty as long as its pool has not chosen one.
    pub from: String,
    /// SMPP type of number of `from`: 5 alphanumeric, 1 international, 3 short code.
    pub from_ton: u8,
    pub body: String,
    pub encoding: Encoding,
    pub segments: u8,
    pub category: Category,
    /// Price of one part; the hold is this times `segments`. Zero for test messages.
    pub unit_price: Micros,
    pub mccmnc: Option<Arc<str>>,
    pub carrier: CarrierId,
    /// Why this carrier: kept in the message's first event.
    pub route: RouteNote,
    /// JSON object as text.
    pub metadata: Option<String>,
    pub test: bool,
    pub options: SendOptions,
}

/// How long a message is tried when it does not say.
pub const VALIDITY: Duration = Duration::from_secs(48 * 3_600);

/// What few sends ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Not before this: stored as `scheduled`, and put before the gates again when its time comes.
    pub scheduled_at: Option<At>,
    /// How long it may be tried, from its acceptance or its scheduled time on.
    pub validity_s: Option<u32>,
    /// Where the events of this message go, beside the endpoints.
    pub webhook_url: Option<String>,
    /// The message that this one tries again.
    pub parent: Option<MessageKey>,
    /// The template its text was made from.
    pub template: Option<PublicId>,
    /// What it said beside its text, if it came by SMPP.
    pub submitted: Option<Arc<Submitted>>,
    /// The pool that is to choose its sender.
    pub pool: Option<Box<Pooled>>,
    /// An answer to a keyword: it goes to a person who has just opted out, too.
    pub bypass_opt_out: bool,
}

impl SendOptions {
    /// When it is given up, counted from its scheduled time or its acceptance; `None` for the usual
    /// validity from its acceptance.
    #[must_use]
    pub fn expires_at(&self, accepted: At) -> Option<At> {
        let asked = self.validity_s.map(|seconds| Duration::from_secs(seconds.into()));
        let from = self.scheduled_at.or(asked.map(|_| accepted))?;
        Some(from.plus(asked.unwrap_or(VALIDITY)))
    }
}

/// When a message is given up that was stored with this answer of [`SendOptions::expires_at`].
#[must_use]
pub fn expiry(stored: Option<At>, accepted: At) -> At {
    stored.unwrap_or_else(|| accepted.plus(VALIDITY))
}

impl NewMessage {
    #[must_use]
    pub fn hold(&self) -> Micros {
        self.unit_price.times(i64::from(self.segments))
    }

    /// It goes from the sender that its pool has chosen.
    pub fn settle(&mut self, pick: &Pick) {
        self.from = pick.from.to_string();
        self.from_ton = pick.way.kind.ton_npi().0;
        self.segments = pick.way.segments;
        self.carrier = pick.way.carrier;
        self.route = pick.way.route;
    }
}

/// What makes a repeated request one effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Idempotency {
    /// Method and canonical path.
    pub route: &'static str,
    pub key: String,
    /// SHA-256 of the raw body.
    pub fingerprint: [u8; 32],
}

/// Who may send, by stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    ApiKey(i64),
    SmppAccount(i64),
    /// The switch itself, as when it answers a keyword: no one who could lose a right.
    Switch,
}

/// What makes many messages one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    pub id: PublicId,
    /// The place of each message among the recipients of the request.
    pub places: Vec<u32>,
    /// Who was refused before, by place, and the error as JSON text.
    pub refused: Vec<(u32, String)>,
    pub template: Option<PublicId>,
}

/// One request, one item of the accept batch: stored whole or not at all.
#[derive(Clone, Debug)]
pub struct Submission {
    pub organization: OrgId,
    /// What let it in; looked at again inside the transaction.
    pub credential: Credential,
    pub idempotency: Option<Idempotency>,
    pub batch: Option<NewBatch>,
    pub messages: Vec<NewMessage>,
}

impl Submission {
    /// Its messages, named by their places, go from the senders that their pools have chosen.
    #[must_use]
    pub fn settled(mut self, picked: &[(usize, Pick)]) -> Self {
        for (at, pick) in picked {
            if let Some(message) = self.messages.get_mut(*at) {
                message.settle(pick);
            }
        }
        self
    }

    #[must_use]
    pub fn hold(&self) -> Micros {
        self.messages.iter().fold(Micros::ZERO, |sum, message| sum + message.hold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_counts_from_the_scheduled_time_or_from_the_acceptance() {
        let (accepted, later) = (At(1_000_000), At(9_000_000));
        let plain = SendOptions::default();
        assert_eq!(plain.expires_at(accepted), None);
        assert_eq!(expiry(None, accepted), accepted.plus(VALIDITY));
        let short = SendOptions { validity_s: Some(60), ..plain.clone() };
        assert_eq!(short.expires_at(accepted), Some(At(61_000_000)));
        let both = SendOptions { scheduled_at: Some(later), ..short };
        assert_eq!(both.expires_at(accepted), Some(At(69_000_000)));
        let scheduled = SendOptions { scheduled_at: Some(later), ..plain };
        assert_eq!(scheduled.expires_at(accepted), Some(later.plus(VALIDITY)));
    }
}
