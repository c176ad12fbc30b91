//! A message on its way to a carrier, as its owner and binds hold it in memory.

use std::sync::Arc;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::clock::At;
use model::esme::Submitted;
use model::message::{Category, Encoding};
use model::money::Micros;
use model::submission::{self, NewMessage};
use store::WaitingRow;
use store::lane::{Fire, HandoffResult, OutboxRef, Outcome};

use super::tried::Tried;

/// What hand-off needs of a message. The row stays the truth; losing this loses nothing.
#[derive(Clone, Debug)]
pub struct Job {
    pub key: MessageKey,
    pub organization: OrgId,
    pub category: Category,
    pub encoding: Encoding,
    pub segments: u8,
    pub unit_price: Micros,
    pub from_ton: u8,
    /// It goes to the sandbox, and nowhere else.
    pub test: bool,
    /// The pool that its sender is of.
    pub pool: Option<i64>,
    /// Tries that the carrier refused for the time being.
    pub attempts: i64,
    /// Since when, and how often, the carrier has been too busy for it. Not stored: a new life of
    /// its owner counts anew.
    pub throttled: Option<(At, i64)>,
    /// Carriers that it has left.
    pub tried: Tried,
    pub created_at: At,
    pub due_at: At,
    /// Not sent from then on.
    pub expires_at: At,
    /// Where it stands in its line: rising in the order in which rows came.
    pub place: i64,
    pub to: String,
    pub from: String,
    pub body: String,
    /// What an ESME said beside the text; its octets go on as they came.
    pub submitted: Option<Arc<Submitted>>,
}

impl Job {
    /// From a submission that was just stored.
    #[must_use]
    pub fn accepted(key: MessageKey, organization: OrgId, message: NewMessage, at: At) -> Self {
        let expires_at = submission::expiry(message.options.expires_at(at), at);
        Self {
            key,
            organization,
            category: message.category,
            encoding: message.encoding,
            segments: message.segments,
            unit_price: message.unit_price,
            from_ton: message.from_ton,
            test: message.test,
            pool: message.options.pool.as_ref().map(|pool| pool.id),
            attempts: 0,
            throttled: None,
            tried: Tried::default(),
            created_at: at,
            due_at: at,
            expires_at,
            place: key.0,
            to: message.to,
            from: message.from,
            body: message.body,
            submitted: message.options.submitted,
        }
    }

    /// From a scheduled message that was just fired. `None`: one that was refused.
    #[must_use]
    pub fn fired(fire: Fire, place: i64, at: At) -> Option<Self> {
        let Fire { key, organization, created_at, expires_at, message, .. } = fire;
        let job = Self::accepted(key, organization, message.ok()?, at);
        Some(Self { created_at, expires_at, place, ..job })
    }

    /// From its rows. `None`: a row that no version of this program writes.
    #[must_use]
    pub fn stored(row: WaitingRow) -> Option<Self> {
        Some(Self {
            key: MessageKey(row.key),
            organization: OrgId(row.organization_id),
            category: Category::from_code(row.category)?,
            encoding: Encoding::from_code(row.encoding)?,
            segments: u8::try_from(row.segments).ok()?,
            unit_price: Micros(row.unit_price),
            from_ton: u8::try_from(row.from_ton).ok()?,
            test: row.test_mode != 0,
            pool: row.sender_pool_id,
            attempts: row.attempts,
            throttled: None,
            tried: Tried::stored(row.tried.as_deref()),
            created_at: At(row.created_at),
            due_at: At(row.due_at),
            expires_at: submission::expiry(row.expires_at.map(At), At(row.created_at)),
            place: row.place,
            to: row.to_addr,
            from: row.from_addr,
            body: row.body,
            submitted: Submitted::stored(row.smpp_account_id, row.submitted.as_deref())
                .map(Arc::new),
        })
    }

    #[must_use]
    pub fn class(&self) -> i64 {
        self.category.class()
    }

    #[must_use]
    pub fn row(&self, carrier: CarrierId) -> OutboxRef {
        OutboxRef { carrier, class: self.class(), organization: self.organization, key: self.key }
    }

    /// What became of it, for the store.
    #[must_use]
    pub fn result(&self, carrier: CarrierId, epoch: i64, outcome: Outcome) -> HandoffResult {
        HandoffResult {
            row: self.row(carrier),
            epoch,
            category: self.category,
            segments: self.segments,
            unit_price: self.unit_price,
            outcome,
        }
    }
}
