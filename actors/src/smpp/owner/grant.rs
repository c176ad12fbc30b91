//! Room that an owner grants before it is asked: what is accepted while the carrier has room and
//! nothing waits is stored with its intent at once. That saves a commit and an update per message.
//!
//! A grant counts like an intent from the moment it is given, so no more than two windows are in
//! doubt after a crash. While anything waits nothing is granted: its turn comes first.

use std::sync::Arc;

use model::carrier::MessageKey;
use model::clock::At;
use ractor::ActorRef;

use super::flight::Flight;
use super::{OwnerMsg, OwnerState, RESTING_MAX};
use crate::smpp::job::Job;
use crate::smpp::translate;

impl OwnerState {
    /// What may be claimed or granted: at most a window ahead, two windows in all.
    pub(super) fn room(&self) -> usize {
        let window = self.window();
        let ahead = self.window_ahead().saturating_sub(self.ahead);
        ahead.min((2 * window).saturating_sub(self.outstanding))
    }

    /// What may wait with an intent: a window, and of a slow carrier no more than it takes in a
    /// while, so that what comes later and goes first is not kept behind it.
    pub(super) fn window_ahead(&self) -> usize {
        match self.args.profile.tps {
            0 => self.window(),
            tps => self.window().min((tps / 5).max(10)),
        }
    }

    /// Grants what room there is, or takes back what is too much now.
    pub(super) fn grant(&mut self) {
        let closed = self.paused || self.draining.is_some() || self.leaving || !self.recovered;
        let waits = self.resting.len() >= RESTING_MAX || !self.backlog.is_empty();
        let wanted = if closed || waits { 0 } else { self.room() };
        if wanted > self.granted {
            self.listed.room().add(wanted - self.granted);
            self.granted = wanted;
        } else {
            self.take_back(wanted);
        }
    }

    /// Takes back what is granted beyond `keep` and not taken yet.
    pub(super) fn take_back(&mut self, keep: usize) {
        let surplus = self.granted.saturating_sub(keep);
        self.granted -= self.listed.room().take(surplus);
    }

    /// These are stored with an intent of ours.
    pub(super) fn intended(&mut self, me: &ActorRef<OwnerMsg>, jobs: Vec<Job>) {
        let now = At::now();
        let mut expired = Vec::new();
        self.view.add_waiting(i64::try_from(jobs.len()).unwrap_or(0));
        if self.view.oldest() == 0
            && let Some(first) = jobs.first()
        {
            self.view.set_oldest(first.due_at.micros());
        }
        for job in jobs {
            let pdus = translate::pdus(&job, self.args.profile.concat);
            self.granted = self.granted.saturating_sub(usize::from(job.segments));
            self.outstanding += pdus;
            self.ahead += pdus;
            self.backlog.passed(&job);
            expired.extend(self.take_off(Arc::new(job), pdus, now));
        }
        self.conclude(me, expired);
    }

    /// A message whose intent is stored; its key, if it is too late to be sent.
    pub(super) fn take_off(&mut self, job: Arc<Job>, pdus: usize, now: At) -> Option<MessageKey> {
        let key = job.key;
        let mut flight = Flight::new(job, pdus, now);
        let ends = flight.expire(now);
        if !ends {
            self.ready.push(&flight.job);
        }
        self.flights.insert(key, flight);
        ends.then_some(key)
    }
}
