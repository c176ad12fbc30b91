//! Which call a message is for: by our mark of a request, by the dialog, by the INVITE that is cancelled.
//!
//! Shards ask it for each message of a call and hand over what came; who begins one is asked here who it is; calls enter themselves and leave by
//! dropping their `Seat`, however they end. A call that has no actor yet keeps what came for it. What is
//! nobody's is answered here: 481, or the ACK and the BYE of a 2xx that comes too late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use proto_sip::leg::{self, Tag};
use proto_sip::transaction::{Failure, ServerId};
use proto_sip::{Message, Method, Name, StatusCode};
use ractor::{ActorId, ActorRef};

use super::super::calls::{CallEvent, Calls};
use super::super::flow::Flow;
use super::super::shard::{Mark, Request, ShardMsg, answer};
use super::CallMsg;
use super::sent::Sent;
use crate::gate::{Gate, Permit, Urgency};
use crate::sip::dialplan::Caller;

/// What came for a call before it has an actor.
const HELD_MAX: usize = 16;
/// How a mark is cut: the call, its leg, the request's tag.
const LEG_BITS: u32 = 6;
const TAG_BITS: u32 = 20;

/// What a shard has for a call. `leg` counts the call's legs from 0, who called.
#[derive(Debug)]
pub enum Heard {
    Request {
        leg: u8,
        id: ServerId,
        flow: Flow,
        message: Message,
    },
    Ack {
        leg: u8,
        flow: Flow,
        message: Message,
    },
    Cancelled {
        invite: ServerId,
        flow: Flow,
        message: Message,
    },
    /// The INVITE that began it was answered 500 in its place.
    Unanswered,
    Response {
        leg: u8,
        tag: Tag,
        flow: Flow,
        message: Message,
    },
    Failed {
        leg: u8,
        tag: Tag,
        why: Failure,
    },
}

/// What begins a call, with the call's place in the table.
#[derive(Debug)]
pub struct Begin {
    pub shard: ActorRef<ShardMsg>,
    pub seat: Seat,
    pub opening: Opening,
}

/// An INVITE; or another call, which sends somebody.
#[derive(Debug)]
pub enum Opening {
    Invite(Box<Invited>),
    Sent(Box<Sent>),
}

/// An INVITE, and who calls, as it proved.
#[derive(Debug)]
pub struct Invited {
    pub id: ServerId,
    pub flow: Flow,
    pub message: Message,
    pub caller: Caller,
}

impl Opening {
    /// What is to be answered.
    #[must_use]
    pub fn invite(&self) -> Option<(ServerId, &Message)> {
        match self {
            Self::Invite(invited) => Some((invited.id, &invited.message)),
            Self::Sent(_) => None,
        }
    }
}

/// Who calls, or what it is answered; none: there is nobody who knows.
pub type Asker = Box<dyn Fn(Flow, &Message) -> Option<Result<Caller, Bytes>> + Send + Sync>;
/// Whoever starts calls. False: it is not there.
pub type Starter = Box<dyn Fn(Begin) -> bool + Send + Sync>;

/// Where calls begin.
pub struct Door {
    pub ask: Asker,
    pub start: Starter,
}

/// All calls. A clone is the same.
#[derive(Clone)]
pub struct CallTable(Arc<Inner>);

struct Inner {
    gate: Gate,
    retry_after_s: u64,
    numbers: AtomicU64,
    door: RwLock<Option<Door>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: HashMap<u64, Entry>,
    dialogs: HashMap<Box<[u8]>, (u64, u8)>,
    invites: HashMap<(ActorId, ServerId), u64>,
}

enum Entry {
    Starting(Vec<Heard>),
    Live(ActorRef<CallMsg>),
}

/// A call's place: while it is held, messages find the call.
pub struct Seat {
    table: CallTable,
    number: u64,
    invite: Option<(ActorId, ServerId)>,
    dialogs: Vec<Box<[u8]>>,
    _permit: Permit,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({})", self.number)
    }
}

/// The mark of a request of a leg.
#[must_use]
pub fn mark(call: u64, leg: u8, tag: Tag) -> Mark {
    let leg = u64::from(leg) & ((1 << LEG_BITS) - 1);
    let tag = u64::from(tag.0) & ((1 << TAG_BITS) - 1);
    call << (LEG_BITS + TAG_BITS) | leg << TAG_BITS | tag
}

fn unmark(mark: Mark) -> (u64, u8, Tag) {
    let leg = (mark >> TAG_BITS) & ((1 << LEG_BITS) - 1);
    let tag = mark & ((1 << TAG_BITS) - 1);
    (
        mark >> (LEG_BITS + TAG_BITS),
        u8::try_from(leg).unwrap_or_default(),
        Tag(u32::try_from(tag).unwrap_or_default()),
    )
}

fn key(call_id: &[u8], tag: &[u8]) -> Box<[u8]> {
    let mut key = Vec::with_capacity(call_id.len() + 1 + tag.len());
    key.extend_from_slice(call_id);
    key.push(0);
    key.extend_from_slice(tag);
    key.into()
}

/// The dialog of a request, by its Call-ID and our tag; `None` outside of any.
fn dialog_of(message: &Message) -> Option<Box<[u8]>> {
    let to = message.to().ok()?;
    Some(key(&message.call_id(), to.tag()?))
}

impl CallTable {
    /// For so many calls at once.
    #[must_use]
    pub fn new(calls_max: usize, retry_after_s: u64) -> Self {
        Self(Arc::new(Inner {
            gate: Gate::new(calls_max),
            retry_after_s,
            numbers: AtomicU64::new(1),
            door: RwLock::new(None),
            state: Mutex::default(),
        }))
    }

    /// Who starts calls from now on; `None`: nobody.
    pub fn attach(&self, door: Option<Door>) {
        *self.0.door.write().unwrap_or_else(PoisonError::into_inner) = door;
    }

    /// Calls that are there, those that have ended and are not quiet yet among them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.gate.in_use()
    }

    /// A place for a call that no peer begins.
    pub fn seat(&self) -> Option<Seat> {
        let permit = self.0.gate.enter(1, Urgency::Urgent).ok()?;
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        self.state().calls.insert(number, Entry::Starting(Vec::new()));
        let (table, dialogs) = (self.clone(), Vec::new());
        Some(Seat { table, number, invite: None, dialogs, _permit: permit })
    }

    /// The call and the leg of a dialog, by its Call-ID and our tag.
    #[must_use]
    pub fn find(&self, call_id: &[u8], tag: &[u8]) -> Option<(ActorRef<CallMsg>, u8)> {
        let state = self.state();
        let (call, leg) = state.dialogs.get(&key(call_id, tag))?;
        match state.calls.get(call)? {
            Entry::Live(actor) => Some((actor.clone(), *leg)),
            Entry::Starting(_) => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has proved nothing takes no place, and has no actor.
    fn begin(&self, shard: &ActorRef<ShardMsg>, id: ServerId, flow: Flow, message: Message) {
        let door = self.0.door.read().unwrap_or_else(PoisonError::into_inner);
        let Some(door) = door.as_ref().filter(|_| self.count() < self.0.gate.size()) else {
            return self.unavailable(shard, id, &message);
        };
        let caller = match (door.ask)(flow, &message) {
            Some(Ok(caller)) => caller,
            Some(Err(octets)) => return respond(shard, id, Some(octets)),
            None => return self.unavailable(shard, id, &message),
        };
        let Some(mut seat) = self.seat() else { return self.unavailable(shard, id, &message) };
        let invite = (shard.get_id(), id);
        self.state().invites.insert(invite, seat.number);
        seat.invite = Some(invite);
        let opening = Invited { id, flow, message: message.clone(), caller };
        let opening = Opening::Invite(Box::new(opening));
        let begin = Begin { shard: shard.clone(), seat, opening };
        if !(door.start)(begin) {
            self.unavailable(shard, id, &message);
        }
    }

    /// A call that cannot be taken.
    pub fn unavailable(&self, shard: &ActorRef<ShardMsg>, id: ServerId, request: &Message) {
        let octets = answer(request, StatusCode::SERVICE_UNAVAILABLE, None, |builder| {
            builder.header(Name::RetryAfter, &self.0.retry_after_s);
        });
        respond(shard, id, octets);
    }

    /// Hands over what is for a call; gives it back if there is no such call.
    fn tell(&self, call: u64, heard: Heard) -> Option<Heard> {
        let mut state = self.state();
        match state.calls.get_mut(&call) {
            Some(Entry::Live(actor)) => {
                // A call that has just died is nobody's any more, and its seat goes with it.
                let _ = actor.send_message(CallMsg::Heard(heard));
                None
            }
            Some(Entry::Starting(held)) if held.len() < HELD_MAX => {
                held.push(heard);
                None
            }
            _ => Some(heard),
        }
    }

    /// The same for the call that an INVITE has begun.
    fn tell_begun(&self, shard: &ActorRef<ShardMsg>, invite: ServerId, heard: Heard) {
        let call = self.state().invites.get(&(shard.get_id(), invite)).copied();
        if let Some(call) = call {
            self.tell(call, heard);
        }
    }

    fn owner(&self, message: &Message) -> Option<(u64, u8)> {
        let dialog = dialog_of(message)?;
        self.state().dialogs.get(&dialog).copied()
    }

    fn requested(&self, shard: &ActorRef<ShardMsg>, id: ServerId, flow: Flow, message: Message) {
        let is_new = message.to().is_ok_and(|to| to.tag().is_none());
        if is_new && message.method() == Some(&Method::Invite) {
            return self.begin(shard, id, flow, message);
        }
        let unknown = match self.owner(&message) {
            Some((call, leg)) => self.tell(call, Heard::Request { leg, id, flow, message }),
            None => Some(Heard::Request { leg: 0, id, flow, message }),
        };
        if let Some(Heard::Request { message, .. }) = unknown {
            respond(shard, id, answer(&message, StatusCode::CALL_DOES_NOT_EXIST, None, |_| {}));
        }
    }

    fn responded(&self, shard: &ActorRef<ShardMsg>, mark: Mark, flow: Flow, message: Message) {
        let (call, leg, tag) = unmark(mark);
        let heard = Heard::Response { leg, tag, flow, message };
        let Some(Heard::Response { message, .. }) = self.tell(call, heard) else { return };
        if let Some(stray) = leg::stray(&message) {
            let _ = shard.send_message(ShardMsg::Ack { flow, octets: stray.ack });
            let bye = Request { flow, mark: 0, octets: stray.bye };
            let _ = shard.send_message(ShardMsg::Request(bye));
        }
    }
}

fn respond(shard: &ActorRef<ShardMsg>, id: ServerId, octets: Option<Bytes>) {
    if let Some(octets) = octets {
        let _ = shard.send_message(ShardMsg::Respond(vec![(id, octets)]));
    }
}

impl Calls for CallTable {
    fn take(&self, shard: &ActorRef<ShardMsg>, event: CallEvent) {
        match event {
            CallEvent::Request { id, flow, message } => self.requested(shard, id, flow, message),
            CallEvent::Cancelled { invite, flow, message } => {
                self.tell_begun(shard, invite, Heard::Cancelled { invite, flow, message });
            }
            CallEvent::Unanswered { invite } => {
                self.tell_begun(shard, invite, Heard::Unanswered);
            }
            CallEvent::Ack { flow, message } => {
                if let Some((call, leg)) = self.owner(&message) {
                    self.tell(call, Heard::Ack { leg, flow, message });
                }
            }
            CallEvent::Response { mark, flow, message } => {
                self.responded(shard, mark, flow, message);
            }
            CallEvent::Failed { mark, why } => {
                let (call, leg, tag) = unmark(mark);
                self.tell(call, Heard::Failed { leg, tag, why });
            }
        }
    }
}

impl Seat {
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The call and the leg of a dialog.
    #[must_use]
    pub(super) fn find(&self, call_id: &[u8], tag: &[u8]) -> Option<(ActorRef<CallMsg>, u8)> {
        self.table.find(call_id, tag)
    }

    /// A place for another call.
    pub(super) fn another(&self) -> Option<Self> {
        self.table.seat()
    }

    /// Another call begins, if there is who starts calls.
    pub(super) fn start(&self, begin: Begin) {
        let door = self.table.0.door.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = door.as_ref() {
            (door.start)(begin);
        }
    }

    /// The call has an actor; what was kept for it is told now.
    pub fn live(&self, actor: ActorRef<CallMsg>) {
        let mut state = self.table.state();
        let before = state.calls.insert(self.number, Entry::Live(actor.clone()));
        if let Some(Entry::Starting(held)) = before {
            for heard in held {
                let _ = actor.send_message(CallMsg::Heard(heard));
            }
        }
    }

    /// Requests of this dialog are for this leg.
    pub fn bind(&mut self, leg: u8, call_id: &[u8], tag: &str) {
        let key = key(call_id, tag.as_bytes());
        self.table.state().dialogs.insert(key.clone(), (self.number, leg));
        self.dialogs.push(key);
    }

    /// The leg is gone for good.
    pub fn unbind(&mut self, call_id: &[u8], tag: &str) {
        let key = key(call_id, tag.as_bytes());
        self.table.state().dialogs.remove(&key);
        self.dialogs.retain(|other| *other != key);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.table.state();
        let entry = state.calls.remove(&self.number);
        for dialog in self.dialogs.drain(..) {
            state.dialogs.remove(&dialog);
        }
        if let Some(invite) = self.invite.take() {
            state.invites.remove(&invite);
        }
        drop(state);
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_call_its_leg_and_its_request() {
        for (call, leg, tag) in [(0, 0, 0), (1, 47, 9), (1 << 37, 63, (1 << 20) - 1)] {
            assert_eq!(unmark(mark(call, leg, Tag(tag))), (call, leg, Tag(tag)));
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_call_is_gone() {
        let table = CallTable::new(2, 5);
        let mut one = table.seat().unwrap();
        one.bind(0, b"call", "tag");
        let two = table.seat().unwrap();
        assert!(table.seat().is_none() && one.number() != two.number());
        assert!(table.state().dialogs.len() == 1 && table.count() == 2);
        drop((one, two));
        assert!(table.state().dialogs.is_empty() && table.state().calls.is_empty());
        assert_eq!(table.count(), 0);
    }
}
