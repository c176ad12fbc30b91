//! Drops what has been kept long enough: messages, calls, bodies, lines of the log, old money.
//!
//! Started by root. Every period one pass, in a task that it owns, reads what is oldest and asks
//! the writer to drop a few rows, rests, and goes on; every sort has its turn in each round, so that
//! none waits for the end of another. It decides nothing for good: the writer looks at each row
//! once more. When it dies nothing is lost; how far bodies were taken out is a row.

mod pass;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::Store;
use tokio::task::AbortHandle;

use crate::writer::WriterHandle;

/// What retention is told; all by itself.
#[derive(Debug)]
pub enum RetentionMsg {
    /// (self) The period is over.
    Begin,
    /// (self) The pass is done, or could not be.
    Ended(Ended),
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing that is old enough is left.
    Done,
    /// The store or the writer did not answer; the next pass goes on.
    Failed(String),
    /// The task panicked.
    Lost,
}

/// How long things are kept; `None`: for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Messages with their history, and what was set aside.
    pub messages: Option<Duration>,
    /// Bodies of sent messages, after their end.
    pub outbound_bodies: Option<Duration>,
    /// Bodies of received messages.
    pub inbound_bodies: Option<Duration>,
    pub ledger: Option<Duration>,
    /// Lines of the log that are of no message.
    pub lines: Option<Duration>,
    /// Calls with their history and records.
    pub calls: Option<Duration>,
    /// Pieces of what was seen of calls, and so many of them.
    pub ladders: Option<Duration>,
    pub ladder_pieces: Option<i64>,
}

/// How hard it works.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Rest between two passes.
    pub period: Duration,
    /// Rows dropped by one commit.
    pub batch: usize,
    /// Rest after each round of commits.
    pub pause: Duration,
}

/// The behaviour.
pub struct Retention;

/// How it is started.
#[derive(Clone)]
pub struct RetentionArgs {
    pub store: Store,
    pub writer: WriterHandle,
    pub keep: Keep,
    pub pace: Pace,
}

pub struct RetentionState {
    pass: Arc<pass::Pass>,
    period: Duration,
    /// The timer or the pass, whichever runs.
    task: Option<AbortHandle>,
}

/// Tells how the pass ended, even when it ends by a panic.
struct News {
    me: ActorRef<RetentionMsg>,
    ended: Ended,
}

impl Actor for Retention {
    type Msg = RetentionMsg;
    type State = RetentionState;
    type Arguments = RetentionArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<RetentionMsg>,
        args: RetentionArgs,
    ) -> Result<RetentionState, ActorProcessingErr> {
        let period = args.pace.period;
        Ok(RetentionState { period, pass: Arc::new(pass::Pass::new(args)), task: None })
    }

    async fn post_start(
        &self,
        me: ActorRef<RetentionMsg>,
        state: &mut RetentionState,
    ) -> Result<(), ActorProcessingErr> {
        state.rest(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<RetentionMsg>,
        message: RetentionMsg,
        state: &mut RetentionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RetentionMsg::Begin => state.begin(me),
            RetentionMsg::Ended(Ended::Done) => state.rest(&me),
            RetentionMsg::Ended(Ended::Failed(error)) => {
                tracing::warn!(error, "dropping what is old waits");
                state.rest(&me);
            }
            RetentionMsg::Ended(Ended::Lost) => return Err("a retention pass panicked".into()),
        }
        Ok(())
    }
}

impl RetentionState {
    fn rest(&mut self, me: &ActorRef<RetentionMsg>) {
        let timer = me.send_after(self.period, || RetentionMsg::Begin);
        self.task = Some(timer.abort_handle());
    }

    fn begin(&mut self, me: ActorRef<RetentionMsg>) {
        let pass = Arc::clone(&self.pass);
        let mut news = News { me, ended: Ended::Lost };
        let task = tokio::spawn(async move {
            let news = &mut news;
            news.ended = pass.run().await;
        });
        self.task = Some(task.abort_handle());
    }
}

impl Drop for RetentionState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let ended = std::mem::replace(&mut self.ended, Ended::Lost);
        // An actor that is gone needs no news.
        let _ = self.me.send_message(RetentionMsg::Ended(ended));
    }
}

#[cfg(test)]
mod tests;
