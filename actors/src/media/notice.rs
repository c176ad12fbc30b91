//! What a session tells its owner, over the owner's own bounded queue.
//!
//! A queue that is full loses the notice and the session counts it: a relay waits for nobody. What the
//! owner has to know, as that a leg is silent, is told again until there is room. What a stranger can
//! cause is told once for each description, and of digits so many a second, so that nobody fills the
//! queue by packets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto_media::Digit;
use tokio::sync::mpsc;

use super::session::{PlayId, SessionId, Side};

/// Something happened on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub session: SessionId,
    pub leg: Side,
    pub event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Media began to come in.
    FirstPacket,
    /// What is sent to the peer goes here from now on.
    Latched(SocketAddr),
    /// The first packet from where none may come, since the last description.
    Stranger(SocketAddr),
    /// A digit began, and ended after so long.
    Pressed(Digit),
    Released(Digit, Duration),
    /// A row of digits is sent.
    DigitsSent,
    /// This sound is over.
    Played(PlayId),
    /// Nothing came for as long as is allowed.
    Silent,
    /// A fault of ours ended the session.
    Broken,
}

/// Digits that begin within a second, of one leg.
const PRESSES: u8 = 20;

/// Where notices of one session go.
#[derive(Debug)]
pub(super) struct Notices {
    session: SessionId,
    queue: mpsc::Sender<Notice>,
    /// Found no room.
    pub(super) dropped: u64,
}

impl Notices {
    pub(super) fn new(session: SessionId, queue: mpsc::Sender<Notice>) -> Self {
        Self { session, queue, dropped: 0 }
    }

    pub(super) fn tell(&mut self, leg: Side, event: Event) {
        self.dropped += u64::from(!self.try_tell(leg, event));
    }

    /// For who tells again what found no room.
    pub(super) fn try_tell(&self, leg: Side, event: Event) -> bool {
        self.queue.try_send(Notice { session: self.session, leg, event }).is_ok()
    }
}

/// How fast a leg presses digits.
#[derive(Debug)]
pub(super) struct Presses {
    second: Instant,
    count: u8,
    /// The last one was told of, and so is its end.
    pub(super) is_told: bool,
}

impl Presses {
    pub(super) fn new(now: Instant) -> Self {
        Self { second: now, count: 0, is_told: false }
    }

    /// A digit begins: whether it counts.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.count) = (now, 0);
        }
        self.is_told = self.count < PRESSES;
        self.count += u8::from(self.is_told);
        self.is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_of_so_many_a_second() {
        let began = tokio::time::Instant::now().into_std();
        let mut presses = Presses::new(began);
        for second in 0..2 {
            let now = began + Duration::from_secs(second);
            let told = (0..100).filter(|_| presses.begin(now)).count();
            assert_eq!(told, usize::from(PRESSES));
        }
    }
}
