//! The sandbox's side of one bind: a protocol session, and what becomes of each submit.
//!
//! Started by a `SandboxSession`, which feeds it octets and ticks. It never touches a pipe or a
//! clock: time comes in, octets go out. Receipts wait in a bounded schedule and go out as far as
//! the peer's window lets them; one that the peer refuses or does not answer goes again. When it
//! is dropped, all receipts still to come are lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::clock::At;
use proto_smpp::receipt::{self, Stamp, State, Written};
use proto_smpp::{
    Address, Bind, CloseReason, CommandId, CommandStatus, Input, Message, Output, Role, Session,
    Settings,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::behaviour::{Behaviour, Report, behaviour, deliver, last_digit};
use super::schedule::Schedule;
use super::{LIVE_SYSTEM_ID, TEST_SYSTEM_ID};

/// How much one session holds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Receipts in flight to the peer.
    pub window: usize,
    /// Submits whose answer or receipt is still to come; past it a submit is refused.
    pub waiting_max: usize,
    /// How often a receipt is sent that the peer does not take.
    pub tries_max: u8,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub instant: Instant,
    pub stamp: Stamp,
}

/// The machine.
#[derive(Debug)]
pub struct Smsc {
    session: Session<Box<Waiting>>,
    outputs: Vec<Output<Box<Waiting>>>,
    schedule: Schedule<Due>,
    /// Receipts whose time has come and that wait for the window.
    ready: VecDeque<Box<Waiting>>,
    limits: Limits,
    random: StdRng,
    /// Sets the ids of this session apart from those of any other.
    prefix: u64,
    accepted: u64,
    peer: Peer,
}

/// What the bind said of the peer.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    live: bool,
    receives: bool,
    takes_tlvs: bool,
}

#[derive(Debug)]
enum Due {
    Answer { command: CommandId, sequence: u32, status: CommandStatus },
    Receipt(Box<Waiting>),
}

/// A receipt on its way.
#[derive(Debug)]
struct Waiting {
    number: u64,
    state: State,
    error: u16,
    sender: Address,
    recipient: Address,
    submitted: Stamp,
    tries: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: 500, waiting_max: 100_000, tries_max: 10 }
    }
}

impl Moment {
    #[must_use]
    pub fn now() -> Self {
        Self { instant: tokio::time::Instant::now().into_std(), stamp: stamp(At::now()) }
    }
}

impl Smsc {
    /// A session that waits for a bind. The seed decides its ids and its chances.
    #[must_use]
    pub fn new(limits: Limits, seed: u64, now: Instant) -> Self {
        let settings = Settings { window: limits.window, ..Settings::default() };
        let mut random = StdRng::seed_from_u64(seed);
        // A letter first, so that no id can be mistaken for a decimal number.
        let prefix = 0xA << 44 | random.random::<u64>() >> 20;
        Self {
            session: Session::new(Role::Smsc, settings, now),
            outputs: Vec::new(),
            schedule: Schedule::new(),
            ready: VecDeque::new(),
            limits,
            random,
            prefix,
            accepted: 0,
            peer: Peer::default(),
        }
    }

    /// The pipe is open.
    pub fn connected(&mut self, now: Moment, wire: &mut Vec<u8>) -> Option<CloseReason> {
        self.run(now, Input::Connected, wire)
    }

    /// Takes octets from the peer and appends all that is to be sent. A reason to close ends it,
    /// after `wire` has been written.
    pub fn received(
        &mut self,
        now: Moment,
        bytes: &[u8],
        wire: &mut Vec<u8>,
    ) -> Option<CloseReason> {
        self.run(now, Input::Bytes(bytes), wire)
    }

    /// The deadline has passed.
    pub fn tick(&mut self, now: Moment, wire: &mut Vec<u8>) -> Option<CloseReason> {
        self.run(now, Input::Tick, wire)
    }

    #[must_use]
    pub fn deadline(&self) -> Instant {
        let session = self.session.deadline();
        self.schedule.deadline().map_or(session, |d| d.min(session))
    }

    /// Answers and receipts still to come.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.schedule.len() + self.ready.len() + self.session.in_flight()
    }

    fn run(
        &mut self,
        now: Moment,
        input: Input<'_, Box<Waiting>>,
        wire: &mut Vec<u8>,
    ) -> Option<CloseReason> {
        let mut close = self.step(now, input, wire);
        while close.is_none() {
            if self.outputs.is_empty() {
                self.pump(now, wire);
            }
            if self.outputs.is_empty() {
                break;
            }
            for output in std::mem::take(&mut self.outputs) {
                close = close.or(self.obey(now, output, wire));
            }
        }
        close
    }

    fn step(
        &mut self,
        now: Moment,
        input: Input<'_, Box<Waiting>>,
        wire: &mut Vec<u8>,
    ) -> Option<CloseReason> {
        self.session.step_into(now.instant, input, &mut self.outputs, wire)
    }

    fn obey(
        &mut self,
        now: Moment,
        output: Output<Box<Waiting>>,
        wire: &mut Vec<u8>,
    ) -> Option<CloseReason> {
        match output {
            Output::BindRequested(bind) => return self.decide(now, &bind, wire),
            Output::Request { command, sequence, message } => {
                self.take(now, (command, sequence), message, wire)
            }
            Output::Answered { tag, status, .. } if !status.is_ok() => self.again(now, tag),
            Output::TimedOut { tag } => self.again(now, tag),
            Output::Refused { tag } => {
                tracing::warn!(number = tag.number, "a sandbox receipt does not fit a PDU");
            }
            // The sandbox's one client is the switch itself, which sends neither.
            Output::Noticed(_)
            | Output::RequestMulti { .. }
            | Output::Asked { .. }
            | Output::Answered { .. }
            | Output::Bound
            | Output::BindRefused(_)
            | Output::Transmit(_)
            | Output::Close(_) => {}
        }
        None
    }

    fn decide(&mut self, now: Moment, bind: &Bind, wire: &mut Vec<u8>) -> Option<CloseReason> {
        let live = match bind.system_id.as_str() {
            TEST_SYSTEM_ID => false,
            LIVE_SYSTEM_ID => true,
            _ => return self.step(now, Input::Refuse(CommandStatus::INVSYSID), wire),
        };
        self.peer = Peer { live, receives: bind.kind.receives(), takes_tlvs: bind.takes_tlvs() };
        self.step(now, Input::Accept, wire)
    }

    /// One submit: answered now or later, and its receipts put on the schedule.
    fn take(
        &mut self,
        now: Moment,
        (command, sequence): (CommandId, u32),
        message: Message,
        wire: &mut Vec<u8>,
    ) {
        let wanted = if self.peer.live {
            deliver()
        } else {
            behaviour(last_digit(&message.destination.digits), self.random.random())
        };
        let full = self.waiting() >= self.limits.waiting_max;
        match wanted {
            Behaviour::Accept(Some(report)) if self.reports(&message, report) => {
                if full {
                    return self.answer(now, command, sequence, CommandStatus::MSGQFUL, wire);
                }
                let number = self.accept(now, command, sequence, wire);
                self.expect_receipt(now, number, report, message);
            }
            Behaviour::Accept(_) => {
                self.accept(now, command, sequence, wire);
            }
            Behaviour::Refuse { after, status } if after.is_zero() => {
                self.answer(now, command, sequence, status, wire);
            }
            Behaviour::Refuse { .. } if full => {
                self.answer(now, command, sequence, CommandStatus::MSGQFUL, wire);
            }
            Behaviour::Refuse { after, status } => {
                let answer = Due::Answer { command, sequence, status };
                self.schedule.push(now.instant + after, answer);
            }
        }
    }

    /// Whether the peer wants this receipt and its bind can take it (SMPP 3.4 §5.2.17).
    fn reports(&self, message: &Message, report: Report) -> bool {
        let asked = match message.registered_delivery & 3 {
            0 => false,
            2 => report.state != State::Delivered,
            _ => true,
        };
        asked && self.peer.receives
    }

    fn accept(
        &mut self,
        now: Moment,
        command: CommandId,
        sequence: u32,
        wire: &mut Vec<u8>,
    ) -> u64 {
        self.accepted += 1;
        let number = self.accepted;
        let id = self.id(number);
        let answer = Input::Answer {
            command,
            sequence,
            status: CommandStatus::OK,
            message_id: id.as_bytes(),
        };
        // An answer never ends a session.
        self.step(now, answer, wire);
        number
    }

    fn answer(
        &mut self,
        now: Moment,
        command: CommandId,
        sequence: u32,
        status: CommandStatus,
        wire: &mut Vec<u8>,
    ) {
        let answer = Input::Answer { command, sequence, status, message_id: b"" };
        self.step(now, answer, wire);
    }

    fn expect_receipt(&mut self, now: Moment, number: u64, report: Report, message: Message) {
        let sender = match report.sender {
            Some(name) => Address::new(5, 0, name),
            None => message.source,
        };
        for _ in 0..report.copies {
            let receipt = Due::Receipt(Box::new(Waiting {
                number,
                state: report.state,
                error: report.error,
                sender: sender.clone(),
                recipient: message.destination.clone(),
                submitted: now.stamp,
                tries: 0,
            }));
            self.schedule.push(now.instant + report.after, receipt);
        }
    }

    /// Sends what is due, receipts as far as the window goes.
    fn pump(&mut self, now: Moment, wire: &mut Vec<u8>) {
        while let Some(due) = self.schedule.due(now.instant) {
            match due {
                Due::Receipt(waiting) => self.ready.push_back(waiting),
                Due::Answer { command, sequence, status } => {
                    self.answer(now, command, sequence, status, wire)
                }
            }
        }
        while self.session.room() > 0
            && let Some(waiting) = self.ready.pop_front()
        {
            let id = self.id(waiting.number);
            let said = Written {
                message_id: &id,
                state: waiting.state,
                error: waiting.error,
                submit_date: waiting.submitted,
                done_date: now.stamp,
                text: "",
                tlvs: self.peer.takes_tlvs,
            };
            let message = receipt::write(&said, &waiting.sender, &waiting.recipient);
            let submit = Input::Submit { message: &message, tag: waiting };
            self.step(now, submit, wire);
        }
    }

    /// The peer did not take a receipt: it goes again, later each time.
    fn again(&mut self, now: Moment, mut waiting: Box<Waiting>) {
        waiting.tries += 1;
        if waiting.tries >= self.limits.tries_max {
            tracing::warn!(number = waiting.number, "a sandbox receipt was never taken");
            return;
        }
        let after = Duration::from_secs(u64::from(waiting.tries));
        self.schedule.push(now.instant + after, Due::Receipt(waiting));
    }

    fn id(&self, number: u64) -> String {
        format!("{:012x}{number:08x}", self.prefix)
    }
}

/// A moment as a receipt writes it, in UTC.
fn stamp(at: At) -> Stamp {
    let text = at.iso();
    // The first 19 characters are date and time to the second.
    text.get(..19).and_then(Stamp::parse).unwrap_or(Stamp {
        year: 1970,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
    })
}

#[cfg(test)]
mod tests;
