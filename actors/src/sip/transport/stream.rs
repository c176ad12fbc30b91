//! One connection over TCP or TLS: a task that reads and one that writes; both end together.
//!
//! Reading cuts the stream into messages and answers keep-alives. A message that has begun and does not end,
//! a stream out of step, a peer that does not take what it is sent, a queue that is full, and a connection
//! that nobody needs and that says nothing: each closes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto_sip::Frames;
use proto_sip::frame::{Event, PONG};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Wire;
use super::connections::{Entry, State};
use crate::places::{Place, Unbound};
use crate::sip::flow::{Flow, Kind};
use crate::sip::inbox::Received;

pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Octets taken from a connection at once.
const READ: usize = 8 * 1024;
/// Messages that are written together.
const WRITES: usize = 32;

/// What a connection of either side begins with.
pub struct Opened {
    pub kind: Kind,
    pub peer: SocketAddr,
    pub halves: (ReadHalf, WriteHalf),
    /// None: we opened it.
    pub places: Option<(Place, Unbound)>,
}

/// Serves a connection until it is closed.
pub async fn serve(wire: Wire, opened: Opened) {
    let (queue, octets) = mpsc::channel(wire.limits().queue_max);
    let (_place, unbound) = opened.places.unzip();
    let state = Arc::new(State::new(unbound));
    let Opened { kind, peer, .. } = opened;
    let entry = Entry { kind, peer, name: None, queue: queue.clone(), state: state.clone() };
    let flow = wire.attach(entry);
    drop(queue);
    run(&wire, flow, opened.halves, octets, &state).await;
    wire.detach(flow);
}

/// The same for a connection that waits in the table already.
pub(super) async fn run(
    wire: &Wire,
    flow: Flow,
    (read_half, write_half): (ReadHalf, WriteHalf),
    octets: mpsc::Receiver<Bytes>,
    state: &State,
) {
    let reader = Reader { wire, flow, state, aliased: false };
    let patience = wire.limits().write_patience;
    let mut writing = std::pin::pin!(write(write_half, octets, patience));
    tokio::select! {
        () = &mut writing => return,
        () = reader.read(read_half) => {}
        () = state.closing.notified() => return,
    }
    // What was said last is written, within the time of one write.
    wire.detach(flow);
    let _ = timeout(patience, writing).await;
}

struct Reader<'a> {
    wire: &'a Wire,
    flow: Flow,
    state: &'a State,
    aliased: bool,
}

impl Reader<'_> {
    async fn read(mut self, mut half: ReadHalf) {
        let mut frames = Frames::new(self.wire.limits().message);
        let mut buffer = vec![0; READ];
        let mut begun: Option<Instant> = None;
        let mut quiet_since = Instant::now();
        loop {
            let patience = self.patience(begun, quiet_since);
            let count = match timeout(patience, half.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(count)) => count,
                Err(_) if begun.is_none() && self.state.is_held() => {
                    quiet_since = Instant::now();
                    continue;
                }
                Err(_) => return,
            };
            quiet_since = Instant::now();
            if !self.take(&mut frames, &buffer[..count]) {
                return;
            }
            begun = match frames.buffered() {
                0 => None,
                _ => begun.or(Some(quiet_since)),
            };
        }
    }

    /// How long the next octets may take.
    fn patience(&self, begun: Option<Instant>, quiet_since: Instant) -> Duration {
        let limits = self.wire.limits();
        let idle = limits.idle.saturating_sub(quiet_since.elapsed());
        match begun {
            Some(begun) => limits.message_patience.saturating_sub(begun.elapsed()).min(idle),
            None => idle,
        }
    }

    /// False: the stream is out of step.
    fn take(&mut self, frames: &mut Frames, mut chunk: &[u8]) -> bool {
        let mut batch: Vec<Received> = Vec::new();
        let going = loop {
            match frames.next(&mut chunk) {
                Ok(Some(Event::Message(octets))) => {
                    batch.extend(self.wire.read(self.flow, octets));
                }
                Ok(Some(Event::Ping)) => {
                    let _ = self.wire.send(self.flow, Bytes::from_static(PONG));
                }
                Ok(Some(Event::Pong)) => {}
                Ok(None) => break true,
                Err(refused) => {
                    self.wire.refuse(self.flow, &refused);
                    break false;
                }
            }
        };
        if !self.aliased
            && let Some(first) = batch.first()
        {
            self.aliased = true;
            self.alias(first);
        }
        self.wire.deliver(batch);
        going
    }

    /// RFC 5923: the port in its Via is this connection's, if it says so.
    fn alias(&self, first: &Received) {
        let Ok(via) = first.message.via() else { return };
        if first.message.is_request() && via.params.has("alias") {
            let port = via.port.unwrap_or_else(|| via.transport.default_port());
            self.wire.0.connections.alias(self.flow, port);
        }
    }
}

/// Writes what is queued, some at once.
async fn write(mut half: WriteHalf, mut octets: mpsc::Receiver<Bytes>, patience: Duration) {
    let mut batch = Vec::with_capacity(WRITES);
    while octets.recv_many(&mut batch, WRITES).await > 0 {
        let all = if batch.len() == 1 { batch.remove(0) } else { Bytes::from(batch.concat()) };
        batch.clear();
        let writing = async {
            half.write_all(&all).await?;
            half.flush().await
        };
        if !matches!(timeout(patience, writing).await, Ok(Ok(()))) {
            return;
        }
    }
}
