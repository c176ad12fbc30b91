//! The top of the tree: the writer, and all that stores through it.
//!
//! The writer first; when it dies the carriers are stopped and started anew behind its successor,
//! because what they had asked of it is lost. Every other part reads its work from rows and asks
//! again. A budget spent here ends the process, and the machine's own supervisor takes over from
//! rows.

use std::collections::HashMap;
use std::sync::Arc;

use actors::directory::Directory;
use actors::traffic::replies::{Replies, RepliesArgs};
use actors::traffic::retention::{Retention, RetentionArgs};
use actors::traffic::scheduler::{Scheduler, SchedulerArgs};
use actors::traffic::sweeper::{Sweeper, SweeperArgs};
use actors::writer::{Shared, Writer, WriterArgs};
use metrics::{Counter, counter};
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};
use store::Store;
use store::lane::Alternatives;
use tokio::time::Instant;

use crate::calls::{CallsArgs, CallsMsg, CallsSupervisor};
use crate::carriers::{CarriersMsg, CarriersSupervisor, Plan};
use crate::customers::{CustomersArgs, CustomersSupervisor};
use crate::esmes::{EsmesArgs, EsmesMsg, EsmesSupervisor};
use crate::restart::{Log, Policy};
use crate::sandbox::{SandboxArgs, SandboxHandle, SandboxSupervisor};
use crate::sip::{SipArgs, SipSupervisor};
use crate::trunks::{TrunksArgs, TrunksMsg, TrunksSupervisor};

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
    /// An SMPP account was changed or deleted: its binds leave.
    AccountChanged {
        system_id: String,
    },
    /// The plan of the carriers is another one.
    CarriersChanged,
    /// Every ESME is asked to leave; answered when none is left.
    DrainEsmes {
        reply: RpcReplyPort<()>,
    },
    /// No new calls; those that are there may go on for so long. Answered when none is left.
    DrainCalls {
        patience: std::time::Duration,
        reply: RpcReplyPort<()>,
    },
    /// All registrations of ours with others end. Answered when none is left.
    DrainTrunks {
        reply: RpcReplyPort<()>,
    },
    /// (self) A rest is over.
    Start(Part),
}

/// A child of root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Writer,
    Sandbox,
    Carriers,
    Sweeper,
    Retention,
    Replies,
    Scheduler,
    Customers,
    Esmes,
    Calls,
    Sip,
    Trunks,
}

impl Part {
    /// In the order in which they start, behind the writer.
    const OTHERS: [Self; 11] = [
        Self::Sandbox,
        Self::Carriers,
        Self::Sweeper,
        Self::Retention,
        Self::Replies,
        Self::Scheduler,
        Self::Customers,
        Self::Esmes,
        Self::Calls,
        Self::Sip,
        Self::Trunks,
    ];
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
    pub carriers: Plan,
    pub sweeper: SweeperArgs,
    pub retention: RetentionArgs,
    pub replies: RepliesArgs,
    pub scheduler: SchedulerArgs,
    pub customers: CustomersArgs,
    /// None: nobody binds to us.
    pub esmes: Option<EsmesArgs>,
    /// None: nobody calls.
    pub calls: Option<CallsArgs>,
    /// None: no telephone registers.
    pub sip: Option<SipArgs>,
    /// None: nobody asks trunks, and we register nowhere.
    pub trunks: Option<TrunksArgs>,
    pub policy: Policy,
}

/// The behaviour.
pub struct Root;

pub struct RootState {
    args: RootArgs,
    children: HashMap<Part, ActorCell>,
    logs: HashMap<Part, Log>,
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
        let mut state = RootState { args, children: HashMap::new(), logs: HashMap::new() };
        // The first writer is started here, so that a store in use fails the start itself.
        let writer = state.spawn(Part::Writer, me.get_cell()).await?;
        state.children.extend(writer.map(|writer| (Part::Writer, writer)));
        Ok(state)
    }

    async fn post_start(
        &self,
        me: ActorRef<RootMsg>,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        restarts(Part::Writer).increment(0);
        for part in Part::OTHERS {
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
        match message {
            RootMsg::Start(part) => state.start(&me, part).await?,
            RootMsg::AccountChanged { system_id } => {
                if let Some(esmes) = state.esmes() {
                    let _ = esmes.send_message(EsmesMsg::Changed { system_id });
                }
            }
            RootMsg::CarriersChanged => {
                // While the carriers rest, the plan is read when they start.
                if let Some(carriers) = state.carriers() {
                    let _ = carriers.send_message(CarriersMsg::Changed);
                }
            }
            RootMsg::DrainEsmes { reply } => match state.esmes() {
                Some(esmes) => {
                    let _ = esmes.send_message(EsmesMsg::Drain { reply });
                }
                None => {
                    let _ = reply.send(());
                }
            },
            RootMsg::DrainCalls { patience, reply } => match state.calls() {
                Some(calls) => {
                    let _ = calls.send_message(CallsMsg::Drain { patience, reply });
                }
                None => {
                    let _ = reply.send(());
                }
            },
            RootMsg::DrainTrunks { reply } => match state.trunks() {
                Some(trunks) => {
                    let _ = trunks.send_message(TrunksMsg::Drain { reply });
                }
                None => {
                    let _ = reply.send(());
                }
            },
            RootMsg::Pause { name, paused, reply } => match state.carriers() {
                Some(carriers) => {
                    let _ = carriers.send_message(CarriersMsg::Pause { name, paused, reply });
                }
                None => {
                    let _ = reply.send(false);
                }
            },
            RootMsg::Drain { name, reply } => match state.carriers() {
                Some(carriers) => {
                    let _ = carriers.send_message(CarriersMsg::Drain { name, reply });
                }
                None => {
                    let _ = reply.send(());
                }
            },
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
    fn carriers(&self) -> Option<ActorRef<CarriersMsg>> {
        self.children.get(&Part::Carriers).map(|carriers| ActorRef::from(carriers.clone()))
    }

    fn esmes(&self) -> Option<ActorRef<EsmesMsg>> {
        self.children.get(&Part::Esmes).map(|esmes| ActorRef::from(esmes.clone()))
    }

    fn calls(&self) -> Option<ActorRef<CallsMsg>> {
        self.children.get(&Part::Calls).map(|calls| ActorRef::from(calls.clone()))
    }

    fn trunks(&self) -> Option<ActorRef<TrunksMsg>> {
        self.children.get(&Part::Trunks).map(|trunks| ActorRef::from(trunks.clone()))
    }

    /// `None`: this switch has no such part.
    async fn spawn(&self, part: Part, me: ActorCell) -> Result<Option<ActorCell>, SpawnErr> {
        let args = &self.args;
        Ok(Some(match part {
            Part::Writer => linked(Writer, args.writer.args(), me).await?,
            Part::Sandbox => {
                let handle = args.sandbox.clone();
                let args = SandboxArgs { handle, ..SandboxArgs::default() };
                linked(SandboxSupervisor, args, me).await?
            }
            Part::Carriers => linked(CarriersSupervisor, args.carriers.clone(), me).await?,
            Part::Sweeper => linked(Sweeper, args.sweeper.clone(), me).await?,
            Part::Retention => linked(Retention, args.retention.clone(), me).await?,
            Part::Replies => linked(Replies, args.replies.clone(), me).await?,
            Part::Scheduler => linked(Scheduler, args.scheduler.clone(), me).await?,
            Part::Customers => linked(CustomersSupervisor, args.customers.clone(), me).await?,
            Part::Esmes => match args.esmes.clone() {
                Some(args) => linked(EsmesSupervisor, args, me).await?,
                None => return Ok(None),
            },
            Part::Calls => match args.calls.clone() {
                Some(args) => linked(CallsSupervisor, args, me).await?,
                None => return Ok(None),
            },
            Part::Sip => match args.sip.clone() {
                Some(args) => linked(SipSupervisor, args, me).await?,
                None => return Ok(None),
            },
            Part::Trunks => match args.trunks.clone() {
                Some(args) => linked(TrunksSupervisor, args, me).await?,
                None => return Ok(None),
            },
        }))
    }

    async fn start(
        &mut self,
        me: &ActorRef<RootMsg>,
        part: Part,
    ) -> Result<(), ActorProcessingErr> {
        if self.children.contains_key(&part) {
            return Ok(());
        }
        match self.spawn(part, me.get_cell()).await {
            Ok(child) => self.children.extend(child.map(|child| (part, child))),
            Err(error) => return self.again(me, part, &error.to_string()),
        }
        if part == Part::Writer && !self.children.contains_key(&Part::Carriers) {
            return Box::pin(self.start(me, Part::Carriers)).await;
        }
        Ok(())
    }

    fn died(
        &mut self,
        me: &ActorRef<RootMsg>,
        who: ActorId,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        let found = self.children.iter().find(|(_, child)| child.get_id() == who);
        let Some(part) = found.map(|(part, _)| *part) else { return Ok(()) };
        self.children.remove(&part);
        if part == Part::Writer
            && let Some(carriers) = self.children.remove(&Part::Carriers)
        {
            // What the carriers had asked of it is lost: they begin anew behind the next one.
            carriers.stop(Some(String::from("the writer died")));
        }
        self.again(me, part, why)
    }

    fn again(
        &mut self,
        me: &ActorRef<RootMsg>,
        part: Part,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        restarts(part).increment(1);
        tracing::error!(?part, why, "a part of the switch died");
        let log = self.logs.entry(part).or_default();
        let rest = log.next(&self.args.policy, Instant::now());
        let rest = rest.ok_or_else(|| format!("{part:?} failed too often"))?;
        me.send_after(rest, move || RootMsg::Start(part));
        Ok(())
    }
}

async fn linked<A: Actor>(
    behaviour: A,
    args: A::Arguments,
    me: ActorCell,
) -> Result<ActorCell, SpawnErr> {
    let (child, _) = Actor::spawn_linked(None, behaviour, args, me).await?;
    Ok(child.get_cell())
}

fn restarts(part: Part) -> Counter {
    let label = format!("{part:?}").to_lowercase();
    counter!("orbit_restarts_total", "actor" => label, "carrier" => "")
}
