//! How calls reach the writer: what opens one waits for its commit, what ends one is told until it is
//! stored.
//!
//! Whoever holds a call repeats what was not answered: a renewal takes its slice once, and a call
//! ends once, however often they are asked for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::carrier::MessageKey;
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use store::lane::{CallChange, CallDone, LOST_MAX, LostCalls, NewCall, Opened, Work};

use super::Then;
use super::handle::{WriterHandle, not_stored};
use crate::gate::Urgency;

/// Between two tries to take something back.
const AGAIN: Duration = Duration::from_secs(1);
/// Calls that wait to be taken back.
const LOST_WAIT_MAX: usize = 20_000;

/// Calls that may have been opened and wait to be taken back. One task does it while there are some.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<LostState>);

#[derive(Debug, Default)]
struct LostState {
    waiting: VecDeque<PublicId>,
    is_served: bool,
}

/// What became of one that was added.
#[derive(Debug, PartialEq, Eq)]
enum Added {
    /// Nobody takes them back yet.
    First,
    Behind,
    Full,
}

impl Lost {
    fn state(&self) -> MutexGuard<'_, LostState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: PublicId) -> Added {
        let mut state = self.state();
        if state.waiting.len() >= LOST_WAIT_MAX {
            return Added::Full;
        }
        state.waiting.push_back(id);
        if std::mem::replace(&mut state.is_served, true) { Added::Behind } else { Added::First }
    }

    /// The next ones; none is the end of who serves them.
    fn next(&self) -> Option<Vec<PublicId>> {
        let mut state = self.state();
        let count = state.waiting.len().min(LOST_MAX);
        let ids: Vec<PublicId> = state.waiting.drain(..count).collect();
        state.is_served = !ids.is_empty();
        state.is_served.then_some(ids)
    }
}

impl WriterHandle {
    /// Stores a call with the first slice of its money, or says why not. The answer comes after the
    /// commit. Where none comes in time, nothing of it is left.
    pub async fn open_call(&self, call: NewCall) -> Result<Opened, Refusal> {
        let permit = self.enter(1, Urgency::Urgent)?;
        let id = call.id;
        let work = of(vec![CallChange::Open(Box::new(call))]);
        let answer = match self.wait_for(work, Some(permit)).await {
            Ok(mut done) => done.calls.pop(),
            Err(refusal) => {
                self.take_back(id);
                return Err(refusal);
            }
        };
        match answer {
            Some(CallDone::Opened(opened)) => opened,
            _ => Err(Refusal::new(Code::InternalError, "the call could not be stored")),
        }
    }

    /// Tells of one call, and waits for the commit. An error: nothing is known to be stored, and it is
    /// to be told again.
    pub async fn change_call(&self, change: CallChange) -> Result<CallDone, Refusal> {
        let done = self.perform(of(vec![change])).await?;
        done.calls.into_iter().next().ok_or_else(not_stored)
    }

    /// Tells of calls, in order; none of it opens one. The answers go to `then` after the commit. When
    /// that is dropped instead, nothing is known to be stored. An error: there is no writer now.
    pub fn tell_calls(
        &self,
        changes: Vec<CallChange>,
        then: impl FnOnce(Vec<CallDone>) + Send + 'static,
    ) -> Result<(), Refusal> {
        self.ask(of(changes), Then::new(|done| then(done.calls)))
    }

    /// What may have been opened and is not known of ends at once: told until the store has heard it,
    /// by whichever life of the writer, also when who asked is gone. It stands in line behind what it
    /// takes back. A process that ends before leaves it to the recovery of the next one, and so does one
    /// in which too many wait.
    pub fn take_back(&self, id: PublicId) {
        match self.shared.lost.add(id) {
            Added::First => drop(tokio::spawn(self.clone().take_all_back())),
            Added::Behind => {}
            Added::Full => {
                metrics::counter!("orbit_calls_not_taken_back_total").increment(1);
                tracing::error!(call = ?id, "too many calls wait to be taken back; the next start does");
            }
        }
    }

    /// As long as some wait, many at once. Of those that the database refuses together the one at fault
    /// is found in halves.
    async fn take_all_back(self) {
        while let Some(ids) = self.shared.lost.next() {
            let mut pieces = vec![(ids, false)];
            while let Some((mut ids, bare)) = pieces.pop() {
                let calls = LostCalls::Named(ids.clone());
                match self.change_call(CallChange::Lost { calls, bare }).await {
                    Ok(CallDone::Lost(_)) => {}
                    Ok(_) if !bare => pieces.push((ids, true)),
                    Ok(_) if ids.len() > 1 => {
                        let rest = ids.split_off(ids.len() / 2);
                        pieces.extend([(rest, false), (ids, false)]);
                    }
                    Ok(_) => not_closed(&ids),
                    Err(_) => {
                        pieces.push((ids, bare));
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        }
    }

    /// Ends the calls below a key that nobody holds any more, where they were last seen; how many
    /// there were. For the start of what holds calls, before it takes any. What the database does not
    /// take is recorded without what others wrote; a call that it takes in no way stays, alone.
    pub async fn recover_calls(&self, before: MessageKey) -> Result<usize, Refusal> {
        let mut all = 0;
        let mut ranges = vec![(MessageKey(0), before, false)];
        while let Some((from, below, bare)) = ranges.pop() {
            let calls = LostCalls::Between(from, below);
            match self.change_call(CallChange::Lost { calls, bare }).await? {
                CallDone::Lost(count) => {
                    all += count;
                    if count >= LOST_MAX {
                        ranges.push((from, below, bare));
                    }
                }
                _ if !bare => ranges.push((from, below, true)),
                // One of them is at fault: the others are found in halves.
                _ if from.0 + 1 < below.0 => {
                    let middle = MessageKey(from.0 + (below.0 - from.0) / 2);
                    ranges.extend([(middle, below, bare), (from, middle, bare)]);
                }
                _ => not_closed(&from),
            }
        }
        Ok(all)
    }

    /// Below it are the calls of earlier lives of the writer.
    #[must_use]
    pub fn first_key(&self) -> MessageKey {
        MessageKey(self.lane_id() << 40)
    }
}

/// The database takes the end of a call in no way: what was put aside for it stays so.
fn not_closed(call: &impl std::fmt::Debug) {
    metrics::counter!("orbit_calls_not_closed_total").increment(1);
    tracing::error!(?call, "the database takes a call's end in no way");
}

fn of(calls: Vec<CallChange>) -> Work {
    Work { calls, ..Work::default() }
}

#[cfg(test)]
mod tests;
