//! What a call asks the store, and what it tells it.

use ractor::ActorRef;
use store::lane::{CallChange, CallDone, Work};

use super::state::CallState;
use super::{CallMsg, Stored};
use crate::writer::Then;

/// A question to the store. Dropped, it says that nothing is known.
struct Asking<F: FnOnce(Option<CallDone>) -> Stored> {
    me: ActorRef<CallMsg>,
    as_what: Option<F>,
}

impl<F: FnOnce(Option<CallDone>) -> Stored> Asking<F> {
    fn answer(&mut self, done: Option<CallDone>) {
        if let Some(as_what) = self.as_what.take() {
            let _ = self.me.send_message(CallMsg::Stored(as_what(done)));
        }
    }
}

impl<F: FnOnce(Option<CallDone>) -> Stored> Drop for Asking<F> {
    fn drop(&mut self) {
        self.answer(None);
    }
}

impl CallState {
    /// Asks the store; the answer comes as a message, whatever becomes of the writer.
    pub(super) fn ask(
        &self,
        change: CallChange,
        as_what: impl FnOnce(Option<CallDone>) -> Stored + Send + 'static,
    ) {
        let mut asking = Asking { me: self.me.clone(), as_what: Some(as_what) };
        let then = Then::new(move |mut done| asking.answer(done.calls.pop()));
        let work = Work { calls: vec![change], ..Work::default() };
        // Without a writer the question is dropped, which is an answer too.
        let _ = self.context.writer.ask(work, then);
    }

    /// Tells the store what need not be answered.
    pub(super) fn tell(&self, change: CallChange) {
        let work = Work { calls: vec![change], ..Work::default() };
        let _ = self.context.writer.ask(work, Then::new(|_| {}));
    }
}
