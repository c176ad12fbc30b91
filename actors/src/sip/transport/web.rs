//! SIP over WebSocket, RFC 7118: what one connection says and hears, without the WebSocket itself.
//!
//! Who serves HTTP upgrades a request with the subprotocol `sip` and drives this: each frame of data is one
//! whole message, or line ends that keep the connection open. Dropped, the connection is gone for everybody.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Wire;
use super::connections::{Entry, State};
use crate::places::{Place, Unbound};
use crate::sip::flow::{Flow, Kind};

/// The subprotocol that both sides must name.
pub const SUBPROTOCOL: &str = "sip";

/// One connection by WebSocket.
pub struct Web {
    wire: Wire,
    flow: Flow,
    octets: mpsc::Receiver<Bytes>,
    state: Arc<State>,
    _place: Place,
}

impl Web {
    /// `secure`: it came by TLS.
    #[must_use]
    pub fn open(
        wire: &Wire,
        peer: SocketAddr,
        secure: bool,
        (place, unbound): (Place, Unbound),
    ) -> Self {
        let (queue, octets) = mpsc::channel(wire.limits().queue_max);
        let state = Arc::new(State::new(Some(unbound)));
        let kind = if secure { Kind::Wss } else { Kind::Ws };
        let flow = wire.attach(Entry { kind, peer, name: None, queue, state: state.clone() });
        Self { wire: wire.clone(), flow, octets, state, _place: place }
    }

    /// A frame came.
    pub fn heard(&self, frame: Bytes) {
        let text = frame.iter().position(|octet| !matches!(octet, b'\r' | b'\n'));
        match text {
            Some(start) => {
                let read = self.wire.read(self.flow, frame.slice(start..));
                self.wire.deliver(read.into_iter().collect());
            }
            None if frame.len() == 4 => {
                let _ = self.wire.send(self.flow, Bytes::from_static(b"\r\n"));
            }
            None => {}
        }
    }

    /// What to say next; `None`: the connection is to be closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            octets = self.octets.recv() => octets,
            () = self.state.closing.notified() => None,
        }
    }

    /// Whether somebody is registered over it, or calls.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state.is_held()
    }

    /// How long it may say nothing while it is not held, and how long it may take for what it is sent.
    #[must_use]
    pub fn patience(&self) -> (Duration, Duration) {
        (self.wire.limits().idle, self.wire.limits().write_patience)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.wire.detach(self.flow);
    }
}
