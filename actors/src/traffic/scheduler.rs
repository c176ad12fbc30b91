//! Sends what was scheduled, when its time has come.
//!
//! Started by root. Each tick one pass, in a task that it owns: it reads what is due, page by page,
//! has each message checked, routed and priced anew, and asks the writer to fire it; never two
//! passes at once. The rows are the schedule and the writer decides: a message fires once however
//! often it is asked for. When this dies nothing is lost, and the next life fires what is overdue.

mod pass;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::Store;
use tokio::task::AbortHandle;

use super::admission::Admission;
use crate::writer::WriterHandle;

/// Rest after a pass that could not go on.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the scheduler is told; all by itself.
#[derive(Debug)]
pub enum SchedulerMsg {
    /// (self) Something may be due.
    Look,
    /// (self) The pass is done, or could not be.
    Passed(Passed),
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// All that was due has been asked for.
    Done,
    /// It stopped at its limit: the next one follows at once.
    Behind,
    /// The store or the writer did not answer; what is due is still due.
    Failed(String),
    /// The task panicked.
    Lost,
}

/// The behaviour.
pub struct Scheduler;

/// How the scheduler is started.
#[derive(Clone)]
pub struct SchedulerArgs {
    pub store: Store,
    pub writer: WriterHandle,
    pub admission: Admission,
    /// Rest between two looks.
    pub tick: Duration,
    /// Messages fired by one transaction at most.
    pub page: usize,
}

pub struct SchedulerState {
    pass: Arc<pass::Firing>,
    tick: Duration,
    /// The timer or the pass, whichever runs.
    task: Option<AbortHandle>,
}

/// Tells the scheduler how its pass ended, even when it ends by a panic.
struct News {
    me: ActorRef<SchedulerMsg>,
    passed: Passed,
}

impl Actor for Scheduler {
    type Msg = SchedulerMsg;
    type State = SchedulerState;
    type Arguments = SchedulerArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SchedulerMsg>,
        args: SchedulerArgs,
    ) -> Result<SchedulerState, ActorProcessingErr> {
        Ok(SchedulerState { tick: args.tick, pass: Arc::new(pass::Firing::new(args)), task: None })
    }

    async fn post_start(
        &self,
        me: ActorRef<SchedulerMsg>,
        state: &mut SchedulerState,
    ) -> Result<(), ActorProcessingErr> {
        state.look(me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<SchedulerMsg>,
        message: SchedulerMsg,
        state: &mut SchedulerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SchedulerMsg::Look | SchedulerMsg::Passed(Passed::Behind) => state.look(me),
            SchedulerMsg::Passed(Passed::Done) => state.rest(&me, state.tick),
            SchedulerMsg::Passed(Passed::Failed(error)) => {
                tracing::warn!(error, "what is due waits");
                state.rest(&me, REST_AFTER_FAILURE);
            }
            SchedulerMsg::Passed(Passed::Lost) => return Err("a pass panicked".into()),
        }
        Ok(())
    }
}

impl SchedulerState {
    fn rest(&mut self, me: &ActorRef<SchedulerMsg>, rest: Duration) {
        let timer = me.send_after(rest, || SchedulerMsg::Look);
        self.task = Some(timer.abort_handle());
    }

    fn look(&mut self, me: ActorRef<SchedulerMsg>) {
        let pass = Arc::clone(&self.pass);
        let mut news = News { me, passed: Passed::Lost };
        let task = tokio::spawn(async move {
            let news = &mut news;
            news.passed = pass.run().await;
        });
        self.task = Some(task.abort_handle());
    }
}

impl Drop for SchedulerState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let passed = std::mem::replace(&mut self.passed, Passed::Lost);
        // A scheduler that is gone needs no news.
        let _ = self.me.send_message(SchedulerMsg::Passed(passed));
    }
}
