//! One connection to a carrier, bound as a transceiver or as half of a pair, and kept up.
//!
//! Started by the carrier's supervisor. A lost connection is a state of this actor with a time to
//! try again, not a crash. It turns its owner's jobs into PDUs and the carrier's answers into
//! words, and gives every job back exactly once: answered, refused, or lost with the connection.
//! It never waits for the network: tasks of its own read and write. When it dies its socket closes
//! by drop, and its owner holds the jobs it had.

mod inbound;

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use model::carrier::{CarrierId, MessageKey};
use model::clock::At;
use proto_smpp::pacing::{Backoff, Sliding};
use proto_smpp::split::Concat;
use proto_smpp::{
    Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Message, Output, Role, Session,
    Settings, message_id, text,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::alerts::Alerts;
use super::hand::{Condemned, InHand, Item};
use super::job::Job;
use super::owner::{BindView, OwnerMsg};
use super::profile::{Profile, Timers};
use super::translate;
use super::wire::{self, Line, ReadHalf, Wire, WriteHalf};
use crate::gate::{Gate, Permit};
use crate::writer::WriterHandle;

/// Reads of the socket that may wait to be looked at.
const READS_MAX: usize = 8;
const MAX_PDU: usize = 64 * 1024;

pub enum BindMsg {
    /// Send these parts of these jobs.
    Submit(Vec<Outgoing>),
    /// Say goodbye and stay away.
    Unbind,
    /// (self) A try to connect ended.
    Connected { life: u64, halves: Result<(ReadHalf, WriteHalf), String> },
    /// (self) Octets came.
    Read { life: u64, octets: Vec<u8>, permit: Permit },
    /// (self) A direction of the connection ended.
    Ended { life: u64, reason: String },
    /// (self) What the carrier sent is stored: acknowledge it.
    Stored { life: u64, answers: Vec<(CommandId, u32, CommandStatus)> },
    /// (self) Something may be due.
    Tick,
}

/// A job for this bind: which of its PDUs, a bit each.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub job: Arc<Job>,
    pub pdus: u32,
}

/// What became of one PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The carrier's id: canonical, and as it came.
    Acked {
        id: String,
        raw: String,
    },
    Refused(CommandStatus),
    /// Sent, and no answer came: in doubt.
    Unanswered,
    /// Certainly not sent.
    NotSent,
    /// It cannot be written as SMPP, or it kills whoever tries.
    Impossible,
}

/// A PDU of a message, and what became of it.
#[derive(Clone, Debug)]
pub struct Answered {
    pub key: MessageKey,
    pub pdu: u8,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag {
    key: MessageKey,
    pdu: u8,
}

/// The behaviour.
pub struct CarrierBind;

pub struct BindArgs {
    pub slot: usize,
    pub kind: BindKind,
    /// Where it says how it stands.
    pub view: Arc<BindView>,
    pub carrier: CarrierId,
    pub profile: Arc<Profile>,
    pub owner: ActorRef<OwnerMsg>,
    pub writer: WriterHandle,
    pub in_hand: InHand,
    pub condemned: Condemned,
    pub alerts: Alerts,
}

pub struct BindState {
    args: BindArgs,
    /// When this connection was opened, in microseconds: its name among all there ever were.
    session: i64,
    /// Counts connections, so that news of an old one is not taken for the new one's.
    life: u64,
    link: Link,
    backoff: Backoff,
    tick: Option<(Instant, AbortHandle)>,
    rest_until: Instant,
    /// The status with which the carrier refused our bind, until the connection is over.
    refused: Option<CommandStatus>,
    meters: Meters,
    /// How many alerts may be looked at.
    alerts: Sliding,
    leaving: bool,
}

enum Link {
    Resting,
    Connecting(AbortHandle),
    Up(Box<Connection>),
}

/// Tells the bind how its try to connect ended, even when it ends by a panic.
struct News {
    me: ActorRef<BindMsg>,
    life: u64,
    halves: Result<(ReadHalf, WriteHalf), String>,
}

struct Connection {
    session: Session<Tag>,
    wire: Wire,
    /// Permits of reads whose requests wait for the store: while held, reading stops.
    held: Vec<Permit>,
    owed: usize,
}

struct Meters {
    submits: Counter,
    answers_ok: Counter,
    answers_refused: Counter,
    unanswered: Counter,
    window: Gauge,
    bound: Gauge,
    orphaned_answers: Counter,
}

impl Meters {
    fn new(profile: &Profile, slot: usize) -> Self {
        let carrier = profile.name.to_string();
        let bind = slot.to_string();
        Self {
            submits: counter!("orbit_submits_total", "carrier" => carrier.clone()),
            answers_ok: counter!("orbit_submit_responses_total", "carrier" => carrier.clone(), "outcome" => "ok"),
            answers_refused: counter!("orbit_submit_responses_total", "carrier" => carrier.clone(), "outcome" => "refused"),
            unanswered: counter!("orbit_submit_responses_total", "carrier" => carrier.clone(), "outcome" => "none"),
            window: gauge!("orbit_window_in_use", "carrier" => carrier.clone(), "bind" => bind.clone()),
            bound: gauge!("orbit_bind_up", "carrier" => carrier.clone(), "bind" => bind),
            orphaned_answers: counter!("orbit_answers_without_request_total", "carrier" => carrier),
        }
    }
}

impl Actor for CarrierBind {
    type Msg = BindMsg;
    type State = BindState;
    type Arguments = BindArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<BindMsg>,
        args: BindArgs,
    ) -> Result<BindState, ActorProcessingErr> {
        let meters = Meters::new(&args.profile, args.slot);
        meters.bound.set(0.0);
        Ok(BindState {
            session: 0,
            life: 0,
            link: Link::Resting,
            backoff: Backoff::default(),
            tick: None,
            rest_until: Instant::now(),
            refused: None,
            alerts: Sliding::new(args.alerts.per_second()),
            args,
            meters,
            leaving: false,
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<BindMsg>,
        state: &mut BindState,
    ) -> Result<(), ActorProcessingErr> {
        state.connect(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<BindMsg>,
        message: BindMsg,
        state: &mut BindState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            BindMsg::Submit(jobs) => state.submit(&me, jobs),
            BindMsg::Unbind => state.leave(&me),
            BindMsg::Connected { life, halves } if life == state.life => {
                state.connected(&me, halves);
            }
            BindMsg::Read { life, octets, permit } if life == state.life => {
                state.read(&me, &octets, permit);
            }
            BindMsg::Ended { life, reason } if life == state.life => state.lost(&me, &reason),
            BindMsg::Stored { life, answers } if life == state.life => {
                state.acknowledge(&me, &answers);
            }
            BindMsg::Tick => state.ticked(&me),
            BindMsg::Connected { .. }
            | BindMsg::Read { .. }
            | BindMsg::Ended { .. }
            | BindMsg::Stored { .. } => {}
        }
        Ok(())
    }
}

impl BindState {
    fn connect(&mut self, me: &ActorRef<BindMsg>) {
        self.life += 1;
        let (life, me) = (self.life, me.clone());
        let profile = self.args.profile.clone();
        let mut news = News { me, life, halves: Err(String::from("connecting panicked")) };
        let task = tokio::spawn(async move {
            // Borrowed whole, so that its end is told however the task ends.
            let news = &mut news;
            news.halves = wire::connect(&profile.endpoint, profile.timers.bind).await;
        });
        self.link = Link::Connecting(task.abort_handle());
    }

    fn connected(&mut self, me: &ActorRef<BindMsg>, halves: Result<(ReadHalf, WriteHalf), String>) {
        let halves = match halves {
            Ok(halves) => halves,
            Err(reason) => return self.lost(me, &reason),
        };
        self.session = At::now().micros();
        let life = self.life;
        let (reads, ends) = (me.clone(), me.clone());
        let line = Line {
            halves,
            gate: Gate::new(READS_MAX),
            write_patience: self.args.profile.timers.write,
        };
        let wire = Wire::start(
            line,
            move |octets, permit| {
                reads.send_message(BindMsg::Read { life, octets, permit }).is_ok()
            },
            move |reason| {
                let _ = ends.send_message(BindMsg::Ended { life, reason });
            },
        );
        let profile = &self.args.profile;
        let mut bind = Bind::new(self.args.kind, &profile.system_id, &profile.password);
        bind.system_type.clone_from(&profile.system_type);
        bind.interface_version = profile.link.interface_version;
        let settings = Settings {
            window: profile.window,
            response_timeout: profile.timers.response,
            enquire_link: profile.timers.enquire_link,
            inactivity: Duration::ZERO,
            bind_timeout: profile.timers.bind,
            max_pdu: MAX_PDU,
        };
        let session = Session::new(Role::Esme(bind), settings, now());
        let held = Vec::new();
        self.link = Link::Up(Box::new(Connection { session, wire, held, owed: 0 }));
        self.step(me, vec![Input::Connected]);
    }

    fn submit(&mut self, me: &ActorRef<BindMsg>, jobs: Vec<Outgoing>) {
        let mut back = Vec::new();
        let mut messages = Vec::new();
        for Outgoing { job, pdus } in &jobs {
            self.args.in_hand.take_message(job.key.0);
            let written = if self.args.condemned.holds(Item::Message(job.key.0)) {
                None
            } else {
                self.write(job)
            };
            for pdu in (0..32).filter(|bit| pdus & (1 << bit) != 0) {
                let tag = Tag { key: job.key, pdu };
                match written.as_ref().and_then(|all| all.get(usize::from(pdu))) {
                    Some(message) => messages.push((message.clone(), tag)),
                    None => back.push(answered(tag, Answer::Impossible)),
                }
            }
            self.args.in_hand.lay_down();
        }
        if !back.is_empty() {
            self.tell(back);
        }
        self.meters.submits.increment(messages.len() as u64);
        let inputs =
            messages.iter().map(|(message, tag)| Input::Submit { message, tag: *tag }).collect();
        self.step(me, inputs);
    }

    /// The PDUs of a job: as many as it was accepted and is charged for, though the account may
    /// have been set to another way of joining parts since.
    fn write(&self, job: &Job) -> Option<Vec<Message>> {
        let profile = &self.args.profile;
        let wanted = translate::pdus(job, profile.concat);
        let mut written = [profile.concat, Concat::Udh8, Concat::Udh16]
            .into_iter()
            .filter_map(|concat| (profile.dialect.write)(job, concat).ok())
            .find(|messages| messages.len() == wanted)?;
        if profile.validity_period {
            let validity = translate::validity(job.expires_at.since(At::now()));
            written.iter_mut().for_each(|message| message.validity.clone_from(&validity));
        }
        written.iter_mut().for_each(|message| profile.quirks.write(message));
        Some(written)
    }

    /// Feeds the session, obeys it, and sends all octets with one write.
    fn step(&mut self, me: &ActorRef<BindMsg>, inputs: Vec<Input<'_, Tag>>) {
        let Link::Up(connection) = &mut self.link else {
            let back = inputs.into_iter().filter_map(|input| match input {
                Input::Submit { tag, .. } => Some(answered(tag, Answer::NotSent)),
                _ => None,
            });
            let back: Vec<_> = back.collect();
            if !back.is_empty() {
                self.tell(back);
            }
            return;
        };
        let (mut outputs, mut octets, mut close) = (Vec::new(), Vec::new(), None);
        let at = now();
        for input in inputs {
            let reason = connection.session.step_into(at, input, &mut outputs, &mut octets);
            close = close.or(reason);
        }
        let stuck = !octets.is_empty() && connection.wire.write(octets).is_err();
        self.obey(me, outputs);
        if stuck {
            self.lost(me, "the peer reads nothing");
        } else if let Some(reason) = close {
            self.closed(me, reason);
        }
        self.rest_until_due(me);
    }

    fn obey(&mut self, me: &ActorRef<BindMsg>, outputs: Vec<Output<Tag>>) {
        let mut answers = Vec::new();
        let mut requests = Vec::new();
        for output in outputs {
            match output {
                Output::Answered { tag, status, message_id } => {
                    answers.push(answered(tag, self.answer(status, &message_id)));
                }
                Output::TimedOut { tag } => {
                    self.meters.unanswered.increment(1);
                    answers.push(answered(tag, Answer::Unanswered));
                }
                Output::Refused { tag } => answers.push(answered(tag, Answer::NotSent)),
                Output::Request { command, sequence, message } => {
                    requests.push((command, sequence, message));
                }
                Output::Bound => self.bound(me),
                Output::BindRefused(refused) => {
                    let (carrier, status) = (&self.args.profile.name, refused.name());
                    tracing::warn!(%carrier, status, "the carrier refused our bind");
                    self.refused = Some(refused);
                }
                Output::Noticed(notice) => self.noticed(*notice),
                Output::BindRequested(_)
                | Output::RequestMulti { .. }
                | Output::Asked { .. }
                | Output::Transmit(_)
                | Output::Close(_) => {}
            }
        }
        if !answers.is_empty() {
            self.tell(answers);
        }
        if !requests.is_empty() {
            self.take_requests(me, requests);
        }
        if let Link::Up(connection) = &self.link {
            let in_flight = connection.session.in_flight();
            self.meters.window.set(f64::from(u32::try_from(in_flight).unwrap_or(u32::MAX)));
            self.args.view.set_in_flight(in_flight);
        }
    }

    fn answer(&self, status: CommandStatus, id: &[u8]) -> Answer {
        if status.is_ok() {
            self.meters.answers_ok.increment(1);
            let raw = text::latin1(id).replace('\0', "");
            return Answer::Acked { id: message_id::canonical(id), raw };
        }
        self.meters.answers_refused.increment(1);
        Answer::Refused(status)
    }

    fn bound(&mut self, me: &ActorRef<BindMsg>) {
        self.backoff.reset();
        self.meters.bound.set(1.0);
        self.args.view.bound(At::now());
        let (carrier, bind) = (&self.args.profile.name, self.args.slot);
        tracing::info!(%carrier, bind, "bound");
        let (slot, bind) = (self.args.slot, me.clone());
        let _ = self.args.owner.send_message(OwnerMsg::Up { slot, bind });
    }

    fn closed(&mut self, me: &ActorRef<BindMsg>, reason: CloseReason) {
        self.lost(me, reason.name());
    }

    /// The connection is over: give back what it held, and rest before the next try.
    fn lost(&mut self, me: &ActorRef<BindMsg>, reason: &str) {
        let link = std::mem::replace(&mut self.link, Link::Resting);
        self.life += 1;
        self.meters.bound.set(0.0);
        self.meters.window.set(0.0);
        let mut unanswered = Vec::new();
        if let Link::Up(connection) = link {
            let Connection { session, wire, .. } = *connection;
            self.meters.orphaned_answers.increment(session.stats().unknown_responses);
            drop(wire);
            unanswered = session.into_unanswered();
        }
        self.meters.unanswered.increment(unanswered.len() as u64);
        let answers = unanswered.into_iter().map(|tag| answered(tag, Answer::Unanswered)).collect();
        let refused = self.refused.take();
        let why = match refused {
            Some(status) => format!("bind refused: {}", super::status::text(status)),
            None => String::from(reason),
        };
        let slot = self.args.slot;
        self.args.view.lost(At::now(), &why, refused.is_some_and(is_locked_out));
        let _ = self.args.owner.send_message(OwnerMsg::Down { slot, why, answers });
        if self.leaving {
            return me.stop(None);
        }
        let timers = &self.args.profile.timers;
        let jitter = rand::random();
        let rest = self.backoff.next(jitter);
        let rest = rest.clamp(timers.reconnect_min.min(timers.reconnect_max), timers.reconnect_max);
        let rest = refused.map_or(rest, |status| rest.max(rest_after(status, timers, jitter)));
        let (carrier, bind) = (&self.args.profile.name, self.args.slot);
        tracing::warn!(%carrier, bind, reason, rest_ms = rest.as_millis(), "not bound");
        // An older wake would cut the rest short.
        if let Some((_, timer)) = self.tick.take() {
            timer.abort();
        }
        self.rest_until = Instant::now() + rest;
        self.tick_at(me, self.rest_until);
    }

    fn leave(&mut self, me: &ActorRef<BindMsg>) {
        self.leaving = true;
        if matches!(self.link, Link::Up(_)) {
            self.step(me, vec![Input::Unbind]);
        } else {
            self.lost(me, "leaving");
        }
    }

    fn ticked(&mut self, me: &ActorRef<BindMsg>) {
        self.tick = None;
        match &self.link {
            Link::Resting if Instant::now() < self.rest_until => self.tick_at(me, self.rest_until),
            Link::Resting => self.connect(me),
            Link::Connecting(_) => {}
            Link::Up(connection) => {
                let before = connection.session.stats().enquiries;
                self.step(me, vec![Input::Tick]);
                if let Link::Up(connection) = &self.link
                    && connection.session.stats().enquiries != before
                {
                    self.args.view.set_enquired(At::now());
                }
            }
        }
    }

    fn rest_until_due(&mut self, me: &ActorRef<BindMsg>) {
        if let Link::Up(connection) = &self.link {
            let due = Instant::from_std(connection.session.deadline());
            self.tick_at(me, due);
        }
    }

    /// Wakes no later than `due`; an earlier wake that is already set will do.
    fn tick_at(&mut self, me: &ActorRef<BindMsg>, due: Instant) {
        if self.tick.as_ref().is_some_and(|(at, _)| *at <= due) {
            return;
        }
        if let Some((_, timer)) = self.tick.take() {
            timer.abort();
        }
        let rest = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let timer = me.send_after(rest, || BindMsg::Tick);
        self.tick = Some((due, timer.abort_handle()));
    }

    fn tell(&self, answers: Vec<Answered>) {
        let slot = self.args.slot;
        let _ = self.args.owner.send_message(OwnerMsg::Answers { slot, answers });
    }
}

impl Drop for BindState {
    fn drop(&mut self) {
        self.meters.bound.set(0.0);
        self.meters.window.set(0.0);
        if let Link::Connecting(task) = &self.link {
            task.abort();
        }
        if let Some((_, timer)) = &self.tick {
            timer.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let halves = std::mem::replace(&mut self.halves, Err(String::new()));
        // A bind that is gone needs no news.
        let _ = self.me.send_message(BindMsg::Connected { life: self.life, halves });
    }
}

/// The carrier does not want us as we are: wrong password, name or system.
fn is_locked_out(status: CommandStatus) -> bool {
    let ours = [CommandStatus::BINDFAIL, CommandStatus::INVPASWD, CommandStatus::INVSYSID];
    ours.contains(&status)
}

/// The least rest after a bind was refused. A wrong password does not get right by trying, and
/// tries lock accounts out; a carrier that still holds our last connection lets go of it by its
/// own timers.
fn rest_after(status: CommandStatus, timers: &Timers, jitter: f64) -> Duration {
    let least = match status {
        _ if is_locked_out(status) => timers.locked_out,
        CommandStatus::ALYBND => timers.already_bound,
        _ => return Duration::ZERO,
    };
    least + least.mul_f64(jitter.clamp(0.0, 1.0) / 4.0)
}

fn answered(tag: Tag, answer: Answer) -> Answered {
    Answered { key: tag.key, pdu: tag.pdu, answer }
}

/// The moment as the sans-IO session takes it; follows tokio's clock, so that tests can pause it.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
