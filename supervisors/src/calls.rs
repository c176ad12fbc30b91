//! The calls' supervisor: one actor per call, and what is left of one that fails.
//!
//! calls                    this file
//! ├─ ear                   a task: what relays say goes to the call that it is about
//! └─ call                  one per call, temporary: a panic ends it, and no other
//!
//! All answered calls are checkpointed together, so that a call that is lost with the process is billed as
//! far as it was seen. For a call whose actor fails both ends hear BYE, or what rings is given up and who
//! waits is answered 500, and what was talked is billed at once. When this dies its calls die with it, and its next life carries out their wills.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::media::Notice;
use actors::sip::call::{Begin, Call, CallArgs, CallMsg, CallTable, Context, Door, Will};
use metrics::{counter, gauge};
use model::clock::At;
use model::voice::{EndReason, HangupBy};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use store::lane::{CallChange, CallDone};
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;

/// How often a will is told to the store that it did not take.
const AGAIN: Duration = Duration::from_secs(1);
/// Calls of one checkpoint.
const PAGE: usize = 2_000;

pub enum CallsMsg {
    /// (self) A shard has an INVITE for a new call.
    Begin(Box<Begin>),
    /// (self) How far calls have come is to be stored.
    Checkpoint,
    /// (self) A will was not stored.
    Again(Box<Will>, At),
    /// No new calls; those that are there may go on for so long. Answered when none is left.
    Drain { patience: Duration, reply: RpcReplyPort<()> },
    /// (self) Patience is over.
    HangUp,
}

/// What calls are made of. A clone is the same.
#[derive(Clone)]
pub struct CallsArgs {
    pub context: Arc<Context>,
    pub table: CallTable,
    pub checkpoint: Duration,
    /// What relays say; the other end is in the context.
    pub notices: Arc<Mutex<mpsc::Receiver<Notice>>>,
}

/// The behaviour.
pub struct CallsSupervisor;

pub struct CallsState {
    args: CallsArgs,
    calls: HashMap<ActorId, ActorRef<CallMsg>>,
    ear: AbortHandle,
    draining: Option<RpcReplyPort<()>>,
}

impl Drop for CallsState {
    fn drop(&mut self) {
        self.args.table.attach(None);
        self.args.context.keeper.died(now());
        self.ear.abort();
    }
}

impl Actor for CallsSupervisor {
    type Msg = CallsMsg;
    type State = CallsState;
    type Arguments = CallsArgs;

    async fn pre_start(
        &self,
        me: ActorRef<CallsMsg>,
        args: CallsArgs,
    ) -> Result<CallsState, ActorProcessingErr> {
        let (notices, keeper) = (args.notices.clone(), args.context.keeper.clone());
        let ear = tokio::spawn(async move {
            let mut notices = notices.lock().await;
            while let Some(Notice { session, leg, event }) = notices.recv().await {
                if let Some(call) = keeper.listener(session) {
                    let _ = call.send_message(CallMsg::Sound(leg, event));
                }
            }
        });
        let (starter, context) = (me.clone(), Arc::clone(&args.context));
        args.table.attach(Some(Door {
            ask: Box::new(move |flow, invite| {
                let wire = (context.wire)()?;
                Some(context.front.ask(wire.shield(), flow, invite))
            }),
            start: Box::new(move |begin| {
                starter.send_message(CallsMsg::Begin(Box::new(begin))).is_ok()
            }),
        }));
        Ok(CallsState { args, calls: HashMap::new(), ear: ear.abort_handle(), draining: None })
    }

    async fn post_start(
        &self,
        me: ActorRef<CallsMsg>,
        state: &mut CallsState,
    ) -> Result<(), ActorProcessingErr> {
        let (wills, died) = state.args.context.keeper.take_all();
        for will in wills {
            state.carry_out(&me, will, died.unwrap_or_else(now));
        }
        me.send_after(state.args.checkpoint, || CallsMsg::Checkpoint);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<CallsMsg>,
        message: CallsMsg,
        state: &mut CallsState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CallsMsg::Begin(begin) => state.begin(&me, *begin).await,
            CallsMsg::Checkpoint => state.checkpoint(&me),
            CallsMsg::Again(will, at) => state.close(&me, *will, at),
            CallsMsg::Drain { patience, reply } => state.drain(&me, patience, reply),
            CallsMsg::HangUp => state.hang_up(),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<CallsMsg>,
        event: SupervisionEvent,
        state: &mut CallsState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(call, error) => {
                counter!("orbit_restarts_total", "actor" => "call", "carrier" => "").increment(1);
                tracing::error!(%error, "a call's actor failed; both ends hear BYE");
                state.gone(&me, call.get_id());
            }
            SupervisionEvent::ActorTerminated(call, ..) => state.gone(&me, call.get_id()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl CallsState {
    async fn begin(&mut self, me: &ActorRef<CallsMsg>, begin: Begin) {
        let context = Arc::clone(&self.args.context);
        let shard = begin.shard.clone();
        let invite = begin.opening.invite().map(|(id, message)| (id, message.clone()));
        let unavailable = |table: &CallTable| {
            if let Some((id, message)) = &invite {
                table.unavailable(&shard, *id, message);
            }
        };
        if context.writer.is_draining() {
            return unavailable(&self.args.table);
        }
        match Actor::spawn_linked(None, Call, CallArgs { context, begin }, me.get_cell()).await {
            Ok((call, _)) => {
                self.calls.insert(call.get_id(), call);
                gauge!("orbit_calls").set(self.calls.len() as f64);
            }
            // Its seat is free again.
            Err(error) => {
                tracing::error!(%error, "a call has no actor");
                unavailable(&self.args.table);
            }
        }
    }

    fn gone(&mut self, me: &ActorRef<CallsMsg>, call: ActorId) {
        self.calls.remove(&call);
        gauge!("orbit_calls").set(self.calls.len() as f64);
        // A call that has told the store its end has taken its will back.
        if let Some(will) = self.args.context.keeper.take(call) {
            self.carry_out(me, will, now());
        }
        if self.calls.is_empty()
            && let Some(reply) = self.draining.take()
        {
            let _ = reply.send(());
        }
    }

    /// What is left of a call whose sound ended at this moment.
    fn carry_out(&self, me: &ActorRef<CallsMsg>, will: Will, moment: Instant) {
        will.say_goodbye();
        let at = will.clock.at(moment);
        self.close(me, will, at);
    }

    /// Bills a call that nobody holds any more, until the store has taken it.
    fn close(&self, me: &ActorRef<CallsMsg>, mut will: Will, at: At) {
        let Some(change) = will.change(at) else { return };
        let (writer, me) = (self.args.context.writer.clone(), me.clone());
        tokio::spawn(async move {
            match writer.change_call(change).await {
                Err(refusal) => {
                    tracing::warn!(error = %refusal.message, "a failed call is not stored yet");
                    me.send_after(AGAIN, move || CallsMsg::Again(Box::new(will), at));
                }
                Ok(CallDone::Failed) if will.bare => {
                    counter!("orbit_calls_not_closed_total").increment(1);
                    tracing::error!(call = ?will.row, "the database takes a call's end in no way");
                }
                Ok(CallDone::Failed) => {
                    will.bare = true;
                    let _ = me.send_message(CallsMsg::Again(Box::new(will), at));
                }
                Ok(_) => {}
            }
        });
    }

    fn checkpoint(&self, me: &ActorRef<CallsMsg>) {
        let answered = self.args.context.keeper.answered(now());
        for page in answered.chunks(PAGE) {
            let calls = page.to_vec();
            let told =
                self.args.context.writer.tell_calls(vec![CallChange::Checkpoint(calls)], |_| {});
            if told.is_err() {
                tracing::warn!("calls go on without a checkpoint: there is no writer");
            }
        }
        me.send_after(self.args.checkpoint, || CallsMsg::Checkpoint);
    }

    fn drain(&mut self, me: &ActorRef<CallsMsg>, patience: Duration, reply: RpcReplyPort<()>) {
        self.args.table.attach(None);
        if self.calls.is_empty() {
            let _ = reply.send(());
            return;
        }
        me.send_after(patience, || CallsMsg::HangUp);
        self.draining = Some(reply);
    }

    fn hang_up(&self) {
        for call in self.calls.values() {
            let (by, reason) = (HangupBy::System, EndReason::Normal);
            let _ = call.send_message(CallMsg::HangUp { by, reason });
        }
    }
}
