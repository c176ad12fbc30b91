//! What one endpoint has before it: which event goes next, what waits, what became of each.
//!
//! Pure: no socket, no clock, no store. Events of one message go in order, the next when the one
//! before is delivered or dead. An event that fails is a stored row from then on, and so is what
//! waits behind it; all others hold the cursor back until they are done. A target (the endpoint, or
//! each host of callbacks) that keeps failing gets one request at a time, with rests between.

mod target;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::clock::At;
use model::id::PublicId;
use store::lane::{AttemptLog, DeliveryRecord, DeliveryState};
use store::{LoggedRow, PendingRow};

use super::{Plan, schedule};
use target::Target;

/// One event for this endpoint.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: PublicId,
    pub seq: i64,
    pub message: i64,
    pub kind: i64,
    /// Made so far.
    pub attempts: i64,
    pub due: At,
    pub expires: At,
    /// `None`: to be read again when it is sent.
    pub row: Option<Arc<LoggedRow>>,
    /// Which host's health it shares.
    pub target: Arc<str>,
    /// It is a row: the cursor may pass it.
    stored: bool,
    flying: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    Failed {
        retry_after: Option<Duration>,
    },
    /// The endpoint said 410: it wants no more.
    Gone,
    /// No attempt was made: the event could not be read now.
    Unread,
    /// There is no such event any more.
    Vanished,
}

/// Callbacks go to several hosts: this many times the requests of one endpoint at once.
const CALLBACKS_FACTOR: usize = 4;

/// Why an endpoint is to run no more.
pub const GONE: &str = "gone";
pub const FAILING: &str = "failing";

/// What is to be stored together.
#[derive(Debug)]
pub struct Report {
    pub cursor: i64,
    pub failing_since: Option<At>,
    pub deliveries: Vec<DeliveryRecord>,
}

#[derive(Debug)]
pub struct Queue {
    plan: Arc<Plan>,
    /// Targets come and go with messages: an endpoint that is none itself.
    callbacks: bool,
    items: BTreeMap<i64, Item>,
    /// Of each message its events here, in order.
    chains: HashMap<i64, BTreeSet<i64>>,
    targets: HashMap<Arc<str>, Target>,
    expiries: BTreeSet<(At, i64)>,
    /// Lines above the stored cursor that need no second delivery.
    settled: HashSet<i64>,
    fresh: BTreeSet<i64>,
    flying: usize,
    read: i64,
    reported: i64,
    failing_since: Option<At>,
    deliveries: Vec<DeliveryRecord>,
    disable: Option<&'static str>,
    dead: u64,
}

impl Queue {
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        callbacks: bool,
        cursor: i64,
        failing_since: Option<At>,
        settled: Vec<i64>,
    ) -> Self {
        Self {
            plan,
            callbacks,
            items: BTreeMap::new(),
            chains: HashMap::new(),
            targets: HashMap::new(),
            expiries: BTreeSet::new(),
            settled: settled.into_iter().collect(),
            fresh: BTreeSet::new(),
            flying: 0,
            read: cursor,
            reported: cursor,
            failing_since,
            deliveries: Vec::new(),
            disable: None,
            dead: 0,
        }
    }

    /// Takes a line of the log that concerns this endpoint.
    pub fn take(&mut self, id: PublicId, row: Arc<LoggedRow>, target: &str) {
        let seq = row.seq;
        if seq <= self.read {
            return;
        }
        self.pass(seq);
        if self.settled.remove(&seq) || self.items.contains_key(&seq) {
            return;
        }
        self.enter(Item {
            id,
            seq,
            message: row.message_key,
            kind: row.kind,
            attempts: 0,
            due: At(row.at),
            expires: At(row.at).plus(self.plan.expire_after),
            row: Some(row),
            target: Arc::from(target),
            stored: false,
            flying: false,
        });
    }

    /// All lines up to this one are read.
    pub fn pass(&mut self, seq: i64) {
        self.read = self.read.max(seq);
    }

    /// Takes rows that wait in the store. Those whose change is not stored yet are known better.
    pub fn restore(&mut self, rows: Vec<PendingRow>, target: impl Fn(&PendingRow) -> Arc<str>) {
        let unsaved: HashSet<i64> = self.deliveries.iter().map(|delivery| delivery.seq).collect();
        for row in rows {
            let known = self.items.contains_key(&row.seq) || unsaved.contains(&row.seq);
            let Ok(id) = <[u8; 16]>::try_from(row.public_id.as_slice()) else { continue };
            if known {
                continue;
            }
            let target = target(&row);
            self.enter(Item {
                id: PublicId::from_bytes(id),
                seq: row.seq,
                message: row.message_key,
                kind: row.kind,
                attempts: row.attempts,
                due: At(row.due_at),
                expires: At(row.expires_at),
                row: None,
                target,
                stored: true,
                flying: false,
            });
        }
    }

    fn enter(&mut self, item: Item) {
        let (seq, message) = (item.seq, item.message);
        self.expiries.insert((item.expires, seq));
        if !item.stored {
            self.fresh.insert(seq);
        }
        self.items.insert(seq, item);
        if message == 0 {
            return self.ready(seq);
        }
        self.chains.entry(message).or_default().insert(seq);
        self.arrange(message);
    }

    /// Of a message's events the first may go, when none is under way; behind one that failed the
    /// others become rows.
    fn arrange(&mut self, message: i64) {
        let Some(chain) = self.chains.get(&message) else { return };
        let chain: Vec<i64> = chain.iter().copied().collect();
        let mut failed = false;
        let flying = chain.iter().any(|seq| self.items.get(seq).is_some_and(|i| i.flying));
        for (place, seq) in chain.into_iter().enumerate() {
            let Some(item) = self.items.get_mut(&seq) else { continue };
            if let Some(target) = self.targets.get_mut(&item.target) {
                target.unready(item.due, seq);
            }
            if failed && !item.stored {
                item.stored = true;
                self.fresh.remove(&seq);
                let record = record(item, DeliveryState::Pending, None, None);
                self.deliveries.push(record);
            }
            failed |= item.stored;
            if place == 0 && !flying {
                self.ready(seq);
            }
        }
    }

    fn ready(&mut self, seq: i64) {
        if let Some(item) = self.items.get(&seq) {
            self.targets.entry(item.target.clone()).or_default().ready(item.due, seq);
        }
    }

    /// The next event to send, marked as under way.
    pub fn next(&mut self, now: At) -> Option<Item> {
        if self.flying >= self.in_flight_max() {
            return None;
        }
        let plan = &self.plan;
        let seq = self.targets.values_mut().find_map(|target| target.next(plan, now))?;
        self.flying += 1;
        let item = self.items.get_mut(&seq)?;
        item.flying = true;
        Some(item.clone())
    }

    /// Notes how an attempt ended. `chance` spreads the wait before the next.
    pub fn ended(
        &mut self,
        seq: i64,
        verdict: Verdict,
        attempt: Option<AttemptLog>,
        now: At,
        chance: f64,
    ) {
        self.flying = self.flying.saturating_sub(1);
        let Some(item) = self.items.get_mut(&seq) else { return };
        item.flying = false;
        item.row = item.row.take().filter(|_| !item.stored);
        let target = self.targets.entry(item.target.clone()).or_default();
        target.landed();
        match verdict {
            Verdict::Unread => {
                item.due = now.plus(Duration::from_secs(2));
                let message = item.message;
                return if message == 0 { self.ready(seq) } else { self.arrange(message) };
            }
            Verdict::Vanished => {
                return self.finish(seq, DeliveryState::Dead, Some("event_gone"), None);
            }
            Verdict::Delivered => {
                target.succeeded();
                self.failing_since = None;
                item.attempts += 1;
                return self.finish(seq, DeliveryState::Delivered, None, attempt);
            }
            Verdict::Gone if self.callbacks => {
                item.attempts += 1;
                return self.finish(seq, DeliveryState::Dead, Some(GONE), attempt);
            }
            Verdict::Gone | Verdict::Failed { .. } => {}
        }
        item.attempts += 1;
        let retry_after = match verdict {
            Verdict::Failed { retry_after } => retry_after,
            _ => None,
        };
        target.failed(&self.plan, now, retry_after, chance);
        let since = *self.failing_since.get_or_insert(now);
        if verdict == Verdict::Gone {
            self.disable = Some(GONE);
        } else if now.since(since) >= self.plan.disable_after && !self.callbacks {
            self.disable = Some(FAILING);
        }
        match schedule::wait(&self.plan.delays, item.attempts, retry_after, chance) {
            Some(wait) => self.postpone(seq, now.plus(wait), attempt),
            None => self.finish(seq, DeliveryState::Dead, Some("attempts"), attempt),
        }
    }

    fn postpone(&mut self, seq: i64, due: At, attempt: Option<AttemptLog>) {
        let Some(item) = self.items.get_mut(&seq) else { return };
        item.due = due;
        item.stored = true;
        item.row = None;
        self.fresh.remove(&seq);
        let record = record(item, DeliveryState::Pending, None, attempt);
        self.deliveries.push(record);
        let message = item.message;
        if message == 0 { self.ready(seq) } else { self.arrange(message) }
    }

    fn finish(
        &mut self,
        seq: i64,
        state: DeliveryState,
        reason: Option<&'static str>,
        attempt: Option<AttemptLog>,
    ) {
        let Some(item) = self.items.remove(&seq) else { return };
        self.expiries.remove(&(item.expires, seq));
        self.fresh.remove(&seq);
        self.dead += u64::from(state == DeliveryState::Dead);
        self.deliveries.push(record(&item, state, reason, attempt));
        if let Some(target) = self.targets.get_mut(&item.target) {
            target.unready(item.due, seq);
        }
        if let Some(chain) = self.chains.get_mut(&item.message) {
            chain.remove(&seq);
            if chain.is_empty() {
                self.chains.remove(&item.message);
            } else {
                self.arrange(item.message);
            }
        }
    }

    /// Gives up what is too old; what is under way may still arrive.
    pub fn expire(&mut self, now: At) {
        let old: Vec<i64> =
            self.expiries.range(..=(now, i64::MAX)).map(|(_, seq)| *seq).take(1_000).collect();
        for seq in old {
            if self.items.get(&seq).is_some_and(|item| !item.flying) {
                self.finish(seq, DeliveryState::Dead, Some("expired"), None);
            }
        }
        if self.callbacks {
            self.targets.retain(|_, target| !target.is_idle());
        }
    }

    /// Up to where nothing is left to do but what is a row.
    #[must_use]
    pub fn cursor(&self) -> i64 {
        self.fresh.first().map_or(self.read, |seq| seq - 1)
    }

    /// All that is not stored yet, with the cursor that holds once it is.
    pub fn report(&mut self) -> Report {
        self.reported = self.cursor();
        if self.settled.len() > self.plan.window {
            let read = self.read;
            self.settled.retain(|seq| *seq > read);
        }
        Report {
            cursor: self.reported,
            failing_since: self.failing_since,
            deliveries: std::mem::take(&mut self.deliveries),
        }
    }

    /// Takes back what could not be stored; what came later counts, where both speak of one event.
    pub fn unreport(&mut self, mut report: Report) {
        report.deliveries.append(&mut self.deliveries);
        self.deliveries = report.deliveries;
        self.reported = i64::MIN;
    }

    /// There is something to store that should not wait.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// The cursor moved past lines that concern others.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.cursor() > self.reported
    }

    /// There is room to read on.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.fresh.len() < self.plan.window
            && self.items.len() - self.fresh.len() < self.plan.pending_max
    }

    #[must_use]
    pub fn is_flying(&self) -> bool {
        self.flying > 0
    }

    pub fn take_disable(&mut self) -> Option<&'static str> {
        self.disable.take()
    }

    /// Dead letters since this was last asked.
    pub fn take_dead(&mut self) -> u64 {
        std::mem::take(&mut self.dead)
    }

    /// When something is to be done next, if nothing else happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<At> {
        let room = self.flying < self.in_flight_max();
        let targets = self.targets.values().filter(|_| room);
        let due = targets.filter_map(|target| target.wake_at(&self.plan));
        let grounded = |seq| self.items.get(seq).is_some_and(|item| !item.flying);
        let expiry = self.expiries.iter().find(|(_, seq)| grounded(seq)).map(|(at, _)| *at);
        due.chain(expiry).min()
    }

    fn in_flight_max(&self) -> usize {
        self.plan.in_flight_max * if self.callbacks { CALLBACKS_FACTOR } else { 1 }
    }
}

fn record(
    item: &Item,
    state: DeliveryState,
    reason: Option<&'static str>,
    attempt: Option<AttemptLog>,
) -> DeliveryRecord {
    DeliveryRecord {
        id: item.id,
        seq: item.seq,
        message_key: item.message,
        kind: item.kind,
        state,
        attempts: item.attempts,
        due_at: item.due,
        expires_at: item.expires,
        reason,
        attempt,
    }
}

#[cfg(test)]
mod tests;
