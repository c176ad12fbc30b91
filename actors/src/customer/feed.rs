//! The log as it grows, by organization: one reader for all who follow the same organization.
//!
//! writer ── wakes (an organization has new lines) ── reader, one per followed organization
//!                                                      └─ batches ── followers
//!
//! A reader is a task that the first follower starts and that ends when nobody follows. Batches
//! are few and shared; a follower that falls behind them reads the store itself until it has
//! caught up, so nobody waits for the slowest and nothing is skipped. Nothing here is the truth:
//! each follower says where it stands, and lines are read again after a restart.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use model::carrier::OrgId;
use store::lane::Owed;
use store::{LoggedRow, Store, StoreError};
use tokio::sync::broadcast::WeakSender;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

/// Lines read at once.
const BATCH: usize = 200;
/// Batches kept for followers that are a little late.
const BATCHES: usize = 16;
/// Between two looks at the log while it grows: many commits are one read.
const PACE: Duration = Duration::from_millis(10);
/// Before the next try when the store does not answer.
const REST: Duration = Duration::from_millis(500);

/// Who wants to know that an organization's log has grown. The writer tells, once per commit.
#[derive(Default)]
pub struct Wakes {
    listened: RwLock<HashMap<OrgId, watch::Sender<()>>>,
    creditors: RwLock<HashMap<OrgId, Vec<(u64, Creditor)>>>,
    /// Creditors so far: the number of the next one.
    numbered: AtomicU64,
}

/// One who is told what SMPP accounts of an organization are owed: `None` says that the log has to
/// be looked at. False: it is gone.
pub type Creditor = Box<dyn Fn(Option<&Owed>) -> bool + Send + Sync>;

/// The right to be told; whoever was told with it is forgotten when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Told {
    wakes: Arc<Wakes>,
    organization: OrgId,
    number: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut creditors = self.wakes.creditors.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = creditors.get_mut(&self.organization) {
            told.retain(|(number, _)| *number != self.number);
            if told.is_empty() {
                creditors.remove(&self.organization);
            }
        }
    }
}

impl std::fmt::Debug for Wakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wakes")
    }
}

/// One who is told that an organization's log has grown; many times may be told as one.
#[derive(Debug)]
pub struct Listener(watch::Receiver<()>);

impl Listener {
    /// Waits until the log has grown since the last time; false when nobody tells any more.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Wakes {
    /// These organizations have new lines.
    pub fn committed(&self, organizations: &[OrgId]) {
        let listened = self.listened.read().unwrap_or_else(PoisonError::into_inner);
        if listened.is_empty() {
            return;
        }
        for wake in organizations.iter().filter_map(|organization| listened.get(organization)) {
            wake.send_replace(());
        }
    }

    /// Any of them may have: a commit's outcome was unknown, or a writer began anew.
    pub fn all(&self) {
        let listened = self.listened.read().unwrap_or_else(PoisonError::into_inner);
        listened.values().for_each(|wake| {
            wake.send_replace(());
        });
        drop(listened);
        let mut creditors = self.creditors.write().unwrap_or_else(PoisonError::into_inner);
        creditors.values_mut().for_each(|told| told.retain(|(_, tell)| tell(None)));
    }

    /// What a commit owes to SMPP accounts.
    pub fn owed(&self, owed: &[Owed]) {
        let mut gone = false;
        let creditors = self.creditors.read().unwrap_or_else(PoisonError::into_inner);
        for owed in owed {
            for (_, tell) in creditors.get(&owed.organization).into_iter().flatten() {
                gone |= !tell(Some(owed));
            }
        }
        drop(creditors);
        if gone {
            let mut creditors = self.creditors.write().unwrap_or_else(PoisonError::into_inner);
            for owed in owed {
                if let Some(told) = creditors.get_mut(&owed.organization) {
                    told.retain(|(_, tell)| tell(None));
                }
            }
        }
    }

    /// Is told what accounts of an organization are owed, until the answer is dropped.
    pub fn tell(self: &Arc<Self>, organization: OrgId, creditor: Creditor) -> Told {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed);
        let mut creditors = self.creditors.write().unwrap_or_else(PoisonError::into_inner);
        creditors.entry(organization).or_default().push((number, creditor));
        Told { wakes: Arc::clone(self), organization, number }
    }

    /// Hears of an organization's new lines from now on.
    #[must_use]
    pub fn listen(&self, organization: OrgId) -> Listener {
        let mut listened = self.listened.write().unwrap_or_else(PoisonError::into_inner);
        // Whom nobody listens to any more is forgotten when somebody else begins to.
        listened.retain(|_, wake| wake.receiver_count() > 0);
        let wake = listened.entry(organization).or_insert_with(|| watch::Sender::new(()));
        Listener(wake.subscribe())
    }
}

/// All lines of one organization above `after`, up to the last one here.
#[derive(Debug)]
struct Batch {
    after: i64,
    lines: Vec<Arc<LoggedRow>>,
}

/// The readers. A clone is the same one.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    store: Store,
    wakes: Arc<Wakes>,
    /// Weak, so that a reader that fails closes its followers' channel and they start another.
    readers: Mutex<HashMap<OrgId, WeakSender<Arc<Batch>>>>,
}

/// One who follows an organization's log from a line on.
pub struct Follower {
    feed: Feed,
    organization: OrgId,
    /// All up to this line was given out.
    cursor: i64,
    batches: broadcast::Receiver<Arc<Batch>>,
    /// The batches do not begin where this follower stands.
    behind: bool,
}

impl Feed {
    #[must_use]
    pub fn new(store: Store, wakes: Arc<Wakes>) -> Self {
        Self(Arc::new(Inner { store, wakes, readers: Mutex::new(HashMap::new()) }))
    }

    /// Follows an organization's log above the line `after`.
    #[must_use]
    pub fn follow(&self, organization: OrgId, after: i64) -> Follower {
        let batches = self.subscribe(organization);
        Follower { feed: self.clone(), organization, cursor: after, batches, behind: true }
    }

    fn subscribe(&self, organization: OrgId) -> broadcast::Receiver<Arc<Batch>> {
        let mut readers = self.readers();
        if let Some(batches) = readers.get(&organization).and_then(WeakSender::upgrade) {
            return batches.subscribe();
        }
        let (batches, receiver) = broadcast::channel(BATCHES);
        let wake = self.0.wakes.listen(organization);
        readers.insert(organization, batches.downgrade());
        tokio::spawn(self.clone().read(organization, batches, wake));
        receiver
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<OrgId, WeakSender<Arc<Batch>>>> {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reader of one organization, until nobody follows it.
    async fn read(
        self,
        organization: OrgId,
        batches: broadcast::Sender<Arc<Batch>>,
        mut wake: Listener,
    ) {
        let mut cursor = loop {
            match self.0.store.newest_of(organization).await {
                Ok(newest) => break newest,
                Err(error) => rest(&error).await,
            }
        };
        // Whoever caught up before the cursor was known looks again.
        let _ = batches.send(Arc::new(Batch { after: cursor, lines: Vec::new() }));
        let mut more = false;
        loop {
            if !more && !wake.changed().await {
                return;
            }
            if self.is_forsaken(organization, &batches) {
                return;
            }
            match self.0.store.log_of(organization, cursor, BATCH as i64).await {
                Ok(lines) => {
                    more = lines.len() == BATCH;
                    let after = cursor;
                    cursor = lines.last().map_or(cursor, |line| line.seq);
                    if cursor > after {
                        let lines = lines.into_iter().map(Arc::new).collect();
                        let _ = batches.send(Arc::new(Batch { after, lines }));
                    }
                    tokio::time::sleep(PACE).await;
                }
                Err(error) => {
                    rest(&error).await;
                    more = true;
                }
            }
        }
    }

    /// Forgets a reader that nobody listens to; under the lock, so that none is just beginning to.
    fn is_forsaken(&self, organization: OrgId, batches: &broadcast::Sender<Arc<Batch>>) -> bool {
        let mut readers = self.readers();
        if batches.receiver_count() > 0 {
            return false;
        }
        readers.remove(&organization);
        true
    }
}

async fn rest(error: &StoreError) {
    tracing::warn!(%error, "the log cannot be read");
    tokio::time::sleep(REST).await;
}

impl Follower {
    /// The line up to which all was given out.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// More lines are in the store than were given out, as far as is known.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// The next lines, as soon as there are any; never none. Giving up the wait loses nothing.
    pub async fn next(&mut self) -> Result<Vec<Arc<LoggedRow>>, StoreError> {
        loop {
            let lines = if self.behind { self.catch_up().await? } else { self.hear().await };
            if let Some(last) = lines.last() {
                self.cursor = last.seq;
                return Ok(lines);
            }
        }
    }

    async fn catch_up(&mut self) -> Result<Vec<Arc<LoggedRow>>, StoreError> {
        let store = &self.feed.0.store;
        let lines = store.log_of(self.organization, self.cursor, BATCH as i64).await?;
        self.behind = lines.len() == BATCH;
        Ok(lines.into_iter().map(Arc::new).collect())
    }

    async fn hear(&mut self) -> Vec<Arc<LoggedRow>> {
        match self.batches.recv().await {
            Ok(batch) if batch.after > self.cursor => {
                self.behind = true;
                Vec::new()
            }
            Ok(batch) => {
                let fresh = batch.lines.iter().filter(|line| line.seq > self.cursor);
                fresh.cloned().collect()
            }
            Err(RecvError::Lagged(_)) => {
                self.behind = true;
                Vec::new()
            }
            Err(RecvError::Closed) => {
                self.batches = self.feed.subscribe(self.organization);
                self.behind = true;
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
