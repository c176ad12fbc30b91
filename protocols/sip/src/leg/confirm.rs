//! A 2xx of ours to an INVITE, until its ACK comes, RFC 3261 §13.3.1.4.
//!
//! It is repeated on any transport, since the ACK comes from the other end and not from the next hop.
//! After 64 rounds of T1 the call is hung up.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{By, Cause, Io, Leg, Mark, Settings, State, Told, body};
use crate::{Message, StatusCode};

#[derive(Debug)]
pub(super) struct Confirming<S> {
    id: S,
    octets: Bytes,
    /// The number of the INVITE, which the ACK has too.
    seq: u32,
    pub(super) is_first: bool,
    /// The ACK is to have the answer to our offer.
    wants_answer: bool,
    next: Instant,
    wait: Duration,
    until: Instant,
}

impl<S> Confirming<S> {
    pub(super) fn deadline(&self) -> Instant {
        self.next.min(self.until)
    }
}

impl<S: Mark> Leg<S> {
    /// Sends a 2xx and waits for its ACK.
    pub(super) fn confirm(
        &mut self,
        id: S,
        octets: Bytes,
        (seq, is_first): (u32, bool),
        io: &mut Io<'_, S>,
    ) {
        let Settings { t1, .. } = *self.settings;
        let wants_answer = self.usage.as_ref().is_some_and(|usage| usage.exchange.awaits_answer());
        io.respond(id, octets.clone());
        self.confirming = Some(Confirming {
            id,
            octets,
            seq,
            is_first,
            wants_answer,
            next: io.now + t1,
            wait: t1,
            until: io.now + self.settings.patience(),
        });
    }

    pub(super) fn repeat_success(&mut self, io: &mut Io<'_, S>) {
        let t2 = self.settings.t2;
        let Some(confirming) = &mut self.confirming else { return };
        if confirming.until <= io.now {
            self.ack_missing(io);
            return;
        }
        if confirming.next <= io.now {
            confirming.wait = (confirming.wait * 2).min(t2);
            confirming.next = io.now + confirming.wait;
            io.respond(confirming.id, confirming.octets.clone());
        }
    }

    fn ack_missing(&mut self, io: &mut Io<'_, S>) {
        self.confirming = None;
        match self.bye.take() {
            Some(cause) => self.send_bye(&cause, io),
            None => self.bye(By::AckMissing, Cause::sip(StatusCode::REQUEST_TIMEOUT), io),
        }
    }

    pub(super) fn acknowledged(&mut self, message: &Message, io: &mut Io<'_, S>) {
        let seq = message.cseq().map(|cseq| cseq.number).ok();
        let is_ours = self.confirming.as_ref().is_some_and(|waiting| Some(waiting.seq) == seq);
        if !is_ours || !self.is_from_peer(message) {
            return;
        }
        let Some(confirmed) = self.confirming.take() else { return };
        if let Some(cause) = self.bye.take() {
            self.send_bye(&cause, io);
            return;
        }
        if self.state != State::Up {
            return;
        }
        if confirmed.is_first {
            io.tell(Told::Acknowledged);
        }
        if !confirmed.wants_answer {
            return;
        }
        let Some(usage) = &mut self.usage else { return };
        let answer = body::offered(message);
        let taken = answer.filter(|sdp| usage.exchange.answer_received(sdp.clone()).is_ok());
        match taken {
            Some(sdp) => io.tell(Told::OfferAnswered { sdp }),
            // Nobody knows what is agreed, so there is nothing to speak over.
            None if confirmed.is_first => {
                self.bye(By::Protocol, Cause::sip(StatusCode::NOT_ACCEPTABLE_HERE), io);
            }
            None => {
                usage.exchange.abandon();
                io.tell(Told::OfferRefused { status: StatusCode::NOT_ACCEPTABLE_HERE });
            }
        }
    }
}
