//! What waits for one carrier, in memory as far as it fits: who goes next, and what to read.
//!
//! Pure: no clock, no store. One-time codes go before all else; within a class organizations take
//! turns by deficit round robin, so that one tenant's million does not delay another's one. A queue
//! that is full stops taking payloads and remembers that rows wait in the store; it reads them
//! there, by place, once it has room. What is asked at each step costs the same however many
//! organizations there are: those with nothing to say are not looked at, and soon forgotten.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;

use store::lane::OutboxRef;

use super::job::Job;

/// Parts an organization may send per turn.
const QUANTUM: usize = 16;
const CLASSES: usize = 2;

/// A stretch of rows to read from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub class: i64,
    pub organization: OrgId,
    pub after: i64,
    pub limit: usize,
}

#[derive(Debug)]
pub struct Backlog {
    classes: [Class; CLASSES],
    per_flow_max: usize,
    in_memory: usize,
    in_memory_max: usize,
    /// Stretches that are being read.
    loading: usize,
    /// True until what an earlier life left is known: a row taken before would hide older ones.
    unread: bool,
    /// No job in memory expires before this.
    soonest: At,
}

#[derive(Debug, Default)]
struct Class {
    flows: BTreeMap<OrgId, Flow>,
    /// Organizations with something in memory, in turn.
    turns: VecDeque<OrgId>,
    /// Organizations with rows in the store of which none are being read.
    spilled: BTreeSet<OrgId>,
}

#[derive(Debug, Default)]
struct Flow {
    queue: VecDeque<Arc<Job>>,
    deficit: usize,
    in_turn: bool,
    /// The highest place that was in memory: rows above it may wait in the store.
    cursor: i64,
    /// The highest place ever announced.
    announced: i64,
    /// True while rows above the cursor wait in the store.
    spilled: bool,
    loading: bool,
    /// Jobs at the front that were looked at and not wanted elsewhere.
    looked: usize,
}

impl Backlog {
    #[must_use]
    pub fn new(per_flow_max: usize, in_memory_max: usize) -> Self {
        Self {
            classes: Default::default(),
            per_flow_max: per_flow_max.max(1),
            in_memory: 0,
            in_memory_max: in_memory_max.max(1),
            loading: 0,
            unread: false,
            soonest: At(i64::MAX),
        }
    }

    /// Takes no payload before [`Self::read_out`]: all rows are read from the store, oldest first.
    #[must_use]
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// All that an earlier life left has been named by [`Self::stored`].
    pub fn read_out(&mut self) {
        self.unread = false;
    }

    /// Jobs in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.in_memory
    }

    /// True when nothing waits, here or in the store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let spilled = self.classes.iter().any(|class| !class.spilled.is_empty());
        !self.unread && self.in_memory == 0 && self.loading == 0 && !spilled
    }

    /// Rows of an earlier life wait in the store.
    pub fn stored(&mut self, class: i64, organization: OrgId) {
        self.class(class).spill(organization);
    }

    /// A job that was just committed. Places of one organization and class come in rising order.
    pub fn announce(&mut self, job: Job) {
        let unread = self.unread;
        let full = unread || self.in_memory >= self.in_memory_max;
        let most = self.per_flow_max;
        let (class, organization, place) = (job.class(), job.organization, job.place);
        let flow = self.flow(class, organization);
        flow.announced = flow.announced.max(place);
        if flow.cursor == 0 && !flow.spilled && !unread {
            // New, or forgotten: nothing of its waits in the store before this.
            flow.cursor = place - 1;
        }
        if place <= flow.cursor {
            // Read from the store before its announcement arrived.
            return;
        }
        if flow.spilled || full || flow.queue.len() >= most {
            return self.class(class).spill(organization);
        }
        flow.cursor = place;
        self.push(class, organization, Arc::new(job));
    }

    /// A job that was moved here. Its place is new; if a later one is known already, it is read no
    /// more, and so taken whatever room there is.
    pub fn arrive(&mut self, job: Job) {
        if job.place > self.flow(job.class(), job.organization).cursor {
            self.announce(job);
        } else if !self.unread {
            self.again(Arc::new(job));
        }
    }

    /// Takes the jobs that are wanted out of the next `look_at` of each line, the others keep their
    /// order. Each look begins where the last one ended, so that none is hidden behind others.
    pub fn take_if(
        &mut self,
        look_at: usize,
        mut wanted: impl FnMut(&Job) -> bool,
    ) -> Vec<Arc<Job>> {
        let mut taken = Vec::new();
        for flow in self.classes.iter_mut().flat_map(|class| class.flows.values_mut()) {
            let from = if flow.looked < flow.queue.len() { flow.looked } else { 0 };
            let stretch = (flow.queue.len() - from).min(look_at);
            flow.queue.rotate_left(from);
            let kept: Vec<_> = flow
                .queue
                .drain(..stretch)
                .filter_map(|job| {
                    if wanted(&job) {
                        taken.push(job);
                        return None;
                    }
                    Some(job)
                })
                .collect();
            flow.looked = from + kept.len();
            kept.into_iter().rev().for_each(|job| flow.queue.push_front(job));
            flow.queue.rotate_right(from.min(flow.queue.len()));
        }
        self.in_memory -= taken.len();
        taken
    }

    /// A job that was just committed and did not have to wait.
    pub fn passed(&mut self, job: &Job) {
        // Of one that was forgotten all is known to have passed: its next ones come behind this.
        let Some(flow) = self.class(job.class()).flows.get_mut(&job.organization) else { return };
        flow.announced = flow.announced.max(job.place);
        if !flow.spilled {
            flow.cursor = flow.cursor.max(job.place);
        }
    }

    /// A job whose turn has come again. It may be older than the cursor.
    pub fn again(&mut self, job: Arc<Job>) {
        let (class, organization) = (job.class(), job.organization);
        self.push(class, organization, job);
    }

    /// The next jobs, at most `parts` parts in all (one job may go over, when it comes first).
    pub fn next(&mut self, parts: usize) -> Vec<Arc<Job>> {
        let mut taken = Vec::new();
        let mut left = parts;
        for class in &mut self.classes {
            class.next(&mut left, &mut taken);
        }
        self.in_memory -= taken.len();
        taken
    }

    /// Forgets jobs whose rows are gone.
    pub fn remove(&mut self, rows: &[OutboxRef]) {
        let mut gone: BTreeMap<(i64, OrgId), HashSet<i64>> = BTreeMap::new();
        for row in rows {
            gone.entry((row.class, row.organization)).or_default().insert(row.key.0);
        }
        for ((class, organization), keys) in gone {
            let flow = self.class(class).flows.get_mut(&organization);
            let Some(Flow { queue, .. }) = flow else { continue };
            let before = queue.len();
            queue.retain(|job| !keys.contains(&job.key.0));
            let removed = before - queue.len();
            self.in_memory -= removed;
        }
    }

    /// When to ask for expired jobs again, at the earliest.
    #[must_use]
    pub fn soonest(&self) -> At {
        self.soonest
    }

    /// Takes jobs that expired by `now`, at most so many.
    pub fn expired(&mut self, now: At, most: usize) -> Vec<Arc<Job>> {
        if self.soonest > now {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for flow in self.classes.iter_mut().flat_map(|class| class.flows.values_mut()) {
            flow.queue.retain(|job| {
                let takes = taken.len() < most && job.expires_at <= now;
                if takes {
                    taken.push(job.clone());
                }
                !takes
            });
        }
        self.in_memory -= taken.len();
        let left = self.classes.iter().flat_map(|class| class.flows.values());
        let times = left.flat_map(|flow| flow.queue.iter().map(|job| job.expires_at));
        self.soonest = times.min().unwrap_or(At(i64::MAX));
        taken
    }

    /// What should be read from the store now, each stretch once.
    pub fn loads(&mut self) -> Vec<Load> {
        let mut loads = Vec::new();
        let mut room = self.in_memory_max.saturating_sub(self.in_memory);
        let most = self.per_flow_max;
        for (class, Class { flows, spilled, .. }) in (0_i64..).zip(&mut self.classes) {
            if room == 0 {
                break;
            }
            spilled.retain(|organization| {
                let Some(flow) = flows.get_mut(organization) else { return false };
                let wanted = most.saturating_sub(flow.queue.len()).min(room);
                if flow.queue.len() > most / 2 || wanted == 0 {
                    return true;
                }
                flow.loading = true;
                room -= wanted;
                let (organization, after) = (*organization, flow.cursor);
                loads.push(Load { class, organization, after, limit: wanted });
                false
            });
        }
        self.loading += loads.len();
        loads
    }

    /// The rows of a stretch, in order of their places. Those for later are given back.
    pub fn loaded(&mut self, load: Load, jobs: Vec<Job>, now: At) -> Vec<Arc<Job>> {
        let Load { class, organization, limit, .. } = load;
        let complete = jobs.len() < limit;
        let mut later = Vec::new();
        for job in jobs {
            let flow = self.flow(class, organization);
            if job.place <= flow.cursor {
                continue;
            }
            flow.cursor = job.place;
            if job.due_at > now {
                later.push(Arc::new(job));
            } else {
                self.push(class, organization, Arc::new(job));
            }
        }
        let flow = self.flow(class, organization);
        // A row may have been committed after the read and announced before this: read again then.
        let more = !complete || flow.announced > flow.cursor;
        self.read(class, organization, more);
        later
    }

    /// A stretch could not be read; it will be asked for again.
    pub fn load_failed(&mut self, load: Load) {
        self.read(load.class, load.organization, true);
    }

    /// A read is over; whether more rows wait in the store.
    fn read(&mut self, class: i64, organization: OrgId, more: bool) {
        self.loading = self.loading.saturating_sub(1);
        let class = self.class(class);
        let flow = class.flows.entry(organization).or_default();
        (flow.loading, flow.spilled) = (false, false);
        if more {
            class.spill(organization);
        } else {
            class.forget(organization);
        }
    }

    fn class(&mut self, class: i64) -> &mut Class {
        let at = usize::try_from(class).unwrap_or(CLASSES - 1).min(CLASSES - 1);
        &mut self.classes[at]
    }

    fn flow(&mut self, class: i64, organization: OrgId) -> &mut Flow {
        self.class(class).flows.entry(organization).or_default()
    }

    fn push(&mut self, class: i64, organization: OrgId, job: Arc<Job>) {
        self.soonest = self.soonest.min(job.expires_at);
        let Class { flows, turns, .. } = self.class(class);
        let flow = flows.entry(organization).or_default();
        flow.queue.push_back(job);
        if !flow.in_turn {
            flow.in_turn = true;
            turns.push_back(organization);
        }
        self.in_memory += 1;
    }
}

impl Class {
    /// Rows of an organization wait in the store.
    fn spill(&mut self, organization: OrgId) {
        let flow = self.flows.entry(organization).or_default();
        flow.spilled = true;
        if !flow.loading {
            self.spilled.insert(organization);
        }
    }

    /// Forgets an organization that has nothing here, if no row that was read ahead of its
    /// announcement must be known when that comes.
    fn forget(&mut self, organization: OrgId) {
        let idle = |flow: &Flow| {
            flow.queue.is_empty() && !flow.in_turn && !flow.spilled && flow.cursor <= flow.announced
        };
        if self.flows.get(&organization).is_some_and(idle) {
            self.flows.remove(&organization);
        }
    }

    fn next(&mut self, left: &mut usize, taken: &mut Vec<Arc<Job>>) {
        while *left > 0
            && let Some(organization) = self.turns.front().copied()
        {
            let Some(flow) = self.flows.get_mut(&organization) else {
                self.turns.pop_front();
                continue;
            };
            if flow.deficit == 0 {
                flow.deficit = QUANTUM;
            }
            while *left > 0 && flow.deficit > 0 {
                let Some(job) = flow.queue.pop_front() else {
                    break;
                };
                let parts = usize::from(job.segments).max(1);
                flow.deficit = flow.deficit.saturating_sub(parts);
                *left = left.saturating_sub(parts);
                taken.push(job);
            }
            if flow.queue.is_empty() {
                flow.deficit = 0;
                flow.in_turn = false;
                self.turns.pop_front();
                self.forget(organization);
            } else if flow.deficit == 0 {
                self.turns.rotate_left(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
