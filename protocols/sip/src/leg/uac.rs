//! Our INVITE: what is answered to it, and how it is taken back. RFC 3261 §13.2 and §9.1.
//!
//! The first 2xx wins. A 2xx that crosses our CANCEL is acknowledged and hung up. A 3xx, and any other
//! refusal, is told and ends the leg; 401 and 407 are told and wait for credentials; after 422 the
//! INVITE is sent again with the session that is asked for, as long as that grows, twice at most. What
//! a callee makes us acknowledge before it answers has bounds too.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::offer::Owed;
use super::sent::{Credentials, Final, Sent, What};
use super::settings::{ALLOW, SUPPORTED_UNOFFERED};
use super::{
    By, Cause, Extra, Failure, Io, Leg, Mark, Names, Output, Session, Settings, State, Told, Usage,
    allows_update, body, timer, write,
};
use crate::header::{Contact, RetryAfter};
use crate::message::Text;
use crate::sdp::Body;
use crate::{Builder, Message, Method, Name, Start, StatusCode};

/// URIs of a redirection that are told.
const CONTACTS_MAX: usize = 16;
/// PRACKs under way: a provisional answer that would make one more is passed over, and comes again.
const PRACKS_MAX: usize = 8;
/// Reliable provisional answers that one call may have before it is answered.
const RELIABLE_MAX: u8 = 64;

/// An INVITE that begins a leg.
#[derive(Debug)]
pub struct Outgoing {
    pub settings: Arc<Settings>,
    pub call_id: String,
    /// Our tag: no other leg has it, and nobody can guess it.
    pub tag: String,
    /// The value of our Contact, as the peer reaches us.
    pub contact: String,
    pub seed: u64,
    /// The Request-URI.
    pub uri: String,
    /// The value of From, without a tag.
    pub from: String,
    pub to: String,
    /// URIs to pass first, loosely.
    pub routes: Vec<String>,
    pub max_forwards: u8,
    /// Our offer; without one the 200 has theirs.
    pub sdp: Option<Body>,
    pub extra: Extra,
}

/// Our first INVITE, for as long as answers to it may come.
#[derive(Debug)]
pub(super) struct Placed<S> {
    seq: u32,
    pub(super) uri: Bytes,
    /// The value of From, with our tag.
    pub(super) from: Bytes,
    pub(super) offer: Option<Body>,
    /// What was asked for, in seconds.
    session_s: u32,
    /// The other branches.
    pub(super) others: Vec<Usage<S>>,
    pub(super) forks: u16,
    /// Reliable provisional answers that were taken, of all branches.
    reliable: u8,
    /// Tags of branches whose 2xx came too late, and that were hung up.
    pub(super) dismissed: Vec<Bytes>,
}

impl<S> Placed<S> {
    pub(super) fn next_seq(&mut self) -> u32 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn is_answered_by(&self, response: &Message) -> bool {
        response.cseq().is_ok_and(|cseq| cseq.number == self.seq && cseq.method == Method::Invite)
    }
}

/// An INVITE of ours that was answered 2xx: each time that comes, the ACK goes again.
#[derive(Debug)]
pub(super) struct Acked {
    pub(super) seq: u32,
    /// Our answer, when the 2xx had the offer.
    pub(super) answer: Option<Body>,
    credentials: Option<Credentials>,
    /// The answer is still to come, and the ACK with it.
    pub(super) waits: bool,
}

impl<S: Mark> Leg<S> {
    /// Begins a leg with an INVITE of ours.
    pub fn outgoing(now: Instant, outgoing: Outgoing, out: &mut Vec<Output<S>>) -> Self {
        let built = invite(&outgoing);
        let io = &mut Io { now, out };
        let Outgoing { settings, call_id, tag, contact, seed, uri, from, mut routes, sdp, .. } =
            outgoing;
        let from = Bytes::from(format!("{from};tag={tag}"));
        let session_s = settings.session_s;
        let names = Names { settings, call_id: call_id.into(), tag, contact, seed };
        let mut leg = Self::new(names, State::Calling);
        let target = if routes.is_empty() { uri.clone() } else { routes.swap_remove(0) };
        leg.placed = Some(Box::new(Placed {
            seq: FIRST_SEQ,
            uri: uri.into(),
            from,
            offer: sdp,
            session_s,
            others: Vec::new(),
            forks: 0,
            reliable: 0,
            dismissed: Vec::new(),
        }));
        match built {
            Some(octets) => leg.send(What::Invite, FIRST_SEQ, octets, target.into(), io),
            None => leg.failed(StatusCode::SERVER_INTERNAL_ERROR, None, io),
        }
        leg
    }

    pub(super) fn provisional(
        &mut self,
        status: StatusCode,
        message: &Message,
        io: &mut Io<'_, S>,
    ) {
        let is_ours = self.placed.as_ref().is_some_and(|placed| placed.is_answered_by(message));
        if self.state != State::Calling || status == StatusCode::TRYING || !is_ours {
            return;
        }
        if status == StatusCode::EARLY_DIALOG_TERMINATED {
            self.branch_ended(message, io);
            return;
        }
        if !self.enter_branch(message) {
            return;
        }
        if let Some(may) = allows_update(message) {
            self.takes_update = may;
        }
        let Some(usage) = &mut self.usage else { return };
        let fork = usage.fork;
        let is_reliable = message.has_token(Name::Require, "100rel");
        let sdp = body::offered(message);
        if !is_reliable {
            usage.preview = sdp.clone().or(usage.preview.take());
            io.tell(Told::Ringing { fork, status, sdp });
        } else if let Some(sdp) = self.reliable_came(message, sdp, io) {
            io.tell(Told::Ringing { fork, status, sdp });
        }
    }

    /// Takes a reliable provisional answer: `None` if it came before, out of turn or too often.
    fn reliable_came(
        &mut self,
        message: &Message,
        sdp: Option<Body>,
        io: &mut Io<'_, S>,
    ) -> Option<Option<Body>> {
        use crate::header::RSeq;
        let RSeq(rseq) = message.value(Name::RSeq).ok().flatten()?;
        let pracks = self.count_sent(What::Prack);
        let (usage, placed) = (self.usage.as_mut()?, self.placed.as_mut()?);
        let is_next = usage.rseq.is_none_or(|last| last.checked_add(1) == Some(rseq));
        if !is_next || pracks >= PRACKS_MAX {
            return None;
        }
        if placed.reliable >= RELIABLE_MAX {
            self.cancel(By::Protocol, Cause::default(), io);
            return None;
        }
        placed.reliable += 1;
        usage.rseq = Some(rseq);
        usage.dialog.refresh(message);
        let exchange = &mut usage.exchange;
        let Some(sdp) = sdp else {
            self.prack(rseq, None, io);
            return Some(None);
        };
        if exchange.awaits_answer() {
            let taken = exchange.answer_received(sdp.clone()).is_ok();
            self.prack(rseq, None, io);
            return Some(taken.then_some(sdp));
        }
        // Without an offer of ours this is theirs, and the PRACK has the answer.
        if exchange.ours().is_none() && exchange.offer_received(sdp.clone()).is_ok() {
            let until = io.now + self.settings.owed_for();
            usage.owed = Some(Owed::Prack { rseq, until });
            io.tell(Told::Offered { sdp: Some(sdp) });
            return Some(None);
        }
        self.prack(rseq, None, io);
        Some(None)
    }

    /// Acknowledges a provisional answer of the branch that spoke last.
    pub(super) fn prack(&mut self, rseq: u32, sdp: Option<&Body>, io: &mut Io<'_, S>) {
        let (Some(usage), Some(placed)) = (&mut self.usage, &self.placed) else { return };
        let (seq, mut builder) = usage.dialog.request(&Method::Prack);
        let mut rack = Vec::with_capacity(32);
        rseq.write_to(&mut rack);
        rack.push(b' ');
        placed.seq.write_to(&mut rack);
        rack.extend_from_slice(b" INVITE");
        builder.header(Name::RAck, &rack[..]);
        let target = usage.dialog.next_hop();
        if let Some(octets) = write(builder, sdp) {
            self.send(What::Prack, seq, octets, target, io);
        }
    }

    pub(super) fn invite_answered(&mut self, mut sent: Sent, end: Final<'_>, io: &mut Io<'_, S>) {
        if let (true, Some(message)) = (end.status.is_success(), end.message) {
            if self.state == State::Calling {
                self.connected(sent, message, io);
            } else {
                self.dismiss(message, io);
            }
            return;
        }
        if self.state != State::Calling {
            return;
        }
        if let Some(placed) = &mut self.placed
            && let Some(longer) = sent.longer(end, placed.session_s)
        {
            placed.session_s = longer;
            placed.others.clear();
            self.usage = None;
            let value = longer.to_string();
            let value = value.as_bytes();
            self.send_again(sent, &[(Name::SessionExpires, value), (Name::MinSe, value)], io);
            return;
        }
        self.failed(end.status, end.message, io);
    }

    fn failed(&mut self, status: StatusCode, message: Option<&Message>, io: &mut Io<'_, S>) {
        self.usage = None;
        let told = match message {
            Some(message) if (300..400).contains(&status.get()) => {
                Told::Redirected { status, contacts: contacts(message) }
            }
            _ => Told::Failed(Box::new(failure(status, message))),
        };
        self.told_last(told, io);
        self.drop_sent();
    }

    /// The first 2xx.
    fn connected(&mut self, sent: Sent, message: &Message, io: &mut Io<'_, S>) {
        if !self.enter_branch(message) {
            // It names no branch, but wants its ACK.
            self.dismiss(message, io);
            self.failed(StatusCode::SERVER_INTERNAL_ERROR, None, io);
            return;
        }
        let (Some(usage), Some(placed)) = (&mut self.usage, &mut self.placed) else { return };
        // A 2xx that names no way is reached as the branch was.
        usage.dialog.confirm(message, &placed.from).ok();
        placed.others = Vec::new();
        self.state = State::Up;
        self.takes_update = allows_update(message).unwrap_or(self.takes_update);
        self.session = Session::of_response(message, io.now);
        let (seq, credentials) = (sent.seq, sent.credentials);
        self.acked = Some(Acked { seq, answer: None, credentials, waits: false });
        let fork = usage.fork;
        let exchange = &mut usage.exchange;
        let sdp = body::offered(message);
        if exchange.awaits_answer() && exchange.ours().is_none() {
            let answer = sdp.or(usage.preview.take());
            let taken = answer.filter(|sdp| exchange.answer_received(sdp.clone()).is_ok());
            self.acknowledge(io);
            self.told_answered(fork, taken, io);
        } else if let Some(theirs) = exchange.theirs() {
            let sdp = Some(theirs.clone());
            self.acknowledge(io);
            self.told_answered(fork, sdp, io);
        } else if let Some(offer) = sdp.filter(|sdp| exchange.offer_received(sdp.clone()).is_ok()) {
            usage.owed = Some(Owed::Ack { until: io.now + self.settings.owed_for() });
            if let Some(acked) = &mut self.acked {
                acked.waits = true;
            }
            io.tell(Told::Answered { fork, sdp: Some(offer), is_offer: true });
        } else {
            self.acknowledge(io);
            self.told_answered(fork, None, io);
        }
    }

    fn told_answered(&mut self, fork: u16, sdp: Option<Body>, io: &mut Io<'_, S>) {
        if sdp.is_some() {
            io.tell(Told::Answered { fork, sdp, is_offer: false });
            return;
        }
        // A call without anything to speak over is none.
        let status = StatusCode::NOT_ACCEPTABLE_HERE;
        self.release(io);
        self.told_last(Told::Failed(Box::new(failure(status, None))), io);
        self.drop_sent();
        self.send_bye(&Cause::sip(status), io);
    }

    /// Sends the ACK of the last INVITE that was answered 2xx, each time it is.
    pub(super) fn acknowledge(&mut self, io: &mut Io<'_, S>) {
        let (Some(acked), Some(usage)) = (&mut self.acked, &self.usage) else { return };
        acked.waits = false;
        let mut builder = usage.dialog.ack(acked.seq);
        if let Some(credentials) = &acked.credentials {
            builder.header(credentials.header, &credentials.value[..]);
        }
        if let Some(octets) = write(builder, acked.answer.as_ref()) {
            io.out.push(Output::Ack { octets, target: usage.dialog.next_hop() });
        }
    }

    pub(super) fn reinvite_acked(&mut self, sent: &Sent, io: &mut Io<'_, S>) {
        let credentials = sent.credentials.clone();
        self.acked = Some(Acked { seq: sent.seq, answer: None, credentials, waits: false });
        self.acknowledge(io);
    }

    /// Takes the INVITE back.
    pub(super) fn cancel(&mut self, by: By, cause: Cause, io: &mut Io<'_, S>) {
        let mut invites = self.sent.iter().filter(|sent| sent.what == What::Invite);
        match invites.next() {
            Some(sent) if sent.challenged_until.is_none() => {
                io.out.push(Output::Cancel { tag: sent.tag, cause: cause.clone() });
            }
            _ => self.sent.retain(|sent| sent.what != What::Invite),
        }
        self.release_owed(io);
        self.drop_sent();
        self.told_last(Told::Ended { by, cause }, io);
    }

    /// Hangs up. While our 2xx has no ACK the BYE waits for it, RFC 3261 §15.
    pub(super) fn bye(&mut self, by: By, cause: Cause, io: &mut Io<'_, S>) {
        self.release(io);
        self.drop_sent();
        self.told_last(Told::Ended { by, cause: cause.clone() }, io);
        if self.confirming.is_some() {
            self.bye = Some(cause);
        } else {
            self.send_bye(&cause, io);
        }
    }

    pub(super) fn send_bye(&mut self, cause: &Cause, io: &mut Io<'_, S>) {
        let Some(usage) = &mut self.usage else { return };
        let (seq, mut builder) = usage.dialog.request(&Method::Bye);
        self.settings.write_agent(Name::UserAgent, &mut builder);
        cause.write(&mut builder);
        let target = usage.dialog.next_hop();
        self.give_up = Some(io.now + self.settings.patience() + self.settings.t2);
        if let Some(octets) = write(builder, None) {
            self.send(What::Bye, seq, octets, target, io);
        }
    }
}

/// The number of the first INVITE.
const FIRST_SEQ: u32 = 1;

fn invite(outgoing: &Outgoing) -> Option<Bytes> {
    let settings = &*outgoing.settings;
    let mut builder = Builder::request(&Method::Invite, &outgoing.uri[..]);
    builder.header(Name::MaxForwards, &outgoing.max_forwards);
    for route in &outgoing.routes {
        builder.header(Name::Route, &format!("<{route}>")[..]);
    }
    builder.header(Name::From, &format!("{};tag={}", outgoing.from, outgoing.tag)[..]);
    builder.header(Name::To, &outgoing.to[..]).header(Name::CallId, &outgoing.call_id[..]);
    builder.header(Name::CSeq, "1 INVITE").header(Name::Contact, &outgoing.contact[..]);
    match outgoing.sdp {
        Some(_) => settings.write_abilities(&mut builder),
        None => {
            builder.header(Name::Allow, ALLOW).header(Name::Supported, SUPPORTED_UNOFFERED);
        }
    }
    timer::write_wish(settings.session_s, settings, &mut builder);
    settings.write_agent(Name::UserAgent, &mut builder);
    outgoing.extra.write(&mut builder);
    write(builder, outgoing.sdp.as_ref())
}

/// The URIs of a redirection, those that are preferred first.
fn contacts(message: &Message) -> Vec<Bytes> {
    let mut all: Vec<(u16, Bytes)> = Vec::new();
    for contact in message.contacts().take(CONTACTS_MAX) {
        if let Ok(Contact::Address(address)) = contact {
            all.push((address.q(), Bytes::copy_from_slice(address.uri.as_bytes())));
        }
    }
    all.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    all.into_iter().map(|(_, uri)| uri).collect()
}

fn failure(status: StatusCode, message: Option<&Message>) -> Failure {
    let words = match message.map(Message::start) {
        Some(Start::Response { reason, .. }) => Bytes::copy_from_slice(reason),
        _ => Bytes::from_static(status.reason().as_bytes()),
    };
    let retry: Option<RetryAfter> =
        message.and_then(|message| message.value(Name::RetryAfter).ok().flatten());
    let cause = message.map(Cause::of).unwrap_or_default();
    Failure { status, words, cause, retry_after_s: retry.map(|retry| retry.seconds) }
}
