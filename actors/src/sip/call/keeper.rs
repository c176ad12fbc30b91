//! What outlives a call whose actor fails: how to say goodbye to both ends, and what to bill.
//!
//! A call writes its will when it begins, anew with each step, and takes it back when it is over. The
//! supervisor reads the wills of all answered calls for the checkpoint, and carries out that of a call that
//! has failed: who rings is given up, who waits is answered 500, who talks hears BYE.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use model::carrier::MessageKey;
use model::clock::At;
use model::id::PublicId;
use model::voice::{EndReason, HangupBy, Leg};
use proto_sip::Method;
use proto_sip::dialog::Dialog;
use proto_sip::header::Reason;
use proto_sip::transaction::ServerId;
use ractor::{ActorId, ActorRef};
use store::lane::{CallChange, Closing, LostCalls};

use super::super::flow::Flow;
use super::super::shard::{Mark, Request, ShardMsg};
use super::CallMsg;
use crate::media::SessionId;

/// How far ahead the number of a last BYE is, of all that its call may have sent.
const AHEAD: u32 = 10_000;

/// What the store may have of a call.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    Nothing,
    /// It was asked to open this one.
    Asked(PublicId),
    Row(MessageKey),
}

/// A call's own time: the machine's clock when it began, and how long that is ago.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    at: At,
}

impl Clock {
    #[must_use]
    pub(super) fn new(began: Instant) -> Self {
        Self { began, at: At::now() }
    }

    #[must_use]
    pub(super) fn began(self) -> Instant {
        self.began
    }

    #[must_use]
    pub fn at(self, moment: Instant) -> At {
        self.at.plus(moment.saturating_duration_since(self.began))
    }
}

/// What is left of a call.
#[derive(Clone, Debug)]
pub struct Will {
    pub row: Kept,
    pub clock: Clock,
    /// The store did not take it as it was: it is told without what others wrote.
    pub bare: bool,
    pub answered: bool,
    pub legs: Vec<Leg>,
    pub shard: ActorRef<ShardMsg>,
    /// INVITEs of ours that may still ring.
    pub rings: Vec<Mark>,
    /// The last word to who called, if it has none yet.
    pub refusal: Option<(ServerId, Bytes)>,
    /// Where each end is, and the dialog in which it is told goodbye.
    pub byes: Vec<(Flow, Dialog)>,
}

/// All wills, by call's actor. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Keeper(Arc<Mutex<Wills>>);

#[derive(Debug, Default)]
struct Wills {
    by_call: HashMap<ActorId, Will>,
    by_session: HashMap<SessionId, ActorRef<CallMsg>>,
    /// By the key of its row.
    by_row: HashMap<MessageKey, ActorRef<CallMsg>>,
    died: Option<Instant>,
}

impl Keeper {
    fn wills(&self) -> MutexGuard<'_, Wills> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self, call: &ActorRef<CallMsg>, will: Will) {
        let mut wills = self.wills();
        if let Kept::Row(key) = will.row {
            wills.by_row.insert(key, call.clone());
        }
        wills.by_call.insert(call.get_id(), will);
    }

    /// Who holds the call of this row.
    #[must_use]
    pub fn holder(&self, call: MessageKey) -> Option<ActorRef<CallMsg>> {
        self.wills().by_row.get(&call).cloned()
    }

    pub fn take(&self, call: ActorId) -> Option<Will> {
        let mut wills = self.wills();
        let will = wills.by_call.remove(&call)?;
        if let Kept::Row(key) = will.row {
            wills.by_row.remove(&key);
        }
        Some(will)
    }

    /// Who held all calls has died now: they go with it.
    pub fn died(&self, moment: Instant) {
        self.wills().died = Some(moment);
    }

    /// Takes all of them: the calls of a life that is over, and when it was.
    #[must_use]
    pub fn take_all(&self) -> (Vec<Will>, Option<Instant>) {
        let mut wills = self.wills();
        wills.by_row.clear();
        let died = wills.died.take();
        (wills.by_call.drain().map(|(_, will)| will).collect(), died)
    }

    /// Calls that are answered, each with the present as it counts it.
    #[must_use]
    pub fn answered(&self, moment: Instant) -> Vec<(MessageKey, At)> {
        let wills = self.wills();
        let answered = wills.by_call.values().filter(|will| will.answered);
        answered
            .filter_map(|will| match will.row {
                Kept::Row(key) => Some((key, will.clock.at(moment))),
                Kept::Nothing | Kept::Asked(_) => None,
            })
            .collect()
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
    /// Says goodbye to all ends.
    pub fn say_goodbye(&self) {
        for mark in &self.rings {
            let reasons = vec![Reason::new("Q.850", 41, "")];
            let _ = self.shard.send_message(ShardMsg::Cancel { mark: *mark, reasons });
        }
        if let Some(refusal) = self.refusal.clone().filter(|_| !self.answered) {
            let _ = self.shard.send_message(ShardMsg::Respond(vec![refusal]));
        }
        for (flow, dialog) in &self.byes {
            let Some(octets) = last_bye(dialog.clone()) else { continue };
            let bye = Request { flow: *flow, mark: 0, octets };
            let _ = self.shard.send_message(ShardMsg::Request(bye));
        }
    }

    /// What the store is told of the end.
    #[must_use]
    pub fn change(&self, at: At) -> Option<CallChange> {
        let key = match self.row {
            Kept::Nothing => return None,
            Kept::Asked(id) => {
                let calls = LostCalls::Named(vec![id]);
                return Some(CallChange::Lost { calls, bare: self.bare });
            }
            Kept::Row(key) => key,
        };
        let (legs, by) = (self.legs.clone(), HangupBy::System);
        let legs = if self.bare { legs.iter().map(Leg::bare).collect() } else { legs };
        let (sip_code, q850, facts, ladder) = (None, None, None, None);
        let reason = EndReason::NodeLost;
        let closing = Closing { key, at, reason, sip_code, q850, by, legs, facts, ladder };
        Some(CallChange::Close(Box::new(closing)))
    }
}

/// The BYE of a dialog whose call has died, without a Via.
fn last_bye(mut dialog: Dialog) -> Option<Bytes> {
    let (seq, bye) = dialog.request(&Method::Bye);
    let text = bye.finish().ok()?;
    let own = format!("CSeq: {seq} BYE");
    let later = format!("CSeq: {} BYE", seq.saturating_add(AHEAD));
    Some(Bytes::from(std::str::from_utf8(&text).ok()?.replacen(&own, &later, 1)))
}
