//! How one bind stands: written by the bind, read by the API, the desk and the metrics.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use model::clock::At;
use proto_smpp::BindKind;

/// What a bind is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindStanding {
    /// It tries, or rests before it tries again.
    Connecting,
    Bound,
    /// The carrier does not want our name or password; it is tried again now and then.
    Failed,
}

impl BindStanding {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Bound => "bound",
            Self::Failed => "failed",
        }
    }
}

/// One bind of a carrier, as it stands.
#[derive(Debug)]
pub struct BindView {
    pub kind: BindKind,
    standing: AtomicU8,
    since: AtomicI64,
    in_flight: AtomicUsize,
    enquired: AtomicI64,
    last_error: Mutex<String>,
}

impl BindView {
    pub(super) fn new(kind: BindKind) -> Self {
        Self {
            kind,
            standing: AtomicU8::new(0),
            since: AtomicI64::new(At::now().micros()),
            in_flight: AtomicUsize::new(0),
            enquired: AtomicI64::new(0),
            last_error: Mutex::new(String::new()),
        }
    }

    #[must_use]
    pub fn standing(&self) -> BindStanding {
        match self.standing.load(Ordering::Acquire) {
            1 => BindStanding::Bound,
            2 => BindStanding::Failed,
            _ => BindStanding::Connecting,
        }
    }

    /// Since when it stands so.
    #[must_use]
    pub fn since(&self) -> At {
        At(self.since.load(Ordering::Acquire))
    }

    /// Submits that have no answer yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// When the carrier was last asked whether it is still there.
    #[must_use]
    pub fn enquired(&self) -> Option<At> {
        Some(self.enquired.load(Ordering::Acquire)).filter(|at| *at != 0).map(At)
    }

    /// Why the last connection ended; empty when none did.
    #[must_use]
    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::smpp) fn set_in_flight(&self, count: usize) {
        self.in_flight.store(count, Ordering::Release);
    }

    pub(in crate::smpp) fn set_enquired(&self, at: At) {
        self.enquired.store(at.micros(), Ordering::Release);
    }

    pub(in crate::smpp) fn bound(&self, at: At) {
        self.stand(1, at);
    }

    pub(in crate::smpp) fn lost(&self, at: At, why: &str, locked_out: bool) {
        why.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
        self.set_in_flight(0);
        self.stand(if locked_out { 2 } else { 0 }, at);
    }

    /// A try that fails as the one before does not begin a new standing.
    fn stand(&self, standing: u8, at: At) {
        let before = self.standing.swap(standing, Ordering::AcqRel);
        if before != standing {
            self.since.store(at.micros(), Ordering::Release);
        }
    }
}
