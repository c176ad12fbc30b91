//! The top of the tree: writer, sandbox, carriers, sweeper, customers.
//!
//! The writer first, since all else stores through it; when it dies the carriers are stopped and
//! started anew behind its successor, because what they had asked of it is lost. A budget spent
//! here ends the process, and the machine's own supervisor takes over from rows.

use std::sync::Arc;

use actors::directory::Directory;
use actors::traffic::sweeper::{Sweeper, SweeperArgs, SweeperMsg};
use actors::writer::{Shared, Writer, WriterArgs, WriterMsg};
use metrics::{Counter, counter};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use store::Store;
use store::lane::Alternatives;
use tokio::time::Instant;

use crate::carrier::CarrierArgs;
use crate::carriers::{CarriersMsg, CarriersSupervisor};
use crate::customers::{CustomersArgs, CustomersMsg, CustomersSupervisor};
use crate::restart::{Log, Policy};
use crate::sandbox::{SandboxArgs, SandboxHandle, SandboxMsg, SandboxSupervisor};

#[derive(Debug)]
pub enum RootMsg {
    Pause {
        name: String,
        paused: bool,
        reply: RpcReplyPort<bool>,
    },
    Drain {
        name: Option<String>,
        reply: RpcReplyPort<()>,
    },
    /// (self) A rest is over.
    Start(Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Writer,
    Sandbox,
    Carriers,
    Sweeper,
    Customers,
}

/// How a writer is made, as often as it takes.
#[derive(Clone)]
pub struct WriterPlan {
    pub store: Store,
    pub alternatives: Alternatives,
    pub exclusive: bool,
    pub shared: Arc<Shared>,
    pub directory: Directory,
    pub batch_max: usize,
    pub batch_wait: std::time::Duration,
}

impl WriterPlan {
    fn args(&self) -> WriterArgs {
        WriterArgs {
            store: self.store.clone(),
            alternatives: self.alternatives,
            exclusive: self.exclusive,
            shared: self.shared.clone(),
            carriers: self.directory.clone(),
            batch_max: self.batch_max,
            batch_wait: self.batch_wait,
        }
    }
}

/// All that the tree is grown from.
pub struct RootArgs {
    pub writer: WriterPlan,
    pub sandbox: SandboxHandle,
    pub carriers: Vec<CarrierArgs>,
    pub sweeper: SweeperArgs,
    pub customers: CustomersArgs,
    pub policy: Policy,
}

/// The behaviour.
pub struct Root;

pub struct RootState {
    args: RootArgs,
    writer: Option<ActorRef<WriterMsg>>,
    sandbox: Option<ActorRef<SandboxMsg>>,
    carriers: Option<ActorRef<CarriersMsg>>,
    sweeper: Option<ActorRef<SweeperMsg>>,
    customers: Option<ActorRef<CustomersMsg>>,
    logs: [Log; 5],
}

impl Actor for Root {
    type Msg = RootMsg;
    type State = RootState;
    type Arguments = RootArgs;

    async fn pre_start(
        &self,
        me: ActorRef<RootMsg>,
        args: RootArgs,
    ) -> Result<RootState, ActorProcessingErr> {
        let mut state = RootState {
            args,
            writer: None,
            sandbox: None,
            carriers: None,
            sweeper: None,
            customers: None,
            logs: Default::default(),
        };
        // The first writer is started here, so that a store in use fails the start itself.
        let writer = Actor::spawn_linked(None, Writer, state.args.writer.args(), me.get_cell());
        state.writer = Some(writer.await?.0);
        Ok(state)
    }

    async fn post_start(
        &self,
        me: ActorRef<RootMsg>,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        restarts(Part::Writer).increment(0);
        for part in [Part::Sandbox, Part::Carriers, Part::Sweeper, Part::Customers] {
            restarts(part).increment(0);
            state.start(&me, part).await?;
        }
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<RootMsg>,
        message: RootMsg,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match (message, &state.carriers) {
            (RootMsg::Start(part), _) => state.start(&me, part).await?,
            (RootMsg::Pause { name, paused, reply }, Some(carriers)) => {
                let _ = carriers.send_message(CarriersMsg::Pause { name, paused, reply });
            }
            (RootMsg::Drain { name, reply }, Some(carriers)) => {
                let _ = carriers.send_message(CarriersMsg::Drain { name, reply });
            }
            (RootMsg::Pause { reply, .. }, None) => {
                let _ = reply.send(false);
            }
            (RootMsg::Drain { reply, .. }, None) => {
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<RootMsg>,
        event: SupervisionEvent,
        state: &mut RootState,
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

impl RootState {
    async fn start(
        &mut self,
        me: &ActorRef<RootMsg>,
        part: Part,
    ) -> Result<(), ActorProcessingErr> {
        let cell = me.get_cell();
        let started = match part {
            Part::Writer if self.writer.is_none() => {
                let args = self.args.writer.args();
                let spawned = Actor::spawn_linked(None, Writer, args, cell).await;
                spawned.map(|(writer, _)| self.writer = Some(writer))
            }
            Part::Sandbox if self.sandbox.is_none() => {
                let handle = self.args.sandbox.clone();
                let handle = SandboxArgs { handle, ..SandboxArgs::default() };
                let spawned = Actor::spawn_linked(None, SandboxSupervisor, handle, cell).await;
                spawned.map(|(sandbox, _)| self.sandbox = Some(sandbox))
            }
            Part::Carriers if self.carriers.is_none() => {
                let args = self.args.carriers.clone();
                let spawned = Actor::spawn_linked(None, CarriersSupervisor, args, cell).await;
                spawned.map(|(carriers, _)| self.carriers = Some(carriers))
            }
            Part::Sweeper if self.sweeper.is_none() => {
                let args = self.args.sweeper.clone();
                let spawned = Actor::spawn_linked(None, Sweeper, args, cell).await;
                spawned.map(|(sweeper, _)| self.sweeper = Some(sweeper))
            }
            Part::Customers if self.customers.is_none() => {
                let args = self.args.customers.clone();
                let spawned = Actor::spawn_linked(None, CustomersSupervisor, args, cell).await;
                spawned.map(|(customers, _)| self.customers = Some(customers))
            }
            _ => Ok(()),
        };
        match started {
            Ok(()) if part == Part::Writer && self.carriers.is_none() => {
                Box::pin(self.start(me, Part::Carriers)).await
            }
            Ok(()) => Ok(()),
            Err(error) => self.again(me, part, &error.to_string()),
        }
    }

    fn died(
        &mut self,
        me: &ActorRef<RootMsg>,
        who: ActorId,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        if self.writer.as_ref().is_some_and(|writer| writer.get_id() == who) {
            self.writer = None;
            // What the carriers had asked of it is lost: they begin anew behind the next one.
            if let Some(carriers) = self.carriers.take() {
                carriers.stop(Some(String::from("the writer died")));
            }
            return self.again(me, Part::Writer, why);
        }
        if self.sandbox.as_ref().is_some_and(|sandbox| sandbox.get_id() == who) {
            self.sandbox = None;
            return self.again(me, Part::Sandbox, why);
        }
        if self.carriers.as_ref().is_some_and(|carriers| carriers.get_id() == who) {
            self.carriers = None;
            return self.again(me, Part::Carriers, why);
        }
        if self.sweeper.as_ref().is_some_and(|sweeper| sweeper.get_id() == who) {
            self.sweeper = None;
            return self.again(me, Part::Sweeper, why);
        }
        if self.customers.as_ref().is_some_and(|customers| customers.get_id() == who) {
            self.customers = None;
            return self.again(me, Part::Customers, why);
        }
        Ok(())
    }

    fn again(
        &mut self,
        me: &ActorRef<RootMsg>,
        part: Part,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        restarts(part).increment(1);
        tracing::error!(?part, why, "a part of the switch died");
        let log = &mut self.logs[part as usize];
        let rest = log.next(&self.args.policy, Instant::now());
        let rest = rest.ok_or_else(|| format!("{part:?} failed too often"))?;
        me.send_after(rest, move || RootMsg::Start(part));
        Ok(())
    }
}

fn restarts(part: Part) -> Counter {
    let label = format!("{part:?}").to_lowercase();
    counter!("orbit_restarts_total", "actor" => label, "carrier" => "")
}
