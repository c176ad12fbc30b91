//! What an owner reads from the store: its backlog, its rows, and what an earlier life left.

use model::carrier::OrgId;
use model::clock::At;
use ractor::{ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use store::{BacklogRow, Store, StoreError, WaitingRow};

use super::flight::Doubtful;
use super::{OwnerMsg, OwnerState};
use crate::smpp::backlog::Load;
use crate::smpp::job::Job;

/// The pause after a read that failed. The binds go on with what is in memory.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Rows read at once.
const PAGE: i64 = 500;

/// What an owner finds when it starts.
#[derive(Debug, Default)]
pub struct Recovered {
    waiting: Vec<BacklogRow>,
    /// In doubt: the job, the epoch of its intent, and when that was stored.
    doubts: Vec<(Job, i64, At)>,
}

impl OwnerState {
    pub(super) fn recover(&mut self, me: &ActorRef<OwnerMsg>) {
        let (store, me) = (self.args.store.clone(), me.clone());
        let (carrier, epoch) = (self.args.carrier, self.args.epoch);
        self.tasks.spawn(async move {
            let found = recover(&store, carrier, epoch).await;
            let _ = me.send_message(OwnerMsg::Recovered(found.map_err(|e| e.to_string())));
        });
    }

    pub(super) fn recovered(
        &mut self,
        found: Result<Recovered, String>,
    ) -> Result<(), ActorProcessingErr> {
        let Recovered { waiting, doubts } = found?;
        let in_store: i64 = waiting.iter().map(|row| row.waiting).sum();
        if let Some(oldest) = waiting.iter().map(|row| row.oldest).min() {
            self.view.set_oldest(oldest);
        }
        for row in waiting {
            let flow = (row.class, OrgId(row.organization_id));
            self.backlog.stored(flow.0, flow.1);
            self.counted.insert(flow, row.newest);
        }
        let early = std::mem::take(&mut self.early);
        let early = early.into_iter().filter(|(flow, place)| !self.is_counted(*flow, *place));
        let more = early.count() + doubts.len();
        self.view.set_waiting(in_store + i64::try_from(more).unwrap_or(0));
        self.backlog.read_out();
        if !doubts.is_empty() {
            let (carrier, count) = (&self.args.profile.name, doubts.len());
            tracing::warn!(%carrier, count, "in doubt after a restart");
        }
        for (job, epoch, since) in doubts {
            let due_at = since.plus(self.args.profile.doubt.wait(job.category));
            let left = job.segments;
            self.doubt(Doubtful { job: Arc::new(job), epoch, since, left }, due_at);
        }
        self.recovered = true;
        Ok(())
    }

    /// Whether a row of this place was there when the waiting ones were counted.
    pub(super) fn is_counted(&self, flow: (i64, OrgId), place: i64) -> bool {
        self.counted.get(&flow).is_some_and(|newest| place <= *newest)
    }

    pub(super) fn load_more(&mut self, me: &ActorRef<OwnerMsg>) {
        if !self.recovered || Instant::now() < self.load_after {
            return;
        }
        for load in self.backlog.loads() {
            let (store, me, carrier) = (self.args.store.clone(), me.clone(), self.args.carrier);
            self.tasks.spawn(async move {
                let Load { class, organization, after, limit } = load;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let rows = store.waiting(carrier, class, organization, after, limit).await;
                let jobs = rows.map(jobs).map_err(|error| error.to_string());
                let _ = me.send_message(OwnerMsg::Loaded { load, jobs });
            });
        }
    }

    pub(super) fn loaded(&mut self, load: Load, jobs: Result<Vec<Job>, String>) {
        match jobs {
            Ok(jobs) => {
                for job in self.backlog.loaded(load, jobs, At::now()) {
                    self.rest(job.due_at, job);
                }
            }
            Err(error) => {
                let carrier = &self.args.profile.name;
                tracing::warn!(%carrier, error, "waiting messages could not be read");
                self.backlog.load_failed(load);
                self.load_after = Instant::now() + READ_AGAIN;
            }
        }
    }
}

async fn recover(
    store: &Store,
    carrier: model::carrier::CarrierId,
    epoch: i64,
) -> Result<Recovered, StoreError> {
    let mut found = Recovered { waiting: store.backlog(carrier).await?, ..Recovered::default() };
    let mut after = 0;
    loop {
        let rows = store.in_doubt(carrier, epoch, after, PAGE).await?;
        let Some(last) = rows.last() else {
            return Ok(found);
        };
        after = last.key;
        for row in rows {
            let intent = row.intent.unwrap_or_default();
            let since = At(row.intent_at.unwrap_or(row.created_at));
            found.doubts.extend(Job::stored(row).map(|job| (job, intent, since)));
        }
    }
}

fn jobs(rows: Vec<WaitingRow>) -> Vec<Job> {
    rows.into_iter().filter_map(Job::stored).collect()
}
