//! SIP's supervisor: the sockets and connections, the registrar, the shards.
//!
//! sip                      this file
//! ├─ wire                  tasks: one per UDP socket, per door, per connection
//! ├─ registrar             alone; back after a rest when it fails, with what is stored
//! └─ shard                 one for each part of the Call-IDs; back after a rest when it fails
//!
//! What a shard knew of transactions is lost with it, and peers send again. When this dies all connections
//! close; what is registered over UDP stays.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use actors::places::Places;
use actors::sip::calls::Calls;
use actors::sip::credentials::Credentials;
use actors::sip::flow::Kind;
use actors::sip::inbox::Inbox;
use actors::sip::own::Own;
use actors::sip::registrar::{Registrar, RegistrarArgs, RegistrarHandle, RegistrarMsg};
use actors::sip::shard::{Shard, ShardArgs, ShardMsg};
use actors::sip::shield::Shield;
use actors::sip::transport::listener::listen;
use actors::sip::transport::{Limits, Names, Parts, Wire};
use actors::writer::WriterHandle;
use metrics::counter;
use proto_sip::binding::Policy as Bindings;
use proto_sip::digest::{Algorithm, Nonces};
use proto_sip::transaction::Settings;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use rand::RngExt as _;
use store::Store;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::restart::{Log, Policy};

pub enum SipMsg {
    /// (self) A child's rest is over.
    Start(Child),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Child {
    Registrar,
    Shard(usize),
}

/// Sockets made by boot, so that a taken port fails the start itself.
#[derive(Default)]
pub struct Sockets {
    pub udp: Vec<std::net::UdpSocket>,
    pub doors: Vec<(std::net::TcpListener, Option<TlsAcceptor>)>,
    /// Where WebSockets are served, by whoever serves HTTP.
    pub web: Option<(Kind, SocketAddr)>,
}

/// The sockets and shards as they live now, for who is outside of the tree. A clone is the same.
#[derive(Clone, Default)]
pub struct SipHandle(Arc<RwLock<Current>>);

#[derive(Default)]
struct Current {
    wire: Option<Wire>,
    shards: HashMap<usize, ActorRef<ShardMsg>>,
}

impl SipHandle {
    /// None: SIP rests, or is not served.
    #[must_use]
    pub fn wire(&self) -> Option<Wire> {
        self.current().wire.clone()
    }

    /// The shard of a Call-ID; none: it rests.
    #[must_use]
    pub fn shard(&self, call_id: &[u8]) -> Option<ActorRef<ShardMsg>> {
        let current = self.current();
        let number = current.wire.as_ref()?.inbox().shard_of(call_id);
        current.shards.get(&number).cloned()
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Current)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What SIP is made of. A clone is the same.
#[derive(Clone)]
pub struct SipArgs {
    pub sockets: Arc<Sockets>,
    pub handle: SipHandle,
    pub inbox: Inbox,
    pub shield: Shield,
    pub places: Places,
    pub limits: Limits,
    pub names: Names,
    pub registrar: RegistrarHandle,
    pub calls: Arc<dyn Calls>,
    /// Who waits for answers to requests that are of no call.
    pub own: Own,
    pub store: Store,
    pub writer: WriterHandle,
    pub credentials: Credentials,
    pub bindings: Bindings,
    pub nonces: Nonces,
    pub algorithms: Vec<Algorithm>,
    pub domain: Arc<str>,
    pub settings: Settings,
    pub retry_after_s: u64,
    pub policy: Policy,
}

/// The behaviour.
pub struct SipSupervisor;

pub struct SipState {
    args: SipArgs,
    wire: Wire,
    /// This life: what its connections are called in rows.
    node: Arc<str>,
    children: HashMap<ActorId, (Child, ActorCell)>,
    logs: HashMap<Child, Log>,
}

impl Drop for SipState {
    fn drop(&mut self) {
        self.args.handle.change(|current| *current = Current::default());
        self.args.registrar.attach(None);
        self.args.inbox.on_lost(None);
        (0..self.args.inbox.shards()).for_each(|shard| self.args.inbox.attach(shard, None));
        self.wire.close_all();
    }
}

impl Actor for SipSupervisor {
    type Msg = SipMsg;
    type State = SipState;
    type Arguments = SipArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SipMsg>,
        args: SipArgs,
    ) -> Result<SipState, ActorProcessingErr> {
        let wire = wire(&args)?;
        let node = Arc::from(format!("{:016x}", rand::rng().random::<u64>()));
        Ok(SipState { args, wire, node, children: HashMap::new(), logs: HashMap::new() })
    }

    async fn post_start(
        &self,
        me: ActorRef<SipMsg>,
        state: &mut SipState,
    ) -> Result<(), ActorProcessingErr> {
        // The registrar first: who registers finds it.
        state.start(&me, Child::Registrar).await?;
        for shard in 0..state.args.inbox.shards() {
            state.start(&me, Child::Shard(shard)).await?;
        }
        for (listener, tls) in &state.args.sockets.doors {
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            state.wire.task(listen(state.wire.clone(), listener, tls.clone()));
        }
        state.wire.start();
        state.args.handle.change(|current| current.wire = Some(state.wire.clone()));
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<SipMsg>,
        message: SipMsg,
        state: &mut SipState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SipMsg::Start(child) => state.start(&me, child).await,
        }
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<SipMsg>,
        event: SupervisionEvent,
        state: &mut SipState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.died(&me, child.get_id(), &error.to_string())
            }
            SupervisionEvent::ActorTerminated(child, _, why) => {
                let why = why.unwrap_or_else(|| String::from("it ended"));
                state.died(&me, child.get_id(), &why)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

/// The sockets of this life.
fn wire(args: &SipArgs) -> std::io::Result<Wire> {
    let sockets = &args.sockets;
    let udp: std::io::Result<Vec<_>> =
        sockets.udp.iter().map(|udp| UdpSocket::from_std(udp.try_clone()?)).collect();
    let listening = sockets.doors.iter().map(|(listener, tls)| {
        let kind = if tls.is_some() { Kind::Tls } else { Kind::Tcp };
        Ok((kind, listener.local_addr()?))
    });
    let listening: std::io::Result<Vec<_>> =
        listening.chain(sockets.web.iter().copied().map(Ok)).collect();
    Wire::new(Parts {
        sockets: udp?,
        listening: listening?,
        inbox: args.inbox.clone(),
        shield: args.shield.clone(),
        places: args.places.clone(),
        limits: args.limits,
        names: args.names.clone(),
    })
}

impl SipState {
    async fn start(
        &mut self,
        me: &ActorRef<SipMsg>,
        child: Child,
    ) -> Result<(), ActorProcessingErr> {
        let spawned = match child {
            Child::Registrar => self.registrar(me.get_cell()).await,
            Child::Shard(shard) => self.shard(shard, me.get_cell()).await,
        };
        match spawned {
            Ok(cell) => {
                self.children.insert(cell.get_id(), (child, cell));
                Ok(())
            }
            Err(error) => self.again(me, child, &error.to_string()),
        }
    }

    async fn registrar(&self, me: ActorCell) -> Result<ActorCell, SpawnErr> {
        let args = RegistrarArgs {
            wire: self.wire.clone(),
            store: self.args.store.clone(),
            writer: self.args.writer.clone(),
            credentials: self.args.credentials.clone(),
            policy: self.args.bindings,
            nonces: self.args.nonces.clone(),
            algorithms: self.args.algorithms.clone(),
            domain: self.args.domain.clone(),
            node: self.node.clone(),
        };
        let (registrar, _) = Actor::spawn_linked(None, Registrar, args, me).await?;
        self.args.registrar.attach(Some(registrar.clone()));
        let lost = registrar.clone();
        self.args.inbox.on_lost(Some(Box::new(move |flow| {
            let _ = lost.send_message(RegistrarMsg::Lost(flow));
        })));
        Ok(registrar.get_cell())
    }

    async fn shard(&self, number: usize, me: ActorCell) -> Result<ActorCell, SpawnErr> {
        let args = ShardArgs {
            wire: self.wire.clone(),
            registrar: self.args.registrar.clone(),
            calls: self.args.calls.clone(),
            own: self.args.own.clone(),
            settings: self.args.settings.clone(),
            retry_after_s: self.args.retry_after_s,
        };
        let (shard, _) = Actor::spawn_linked(None, Shard, args, me).await?;
        let cell = shard.get_cell();
        let live = shard.clone();
        self.args.handle.change(|current| drop(current.shards.insert(number, live)));
        let deliver = move |inbound| shard.send_message(ShardMsg::Inbound(inbound)).is_ok();
        self.args.inbox.attach(number, Some(Box::new(deliver)));
        Ok(cell)
    }

    fn died(
        &mut self,
        me: &ActorRef<SipMsg>,
        who: ActorId,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        let Some((child, _)) = self.children.remove(&who) else { return Ok(()) };
        match child {
            Child::Registrar => {
                self.args.registrar.attach(None);
                self.args.inbox.on_lost(None);
            }
            Child::Shard(shard) => {
                self.args.inbox.attach(shard, None);
                self.args.handle.change(|current| drop(current.shards.remove(&shard)));
            }
        }
        self.again(me, child, why)
    }

    fn again(
        &mut self,
        me: &ActorRef<SipMsg>,
        child: Child,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        let actor = match child {
            Child::Registrar => "registrar",
            Child::Shard(_) => "sip_shard",
        };
        counter!("orbit_restarts_total", "actor" => actor, "carrier" => "").increment(1);
        tracing::error!(?child, why, "a part of SIP failed");
        let log = self.logs.entry(child).or_default();
        let rest = log.next(&self.args.policy, Instant::now());
        let rest = rest.ok_or_else(|| format!("{child:?} failed too often"))?;
        me.send_after(rest, move || SipMsg::Start(child));
        Ok(())
    }
}
