//! The owner's steps: claim, hand over, gather answers, settle.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use model::carrier::MessageKey;
use model::clock::At;
use ractor::{ActorRef, RpcReplyPort};
use store::lane::{Claim, Fate, HandoffResult, OutboxRef, Outcome, Quarantined, Work};
use tokio::time::Instant;

use super::divert::{self, Said};
use super::flight::{Doubtful, lowest};
use super::{OwnerMsg, OwnerState, RESTING_MAX, Slot};
use crate::smpp::bind::{Answer, Answered, BindMsg, Outgoing};
use crate::smpp::job::Job;
use crate::smpp::translate;
use crate::writer::Then;

/// How long a carrier that throttled us gets half of what it could take.
const SLOW_FOR: Duration = Duration::from_secs(30);
/// A tick at least this often, so that ages and gauges stay fresh.
const TICK_MAX: Duration = Duration::from_secs(5);

impl OwnerState {
    /// Does all that can be done now, and sets the time of the next look.
    pub(super) fn go_on(&mut self, me: &ActorRef<OwnerMsg>) {
        self.wake_rested();
        self.expire(me);
        self.decide_doubts(me);
        self.divert_waiting(me);
        self.put_back_unsent(me);
        self.hand_over(me);
        self.claim(me);
        self.grant();
        self.load_more(me);
        self.finish_draining();
        self.tell_binds();
        self.view.set_under_way(self.outstanding, self.doubted.len());
        // What was stored or stopped while the rows were first counted may be counted wrong.
        if self.view.waiting() != 0 && self.has_nothing() {
            self.view.set_waiting(0);
        }
        if self.view.waiting() == 0 {
            self.view.set_oldest(0);
        }
        self.set_tick(me);
    }

    fn has_nothing(&self) -> bool {
        let taken = self.granted > self.listed.room().free();
        let under_way = self.outstanding > 0 || taken || !self.flights.is_empty();
        let waits = !self.rested.is_empty() || !self.doubted.is_empty();
        self.recovered && !under_way && !waits && self.backlog.is_empty()
    }

    pub(super) fn announced(&mut self, jobs: Vec<Job>) {
        self.count_announced(&jobs);
        for job in jobs {
            self.backlog.announce(job);
        }
    }

    pub(super) fn count_announced(&mut self, jobs: &[Job]) {
        let places = jobs.iter().map(|job| ((job.class(), job.organization), job.place));
        if self.recovered {
            let new = places.filter(|(flow, place)| !self.is_counted(*flow, *place)).count();
            self.view.add_waiting(i64::try_from(new).unwrap_or(0));
        } else {
            self.early.extend(places);
        }
        if self.view.oldest() == 0
            && let Some(first) = jobs.first()
        {
            self.view.set_oldest(first.due_at.micros());
        }
    }

    /// The windows of all binds that are up.
    pub(super) fn window(&self) -> usize {
        let up = self.slots.iter().filter(|slot| slot.up && slot.transmits).count();
        let whole = up * self.args.profile.window;
        if Instant::now() < self.slow_until { whole.div_ceil(2) } else { whole }
    }

    /// Has intents stored for the next jobs: at most a window ahead, two windows in all.
    fn claim(&mut self, me: &ActorRef<OwnerMsg>) {
        if self.paused || self.draining.is_some() || self.resting.len() >= RESTING_MAX {
            return;
        }
        if !self.backlog.is_empty() {
            self.take_back(0);
        }
        let room = self.room().saturating_sub(self.granted);
        // Claims of a few at a time would make small transactions; a quarter of a window will do.
        if room == 0 || room < self.window_ahead() / 4 && self.outstanding > 0 {
            return;
        }
        let jobs = self.backlog.next(room);
        self.ask_for(me, jobs);
    }

    /// Has intents stored for these jobs.
    pub(super) fn ask_for(&mut self, me: &ActorRef<OwnerMsg>, jobs: Vec<Arc<Job>>) {
        if jobs.is_empty() {
            return;
        }
        let (carrier, epoch) = (self.args.carrier, self.args.epoch);
        let claims = jobs.iter().map(|job| Claim { row: job.row(carrier), epoch }).collect();
        for job in &jobs {
            let pdus = translate::pdus(job, self.args.profile.concat);
            self.outstanding += pdus;
            self.ahead += pdus;
        }
        let me = me.clone();
        let back = jobs.clone();
        let then = Then::new(move |done| {
            let claimed = jobs.into_iter().zip(done.claims).collect();
            let _ = me.send_message(OwnerMsg::Claimed(claimed));
        });
        if self.args.writer.ask(Work { claims, ..Work::default() }, then).is_err() {
            // The writer is being started again, and with it this owner.
            for job in back {
                let pdus = translate::pdus(&job, self.args.profile.concat);
                self.outstanding -= pdus;
                self.ahead -= pdus;
                self.backlog.again(job);
            }
        }
    }

    pub(super) fn claimed(&mut self, me: &ActorRef<OwnerMsg>, claimed: Vec<(Arc<Job>, bool)>) {
        let now = At::now();
        let mut expired = Vec::new();
        for (job, ours) in claimed {
            let pdus = translate::pdus(&job, self.args.profile.concat);
            // Two copies of a job may have been in memory, and both claimed in one transaction.
            if ours && !self.flights.contains_key(&job.key) {
                expired.extend(self.take_off(job, pdus, now));
            } else {
                // Stopped meanwhile, and counted when we were told; or a second copy.
                self.outstanding = self.outstanding.saturating_sub(pdus);
                self.ahead = self.ahead.saturating_sub(pdus);
            }
        }
        self.conclude(me, expired);
    }

    /// Gives ready messages to binds with room, within the carrier's pace.
    fn hand_over(&mut self, me: &ActorRef<OwnerMsg>) {
        let mut batches: Vec<Vec<Outgoing>> = self.slots.iter().map(|_| Vec::new()).collect();
        let (mut now, wall, mut over) = (None, At::now(), Vec::new());
        while let Some(key) = self.ready.front() {
            let Some(flight) = self.flights.get_mut(&key).filter(|flight| !flight.settling) else {
                self.ready.pop_front();
                continue;
            };
            if flight.expire(wall) {
                self.ready.pop_front();
                over.push(key);
                continue;
            }
            if let Some(way) = divert::to_its_text(&self.args, flight, wall) {
                (flight.leaves, flight.settling) = (Some(way), true);
                self.ready.pop_front();
                over.push(key);
                continue;
            }
            let wanted = flight.unsent.count_ones() as usize;
            let bound = if flight.waiting == 0 { None } else { flight.slot };
            let Some((at, slot)) = roomiest(&mut self.slots, bound) else {
                break;
            };
            // A message longer than the window goes out in stretches, on the same bind.
            let count = wanted.min(slot.room);
            let count = if self.args.profile.tps == 0 {
                count
            } else {
                let now = *now.get_or_insert_with(|| Instant::now().into_std());
                self.pacing.take(now, count)
            };
            if count == 0 {
                break;
            }
            divert::handed(&self.args, flight, wall);
            let pdus = lowest(flight.unsent, count);
            flight.unsent &= !pdus;
            flight.waiting |= pdus;
            flight.slot = Some(at);
            slot.room -= count;
            self.ahead = self.ahead.saturating_sub(count);
            batches[at].push(Outgoing { job: flight.job.clone(), pdus });
            if flight.unsent == 0 {
                self.ready.pop_front();
            }
        }
        for (at, batch) in batches.into_iter().enumerate() {
            if batch.is_empty() {
                continue;
            }
            let bind = self.slots[at].bind.clone();
            let sent = bind.is_some_and(|bind| bind.send_message(BindMsg::Submit(batch)).is_ok());
            if !sent {
                self.slot_lost(me, at);
            }
        }
        self.conclude(me, over);
    }

    pub(super) fn answered(
        &mut self,
        me: &ActorRef<OwnerMsg>,
        slot: usize,
        answers: Vec<Answered>,
    ) {
        let mut over = Vec::new();
        for Answered { key, pdu, answer } in answers {
            let Some(flight) = self.flights.get_mut(&key) else {
                continue;
            };
            let unsent = answer == Answer::NotSent;
            if !flight.note(pdu, answer) {
                continue;
            }
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.room = (slot.room + 1).min(self.args.profile.window);
            }
            if unsent {
                self.ahead += 1;
                if flight.unsent.count_ones() == 1 {
                    self.ready.push(&flight.job);
                }
            }
            if !flight.is_open() && !flight.settling {
                flight.settling = true;
                over.push(key);
            }
        }
        self.conclude(me, over);
    }

    /// Stores what became of these messages.
    pub(super) fn conclude(&mut self, me: &ActorRef<OwnerMsg>, over: Vec<MessageKey>) {
        if over.is_empty() {
            return;
        }
        let now = At::now();
        let mut results = Vec::with_capacity(over.len());
        let (mut quarantine, mut said) = (Vec::new(), Said::default());
        for flight in over.iter().filter_map(|key| self.flights.get(key)) {
            divert::not_taken(&self.args, flight, now);
        }
        for key in over {
            let Some(flight) = self.flights.get_mut(&key) else {
                continue;
            };
            self.ahead = self.ahead.saturating_sub(flight.unsent.count_ones() as usize);
            said.add(flight);
            let conclusion = flight.conclude(&self.args.profile, now);
            let conclusion = self.diverting.instead(&self.args, flight, conclusion, now);
            if conclusion.throttled {
                self.slow_until = Instant::now() + SLOW_FOR;
                let mut job = Job::clone(&flight.job);
                let (since, times) = job.throttled.unwrap_or((now, 0));
                job.throttled = Some((since, times + 1));
                flight.job = Arc::new(job);
            }
            let job = flight.job.clone();
            if conclusion.quarantined() {
                quarantine.push(self.quarantined(key, "message_cannot_be_written"));
            }
            results.push(job.result(self.args.carrier, self.args.epoch, conclusion.outcome));
        }
        self.diverting.note(&self.args, said, now);
        self.settle(me, results, quarantine);
    }

    fn settle(
        &mut self,
        me: &ActorRef<OwnerMsg>,
        results: Vec<HandoffResult>,
        quarantine: Vec<Quarantined>,
    ) {
        for result in &results {
            self.remember(result);
        }
        let rows: Vec<OutboxRef> = results.iter().map(|result| result.row).collect();
        let movers = self.movers(&results, |at| {
            let flight = self.flights.get(&results.get(at)?.row.key)?;
            Some(&flight.job)
        });
        let me = me.clone();
        let then = Then::new(move |done| {
            if let Some(movers) = movers {
                movers.announce(&done.results);
            }
            let fates = rows.into_iter().zip(done.results).collect();
            let _ = me.send_message(OwnerMsg::Settled(fates));
        });
        let work = Work { results, quarantine, ..Work::default() };
        if self.args.writer.ask(work, then).is_err() {
            let carrier = &self.args.profile.name;
            tracing::warn!(%carrier, "no writer for results; the next owner finds them in doubt");
        }
    }

    /// Puts down when a message that stays ours is to be looked at again.
    fn remember(&mut self, result: &HandoffResult) {
        let key = result.row.key;
        match &result.outcome {
            Outcome::Retry { due_at, attempts, stays, .. } => {
                if let Some(flight) = self.flights.get_mut(&key) {
                    let mut job = Job::clone(&flight.job);
                    (job.due_at, job.attempts) = (*due_at, *attempts);
                    if *stays {
                        job.tried.stay();
                    }
                    flight.job = Arc::new(job);
                }
            }
            Outcome::InDoubt { due_at } => {
                if let Some(flight) = self.flights.get(&key) {
                    let (job, since) = (flight.job.clone(), flight.since);
                    let left = flight.left();
                    self.doubt(Doubtful { job, epoch: result.epoch, since, left }, *due_at);
                }
            }
            Outcome::Sent { .. } | Outcome::Ended { .. } => {}
            Outcome::Divert { .. } | Outcome::Resolve { .. } => {}
        }
    }

    pub(super) fn settled(&mut self, fates: Vec<(OutboxRef, Fate)>) {
        for (row, fate) in fates {
            let key = row.key;
            let flight = self.flights.remove(&key);
            if let Some(flight) = &flight {
                self.outstanding = self.outstanding.saturating_sub(flight.total);
            }
            let doubted = self.doubted.get(&key.0).map(|doubt| doubt.job.clone());
            match fate {
                Fate::Again => {
                    self.doubted.remove(&key.0);
                    if let Some(job) = flight.map(|flight| flight.job).or(doubted) {
                        self.rest(job.due_at, job);
                    }
                }
                Fate::Closed | Fate::Stale | Fate::Diverted { .. } => {
                    self.doubted.remove(&key.0);
                    self.view.add_waiting(-1);
                }
                Fate::Waiting => {}
            }
        }
    }

    /// Keeps a job until its time.
    pub(super) fn rest(&mut self, due_at: At, job: Arc<Job>) {
        let due_at = due_at.min(job.expires_at);
        if due_at <= At::now() {
            return self.backlog.again(job);
        }
        self.resting.push(Reverse((due_at, job.key.0)));
        self.rested.insert(job.key.0, job);
    }

    pub(super) fn doubt(&mut self, doubtful: Doubtful, due_at: At) {
        let key = doubtful.job.key.0;
        self.doubts.push(Reverse((due_at, key)));
        self.doubted.insert(key, doubtful);
    }

    fn wake_rested(&mut self) {
        let now = At::now();
        while let Some(Reverse((due_at, key))) = self.resting.peek().copied()
            && due_at <= now
        {
            self.resting.pop();
            if let Some(job) = self.rested.remove(&key) {
                self.backlog.again(job);
            }
        }
    }

    fn decide_doubts(&mut self, me: &ActorRef<OwnerMsg>) {
        let now = At::now();
        let mut results = Vec::new();
        while let Some(Reverse((due_at, key))) = self.doubts.peek().copied()
            && due_at <= now
        {
            if self.flights.contains_key(&MessageKey(key)) {
                // The doubt itself is not stored yet; look again when it is.
                break;
            }
            self.doubts.pop();
            if let Some(doubtful) = self.doubted.get_mut(&key) {
                let outcome = doubtful.resolve(&self.args.profile, now);
                let mut job = Job::clone(&doubtful.job);
                (job.due_at, job.attempts) = (now, job.attempts + 1);
                job.tried.stay();
                doubtful.job = Arc::new(job);
                let (job, epoch) = (doubtful.job.clone(), doubtful.epoch);
                results.push(job.result(self.args.carrier, epoch, outcome));
            }
        }
        if !results.is_empty() {
            self.settle(me, results, Vec::new());
        }
    }

    pub(super) fn up(&mut self, at: usize, bind: ActorRef<BindMsg>) {
        if let Some(slot) = self.slots.get_mut(at) {
            if self.leaving {
                let _ = bind.send_message(BindMsg::Unbind);
            }
            let room = if slot.transmits { self.args.profile.window } else { 0 };
            *slot = Slot { bind: Some(bind), up: true, room, transmits: slot.transmits };
        }
        self.show_bound();
    }

    pub(super) fn down(
        &mut self,
        me: &ActorRef<OwnerMsg>,
        at: usize,
        why: &str,
        answers: Vec<Answered>,
    ) {
        self.view.set_error(why);
        self.answered(me, at, answers);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.up = false;
            slot.room = 0;
        }
        self.show_bound();
    }

    /// A bind died with what it had: all of that is in doubt.
    pub(super) fn slot_lost(&mut self, me: &ActorRef<OwnerMsg>, at: usize) {
        if let Some(slot) = self.slots.get_mut(at) {
            (slot.bind, slot.up, slot.room) = (None, false, 0);
        }
        let mut over = Vec::new();
        for (key, flight) in &mut self.flights {
            if flight.slot != Some(at) || flight.settling || flight.lose() == 0 {
                continue;
            }
            if !flight.is_open() {
                flight.settling = true;
                over.push(*key);
            }
        }
        self.conclude(me, over);
        self.show_bound();
    }

    fn show_bound(&mut self) {
        let bound = self.slots.iter().filter(|slot| slot.up).count();
        self.view.set_bound(bound);
        // By the receiving half of a pair nothing leaves.
        self.diverting.set_bound(self.slots.iter().filter(|s| s.up && s.transmits).count());
    }

    /// A message that killed its bind twice ends here, where an operator can see it.
    pub(super) fn condemned(&mut self, me: &ActorRef<OwnerMsg>, key: MessageKey) {
        let (job, epoch) = match (self.flights.get(&key), self.doubted.get(&key.0)) {
            (Some(flight), _) => (flight.job.clone(), self.args.epoch),
            (None, Some(doubtful)) => (doubtful.job.clone(), doubtful.epoch),
            (None, None) => return,
        };
        let outcome = Outcome::Ended {
            status: model::message::Status::Failed,
            reason: Some("quarantined"),
            error: Some(model::refusal::MessageError::Quarantined),
            carrier_error: None,
            submitted: 0,
            parts: Vec::new(),
        };
        let result = job.result(self.args.carrier, epoch, outcome);
        let quarantine = vec![self.quarantined(key, "message_kills_its_bind")];
        self.settle(me, vec![result], quarantine);
    }

    fn quarantined(&self, key: MessageKey, reason: &str) -> Quarantined {
        Quarantined {
            carrier: Some(self.args.carrier),
            message: Some(key),
            reason: String::from(reason),
            item: format!("message {}", key.0),
        }
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        // Going on after a drain: the binds come back by themselves.
        self.leaving &= paused;
        self.view.set_paused(paused);
        self.diverting.set_paused(paused);
    }

    /// Answers once no bind has anything and all have said goodbye.
    pub(super) fn drain(&mut self, reply: RpcReplyPort<()>) {
        self.draining = Some(reply);
    }

    /// While draining: the intents of what no bind has yet are taken back.
    fn put_back_unsent(&mut self, me: &ActorRef<OwnerMsg>) {
        if self.draining.is_none() {
            return;
        }
        let mut unsent = Vec::new();
        for key in self.ready.iter() {
            if let Some(flight) = self.flights.get_mut(key).filter(|flight| flight.is_untouched()) {
                flight.settling = true;
                unsent.push(*key);
            }
        }
        self.conclude(me, unsent);
    }

    fn finish_draining(&mut self) {
        if self.draining.is_none() || self.outstanding + self.granted != 0 {
            return;
        }
        if !self.leaving {
            self.leaving = true;
            self.pause(true);
            for bind in self.slots.iter().filter_map(|slot| slot.bind.as_ref()) {
                let _ = bind.send_message(BindMsg::Unbind);
            }
        }
        if self.slots.iter().all(|slot| !slot.up)
            && let Some(reply) = self.draining.take()
        {
            let _ = reply.send(());
        }
    }

    fn set_tick(&mut self, me: &ActorRef<OwnerMsg>) {
        let now = At::now();
        let mut rest = TICK_MAX;
        for heap in [&self.resting, &self.doubts] {
            if let Some(Reverse((due_at, _))) = heap.peek() {
                rest = rest.min(due_at.since(now));
            }
        }
        if !self.ready.is_empty() && self.args.profile.tps > 0 {
            let at = Instant::now().into_std();
            rest = rest.min(self.pacing.ready_at(at).saturating_duration_since(at));
        }
        rest = rest.min(self.expires_in(now)).min(self.diverts_in());
        let reading = self.load_after.saturating_duration_since(Instant::now());
        if !reading.is_zero() {
            rest = rest.min(reading);
        }
        let rest = rest.max(Duration::from_millis(1));
        let due = Instant::now() + rest;
        if self.tick.as_ref().is_some_and(|(at, _)| *at <= due) {
            return;
        }
        if let Some((_, timer)) = self.tick.take() {
            timer.abort();
        }
        let timer = me.send_after(rest, || OwnerMsg::Tick);
        self.tick = Some((due, timer.abort_handle()));
        while self.tasks.try_join_next().is_some() {}
    }
}

/// The bind with the most room, or the one a message is bound to already.
fn roomiest(slots: &mut [Slot], bound: Option<usize>) -> Option<(usize, &mut Slot)> {
    slots
        .iter_mut()
        .enumerate()
        .filter(|(at, slot)| slot.up && slot.room > 0 && bound.is_none_or(|bound| bound == *at))
        .max_by_key(|(_, slot)| slot.room)
}
