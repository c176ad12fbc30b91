//! The SMPP server's supervisor: the doors, one actor per ESME, one courier per account.
//!
//! esmes                    this file
//! ├─ door                  a task per listening socket
//! ├─ caller                a task per account that is called when it is owed something
//! ├─ ESME                  one per connection, temporary: what dies is gone, its socket with it
//! └─ courier               one per account with a receiving bind; back after a rest when it fails
//!
//! A courier begins at the cursor that the store has, so losing one loses nothing. When this dies
//! all connections close, and customers bind again.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actors::customer::feed::Wakes;
use actors::places::Places;
use actors::smpp::server::accounts::{Account, Accounts};
use actors::smpp::server::caller::{Called, Caller, Calls, call};
use actors::smpp::server::courier::{Courier, CourierArgs, CourierMsg};
use actors::smpp::server::esme::{Bound, Esme, EsmeArgs, EsmeMsg};
use actors::smpp::server::listener::{Accepted, listen};
use actors::traffic::admission::Admission;
use actors::writer::WriterHandle;
use metrics::counter;
use proto_smpp::Settings;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use store::Store;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::restart::{Log, Policy};

pub enum EsmesMsg {
    /// (self) A door let somebody in.
    Accepted(Box<Accepted>),
    /// (self) An ESME is bound.
    Bound(Bound),
    /// This account was changed or deleted: its binds leave, and may come again.
    Changed { system_id: String },
    /// Every bind leaves; answered when none is left.
    Drain { reply: RpcReplyPort<()> },
    /// (self) A courier's rest is over.
    Restart { account: i64 },
}

/// A socket to listen on, made by boot so that a taken port fails the start itself.
pub struct Door {
    pub listener: std::net::TcpListener,
    pub tls: Option<TlsAcceptor>,
}

/// What the server is made of. A clone is the same.
#[derive(Clone)]
pub struct EsmesArgs {
    pub doors: Arc<Vec<Door>>,
    pub places: Places,
    pub accounts: Accounts,
    pub admission: Admission,
    pub writer: WriterHandle,
    pub store: Store,
    pub wakes: Arc<Wakes>,
    pub settings: Settings,
    pub calls: Calls,
    /// An ESME that takes nothing of what it is sent for so long is gone.
    pub write_patience: Duration,
    pub policy: Policy,
    /// Of a courier that failed more often than the policy allows.
    pub courier_rest: Duration,
}

/// The behaviour.
pub struct EsmesSupervisor;

pub struct EsmesState {
    args: EsmesArgs,
    doors: Vec<AbortHandle>,
    callers: HashMap<String, AbortHandle>,
    esmes: HashMap<ActorId, Member>,
    couriers: HashMap<i64, Post>,
    names: HashMap<ActorId, i64>,
    logs: HashMap<i64, Log>,
    draining: Option<RpcReplyPort<()>>,
}

/// One connection.
struct Member {
    esme: ActorRef<EsmeMsg>,
    account: Option<Arc<Account>>,
    receives: bool,
}

/// A courier, or the rest before the next.
enum Post {
    Filled(ActorRef<CourierMsg>),
    Resting,
}

impl Actor for EsmesSupervisor {
    type Msg = EsmesMsg;
    type State = EsmesState;
    type Arguments = EsmesArgs;

    async fn pre_start(
        &self,
        me: ActorRef<EsmesMsg>,
        args: EsmesArgs,
    ) -> Result<EsmesState, ActorProcessingErr> {
        let mut doors = Vec::new();
        for door in args.doors.iter() {
            let listener = TcpListener::from_std(door.listener.try_clone()?)?;
            let supervisor = me.clone();
            let on_accept = move |accepted| {
                supervisor.send_message(EsmesMsg::Accepted(Box::new(accepted))).is_ok()
            };
            let door = listen(listener, door.tls.clone(), args.places.clone(), on_accept);
            doors.push(tokio::spawn(door).abort_handle());
        }
        let called = args.accounts.called();
        let mut state = EsmesState {
            args,
            doors,
            callers: HashMap::new(),
            esmes: HashMap::new(),
            couriers: HashMap::new(),
            names: HashMap::new(),
            logs: HashMap::new(),
            draining: None,
        };
        called.into_iter().for_each(|account| state.call(&me, account));
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<EsmesMsg>,
        message: EsmesMsg,
        state: &mut EsmesState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EsmesMsg::Accepted(accepted) => state.accept(&me, *accepted).await,
            EsmesMsg::Bound(bound) => state.bound(&me, bound).await,
            EsmesMsg::Changed { system_id } => state.changed(&me, &system_id),
            EsmesMsg::Drain { reply } => state.drain(reply),
            EsmesMsg::Restart { account } => state.restart(&me, account).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<EsmesMsg>,
        event: SupervisionEvent,
        state: &mut EsmesState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.died(&me, child.get_id(), Some(&error.to_string()));
            }
            SupervisionEvent::ActorTerminated(child, ..) => state.died(&me, child.get_id(), None),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Drop for EsmesState {
    fn drop(&mut self) {
        self.doors.iter().chain(self.callers.values()).for_each(AbortHandle::abort);
    }
}

impl EsmesState {
    /// Calls this account whenever it is owed something and is not there.
    fn call(&mut self, me: &ActorRef<EsmesMsg>, account: Arc<Account>) {
        let system_id = account.system_id.clone();
        let caller = Caller {
            account,
            accounts: self.args.accounts.clone(),
            places: self.args.places.clone(),
            store: self.args.store.clone(),
            wakes: self.args.wakes.clone(),
            calls: self.args.calls.clone(),
        };
        let supervisor = me.clone();
        let on_call =
            move |accepted| supervisor.send_message(EsmesMsg::Accepted(Box::new(accepted))).is_ok();
        let caller = tokio::spawn(call(caller, on_call)).abort_handle();
        self.callers.insert(system_id, caller);
    }

    async fn accept(&mut self, me: &ActorRef<EsmesMsg>, accepted: Accepted) {
        if self.draining.is_some() {
            return;
        }
        let Accepted { halves, address, place, unbound, called } = accepted;
        let supervisor = me.clone();
        // Who never binds is among the unbound until the socket is closed.
        let unbound = Arc::new(Mutex::new(Some(unbound)));
        let held = Arc::clone(&unbound);
        let (called, call) = match called {
            None => (None, None),
            Some(Called { system_id, says, bound, over }) => {
                (Some((system_id, says)), Some((bound, over)))
            }
        };
        let (did_bind, over) = call.unzip();
        let args = EsmeArgs {
            halves,
            address,
            place: Box::new((place, held, over)),
            called,
            on_bound: Box::new(move || {
                if let Some(did_bind) = did_bind {
                    did_bind.store(true, Ordering::Release);
                }
                unbound.lock().unwrap_or_else(PoisonError::into_inner).take();
            }),
            accounts: self.args.accounts.clone(),
            admission: self.args.admission.clone(),
            writer: self.args.writer.clone(),
            store: self.args.store.clone(),
            settings: self.args.settings.clone(),
            write_patience: self.args.write_patience,
            bound: Box::new(move |bound| {
                let _ = supervisor.send_message(EsmesMsg::Bound(bound));
            }),
        };
        match Actor::spawn_linked(None, Esme, args, me.get_cell()).await {
            Ok((esme, _)) => {
                let member = Member { esme: esme.clone(), account: None, receives: false };
                self.esmes.insert(esme.get_id(), member);
            }
            Err(error) => tracing::error!(%error, "a connection has no actor"),
        }
    }

    async fn bound(&mut self, me: &ActorRef<EsmesMsg>, bound: Bound) {
        let Some(member) = self.esmes.get_mut(&bound.esme.get_id()) else { return };
        let id = bound.account.id;
        // Changed between its bind and now: it has to come again.
        let current = self.args.accounts.find(&bound.account.system_id);
        if current.is_none_or(|current| !Arc::ptr_eq(&current, &bound.account)) {
            let _ = bound.esme.send_message(EsmeMsg::Leave);
        }
        member.account = Some(bound.account);
        member.receives = bound.receives.is_some();
        if !member.receives {
            return;
        }
        let esme = member.esme.clone();
        if !self.couriers.contains_key(&id) {
            self.restart(me, id).await;
        } else if let Some(Post::Filled(courier)) = self.couriers.get(&id) {
            let _ = esme.send_message(EsmeMsg::Courier(courier.clone()));
        }
    }

    /// Starts an account's courier, and tells its receiving binds.
    async fn restart(&mut self, me: &ActorRef<EsmesMsg>, id: i64) {
        let receiving: Vec<&Member> = self
            .esmes
            .values()
            .filter(|member| member.receives && member.account.as_ref().is_some_and(|a| a.id == id))
            .collect();
        let Some(account) = receiving.first().and_then(|member| member.account.clone()) else {
            self.couriers.remove(&id);
            return;
        };
        let args = CourierArgs {
            account,
            accounts: self.args.accounts.clone(),
            store: self.args.store.clone(),
            writer: self.args.writer.clone(),
            wakes: self.args.wakes.clone(),
        };
        match Actor::spawn_linked(None, Courier, args, me.get_cell()).await {
            Ok((courier, _)) => {
                for member in receiving {
                    let _ = member.esme.send_message(EsmeMsg::Courier(courier.clone()));
                }
                self.names.insert(courier.get_id(), id);
                self.couriers.insert(id, Post::Filled(courier));
            }
            Err(error) => self.rest(me, id, &error.to_string()),
        }
    }

    fn rest(&mut self, me: &ActorRef<EsmesMsg>, id: i64, why: &str) {
        counter!("orbit_restarts_total", "actor" => "courier", "carrier" => "").increment(1);
        let log = self.logs.entry(id).or_default();
        // One account's courier that fails again and again rests longer; nobody else notices.
        let rest = log.next(&self.args.policy, Instant::now()).unwrap_or(self.args.courier_rest);
        tracing::warn!(account = id, why, rest_ms = rest.as_millis(), "a courier failed");
        self.couriers.insert(id, Post::Resting);
        me.send_after(rest, move || EsmesMsg::Restart { account: id });
    }

    fn died(&mut self, me: &ActorRef<EsmesMsg>, child: ActorId, failure: Option<&str>) {
        if let Some(id) = self.names.remove(&child) {
            // One that may go is not in the names any more.
            self.rest(me, id, failure.unwrap_or("it ended"));
            return;
        }
        let Some(member) = self.esmes.remove(&child) else { return };
        if let Some(why) = failure {
            counter!("orbit_restarts_total", "actor" => "esme", "carrier" => "").increment(1);
            tracing::error!(why, "an ESME's actor failed; its connection is closed");
        }
        if let Some(account) = member.account.filter(|_| member.receives) {
            self.leave(child, account.id);
        }
        if self.esmes.is_empty()
            && let Some(reply) = self.draining.take()
        {
            let _ = reply.send(());
        }
    }

    /// A receiving bind is gone; with the last one its account's courier may go.
    fn leave(&mut self, esme: ActorId, id: i64) {
        let Some(Post::Filled(courier)) = self.couriers.get(&id) else { return };
        let _ = courier.send_message(CourierMsg::Detach { esme });
        let others = self.esmes.values().any(|member| {
            member.receives && member.account.as_ref().is_some_and(|account| account.id == id)
        });
        if !others {
            courier.stop(None);
            self.names.remove(&courier.get_id());
            self.couriers.remove(&id);
        }
    }

    fn changed(&mut self, me: &ActorRef<EsmesMsg>, system_id: &str) {
        if let Some(caller) = self.callers.remove(system_id) {
            caller.abort();
        }
        let current = self.args.accounts.find(system_id);
        // Who has bound since the change has what holds now.
        let of_before = |account: &Arc<Account>| {
            let holds = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, account));
            account.system_id == system_id && !holds
        };
        for member in self.esmes.values() {
            if member.account.as_ref().is_some_and(of_before) {
                let _ = member.esme.send_message(EsmeMsg::Leave);
            }
        }
        if let Some(account) = current.filter(|a| a.called_at.is_some())
            && self.draining.is_none()
        {
            self.call(me, account);
        }
    }

    fn drain(&mut self, reply: RpcReplyPort<()>) {
        self.doors.iter().chain(self.callers.values()).for_each(AbortHandle::abort);
        if self.esmes.is_empty() {
            let _ = reply.send(());
            return;
        }
        for member in self.esmes.values() {
            let _ = member.esme.send_message(EsmeMsg::Leave);
        }
        self.draining = Some(reply);
    }
}
