//! All carrier accounts: one supervisor each, so that each fails within its own budget.
//!
//! root
//! └─ carriers     this file
//!    └─ carrier   20 restarts in ten minutes; past that it rests for ten, alone
//!
//! A carrier whose budget is spent is not given up: it is bad for one account and no reason to
//! fail all others. It rests and starts again.
//!
//! Which accounts there are stands in a plan that others write. When told of a change this compares
//! the plan with what runs: what is new starts, what is gone or another finishes what is under way
//! first, and what is as it was is not touched.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, counter};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::carrier::{CarrierArgs, CarrierMsg, CarrierSupervisor};
use crate::restart::{Log, Policy};

/// The rest of a carrier whose budget is spent.
const LONG_REST: Duration = Duration::from_secs(600);
/// How long an account that changes or goes may take to finish what is under way. What it did not
/// finish is in doubt, and its successor decides.
const LEAVE_PATIENCE: Duration = Duration::from_secs(30);

/// The accounts there should be. A clone is the same plan.
#[derive(Clone, Default)]
pub struct Plan(Arc<RwLock<Vec<CarrierArgs>>>);

impl Plan {
    #[must_use]
    pub fn new(accounts: Vec<CarrierArgs>) -> Self {
        Self(Arc::new(RwLock::new(accounts)))
    }

    /// Writes another plan; whoever runs it is told separately.
    pub fn set(&self, accounts: Vec<CarrierArgs>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    #[must_use]
    pub fn accounts(&self) -> Vec<CarrierArgs> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub enum CarriersMsg {
    Pause {
        name: String,
        paused: bool,
        reply: RpcReplyPort<bool>,
    },
    /// Finish what is under way at this carrier, or at all of them, and unbind.
    Drain {
        name: Option<String>,
        reply: RpcReplyPort<()>,
    },
    /// The plan is another one.
    Changed,
    /// (self) A rest is over.
    Start(Arc<str>),
    /// (self) What was under way there is done, or its time is.
    Left(ActorId),
}

/// The behaviour.
pub struct CarriersSupervisor;

pub struct CarriersState {
    plan: Plan,
    carriers: HashMap<Arc<str>, Branch>,
    names: HashMap<ActorId, Arc<str>>,
}

struct Branch {
    args: CarrierArgs,
    supervisor: Option<ActorRef<CarrierMsg>>,
    log: Log,
    /// It was asked to leave: what comes after it stands in the plan.
    leaving: bool,
}

impl Branch {
    fn new(args: CarrierArgs) -> Self {
        Self { args, supervisor: None, log: Log::default(), leaving: false }
    }
}

impl Actor for CarriersSupervisor {
    type Msg = CarriersMsg;
    type State = CarriersState;
    type Arguments = Plan;

    async fn pre_start(
        &self,
        _me: ActorRef<CarriersMsg>,
        plan: Plan,
    ) -> Result<CarriersState, ActorProcessingErr> {
        let branch = |args: CarrierArgs| (args.profile.name.clone(), Branch::new(args));
        let carriers = plan.accounts().into_iter().map(branch).collect();
        Ok(CarriersState { plan, carriers, names: HashMap::new() })
    }

    async fn post_start(
        &self,
        me: ActorRef<CarriersMsg>,
        state: &mut CarriersState,
    ) -> Result<(), ActorProcessingErr> {
        let names: Vec<_> = state.carriers.keys().cloned().collect();
        for name in names {
            state.start(&me, &name).await;
        }
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<CarriersMsg>,
        message: CarriersMsg,
        state: &mut CarriersState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CarriersMsg::Start(name) => state.start(&me, &name).await,
            CarriersMsg::Pause { name, paused, reply } => {
                let found = state.carriers.get(name.as_str());
                match found.and_then(|branch| branch.supervisor.as_ref()) {
                    Some(carrier) => {
                        let _ = carrier.send_message(CarrierMsg::Pause { paused, reply });
                    }
                    None => {
                        let _ = reply.send(false);
                    }
                }
            }
            CarriersMsg::Drain { name, reply } => state.drain(name, reply),
            CarriersMsg::Changed => state.follow_plan(&me).await,
            CarriersMsg::Left(who) => {
                let name = state.names.get(&who).and_then(|name| state.carriers.get(name));
                if let Some(carrier) = name.and_then(|branch| branch.supervisor.as_ref()) {
                    carrier.stop(Some(String::from("it was changed")));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<CarriersMsg>,
        event: SupervisionEvent,
        state: &mut CarriersState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                state.died(&me, child.get_id(), &error.to_string()).await;
            }
            SupervisionEvent::ActorTerminated(child, ..) => {
                state.died(&me, child.get_id(), "stopped").await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl CarriersState {
    async fn start(&mut self, me: &ActorRef<CarriersMsg>, name: &Arc<str>) {
        let Some(branch) = self.carriers.get_mut(name) else { return };
        if branch.supervisor.is_some() {
            return;
        }
        let args = branch.args.clone();
        // Zero is a number too: an alarm needs the series before the first death.
        for actor in ["carrier", "owner", "bind"] {
            restarts(actor, name).increment(0);
        }
        match Actor::spawn_linked(None, CarrierSupervisor, args, me.get_cell()).await {
            Ok((supervisor, _)) => {
                self.names.insert(supervisor.get_id(), name.clone());
                branch.supervisor = Some(supervisor);
            }
            Err(error) => self.again(me, name, &error.to_string()),
        }
    }

    /// Starts, changes and ends accounts until they are as planned.
    async fn follow_plan(&mut self, me: &ActorRef<CarriersMsg>) {
        let planned: HashMap<Arc<str>, CarrierArgs> = self
            .plan
            .accounts()
            .into_iter()
            .map(|args| (args.profile.name.clone(), args))
            .collect();
        let names: Vec<_> = self.carriers.keys().cloned().collect();
        for name in names {
            let Some(branch) = self.carriers.get_mut(&name) else { continue };
            if planned.get(&name).is_some_and(|args| args.is_as(&branch.args)) {
                continue;
            }
            match &branch.supervisor {
                // It is on its way out already: what follows is read from the plan when it is.
                Some(_) if branch.leaving => {}
                Some(carrier) => {
                    branch.leaving = true;
                    tracing::info!(carrier = %name, "an account changes");
                    leave(me, carrier.clone());
                }
                None => match planned.get(&name) {
                    Some(args) => branch.args = args.clone(),
                    None => self.forget(&name),
                },
            }
        }
        for (name, args) in planned {
            if !self.carriers.contains_key(&name) {
                self.carriers.insert(name.clone(), Branch::new(args));
                self.start(me, &name).await;
            }
        }
    }

    fn forget(&mut self, name: &Arc<str>) {
        if let Some(branch) = self.carriers.remove(name) {
            branch.args.views.forget(name);
        }
    }

    async fn died(&mut self, me: &ActorRef<CarriersMsg>, who: ActorId, why: &str) {
        let Some(name) = self.names.remove(&who) else { return };
        let Some(branch) = self.carriers.get_mut(&name) else { return };
        if !branch.leaving {
            return self.again(me, &name, why);
        }
        let planned = self.plan.accounts().into_iter().find(|args| args.profile.name == name);
        match planned {
            Some(args) => {
                branch.args.views.remove(&name);
                *branch = Branch::new(args);
                self.start(me, &name).await;
            }
            None => self.forget(&name),
        }
    }

    fn again(&mut self, me: &ActorRef<CarriersMsg>, name: &Arc<str>, why: &str) {
        let Some(branch) = self.carriers.get_mut(name) else { return };
        branch.supervisor = None;
        restarts("carrier", name).increment(1);
        let rest = branch.log.next(&Policy::BRANCH, Instant::now()).unwrap_or(LONG_REST);
        tracing::error!(carrier = %name, why, rest_ms = rest.as_millis(), "a carrier died");
        let name = name.clone();
        me.send_after(rest, move || CarriersMsg::Start(name));
    }

    fn drain(&self, name: Option<String>, reply: RpcReplyPort<()>) {
        let wanted = |branch: &&Branch| {
            name.as_deref().is_none_or(|name| *branch.args.profile.name == *name)
        };
        let carriers: Vec<_> = self
            .carriers
            .values()
            .filter(wanted)
            .filter_map(|branch| branch.supervisor.clone())
            .collect();
        // All at once, so that a slow carrier does not take its neighbours' time.
        let mut drains = JoinSet::new();
        for carrier in carriers {
            // Each has the caller's patience; one that died meanwhile has nothing to finish.
            drains.spawn(async move { carrier.call(CarrierMsg::Drain, None).await.is_ok() });
        }
        tokio::spawn(async move {
            while drains.join_next().await.is_some() {}
            let _ = reply.send(());
        });
    }
}

/// Has an account finish what is under way, in a task: others are not kept waiting.
fn leave(me: &ActorRef<CarriersMsg>, carrier: ActorRef<CarrierMsg>) {
    let me = me.clone();
    tokio::spawn(async move {
        if carrier.call(CarrierMsg::Drain, Some(LEAVE_PATIENCE)).await.is_err() {
            tracing::debug!("an account ended before it was asked to");
        }
        let _ = me.send_message(CarriersMsg::Left(carrier.get_id()));
    });
}

fn restarts(actor: &'static str, carrier: &Arc<str>) -> Counter {
    counter!("orbit_restarts_total", "actor" => actor, "carrier" => carrier.to_string())
}
