//! One shard: the transactions of the Call-IDs that are its own, and who serves a request.
//!
//! Started by the supervisor of SIP. Sockets reach it through a gate; what it sends goes out at once, by flow.
//! REGISTER goes to the registrar, OPTIONS is answered here, what belongs to a call goes to who serves calls, and
//! what answers requests of ours that are of no call to who waits for it.
//! When it dies its transactions are lost: peers send again what was not answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_sip::header::Reason;
use proto_sip::transaction::{self, Output, SentBy, ServerId, Transactions};
use proto_sip::{Answer, Builder, Message, Method, Name, StatusCode};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rand::RngExt as _;

use super::calls::{CallEvent, Calls};
use super::flow::Flow;
use super::inbox::{Inbound, unavailable};
use super::own::{Own, is_own};
use super::registrar::{Asked, RegistrarHandle};
use super::transport::Wire;

/// A mark of a request of ours: whose it is.
pub type Mark = u64;

/// How exactly timers are kept.
const TICK: Duration = Duration::from_millis(20);
/// What we serve.
pub const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, NOTIFY";
/// Extensions that we speak.
pub const SUPPORTED: &str = "path, outbound, replaces, timer, 100rel";

#[derive(Debug)]
pub enum ShardMsg {
    /// From the sockets.
    Inbound(Inbound),
    /// Answers to requests that were given out.
    Respond(Vec<(ServerId, Bytes)>),
    /// A request of ours, without Via.
    Request(Request),
    /// An ACK of a 2xx, without Via.
    Ack { flow: Flow, octets: Bytes },
    /// Gives up the INVITE of that mark, for these reasons.
    Cancel { mark: Mark, reasons: Vec<Reason> },
    /// (self) Timers may be due.
    Tick,
}

/// A request of ours.
#[derive(Debug)]
pub struct Request {
    pub flow: Flow,
    pub mark: Mark,
    pub octets: Bytes,
}

/// The behaviour.
pub struct Shard;

/// What a shard works with. A clone is the same.
#[derive(Clone)]
pub struct ShardArgs {
    pub wire: Wire,
    pub registrar: RegistrarHandle,
    pub calls: Arc<dyn Calls>,
    pub own: Own,
    pub settings: transaction::Settings,
    pub retry_after_s: u64,
}

pub struct ShardState {
    args: ShardArgs,
    transactions: Transactions<Flow, Mark>,
    out: Vec<Output<Flow, Mark>>,
    /// REGISTERs of this turn.
    registers: Vec<Asked>,
    ticking: bool,
}

impl transaction::Flow for Flow {
    fn transport(&self) -> proto_sip::header::Transport {
        self.kind().transport()
    }

    fn peer(&self) -> std::net::SocketAddr {
        Self::peer(self)
    }

    fn to_port(self, port: u16) -> Self {
        Self::to_port(self, port)
    }
}

impl Actor for Shard {
    type Msg = ShardMsg;
    type State = ShardState;
    type Arguments = ShardArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<ShardMsg>,
        args: ShardArgs,
    ) -> Result<ShardState, ActorProcessingErr> {
        let transactions = Transactions::new(args.settings.clone(), now(), rand::rng().random());
        let (out, registers) = (Vec::new(), Vec::new());
        Ok(ShardState { args, transactions, out, registers, ticking: false })
    }

    async fn handle(
        &self,
        me: ActorRef<ShardMsg>,
        message: ShardMsg,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        let now = now();
        let ShardState { transactions, out, .. } = state;
        match message {
            ShardMsg::Inbound(Inbound::Messages(batch, permit)) => {
                for received in batch {
                    transactions.receive(now, received.flow, received.message, out);
                }
                drop(permit);
            }
            ShardMsg::Inbound(Inbound::Lost(flow)) => transactions.flow_lost(now, flow, out),
            ShardMsg::Respond(answers) => {
                for (id, octets) in answers {
                    match challenges(&octets) {
                        true => transactions.refuse_once(now, id, octets, out),
                        false => transactions.respond(now, id, octets, out),
                    }
                }
            }
            ShardMsg::Request(request) => state.request(request, now),
            ShardMsg::Ack { flow, octets } => {
                let sent_by = sent_by(&state.args.wire, flow);
                state.transactions.ack(flow, &sent_by, &octets, &mut state.out);
            }
            ShardMsg::Cancel { mark, reasons } => transactions.cancel(now, mark, &reasons, out),
            ShardMsg::Tick => {
                state.ticking = false;
                state.transactions.tick(now, &mut state.out);
            }
        }
        state.obey(&me, now);
        state.wait(&me);
        Ok(())
    }
}

impl ShardState {
    fn request(&mut self, request: Request, now: Instant) {
        let Request { flow, mark, octets } = request;
        let sent_by = sent_by(&self.args.wire, flow);
        self.transactions.request(now, flow, &sent_by, mark, &octets, &mut self.out);
    }

    /// Does what the transactions want, until they want nothing more.
    fn obey(&mut self, me: &ActorRef<ShardMsg>, now: Instant) {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                self.one(me, now, output);
            }
        }
        if !self.registers.is_empty() {
            let asked = std::mem::take(&mut self.registers);
            self.args.registrar.ask(asked);
        }
    }

    fn one(&mut self, me: &ActorRef<ShardMsg>, now: Instant, output: Output<Flow, Mark>) {
        let calls = &self.args.calls;
        match output {
            Output::Transmit { flow, octets } => {
                // A flow that is gone is told by the connection's end, not by each message.
                let _ = self.args.wire.send(flow, octets);
            }
            Output::TransmitAnew { flow, to, octets } => {
                // Only by a connection that is there: nobody makes us connect with a Via.
                if let Some(other) = self.args.wire.find(flow.kind(), to) {
                    let _ = self.args.wire.send(other, octets);
                }
            }
            Output::Request { id, flow, message } => self.serve(me, now, (id, flow, message)),
            Output::Cancelled { invite, flow, message } => {
                calls.take(me, CallEvent::Cancelled { invite, flow, message });
            }
            Output::Ack { flow, message } => calls.take(me, CallEvent::Ack { flow, message }),
            Output::Response { mark, message, .. } if is_own(mark) => {
                self.args.own.take(mark, Ok(message));
            }
            Output::Failed { mark, why } if is_own(mark) => self.args.own.take(mark, Err(why)),
            Output::Response { mark, flow, message } => {
                calls.take(me, CallEvent::Response { mark, flow, message });
            }
            Output::Failed { mark, why } => calls.take(me, CallEvent::Failed { mark, why }),
            Output::Unanswered { id } => calls.take(me, CallEvent::Unanswered { invite: id }),
            Output::AckMissing { .. } => {}
        }
    }

    fn serve(
        &mut self,
        me: &ActorRef<ShardMsg>,
        now: Instant,
        (id, flow, message): (ServerId, Flow, Message),
    ) {
        let begins = message.to().is_ok_and(|to| to.tag().is_none());
        let Some(method) = message.method() else { return };
        let octets = match method {
            Method::Register => return self.register(me, now, (id, flow, message)),
            Method::Options if begins => answer(&message, StatusCode::OK, None, capabilities),
            Method::Invite
            | Method::Bye
            | Method::Prack
            | Method::Update
            | Method::Info
            | Method::Refer
            | Method::Notify
            | Method::Options => {
                return self.args.calls.take(me, CallEvent::Request { id, flow, message });
            }
            // Nobody may send to us what no call has agreed on.
            Method::Subscribe | Method::Publish => {
                answer(&message, StatusCode::BAD_EVENT, None, |_| {})
            }
            _ => answer(&message, StatusCode::METHOD_NOT_ALLOWED, None, |builder| {
                builder.header(Name::Allow, ALLOW);
            }),
        };
        if let Some(octets) = octets {
            self.transactions.respond(now, id, octets, &mut self.out);
        }
    }

    fn register(
        &mut self,
        me: &ActorRef<ShardMsg>,
        now: Instant,
        (id, flow, message): (ServerId, Flow, Message),
    ) {
        match self.args.registrar.enter() {
            Some(permit) => {
                self.registers.push(Asked { shard: me.clone(), id, flow, message, permit });
            }
            None => {
                if let Some(octets) = unavailable(&message, flow, self.args.retry_after_s) {
                    self.transactions.respond(now, id, octets, &mut self.out);
                }
            }
        }
    }

    /// Comes back as long as there is something to wait for.
    fn wait(&mut self, me: &ActorRef<ShardMsg>) {
        if !self.ticking && self.transactions.deadline().is_some() {
            self.ticking = true;
            me.send_after(TICK, || ShardMsg::Tick);
        }
    }
}

/// Whether an answer asks who somebody is. Such a one is not kept nor sent again: the address may be
/// another's, and who means it asks again.
fn challenges(answer: &[u8]) -> bool {
    answer.starts_with(b"SIP/2.0 401 ") || answer.starts_with(b"SIP/2.0 407 ")
}

fn capabilities(builder: &mut Builder) {
    builder.header(Name::Allow, ALLOW);
    builder.header(Name::Accept, "application/sdp");
    builder.header(Name::Supported, SUPPORTED);
}

fn sent_by(wire: &Wire, flow: Flow) -> SentBy {
    let (host, port) = wire.own_address(flow);
    SentBy::new(&host, Some(port))
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// An answer with a tag of its own, and what `more` adds.
pub(super) fn answer(
    request: &Message,
    status: StatusCode,
    reason: Option<&str>,
    more: impl FnOnce(&mut Builder),
) -> Option<Bytes> {
    let tag = format!("{:016x}", rand::rng().random::<u64>());
    let given = Answer { source: None, tag: Some(&tag), reason };
    let mut builder = Builder::answer(request, status, given);
    more(&mut builder);
    builder.finish().ok()
}
