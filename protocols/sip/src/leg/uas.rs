//! Their INVITE: provisional answers, the final one, CANCEL. RFC 3261 §13.3 and §9.2.

use std::sync::Arc;
use std::time::Instant;

use super::reliable::Asked;
use super::{
    By, Cause, Extra, Io, Leg, Mark, Names, Output, Settings, State, Told, Usage, allows_update,
    body, timer, unsupported,
};
use crate::dialog::Dialog;
use crate::header::{Replaces, Token};
use crate::sdp::{Body, Exchange};
use crate::{Builder, Message, Name, StatusCode};

/// An INVITE that begins a leg.
#[derive(Debug)]
pub struct Incoming<S> {
    pub settings: Arc<Settings>,
    pub id: S,
    pub invite: Message,
    /// Our tag: no other leg has it, and nobody can guess it.
    pub tag: String,
    /// The value of our Contact, as the peer reaches us.
    pub contact: String,
    pub seed: u64,
}

/// A provisional answer to send.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    pub(super) status: StatusCode,
    pub(super) sdp: Option<Body>,
    pub(super) reliable: bool,
    pub(super) extra: Extra,
}

impl<S: Mark> Leg<S> {
    /// Begins a leg with an INVITE out of any dialog. If it is refused at once the leg is over and
    /// the user is told nothing; else `Told::Invited`.
    pub fn incoming(now: Instant, incoming: Incoming<S>, out: &mut Vec<Output<S>>) -> Self {
        let Incoming { settings, id, invite, tag, contact, seed } = incoming;
        let call_id = bytes::Bytes::copy_from_slice(&invite.call_id());
        let names = Names { settings, call_id, tag, contact, seed };
        let mut leg = Self::new(names, State::Ringing);
        let io = &mut Io { now, out };
        if let Err(refusal) = leg.invited(id, &invite, io) {
            leg.state = State::Ended;
            leg.refuse_with(id, &invite, refusal.status, |builder| refusal.write(builder), io);
        }
        leg
    }

    fn invited(&mut self, id: S, invite: &Message, io: &mut Io<'_, S>) -> Result<(), Refusal> {
        self.check_options(invite)?;
        if let Some(least) = timer::too_short(&self.settings, invite) {
            return Err(Refusal::with(
                StatusCode::SESSION_INTERVAL_TOO_SMALL,
                Name::MinSe,
                least.0.to_string().into(),
            ));
        }
        let sdp = body::of(invite).map_err(Refusal::from)?;
        let bad = |_| Refusal::from(StatusCode::BAD_REQUEST);
        let replaces: Option<Replaces> = invite.value(Name::Replaces).map_err(bad)?;
        let first = self.chance.first();
        let dialog = Dialog::of_request(invite, &self.tag, first).map_err(bad)?;
        let mut exchange = Exchange::default();
        if let Some(sdp) = &sdp {
            exchange.offer_received(sdp.clone()).map_err(|_| StatusCode::SERVER_INTERNAL_ERROR)?;
        }
        self.usage =
            Some(Usage { fork: 0, dialog, exchange, owed: None, rseq: None, preview: None });
        self.takes_update = allows_update(invite).unwrap_or(false);
        let first_rseq = self.chance.first();
        self.asked = Some(Box::new(Asked::new(id, invite.clone(), true, first_rseq)));
        io.tell(Told::Invited { sdp, replaces });
        Ok(())
    }

    /// 420 with the options that are not known here.
    pub(super) fn check_options(&self, request: &Message) -> Result<(), Refusal> {
        match unsupported(request) {
            None => Ok(()),
            Some(unknown) => {
                Err(Refusal::with(StatusCode::BAD_EXTENSION, Name::Unsupported, unknown))
            }
        }
    }

    pub(super) fn ring(&mut self, ring: Ring, io: &mut Io<'_, S>) {
        let code = ring.status.get();
        let (State::Ringing, Some(asked), 101..200) = (self.state, &mut self.asked, code) else {
            return;
        };
        if asked.has_answer() {
            return;
        }
        if !asked.is_reliable(ring.reliable) {
            self.ring_once(ring, io);
        } else if let Some(ring) = asked.queued(ring) {
            self.ring_reliably(ring, io);
        }
    }

    fn ring_once(&mut self, ring: Ring, io: &mut Io<'_, S>) {
        let (Some(asked), Some(usage)) = (&mut self.asked, &self.usage) else { return };
        // What is not reliable is no answer, only what the answer will be, and never an offer.
        let sdp = ring.sdp.filter(|_| usage.owes_first_answer());
        if sdp.is_some() {
            asked.said.clone_from(&sdp);
        }
        let (id, invite) = (asked.id, asked.message.clone());
        let builder = self.dialog_answer(&invite, ring.status, &ring.extra);
        io.respond(id, self.finished(builder, sdp.as_ref(), &invite));
    }

    /// Begins an answer that makes a dialog or speaks in one.
    pub(super) fn dialog_answer(
        &self,
        invite: &Message,
        status: StatusCode,
        extra: &Extra,
    ) -> Builder {
        let mut builder = self.answer_to(invite, status);
        builder.copy_all(invite, Name::RecordRoute);
        builder.header(Name::Contact, &*self.contact);
        extra.write(&mut builder);
        builder
    }

    pub(super) fn answer(&mut self, sdp: Option<Body>, extra: Extra, io: &mut Io<'_, S>) {
        let (State::Ringing, Some(asked)) = (self.state, &mut self.asked) else { return };
        if asked.holds_answer() {
            asked.hold(sdp, extra);
            return;
        }
        let Some(mut asked) = self.asked.take() else { return };
        self.pracked = asked.unacknowledged();
        let Some(usage) = &mut self.usage else { return };
        let owes_answer = usage.owes_first_answer();
        let exchange = &mut usage.exchange;
        let sdp = if owes_answer {
            let answer = sdp.or(asked.said.take());
            answer.filter(|answer| exchange.answer_sent(answer.clone()).is_ok())
        } else if exchange.ours().is_none() && !exchange.awaits_answer() {
            sdp.filter(|offer| exchange.offer_sent(offer.clone()).is_ok())
        } else {
            None
        };
        if exchange.ours().is_none() && !exchange.awaits_answer() {
            // There is nothing to speak over.
            self.asked = Some(asked);
            let status = StatusCode::SERVER_INTERNAL_ERROR;
            self.reject_as(By::Us, status, Cause::sip(status), &extra, io);
            return;
        }
        self.state = State::Up;
        self.succeed(&asked, sdp.as_ref(), &extra, io);
    }

    /// The 200 to an INVITE, the first or a later one.
    pub(super) fn succeed(
        &mut self,
        asked: &Asked<S>,
        sdp: Option<&Body>,
        extra: &Extra,
        io: &mut Io<'_, S>,
    ) {
        let invite = &asked.message;
        let mut builder = self.dialog_answer(invite, StatusCode::OK, extra);
        self.settings.write_abilities(&mut builder);
        self.agree_session(invite, asked.is_first, &mut builder, io);
        let octets = self.finished(builder, sdp, invite);
        let seq = invite.cseq().map(|cseq| cseq.number).unwrap_or_default();
        self.confirm(asked.id, octets, (seq, asked.is_first), io);
    }

    /// Begins or refreshes the session by their INVITE or UPDATE, and says so in the 2xx.
    pub(super) fn agree_session(
        &mut self,
        request: &Message,
        is_first: bool,
        builder: &mut Builder,
        io: &Io<'_, S>,
    ) {
        let before = self.session.as_ref();
        if let Some(agreed) = timer::agree(&self.settings, request, before, is_first, io.now) {
            agreed.write(builder);
            self.session = Some(agreed.session);
        }
    }

    pub(super) fn reject(
        &mut self,
        status: StatusCode,
        cause: Cause,
        extra: &Extra,
        io: &mut Io<'_, S>,
    ) {
        if self.state == State::Ringing && status.get() >= 300 {
            self.reject_as(By::Us, status, cause, extra, io);
        }
    }

    pub(super) fn reject_as(
        &mut self,
        by: By,
        status: StatusCode,
        cause: Cause,
        extra: &Extra,
        io: &mut Io<'_, S>,
    ) {
        self.release_owed(io);
        if let Some(asked) = self.asked.take() {
            let write = |builder: &mut Builder| {
                cause.write(builder);
                extra.write(builder);
            };
            self.refuse_with(asked.id, &asked.message, status, write, io);
        }
        self.told_last(Told::Ended { by, cause }, io);
    }

    pub(super) fn cancelled(&mut self, invite: S, cause: Cause, io: &mut Io<'_, S>) {
        // After the final answer it has no effect.
        let Some(asked) = self.asked.take_if(|asked| asked.id == invite) else { return };
        self.refuse(asked.id, &asked.message, StatusCode::REQUEST_TERMINATED, io);
        if asked.is_first {
            self.release_owed(io);
            self.told_last(Told::Ended { by: By::Them, cause }, io);
        } else {
            self.offer_withdrawn(io);
        }
    }
}

/// A status and one header that explains it.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    why: Option<(Name, Vec<u8>)>,
}

impl Refusal {
    pub(super) fn with(status: StatusCode, name: Name, value: Vec<u8>) -> Self {
        Self { status, why: Some((name, value)) }
    }

    pub(super) fn write(&self, builder: &mut Builder) {
        if let Some((name, value)) = &self.why {
            builder.header(*name, &value[..]);
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            builder.header(Name::Accept, &Token("application/sdp".into()).0);
        }
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self { status, why: None }
    }
}
