//! All carrier accounts: one supervisor each, so that each fails within its own budget.
//!
//! root
//! └─ carriers     this file
//!    └─ carrier   20 restarts in ten minutes; past that it rests for ten, alone
//!
//! A carrier whose budget is spent is not given up: it is bad for one account and no reason to
//! fail all others. It rests and starts again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::carrier::{CarrierArgs, CarrierMsg, CarrierSupervisor};
use crate::restart::{Log, Policy};

/// The rest of a carrier whose budget is spent.
const LONG_REST: Duration = Duration::from_secs(600);

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
    /// (self) A rest is over.
    Start(Arc<str>),
}

/// The behaviour.
pub struct CarriersSupervisor;

pub struct CarriersState {
    carriers: HashMap<Arc<str>, Branch>,
    names: HashMap<ActorId, Arc<str>>,
}

struct Branch {
    args: CarrierArgs,
    supervisor: Option<ActorRef<CarrierMsg>>,
    log: Log,
}

impl Actor for CarriersSupervisor {
    type Msg = CarriersMsg;
    type State = CarriersState;
    type Arguments = Vec<CarrierArgs>;

    async fn pre_start(
        &self,
        _me: ActorRef<CarriersMsg>,
        args: Vec<CarrierArgs>,
    ) -> Result<CarriersState, ActorProcessingErr> {
        let branch = |args: CarrierArgs| {
            let name = args.profile.name.clone();
            (name, Branch { args, supervisor: None, log: Log::default() })
        };
        let carriers = args.into_iter().map(branch).collect();
        Ok(CarriersState { carriers, names: HashMap::new() })
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
                state.died(&me, child.get_id(), &error.to_string());
            }
            SupervisionEvent::ActorTerminated(child, ..) => {
                state.died(&me, child.get_id(), "stopped");
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl CarriersState {
    async fn start(&mut self, me: &ActorRef<CarriersMsg>, name: &Arc<str>) {
        let Some(branch) = self.carriers.get_mut(name) else { return };
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

    fn died(&mut self, me: &ActorRef<CarriersMsg>, who: ActorId, why: &str) {
        if let Some(name) = self.names.remove(&who) {
            self.again(me, &name, why);
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

fn restarts(actor: &'static str, carrier: &Arc<str>) -> Counter {
    counter!("orbit_restarts_total", "actor" => actor, "carrier" => carrier.to_string())
}
