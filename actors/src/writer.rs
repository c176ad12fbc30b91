//! The mailbox before the store's writer: order, fairness and limits, no truth of its own.
//!
//! Started by the root supervisor. `handle` only collects; a thread that it owns commits, and takes
//! what came meanwhile as its next batch. Answers leave from a second thread, once the commit is on
//! the disk. When the actor dies, what it had collected was promised to nobody: askers are told to
//! come again, and the carriers are started anew, since what they had asked for is lost with it.

mod calls;
mod commit;
mod handle;
mod intake;
mod pieces;
mod publish;

use std::sync::Arc;
use std::time::Duration;

use model::refusal::Refusal;
use model::submission::Submission;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::Store;
use store::lane::{AcceptAnswer, Alternatives, Done, Work};
use tokio::sync::{mpsc, oneshot};

use crate::directory::Directory;
use crate::gate::Permit;
use handle::Turn;
pub use handle::{Limits, Shared, WriterHandle};
use intake::{Flow, Intake};

/// What the writer is asked.
#[derive(Debug)]
pub enum WriterMsg {
    Accept(Asked),
    /// Work of a carrier or a sweeper; its answer goes to whoever asked.
    Perform {
        work: Box<Work>,
        then: Then,
    },
    /// (self) The commit is done; here is room for the next.
    Idle(Flow),
    /// (self) What waited for company has waited long enough.
    Due,
    /// (self) The database takes nothing: who waits for it to accept something is told so.
    Away,
    /// (self) The outcome of a commit is unknown, or the lane is gone for good.
    Broken(String),
}

/// Submissions with whom to answer.
#[derive(Debug)]
pub struct Asked {
    pub submissions: Vec<Submission>,
    pub reply: Reply,
    pub permit: Permit,
}

impl Asked {
    /// Messages in all.
    fn count(&self) -> usize {
        self.submissions.iter().map(|submission| submission.messages.len()).sum()
    }
}

/// Where answers go.
#[derive(Debug)]
pub enum Reply {
    /// One submission, whose asker waits.
    One(oneshot::Sender<AcceptAnswer>),
    /// As many as there are submissions, all at once.
    All(Answers),
}

impl Reply {
    pub(crate) fn refuse(self, count: usize, refusal: &Refusal) {
        match self {
            Self::One(reply) => {
                let _ = reply.send(Err(refusal.clone()));
            }
            Self::All(answers) => answers.give(vec![Err(refusal.clone()); count]),
        }
    }
}

type Taker = Box<dyn FnOnce(Vec<AcceptAnswer>) + Send>;

/// Takes the answers to many submissions; when it is dropped instead, each is told that nothing is
/// known to be stored.
pub struct Answers {
    take: Option<Taker>,
    count: usize,
}

impl Answers {
    fn new(count: usize, take: Taker) -> Self {
        Self { take: Some(take), count }
    }

    pub(crate) fn give(mut self, answers: Vec<AcceptAnswer>) {
        if let Some(take) = self.take.take() {
            take(answers);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(take) = self.take.take() {
            take(vec![Err(handle::not_stored()); self.count]);
        }
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answers({})", self.count)
    }
}

/// What to do with the answer to some work.
pub struct Then(Box<dyn FnOnce(Done) + Send>);

impl Then {
    pub fn new(then: impl FnOnce(Done) + Send + 'static) -> Self {
        Self(Box::new(then))
    }
}

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

/// The behaviour.
pub struct Writer;

/// How a writer is started.
pub struct WriterArgs {
    pub store: Store,
    pub alternatives: Alternatives,
    /// Refuse while another process serves the same database.
    pub exclusive: bool,
    pub shared: Arc<Shared>,
    pub carriers: Directory,
    pub batch_max: usize,
    pub batch_wait: Duration,
}

/// What is collected for the next transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) asked: Vec<Asked>,
    pub(crate) performs: Vec<(Work, Then)>,
    /// Items in all.
    pub(crate) count: usize,
    /// Somebody waits for some of it.
    pub(crate) pressing: bool,
}

/// So long what nobody waits for waits for company: the next commit that somebody waits for takes it along.
const COMPANY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Later,
    Now,
}

pub struct WriterState {
    batch: Batch,
    /// What waits to be accepted.
    intake: Intake,
    carriers: Directory,
    /// Batches go here; the thread behind it ends when this is dropped.
    commits: mpsc::Sender<Batch>,
    idle: bool,
    /// The commit under way waits for the database.
    away: bool,
    /// What waits for company is due at a time, or has been since.
    due: Option<Due>,
    batch_max: usize,
    /// What did not fit the batch, in order.
    waiting: std::collections::VecDeque<WriterMsg>,
}

impl Actor for Writer {
    type Msg = WriterMsg;
    type State = WriterState;
    type Arguments = WriterArgs;

    async fn pre_start(
        &self,
        me: ActorRef<WriterMsg>,
        args: WriterArgs,
    ) -> Result<WriterState, ActorProcessingErr> {
        let batch_max = args.batch_max.max(1);
        let (shared, carriers) = (args.shared.clone(), args.carriers.clone());
        let (commits, batches) = mpsc::channel(1);
        // Owned through `commits`: the thread ends after its current commit once that is dropped.
        let turn = shared.turn().await.ok_or("an earlier writer still commits")?;
        let lane_id = commit::start(args, me.clone(), batches, turn).await?;
        shared.attach(me, lane_id);
        Ok(WriterState {
            batch: Batch::default(),
            intake: Intake::default(),
            carriers,
            commits,
            idle: true,
            away: false,
            due: None,
            batch_max,
            waiting: std::collections::VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        me: ActorRef<WriterMsg>,
        message: WriterMsg,
        state: &mut WriterState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WriterMsg::Idle(flow) => {
                (state.idle, state.away) = (true, false);
                state.intake.note(flow);
            }
            WriterMsg::Due => state.due = (state.batch.count > 0).then_some(Due::Now),
            WriterMsg::Away => state.refuse_accepts(),
            WriterMsg::Broken(error) => return Err(error.into()),
            other => state.collect(other),
        }
        if state.waits_for_company() {
            if state.due.replace(Due::Later).is_none() {
                me.send_after(COMPANY, || WriterMsg::Due);
            }
            return Ok(());
        }
        state.hand_over();
        Ok(())
    }
}

/// What is said while the database is away.
fn away() -> Refusal {
    Refusal::unavailable("the database takes nothing now").retry_after(2)
}

impl WriterState {
    fn refuse_accepts(&mut self) {
        self.away = true;
        for asked in self.intake.drain() {
            asked.reply.refuse(asked.submissions.len(), &away());
        }
        let count = &mut self.batch.count;
        self.batch.performs.retain(|(work, _)| {
            let refused = commit::promises(work);
            *count -= if refused { work.len() } else { 0 };
            !refused
        });
        for message in std::mem::take(&mut self.waiting) {
            self.collect(message);
        }
    }

    fn collect(&mut self, message: WriterMsg) {
        let message = match message {
            WriterMsg::Accept(asked) if self.away => {
                asked.reply.refuse(asked.submissions.len(), &away());
                return;
            }
            WriterMsg::Accept(asked) => return self.intake.push(asked),
            WriterMsg::Perform { work, .. } if self.away && commit::promises(&work) => {
                return;
            }
            other => other,
        };
        if self.batch.count >= self.batch_max {
            return self.waiting.push_back(message);
        }
        if let WriterMsg::Perform { work, then } = message {
            self.batch.count += work.len();
            self.batch.pressing |= !work.may_wait();
            self.batch.performs.push((*work, then));
        }
    }

    /// A commit could begin, but for nobody.
    fn waits_for_company(&self) -> bool {
        let Batch { count, pressing, .. } = self.batch;
        let alone = count > 0 && !pressing && count < self.batch_max && self.intake.is_empty();
        self.idle && alone && self.due != Some(Due::Now)
    }

    /// Gives the committer all there is, if it waits for some.
    fn hand_over(&mut self) {
        if !self.idle || self.batch.count == 0 && self.intake.is_empty() {
            return;
        }
        let room = self.carriers.free_room();
        let (asked, count) = self.intake.share(room, self.batch_max);
        self.batch.asked = asked;
        self.batch.count += count;
        if self.commits.try_send(std::mem::take(&mut self.batch)).is_ok() {
            self.idle = false;
            // One that comes later finds nothing due.
            self.due = self.due.filter(|due| *due == Due::Later);
        }
        while self.batch.count < self.batch_max
            && let Some(message) = self.waiting.pop_front()
        {
            self.collect(message);
        }
    }
}
