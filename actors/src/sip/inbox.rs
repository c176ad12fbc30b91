//! From the sockets to the shards: which shard a message is for, and the gate before it.
//!
//! All messages of a Call-ID go to one shard, so that a call's transactions are in one place. The hash has a
//! key of this process: nobody chooses Call-IDs that all fall on one. What a full gate keeps out is answered
//! 503 here, without a transaction; ACK and what answers us are dropped, their senders say them again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use proto_sip::{Answer, Builder, Message, Method, Name, StatusCode};

use super::flow::Flow;
use crate::gate::{Gate, Permit, Urgency};

/// A message as it came.
#[derive(Debug)]
pub struct Received {
    pub flow: Flow,
    pub message: Message,
}

/// What a shard is told by the sockets. False: it is not there.
pub type Deliver = Box<dyn Fn(Inbound) -> bool + Send + Sync>;

/// What comes from the sockets.
#[derive(Debug)]
pub enum Inbound {
    Messages(Vec<Received>, Permit),
    /// A connection is gone.
    Lost(Flow),
}

/// The way in. A clone is the same.
#[derive(Clone)]
pub struct Inbox(Arc<Inner>);

type OnLost = Box<dyn Fn(Flow) + Send + Sync>;

struct Inner {
    doors: Vec<Door>,
    on_lost: RwLock<Option<OnLost>>,
    hasher: RandomState,
    retry_after_s: u64,
    refused: AtomicU64,
}

struct Door {
    gate: Gate,
    deliver: RwLock<Option<Deliver>>,
}

impl Inbox {
    /// For so many shards, each of which may have `messages_max` messages waiting.
    #[must_use]
    pub fn new(shards: usize, messages_max: usize, retry_after_s: u64) -> Self {
        let door = |_| Door { gate: Gate::new(messages_max), deliver: RwLock::new(None) };
        let doors = (0..shards.max(1)).map(door).collect();
        let refused = AtomicU64::new(0);
        let (hasher, on_lost) = (RandomState::new(), RwLock::new(None));
        Self(Arc::new(Inner { doors, on_lost, hasher, retry_after_s, refused }))
    }

    #[must_use]
    pub fn shards(&self) -> usize {
        self.0.doors.len()
    }

    /// A shard lives, or `None`, does not.
    pub fn attach(&self, shard: usize, deliver: Option<Deliver>) {
        if let Some(door) = self.0.doors.get(shard) {
            *door.deliver.write().unwrap_or_else(PoisonError::into_inner) = deliver;
        }
    }

    /// Who else hears of connections that are gone.
    pub fn on_lost(&self, on_lost: Option<OnLost>) {
        *self.0.on_lost.write().unwrap_or_else(PoisonError::into_inner) = on_lost;
    }

    /// Which shard the messages of a Call-ID are for.
    #[must_use]
    pub fn shard_of(&self, call_id: &[u8]) -> usize {
        let hash = self.0.hasher.hash_one(call_id);
        (hash % self.0.doors.len() as u64) as usize
    }

    /// Hands over what came at once. What cannot be is answered by `refuse`.
    pub fn deliver(&self, mut batch: Vec<Received>, refuse: impl Fn(Flow, Bytes)) {
        if batch.is_empty() {
            return;
        }
        if self.shards() == 1 {
            return self.hand(0, batch, &refuse);
        }
        for shard in 0..self.shards() {
            let own = |received: &mut Received| self.shard_of(&received.message.call_id()) == shard;
            let own: Vec<Received> = batch.extract_if(.., own).collect();
            if !own.is_empty() {
                self.hand(shard, own, &refuse);
            }
        }
    }

    fn hand(&self, shard: usize, batch: Vec<Received>, refuse: &impl Fn(Flow, Bytes)) {
        let Some(door) = self.0.doors.get(shard) else { return };
        let count = batch.len();
        let Ok(permit) = door.gate.enter(count, urgency(&batch)) else {
            self.0.refused.fetch_add(count as u64, Ordering::Relaxed);
            return batch.iter().for_each(|received| self.turn_away(received, refuse));
        };
        let deliver = door.deliver.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(deliver) = deliver.as_ref() {
            deliver(Inbound::Messages(batch, permit));
        }
    }

    fn turn_away(&self, received: &Received, refuse: &impl Fn(Flow, Bytes)) {
        let retry = self.0.retry_after_s;
        if let Some(octets) = unavailable(&received.message, received.flow, retry) {
            refuse(received.flow, octets);
        }
    }

    /// Tells everybody of a connection that is gone.
    pub fn lost(&self, flow: Flow) {
        if let Some(on_lost) = &*self.0.on_lost.read().unwrap_or_else(PoisonError::into_inner) {
            on_lost(flow);
        }
        for door in &self.0.doors {
            let deliver = door.deliver.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(deliver) = deliver.as_ref() {
                deliver(Inbound::Lost(flow));
            }
        }
    }

    /// Messages that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Messages that wait for the fullest shard.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.doors.iter().map(|door| door.gate.in_use()).max().unwrap_or_default()
    }
}

/// Calls that are there already go before new ones.
fn urgency(batch: &[Received]) -> Urgency {
    let fresh = |received: &Received| {
        let begins = matches!(
            received.message.method(),
            Some(Method::Invite | Method::Register | Method::Options | Method::Subscribe)
        );
        begins && received.message.to().is_ok_and(|to| to.tag().is_none())
    };
    if batch.iter().all(fresh) { Urgency::Bulk } else { Urgency::Urgent }
}

/// 503 with when to come again; nothing for what must not be answered.
pub(super) fn unavailable(request: &Message, flow: Flow, retry_after_s: u64) -> Option<Bytes> {
    if matches!(request.method(), None | Some(Method::Ack)) {
        return None;
    }
    let peer = flow.peer();
    let answer = Answer { source: Some((peer.ip(), peer.port())), tag: Some("full"), reason: None };
    let mut builder = Builder::answer(request, StatusCode::SERVICE_UNAVAILABLE, answer);
    builder.header(Name::RetryAfter, &retry_after_s);
    builder.finish().ok()
}
