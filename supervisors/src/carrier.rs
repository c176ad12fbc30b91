//! One carrier account: its owner and its binds.
//!
//! carriers
//! └─ carrier      this file
//!    ├─ owner     10 restarts a minute, and the binds with it
//!    └─ bind …    10 restarts a minute each
//!
//! Each start of an owner is a new epoch in the store, so nothing of an earlier one counts. A bind
//! that dies leaves what it had in doubt with the owner; what killed it twice is condemned. When a
//! budget is spent this supervisor fails, and its own supervisor counts: no neighbour is touched.

use std::sync::Arc;

use actors::directory::Directory;
use actors::smpp::alerts::Alerts;
use actors::smpp::bind::{BindArgs, BindMsg, CarrierBind};
use actors::smpp::hand::{Condemned, InHand, Item};
use actors::smpp::owner::{Owner, OwnerArgs, OwnerMsg, Views};
use actors::smpp::profile::Profile;
use actors::traffic::router::Detours;
use actors::writer::WriterHandle;
use metrics::counter;
use model::carrier::{CarrierId, MessageKey};
use proto_smpp::BindKind;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use store::Store;
use store::lane::{Admin, AdminDone};
use tokio::time::Instant;

use crate::restart::{Log, Policy};

#[derive(Debug)]
pub enum CarrierMsg {
    /// Stop claiming, or go on; stored, so that it outlives a restart.
    Pause { paused: bool, reply: RpcReplyPort<bool> },
    /// Finish what is under way and unbind.
    Drain(RpcReplyPort<()>),
    /// (self) The pause, or its end, is stored.
    Paused { paused: bool, reply: RpcReplyPort<bool> },
    /// (self) A new epoch is stored.
    Owned(Result<(CarrierId, i64, bool), String>),
    /// (self) A rest is over.
    StartOwner,
    /// (self) A rest is over.
    StartBind(usize),
}

/// What a carrier's branch needs from outside.
#[derive(Clone)]
pub struct CarrierArgs {
    pub profile: Arc<Profile>,
    pub store: Store,
    pub writer: WriterHandle,
    pub directory: Directory,
    pub views: Views,
    pub condemned: Condemned,
    pub detours: Detours,
    pub alerts: Alerts,
    pub policy: Policy,
}

impl CarrierArgs {
    /// Whether an account that runs by `other` need not be started anew to run by this.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        self.profile.is_as(&other.profile)
    }
}

/// The behaviour.
pub struct CarrierSupervisor;

pub struct CarrierState {
    args: CarrierArgs,
    owned: Option<(CarrierId, i64, bool)>,
    owner: Option<ActorRef<OwnerMsg>>,
    owner_log: Log,
    binds: Vec<Place>,
    leaving: bool,
}

/// One connection's place in the account.
struct Place {
    kind: BindKind,
    bind: Option<ActorRef<BindMsg>>,
    in_hand: InHand,
    log: Log,
}

impl Actor for CarrierSupervisor {
    type Msg = CarrierMsg;
    type State = CarrierState;
    type Arguments = CarrierArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<CarrierMsg>,
        args: CarrierArgs,
    ) -> Result<CarrierState, ActorProcessingErr> {
        let place =
            |kind| Place { kind, bind: None, in_hand: InHand::default(), log: Log::default() };
        let binds = args.profile.binds().into_iter().map(place).collect();
        let (owned, owner, owner_log) = (None, None, Log::default());
        Ok(CarrierState { args, owned, owner, owner_log, binds, leaving: false })
    }

    async fn post_start(
        &self,
        me: ActorRef<CarrierMsg>,
        state: &mut CarrierState,
    ) -> Result<(), ActorProcessingErr> {
        state.own(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<CarrierMsg>,
        message: CarrierMsg,
        state: &mut CarrierState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CarrierMsg::StartOwner => state.own(&me),
            CarrierMsg::Owned(Ok(owned)) => {
                state.owned = Some(owned);
                state.start(&me).await?;
            }
            CarrierMsg::Owned(Err(error)) => {
                let carrier = &state.args.profile.name;
                tracing::warn!(%carrier, error, "no epoch yet");
                state.owner_again(&me)?;
            }
            CarrierMsg::StartBind(at) => state.start_bind(&me, at).await?,
            CarrierMsg::Pause { paused, reply } => state.pause(&me, paused, reply),
            CarrierMsg::Paused { paused, reply } => state.paused(&me, paused, reply),
            CarrierMsg::Drain(reply) => state.drain(reply),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<CarrierMsg>,
        event: SupervisionEvent,
        state: &mut CarrierState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.died(&me, child.get_id(), &error.to_string())
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let reason = reason.unwrap_or_else(|| String::from("stopped"));
                state.died(&me, child.get_id(), &reason)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl CarrierState {
    /// Has a new epoch stored; the owner starts when it is.
    fn own(&self, me: &ActorRef<CarrierMsg>) {
        let (writer, me) = (self.args.writer.clone(), me.clone());
        let name = self.args.profile.name.to_string();
        tokio::spawn(async move {
            let owned = match writer.administer(Admin::OwnCarrier { name }).await {
                Ok(AdminDone::Carrier { id, epoch, paused }) => Ok((id, epoch, paused)),
                Ok(other) => Err(format!("{other:?}")),
                Err(refusal) => Err(refusal.message.into_owned()),
            };
            let _ = me.send_message(CarrierMsg::Owned(owned));
        });
    }

    /// Starts the owner, then its binds: from the downstream end upwards.
    async fn start(&mut self, me: &ActorRef<CarrierMsg>) -> Result<(), ActorProcessingErr> {
        let Some((carrier, epoch, paused)) = self.owned else { return Ok(()) };
        let args = OwnerArgs {
            carrier,
            epoch,
            paused,
            profile: self.args.profile.clone(),
            store: self.args.store.clone(),
            writer: self.args.writer.clone(),
            directory: self.args.directory.clone(),
            condemned: self.args.condemned.clone(),
            views: self.args.views.clone(),
            detours: self.args.detours.clone(),
        };
        let spawned = Actor::spawn_linked(None, Owner, args, me.get_cell()).await;
        let Ok((owner, _)) = spawned else { return self.owner_again(me) };
        self.owner = Some(owner);
        for at in 0..self.binds.len() {
            self.start_bind(me, at).await?;
        }
        Ok(())
    }

    async fn start_bind(
        &mut self,
        me: &ActorRef<CarrierMsg>,
        at: usize,
    ) -> Result<(), ActorProcessingErr> {
        let (Some(owner), Some((carrier, ..))) = (&self.owner, self.owned) else { return Ok(()) };
        let Some(place) = self.binds.get_mut(at) else { return Ok(()) };
        if place.bind.is_some() || self.leaving {
            return Ok(());
        }
        // An owner has entered its view before it has an address.
        let view = self.args.views.find(&self.args.profile.name);
        let Some(view) = view.and_then(|view| view.binds.get(at).cloned()) else { return Ok(()) };
        place.in_hand.lay_down();
        let args = BindArgs {
            slot: at,
            kind: place.kind,
            view,
            carrier,
            profile: self.args.profile.clone(),
            owner: owner.clone(),
            writer: self.args.writer.clone(),
            in_hand: place.in_hand.clone(),
            condemned: self.args.condemned.clone(),
            alerts: self.args.alerts.clone(),
        };
        match Actor::spawn_linked(None, CarrierBind, args, me.get_cell()).await {
            Ok((bind, _)) => place.bind = Some(bind),
            Err(error) => return self.bind_again(me, at, &error.to_string()),
        }
        Ok(())
    }

    fn died(
        &mut self,
        me: &ActorRef<CarrierMsg>,
        who: ActorId,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        if self.owner.as_ref().is_some_and(|owner| owner.get_id() == who) {
            self.owner_died(why);
            return self.owner_again(me);
        }
        let at = self
            .binds
            .iter()
            .position(|place| place.bind.as_ref().is_some_and(|bind| bind.get_id() == who));
        let Some(at) = at else { return Ok(()) };
        self.binds[at].bind = None;
        if self.leaving {
            return Ok(());
        }
        if let Some(owner) = &self.owner {
            let _ = owner.send_message(OwnerMsg::SlotLost { slot: at });
        }
        if let Some(item) = self.binds[at].in_hand.item()
            && self.args.condemned.killed(item)
        {
            tracing::error!(carrier = %self.args.profile.name, ?item, "killed its bind twice");
            if let (Item::Message(key), Some(owner)) = (item, &self.owner) {
                let _ = owner.send_message(OwnerMsg::Condemned(MessageKey(key)));
            }
        }
        self.bind_again(me, at, why)
    }

    /// The binds of a dead owner cannot live alone.
    fn owner_died(&mut self, why: &str) {
        let carrier = &self.args.profile.name;
        tracing::error!(%carrier, why, "the owner died");
        self.owner = None;
        for place in &mut self.binds {
            if let Some(bind) = place.bind.take() {
                bind.stop(Some(String::from("its owner died")));
            }
        }
    }

    fn owner_again(&mut self, me: &ActorRef<CarrierMsg>) -> Result<(), ActorProcessingErr> {
        if self.leaving {
            return Ok(());
        }
        self.count("owner");
        let rest = self.owner_log.next(&self.args.policy, Instant::now());
        let rest = rest.ok_or("the owner failed too often")?;
        me.send_after(rest, || CarrierMsg::StartOwner);
        Ok(())
    }

    fn bind_again(
        &mut self,
        me: &ActorRef<CarrierMsg>,
        at: usize,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        let carrier = &self.args.profile.name;
        tracing::error!(%carrier, bind = at, why, "a bind died");
        self.count("bind");
        let Some(place) = self.binds.get_mut(at) else { return Ok(()) };
        let rest = place.log.next(&self.args.policy, Instant::now());
        let rest = rest.ok_or("a bind failed too often")?;
        me.send_after(rest, move || CarrierMsg::StartBind(at));
        Ok(())
    }

    fn count(&self, what: &'static str) {
        let carrier = self.args.profile.name.to_string();
        counter!("orbit_restarts_total", "actor" => what, "carrier" => carrier).increment(1);
    }

    fn pause(&self, me: &ActorRef<CarrierMsg>, paused: bool, reply: RpcReplyPort<bool>) {
        let Some((carrier, ..)) = self.owned else {
            let _ = reply.send(false);
            return;
        };
        let (writer, me) = (self.args.writer.clone(), me.clone());
        tokio::spawn(async move {
            match writer.administer(Admin::PauseCarrier { carrier, paused }).await {
                Ok(_) => {
                    let _ = me.send_message(CarrierMsg::Paused { paused, reply });
                }
                Err(_) => {
                    let _ = reply.send(false);
                }
            }
        });
    }

    /// Tells the owner of now, who may not be the one of when it was asked.
    fn paused(&mut self, me: &ActorRef<CarrierMsg>, now: bool, reply: RpcReplyPort<bool>) {
        if let Some((carrier, _, paused)) = &mut self.owned {
            *paused = now;
            self.args.directory.close_room(*carrier, now);
        }
        if let Some(owner) = &self.owner {
            let _ = owner.send_message(OwnerMsg::Pause { paused: now });
        }
        if !now && std::mem::take(&mut self.leaving) {
            // It was drained: going on means to bind again, behind a new owner if that died.
            if self.owner.is_none() {
                self.own(me);
            }
            for at in 0..self.binds.len() {
                let _ = me.send_message(CarrierMsg::StartBind(at));
            }
        }
        let _ = reply.send(true);
    }

    fn drain(&mut self, reply: RpcReplyPort<()>) {
        self.leaving = true;
        match &self.owner {
            Some(owner) => {
                let _ = owner.send_message(OwnerMsg::Drain(reply));
            }
            None => {
                let _ = reply.send(());
            }
        }
    }
}
