//! What is known of a trunk while the process lives: its health, its calls, our registration there.
//!
//! Its minder writes health and registration; calls, the API and metrics read them. All of it is small, and
//! nobody waits for it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::clock::At;
use rand::RngExt as _;

use super::Password;

/// Pings without an answer after which a trunk is down.
const MISSED_MAX: usize = 3;

/// What is known of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody has asked it yet.
    Unknown,
    Up,
    /// It has not answered three times.
    Down,
}

impl Health {
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Up, Self::Down];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How our registration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registered {
    /// The registrar has not answered yet.
    #[default]
    Trying,
    Yes,
    /// It refuses us or does not answer; it is asked again.
    Failed,
    /// It was ended.
    Over,
}

impl Registered {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "registering",
            Self::Yes => "registered",
            Self::Failed => "failed",
            Self::Over => "unregistered",
        }
    }
}

/// Our registration, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub registered: Registered,
    pub expires_at: Option<At>,
    /// Why the last attempt was in vain.
    pub error: Option<String>,
    /// Where the registrar is.
    pub registrar: Option<IpAddr>,
}

/// What a trunk has and how it is; lives as long as the process.
#[derive(Debug)]
pub struct Live {
    health: AtomicU8,
    missed: AtomicUsize,
    pub(super) calls: AtomicUsize,
    /// When the next call may begin.
    pub(super) due: Mutex<Option<At>>,
    last_error: Mutex<String>,
    standing: Mutex<Standing>,
    contact: Password,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            health: AtomicU8::default(),
            missed: AtomicUsize::default(),
            calls: AtomicUsize::default(),
            due: Mutex::default(),
            last_error: Mutex::default(),
            standing: Mutex::default(),
            contact: Password(format!("{:032x}", rand::rng().random::<u128>())),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            1 => Health::Up,
            2 => Health::Down,
            _ => Health::Unknown,
        }
    }

    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn last_error(&self) -> String {
        locked(&self.last_error).clone()
    }

    /// It answered.
    pub fn answered(&self) {
        self.missed.store(0, Ordering::Release);
        self.health.store(1, Ordering::Release);
    }

    /// It did not, and why; after the third time in a row it is down.
    pub fn missed(&self, error: &str) {
        error.clone_into(&mut locked(&self.last_error));
        if self.missed.fetch_add(1, Ordering::AcqRel) + 1 >= MISSED_MAX {
            self.health.store(2, Ordering::Release);
        }
    }

    /// Nobody asks it any more.
    pub fn unasked(&self) {
        self.missed.store(0, Ordering::Release);
        self.health.store(0, Ordering::Release);
        locked(&self.last_error).clear();
    }

    /// The user of our contact at its registrar, which nobody else is told.
    #[must_use]
    pub fn contact(&self) -> &str {
        &self.contact.0
    }

    #[must_use]
    pub fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    pub fn stands(&self, standing: Standing) {
        *locked(&self.standing) = standing;
    }

    /// Where the registrar is that knows our contact.
    pub(super) fn registrar(&self) -> Option<IpAddr> {
        locked(&self.standing).registrar
    }
}
