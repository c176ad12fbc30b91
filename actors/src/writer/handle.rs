//! How the rest of the switch reaches the writer: through a gate, and whichever life it is in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::carrier::OrgId;
use model::message::Category;
use model::refusal::{Code, Refusal};
use model::submission::Submission;
use ractor::ActorRef;
use store::lane::{AcceptAnswer, Admin, AdminDone, Done, PreviewAnswer, Work};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::calls::Lost;
use super::{Answers, Asked, Reply, Then, WriterMsg};
use crate::customer::feed::Wakes;
use crate::gate::{Gate, Permit, Urgency};

/// Waiting longer than this for a commit is an outage.
const PATIENCE: Duration = Duration::from_secs(30);
/// A writer waits this long for the last commit of the one before it.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages between request and commit.
    pub accepts_max: usize,
    /// Messages of one organization between commit and carrier.
    pub backlog_per_organization_max: i64,
}

/// What all lives of a writer share with those who ask it.
#[derive(Debug)]
pub struct Shared {
    current: RwLock<Option<ActorRef<WriterMsg>>>,
    lane_id: AtomicI64,
    gate: Gate,
    /// Set while the database does not take anything.
    down: AtomicBool,
    /// Set while the disk is nearly full.
    low_disk: AtomicBool,
    draining: AtomicBool,
    /// Held by the life that commits.
    turn: Arc<Semaphore>,
    backlogs: RwLock<HashMap<OrgId, Arc<AtomicI64>>>,
    /// Told when answers to keywords are due.
    replies: Notify,
    backlog_max: i64,
    wakes: Arc<Wakes>,
    pub(super) lost: Lost,
}

/// One life of the writer commits, and no other.
#[derive(Debug)]
pub(super) struct Turn {
    _held: OwnedSemaphorePermit,
}

/// Cheap to clone; good for all lives of the writer.
#[derive(Clone, Debug)]
pub struct WriterHandle {
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            current: RwLock::new(None),
            lane_id: AtomicI64::new(0),
            gate: Gate::new(limits.accepts_max),
            down: AtomicBool::new(false),
            low_disk: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            turn: Arc::new(Semaphore::new(1)),
            backlogs: RwLock::new(HashMap::new()),
            replies: Notify::new(),
            backlog_max: limits.backlog_per_organization_max,
            wakes: Arc::default(),
            lost: Lost::default(),
        }
    }

    pub(super) fn attach(&self, writer: ActorRef<WriterMsg>, lane_id: i64) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        self.lane_id.store(lane_id, Ordering::Release);
        self.down.store(false, Ordering::Release);
        self.wakes.all();
    }

    /// Who wants to know that an organization's log has grown.
    #[must_use]
    pub fn wakes(&self) -> Arc<Wakes> {
        self.wakes.clone()
    }

    /// The right to commit; an earlier life may still be about its last batch.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let turn = self.turn.clone().acquire_owned();
        let held = tokio::time::timeout(TURN_PATIENCE, turn).await.ok()?.ok()?;
        Some(Turn { _held: held })
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Release);
    }

    /// Adds to what waits for carriers on behalf of an organization.
    pub fn add_backlog(&self, organization: OrgId, change: i64) {
        self.backlog(organization).fetch_add(change, Ordering::Relaxed);
    }

    pub(super) fn replies_due(&self) {
        self.replies.notify_one();
    }

    pub(super) fn permits_in_use(&self) -> usize {
        self.gate.in_use()
    }

    fn backlog(&self, organization: OrgId) -> Arc<AtomicI64> {
        let known = self.backlogs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(backlog) = known.get(&organization) {
            return backlog.clone();
        }
        drop(known);
        let mut known = self.backlogs.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(organization).or_default().clone()
    }
}

impl WriterHandle {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Stores a submission, or says why not. The answer comes after the commit.
    pub async fn submit(&self, submission: Submission) -> AcceptAnswer {
        let permit = self.room_for(std::slice::from_ref(&submission))?;
        let (reply, answer) = oneshot::channel();
        let (submissions, reply) = (vec![submission], Reply::One(reply));
        self.send(WriterMsg::Accept(Asked { submissions, reply, permit }))?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(not_stored()),
        }
    }

    /// Stores many submissions of one organization, each decided alone. The answers, in order, go to
    /// `then`: after the commit, or at once when nothing can be taken now.
    pub fn submit_many(
        &self,
        submissions: Vec<Submission>,
        then: impl FnOnce(Vec<AcceptAnswer>) + Send + 'static,
    ) {
        let answers = Answers::new(submissions.len(), Box::new(then));
        let count = submissions.len();
        match self.room_for(&submissions) {
            Ok(permit) => {
                let reply = Reply::All(answers);
                // Without a writer the message is dropped, and `then` told so.
                let _ = self.send(WriterMsg::Accept(Asked { submissions, reply, permit }));
            }
            Err(refusal) => answers.give(vec![Err(refusal); count]),
        }
    }

    /// The permit that so many messages need, or why there is none.
    fn room_for(&self, submissions: &[Submission]) -> Result<Permit, Refusal> {
        self.may_accept()?;
        let shared = &self.shared;
        let messages = || submissions.iter().flat_map(|submission| &submission.messages);
        let count = messages().count();
        if let Some(first) = submissions.first() {
            let waiting = shared.backlog(first.organization).load(Ordering::Relaxed);
            if waiting.saturating_add(i64::try_from(count).unwrap_or(i64::MAX)) > shared.backlog_max
            {
                let message = "too many messages of this organization wait for their carrier";
                return Err(Refusal::new(Code::RateLimited, message).retry_after(5));
            }
        }
        let urgent = messages().all(|message| message.category == Category::Otp);
        let urgency = if urgent { Urgency::Urgent } else { Urgency::Bulk };
        self.enter(count, urgency)
    }

    /// Stores work that is no submission.
    pub async fn perform(&self, work: Work) -> Result<Done, Refusal> {
        self.wait_for(work, None).await
    }

    /// A change that an API's caller asks for: through the gate, like a send.
    pub async fn change(&self, change: Admin) -> Result<AdminDone, Refusal> {
        let done = self.gated(Work { admin: vec![change], ..Work::default() }, 1).await?;
        match done.admin.into_iter().next() {
            Some(AdminDone::Failed) | None => {
                Err(Refusal::new(Code::InternalError, "the change could not be stored"))
            }
            Some(done) => Ok(done),
        }
    }

    /// What would become of a submission now. It takes the places of a send, and nothing else.
    pub async fn preview(&self, submission: Submission) -> PreviewAnswer {
        let count = submission.messages.len();
        let work = Work { previews: vec![submission], ..Work::default() };
        let done = self.gated(work, count).await?;
        done.previews.into_iter().next().unwrap_or_else(|| Err(not_stored()))
    }

    /// Work that takes `count` places in the gate until it is done.
    async fn gated(&self, work: Work, count: usize) -> Result<Done, Refusal> {
        let permit = self.enter(count, Urgency::Bulk)?;
        self.wait_for(work, Some(permit)).await
    }

    /// Places in the gate, if anything is taken now.
    pub(super) fn enter(&self, count: usize, urgency: Urgency) -> Result<Permit, Refusal> {
        self.may_accept()?;
        let full = |_| Refusal::unavailable("too many requests wait to be stored");
        self.shared.gate.enter(count, urgency).map_err(full)
    }

    /// The answer to some work, which holds its places in the gate until then.
    pub(super) async fn wait_for(
        &self,
        work: Work,
        permit: Option<Permit>,
    ) -> Result<Done, Refusal> {
        let (reply, answer) = oneshot::channel();
        let then = Then::new(move |done| {
            let _ = reply.send(done);
            drop(permit);
        });
        self.send(WriterMsg::Perform { work: Box::new(work), then })?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) | Err(_) => Err(not_stored()),
        }
    }

    pub async fn administer(&self, change: Admin) -> Result<AdminDone, Refusal> {
        let done = self.perform(Work { admin: vec![change], ..Work::default() }).await?;
        match done.admin.into_iter().next() {
            Some(AdminDone::Failed) | None => {
                Err(Refusal::new(Code::InternalError, "the change could not be stored"))
            }
            Some(done) => Ok(done),
        }
    }

    /// Gives work whose answer goes to `then`. An error: there is no writer now.
    pub fn ask(&self, work: Work, then: Then) -> Result<(), Refusal> {
        self.send(WriterMsg::Perform { work: Box::new(work), then })
    }

    fn send(&self, message: WriterMsg) -> Result<(), Refusal> {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        let writer = current.as_ref().ok_or_else(not_stored)?;
        writer.send_message(message).map_err(|_| not_stored())
    }

    fn may_accept(&self) -> Result<(), Refusal> {
        let shared = &self.shared;
        if shared.draining.load(Ordering::Acquire) {
            return Err(Refusal::unavailable("the switch is shutting down"));
        }
        if shared.low_disk.load(Ordering::Acquire) {
            return Err(Refusal::unavailable("the disk is nearly full").retry_after(30));
        }
        if shared.down.load(Ordering::Acquire) {
            return Err(Refusal::unavailable("the database takes nothing now").retry_after(2));
        }
        Ok(())
    }

    /// Resolves once answers to keywords are due. For one who waits, who looks at the rows.
    pub async fn wait_for_due_replies(&self) {
        self.shared.replies.notified().await;
    }

    pub fn set_low_disk(&self, low: bool) {
        self.shared.low_disk.store(low, Ordering::Release);
    }

    /// Refuses new submissions from now on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Whether nothing new is begun any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// The reason why nothing is accepted now, if so.
    #[must_use]
    pub fn refusing(&self) -> Option<Refusal> {
        self.may_accept().err()
    }

    #[must_use]
    pub fn lane_id(&self) -> i64 {
        self.shared.lane_id.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn permits_in_use(&self) -> usize {
        self.shared.permits_in_use()
    }

    /// How busy the way in is for an organization, 0 to 99: what waits to be stored, or for its
    /// carriers, of what may.
    #[must_use]
    pub fn load_percent(&self, organization: OrgId) -> u8 {
        let shared = &self.shared;
        let waiting = shared.backlog(organization).load(Ordering::Relaxed).max(0);
        let backlog = waiting.saturating_mul(100) / shared.backlog_max.max(1);
        let gate = shared.gate.in_use().saturating_mul(100) / shared.gate.size().max(1);
        let gate = i64::try_from(gate).unwrap_or(i64::MAX);
        u8::try_from(backlog.max(gate).clamp(0, 99)).unwrap_or(99)
    }

    /// Who wants to know that an organization's log has grown.
    #[must_use]
    pub fn wakes(&self) -> Arc<Wakes> {
        self.shared.wakes()
    }

    /// Ready once a lane is open.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.lane_id() != 0
    }
}

pub(super) fn not_stored() -> Refusal {
    Refusal::unavailable("the store does not answer; nothing is known to be stored")
}
