//! One SMPP session over one connection, either side, without the connection (SMPP 3.4 §2).
//!
//! open ── bind ──▶ binding ── let in ──▶ bound ── unbind ──▶ unbinding ──▶ closed
//!   └──────────────── every state answers enquire_link ───────────────────────┘
//!
//! The owner feeds `step` with bytes, wishes and ticks, obeys the outputs in order, and sleeps
//! until `deadline`. All PDUs of a step leave in one `Transmit`, so one read costs one write. Each
//! tag given to `Submit` comes back exactly once: answered, timed out, refused, or from
//! `into_unanswered` when the session is over. It never blocks, never asks for the time, and never
//! panics on what a peer sends. When it dies nothing is lost but what `into_unanswered` holds.

mod io;
mod receive;

pub use io::{CloseReason, Input, Notice, Output, Role, Settings, Stats};

use std::time::{Duration, Instant};

use crate::frame::{self, Frames};
use crate::pdu::notify::{Alert, Outbind};
use crate::pdu::{bind, multi, response};
use crate::timers::{Due, Timers};
use crate::window::{Window, next_sequence};
use crate::{Bind, BindKind, CommandId, CommandStatus, Message, tlv};

/// The machine. `T` is whatever the owner wants back with each outcome.
#[derive(Debug)]
pub struct Session<T> {
    role: Role,
    settings: Settings,
    state: State,
    frames: Frames,
    timers: Timers,
    window: Window<T>,
    /// The number of the next request of ours.
    sequence: u32,
    /// What the peer said in its bind (SMSC side).
    peer: Option<Bind>,
    peer_name: String,
    peer_version: Option<u8>,
    /// Octets that came behind a bind which is not decided yet.
    held: Vec<u8>,
    /// Requests handed out and not answered yet.
    owed: usize,
    congestion: Option<u8>,
    stats: Stats,
    last_step: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No bind yet; an SMSC waits for one until the deadline.
    Open {
        until: Instant,
    },
    /// ESME: our bind is under way.
    Binding {
        sequence: u32,
        until: Instant,
    },
    /// SMSC: the owner decides on the peer's bind.
    Deciding {
        sequence: u32,
        until: Instant,
    },
    Bound,
    /// SMSC: we are to unbind, once the peer's requests have their answers.
    Leaving {
        until: Instant,
    },
    Unbinding {
        until: Instant,
    },
    /// SMSC: the peer unbound behind requests that still wait for their answers; these go first.
    Parting {
        sequence: u32,
        until: Instant,
    },
    Closed,
}

/// The outputs of one step while it is taken.
struct Step<'o, T> {
    now: Instant,
    out: &'o mut Vec<Output<T>>,
    wire: &'o mut Vec<u8>,
    close: Option<CloseReason>,
}

/// How long a closed session, or one without timers, lets its owner sleep.
const LONG: Duration = Duration::from_secs(3600);

/// How many PDUs' worth of octets may wait behind an undecided bind.
const HELD_PDUS: usize = 4;

impl<T> Session<T> {
    pub fn new(role: Role, settings: Settings, now: Instant) -> Self {
        let Settings { enquire_link, response_timeout, inactivity, .. } = settings;
        Self {
            state: State::Open { until: now + settings.bind_timeout },
            frames: Frames::new(settings.max_pdu),
            timers: Timers::new(enquire_link, response_timeout, inactivity, now),
            window: Window::new(settings.window, response_timeout),
            sequence: 1,
            peer: None,
            peer_name: String::new(),
            peer_version: None,
            held: Vec::new(),
            owed: 0,
            congestion: None,
            stats: Stats::default(),
            last_step: now,
            role,
            settings,
        }
    }

    /// Begins with another sequence number than 1; only before the first step.
    pub fn with_sequence(mut self, first: u32) -> Self {
        self.sequence = io::valid_sequence(first);
        self
    }

    /// Takes one input and appends what follows from it. The last output is `Transmit`, or `Close`
    /// right after it.
    pub fn step(&mut self, now: Instant, input: Input<'_, T>, out: &mut Vec<Output<T>>) {
        let mut wire = Vec::new();
        let close = self.step_into(now, input, out, &mut wire);
        if !wire.is_empty() {
            out.push(Output::Transmit(wire));
        }
        out.extend(close.map(Output::Close));
    }

    /// As `step`, but appends the octets to send to `wire` and gives the reason to close back, for
    /// an owner that gathers the PDUs of many inputs into one write.
    pub fn step_into(
        &mut self,
        now: Instant,
        input: Input<'_, T>,
        out: &mut Vec<Output<T>>,
        wire: &mut Vec<u8>,
    ) -> Option<CloseReason> {
        self.last_step = now;
        if self.state == State::Closed {
            if let Input::Submit { tag, .. } = input {
                out.push(Output::Refused { tag });
            }
            return None;
        }
        let mut step = Step { now, out, wire, close: None };
        match input {
            Input::Connected => self.connected(&mut step),
            Input::Bytes(bytes) => self.bytes(&mut step, bytes),
            Input::Submit { message, tag } => self.submit(&mut step, message, tag),
            Input::Accept => self.accept(&mut step),
            Input::Refuse(status) => self.refuse(&mut step, status),
            Input::Answer { command, sequence, status, message_id } => {
                let tlvs = self.congestion_tlv();
                let wire = &mut *step.wire;
                response::encode_with(wire, command, status, sequence, message_id, &tlvs);
                self.answered(&mut step);
            }
            Input::AnswerAsked { command, sequence, status } => {
                frame::header_only(step.wire, command.response(), status, sequence);
                self.answered(&mut step);
            }
            Input::AnswerQuery { sequence, response } => {
                response.encode(step.wire, sequence);
                self.answered(&mut step);
            }
            Input::AnswerMulti { sequence, status, message_id, unsuccessful } => {
                let (tlvs, told) = (self.congestion_tlv(), (message_id, unsuccessful));
                multi::encode_response_with(step.wire, status, sequence, told, &tlvs);
                self.answered(&mut step);
            }
            Input::Outbind(outbind) => self.outbind(&mut step, outbind),
            Input::Alert(alert) => self.alert(&mut step, alert),
            Input::Unbind => self.unbind(&mut step),
            Input::Tick => self.tick(&mut step),
        }
        if step.close.is_some() {
            self.state = State::Closed;
        }
        step.close
    }

    /// When the next `Tick` is due. A tick that comes early does no harm.
    pub fn deadline(&self) -> Instant {
        let state = match self.state {
            State::Open { until } if self.role == Role::Smsc => Some(until),
            State::Binding { until, .. } | State::Deciding { until, .. } => Some(until),
            State::Leaving { until }
            | State::Unbinding { until }
            | State::Parting { until, .. } => Some(until),
            State::Bound => self.timers.deadline(),
            State::Open { .. } | State::Closed => None,
        };
        let window = if self.state == State::Closed { None } else { self.window.deadline() };
        let next = [state, window].into_iter().flatten().min();
        next.unwrap_or(self.last_step + LONG)
    }

    /// Allows so many of our requests in flight from now on: an SMSC learns who binds only then.
    pub fn set_window(&mut self, window: usize) {
        self.window.set_capacity(window);
    }

    /// SMSC: says with each answer to a submit how busy we are, 0 to 99, if the peer speaks 5.0
    /// (5.0 section 4.8.4.18). `None` says nothing.
    pub fn set_congestion(&mut self, congestion: Option<u8>) {
        self.congestion = congestion.map(|state| state.min(99));
    }

    /// How many messages may be submitted now.
    pub fn room(&self) -> usize {
        if self.state == State::Bound && self.may_send() { self.window.room() } else { 0 }
    }

    /// Our messages that wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// The peer's messages that wait for our answer.
    pub fn owed(&self) -> usize {
        self.owed
    }

    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The bind of this session: ours, or the peer's once it asked.
    pub fn bind(&self) -> Option<&Bind> {
        match &self.role {
            Role::Esme(bind) => Some(bind),
            Role::Smsc => self.peer.as_ref(),
        }
    }

    /// The peer's system id: from its bind, or from the response to ours (may be empty).
    pub fn peer_name(&self) -> &str {
        &self.peer_name
    }

    /// The peer's SMPP version, when it told one. Below 0x34 it must not be sent TLVs.
    pub fn peer_version(&self) -> Option<u8> {
        self.peer_version
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The tags of what was sent and never answered, in sending order.
    pub fn into_unanswered(self) -> Vec<T> {
        self.window.into_tags()
    }

    fn connected(&mut self, step: &mut Step<'_, T>) {
        let until = step.now + self.settings.bind_timeout;
        if !matches!(self.state, State::Open { .. }) {
            return;
        }
        self.state = State::Open { until };
        let Role::Esme(bind) = &self.role else { return };
        let sequence = self.sequence;
        bind.encode(step.wire, sequence);
        self.sequence = next_sequence(sequence);
        self.stats.pdus_sent += 1;
        self.state = State::Binding { sequence, until };
    }

    fn submit(&mut self, step: &mut Step<'_, T>, message: &Message, tag: T) {
        if self.room() == 0 {
            return step.out.push(Output::Refused { tag });
        }
        let (sequence, start) = (self.sequence, step.wire.len());
        if message.encode(step.wire, sequence).is_err() {
            return step.out.push(Output::Refused { tag });
        }
        self.sequence = next_sequence(sequence);
        match self.window.insert(sequence, step.now, tag) {
            Ok(()) => self.stats.pdus_sent += 1,
            Err(tag) => {
                step.wire.truncate(start);
                step.out.push(Output::Refused { tag });
            }
        }
    }

    fn accept(&mut self, step: &mut Step<'_, T>) {
        let State::Deciding { sequence, .. } = self.state else {
            return;
        };
        let Some(bind) = &self.peer else { return };
        // The version is a TLV, and peers before 3.4 know none.
        let ours = if bind.speaks_50() { bind::VERSION_50 } else { bind::VERSION_34 };
        let version = bind.takes_tlvs().then_some(ours);
        let (kind, name) = (bind.kind, &bind.system_id);
        bind::encode_response(step.wire, kind, CommandStatus::OK, sequence, name, version);
        self.stats.pdus_sent += 1;
        self.become_bound(step);
        let held = std::mem::take(&mut self.held);
        self.bytes(step, &held);
    }

    /// Calls the ESME on the line that we opened (SMPP 3.4 §2.2.1): it has the time of a bind.
    fn outbind(&mut self, step: &mut Step<'_, T>, outbind: &Outbind) {
        if self.role == Role::Smsc && matches!(self.state, State::Open { .. }) {
            outbind.encode(step.wire, self.sequence);
            self.sequence = next_sequence(self.sequence);
            self.stats.pdus_sent += 1;
        }
    }

    /// Has no response, so it takes no place in the window.
    fn alert(&mut self, step: &mut Step<'_, T>, alert: &Alert) {
        let receives = self.bind().is_some_and(|bind| bind.kind.receives());
        if self.role == Role::Smsc && self.state == State::Bound && receives {
            alert.encode(step.wire, self.sequence);
            self.sequence = next_sequence(self.sequence);
            self.stats.pdus_sent += 1;
        }
    }

    fn congestion_tlv(&self) -> Vec<u8> {
        let speaks = self.role == Role::Smsc && self.bind().is_some_and(Bind::speaks_50);
        let mut out = Vec::new();
        if let Some(state) = self.congestion.filter(|_| speaks) {
            tlv::write(&mut out, tlv::CONGESTION_STATE, &[state]);
        }
        out
    }

    /// One of the peer's requests has its answer. The last one lets a parting peer go.
    fn answered(&mut self, step: &mut Step<'_, T>) {
        self.owed = self.owed.saturating_sub(1);
        self.stats.pdus_sent += 1;
        if let State::Parting { sequence, .. } = self.state
            && self.owed == 0
        {
            let command = CommandId::UNBIND.response();
            frame::header_only(step.wire, command, CommandStatus::OK, sequence);
            self.stats.pdus_sent += 1;
            step.close = Some(CloseReason::PeerUnbound);
        }
        if matches!(self.state, State::Leaving { .. }) && self.owed == 0 {
            self.say_goodbye(step);
        }
    }

    fn refuse(&mut self, step: &mut Step<'_, T>, status: CommandStatus) {
        let State::Deciding { sequence, .. } = self.state else {
            return;
        };
        let kind = self.peer.as_ref().map_or(BindKind::Transceiver, |bind| bind.kind);
        let status = if status.is_ok() { CommandStatus::BINDFAIL } else { status };
        bind::encode_response(step.wire, kind, status, sequence, "", None);
        self.stats.pdus_sent += 1;
        step.close = Some(CloseReason::Refused);
    }

    fn become_bound(&mut self, step: &mut Step<'_, T>) {
        self.state = State::Bound;
        self.timers.heard(step.now);
        step.out.push(Output::Bound);
    }

    fn unbind(&mut self, step: &mut Step<'_, T>) {
        match self.state {
            State::Bound if self.owed > 0 && self.role == Role::Smsc => {
                self.state = State::Leaving { until: step.now + self.settings.response_timeout };
            }
            State::Bound => self.say_goodbye(step),
            State::Leaving { .. }
            | State::Unbinding { .. }
            | State::Parting { .. }
            | State::Closed => {}
            State::Open { .. } | State::Binding { .. } | State::Deciding { .. } => {
                step.close = Some(CloseReason::Unbound);
            }
        }
    }

    fn say_goodbye(&mut self, step: &mut Step<'_, T>) {
        self.request(step, CommandId::UNBIND);
        self.state = State::Unbinding { until: step.now + self.settings.response_timeout };
    }

    fn tick(&mut self, step: &mut Step<'_, T>) {
        while let Some((_, tag)) = self.window.expire(step.now) {
            step.out.push(Output::TimedOut { tag });
        }
        match self.state {
            State::Open { until } if self.role == Role::Smsc && step.now >= until => {
                step.close = Some(CloseReason::BindTimeout);
            }
            State::Binding { until, .. } if step.now >= until => {
                step.close = Some(CloseReason::BindTimeout);
            }
            State::Deciding { until, .. } if step.now >= until => {
                self.refuse(step, CommandStatus::SYSERR);
                step.close = Some(CloseReason::BindTimeout);
            }
            State::Leaving { until } if step.now >= until => self.say_goodbye(step),
            State::Unbinding { until } if step.now >= until => {
                step.close = Some(CloseReason::UnbindTimeout);
            }
            State::Parting { until, .. } if step.now >= until => {
                step.close = Some(CloseReason::PeerUnbound);
            }
            State::Bound => match self.timers.tick(step.now) {
                Some(Due::Enquire) => {
                    self.stats.enquiries += 1;
                    self.request(step, CommandId::ENQUIRE_LINK);
                }
                Some(Due::Dead) => step.close = Some(CloseReason::EnquireTimeout),
                Some(Due::Inactive) => step.close = Some(CloseReason::Inactive),
                None => {}
            },
            _ => {}
        }
    }

    /// Sends a request that has no body.
    fn request(&mut self, step: &mut Step<'_, T>, command: CommandId) {
        frame::header_only(step.wire, command, CommandStatus::OK, self.sequence);
        self.sequence = next_sequence(self.sequence);
        self.stats.pdus_sent += 1;
    }

    /// Whether our side may send messages on this kind of bind.
    fn may_send(&self) -> bool {
        match (&self.role, self.bind()) {
            (Role::Esme(bind), _) => bind.kind.transmits(),
            (Role::Smsc, Some(bind)) => bind.kind.receives(),
            (Role::Smsc, None) => false,
        }
    }
}

#[cfg(test)]
mod served;
#[cfg(test)]
mod tests;
