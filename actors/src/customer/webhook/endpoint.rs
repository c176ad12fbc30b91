//! One endpoint: follows its organization's log, posts what it asked for, stores what came of it.
//!
//! Started by the supervisor of customers. `handle` decides, by its `queue`; reading, posting and
//! storing are tasks that it owns, a bounded number of them. What it knows is rows: a new life
//! reads its cursor and what waits, and may send again what an old one did not report. It stays
//! while its endpoint is paused, and ends when the endpoint is deleted.

mod pump;

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use model::clock::At;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use store::lane::{Admin, AdminDone, Done, Record, WebhookChange, Work};
use store::{LoggedRow, PendingRow, Store, StoreError, WebhookRow};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::queue::{Queue, Report};
use super::shot::{Attempt, Endpoint};
use super::{Plan, Tools};
use crate::customer::feed::Follower;
use crate::writer::Then;

/// A cursor that passed only lines for others is stored this late.
const CURSOR_REST: Duration = Duration::from_secs(2);
/// After a failure of our own store or writer.
const REST: Duration = Duration::from_secs(1);
/// The clock may be set: nobody waits for it longer than this at once.
const WAKE_MAX: Duration = Duration::from_secs(30);

/// Why an endpoint ends by itself.
pub const DELETED: &str = "the endpoint is deleted";

/// What an endpoint is told.
pub enum WebhookEndpointMsg {
    /// It was changed, or events are to be sent again.
    Refresh,
    /// (self) What is stored of it.
    Loaded(Result<Option<Box<Loaded>>, StoreError>),
    /// (self) Lines of the log.
    Read(u64, Box<Follower>, Result<Vec<Arc<LoggedRow>>, StoreError>),
    /// (self) A request is over.
    Attempted(Box<Attempt>),
    /// (self) What was reported is stored, or is not.
    Stored(Fate),
    /// (self) It is time for something.
    Wake,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stored,
    /// Nobody said so: it is reported again.
    Unknown,
    /// No transaction takes it.
    Refused,
}

/// An endpoint's rows.
pub struct Loaded {
    row: WebhookRow,
    pending: Vec<PendingRow>,
    settled: Vec<i64>,
}

/// The behaviour.
pub struct WebhookEndpoint;

/// How an endpoint is started.
#[derive(Clone)]
pub struct WebhookEndpointArgs {
    pub webhook: i64,
    pub tools: Tools,
}

pub struct WebhookEndpointState {
    webhook: i64,
    tools: Tools,
    endpoint: Option<Arc<Endpoint>>,
    queue: Option<Queue>,
    /// Here, or in the task that reads.
    follower: Option<Box<Follower>>,
    reading: bool,
    /// Counts the queues: lines read for an earlier one are for nobody.
    life: u64,
    running: bool,
    /// What is being stored.
    reported: Option<Report>,
    loading: bool,
    /// To be loaded once nothing is being stored.
    load_wanted: bool,
    rest_until: Option<Instant>,
    moved_at: Option<Instant>,
    tasks: JoinSet<()>,
    timer: Option<(Instant, AbortHandle)>,
    meters: Meters,
}

struct Meters {
    delivered: Counter,
    failed: Counter,
    dead: Counter,
}

/// Tells the endpoint what became of its report, even when nobody answers.
struct News {
    me: ActorRef<WebhookEndpointMsg>,
    fate: Fate,
}

impl Actor for WebhookEndpoint {
    type Msg = WebhookEndpointMsg;
    type State = WebhookEndpointState;
    type Arguments = WebhookEndpointArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<WebhookEndpointMsg>,
        args: WebhookEndpointArgs,
    ) -> Result<WebhookEndpointState, ActorProcessingErr> {
        let attempts = |outcome| counter!("orbit_webhook_attempts_total", "outcome" => outcome);
        Ok(WebhookEndpointState {
            webhook: args.webhook,
            tools: args.tools,
            endpoint: None,
            queue: None,
            follower: None,
            reading: false,
            life: 0,
            running: false,
            reported: None,
            loading: false,
            load_wanted: true,
            rest_until: None,
            moved_at: None,
            tasks: JoinSet::new(),
            timer: None,
            meters: Meters {
                delivered: attempts("delivered"),
                failed: attempts("failed"),
                dead: counter!("orbit_webhook_dead_letters_total"),
            },
        })
    }

    async fn post_start(
        &self,
        me: ActorRef<WebhookEndpointMsg>,
        state: &mut WebhookEndpointState,
    ) -> Result<(), ActorProcessingErr> {
        state.pump(&me);
        Ok(())
    }

    async fn handle(
        &self,
        me: ActorRef<WebhookEndpointMsg>,
        message: WebhookEndpointMsg,
        state: &mut WebhookEndpointState,
    ) -> Result<(), ActorProcessingErr> {
        while let Some(ended) = state.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                return Err(error.into());
            }
        }
        match message {
            WebhookEndpointMsg::Refresh => state.load_wanted = true,
            WebhookEndpointMsg::Loaded(Ok(Some(loaded))) => state.loaded(*loaded),
            WebhookEndpointMsg::Loaded(Ok(None)) => {
                me.stop(Some(DELETED.to_owned()));
                return Ok(());
            }
            WebhookEndpointMsg::Loaded(Err(error)) => state.not_loaded(&error),
            WebhookEndpointMsg::Read(life, follower, lines) if life == state.life => {
                state.read(follower, lines);
            }
            WebhookEndpointMsg::Read(..) => {}
            WebhookEndpointMsg::Attempted(attempt) => state.attempted(*attempt),
            WebhookEndpointMsg::Stored(fate) => state.stored(fate)?,
            WebhookEndpointMsg::Wake => state.timer = None,
        }
        state.pump(&me);
        Ok(())
    }
}

impl WebhookEndpointState {
    /// The endpoint as it is stored now; what is in memory and not stored yet stays.
    fn loaded(&mut self, loaded: Loaded) {
        self.loading = false;
        let Loaded { row, pending, settled } = loaded;
        let endpoint = Arc::new(Endpoint::of(&row));
        self.running = row.disabled_at.is_none();
        if self.running && self.queue.is_none() {
            let (plan, failing) = (self.tools.plan.clone(), row.failing_since.map(At));
            let queue = Queue::new(plan, endpoint.callbacks, row.cursor, failing, settled);
            self.queue = Some(queue);
            self.life += 1;
            let follower = self.tools.feed.follow(endpoint.organization, row.cursor);
            self.follower = Some(Box::new(follower));
        }
        if let Some(queue) = &mut self.queue {
            queue.restore(pending, |row| {
                Arc::from(endpoint.target(row.webhook_url.as_deref().unwrap_or_default()))
            });
        }
        self.endpoint = Some(endpoint);
    }

    fn not_loaded(&mut self, error: &StoreError) {
        tracing::warn!(%error, webhook = self.webhook, "an endpoint cannot be read");
        self.loading = false;
        self.load_wanted = true;
        self.rest_until = Some(Instant::now() + REST);
    }

    fn read(&mut self, follower: Box<Follower>, lines: Result<Vec<Arc<LoggedRow>>, StoreError>) {
        self.reading = false;
        let (Some(queue), Some(endpoint)) = (&mut self.queue, &self.endpoint) else { return };
        match lines {
            Ok(lines) => {
                for line in lines {
                    let seq = line.seq;
                    if let Some(url) = endpoint.url_for(&line) {
                        let target = endpoint.target(url);
                        queue.take(endpoint.delivery_id(&line), line, &target);
                    }
                    queue.pass(seq);
                }
            }
            Err(error) => {
                tracing::warn!(%error, webhook = self.webhook, "the log cannot be read");
                self.rest_until = Some(Instant::now() + REST);
            }
        }
        self.follower = Some(follower);
    }

    fn attempted(&mut self, attempt: Attempt) {
        let Some(queue) = &mut self.queue else { return };
        let delivered = attempt.verdict == super::queue::Verdict::Delivered;
        let meter = if delivered { &self.meters.delivered } else { &self.meters.failed };
        meter.increment(1);
        let Attempt { seq, verdict, log } = attempt;
        queue.ended(seq, verdict, log, At::now(), rand::random());
    }

    fn stored(&mut self, fate: Fate) -> Result<(), ActorProcessingErr> {
        let report = self.reported.take();
        match (fate, &mut self.queue, report) {
            (Fate::Refused, ..) => return Err("a report of deliveries cannot be stored".into()),
            (Fate::Unknown, Some(queue), Some(report)) => {
                queue.unreport(report);
                self.rest_until = Some(Instant::now() + REST);
            }
            _ => {}
        }
        Ok(())
    }
}

async fn load(store: &Store, webhook: i64, plan: &Plan) -> Result<Option<Loaded>, StoreError> {
    let Some(row) = store.webhook_by_number(webhook).await? else { return Ok(None) };
    // What was in memory when the log was last read, and rows made since by a replay.
    let most = i64::try_from(plan.pending_max + plan.window).unwrap_or(i64::MAX);
    let pending = store.pending_deliveries(webhook, 0, most).await?;
    let ahead = i64::try_from(plan.pending_max).unwrap_or(i64::MAX);
    let settled = store.settled_deliveries(webhook, row.cursor, ahead).await?;
    Ok(Some(Loaded { row, pending, settled }))
}

impl Drop for WebhookEndpointState {
    fn drop(&mut self) {
        if let Some((_, timer)) = &self.timer {
            timer.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let _ = self.me.send_message(WebhookEndpointMsg::Stored(self.fate));
    }
}

#[cfg(test)]
mod tests;
