//! Starts a minder for each trunk that is asked whether it is there, or that we register with.
//!
//! root
//! └─ trunks              this file
//!    ├─ ear              a task: says when the list of trunks is another one
//!    └─ minder           one per trunk; 10 restarts in a minute, then it rests
//!
//! A change of the list is compared with what runs: what is new starts, what is another one leaves and starts
//! anew when it has left, the rest hears of it. A minder whose budget is spent rests ten minutes, and no
//! neighbour notices. When this dies all minders die with it; trunks are then neither up nor down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actors::sip::minder::{LEFT, Minder, MinderArgs, MinderMsg, Ways, is_minded, is_same};
use actors::sip::trunks::Running;
use metrics::{counter, gauge};
use model::id::PublicId;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::restart::{Log, Policy};

/// The rest of a minder whose budget is spent.
const LONG_REST: Duration = Duration::from_secs(600);
/// Trunks that begin together are asked first within so long for each of them, and no longer than this.
const SPREAD: Duration = Duration::from_millis(10);
const SPREAD_MAX: Duration = Duration::from_secs(30);

pub enum TrunksMsg {
    /// (self) The list of trunks is another one.
    Changed,
    /// (self) A minder's rest is over.
    Start(PublicId),
    /// All registrations end; answered when none is left.
    Drain { reply: RpcReplyPort<()> },
}

/// What minders are made of. A clone is the same.
#[derive(Clone)]
pub struct TrunksArgs {
    pub ways: Arc<Ways>,
    pub policy: Policy,
}

/// The behaviour.
pub struct TrunksSupervisor;

pub struct TrunksState {
    args: TrunksArgs,
    branches: HashMap<PublicId, Branch>,
    ids: HashMap<ActorId, PublicId>,
    ear: AbortHandle,
    drains: bool,
    /// Who waits for that.
    drained: Option<RpcReplyPort<()>>,
}

/// One trunk's minder.
struct Branch {
    running: Arc<Running>,
    /// None: it rests.
    minder: Option<ActorRef<MinderMsg>>,
    log: Log,
    leaves: bool,
}

impl Drop for TrunksState {
    fn drop(&mut self) {
        self.ear.abort();
    }
}

impl Actor for TrunksSupervisor {
    type Msg = TrunksMsg;
    type State = TrunksState;
    type Arguments = TrunksArgs;

    async fn pre_start(
        &self,
        me: ActorRef<TrunksMsg>,
        args: TrunksArgs,
    ) -> Result<TrunksState, ActorProcessingErr> {
        let mut changes = args.ways.trunks.changes();
        let ear = tokio::spawn(async move {
            while me.send_message(TrunksMsg::Changed).is_ok() && changes.changed().await.is_ok() {}
        });
        let (branches, ids) = (HashMap::new(), HashMap::new());
        Ok(TrunksState {
            args,
            branches,
            ids,
            ear: ear.abort_handle(),
            drains: false,
            drained: None,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<TrunksMsg>,
        message: TrunksMsg,
        state: &mut TrunksState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TrunksMsg::Changed if state.drains => {}
            TrunksMsg::Changed => state.compare(&me).await,
            TrunksMsg::Start(id) => state.start(&me, id, Duration::ZERO).await,
            TrunksMsg::Drain { reply } => state.drain(reply),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<TrunksMsg>,
        event: SupervisionEvent,
        state: &mut TrunksState,
    ) -> Result<(), ActorProcessingErr> {
        let (minder, why) = match event {
            SupervisionEvent::ActorFailed(minder, error) => (minder, error.to_string()),
            SupervisionEvent::ActorTerminated(minder, _, why) => (minder, why.unwrap_or_default()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        if let Some(id) = state.ids.remove(&minder.get_id()) {
            if why == LEFT {
                state.branches.remove(&id);
                // It may be there again, as another one.
                state.start(&me, id, Duration::ZERO).await;
            } else {
                state.again(&me, id, &why);
            }
        }
        state.count();
        Ok(())
    }
}

impl TrunksState {
    async fn compare(&mut self, me: &ActorRef<TrunksMsg>) {
        let trunks = self.args.ways.trunks.all();
        let minded: Vec<_> = trunks.into_iter().filter(|one| is_minded(&one.trunk)).collect();
        let wanted: HashMap<PublicId, &Arc<Running>> =
            minded.iter().map(|running| (running.trunk.id, running)).collect();
        for (id, branch) in &mut self.branches {
            match wanted.get(id) {
                Some(running) if is_same(&running.trunk, &branch.running.trunk) => {
                    if !Arc::ptr_eq(running, &branch.running)
                        && let Some(minder) = &branch.minder
                    {
                        let _ = minder.send_message(MinderMsg::Changed(Arc::clone(running)));
                    }
                    branch.running = Arc::clone(running);
                }
                _ => branch.leave(),
            }
        }
        // What rests has nothing to end.
        self.branches.retain(|_, branch| branch.minder.is_some() || !branch.leaves);
        let fresh: Vec<PublicId> =
            wanted.keys().filter(|id| !self.branches.contains_key(id)).copied().collect();
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(count).min(SPREAD_MAX);
        for id in fresh {
            self.start(me, id, spread).await;
        }
        self.count();
    }

    /// Starts the minder of a trunk, if it has one and needs it.
    async fn start(&mut self, me: &ActorRef<TrunksMsg>, id: PublicId, spread: Duration) {
        let running = self.args.ways.trunks.find(id).filter(|one| is_minded(&one.trunk));
        let Some(running) = running.filter(|_| !self.drains) else {
            self.branches.remove(&id);
            return;
        };
        let branch = self.branches.entry(id).or_insert_with(|| Branch {
            running: Arc::clone(&running),
            minder: None,
            log: Log::default(),
            leaves: false,
        });
        if branch.minder.is_some() {
            return;
        }
        branch.running = Arc::clone(&running);
        let args = MinderArgs { ways: Arc::clone(&self.args.ways), running, spread };
        match Actor::spawn_linked(None, Minder, args, me.get_cell()).await {
            Ok((minder, _)) => {
                self.ids.insert(minder.get_id(), id);
                branch.minder = Some(minder);
            }
            Err(error) => self.again(me, id, &error.to_string()),
        }
    }

    fn again(&mut self, me: &ActorRef<TrunksMsg>, id: PublicId, why: &str) {
        let Some(branch) = self.branches.get_mut(&id) else { return };
        branch.minder = None;
        if branch.leaves {
            // It has left, in its way.
            self.branches.remove(&id);
            let _ = me.send_message(TrunksMsg::Start(id));
            return;
        }
        counter!("orbit_restarts_total", "actor" => "minder", "carrier" => "").increment(1);
        let rest = branch.log.next(&self.args.policy, Instant::now()).unwrap_or(LONG_REST);
        let trunk = &branch.running.trunk.name;
        tracing::error!(%trunk, why, rest_ms = rest.as_millis(), "a trunk's minder died");
        me.send_after(rest, move || TrunksMsg::Start(id));
    }

    fn drain(&mut self, reply: RpcReplyPort<()>) {
        self.ear.abort();
        self.branches.retain(|_, branch| {
            branch.leave();
            branch.minder.is_some()
        });
        (self.drains, self.drained) = (true, Some(reply));
        self.count();
    }

    #[expect(clippy::cast_precision_loss, reason = "trunks are far fewer than 2^52")]
    fn count(&mut self) {
        gauge!("orbit_trunks_minded").set(self.ids.len() as f64);
        if self.ids.is_empty()
            && let Some(reply) = self.drained.take()
        {
            let _ = reply.send(());
        }
    }
}

impl Branch {
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaves, true)
            && let Some(minder) = &self.minder
        {
            let _ = minder.send_message(MinderMsg::Leave);
        }
    }
}
