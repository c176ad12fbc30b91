//! Offers in the dialog, both ways, by re-INVITE and UPDATE: RFC 3261 §14, RFC 3311, RFC 6337.
//!
//! One offer at a time. Ours waits until nothing is under way; when it meets one of theirs (491) it is
//! tried again after a wait that is longer for who placed the call. Theirs is refused with 491 while
//! ours is under way, and with 500 and Retry-After while an earlier one of theirs is. What they said
//! before, to the octet, is answered with what we said before, and the user is not asked; nor is it told
//! of a refresh of ours, unless its answer is another one than before.

use std::time::{Duration, Instant};

use super::reliable::Asked;
use super::sent::{Final, Sent, What};
use super::uas::Refusal;
use super::{
    By, Cause, Extra, Io, Leg, Mark, Session, State, Told, allows_update, body, timer, write,
};
use crate::header::RetryAfter;
use crate::sdp::{Body, exchange::Change};
use crate::{Message, Method, Name, StatusCode};

/// How often an offer that meets another is tried.
const TRIES_MAX: u8 = 6;
/// The longest Retry-After that is waited for.
const RETRY_AFTER_MAX_S: u32 = 10;

/// Offers of ours that are to be made.
#[derive(Debug, Default)]
pub(super) struct Offers {
    wanted: Option<Body>,
    retry_at: Option<Instant>,
    tries: u8,
}

impl Offers {
    pub(super) fn want(&mut self, sdp: Body) {
        self.wanted = Some(sdp);
        self.tries = 0;
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.wanted.is_some())
    }
}

/// Where the user's answer to an offer of theirs goes.
#[derive(Debug)]
pub(super) enum Owed<S> {
    /// To the re-INVITE that is `asked`.
    Reinvite { until: Instant },
    /// To an UPDATE, or a PRACK.
    Request { id: S, message: Box<Message>, until: Instant },
    /// Into the PRACK of a provisional answer.
    Prack { rseq: u32, until: Instant },
    /// Into the ACK of a 2xx.
    Ack { until: Instant },
}

impl<S> Owed<S> {
    pub(super) fn until(&self) -> Instant {
        match self {
            Self::Reinvite { until }
            | Self::Request { until, .. }
            | Self::Prack { until, .. }
            | Self::Ack { until } => *until,
        }
    }
}

impl<S: Mark> Leg<S> {
    /// Makes the offer that waits, if it may be made now.
    pub(super) fn next_offer(&mut self, io: &mut Io<'_, S>) {
        if self.offers.retry_at.is_some_and(|at| at > io.now) {
            return;
        }
        self.offers.retry_at = None;
        if self.offers.wanted.is_none() || !self.is_free() {
            return;
        }
        let Some(usage) = &mut self.usage else { return };
        if self.state != State::Up && (!self.takes_update || usage.exchange.ours().is_none()) {
            return;
        }
        let Some(sdp) = self.offers.wanted.take() else { return };
        if usage.exchange.offer_sent(sdp.clone()).is_ok() {
            self.send_offer(Some(&sdp), false, io);
        }
    }

    /// Whether no offer is under way, either way, and no INVITE.
    fn is_free(&self) -> bool {
        let changes = |what| matches!(what, What::Reinvite { .. } | What::Update { .. });
        let is_early = matches!(self.state, State::Calling | State::Ringing);
        self.confirming.is_none()
            && (is_early || self.asked.is_none())
            && !self.is_sending(changes)
            && self
                .usage
                .as_ref()
                .is_some_and(|usage| usage.owed.is_none() && usage.exchange.offered().is_none())
    }

    /// Sends a re-INVITE, or an UPDATE where there is no confirmed dialog or nothing to offer.
    fn send_offer(&mut self, sdp: Option<&Body>, is_refresh: bool, io: &mut Io<'_, S>) {
        let Some(usage) = &mut self.usage else { return };
        let by_update = self.state != State::Up || sdp.is_none();
        let method = if by_update { Method::Update } else { Method::Invite };
        let (seq, mut builder) = usage.dialog.request(&method);
        let target = usage.dialog.next_hop();
        builder.header(Name::Contact, &*self.contact);
        self.settings.write_abilities(&mut builder);
        match &self.session {
            Some(session) => session.write_refresh(&self.settings, &mut builder),
            None if self.state == State::Up => {
                timer::write_wish(self.settings.session_s, &self.settings, &mut builder);
            }
            None => {}
        }
        self.settings.write_agent(Name::UserAgent, &mut builder);
        let Some(octets) = write(builder, sdp) else { return };
        let what =
            if by_update { What::Update { is_refresh } } else { What::Reinvite { is_refresh } };
        self.send(what, seq, octets, target, io);
    }

    /// Refreshes the session when it is time, and hangs up when it was not refreshed in time.
    pub(super) fn session_due(&mut self, io: &mut Io<'_, S>) {
        let State::Up = self.state else { return };
        let is_free = self.is_free();
        let Some(session) = &mut self.session else { return };
        if session.has_ended(io.now) {
            self.bye(By::SessionTimer, Cause::sip(StatusCode::REQUEST_TIMEOUT), io);
            return;
        }
        if !session.is_due(io.now) {
            return;
        }
        if !is_free {
            session.later(io.now);
            return;
        }
        session.refreshing();
        if self.takes_update && !session.by_invite {
            self.send_offer(None, true, io);
            return;
        }
        let Some(usage) = &mut self.usage else { return };
        let Some(sdp) = usage.exchange.ours().cloned() else { return };
        if usage.exchange.offer_sent(sdp.clone()).is_ok() {
            self.send_offer(Some(&sdp), true, io);
        }
    }

    /// The final answer to a re-INVITE or UPDATE of ours.
    pub(super) fn offer_ended(&mut self, mut sent: Sent, end: Final<'_>, io: &mut Io<'_, S>) {
        let is_invite = matches!(sent.what, What::Reinvite { .. });
        let is_refresh = matches!(sent.what, What::Reinvite { is_refresh } | What::Update { is_refresh } if is_refresh);
        if let (true, Some(message)) = (end.status.is_success(), end.message) {
            self.offer_taken(&sent, (is_invite, is_refresh), message, io);
            return;
        }
        if self.state == State::Ended || self.is_lost(end, io) {
            return;
        }
        if let Some(session) = &mut self.session
            && let Some(longer) = sent.longer(end, session.seconds)
        {
            session.seconds = longer;
            let value =
                format!("{longer};refresher={}", if session.is_ours { "uac" } else { "uas" });
            let least = longer.to_string();
            let set = [(Name::SessionExpires, value.as_bytes()), (Name::MinSe, least.as_bytes())];
            self.send_again(sent, &set, io);
            return;
        }
        let Some(usage) = &mut self.usage else { return };
        let offer = usage.exchange.offered().filter(|_| usage.exchange.awaits_answer()).cloned();
        if offer.is_some() {
            usage.exchange.abandon();
        }
        let wait = self.wait_after(end);
        if is_refresh {
            self.refresh_refused(is_invite, end, wait, io);
            return;
        }
        let Some(offer) = offer else { return };
        match wait.filter(|_| self.offers.tries < TRIES_MAX) {
            // A newer one takes its place.
            Some(wait) => {
                self.offers.wanted.get_or_insert(offer);
                self.offers.tries += 1;
                self.offers.retry_at = Some(io.now + wait);
            }
            None => io.tell(Told::OfferRefused { status: end.status }),
        }
    }

    fn refresh_refused(
        &mut self,
        is_invite: bool,
        end: Final<'_>,
        wait: Option<Duration>,
        io: &Io<'_, S>,
    ) {
        if [405, 501].contains(&end.status.get()) {
            self.takes_update = false;
        }
        let Some(session) = &mut self.session else { return };
        session.by_invite |= !is_invite && wait.is_none();
        session.refused(io.now, wait, end.is_sign_of_life());
    }

    /// How long to wait before an offer is made again, if it is to be.
    fn wait_after(&mut self, end: Final<'_>) -> Option<Duration> {
        match end.status {
            StatusCode::REQUEST_PENDING if self.is_caller => Some(self.chance.wait(2_100, 4_000)),
            StatusCode::REQUEST_PENDING => Some(self.chance.wait(0, 2_000)),
            StatusCode::SERVER_INTERNAL_ERROR => {
                let retry: RetryAfter = end.message?.value(Name::RetryAfter).ok().flatten()?;
                let seconds = retry.seconds;
                (seconds <= RETRY_AFTER_MAX_S).then(|| Duration::from_secs(seconds.into()))
            }
            _ => None,
        }
    }

    fn offer_taken(
        &mut self,
        sent: &Sent,
        (is_invite, is_refresh): (bool, bool),
        message: &Message,
        io: &mut Io<'_, S>,
    ) {
        if let Some(usage) = &mut self.usage {
            usage.dialog.refresh(message);
        }
        if is_invite {
            self.reinvite_acked(sent, io);
        }
        if self.state == State::Ended {
            return;
        }
        self.session = match Session::of_response(message, io.now) {
            None if self.state == State::Up => None,
            None => self.session.take(),
            session => session,
        };
        self.takes_update = allows_update(message).unwrap_or(self.takes_update);
        self.offers.tries = 0;
        let Some(usage) = &mut self.usage else { return };
        if !usage.exchange.awaits_answer() {
            return;
        }
        let answer = body::offered(message);
        let before = usage.exchange.theirs().cloned();
        let taken = answer.filter(|sdp| usage.exchange.answer_received(sdp.clone()).is_ok());
        match taken {
            Some(_) if is_refresh && taken == before => {}
            Some(sdp) => io.tell(Told::OfferAnswered { sdp }),
            None => {
                usage.exchange.abandon();
                if !is_refresh {
                    io.tell(Told::OfferRefused { status: StatusCode::NOT_ACCEPTABLE_HERE });
                }
            }
        }
    }

    /// A re-INVITE of theirs.
    pub(super) fn reinvited(&mut self, id: S, message: Message, io: &mut Io<'_, S>) {
        if let Err(refusal) = self.may_reinvite(&message) {
            self.refuse_with(id, &message, refusal.status, |builder| refusal.write(builder), io);
            return;
        }
        let sdp = match body::of(&message) {
            Ok(sdp) => sdp,
            Err(status) => {
                self.refuse(id, &message, status, io);
                return;
            }
        };
        let Some(usage) = &mut self.usage else { return };
        usage.dialog.refresh(&message);
        self.takes_update = allows_update(&message).unwrap_or(self.takes_update);
        let first_rseq = self.chance.first();
        let asked = Box::new(Asked::new(id, message, false, first_rseq));
        let change = sdp.as_ref().map(|sdp| usage.exchange.offer_received(sdp.clone()));
        if let (Some(Ok(Change::Same)), Some(ours)) = (change, usage.exchange.ours().cloned()) {
            usage.exchange.answer_sent(ours.clone()).ok();
            self.succeed(&asked, Some(&ours), &Extra::default(), io);
            return;
        }
        usage.owed = Some(Owed::Reinvite { until: io.now + self.settings.owed_for() });
        self.asked = Some(asked);
        io.tell(Told::Offered { sdp });
    }

    fn may_reinvite(&mut self, message: &Message) -> Result<(), Refusal> {
        let is_ours = |what| matches!(what, What::Invite | What::Reinvite { .. });
        if self.is_sending(is_ours) || self.confirming.is_some() {
            return Err(StatusCode::REQUEST_PENDING.into());
        }
        if self.asked.is_some() || self.state != State::Up {
            return Err(self.later());
        }
        self.may_offer_now(true)?;
        self.check_session(message)
    }

    /// Whether an offer of theirs meets no other.
    fn may_offer_now(&mut self, has_offer: bool) -> Result<(), Refusal> {
        let Some(usage) = self.usage.as_ref().filter(|_| has_offer) else { return Ok(()) };
        if usage.exchange.awaits_answer() {
            return Err(StatusCode::REQUEST_PENDING.into());
        }
        if usage.exchange.owes_answer() || usage.owed.is_some() {
            return Err(self.later());
        }
        Ok(())
    }

    fn later(&mut self) -> Refusal {
        let seconds = self.chance.below(RETRY_AFTER_MAX_S);
        let value = seconds.to_string().into();
        Refusal::with(StatusCode::SERVER_INTERNAL_ERROR, Name::RetryAfter, value)
    }

    fn check_session(&self, message: &Message) -> Result<(), Refusal> {
        match timer::too_short(&self.settings, message) {
            None => Ok(()),
            Some(least) => {
                let status = StatusCode::SESSION_INTERVAL_TOO_SMALL;
                Err(Refusal::with(status, Name::MinSe, least.0.to_string().into()))
            }
        }
    }

    /// An UPDATE of theirs.
    pub(super) fn updated(&mut self, id: S, message: Message, io: &mut Io<'_, S>) {
        let sdp = body::of(&message).map_err(Refusal::from);
        let sdp = sdp.and_then(|sdp| {
            self.may_offer_now(sdp.is_some())?;
            self.check_session(&message)?;
            // Before the first offer has its answer there is nothing to change.
            let is_too_early =
                self.usage.as_ref().is_none_or(|usage| usage.exchange.ours().is_none());
            if sdp.is_some() && is_too_early { Err(self.later()) } else { Ok(sdp) }
        });
        let sdp = match sdp {
            Ok(sdp) => sdp,
            Err(refusal) => {
                let write = |builder: &mut _| refusal.write(builder);
                self.refuse_with(id, &message, refusal.status, write, io);
                return;
            }
        };
        let Some(usage) = &mut self.usage else { return };
        usage.dialog.refresh(&message);
        let Some(sdp) = sdp else {
            self.update_answered(id, &message, None, io);
            return;
        };
        let change = usage.exchange.offer_received(sdp.clone());
        if let (Ok(Change::Same), Some(ours)) = (change, usage.exchange.ours().cloned()) {
            usage.exchange.answer_sent(ours.clone()).ok();
            self.update_answered(id, &message, Some(&ours), io);
            return;
        }
        let until = io.now + self.settings.owed_for();
        usage.owed = Some(Owed::Request { id, message: Box::new(message), until });
        io.tell(Told::Offered { sdp: Some(sdp) });
    }

    /// 200 to an UPDATE, or to a PRACK with an offer.
    fn update_answered(
        &mut self,
        id: S,
        request: &Message,
        sdp: Option<&Body>,
        io: &mut Io<'_, S>,
    ) {
        let mut builder = self.answer_to(request, StatusCode::OK);
        if request.method() == Some(&Method::Update) {
            builder.header(Name::Contact, &*self.contact);
            self.settings.write_abilities(&mut builder);
            self.agree_session(request, false, &mut builder, io);
        }
        io.respond(id, self.finished(builder, sdp, request));
    }

    pub(super) fn answer_offer(&mut self, sdp: Body, io: &mut Io<'_, S>) {
        let Some(usage) = &mut self.usage else { return };
        let Some(owed) = usage.owed.take() else { return };
        let exchange = &mut usage.exchange;
        let taken = if exchange.owes_answer() {
            exchange.answer_sent(sdp.clone())
        } else {
            exchange.offer_sent(sdp.clone())
        };
        if taken.is_err() {
            usage.owed = Some(owed);
            return;
        }
        match owed {
            Owed::Reinvite { .. } => {
                if let Some(asked) = self.asked.take() {
                    self.succeed(&asked, Some(&sdp), &Extra::default(), io);
                }
            }
            Owed::Request { id, message, .. } => {
                self.update_answered(id, &message, Some(&sdp), io);
            }
            Owed::Prack { rseq, .. } => self.prack(rseq, Some(&sdp), io),
            Owed::Ack { .. } => {
                if let Some(acked) = &mut self.acked {
                    acked.answer = Some(sdp);
                }
                self.acknowledge(io);
            }
        }
    }

    pub(super) fn refuse_offer(&mut self, status: StatusCode, io: &mut Io<'_, S>) {
        let is_refusal = (400..700).contains(&status.get());
        let status = if is_refusal { status } else { StatusCode::NOT_ACCEPTABLE_HERE };
        let Some(usage) = &mut self.usage else { return };
        match &usage.owed {
            None => {}
            Some(Owed::Reinvite { .. } | Owed::Request { .. }) => self.release_as(status, io),
            // What cannot be answered with no is answered with the end.
            Some(Owed::Prack { .. } | Owed::Ack { .. }) => {
                self.end(By::Us, Cause::sip(status), io);
            }
        }
    }

    pub(super) fn owed_too_long(&mut self, io: &mut Io<'_, S>) {
        let owed = self.usage.as_ref().and_then(|usage| usage.owed.as_ref());
        if owed.is_some_and(|owed| owed.until() <= io.now) {
            self.refuse_offer(StatusCode::SERVER_INTERNAL_ERROR, io);
        }
    }

    /// They cancelled their re-INVITE.
    pub(super) fn offer_withdrawn(&mut self, io: &mut Io<'_, S>) {
        if let Some(usage) = &mut self.usage {
            usage.owed = None;
            usage.exchange.abandon();
            io.tell(Told::OfferWithdrawn);
        }
    }

    /// Refuses what waits for the user, since the call ends: all but a first INVITE.
    pub(super) fn release(&mut self, io: &mut Io<'_, S>) {
        self.release_owed(io);
        if let Some(asked) = self.asked.take() {
            self.refuse(asked.id, &asked.message, StatusCode::REQUEST_TERMINATED, io);
        }
        self.release_refer(io);
    }

    /// The same for the offer that waits alone.
    pub(super) fn release_owed(&mut self, io: &mut Io<'_, S>) {
        self.release_as(StatusCode::REQUEST_TERMINATED, io);
    }

    fn release_as(&mut self, status: StatusCode, io: &mut Io<'_, S>) {
        let Some(usage) = &mut self.usage else { return };
        match usage.owed.take() {
            None => return,
            Some(Owed::Reinvite { .. }) => {
                if let Some(asked) = self.asked.take() {
                    self.refuse(asked.id, &asked.message, status, io);
                }
            }
            Some(Owed::Request { id, message, .. }) => self.refuse(id, &message, status, io),
            Some(Owed::Prack { .. }) => {}
            // The 2xx is repeated until it has an ACK, though it brings no answer.
            Some(Owed::Ack { .. }) => self.acknowledge(io),
        }
        if let Some(usage) = &mut self.usage {
            usage.exchange.abandon();
        }
    }
}
