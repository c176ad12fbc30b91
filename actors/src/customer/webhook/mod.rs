//! Webhooks: events of an organization's log, posted to its endpoints, signed and retried.
//!
//! `endpoint` is the actor, one per endpoint; `queue` what it decides, without a clock or a
//! socket; `shot` one attempt; `callback` the words of compatible front doors; `sender` and `guard` the way out; `sign` and `schedule` are pure.

pub mod callback;
pub mod endpoint;
pub mod guard;
pub mod queue;
pub mod schedule;
pub mod sender;
pub mod shot;
pub mod sign;

use std::sync::Arc;
use std::time::Duration;

use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use sha2::{Digest as _, Sha256};
use store::{Store, WebhookRow};

use super::feed::Feed;
use crate::writer::WriterHandle;
use sender::Sender;

/// How deliveries go, for all endpoints.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Between attempts; one attempt more than there are delays.
    pub delays: Vec<Duration>,
    /// Requests of one endpoint at once.
    pub in_flight_max: usize,
    /// An event older than this becomes a dead letter.
    pub expire_after: Duration,
    /// An endpoint that has only failed for so long is disabled.
    pub disable_after: Duration,
    /// After so many failures in a row one request at a time goes out, and rests between.
    pub probe_after: u32,
    /// Events read ahead of the cursor.
    pub window: usize,
    /// Events stored for a retry; past it the log is not read on.
    pub pending_max: usize,
}

impl Default for Plan {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            delays: [60, 300, 1_800, 7_200, 28_800, 86_400].map(s).to_vec(),
            in_flight_max: 10,
            expire_after: s(72 * 3_600),
            disable_after: s(5 * 24 * 3_600),
            probe_after: 5,
            window: 500,
            pending_max: 10_000,
        }
    }
}

/// What every endpoint's actor is given.
#[derive(Clone)]
pub struct Tools {
    pub store: Store,
    pub writer: WriterHandle,
    pub feed: Feed,
    pub sender: Sender,
    pub plan: Arc<Plan>,
}

/// The kinds that a stored list of patterns names.
#[must_use]
pub fn kinds_of(events: &str) -> Vec<EventKind> {
    let patterns: Vec<String> = serde_json::from_str(events).unwrap_or_default();
    let named = patterns.iter().flat_map(|pattern| EventKind::matching(pattern));
    let mut kinds: Vec<EventKind> = named.collect();
    kinds.sort_unstable_by_key(|kind| kind.code());
    kinds.dedup();
    kinds
}

/// The id of an event's delivery to an endpoint: the same in every life of this program.
#[must_use]
pub fn delivery_id(webhook: PublicId, at: At, seq: i64) -> PublicId {
    let event = PublicId::of_row(at, seq);
    let digest = Sha256::new().chain_update(webhook.as_bytes()).chain_update(event.as_bytes());
    let digest = digest.finalize();
    let octets = digest.iter().take(16);
    PublicId::from_random(at, octets.fold(0, |bits, octet| bits << 8 | u128::from(*octet)))
}

/// True for the hidden endpoint of an organization's callbacks.
#[must_use]
pub fn is_callbacks(row: &WebhookRow) -> bool {
    row.kind == 1
}
