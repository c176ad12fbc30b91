//! What outlives a call whose actor fails: how to say goodbye to both ends, and what to bill.
//!
//! A call writes its will when it is answered and takes it back when its end is on the way to the store.
//! The supervisor reads the wills of all answered calls for the checkpoint, and carries out that of a call
//! that has failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use model::carrier::MessageKey;
use model::voice::Leg;
use ractor::{ActorId, ActorRef};

use super::super::flow::Flow;
use super::super::shard::{Request, ShardMsg};
use super::CallMsg;
use crate::media::SessionId;

/// How far ahead the number of a last BYE is, of all that its call may have sent.
pub(super) const AHEAD: u32 = 10_000;

/// What is left of a call.
#[derive(Clone, Debug)]
pub struct Will {
    pub key: MessageKey,
    pub answered: bool,
    pub legs: Vec<Leg>,
    pub shard: ActorRef<ShardMsg>,
    /// To each end, without a Via.
    pub byes: Vec<(Flow, Bytes)>,
}

/// All wills, by call's actor. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Keeper(Arc<Mutex<Wills>>);

#[derive(Debug, Default)]
struct Wills {
    by_call: HashMap<ActorId, Will>,
    by_session: HashMap<SessionId, ActorRef<CallMsg>>,
}

impl Keeper {
    fn wills(&self) -> MutexGuard<'_, Wills> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self, call: ActorId, will: Will) {
        self.wills().by_call.insert(call, will);
    }

    pub fn take(&self, call: ActorId) -> Option<Will> {
        self.wills().by_call.remove(&call)
    }

    /// Takes all of them: the calls of a life that is over.
    #[must_use]
    pub fn take_all(&self) -> Vec<Will> {
        self.wills().by_call.drain().map(|(_, will)| will).collect()
    }

    /// Calls that are answered.
    #[must_use]
    pub fn answered(&self) -> Vec<MessageKey> {
        let wills = self.wills();
        wills.by_call.values().filter(|will| will.answered).map(|will| will.key).collect()
    }

    /// Whom the notices of a relay's session are for.
    pub fn listen(&self, session: SessionId, call: ActorRef<CallMsg>) {
        self.wills().by_session.insert(session, call);
    }

    pub fn unlisten(&self, session: SessionId) {
        self.wills().by_session.remove(&session);
    }

    #[must_use]
    pub fn listener(&self, session: SessionId) -> Option<ActorRef<CallMsg>> {
        self.wills().by_session.get(&session).cloned()
    }
}

impl Will {
    /// Says goodbye to both ends.
    pub fn say_goodbye(&self) {
        for (flow, octets) in &self.byes {
            let bye = Request { flow: *flow, mark: 0, octets: octets.clone() };
            let _ = self.shard.send_message(ShardMsg::Request(bye));
        }
    }
}
