//! Minds one trunk: asks it whether it is there (OPTIONS), and keeps us registered with it (REGISTER).
//!
//! trunks ─ Minder      this file; one per trunk that is asked or registers
//!
//! `send` is how a request of its goes out and what is waited for. The arithmetic of a registration is
//! `proto-sip`'s. It waits for nobody: names, connections and answers are waited for in tasks that tell it,
//! one for each of the two at a time. What it knows others read in the trunk's `Live`. When it dies the next
//! one asks again, and registers the same contact again. It is told to leave when the trunk is gone or is
//! another one, and when the process ends: then it ends the registration first, within a few seconds.

mod send;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::clock::At;
use model::event::EventKind;
use model::id::{Kind as IdKind, PublicId};
use proto_sip::registration::{Chance, Next, Registration, Settings, Status};
use proto_sip::transaction::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef, MessagingErr};
use rand::RngExt as _;
use serde_json::json;
use store::lane::{Admin, Work};
use tokio::task::{AbortHandle, JoinHandle};

use super::flow::Flow;
use super::names::Names;
use super::own::{Answered, Own};
use super::shard::ShardMsg;
use super::transport::Wire;
use super::trunks::{Health, Registered, Running, Standing, Trunk, Trunks};
use crate::smpp::tls::Tls;
use crate::writer::{Then, WriterHandle};
use send::Reach;

/// Why a minder has stopped that was told to leave.
pub const LEFT: &str = "left";
/// How long the end of a registration may take.
pub const LEAVE: Duration = Duration::from_secs(3);
/// A ping that was not answered within this time was missed.
const PING_PATIENCE: Duration = Duration::from_secs(8);
/// Longer than a transaction lasts.
const REGISTER_PATIENCE: Duration = Duration::from_secs(35);
/// How often it is looked whether the connection of a registration is still there.
const LOOK: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub enum MinderMsg {
    /// The trunk has changed in what does not concern its registration.
    Changed(Arc<Running>),
    /// The trunk is gone, or the process ends.
    Leave,
    /// (self) What a request of ours may go over.
    Reached { errand: Errand, number: u64, reach: Reach },
    /// (self) What it was answered.
    Answered { errand: Errand, number: u64, flow: Flow, answered: Answered },
    /// (self) Something may be due.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    Ping,
    Register,
}

/// Who has the transactions of a Call-ID.
pub type ShardOf = Box<dyn Fn(&[u8]) -> Option<ActorRef<ShardMsg>> + Send + Sync>;

/// What minders share.
pub struct Ways {
    /// The sockets of this life of SIP.
    pub wire: Box<dyn Fn() -> Option<Wire> + Send + Sync>,
    /// The shard of a Call-ID.
    pub shard: ShardOf,
    pub own: Own,
    pub names: Names,
    pub trunks: Trunks,
    /// How trunks over TLS are known.
    pub tls: Option<Tls>,
    pub writer: WriterHandle,
    pub registration: Settings,
    /// Between two tellings of a trunk's health.
    pub tell: Duration,
}

/// The behaviour.
pub struct Minder;

/// A trunk, and within which time it is asked first: not all at once.
pub struct MinderArgs {
    pub ways: Arc<Ways>,
    pub running: Arc<Running>,
    pub spread: Duration,
}

pub struct MinderState {
    ways: Arc<Ways>,
    me: ActorRef<MinderMsg>,
    running: Arc<Running>,
    ping_at: Option<Instant>,
    ping: Option<Task>,
    registration: Option<Registration>,
    register: Option<Task>,
    /// What our registration goes over; it stays open as long as we are registered.
    held: Option<Held>,
    contact: String,
    /// Of the requests; an answer to an earlier one is not waited for any more.
    number: u64,
    told_down: bool,
    tell_from: Instant,
    leaves_by: Option<Instant>,
    timer: Option<JoinHandle<Result<(), MessagingErr<MinderMsg>>>>,
}

/// A task with the number of its request; it ends with this.
struct Task(u64, AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// A connection that does not close for being idle.
struct Held(Wire, Flow);

impl Held {
    fn new(wire: Wire, flow: Flow) -> Self {
        wire.hold(flow);
        Self(wire, flow)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// Whether a trunk has a minder.
#[must_use]
pub fn is_minded(trunk: &Trunk) -> bool {
    let asks = trunk.enabled && trunk.target.is_some() && trunk.ping.is_some();
    asks || trunk.registers()
}

/// Whether the minder of one may go on with the other.
#[must_use]
pub fn is_same(one: &Trunk, other: &Trunk) -> bool {
    let facts = |trunk: &Trunk| {
        let Trunk { id, organization, target, username, password, .. } = trunk.clone();
        (id, organization, target, username, password, trunk.registers())
    };
    facts(one) == facts(other)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn chance() -> Chance {
    Chance(rand::rng().random())
}

fn why(failure: Failure) -> &'static str {
    match failure {
        Failure::TimedOut => "it did not answer in time",
        Failure::Transport => "there is no connection to it",
        Failure::Full | Failure::NotARequest => "the request could not be sent",
    }
}

impl Actor for Minder {
    type Msg = MinderMsg;
    type State = MinderState;
    type Arguments = MinderArgs;

    async fn pre_start(
        &self,
        me: ActorRef<MinderMsg>,
        args: MinderArgs,
    ) -> Result<MinderState, ActorProcessingErr> {
        let MinderArgs { ways, running, spread } = args;
        let from = now() + spread.mul_f64(rand::rng().random());
        let trunk = &running.trunk;
        let registration = trunk
            .registers()
            .then(|| send::parts(trunk, &ways.registration))
            .flatten()
            .map(|parts| Registration::new(parts, from));
        // Who was told our contact before may go on calling it.
        let registrar = running.live.standing().registrar;
        running.live.stands(Standing { registrar, ..Standing::default() });
        Ok(MinderState {
            ping_at: trunk.ping.map(|_| from),
            ping: None,
            registration,
            register: None,
            held: None,
            contact: String::new(),
            number: 0,
            told_down: running.live.health() == Health::Down,
            tell_from: from,
            leaves_by: None,
            timer: None,
            ways,
            me,
            running,
        })
    }

    async fn post_start(
        &self,
        _me: ActorRef<MinderMsg>,
        state: &mut MinderState,
    ) -> Result<(), ActorProcessingErr> {
        state.settle();
        Ok(())
    }

    async fn handle(
        &self,
        _me: ActorRef<MinderMsg>,
        message: MinderMsg,
        state: &mut MinderState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MinderMsg::Changed(running) => state.changed(running),
            MinderMsg::Leave => state.leave(),
            MinderMsg::Reached { errand, number, reach } => {
                if state.is_awaited(errand, number) {
                    state.reached(errand, reach);
                }
            }
            MinderMsg::Answered { errand, number, flow, answered } => {
                if state.is_awaited(errand, number) {
                    state.answered(errand, flow, answered);
                }
            }
            MinderMsg::Tick => state.tick(),
        }
        state.settle();
        Ok(())
    }
}

impl MinderState {
    fn is_awaited(&self, errand: Errand, number: u64) -> bool {
        let task = match errand {
            Errand::Ping => &self.ping,
            Errand::Register => &self.register,
        };
        task.as_ref().is_some_and(|task| task.0 == number)
    }

    fn changed(&mut self, running: Arc<Running>) {
        if self.running.trunk.ping != running.trunk.ping {
            (self.ping, self.ping_at) = (None, running.trunk.ping.map(|_| now()));
            if running.trunk.ping.is_none() {
                running.live.unasked();
            }
        }
        self.running = running;
    }

    fn leave(&mut self) {
        if self.leaves_by.is_some() {
            return;
        }
        let now = now();
        self.leaves_by = Some(now + LEAVE);
        (self.ping, self.ping_at, self.register) = (None, None, None);
        if let Some(registration) = &mut self.registration {
            registration.leave(now);
        }
    }

    fn tick(&mut self) {
        let now = now();
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = self.running.trunk.ping.map(|every| now + every);
            if self.ping.is_none() {
                self.ping = Some(self.reach(Errand::Ping));
            }
        }
        if let (Some(registration), Some(Held(wire, flow))) = (&mut self.registration, &self.held)
            && !wire.is_open(*flow)
        {
            // Nobody who is called by it is reached any more.
            self.held = None;
            registration.renew(now);
        }
        let due = self.registration.as_ref().and_then(Registration::due);
        if due.is_some_and(|due| due <= now) && self.register.is_none() {
            self.register = Some(self.reach(Errand::Register));
        }
    }

    fn reached(&mut self, errand: Errand, reach: Reach) {
        match (errand, reach) {
            (Errand::Ping, Reach::Is(wire, flow)) => {
                let (octets, call_id) = send::options(&self.running.trunk, &wire, flow);
                let patience = self.running.trunk.ping.unwrap_or(PING_PATIENCE);
                let patience = patience.min(PING_PATIENCE);
                self.ping =
                    octets.map(|octets| self.ask(errand, (flow, &call_id, octets), patience));
            }
            // What is not served asks nobody, and nobody is to blame.
            (Errand::Ping, Reach::Rests) => self.ping = None,
            (Errand::Ping, Reach::Nowhere(why)) => self.missed(&why),
            (Errand::Register, Reach::Is(wire, flow)) => {
                self.contact = send::contact(&self.running, &wire, flow);
                self.register(flow);
                self.held = Some(Held::new(wire, flow));
            }
            (Errand::Register, Reach::Rests) => self.lost("SIP is not served now"),
            (Errand::Register, Reach::Nowhere(why)) => self.lost(&why),
        }
    }

    /// Sends the next REGISTER.
    fn register(&mut self, flow: Flow) {
        let Some(registration) = &mut self.registration else { return };
        match registration.request(&self.contact, chance()) {
            Ok(octets) => {
                let call_id = registration.call_id().to_owned();
                let asked = (flow, call_id.as_str(), octets);
                self.register = Some(self.ask(Errand::Register, asked, REGISTER_PATIENCE));
            }
            Err(error) => self.lost(&error.to_string()),
        }
    }

    fn answered(&mut self, errand: Errand, flow: Flow, answered: Answered) {
        match &answered {
            Ok(_) => self.ways.names.answered(flow.peer()),
            Err(Failure::Full) => {}
            Err(_) => self.ways.names.failed(flow.peer()),
        }
        match (errand, answered) {
            (Errand::Ping, Ok(_)) => {
                self.ping = None;
                self.running.live.answered();
                metrics::counter!("orbit_trunk_pings_total", "outcome" => "answered").increment(1);
            }
            (Errand::Ping, Err(Failure::Full)) => self.ping = None,
            (Errand::Ping, Err(failure)) => self.missed(why(failure)),
            (Errand::Register, Ok(answer)) => {
                self.register = None;
                let Some(registration) = &mut self.registration else { return };
                match registration.heard(now(), &answer, &self.contact, chance()) {
                    Next::Again => self.register(flow),
                    Next::Wait => self.registered(),
                }
            }
            (Errand::Register, Err(failure)) => self.lost(why(failure)),
        }
    }

    fn missed(&mut self, why: &str) {
        self.ping = None;
        self.running.live.missed(why);
        metrics::counter!("orbit_trunk_pings_total", "outcome" => "missed").increment(1);
    }

    /// A REGISTER was not answered.
    fn lost(&mut self, why: &str) {
        self.register = None;
        if let Some(registration) = &mut self.registration {
            registration.lost(now(), why, chance());
        }
        self.registered();
    }

    /// Something became of the registration.
    fn registered(&mut self) {
        let Some(registration) = &self.registration else { return };
        let status = registration.status(now());
        let outcome = match (status, registration.error()) {
            (Status::Over, _) => "ended",
            (Status::Registered, None) => "granted",
            _ => "failed",
        };
        metrics::counter!("orbit_trunk_registers_total", "outcome" => outcome).increment(1);
        if let Some(error) = registration.error() {
            let trunk = &self.running.trunk.name;
            tracing::warn!(%trunk, error, "a trunk's registrar does not keep us");
        }
    }

    /// Shows how it stands, and waits for what comes next.
    fn settle(&mut self) {
        let now = now();
        self.tell(now);
        self.show(now);
        let over = self.registration.as_ref().is_none_or(|r| r.status(now) == Status::Over);
        if self.leaves_by.is_some_and(|by| by <= now || over) {
            self.me.stop(Some(String::from(LEFT)));
            return;
        }
        let registration = self.registration.as_ref();
        // One that is under way tells by itself.
        let due = registration.and_then(Registration::due).filter(|_| self.register.is_none());
        let until = registration.and_then(Registration::until).filter(|until| *until > now);
        let look = self.held.as_ref().filter(|held| !held.1.is_udp()).map(|_| now + LOOK);
        let owed = (self.running.live.health() == Health::Down) != self.told_down;
        let tell = Some(self.tell_from).filter(|_| owed);
        let all = [self.ping_at, due, until, look, tell, self.leaves_by];
        let Some(next) = all.into_iter().flatten().min() else { return };
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let wait = next.saturating_duration_since(now);
        self.timer = Some(self.me.send_after(wait, || MinderMsg::Tick));
    }

    fn show(&mut self, now: Instant) {
        let Some(registration) = &self.registration else { return };
        let status = registration.status(now);
        let registered = match status {
            Status::Trying => Registered::Trying,
            Status::Registered => Registered::Yes,
            Status::Failed => Registered::Failed,
            Status::Over => Registered::Over,
        };
        let is_there = status == Status::Registered;
        let left = registration.until().map(|until| until.saturating_duration_since(now));
        let place = self.held.as_ref().map(|held| held.1.peer().ip().to_canonical());
        let before = self.running.live.standing().registrar;
        let registrar = match status {
            Status::Registered => place.or(before),
            Status::Trying => before,
            Status::Failed | Status::Over => None,
        };
        self.running.live.stands(Standing {
            registered,
            expires_at: left.filter(|_| is_there).map(|left| At::now().plus(left)),
            error: registration.error().map(str::to_owned),
            registrar,
        });
        if !is_there && self.register.is_none() {
            self.held = None;
        }
    }

    /// Tells whoever it concerns when the trunk is down, and when it is there again; not more often than
    /// it is worth, and then how it stands.
    fn tell(&mut self, now: Instant) {
        let live = &self.running.live;
        let down = live.health() == Health::Down;
        if down == self.told_down || now < self.tell_from {
            return;
        }
        (self.told_down, self.tell_from) = (down, now + self.ways.tell);
        let Trunk { id, organization, name, .. } = &self.running.trunk;
        let error = Some(live.last_error()).filter(|_| down);
        match &error {
            Some(error) => {
                tracing::warn!(trunk = %name, error, "a trunk is down: calls try it last")
            }
            None => tracing::info!(trunk = %name, "a trunk is up again"),
        }
        let Some(organization) = *organization else { return };
        let kind = if down { EventKind::TrunkDown } else { EventKind::TrunkUp };
        let detail = detail(*id, name, live.health(), error).to_string();
        let admin = vec![Admin::Tell { organization, kind, detail }];
        // Without a writer it is told by the next change.
        let _ = self.ways.writer.ask(Work { admin, ..Work::default() }, Then::new(|_| {}));
    }
}

fn detail(id: PublicId, name: &str, health: Health, error: Option<String>) -> serde_json::Value {
    json!({
        "trunk_id": id.show(IdKind::Trunk),
        "name": name,
        "health": health.as_str(),
        "last_error": error,
    })
}

impl Drop for MinderState {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        // Nobody knows any more how it is.
        self.running.live.unasked();
        let standing = self.running.live.standing();
        let registered =
            if self.leaves_by.is_some() { Registered::Over } else { Registered::Trying };
        self.running.live.stands(Standing { registered, expires_at: None, ..standing });
    }
}
