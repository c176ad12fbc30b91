//! One connection of a customer: an ESME bound to us, from its socket's first octet to the last.
//!
//! Started by the server's supervisor for an accepted socket; temporary, never restarted. It feeds
//! the session with what is read, gives submits to the writer in batches, and answers them after
//! the commit. Past the account's window of unanswered requests it stops reading. It never waits
//! for the network, the store or the writer inside `handle`. When it dies the socket closes by
//! drop; what was stored stays stored, and what it had to deliver goes to another bind.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::counter;
use model::clock::At;
use model::submission::{Credential, Submission};
use proto_smpp::pdu::manage::Ask;
use proto_smpp::pdu::multi::{Destination, Multi, Unsuccessful};
use proto_smpp::pdu::notify::{Alert, Outbind};
use proto_smpp::{
    Address, Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Message, Output, Role,
    Session, Settings,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::lane::{AcceptAnswer, Accepted};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::accounts::{Account, Accounts, Asking, Seat};
use super::courier::{CourierMsg, Ticket};
use super::{status, submit};
use crate::gate::{Gate, Permit};
use crate::smpp::alerts;
use crate::smpp::wire::{Line, ReadHalf, Wire, WriteHalf};
use crate::traffic::admission::Admission;
use crate::writer::WriterHandle;

mod answers;
mod presence;
mod questions;

use answers::{Answer, Pending};
use presence::Presence;

/// Reads of the socket that may wait to be looked at.
const READS_MAX: usize = 4;
/// With so many writes that wait it is told of no subscriber.
const ALERTS_BEHIND: usize = 8;

pub enum EsmeMsg {
    /// Bring these to the ESME, and say what it answers.
    Deliver(Vec<(Ticket, Message)>),
    /// Tell the ESME that a subscriber can be reached again, if it is quick to hear.
    Alert(Arc<Alert>),
    /// Who brings what the account is owed; another one after a restart.
    Courier(ActorRef<CourierMsg>),
    /// Say goodbye: the account was changed, or the switch stops.
    Leave,
    /// (self) Octets came.
    Read { octets: Vec<u8>, permit: Permit },
    /// (self) A direction of the connection ended.
    Ended(String),
    /// (self) What the ESME asked has its answers.
    Answers(Vec<Answer>),
    /// (self) Something may be due.
    Tick,
}

/// What the supervisor is told.
#[derive(Debug)]
pub struct Bound {
    pub account: Arc<Account>,
    pub esme: ActorRef<EsmeMsg>,
    /// Whether it may be brought what the account is owed, and how.
    pub receives: Option<Receives>,
}

#[derive(Clone, Copy, Debug)]
pub struct Receives {
    pub window: usize,
    pub takes_tlvs: bool,
}

/// The behaviour.
pub struct Esme;

pub struct EsmeArgs {
    pub halves: (ReadHalf, WriteHalf),
    pub address: IpAddr,
    /// The connection's place among all; held until its socket is closed.
    pub place: Box<dyn Send + Sync>,
    /// Called once when it is bound: a place among the unbound is free again.
    pub on_bound: Box<dyn FnOnce() + Send + Sync>,
    /// Whom we have called, and what he is told: on his line nobody else binds.
    pub called: Option<(String, Outbind)>,
    pub accounts: Accounts,
    pub admission: Admission,
    pub writer: WriterHandle,
    pub store: store::Store,
    pub settings: Settings,
    pub write_patience: Duration,
    /// Tells the supervisor of a bind.
    pub bound: Box<dyn Fn(Bound) + Send + Sync>,
}

pub struct EsmeState {
    address: IpAddr,
    accounts: Accounts,
    admission: Admission,
    writer: WriterHandle,
    store: store::Store,
    bound: Box<dyn Fn(Bound) + Send + Sync>,
    on_bound: Option<Box<dyn FnOnce() + Send + Sync>>,
    called: Option<(String, Outbind)>,
    session: Session<Ticket>,
    wire: Wire,
    /// Permits of reads whose requests wait for answers: while held, reading stops.
    held: Vec<Permit>,
    account: Option<Arc<Account>>,
    /// Its place among the account's binds. The socket's tasks hold it too: it is free when this
    /// is over and the socket is closed.
    seat: Arc<OnceLock<Seat>>,
    /// Tells of the bind while it lasts, and of its end however it comes.
    presence: Option<Presence>,
    courier: Option<ActorRef<CourierMsg>>,
    tick: Option<(Instant, AbortHandle)>,
    /// Its questions that are being answered; they end with the connection.
    asking: JoinSet<()>,
}

impl Actor for Esme {
    type Msg = EsmeMsg;
    type State = EsmeState;
    type Arguments = EsmeArgs;

    async fn pre_start(
        &self,
        me: ActorRef<EsmeMsg>,
        args: EsmeArgs,
    ) -> Result<EsmeState, ActorProcessingErr> {
        let (reads, ends) = (me.clone(), me.clone());
        let seat = Arc::new(OnceLock::new());
        let place = Arc::new((args.place, Arc::clone(&seat)));
        let line = Line {
            halves: args.halves,
            gate: Gate::new(READS_MAX),
            write_patience: args.write_patience,
        };
        let wire = Wire::start(
            line,
            move |octets, permit| reads.send_message(EsmeMsg::Read { octets, permit }).is_ok(),
            move |reason| {
                // The reader and the writer hold the places: they are free when both are gone.
                let _ = &place;
                let _ = ends.send_message(EsmeMsg::Ended(reason));
            },
        );
        Ok(EsmeState {
            address: args.address,
            accounts: args.accounts,
            admission: args.admission,
            writer: args.writer,
            store: args.store,
            bound: args.bound,
            on_bound: Some(args.on_bound),
            called: args.called,
            session: Session::new(Role::Smsc, args.settings, now()),
            wire,
            held: Vec::new(),
            account: None,
            seat,
            presence: None,
            courier: None,
            tick: None,
            asking: JoinSet::new(),
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<EsmeMsg>,
        state: &mut EsmeState,
    ) -> Result<(), ActorProcessingErr> {
        let says = state.called.as_ref().map(|(_, says)| says.clone());
        let outbind = says.iter().map(Input::Outbind);
        state.step(&me, [Input::Connected].into_iter().chain(outbind).collect());
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<EsmeMsg>,
        message: EsmeMsg,
        state: &mut EsmeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EsmeMsg::Read { octets, permit } => state.read(&me, &octets, permit),
            EsmeMsg::Answers(answers) => state.answer(&me, &answers),
            EsmeMsg::Deliver(deliveries) => state.deliver(&me, &deliveries),
            EsmeMsg::Alert(alert) => state.alert(&me, &alert),
            EsmeMsg::Courier(courier) => state.attach(&me, courier),
            EsmeMsg::Leave => state.step(&me, vec![Input::Unbind]),
            EsmeMsg::Ended(reason) => state.end(&me, &reason),
            EsmeMsg::Tick => {
                state.tick = None;
                state.step(&me, vec![Input::Tick]);
            }
        }
        Ok(())
    }
}

impl Drop for EsmeState {
    fn drop(&mut self) {
        if let Some((_, timer)) = &self.tick {
            timer.abort();
        }
    }
}

impl EsmeState {
    fn read(&mut self, me: &ActorRef<EsmeMsg>, octets: &[u8], permit: Permit) {
        // The permit is the right to read on. Past the window of unanswered requests it is kept.
        self.held.push(permit);
        self.step(me, vec![Input::Bytes(octets)]);
        self.read_on();
    }

    fn read_on(&mut self) {
        let window = self.account.as_ref().map_or(1, |account| account.window_size);
        if self.session.owed() < window {
            self.held.clear();
        }
    }

    fn deliver(&mut self, me: &ActorRef<EsmeMsg>, deliveries: &[(Ticket, Message)]) {
        let inputs =
            deliveries.iter().map(|(ticket, message)| Input::Submit { message, tag: *ticket });
        self.step(me, inputs.collect());
    }

    /// What nobody waits for takes no room from what is owed.
    fn alert(&mut self, me: &ActorRef<EsmeMsg>, alert: &Alert) {
        let Some(account) = self.account.as_ref().filter(|_| self.session.is_bound()) else {
            return alerts::dropped("no_receiver");
        };
        if self.wire.waiting() >= ALERTS_BEHIND {
            return alerts::dropped("slow_receiver");
        }
        alerts::forwarded(&account.system_id);
        self.step(me, vec![Input::Alert(alert)]);
    }

    fn answer(&mut self, me: &ActorRef<EsmeMsg>, answers: &[Answer]) {
        if let Some(account) = &self.account
            && account.congestion_state
        {
            let load = self.writer.load_percent(account.organization);
            self.session.set_congestion(Some(load));
        }
        if let Some(presence) = &self.presence {
            let submits = answers.iter().filter(|answer| answer.is_of_submit());
            let (good, bad): (Vec<_>, Vec<_>) = submits.partition(|a| a.status().is_ok());
            presence.accepted.increment(good.len() as u64);
            presence.refused.increment(bad.len() as u64);
        }
        self.step(me, answers.iter().map(Answer::input).collect());
        self.read_on();
    }

    fn attach(&mut self, me: &ActorRef<EsmeMsg>, courier: ActorRef<CourierMsg>) {
        if let Some(Receives { window, takes_tlvs }) = self.receives() {
            let attach = CourierMsg::Attach { esme: me.clone(), window, takes_tlvs };
            let _ = courier.send_message(attach);
            self.courier = Some(courier);
        }
    }

    fn receives(&self) -> Option<Receives> {
        let account = self.account.as_ref()?;
        let bind = self.session.bind().filter(|bind| bind.kind.receives())?;
        Some(Receives { window: account.window_size, takes_tlvs: bind.takes_tlvs() })
    }

    /// Feeds the session, obeys it, and sends all octets with one write.
    fn step(&mut self, me: &ActorRef<EsmeMsg>, inputs: Vec<Input<'_, Ticket>>) {
        let (mut outputs, mut octets, mut close) = (Vec::new(), Vec::new(), None);
        let at = now();
        for input in inputs {
            close = close.or(self.session.step_into(at, input, &mut outputs, &mut octets));
        }
        let mut pending = Pending::default();
        let (mut delivered, mut refused) = (Vec::new(), Vec::new());
        // A bind that is let in may have requests behind it, so there may be more to obey.
        let mut outputs = std::collections::VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::BindRequested(bind) => {
                    let mut more = Vec::new();
                    let decided = self.decide(&bind);
                    let reason = self.session.step_into(at, decided, &mut more, &mut octets);
                    close = close.or(reason);
                    outputs.extend(more);
                }
                Output::Bound => self.become_bound(me),
                Output::Request { command, sequence, message } => {
                    pending.messages.push((command, sequence, message));
                }
                Output::RequestMulti { sequence, multi } => pending.multis.push((sequence, multi)),
                Output::Asked { sequence, ask } => pending.asked.push((sequence, ask)),
                Output::Answered { tag, status, .. } => delivered.push((tag, Some(status))),
                Output::TimedOut { tag } => delivered.push((tag, None)),
                Output::Refused { tag } => refused.push(tag),
                Output::Noticed(_)
                | Output::BindRefused(_)
                | Output::Transmit(_)
                | Output::Close(_) => {}
            }
        }
        self.tell_courier(me, delivered, refused);
        self.serve(me, pending);
        let stuck = !octets.is_empty() && self.wire.write(octets).is_err();
        match close {
            Some(reason) => self.closing(me, reason),
            None if stuck => self.end(me, "the peer reads nothing"),
            None => self.rest_until_due(me),
        }
    }

    /// Says what became of deliveries. What a bind refuses while it stays is tried again later.
    fn tell_courier(
        &self,
        me: &ActorRef<EsmeMsg>,
        mut answers: Vec<(Ticket, Option<CommandStatus>)>,
        refused: Vec<Ticket>,
    ) {
        let Some(courier) = &self.courier else { return };
        let esme = me.get_id();
        if self.session.is_bound() {
            answers.extend(refused.into_iter().map(|ticket| (ticket, None)));
        } else if !refused.is_empty() {
            let _ = courier.send_message(CourierMsg::Leaving { esme, back: refused });
        }
        if !answers.is_empty() {
            let _ = courier.send_message(CourierMsg::Answered { esme, answers });
        }
    }

    fn decide(&mut self, bind: &Bind) -> Input<'static, Ticket> {
        if bind.system_id.len() > 64 || bind.password.len() > 64 {
            return Input::Refuse(CommandStatus::BINDFAIL);
        }
        let expected = self
            .called
            .as_ref()
            .is_none_or(|(system_id, _)| *system_id == bind.system_id && bind.kind.receives());
        if !expected {
            return Input::Refuse(CommandStatus::BINDFAIL);
        }
        let asking = Asking {
            system_id: &bind.system_id,
            password: &bind.password,
            kind: bind.kind,
            address: self.address,
        };
        match self.accounts.admit(&asking, now()) {
            Ok((account, seat)) => {
                self.session.set_window(account.window_size);
                self.account = Some(account);
                // A session asks for one bind alone.
                let _ = self.seat.set(seat);
                Input::Accept
            }
            Err(status) => {
                let (address, status_name) = (self.address, status.name());
                tracing::info!(%address, status = status_name, "a bind is refused");
                counter!("orbit_esme_binds_refused_total").increment(1);
                Input::Refuse(status)
            }
        }
    }

    fn become_bound(&mut self, me: &ActorRef<EsmeMsg>) {
        if let Some(on_bound) = self.on_bound.take() {
            on_bound();
        }
        let Some(account) = &self.account else { return };
        let (system_id, address) = (&account.system_id, self.address);
        tracing::info!(account = %system_id, %address, "an ESME is bound");
        let account = Arc::clone(account);
        let kind = self.session.bind().map_or("", |bind| kind_name(bind.kind));
        let writer = self.writer.clone();
        self.presence = Some(Presence::begin(&account, kind, address, writer));
        (self.bound)(Bound { account, esme: me.clone(), receives: self.receives() });
    }

    /// Looks at what was asked for; what passes goes to the writer, all of it at once.
    fn serve(&mut self, me: &ActorRef<EsmeMsg>, pending: Pending) {
        if pending.is_empty() {
            return;
        }
        let Some(account) = &self.account else { return };
        let account = Arc::clone(account);
        let now_at = At::now();
        let mut batch = answers::Batch::new(account.id_format);
        let wanted = pending.wanted();
        let mut granted = account.pace(now(), wanted + pending.asked.len());
        if granted < wanted
            && let Some(presence) = &self.presence
        {
            presence.throttled.increment((wanted - granted) as u64);
        }
        for (command, sequence, message) in &pending.messages {
            if granted == 0 {
                batch.refuse(*command, *sequence, CommandStatus::THROTTLED);
                continue;
            }
            granted -= 1;
            let read =
                submit::read(&account, &self.admission, message, &message.destination, now_at);
            match read {
                Ok(read) => batch.submit(*command, *sequence, submission(&account, read)),
                Err(status) => batch.refuse(*command, *sequence, status),
            }
        }
        for (sequence, multi) in &pending.multis {
            let count = multi.destinations.len().min(granted);
            granted -= count;
            self.serve_multi(&account, *sequence, (multi, count), now_at, &mut batch);
        }
        batch.send(me, &self.writer, &self.store);
        let asked = self.within_pace(me, pending.asked, granted);
        if !asked.is_empty() {
            let desk = questions::Desk {
                writer: self.writer.clone(),
                store: self.store.clone(),
                admission: self.admission.clone(),
                account,
                speaks_50: self.session.bind().is_some_and(Bind::speaks_50),
            };
            // Those that are answered are forgotten.
            while self.asking.try_join_next().is_some() {}
            self.asking.spawn(questions::look_up(me.clone(), desk, asked));
        }
    }

    /// The questions that the account may ask now; the rest is throttled.
    fn within_pace(
        &self,
        me: &ActorRef<EsmeMsg>,
        mut asked: Vec<(u32, Box<Ask>)>,
        granted: usize,
    ) -> Vec<(u32, Box<Ask>)> {
        let over = asked.split_off(granted.min(asked.len()));
        if !over.is_empty() {
            let throttled = over.into_iter().map(|(sequence, ask)| Answer::Asked {
                command: ask.command(),
                sequence,
                status: CommandStatus::THROTTLED,
            });
            let _ = me.send_message(EsmeMsg::Answers(throttled.collect()));
        }
        asked
    }

    fn serve_multi(
        &self,
        account: &Account,
        sequence: u32,
        (multi, granted): (&Multi, usize),
        now: At,
        batch: &mut answers::Batch,
    ) {
        let mut taken = Vec::new();
        let mut unsuccessful = Vec::new();
        for (place, destination) in multi.destinations.iter().enumerate() {
            match destination {
                // Its pace lets in the first of them.
                Destination::Address(address) if place >= granted => {
                    let status = CommandStatus::THROTTLED;
                    unsuccessful.push(Unsuccessful { address: address.clone(), status });
                }
                Destination::Address(address) => {
                    match submit::read(account, &self.admission, &multi.message, address, now) {
                        Ok(read) => taken.push((address.clone(), submission(account, read))),
                        Err(status) => {
                            unsuccessful.push(Unsuccessful { address: address.clone(), status });
                        }
                    }
                }
                // There are no distribution lists here.
                Destination::List(name) => unsuccessful.push(Unsuccessful {
                    address: Address::new(0, 0, name),
                    status: CommandStatus::INVDLNAME,
                }),
            }
        }
        if multi.destinations.is_empty() {
            batch.refuse(CommandId::SUBMIT_MULTI, sequence, CommandStatus::INVNUMDESTS);
        } else {
            batch.submit_multi(sequence, taken, unsuccessful);
        }
    }

    /// The session is over; the socket is closed once the last octets are written.
    fn closing(&mut self, me: &ActorRef<EsmeMsg>, reason: CloseReason) {
        self.end(me, reason.name());
    }

    fn end(&mut self, me: &ActorRef<EsmeMsg>, reason: &str) {
        if let Some(account) = &self.account {
            let (account, address) = (&account.system_id, self.address);
            tracing::info!(%account, %address, reason, "an ESME is gone");
        }
        if let Some(presence) = &mut self.presence {
            presence.ends(reason);
        }
        if let Some(courier) = self.courier.take() {
            let _ = courier.send_message(CourierMsg::Detach { esme: me.get_id() });
        }
        self.wire.finish();
        me.stop(None);
    }

    fn rest_until_due(&mut self, me: &ActorRef<EsmeMsg>) {
        let due = Instant::from_std(self.session.deadline());
        if self.tick.as_ref().is_some_and(|(at, _)| *at <= due) {
            return;
        }
        if let Some((_, timer)) = self.tick.take() {
            timer.abort();
        }
        let rest = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let timer = me.send_after(rest, || EsmeMsg::Tick);
        self.tick = Some((due, timer.abort_handle()));
    }
}

fn kind_name(kind: BindKind) -> &'static str {
    match kind {
        BindKind::Transmitter => "transmitter",
        BindKind::Receiver => "receiver",
        BindKind::Transceiver => "transceiver",
    }
}

pub(super) fn submission(account: &Account, read: submit::Read) -> Submission {
    Submission {
        organization: account.organization,
        credential: Credential::SmppAccount(account.id),
        idempotency: read.idempotency,
        batch: None,
        messages: vec![read.message],
    }
}

/// The moment as the sans-IO session takes it; follows tokio's clock, so that tests can pause it.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// What an answer to a submit tells its ESME: a status, and on success the message's number.
pub(super) fn told(answer: &AcceptAnswer) -> Result<Told, CommandStatus> {
    match answer {
        Ok(Accepted::Fresh { first, .. }) => Ok(Told::Number(first.0)),
        Ok(Accepted::Replayed { reference }) => Ok(Told::Reference(*reference)),
        Ok(Accepted::Nothing { .. }) => Err(CommandStatus::SUBMITFAIL),
        Err(refusal) => Err(status::of(refusal)),
    }
}

/// Which message it became: by number, or by the id of an earlier one whose number must be read.
pub(super) enum Told {
    Number(i64),
    Reference(model::id::PublicId),
}
