//! The timers of one bound session, SMPP 3.4 §7.2, as one value that is asked with the time.
//!
//! A link silent for `enquire_link` is asked; asked and still silent for `response_timeout`, it is
//! dead. Anything heard proves life, so a peer that never answers enquire_link but sends traffic
//! keeps its session. Nothing heard for `inactivity` ends it too. Zero switches a timer off.

use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Timers {
    enquire_link: Duration,
    response_timeout: Duration,
    inactivity: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

/// What `tick` asks the session to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send enquire_link; it counts as sent now.
    Enquire,
    /// The peer kept silent on an enquire_link: close.
    Dead,
    /// Nothing was heard for the inactivity time: close.
    Inactive,
}

impl Timers {
    pub fn new(
        enquire_link: Duration,
        response_timeout: Duration,
        inactivity: Duration,
        now: Instant,
    ) -> Self {
        Self { enquire_link, response_timeout, inactivity, heard: now, asked: None }
    }

    /// A PDU came in.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// What is due now, if anything; ask again at `deadline`.
    pub fn tick(&mut self, now: Instant) -> Option<Due> {
        if self.inactive_at().is_some_and(|at| now >= at) {
            return Some(Due::Inactive);
        }
        match self.asked {
            Some(asked) if now >= asked + self.response_timeout => Some(Due::Dead),
            Some(_) => None,
            None if self.enquire_at().is_some_and(|at| now >= at) => {
                self.asked = Some(now);
                Some(Due::Enquire)
            }
            None => None,
        }
    }

    /// When `tick` will have something to say; `None` when all timers are off.
    pub fn deadline(&self) -> Option<Instant> {
        let link = match self.asked {
            Some(asked) => Some(asked + self.response_timeout),
            None => self.enquire_at(),
        };
        [link, self.inactive_at()].into_iter().flatten().min()
    }

    fn enquire_at(&self) -> Option<Instant> {
        (!self.enquire_link.is_zero()).then(|| self.heard + self.enquire_link)
    }

    fn inactive_at(&self) -> Option<Instant> {
        (!self.inactivity.is_zero()).then(|| self.heard + self.inactivity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_link_is_asked_once_and_then_dead() {
        let start = Instant::now();
        let mut timers = Timers::new(30 * S, 10 * S, Duration::ZERO, start);
        assert_eq!(timers.deadline(), Some(start + 30 * S));
        assert_eq!(timers.tick(start + 29 * S), None);
        assert_eq!(timers.tick(start + 30 * S), Some(Due::Enquire));
        assert_eq!(timers.tick(start + 30 * S), None);
        assert_eq!(timers.deadline(), Some(start + 40 * S));
        assert_eq!(timers.tick(start + 40 * S), Some(Due::Dead));
    }

    #[test]
    fn anything_heard_proves_life() {
        let start = Instant::now();
        let mut timers = Timers::new(30 * S, 10 * S, Duration::ZERO, start);
        assert_eq!(timers.tick(start + 30 * S), Some(Due::Enquire));
        timers.heard(start + 35 * S);
        assert_eq!(timers.tick(start + 45 * S), None);
        assert_eq!(timers.deadline(), Some(start + 65 * S));
    }

    #[test]
    fn inactivity_ends_a_session_that_asks_nothing() {
        let start = Instant::now();
        let mut timers = Timers::new(Duration::ZERO, 10 * S, 60 * S, start);
        assert_eq!(timers.deadline(), Some(start + 60 * S));
        timers.heard(start + 50 * S);
        assert_eq!(timers.tick(start + 60 * S), None);
        assert_eq!(timers.tick(start + 110 * S), Some(Due::Inactive));
        let off = Timers::new(Duration::ZERO, S, Duration::ZERO, start);
        assert_eq!(off.deadline(), None);
    }
}
