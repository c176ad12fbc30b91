//! The state of a call's actor: its legs and machines, and how they are stepped.
//!
//! Each leg's orders go to the shard at once; what a leg tells waits in a queue until `settle` has taken
//! all of it, since one thing told may step another leg.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use model::carrier::MessageKey;
use model::clock::At;
use model::id::PublicId;
use model::voice::{EndReason, Facts, HangupBy, Leg as Record};
use proto_sip::digest::{Attempt, Client};
use proto_sip::header::Reason;
use proto_sip::leg::{Cause, Command, Input, Leg, Output, Told};
use proto_sip::sdp::Body;
use proto_sip::transaction::ServerId;
use proto_sip::{Message, StatusCode};
use ractor::{ActorProcessingErr, ActorRef, MessagingErr};
use rand::RngExt as _;
use tokio::task::JoinHandle;

use super::bridge::Bridge;
use super::dial::Target;
use super::keeper::Clock;
use super::ladder::{Ladder, cancel_of};
use super::money::Money;
use super::reach::{self, Closed};
use super::ring::Ring;
use super::seek::Seeking;
use super::sounding::Waiting;
use super::table::{Opening, Seat, mark};
use super::tape::Tape;
use super::tie::{About, FAR, Ties, Word};
use super::transfer::Transfer;
use super::{Begin, CallArgs, CallMsg, Context};
use crate::media::{PlayId, Session};
use crate::sip::credentials::Credential;
use crate::sip::dialplan::{Caller, Plan};
use crate::sip::flow::Flow;
use crate::sip::shard::{Mark, Request, ShardMsg, answer};
use crate::sip::transport::Wire;
use crate::sip::trunks::Channel;

/// Where a leg is spoken to. A connection does not close for being idle while it is one's: of a call
/// nothing is said for many minutes.
pub(super) struct Line {
    wire: Wire,
    flow: Flow,
    /// The name that was dialled, which a certificate has to have.
    name: Option<String>,
}

impl Line {
    pub(super) fn new(wire: &Wire, flow: Flow, name: Option<String>) -> Self {
        wire.hold(flow);
        Self { wire: wire.clone(), flow, name }
    }

    pub(super) fn flow(&self) -> Flow {
        self.flow
    }

    pub(super) fn move_to(&mut self, flow: Flow) {
        if flow != self.flow {
            self.wire.hold(flow);
            self.wire.release(self.flow);
            self.flow = flow;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.wire.release(self.flow);
    }
}

/// Where the next request of a leg goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Back to where it was last heard from.
    Nobody,
    /// Where its dialog says: the operator's carriers.
    Anywhere,
    /// The same, but nowhere that is closed to customers.
    Open,
}

impl Follows {
    /// Of a trunk, the operator's or a customer's.
    pub(super) fn of(is_ours: bool) -> Self {
        if is_ours { Self::Anywhere } else { Self::Open }
    }
}

/// One leg with what the call knows of it.
pub(super) struct CallLeg {
    pub(super) leg: Leg<ServerId>,
    pub(super) line: Line,
    pub(super) follows: Follows,
    pub(super) record: Record,
    pub(super) client: Option<(Client, Attempt)>,
    pub(super) channel: Option<Channel>,
    /// Its INVITE, if that is ours.
    pub(super) invite: Option<Mark>,
    /// Its octets, of which a CANCEL is made.
    pub(super) asked: Bytes,
    /// The telephone at its other end, if it is one.
    pub(super) phone: Option<Arc<Credential>>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody is rung.
    Beginning,
    /// The store is asked for money, before anybody is rung.
    Opening,
    Ringing,
    Up,
    Over,
}

/// Why and when a call ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) at: At,
    pub(super) reason: EndReason,
    pub(super) status: Option<StatusCode>,
    pub(super) cause: Cause,
    pub(super) by: HangupBy,
}

/// What the store knows of the call.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) id: Option<PublicId>,
    pub(super) asked: bool,
    pub(super) key: Option<MessageKey>,
    /// Ringing, and answered, as it was told.
    pub(super) told_ringing: bool,
    pub(super) told_answered: bool,
    /// With whom it has gone on since, as far as that is not told yet.
    pub(super) moved: Vec<(At, About)>,
    pub(super) closed: bool,
    /// The store did not take its end as it was: it is told without what others wrote.
    pub(super) bare: bool,
    /// Its messages are on their way to the store.
    pub(super) keeping: bool,
    /// There is nothing to close: it was never opened, or the store has closed it.
    pub(super) done: bool,
}

pub struct CallState {
    pub(super) context: Arc<Context>,
    pub(super) me: ActorRef<CallMsg>,
    pub(super) shard: ActorRef<ShardMsg>,
    pub(super) wire: Wire,
    pub(super) seat: Seat,
    pub(super) begin: Option<Opening>,
    /// What who called is answered if this actor fails.
    pub(super) refusal: Option<(ServerId, Bytes)>,
    pub(super) caller: Option<Caller>,
    pub(super) plan: Option<Plan>,
    pub(super) phase: Phase,
    /// Those that have not ended, by their number; 0 is who called.
    pub(super) legs: Vec<(u8, CallLeg)>,
    /// Records of those that have.
    pub(super) records: Vec<(u8, Record)>,
    /// Who is on the side of the caller, and who on the other.
    pub(super) sides: [Option<u8>; 2],
    /// The same of a call that is over.
    pub(super) last_sides: [Option<u8>; 2],
    pub(super) told: VecDeque<(u8, Told)>,
    pub(super) ring: Ring<Target>,
    /// Legs whose way is not known yet.
    pub(super) seeking: Seeking,
    pub(super) bridge: Option<Bridge>,
    /// What those who are called are offered.
    pub(super) offer: Option<Body>,
    pub(super) session: Option<Session>,
    pub(super) tape: Tape,
    /// What each side hears of what was played to it last.
    pub(super) playing: [Option<PlayId>; 2],
    /// Sides that are on hold.
    pub(super) on_hold: [Option<Waiting>; 2],
    pub(super) money: Money,
    pub(super) clock: Clock,
    pub(super) rang_at: Option<At>,
    /// When the caller hears again that it rings, and when it has rung long enough.
    pub(super) remind_at: Option<Instant>,
    pub(super) ring_until: Option<Instant>,
    pub(super) answered_at: Option<(Instant, At)>,
    pub(super) transfer: Option<Transfer>,
    pub(super) ties: Ties,
    /// A Call-ID of its shard, of a call that begins without a leg.
    pub(super) kin: Option<Bytes>,
    pub(super) facts: Facts,
    /// Legs that are not of the call any more, and when they are hung up.
    pub(super) leaving: Vec<(u8, Instant)>,
    pub(super) row: Row,
    /// Who has hung up by an order, and waits for the end to be stored.
    pub(super) waiting: Vec<super::orders::Answer>,
    pub(super) end: Option<End>,
    pub(super) ladder: Ladder,
    pub(super) max_forwards: u8,
    /// How often it was sent on before it came.
    pub(super) forwards: usize,
    timer: Option<(Instant, Timer)>,
    out: Vec<Output<ServerId>>,
}

/// A tick on its way.
type Timer = JoinHandle<Result<(), MessagingErr<CallMsg>>>;

impl Drop for CallState {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
        if let Some(session) = &self.session {
            self.context.keeper.unlisten(session.id());
        }
    }
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What nobody guesses.
pub(super) fn chance() -> u64 {
    rand::rng().random()
}

impl CallState {
    pub(super) fn new(me: ActorRef<CallMsg>, args: CallArgs) -> Result<Self, ActorProcessingErr> {
        let CallArgs { context, begin } = args;
        let Begin { shard, seat, opening } = begin;
        let wire = (context.wire)().ok_or("SIP rests")?;
        seat.live(me.clone());
        Ok(Self {
            context,
            me,
            shard,
            wire,
            seat,
            refusal: opening.invite().and_then(|(id, message)| {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                answer(message, status, None, |_| {}).map(|octets| (id, octets))
            }),
            begin: Some(opening),
            caller: None,
            plan: None,
            phase: Phase::Beginning,
            legs: Vec::new(),
            records: Vec::new(),
            sides: [None, None],
            last_sides: [None, None],
            told: VecDeque::new(),
            ring: Ring::new(Vec::new(), 1),
            seeking: Seeking::default(),
            bridge: None,
            offer: None,
            session: None,
            tape: Tape::default(),
            playing: [None, None],
            on_hold: [None, None],
            money: Money::default(),
            clock: Clock::new(now()),
            rang_at: None,
            remind_at: None,
            ring_until: None,
            answered_at: None,
            transfer: None,
            ties: Ties::default(),
            kin: None,
            facts: Facts::default(),
            leaving: Vec::new(),
            row: Row::default(),
            waiting: Vec::new(),
            end: None,
            ladder: Ladder::default(),
            max_forwards: 70,
            forwards: 0,
            timer: None,
            out: Vec::new(),
        })
    }

    /// The present, as this call counts it: what is billed is no matter of the machine's clock, which
    /// may be set while people talk.
    pub(super) fn at(&self) -> At {
        self.clock.at(now())
    }

    pub(super) fn leg(&mut self, number: u8) -> Option<&mut CallLeg> {
        self.legs.iter_mut().find(|(of, _)| *of == number).map(|(_, leg)| leg)
    }

    /// Adds a leg whose first orders are in `out`.
    pub(super) fn add_leg(&mut self, number: u8, leg: CallLeg, out: Vec<Output<ServerId>>) {
        let (call_id, tag) = (leg.leg.call_id().clone(), leg.leg.local_tag().to_owned());
        self.seat.bind(number, &call_id, &tag);
        self.legs.push((number, leg));
        self.out = out;
        self.obey(number);
    }

    /// Steps a leg, and does what it orders.
    pub(super) fn step(&mut self, number: u8, input: Input<ServerId>) {
        let mut out = std::mem::take(&mut self.out);
        if let Some(leg) = self.leg(number) {
            leg.leg.step(now(), input, &mut out);
        }
        self.out = out;
        self.obey(number);
    }

    pub(super) fn command(&mut self, number: u8, command: Command) {
        if number == FAR {
            if let Some(far) = &self.ties.far {
                far.rope.tell(Word::Do(Box::new(command)));
            }
            return;
        }
        self.step(number, Input::Command(command));
    }

    fn obey(&mut self, number: u8) {
        let mut out = std::mem::take(&mut self.out);
        for order in out.drain(..) {
            self.order(number, order);
        }
        self.out = out;
    }

    fn order(&mut self, number: u8, order: Output<ServerId>) {
        let call = self.seat.number();
        let message = match order {
            Output::Told(told) => return self.told.push_back((number, told)),
            Output::Respond { id, octets } => {
                self.went(number, &octets);
                ShardMsg::Respond(vec![(id, octets)])
            }
            Output::Request { tag, octets, target } => {
                let Some(flow) = self.flow_to(number, &target) else { return };
                self.went(number, &octets);
                let mark = mark(call, number, tag);
                if octets.starts_with(b"INVITE ")
                    && let Some(leg) = self.leg(number)
                {
                    (leg.invite, leg.asked) = (Some(mark), octets.clone());
                }
                ShardMsg::Request(Request { flow, mark, octets })
            }
            Output::Ack { octets, target } => {
                let Some(flow) = self.flow_to(number, &target) else { return };
                self.went(number, &octets);
                ShardMsg::Ack { flow, octets }
            }
            Output::Cancel { tag, cause } => {
                let reasons = reasons(&cause);
                self.cancels(number, &reasons);
                ShardMsg::Cancel { mark: mark(call, number, tag), reasons }
            }
        };
        // A shard that is gone is a wire on which nothing moves: the legs' timers end the call.
        let _ = self.shard.send_message(message);
    }

    /// The way of a leg's next request: back to where it is heard from, or for carriers to the address
    /// that its dialog names, if that is one; by another connection where the one there was is gone.
    fn flow_to(&mut self, number: u8, target: &Bytes) -> Option<Flow> {
        let (wire, context) = (self.wire.clone(), Arc::clone(&self.context));
        let leg = self.leg(number)?;
        let now = leg.line.flow();
        let closed = Closed { wire: &wire, front: &context.front };
        let closed = Some(closed).filter(|_| leg.follows == Follows::Open);
        if leg.follows == Follows::Nobody {
            return Some(now);
        }
        if let Some(address) = reach::literal(target, now, closed)
            && let Some(flow) = wire.find(now.kind(), address)
        {
            leg.line.move_to(flow);
        } else if !wire.is_open(now) {
            let was = (now, leg.line.name.as_deref());
            if let Some(flow) = reach::anew(&wire, target, was, (context.tls.as_ref(), closed)) {
                leg.line.move_to(flow);
            }
        }
        Some(leg.line.flow())
    }

    fn went(&mut self, number: u8, octets: &Bytes) {
        if !self.context.limits.ladder {
            return;
        }
        if let Some(flow) = self.leg(number).map(|leg| leg.line.flow()) {
            let at = self.at();
            self.ladder.went(at, flow, octets);
        }
    }

    /// The transaction makes the CANCEL; here is what it says.
    fn cancels(&mut self, number: u8, reasons: &[Reason]) {
        if self.context.limits.ladder
            && let Some((_, leg)) = self.legs.iter().find(|(of, _)| *of == number)
        {
            self.ladder.went(At::now(), leg.line.flow(), &cancel_of(&leg.asked, reasons));
        }
    }

    pub(super) fn came(&mut self, flow: Flow, message: &Message) {
        if self.context.limits.ladder {
            let at = self.at();
            self.ladder.came(at, flow, message.raw());
        }
    }

    /// Takes all that was told, then waits for what comes next.
    pub(super) async fn settle(&mut self) {
        while let Some((number, told)) = self.told.pop_front() {
            self.take(number, told).await;
        }
        self.forget_legs();
        self.answer_waiting();
        let is_quiet = self.phase == Phase::Over && self.legs.is_empty();
        let keeps = is_quiet && (self.row.closed || self.row.done) && self.keeps_ladder();
        if is_quiet && self.row.done && !keeps {
            self.context.keeper.take(self.me.get_id());
            self.me.stop(None);
            return;
        }
        self.arm();
    }

    /// Legs that are over and quiet go; their records stay.
    fn forget_legs(&mut self) {
        let gone: Vec<usize> =
            (0..self.legs.len()).filter(|at| self.legs[*at].1.leg.is_over()).collect();
        for at in gone.into_iter().rev() {
            let (number, leg) = self.legs.remove(at);
            self.seat.unbind(&leg.leg.call_id().clone(), leg.leg.local_tag());
            self.sides.iter_mut().filter(|side| **side == Some(number)).for_each(|s| *s = None);
            self.records.push((number, leg.record));
        }
    }

    fn arm(&mut self) {
        let legs = self.legs.iter().filter_map(|(_, leg)| leg.leg.deadline());
        let longest = self.answered_at.map(|(at, _)| at + self.context.limits.duration);
        let longest = longest.filter(|_| self.phase == Phase::Up);
        let money = self.money.deadline().filter(|_| self.phase == Phase::Up);
        let announced = self.tape.deadline().filter(|_| self.phase == Phase::Up);
        let leaving = self.leaving.iter().map(|(_, at)| *at).min();
        let rings = self.phase == Phase::Ringing;
        let [remind, until] = [self.remind_at, self.ring_until].map(|at| at.filter(|_| rings));
        let tie = self.ties.deadline();
        let others = [self.ring.deadline(), money, longest, announced, leaving, remind, until, tie];
        let Some(due) = legs.chain(others.into_iter().flatten()).min() else { return };
        if let Some((armed, timer)) = &self.timer {
            if *armed <= due && !timer.is_finished() {
                return;
            }
            timer.abort();
        }
        let wait = due.saturating_duration_since(now());
        self.timer = Some((due, self.me.send_after(wait, || CallMsg::Tick)));
    }

    /// Something may be due.
    pub(super) async fn tick(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
        let moment = now();
        let due = |(_, leg): &&(u8, CallLeg)| leg.leg.deadline().is_some_and(|at| at <= moment);
        let due: Vec<u8> = self.legs.iter().filter(due).map(|(number, _)| *number).collect();
        for number in due {
            self.step(number, Input::Tick);
        }
        self.leaving_due(moment);
        self.tie_due(moment);
        self.ring_due(moment).await;
        self.tape_due(moment).await;
        self.money_due(moment);
    }
}

fn reasons(cause: &Cause) -> Vec<Reason> {
    let words = cause.words.as_deref().unwrap_or_default();
    let q850 = cause.q850.map(|number| Reason::new("Q.850", number, words));
    let sip = cause.sip.map(|number| Reason::new("SIP", number, words));
    q850.into_iter().chain(sip).collect()
}
