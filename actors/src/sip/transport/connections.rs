//! Which connections there are: by number, by peer, and by the port that a peer says it listens on.
//!
//! A number is never used twice, so a flow of a connection that is gone finds nothing. An alias (RFC 5923)
//! counts for the peer's own address only, and the first that is open keeps it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::mpsc;

use super::Gone;
use crate::places::Unbound;
use crate::sip::flow::{Flow, Kind};

/// What is known of a connection.
pub struct Entry {
    pub kind: Kind,
    pub peer: SocketAddr,
    /// Of one that we opened over TLS: what its certificate must have.
    pub name: Option<String>,
    pub queue: mpsc::Sender<Bytes>,
    pub state: Arc<State>,
}

type Key = (Kind, SocketAddr);

/// Ports that one connection may name.
const ALIASES_MAX: usize = 3;

/// What a connection's tasks and its users share.
#[derive(Debug, Default)]
pub struct State {
    /// How many registrations and calls need it.
    holds: AtomicI64,
    /// As long as nobody has needed it.
    unbound: Mutex<Option<Unbound>>,
    pub closing: Notify,
}

impl State {
    #[must_use]
    pub fn new(unbound: Option<Unbound>) -> Self {
        Self { unbound: Mutex::new(unbound), ..Self::default() }
    }

    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Relaxed) > 0
    }

    fn hold(&self, change: i64) {
        self.holds.fetch_add(change, Ordering::Relaxed);
        self.unbound.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[derive(Default)]
pub(super) struct Connections {
    next: AtomicU64,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    /// Each with the keys by which it is found.
    all: HashMap<u64, (Entry, Vec<Key>)>,
    by_peer: HashMap<Key, u64>,
    /// Those that we opened over TLS, by the name of the certificate.
    by_name: HashMap<(SocketAddr, String), u64>,
}

impl Connections {
    pub(super) fn insert(&self, entry: Entry) -> Flow {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let flow = Flow::new(entry.kind, number, entry.peer);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let key = (entry.kind, entry.peer);
        table.by_peer.insert(key, number);
        if let Some(name) = entry.name.clone() {
            table.by_name.insert((entry.peer, name), number);
        }
        table.all.insert(number, (entry, vec![key]));
        flow
    }

    /// The peer says that it listens on this port, and that requests may come over this connection.
    pub(super) fn alias(&self, flow: Flow, port: u16) {
        let key = (flow.kind(), SocketAddr::new(flow.peer().ip(), port));
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Table { all, by_peer, .. } = &mut *table;
        if let Some((_, keys)) = all.get_mut(&flow.link())
            && keys.len() <= ALIASES_MAX
            && !by_peer.contains_key(&key)
        {
            keys.push(key);
            by_peer.insert(key, flow.link());
        }
    }

    /// False: it was gone before.
    pub(super) fn remove(&self, flow: Flow) -> bool {
        let number = flow.link();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Some((entry, keys)) = table.all.remove(&number) else { return false };
        if let Some(key) = entry.name.map(|name| (entry.peer, name))
            && table.by_name.get(&key) == Some(&number)
        {
            table.by_name.remove(&key);
        }
        for key in keys {
            if table.by_peer.get(&key) == Some(&number) {
                table.by_peer.remove(&key);
            }
        }
        true
    }

    pub(super) fn send(&self, flow: Flow, octets: Bytes) -> Result<(), Gone> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let (entry, _) = table.all.get(&flow.link()).ok_or(Gone)?;
        entry.queue.try_send(octets).map_err(|_| {
            // It does not read as fast as it is answered.
            entry.state.closing.notify_one();
            Gone
        })
    }

    pub(super) fn close(&self, flow: Flow) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((entry, _)) = table.all.get(&flow.link()) {
            entry.state.closing.notify_one();
        }
    }

    pub(super) fn close_all(&self) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.all.values().for_each(|(entry, _)| entry.state.closing.notify_one());
    }

    pub(super) fn hold(&self, flow: Flow, change: i64) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((entry, _)) = table.all.get(&flow.link()) {
            entry.state.hold(change);
        }
    }

    pub(super) fn is_open(&self, flow: Flow) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.all.contains_key(&flow.link())
    }

    pub(super) fn find(&self, kind: Kind, peer: SocketAddr) -> Option<Flow> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let number = *table.by_peer.get(&(kind, peer))?;
        let (entry, _) = table.all.get(&number)?;
        Some(Flow::new(kind, number, entry.peer))
    }

    /// One that we opened over TLS, whose peer has this name.
    pub(super) fn find_named(&self, peer: SocketAddr, name: &str) -> Option<Flow> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let number = *table.by_name.get(&(peer, name.to_owned()))?;
        Some(Flow::new(Kind::Tls, number, peer))
    }

    pub(super) fn len(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections, port: u16) -> (Flow, mpsc::Receiver<Bytes>) {
        let (queue, receiver) = mpsc::channel(1);
        let (kind, state) = (Kind::Tcp, Arc::default());
        let peer = ([192, 0, 2, 1], port).into();
        (connections.insert(Entry { kind, peer, name: None, queue, state }), receiver)
    }

    #[test]
    fn a_connection_is_found_by_its_peer_and_by_the_port_it_says() {
        let connections = Connections::default();
        let (flow, _queue) = open(&connections, 40_000);
        connections.alias(flow, 5060);
        let at = |port| connections.find(Kind::Tcp, ([192, 0, 2, 1], port).into());
        assert_eq!((at(40_000), at(5060), at(5061)), (Some(flow), Some(flow), None));
        assert_eq!(connections.find(Kind::Tls, flow.peer()), None);
        let (later, _queue) = open(&connections, 40_001);
        connections.alias(later, 5060);
        assert_eq!(at(5060), Some(flow), "who was first keeps it");
        assert!(connections.remove(flow));
        assert!(!connections.remove(flow));
        assert_eq!((at(40_000), at(5060)), (None, None));
        assert_eq!(connections.send(flow, Bytes::new()), Err(Gone));
    }

    #[test]
    fn over_tls_only_who_has_shown_its_certificate_is_found_by_name() {
        let connections = Connections::default();
        let peer: SocketAddr = ([192, 0, 2, 1], 5061).into();
        let open = |port: u16, name: Option<&str>| {
            let (queue, state) = (mpsc::channel(1).0, Arc::default());
            let (kind, peer) = (Kind::Tls, ([192, 0, 2, 1], port).into());
            let name = name.map(str::to_owned);
            connections.insert(Entry { kind, peer, name, queue, state })
        };
        let theirs = open(40_000, None);
        connections.alias(theirs, 5061);
        assert_eq!(connections.find(Kind::Tls, peer), Some(theirs));
        assert_eq!(connections.find_named(peer, "sbc.example"), None);
        let ours = open(5061, Some("sbc.example"));
        assert_eq!(connections.find_named(peer, "sbc.example"), Some(ours));
        assert_eq!(connections.find_named(peer, "other.example"), None);
        assert!(connections.remove(ours));
        assert_eq!(connections.find_named(peer, "sbc.example"), None);
    }

    #[test]
    fn a_queue_that_is_full_closes_its_connection() {
        let connections = Connections::default();
        let (flow, _queue) = open(&connections, 1);
        assert_eq!(connections.send(flow, Bytes::from_static(b"1")), Ok(()));
        assert_eq!(connections.send(flow, Bytes::from_static(b"2")), Err(Gone));
    }
}
