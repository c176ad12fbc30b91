//! Sockets and connections: messages come in as batches, octets go out by flow.
//!
//! wire          this file: what the rest of the switch sends with
//! udp           one task a socket: reads until it is empty
//! listener      doors for TCP and TLS, with a place for each connection
//! stream        one connection: a task that reads, one that writes
//! web           what a connection by WebSocket says and hears, without the WebSocket
//! connections   which connections there are, and how they are found
//!
//! Tasks of the supervisor of SIP, no actors: they wait for the network, and end with `Wire::close_all`.
//! Nobody waits for a peer here: a datagram that a socket does not take is lost, a connection whose queue is
//! full is closed.

pub mod connections;
pub mod listener;
pub mod stream;
pub mod udp;
pub mod web;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto_sip::uri::Host;
use proto_sip::{Answer, Builder, Message, message::Refused};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use self::connections::{Connections, Entry};
use super::flow::{Flow, Kind};
use super::inbox::{Inbox, Received};
use super::shield::Shield;
use crate::places::Places;

/// How connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub message: proto_sip::Limits,
    /// A message that has begun must end within this time.
    pub message_patience: Duration,
    /// A peer that takes nothing of what it is sent for so long is gone.
    pub write_patience: Duration,
    /// A connection over which nobody is registered or calls, and that says nothing.
    pub idle: Duration,
    /// A TLS handshake, a WebSocket's, a connection of ours.
    pub handshake_patience: Duration,
    /// Messages that may wait for one connection.
    pub queue_max: usize,
}

/// By what names peers know us.
#[derive(Clone, Debug)]
pub struct Names {
    /// What stands in Via and Contact. None: the address of the socket.
    pub public: Option<Host>,
}

/// Sends octets, and knows all sockets. A clone is the same.
#[derive(Clone)]
pub struct Wire(Arc<Inner>);

struct Inner {
    sockets: Vec<Socket>,
    connections: Connections,
    inbox: Inbox,
    shield: Shield,
    places: Places,
    limits: Limits,
    names: Names,
    /// Where TCP and TLS are listened for: what a Via of ours names.
    listening: Vec<(Kind, SocketAddr)>,
    tasks: Mutex<JoinSet<()>>,
    meters: Meters,
}

struct Socket {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
}

/// What a wire is made of.
pub struct Parts {
    pub sockets: Vec<UdpSocket>,
    pub listening: Vec<(Kind, SocketAddr)>,
    pub inbox: Inbox,
    pub shield: Shield,
    pub places: Places,
    pub limits: Limits,
    pub names: Names,
}

/// Counted since the start, by kind of transport.
#[derive(Debug, Default)]
pub struct Meters {
    received: [AtomicU64; 5],
    sent: [AtomicU64; 5],
    /// Datagrams that no socket took, connections closed for a full queue.
    unsent: AtomicU64,
    malformed: AtomicU64,
}

/// Nobody is there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Wire {
    /// Fails on a socket whose address cannot be asked.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let socket = |socket: UdpSocket| {
            let address = socket.local_addr()?;
            Ok(Socket { socket: Arc::new(socket), address })
        };
        let sockets: std::io::Result<Vec<_>> = parts.sockets.into_iter().map(socket).collect();
        Ok(Self(Arc::new(Inner {
            sockets: sockets?,
            connections: Connections::default(),
            inbox: parts.inbox,
            shield: parts.shield,
            places: parts.places,
            limits: parts.limits,
            names: parts.names,
            listening: parts.listening,
            tasks: Mutex::default(),
            meters: Meters::default(),
        })))
    }

    /// Starts to read the UDP sockets.
    pub fn start(&self) {
        for (number, socket) in self.0.sockets.iter().enumerate() {
            let task = udp::read(self.clone(), Arc::clone(&socket.socket), number as u64);
            self.task(task);
        }
    }

    /// Runs a task that ends with this wire.
    pub fn task(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are done make room.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Sends octets, at once or not at all.
    pub fn send(&self, flow: Flow, octets: Bytes) -> Result<(), Gone> {
        let meters = &self.0.meters;
        let sent = match flow.kind() {
            Kind::Udp => self.send_datagram(flow, &octets),
            _ => self.0.connections.send(flow, octets),
        };
        match sent {
            Ok(()) => &meters.sent[flow.kind() as usize],
            Err(Gone) => &meters.unsent,
        }
        .fetch_add(1, Ordering::Relaxed);
        sent
    }

    fn send_datagram(&self, flow: Flow, octets: &[u8]) -> Result<(), Gone> {
        let socket = usize::try_from(flow.link()).ok().and_then(|n| self.0.sockets.get(n));
        let socket = socket.ok_or(Gone)?;
        // A buffer that is full loses the datagram, as the network might: who sent it sends it again.
        socket.socket.try_send_to(octets, flow.peer()).map(|_| ()).map_err(|_| Gone)
    }

    /// Closes a connection.
    pub fn close(&self, flow: Flow) {
        self.0.connections.close(flow);
    }

    /// A connection is needed for something that lasts: it does not close for being idle.
    pub fn hold(&self, flow: Flow) {
        self.0.connections.hold(flow, 1);
    }

    pub fn release(&self, flow: Flow) {
        self.0.connections.hold(flow, -1);
    }

    /// Whether octets can still go there.
    #[must_use]
    pub fn is_open(&self, flow: Flow) -> bool {
        match flow.kind() {
            Kind::Udp => usize::try_from(flow.link()).is_ok_and(|n| n < self.0.sockets.len()),
            _ => self.0.connections.is_open(flow),
        }
    }

    /// A way to a peer that is there already: a connection from or to it, or over UDP the first socket of
    /// its family.
    #[must_use]
    pub fn find(&self, kind: Kind, peer: SocketAddr) -> Option<Flow> {
        if kind != Kind::Udp {
            return self.0.connections.find(kind, peer);
        }
        let fits = |socket: &Socket| socket.address.is_ipv4() == peer.is_ipv4();
        let number = self.0.sockets.iter().position(fits)?;
        Some(Flow::udp(number as u64, peer))
    }

    /// Host and port for Via and Contact: what a peer of this flow reaches us by.
    #[must_use]
    pub fn own_address(&self, flow: Flow) -> (Host, u16) {
        let listens = |kind: Kind| {
            let fits = |(own, _): &&(Kind, SocketAddr)| *own == kind;
            self.0.listening.iter().find(fits).map(|(_, address)| *address)
        };
        let local = match flow.kind() {
            Kind::Udp => usize::try_from(flow.link())
                .ok()
                .and_then(|n| self.0.sockets.get(n))
                .map(|socket| socket.address),
            kind => listens(kind),
        };
        let local = local
            .unwrap_or_else(|| ([127, 0, 0, 1], flow.kind().transport().default_port()).into());
        // Bound to all addresses, we are reached at the one that leads to the peer.
        let ip = Some(local.ip()).filter(|ip| !ip.is_unspecified());
        let ip = || ip.or_else(|| way_out(flow.peer())).unwrap_or(local.ip());
        let host = self.0.names.public.clone().unwrap_or_else(|| Host::Ip(ip()));
        (host, local.port())
    }

    /// Whether what is sent there comes back to us.
    #[must_use]
    pub fn is_own(&self, place: SocketAddr) -> bool {
        let (host, inner) = (place.ip().to_canonical(), &self.0);
        let sockets = inner.sockets.iter().map(|socket| socket.address);
        let mut listening = sockets.chain(inner.listening.iter().map(|(_, address)| *address));
        let is_public = inner.names.public.as_ref().and_then(Host::ip) == Some(host);
        listening.any(|own| {
            let is_ours = own.ip().to_canonical() == host || is_public;
            own.port() == place.port() && (is_ours || own.ip().is_unspecified() && is_here(host))
        })
    }

    /// Whether this name is what peers know us by.
    #[must_use]
    pub fn is_own_name(&self, host: &Host) -> bool {
        self.0.names.public.as_ref().is_some_and(|own| {
            own.to_string().eq_ignore_ascii_case(&host.to_string()) && host.ip().is_none()
        })
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.connections.len()
    }

    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.0.inbox
    }

    #[must_use]
    pub fn shield(&self) -> &Shield {
        &self.0.shield
    }

    pub(super) fn places(&self) -> &Places {
        &self.0.places
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Reads one message; what does not read is answered here, if it may be.
    fn read(&self, flow: Flow, octets: Bytes) -> Option<Received> {
        self.0.meters.received[flow.kind() as usize].fetch_add(1, Ordering::Relaxed);
        match Message::parse(octets, &self.0.limits.message) {
            Ok(message) if self.0.shield.is_scanner(&message) => None,
            Ok(message) => Some(Received { flow, message }),
            Err(refused) => {
                self.refuse(flow, &refused);
                None
            }
        }
    }

    fn refuse(&self, flow: Flow, refused: &Refused) {
        self.0.meters.malformed.fetch_add(1, Ordering::Relaxed);
        let Some((request, status)) = refused.answer() else { return };
        let source = Some((flow.peer().ip(), flow.peer().port()));
        let answer = Answer { source, tag: Some("refused"), reason: None };
        if let Ok(octets) = Builder::answer(request, status, answer).finish() {
            let _ = self.send(flow, octets);
        }
    }

    fn deliver(&self, batch: Vec<Received>) {
        self.0.inbox.deliver(batch, |flow, octets| {
            let _ = self.send(flow, octets);
        });
    }

    /// A connection begins.
    fn attach(&self, entry: Entry) -> Flow {
        self.0.connections.insert(entry)
    }

    /// A connection is gone: everybody is told, once.
    fn detach(&self, flow: Flow) {
        if self.0.connections.remove(flow) {
            self.0.inbox.lost(flow);
        }
    }

    /// Closes all, and reads no more.
    pub fn close_all(&self) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
        drop(tasks);
        self.0.connections.close_all();
    }
}

impl Meters {
    #[must_use]
    pub fn received(&self, kind: Kind) -> u64 {
        self.received[kind as usize].load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn sent(&self, kind: Kind) -> u64 {
        self.sent[kind as usize].load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }
}

/// The address of ours that packets to a peer leave from; none is sent for that.
fn way_out(peer: SocketAddr) -> Option<IpAddr> {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let any: IpAddr = if peer.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether this machine has an address: nobody else can bind to it.
fn is_here(host: IpAddr) -> bool {
    std::net::UdpSocket::bind((host, 0)).is_ok()
}

#[cfg(test)]
mod tests;
