//! The thread that commits: one batch, one transaction. Another tells of it, once it is on the disk.
//!
//! A thread of its own, because SQLite runs in it and blocks. Whether it ends well or by a panic,
//! its actor hears of it.
//! A batch that the database refuses is fed again in halves, down to the one item that is at fault;
//! that one is set aside. While the database is away accepts are refused, and what carriers
//! reported is kept and tried again: a receipt is acknowledged only once it is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use model::clock::At;
use model::refusal::{Code, Refusal};
use ractor::{ActorProcessingErr, ActorRef, ActorStatus};
use store::lane::{
    Accepted, Admin, AdminDone, CallChange, CallDone, Done, Dropped, Fate, FireFate, InboundFate,
    ReceiptFate, Work,
};
use store::{Lane, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::intake::Flow;
use super::pieces::{Share, append, describe, halve, join};
use super::publish::{self, News};
use super::{Batch, Then, Turn, WriterArgs, WriterMsg};

/// Starts the thread and opens its lane; answers the lane's number.
pub(super) async fn start(
    args: WriterArgs,
    writer: ActorRef<WriterMsg>,
    batches: mpsc::Receiver<Batch>,
    turn: Turn,
) -> Result<i64, ActorProcessingErr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (opened, lane_id) = oneshot::channel();
    let last_word = LastWord(writer.clone());
    let turn = Arc::new(turn);
    let news = publish::start(&args, &writer, turn.clone())?;
    let work = async move {
        match args.store.lane(args.alternatives, args.exclusive).await {
            Ok(lane) => {
                let _ = opened.send(Ok(lane.id()));
                let meters = Meters::new();
                let committer =
                    Committer { lane, args, writer, news, meters, split: false, _turn: turn };
                committer.run(batches).await;
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        }
        drop(last_word);
    };
    std::thread::Builder::new()
        .name(String::from("orbit-writer"))
        .spawn(move || runtime.block_on(work))?;
    Ok(lane_id.await??)
}

/// Tells the actor that a thread of its is gone, however it went.
pub(super) struct LastWord(pub(super) ActorRef<WriterMsg>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let _ = self.0.send_message(WriterMsg::Broken(String::from("the committing thread ended")));
    }
}

const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

struct Committer {
    lane: Lane,
    args: WriterArgs,
    writer: ActorRef<WriterMsg>,
    /// To whoever tells of commits.
    news: mpsc::Sender<News>,
    meters: Meters,
    /// Set while a batch is fed in halves: a part of it may be stored already.
    split: bool,
    /// One life commits at a time: the next waits until this is dropped here and where it is told.
    _turn: Arc<Turn>,
}

struct Meters {
    accepted: Counter,
    batch: Histogram,
    commit: Histogram,
    permits: Gauge,
    claims: Counter,
    in_doubt: Counter,
    receipts: HashMap<&'static str, Counter>,
}

impl Meters {
    fn new() -> Self {
        let receipt = |fate: &'static str| (fate, counter!("orbit_receipts_total", "fate" => fate));
        Self {
            accepted: counter!("orbit_accepted_total"),
            batch: histogram!("orbit_commit_items"),
            commit: histogram!("orbit_commit_seconds"),
            permits: gauge!("orbit_accept_permits_in_use"),
            claims: counter!("orbit_intents_total"),
            in_doubt: counter!("orbit_in_doubt_total"),
            receipts: ["applied", "noted", "parked"].map(receipt).into_iter().collect(),
        }
    }
}

impl Committer {
    /// Until the actor is gone, or the outcome of a commit is unknown.
    async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        while let Some(batch) = batches.recv().await {
            if !self.args.batch_wait.is_zero() {
                tokio::time::sleep(self.args.batch_wait).await;
            }
            let flow = match self.serve(batch).await {
                Ok(flow) => flow,
                Err(error) => {
                    let _ = self.writer.send_message(WriterMsg::Broken(error.to_string()));
                    return;
                }
            };
            if self.writer.send_message(WriterMsg::Idle(flow)).is_err() {
                return;
            }
        }
    }

    async fn serve(&mut self, batch: Batch) -> Result<Flow, StoreError> {
        let Batch { asked, performs, count, .. } = batch;
        self.meters.permits.set(number(self.args.shared.permits_in_use()));
        let mut work = Work::default();
        let mut replies = Vec::with_capacity(asked.len());
        for asked in asked {
            replies.push((asked.reply, asked.submissions.len(), asked.permit));
            work.accepts.extend(asked.submissions);
        }
        let mut thens = Vec::with_capacity(performs.len());
        for (more, then) in performs {
            thens.push((Share::of(&more), then));
            append(&mut work, more);
        }
        let taken = self.args.carriers.take_room_for(&work.accepts);
        work.grants = taken.iter().map(|taken| taken.grant).collect();
        let started = Instant::now();
        self.split = false;
        let done = match self.commit(&mut work).await {
            Ok(done) => done,
            Err(error) if error.is_outage() => {
                tracing::error!(%error, items = count, "the database takes nothing");
                self.args.shared.set_down(true);
                let _ = self.writer.send_message(WriterMsg::Away);
                let refused = super::away();
                for (reply, count, _permit) in replies.drain(..) {
                    reply.refuse(count, &refused);
                }
                work.accepts.clear();
                refuse_promises(&mut work, &mut thens);
                if self.split || matches!(error, StoreError::Unknown(_)) {
                    return Err(error);
                }
                self.wait_out(&mut work).await?
            }
            Err(error) => return Err(error),
        };
        self.meters.commit.record(started.elapsed().as_secs_f64());
        self.meters.batch.record(number(count));
        let flow = self.count(&work, &done);
        let (disk, touched) = (self.lane.disk(), self.lane.take_touched());
        let news = News { disk, touched, work, done, taken, replies, thens };
        // A thread that is gone has said why.
        let gone = StoreError::Impossible("nobody tells of commits");
        self.news.send(news).await.map_err(|_| gone)?;
        Ok(flow)
    }

    /// Tries until the database is back. What is in `work` was reported by carriers.
    async fn wait_out(&mut self, work: &mut Work) -> Result<Done, StoreError> {
        let mut rest = RETRY_MIN;
        loop {
            tokio::time::sleep(rest).await;
            rest = (rest * 2).min(RETRY_MAX);
            let error = match self.commit(work).await {
                Ok(done) => {
                    tracing::info!("the database takes commits again");
                    self.args.shared.attach(self.writer.clone(), self.lane.id());
                    return Ok(done);
                }
                Err(error) => error,
            };
            let gone = self.writer.get_status() >= ActorStatus::Stopping;
            if gone || self.split || !error.is_outage() || matches!(error, StoreError::Unknown(_)) {
                return Err(error);
            }
            tracing::warn!(%error, "the database is still away");
            // A connection that lives holds the lock against a second one, and needs none.
            let fresh = self.args.store.lane(self.args.alternatives, self.args.exclusive).await;
            if let Ok(lane) = fresh {
                self.lane = lane;
            }
        }
    }

    /// One transaction; on an error of the data in halves, down to the item at fault.
    async fn commit(&mut self, work: &mut Work) -> Result<Done, StoreError> {
        let error = match self.lane.commit_ahead(work).await {
            Ok(done) => return Ok(done),
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => error,
        };
        if work.len() <= 1 {
            return self.set_aside(work, &error).await;
        }
        tracing::warn!(%error, items = work.len(), "a batch failed; trying its halves");
        self.split = true;
        let mut second = halve(work);
        let first_done = Box::pin(self.commit(work)).await?;
        let second_done = Box::pin(self.commit(&mut second)).await?;
        append(work, second);
        Ok(join(first_done, second_done))
    }

    /// The second failure of a single item: it goes to quarantine, and its asker hears of it.
    async fn set_aside(&mut self, work: &Work, error: &StoreError) -> Result<Done, StoreError> {
        tracing::error!(%error, "an item that no transaction takes goes to quarantine");
        counter!("orbit_quarantined_total").increment(1);
        let quarantine = vec![describe(work, error)];
        self.lane.commit_ahead(&Work { quarantine, ..Work::default() }).await?;
        let refused = Refusal::new(Code::InternalError, "the message could not be stored");
        Ok(Done {
            at: At::now(),
            admin: work.admin.iter().map(|_| AdminDone::Failed).collect(),
            accepts: work.accepts.iter().map(|_| Err(refused.clone())).collect(),
            intended: Vec::new(),
            owed: Vec::new(),
            fires: vec![FireFate::Failed; work.fires.len()],
            claims: vec![false; work.claims.len()],
            results: vec![Fate::Stale; work.results.len()],
            calls: vec![CallDone::Failed; work.calls.len()],
            receipts: vec![ReceiptFate::Noted; work.receipts.len()],
            inbound: vec![InboundFate::Ownerless; work.inbound.len()],
            blocked: Vec::new(),
            dropped: Vec::new(),
            replies_due: false,
            previews: work.previews.iter().map(|_| Err(refused.clone())).collect(),
            bindings: vec![false; work.bindings.len()],
        })
    }

    fn count(&self, work: &Work, done: &Done) -> Flow {
        let fresh = done.accepts.iter().zip(&work.accepts).filter_map(|(answer, submission)| {
            let Ok(Accepted::Fresh { refused, .. }) = answer else { return None };
            Some(submission.messages.len() - refused.len())
        });
        let fresh = fresh.sum::<usize>();
        self.meters.accepted.increment(fresh as u64);
        let claims = done.claims.iter().filter(|ours| **ours).count() + done.intended.len();
        self.meters.claims.increment(claims as u64);
        let doubts = done.results.iter().filter(|fate| **fate == Fate::Waiting).count();
        self.meters.in_doubt.increment(doubts as u64);
        for Dropped { carrier, receipts } in &done.dropped {
            let carrier = carrier.clone();
            counter!("orbit_receipts_dropped_total", "carrier" => carrier).increment(*receipts);
        }
        let mut fates = [("applied", 0), ("noted", 0), ("parked", 0)];
        for fate in &done.receipts {
            match fate {
                ReceiptFate::Applied(_) => fates[0].1 += 1,
                ReceiptFate::Noted => fates[1].1 += 1,
                ReceiptFate::Parked => fates[2].1 += 1,
            }
        }
        for (fate, count) in fates {
            if let Some(meter) = self.meters.receipts.get(fate) {
                meter.increment(count);
            }
        }
        let closed = done.results.iter().filter(|fate| **fate == Fate::Closed).count();
        Flow { closed, queued: fresh.saturating_sub(done.intended.len()) }
    }
}

/// Whoever pays in, asks for a key or opens a call is told at once that it did not happen, and asks
/// again: done later as well, it would be done twice, or for nobody.
fn refuse_promises(work: &mut Work, thens: &mut Vec<(Share, Then)>) {
    let mut changes = std::mem::take(&mut work.admin).into_iter();
    let mut calls = std::mem::take(&mut work.calls).into_iter();
    thens.retain(|(share, _)| {
        let own = Work {
            admin: changes.by_ref().take(share.admin).collect(),
            calls: calls.by_ref().take(share.calls).collect(),
            ..Work::default()
        };
        let refused = promises(&own);
        if !refused {
            work.admin.extend(own.admin);
            work.calls.extend(own.calls);
        }
        !refused
    });
}

/// Whether work does something that its asker is waiting for, and would ask for again.
pub(super) fn promises(work: &Work) -> bool {
    work.admin.iter().any(changes_accounts) || work.calls.iter().any(CallChange::is_opening)
}

fn changes_accounts(change: &Admin) -> bool {
    match change {
        Admin::OwnCarrier { .. } | Admin::NameCarrier { .. } => false,
        Admin::Webhook(change) => !change.is_report(),
        _ => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a batch are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}
