//! What a session tells its owner, over the owner's own bounded queue.
//!
//! A queue that is full loses the notice and the session counts it: a relay waits for nobody. What
//! a stranger can cause is told once for each description, so that nobody fills the queue by packets.

use std::net::SocketAddr;
use std::time::Duration;

use proto_media::Digit;
use tokio::sync::mpsc;

use super::session::{SessionId, Side};

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
    /// A sound is over.
    Played,
    /// Nothing came for as long as is allowed.
    Silent,
    /// A fault of ours ended the session.
    Broken,
}

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
        if self.queue.try_send(Notice { session: self.session, leg, event }).is_err() {
            self.dropped += 1;
        }
    }
}
