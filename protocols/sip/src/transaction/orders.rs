//! What goes into the transaction layer and what comes out: settings, flows, orders, counts.

use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::slab::Id;
use crate::Message;
use crate::header::Transport;
use crate::uri::Host;

/// Where octets go and come from: a UDP socket and a peer, or one connection.
pub trait Flow: Copy + Eq + Hash {
    /// How it is called in Via.
    fn transport(&self) -> Transport;

    /// The other end.
    fn peer(&self) -> SocketAddr;

    /// For UDP: the same socket of ours, and another port of that peer.
    #[must_use]
    fn to_port(self, port: u16) -> Self;
}

/// Who we are, by our own word in Via: what a peer without rport sends its answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBy {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    pub(super) text: Bytes,
}

impl SentBy {
    pub fn new(host: &Host, port: Option<u16>) -> Self {
        let mut text = Vec::with_capacity(24);
        host.write(&mut text);
        if let Some(port) = port {
            text.push(b':');
            text.extend_from_slice(port.to_string().as_bytes());
        }
        Self { host: host.clone(), port, text: Bytes::from(text) }
    }
}

/// The timers of RFC 3261 table 4, and what the table may hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A round trip, as far as we know: 500 ms.
    pub t1: Duration,
    /// The longest time between two retransmissions: 4 s.
    pub t2: Duration,
    /// How long a message stays in the network: 5 s.
    pub t4: Duration,
    /// How long an INVITE of ours may ring on after its last provisional response but 100; more
    /// than three minutes (§16.6).
    pub timer_c: Duration,
    /// When an INVITE gets its 100 if the user has said nothing; zero is at once.
    pub trying_after: Duration,
    /// An INVITE of which the user says nothing for so long is answered 500.
    pub unanswered_max: Duration,
    /// Requests outside dialogs are refused with 503 when so many transactions are there. Requests
    /// that say they are inside a dialog find as much room again, and our own once more.
    pub transactions_max: usize,
    /// Whom we refuse for want of room comes again after these seconds, or up to twice as many.
    pub retry_after_s: u32,
    /// The option tags that a request may require of us; others are answered 420. `None` leaves
    /// that to the user.
    pub extensions: Option<Vec<Box<str>>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(190),
            trying_after: Duration::from_millis(200),
            unanswered_max: Duration::from_secs(300),
            transactions_max: 200_000,
            retry_after_s: 5,
            extensions: None,
        }
    }
}

/// A request that waits for its answers. An old one is answered by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(u64);

impl ServerId {
    pub(super) const fn of(id: Id) -> Self {
        Self(id.to_u64())
    }

    pub(super) const fn id(self) -> Id {
        Id::from_u64(self.0)
    }
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Output<F, U> {
    Transmit {
        flow: F,
        octets: Bytes,
    },
    /// A response whose connection is gone: it goes over a new one to `to`, if that can be opened
    /// (RFC 3261 §18.2.2). `flow` says which it was.
    TransmitAnew {
        flow: F,
        to: SocketAddr,
        octets: Bytes,
    },
    /// A new request, never an ACK or a CANCEL. Its Via says where it came from.
    Request {
        id: ServerId,
        flow: F,
        message: Message,
    },
    /// The INVITE has no final answer yet and its sender does not want one: 487 is the user's to
    /// send. The CANCEL has its answer.
    Cancelled {
        invite: ServerId,
        flow: F,
        message: Message,
    },
    /// An ACK of a 2xx; whose it is says its dialog.
    Ack {
        flow: F,
        message: Message,
    },
    /// Each provisional response, the final one, and after a 2xx to INVITE each 2xx more: repeated
    /// or of another fork, all to be acknowledged.
    Response {
        mark: U,
        flow: F,
        message: Message,
    },
    /// No response of the kind will come any more: as 408 or 503.
    Failed {
        mark: U,
        why: Failure,
    },
    /// The final answer to an INVITE, other than 2xx, was never acknowledged. Nothing is to be done.
    AckMissing {
        id: ServerId,
    },
    /// The user left a request without an answer; an INVITE was answered 500. The id is over.
    Unanswered {
        id: ServerId,
    },
}

/// Why a request of ours has no final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Timers B, C and F, and a peer that was sent CANCEL and said nothing: 408.
    TimedOut,
    /// The flow is gone: 503.
    Transport,
    /// No room in the table; nothing was sent.
    Full,
    /// What was to be sent does not begin as a request; nothing was.
    NotARequest,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that began a server transaction.
    pub requests: u64,
    /// Requests of ours.
    pub sent: u64,
    /// Messages sent again by a timer, or for a retransmission of the peer's.
    pub retransmitted: u64,
    /// Requests that came again, and ACKs of what was refused.
    pub absorbed: u64,
    /// Responses that are to nothing we sent, or come too late.
    pub stray: u64,
    /// Requests that were answered without the user: bad ones.
    pub refused: u64,
    /// Requests for which there was no room.
    pub overload: u64,
    /// The same request by another way: 482.
    pub merged: u64,
    /// CANCEL of nothing that is there: 481.
    pub unknown_cancel: u64,
    /// Requests of ours that got no final response.
    pub timed_out: u64,
    /// Final responses to INVITE that nobody acknowledged.
    pub ack_missing: u64,
    /// Requests that the user did not answer.
    pub unanswered: u64,
    /// Answers of the user that no transaction waits for, or that are no responses.
    pub unwanted: u64,
}
