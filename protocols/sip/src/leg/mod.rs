//! One call of one peer, from INVITE to BYE: an INVITE usage (RFC 3261 §13 to §15), as the end that
//! asks or the end that is asked. No media, no routing, no transactions, no clock.
//!
//! command    inputs and commands in, orders and what the user is told out
//! settings   what legs have in common; headers that a command adds
//! uas        their INVITE: ringing, answering, refusing, CANCEL
//! reliable   provisional answers that are acknowledged, of both sides (RFC 3262)
//! confirm    a 2xx of ours, until its ACK
//! uac        our INVITE: what is answered to it, CANCEL and its races
//! forks      the branches of our INVITE, and 2xx that come too late
//! offer      offers in the dialog, both ways: re-INVITE and UPDATE, glare (RFC 3264, 3311, 6337)
//! timer      how long a session lasts, and who refreshes it (RFC 4028)
//! within     all other requests in the dialog
//! refer      transfers and reports of them (RFC 3515, RFC 4488)
//! sent       requests of ours until their final answer; challenges
//! cause      why a call ends (RFC 3326)
//!
//! The user steps a leg with what happens and obeys what it orders. It is told the end of a call once,
//! as `Redirected`, `Failed` or `Ended`, and after that nothing but that the BYE wants credentials.
//! The leg lives on until the wire is quiet, which takes no longer than a few times 32 seconds; then
//! `is_over`. What is left for a leg that is gone: a 2xx to its INVITE, for which `stray` gives the
//! ACK and the BYE, and requests, which get 481.

mod body;
mod cause;
mod chance;
mod command;
mod confirm;
mod forks;
mod offer;
mod refer;
mod reliable;
mod sent;
mod settings;
mod timer;
mod uac;
mod uas;
mod within;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

pub use cause::Cause;
pub use command::{
    By, Challenged, Command, Failure, Input, Loss, Output, Refer, Referred, Tag, Told,
};
pub use forks::{Stray, stray};
pub use sent::{Credentials, credentials};
pub use settings::{Extra, Settings};
pub use uac::Outgoing;
pub use uas::Incoming;

use crate::header::Replaces;
use crate::message::Answer;
use crate::sdp::{Body, Exchange};
use crate::{Builder, Message, Method, Name, StatusCode, dialog};
use chance::Chance;
use confirm::Confirming;
use dialog::Dialog;
use offer::{Offers, Owed};
use refer::Refers;
use reliable::Asked;
use sent::Sent;
use timer::Session;
use uac::{Acked, Placed};

/// How a request that came is marked, for its answer.
pub trait Mark: Copy + PartialEq + Debug {}

impl<S: Copy + PartialEq + Debug> Mark for S {}

/// One INVITE usage.
#[derive(Debug)]
pub struct Leg<S> {
    settings: Arc<Settings>,
    call_id: Bytes,
    /// Our tag.
    tag: Box<str>,
    /// The value of our Contact.
    contact: Box<str>,
    state: State,
    /// We placed the call: ours is the longer back-off after a glare.
    is_caller: bool,
    usage: Option<Usage<S>>,
    /// Our first INVITE.
    placed: Option<Box<Placed<S>>>,
    /// An INVITE of theirs without a final answer.
    asked: Option<Box<Asked<S>>>,
    /// A 2xx of ours without an ACK.
    confirming: Option<Confirming<S>>,
    /// The last INVITE of ours that was answered 2xx.
    acked: Option<Acked>,
    sent: Vec<Sent>,
    session: Option<Session>,
    offers: Offers,
    refers: Refers<S>,
    /// Whether their Allow names UPDATE.
    takes_update: bool,
    /// A provisional answer that a final one overtook, for its PRACK.
    pracked: Option<u32>,
    /// A BYE that waits for the ACK of our 2xx.
    bye: Option<Cause>,
    /// When the wire is quiet, whatever is still open.
    give_up: Option<Instant>,
    next_tag: u32,
    chance: Chance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Our INVITE has no final answer.
    Calling,
    /// Their INVITE has no final answer.
    Ringing,
    Up,
    /// The user knows that it is over.
    Ended,
}

/// A dialog of the leg, and what is offered and answered in it. While our INVITE has several
/// branches, the one that spoke last.
#[derive(Debug)]
struct Usage<S> {
    fork: u16,
    dialog: Dialog,
    exchange: Exchange<Body>,
    /// An answer that the user owes, and where it goes.
    owed: Option<Owed<S>>,
    /// The last reliable provisional answer that came.
    rseq: Option<u32>,
    /// The description of a provisional answer that was not reliable.
    preview: Option<Body>,
}

impl<S> Usage<S> {
    /// Whether the offer of the INVITE has no answer; one in an UPDATE or PRACK is answered there.
    fn owes_first_answer(&self) -> bool {
        self.exchange.owes_answer() && self.owed.is_none()
    }
}

/// The moment, and where orders go.
struct Io<'a, S> {
    now: Instant,
    out: &'a mut Vec<Output<S>>,
}

impl<S: Mark> Io<'_, S> {
    fn tell(&mut self, told: Told) {
        self.out.push(Output::Told(told));
    }

    fn respond(&mut self, id: S, octets: Bytes) {
        self.out.push(Output::Respond { id, octets });
    }
}

impl<S: Mark> Leg<S> {
    fn new(names: Names, state: State) -> Self {
        let Names { settings, call_id, tag, contact, seed } = names;
        Self {
            settings,
            call_id,
            tag: tag.into(),
            contact: contact.into(),
            state,
            is_caller: state == State::Calling,
            usage: None,
            placed: None,
            asked: None,
            confirming: None,
            acked: None,
            sent: Vec::new(),
            session: None,
            offers: Offers::default(),
            refers: Refers::default(),
            takes_update: false,
            pracked: None,
            bye: None,
            give_up: None,
            next_tag: 1,
            chance: Chance::new(seed),
        }
    }

    /// Takes what happened; orders are appended in their order.
    pub fn step(&mut self, now: Instant, input: Input<S>, out: &mut Vec<Output<S>>) {
        let io = &mut Io { now, out };
        match input {
            Input::Request { id, message } => self.requested(id, message, io),
            Input::Ack(message) => self.acknowledged(&message, io),
            Input::Cancelled { invite, cause } => self.cancelled(invite, cause, io),
            Input::Response { tag, message } => self.responded(tag, &message, io),
            Input::Failed { tag, why } => self.unanswered(tag, why, io),
            Input::Command(command) => self.commanded(command, io),
            Input::Tick => {}
        }
        self.tick(io);
    }

    fn commanded(&mut self, command: Command, io: &mut Io<'_, S>) {
        match command {
            Command::Ring { status, sdp, reliable, extra } => {
                self.ring(uas::Ring { status, sdp, reliable, extra }, io);
            }
            Command::Answer { sdp, extra } => self.answer(sdp, extra, io),
            Command::Reject { status, cause, extra } => self.reject(status, cause, &extra, io),
            Command::End { cause } => self.end(By::Us, cause, io),
            Command::Offer { sdp } => self.offers.want(sdp),
            Command::AnswerOffer { sdp } => self.answer_offer(sdp, io),
            Command::RefuseOffer { status } => self.refuse_offer(status, io),
            Command::Authorize { tag, header, value } => self.authorize(tag, header, &value, io),
            Command::Unauthorized { tag } => self.unauthorized(tag, io),
            Command::Refer(refer) => self.refer(&refer, io),
            Command::AnswerRefer { status } => self.answer_refer(status, io),
            Command::NotifyRefer { status } => self.refers.report(status),
            Command::Info { content_type, body } => self.info(&content_type, &body, io),
        }
    }

    /// What time has brought, and what had to wait until now.
    fn tick(&mut self, io: &mut Io<'_, S>) {
        self.repeat_provisional(io);
        self.repeat_success(io);
        self.session_due(io);
        self.owed_too_long(io);
        self.challenged_too_long(io);
        self.next_offer(io);
        self.next_report(io);
        if self.give_up.is_some_and(|at| at <= io.now) {
            self.forget();
        }
    }

    /// When the next `Tick` is due.
    pub fn deadline(&self) -> Option<Instant> {
        let provisional = self.asked.as_ref().and_then(|asked| asked.deadline());
        let success = self.confirming.as_ref().map(Confirming::deadline);
        let session = self.session.as_ref().map(Session::deadline);
        let session = session.filter(|_| self.state == State::Up);
        let owed = self.usage.as_ref().and_then(|usage| usage.owed.as_ref()).map(Owed::until);
        let challenged = self.sent.iter().filter_map(|sent| sent.challenged_until).min();
        let others = [self.offers.retry_at(), self.refers.deadline(), self.give_up];
        let known = [provisional, success, session, owed, challenged];
        known.into_iter().chain(others).flatten().min()
    }

    /// Whether the leg can be dropped: the call has ended, and the wire is quiet.
    pub fn is_over(&self) -> bool {
        self.state == State::Ended
            && self.sent.is_empty()
            && self.confirming.is_none()
            && self.asked.is_none()
    }

    pub fn call_id(&self) -> &Bytes {
        &self.call_id
    }

    /// Our tag, which all requests to this leg have in To.
    pub fn local_tag(&self) -> &str {
        &self.tag
    }

    /// The dialog of the leg; while it rings, that of the branch which spoke last.
    pub fn dialog(&self) -> Option<&Dialog> {
        self.usage.as_ref().map(|usage| &usage.dialog)
    }

    /// What we said last of what is agreed, and what they said.
    pub fn agreed(&self) -> Option<(&Body, &Body)> {
        let exchange = &self.usage.as_ref()?.exchange;
        Some((exchange.ours()?, exchange.theirs()?))
    }

    /// Whether a new call may take the place of this one, or the status that refuses it, RFC 3891 §3.
    pub fn replaced_by(&self, replaces: &Replaces) -> Result<(), StatusCode> {
        let is_named = self.dialog().is_some_and(|dialog| dialog.id().is_named_by(replaces));
        match self.state {
            _ if !is_named => Err(StatusCode::CALL_DOES_NOT_EXIST),
            State::Up if replaces.early_only => Err(StatusCode::BUSY_HERE),
            State::Up | State::Calling => Ok(()),
            // Who is called cannot be picked up by the caller's other device.
            State::Ringing => Err(StatusCode::CALL_DOES_NOT_EXIST),
            State::Ended => Err(StatusCode::DECLINE),
        }
    }

    /// The user is told the end, if it was not told before.
    fn told_last(&mut self, told: Told, io: &mut Io<'_, S>) {
        if self.state != State::Ended {
            self.state = State::Ended;
            self.offers = Offers::default();
            self.give_up = Some(io.now + self.settings.patience() + self.settings.t2);
            io.tell(told);
        }
    }

    /// Ends the call by what ends it now.
    fn end(&mut self, by: By, cause: Cause, io: &mut Io<'_, S>) {
        match self.state {
            State::Ended => {}
            State::Ringing => {
                let given = cause.sip.and_then(StatusCode::new).filter(|status| {
                    !status.is_provisional() && !status.is_success() && status.get() >= 400
                });
                let status = given.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE);
                self.reject_as(by, status, cause, &Extra::default(), io);
            }
            State::Calling => self.cancel(by, cause, io),
            State::Up => self.bye(by, cause, io),
        }
    }

    /// Nothing more is waited for.
    fn forget(&mut self) {
        self.sent.clear();
        self.asked = None;
        self.confirming = None;
        self.bye = None;
        self.give_up = None;
    }

    /// Begins an answer to a request, with our tag.
    fn answer_to(&self, request: &Message, status: StatusCode) -> Builder {
        let answer = Answer { tag: Some(&self.tag), ..Answer::default() };
        let mut builder = Builder::answer(request, status, answer);
        self.settings.write_agent(Name::Server, &mut builder);
        builder
    }

    /// Answers a request with a status and no more.
    fn refuse(&self, id: S, request: &Message, status: StatusCode, io: &mut Io<'_, S>) {
        self.refuse_with(id, request, status, |_| {}, io);
    }

    fn refuse_with(
        &self,
        id: S,
        request: &Message,
        status: StatusCode,
        add: impl FnOnce(&mut Builder),
        io: &mut Io<'_, S>,
    ) {
        let mut builder = self.answer_to(request, status);
        add(&mut builder);
        io.respond(id, self.finished(builder, None, request));
    }

    /// The answer with its body. What cannot be written is a 500.
    fn finished(&self, builder: Builder, sdp: Option<&Body>, request: &Message) -> Bytes {
        let written = write(builder, sdp);
        written.unwrap_or_else(|| {
            let answer = Answer { tag: Some(&self.tag), ..Answer::default() };
            let plain = Builder::answer(request, StatusCode::SERVER_INTERNAL_ERROR, answer);
            plain.finish().unwrap_or_default()
        })
    }
}

/// Names of a leg, and what all legs begin with.
struct Names {
    settings: Arc<Settings>,
    call_id: Bytes,
    tag: String,
    contact: String,
    seed: u64,
}

fn write(builder: Builder, sdp: Option<&Body>) -> Option<Bytes> {
    let written = match sdp {
        Some(sdp) => builder.body("application/sdp", sdp.as_bytes()),
        None => builder.finish(),
    };
    written.ok()
}

/// Options that a request requires and a leg does not know, as Unsupported says them.
fn unsupported(request: &Message) -> Option<Vec<u8>> {
    let known = ["100rel", "timer", "replaces", "norefersub"];
    let mut unknown = Vec::new();
    for option in request.tokens(Name::Require) {
        if !known.iter().any(|known| option.eq_ignore_ascii_case(known.as_bytes())) {
            if !unknown.is_empty() {
                unknown.extend_from_slice(b", ");
            }
            unknown.extend_from_slice(&option);
        }
    }
    (!unknown.is_empty()).then_some(unknown)
}

/// Whether a message says that its sender takes UPDATE; `None` if it says nothing of it.
fn allows_update(message: &Message) -> Option<bool> {
    message.allows(&Method::Update)
}

#[cfg(test)]
mod tests;
