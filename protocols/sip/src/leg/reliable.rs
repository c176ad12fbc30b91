//! Provisional answers that are acknowledged, RFC 3262: ours until their PRACK, and PRACK of theirs.
//!
//! One at a time is under way; those that come meanwhile wait. A 200 waits for the PRACK of an answer
//! that had a description. Without a PRACK the call is refused with 504.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::offer::Owed;
use super::uas::Ring;
use super::{By, Cause, Extra, Io, Leg, Mark, State, Told, body};
use crate::header::{RAck, RSeq};
use crate::sdp::Body;
use crate::{Message, Method, Name, StatusCode};

/// Provisional answers that wait for the one before them.
const QUEUE_MAX: usize = 4;

/// An INVITE of theirs without a final answer.
#[derive(Debug)]
pub(super) struct Asked<S> {
    pub(super) id: S,
    pub(super) message: Message,
    pub(super) is_first: bool,
    wants: Wants,
    rseq: u32,
    pending: Option<Pending>,
    queue: VecDeque<Ring>,
    /// The 200 that waits.
    held: Option<(Option<Body>, Extra)>,
    /// The description of a provisional answer that was not reliable.
    pub(super) said: Option<Body>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Never,
    IfWeWant,
    Always,
}

/// A reliable provisional answer without a PRACK.
#[derive(Debug)]
struct Pending {
    rseq: u32,
    octets: Bytes,
    has_sdp: bool,
    next: Instant,
    wait: Duration,
    until: Instant,
}

impl<S: Mark> Asked<S> {
    pub(super) fn new(id: S, message: Message, is_first: bool, rseq: u32) -> Self {
        let wants = if message.has_token(Name::Require, "100rel") {
            Wants::Always
        } else if message.has_token(Name::Supported, "100rel") {
            Wants::IfWeWant
        } else {
            Wants::Never
        };
        let (pending, held, said) = (None, None, None);
        Self { id, message, is_first, wants, rseq, pending, queue: VecDeque::new(), held, said }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.next.min(pending.until))
    }

    pub(super) fn is_reliable(&self, wanted: bool) -> bool {
        self.wants == Wants::Always || (wanted && self.wants == Wants::IfWeWant)
    }

    /// Gives the answer back if it may be sent now; else it waits, if there is room.
    pub(super) fn queued(&mut self, ring: Ring) -> Option<Ring> {
        if self.pending.is_none() {
            return Some(ring);
        }
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back(ring);
        }
        None
    }

    pub(super) fn has_answer(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn holds_answer(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.has_sdp)
            || self.queue.iter().any(|ring| ring.sdp.is_some())
    }

    pub(super) fn hold(&mut self, sdp: Option<Body>, extra: Extra) {
        self.held.get_or_insert((sdp, extra));
    }

    /// The provisional answer that is overtaken by a final one, for a PRACK that comes late.
    pub(super) fn unacknowledged(&self) -> Option<u32> {
        self.pending.as_ref().map(|pending| pending.rseq)
    }
}

impl<S: Mark> Leg<S> {
    pub(super) fn ring_reliably(&mut self, ring: Ring, io: &mut Io<'_, S>) {
        let (Some(asked), Some(usage)) = (&mut self.asked, &mut self.usage) else { return };
        let owes_answer = usage.owes_first_answer();
        let exchange = &mut usage.exchange;
        let sdp = ring.sdp.filter(|sdp| {
            if owes_answer {
                return exchange.answer_sent(sdp.clone()).is_ok();
            }
            let is_free = exchange.ours().is_none() && !exchange.awaits_answer();
            is_free && exchange.offer_sent(sdp.clone()).is_ok()
        });
        let (id, rseq, invite) = (asked.id, asked.rseq, asked.message.clone());
        asked.rseq += 1;
        let mut builder = self.dialog_answer(&invite, ring.status, &ring.extra);
        builder.header(Name::Require, "100rel").header(Name::RSeq, &RSeq(rseq));
        self.settings.write_abilities(&mut builder);
        let octets = self.finished(builder, sdp.as_ref(), &invite);
        io.respond(id, octets.clone());
        let (t1, until) = (self.settings.t1, io.now + self.settings.patience());
        let pending =
            Pending { rseq, octets, has_sdp: sdp.is_some(), next: io.now + t1, wait: t1, until };
        if let Some(asked) = &mut self.asked {
            asked.pending = Some(pending);
        }
    }

    pub(super) fn repeat_provisional(&mut self, io: &mut Io<'_, S>) {
        let Some(asked) = &mut self.asked else { return };
        let Some(pending) = &mut asked.pending else { return };
        if pending.until <= io.now {
            let status = StatusCode::SERVER_TIMEOUT;
            self.reject_as(By::PrackMissing, status, Cause::sip(status), &Extra::default(), io);
        } else if pending.next <= io.now {
            pending.wait *= 2;
            pending.next = io.now + pending.wait;
            io.respond(asked.id, pending.octets.clone());
        }
    }

    pub(super) fn pracked(&mut self, id: S, message: &Message, io: &mut Io<'_, S>) {
        let Ok(Some(rack)) = message.value::<RAck>(Name::RAck) else {
            self.refuse(id, message, StatusCode::BAD_REQUEST, io);
            return;
        };
        let is_invite = rack.cseq.method == Method::Invite;
        if is_invite && self.pracked == Some(rack.rseq) {
            self.pracked = None;
            self.refuse(id, message, StatusCode::OK, io);
            return;
        }
        let matches = |asked: &Asked<S>| {
            let seq = asked.message.cseq().map(|cseq| cseq.number);
            let pending = asked.pending.as_ref().map(|pending| pending.rseq);
            is_invite && pending == Some(rack.rseq) && seq == Ok(rack.cseq.number)
        };
        let Some(asked) = self.asked.as_mut().filter(|asked| matches(asked)) else {
            self.refuse(id, message, StatusCode::CALL_DOES_NOT_EXIST, io);
            return;
        };
        asked.pending = None;
        if self.described(id, message, io) {
            self.next_provisional(io);
        }
    }

    /// Takes the description of a PRACK: the answer to the offer of a provisional answer, or another
    /// offer. Whether the call goes on.
    fn described(&mut self, id: S, message: &Message, io: &mut Io<'_, S>) -> bool {
        let Some(usage) = &mut self.usage else { return false };
        let exchange = &mut usage.exchange;
        let sdp = body::offered(message);
        if exchange.awaits_answer() {
            let answer = sdp.filter(|sdp| exchange.answer_received(sdp.clone()).is_ok());
            self.refuse(id, message, StatusCode::OK, io);
            let Some(sdp) = answer else {
                let status = StatusCode::NOT_ACCEPTABLE_HERE;
                self.reject_as(By::Protocol, status, Cause::sip(status), &Extra::default(), io);
                return false;
            };
            io.tell(Told::OfferAnswered { sdp });
        } else if let Some(sdp) = sdp.filter(|_| exchange.ours().is_some())
            && usage.owed.is_none()
            && exchange.offer_received(sdp.clone()).is_ok()
        {
            let until = io.now + self.settings.owed_for();
            usage.owed = Some(Owed::Request { id, message: Box::new(message.clone()), until });
            io.tell(Told::Offered { sdp: Some(sdp) });
        } else {
            self.refuse(id, message, StatusCode::OK, io);
        }
        true
    }

    /// What waited for a PRACK.
    fn next_provisional(&mut self, io: &mut Io<'_, S>) {
        let Some(asked) = self.asked.as_mut().filter(|_| self.state == State::Ringing) else {
            return;
        };
        if let Some(ring) = asked.queue.pop_front() {
            self.ring_reliably(ring, io);
        }
        let Some(asked) = &mut self.asked else { return };
        if !asked.holds_answer()
            && let Some((sdp, extra)) = asked.held.take()
        {
            self.answer(sdp, extra, io);
        }
    }
}
