//! How calls reach the writer: what opens one waits for its commit, what ends one is told until it is
//! stored.
//!
//! Whoever holds a call repeats what was not answered: a renewal takes its slice once, and a call
//! ends once, however often they are asked for.

use model::carrier::MessageKey;
use model::refusal::{Code, Refusal};
use store::lane::{CallChange, CallDone, LOST_MAX, LostCalls, NewCall, Opened, Work};

use super::Then;
use super::handle::{WriterHandle, not_stored};
use crate::gate::Urgency;

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
                // It stands in line behind what it takes back.
                let lost = CallChange::Lost(LostCalls::Named(vec![id]));
                let _ = self.tell_calls(vec![lost], |_| {});
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

    /// Ends the calls below a key that nobody holds any more, where they were last seen; how many
    /// there were. For the start of what holds calls, before it takes any.
    pub async fn recover_calls(&self, before: MessageKey) -> Result<usize, Refusal> {
        let mut all = 0;
        loop {
            let lost = CallChange::Lost(LostCalls::Before(before));
            match self.change_call(lost).await? {
                CallDone::Lost(count) => {
                    all += count;
                    if count < LOST_MAX {
                        return Ok(all);
                    }
                }
                _ => {
                    let message = "calls of an earlier life could not be closed";
                    return Err(Refusal::new(Code::InternalError, message));
                }
            }
        }
    }

    /// Below it are the calls of earlier lives of the writer.
    #[must_use]
    pub fn first_key(&self) -> MessageKey {
        MessageKey(self.lane_id() << 40)
    }
}

fn of(calls: Vec<CallChange>) -> Work {
    Work { calls, ..Work::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::clock::At;
    use model::id::PublicId;
    use model::message::Direction;
    use model::money::Micros;
    use model::submission::Credential;
    use model::voice::{CallStatus, EndReason, Facts, HangupBy, Rated, Tariff};
    use store::lane::{Closing, Progress};
    use store::{Options, Store};
    use tokio::sync::oneshot;

    use super::*;
    use crate::testing::{self, Folder};
    use crate::writer::{Limits, Shared};

    const TARIFF: Tariff =
        Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };

    #[tokio::test]
    async fn a_call_is_opened_told_renewed_and_closed_through_the_writer() {
        let folder = Folder::new(&format!("orbit_calls_{:032x}", rand::random::<u128>()));
        let store = Store::open(Options::new(&folder.database())).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared);
        let (organization, _) = testing::tenant(&writer, Micros(100_000)).await;
        let call = || NewCall {
            id: PublicId::new(At::now()),
            organization,
            credential: Credential::Switch,
            idempotency: None,
            direction: Direction::Outbound,
            from: None,
            to: String::from("+14155550123"),
            test: false,
            rated: Rated { prefix: String::from("1"), tariff: TARIFF },
            transport: None,
            facts: Facts::default(),
            legs: Vec::new(),
            metadata: None,
        };
        let opened = writer.open_call(call()).await.unwrap();
        let Opened::Fresh { key, at, covered_s } = opened else { panic!("{opened:?}") };
        assert_eq!(covered_s, Some(120));
        let progress = Progress {
            key,
            at,
            status: Some(CallStatus::InProgress),
            legs: None,
            transport: None,
            facts: None,
        };
        let (told, answer) = oneshot::channel();
        let changes = vec![
            CallChange::Progress(Box::new(progress)),
            CallChange::Renew { key, slice: 2, seconds: 60 },
        ];
        writer.tell_calls(changes, |done| drop(told.send(done))).unwrap();
        let done = answer.await.unwrap();
        assert_eq!(done[0], CallDone::Noted(true));
        let closing = Closing {
            key,
            at: at.plus(Duration::from_secs(61)),
            reason: EndReason::Normal,
            sip_code: None,
            q850: None,
            by: HangupBy::Caller,
            legs: Vec::new(),
            facts: None,
            ladder: None,
        };
        let done = writer.change_call(CallChange::Close(Box::new(closing))).await.unwrap();
        let CallDone::Closed(Some(came_to)) = done else { panic!("{done:?}") };
        assert_eq!(came_to.cost, Micros(24_000));
        // Nobody holds this one: the next life ends it.
        writer.open_call(call()).await.unwrap();
        assert_eq!(writer.recover_calls(writer.first_key()).await.unwrap(), 0);
        assert_eq!(writer.recover_calls(MessageKey(i64::MAX)).await.unwrap(), 1);
        let wallet = store.wallet(organization).await.unwrap().unwrap();
        assert_eq!((wallet.available, wallet.held), (76_000, 0));
        assert_eq!(store.imbalances().await.unwrap(), []);
    }

    #[tokio::test]
    async fn nothing_is_opened_without_a_writer() {
        let limits = Limits { accepts_max: 1, backlog_per_organization_max: 1 };
        let writer = WriterHandle::new(Arc::new(Shared::new(limits)));
        assert!(writer.recover_calls(MessageKey(1)).await.is_err());
        assert!(writer.tell_calls(Vec::new(), |_| {}).is_err());
        writer.drain();
        assert!(writer.refusing().is_some());
    }
}
