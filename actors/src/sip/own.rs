//! Requests of ours that belong to no call, and what each is answered.
//!
//! Who sends one takes a mark here and waits for what the shard hears of it. Whoever stops waiting drops
//! its place, and an answer that comes later is nobody's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto_sip::Message;
use proto_sip::transaction::Failure;
use tokio::sync::oneshot;

use super::shard::Mark;

/// Marks of requests that are of no call.
const OWN: Mark = 1 << 63;

/// A final response, or why there is none.
pub type Answered = Result<Message, Failure>;

/// All of them. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Own(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    waiting: Mutex<HashMap<Mark, oneshot::Sender<Answered>>>,
}

/// The place of who waits.
#[derive(Debug)]
pub struct Expected {
    own: Own,
    mark: Mark,
    answer: oneshot::Receiver<Answered>,
}

/// Whether a request with this mark is one of these.
#[must_use]
pub fn is_own(mark: Mark) -> bool {
    mark & OWN != 0
}

impl Own {
    /// A mark for one request.
    #[must_use]
    pub fn expect(&self) -> Expected {
        let mark = OWN | self.0.next.fetch_add(1, Ordering::Relaxed);
        let (said, answer) = oneshot::channel();
        self.waiting().insert(mark, said);
        Expected { own: self.clone(), mark, answer }
    }

    /// From a shard; provisional responses tell nothing.
    pub fn take(&self, mark: Mark, answered: Answered) {
        let status = answered.as_ref().ok().and_then(Message::status);
        if status.is_some_and(proto_sip::StatusCode::is_provisional) {
            return;
        }
        let waiting = self.waiting().remove(&mark);
        if let Some(waiting) = waiting {
            let _ = waiting.send(answered);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Mark, oneshot::Sender<Answered>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Expected {
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The answer, if it comes within this time.
    pub async fn within(mut self, patience: Duration) -> Answered {
        match tokio::time::timeout(patience, &mut self.answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => Err(Failure::TimedOut),
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.own.waiting().remove(&self.mark);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn response(status: &str) -> Message {
        let text = format!(
            "SIP/2.0 {status} Said\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:b@h>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(Bytes::from(text), &proto_sip::Limits::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_the_final_answer_and_who_left_is_forgotten() {
        let own = Own::default();
        let one = own.expect();
        let (mark, other) = (one.mark(), own.expect());
        assert!(is_own(mark) && mark != other.mark() && !is_own(1 << 62));
        own.take(mark, Ok(response("100")));
        own.take(mark, Ok(response("404")));
        own.take(mark, Ok(response("200")));
        let said = one.within(Duration::from_secs(1)).await.unwrap();
        assert_eq!(said.status().unwrap().get(), 404);
        assert_eq!(other.within(Duration::from_secs(1)).await.unwrap_err(), Failure::TimedOut);
        own.take(own.expect().mark(), Err(Failure::Transport));
        assert!(own.waiting().is_empty());
    }
}
