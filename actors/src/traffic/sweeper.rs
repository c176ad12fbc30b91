//! Gives up on receipts and parts of messages that never come, and drops what is too old to be asked for.
//!
//! Started by root. Every period one pass, in a task that it owns, reads the log behind each
//! carrier's cursor up to the first event younger than that carrier's receipt time-out, and hands
//! the messages still `sent` to the writer together with the new cursors; never two passes at
//! once. It writes nothing itself and decides nothing for good: the writer asks again which
//! messages still wait. When it dies nothing is lost, because the cursors are rows.

mod pass;

use std::sync::Arc;
use std::time::Duration;

use model::carrier::CarrierId;
use model::clock::At;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::Store;
use tokio::task::AbortHandle;

use crate::writer::WriterHandle;
pub use pass::{Stretch, review};

/// Rest between two passes, unless told otherwise.
const PERIOD: Duration = Duration::from_secs(5);
/// How long parts wait for their siblings, unless told otherwise.
const JOIN_PARTS: Duration = Duration::from_secs(600);
/// How long a long message waits for the receipts of its other parts, unless told otherwise.
const PART_RECEIPTS: Duration = Duration::from_secs(600);

/// The carriers of the moment.
pub type Watched = Arc<dyn Fn() -> Vec<Watch> + Send + Sync>;

/// One account whose receipts are looked after.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    pub carrier: CarrierId,
    /// How long they are waited for.
    pub receipt_timeout: Duration,
    /// When the account ended: searched beyond that, it needs nobody to look after it.
    pub ended: Option<At>,
}

/// What the sweeper is told; all by itself.
#[derive(Debug)]
pub enum SweeperMsg {
    /// (self) The period is over.
    Sweep,
    /// (self) The pass is done, or could not be.
    Swept(Swept),
}

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swept {
    /// All that is old enough was read.
    Done,
    /// It stopped at its limit: the next one follows at once.
    Behind,
    /// The store or the writer did not answer; it goes on where it was.
    Failed(String),
    /// The task panicked.
    Lost,
}

/// The behaviour.
pub struct Sweeper;

/// How the sweeper is started.
#[derive(Clone)]
pub struct SweeperArgs {
    pub store: Store,
    pub writer: WriterHandle,
    pub carriers: Watched,
    /// Rest between two passes.
    pub period: Duration,
    /// How long a part of an inbound message waits for its siblings.
    pub join_parts: Duration,
    /// How long a message with some parts delivered waits for receipts of the others.
    pub part_receipts: Duration,
}

impl SweeperArgs {
    #[must_use]
    pub fn new(store: Store, writer: WriterHandle, carriers: Watched) -> Self {
        let (join_parts, part_receipts) = (JOIN_PARTS, PART_RECEIPTS);
        Self { store, writer, carriers, period: PERIOD, join_parts, part_receipts }
    }
}

pub struct SweeperState {
    pass: Arc<pass::Sweep>,
    period: Duration,
    /// The timer or the pass, whichever runs.
    task: Option<AbortHandle>,
}

/// Tells the sweeper how its pass ended, even when it ends by a panic.
struct News {
    me: ActorRef<SweeperMsg>,
    swept: Swept,
}

impl Actor for Sweeper {
    type Msg = SweeperMsg;
    type State = SweeperState;
    type Arguments = SweeperArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<SweeperMsg>,
        args: SweeperArgs,
    ) -> Result<SweeperState, ActorProcessingErr> {
        Ok(SweeperState { period: args.period, pass: Arc::new(pass::Sweep::new(args)), task: None })
    }

    async fn post_start(
        &self,
        me: ActorRef<SweeperMsg>,
        state: &mut SweeperState,
    ) -> Result<(), ActorProcessingErr> {
        state.rest(&me, state.period);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<SweeperMsg>,
        message: SweeperMsg,
        state: &mut SweeperState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SweeperMsg::Sweep => state.sweep(me),
            SweeperMsg::Swept(Swept::Done) => state.rest(&me, state.period),
            SweeperMsg::Swept(Swept::Behind) => state.sweep(me),
            SweeperMsg::Swept(Swept::Failed(error)) => {
                tracing::warn!(error, "the search for missing receipts waits");
                state.rest(&me, state.period);
            }
            SweeperMsg::Swept(Swept::Lost) => return Err("a sweep panicked".into()),
        }
        Ok(())
    }
}

impl SweeperState {
    fn rest(&mut self, me: &ActorRef<SweeperMsg>, period: Duration) {
        let timer = me.send_after(period, || SweeperMsg::Sweep);
        self.task = Some(timer.abort_handle());
    }

    fn sweep(&mut self, me: ActorRef<SweeperMsg>) {
        let pass = Arc::clone(&self.pass);
        let mut news = News { me, swept: Swept::Lost };
        let task = tokio::spawn(async move {
            let news = &mut news;
            news.swept = pass.run().await;
        });
        self.task = Some(task.abort_handle());
    }
}

impl Drop for SweeperState {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let swept = std::mem::replace(&mut self.swept, Swept::Lost);
        // A sweeper that is gone needs no news.
        let _ = self.me.send_message(SweeperMsg::Swept(swept));
    }
}

#[cfg(test)]
mod tests;
