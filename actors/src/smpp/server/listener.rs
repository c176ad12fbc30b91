//! The door: accepts connections, with TLS if asked, and hands them over with their places.
//!
//! A task of the server's supervisor, not an actor: it waits for the network. Every connection
//! takes a place among all, and one among the unbound of its address until it binds, so that
//! strangers who connect and say nothing neither fill the switch nor keep others out. Past the
//! places a connection is closed at once.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::smpp::wire::{ReadHalf, WriteHalf};

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// After the system cannot accept: out of file descriptors, most likely.
const REST: Duration = Duration::from_millis(100);

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// Of one address, that have not bound yet.
    pub unbound_per_address_max: usize,
}

/// The places. A clone is the same.
#[derive(Clone, Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    unbound: Arc<Mutex<HashMap<IpAddr, usize>>>,
    unbound_max: usize,
}

/// A connection's place among the unbound of its address; given back when dropped.
#[derive(Debug)]
pub struct Unbound {
    unbound: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let mut unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = unbound.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                unbound.remove(&self.address);
            }
        }
    }
}

/// A connection that was let in.
pub struct Accepted {
    pub halves: (ReadHalf, WriteHalf),
    pub address: IpAddr,
    pub place: OwnedSemaphorePermit,
    pub unbound: Unbound,
}

impl Places {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            unbound: Arc::default(),
            unbound_max: limits.unbound_per_address_max,
        }
    }

    fn take(&self, address: IpAddr) -> Option<(OwnedSemaphorePermit, Unbound)> {
        let place = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut unbound = self.unbound.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unbound.entry(address).or_default();
        if *count >= self.unbound_max {
            return None;
        }
        *count += 1;
        drop(unbound);
        Some((place, Unbound { unbound: Arc::clone(&self.unbound), address }))
    }
}

/// Accepts until `on_accept` wants no more.
pub async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    places: Places,
    on_accept: impl Fn(Accepted) -> bool + Clone + Send + Sync + 'static,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an SMPP connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some((place, unbound)) = places.take(address) else {
            counter!("orbit_esme_connections_refused_total").increment(1);
            continue;
        };
        let (tls, on_accept) = (tls.clone(), on_accept.clone());
        let opened = open(stream, peer, tls);
        tokio::spawn(async move {
            if let Some(halves) = opened.await {
                let _ = on_accept(Accepted { halves, address, place, unbound });
            }
        });
    }
}

async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> Option<(ReadHalf, WriteHalf)> {
    stream.set_nodelay(true).ok()?;
    let Some(tls) = tls else {
        let (read, write) = stream.into_split();
        return Some((Box::new(read), Box::new(write)));
    };
    match tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (read, write) = tokio::io::split(stream);
            Some((Box::new(read), Box::new(write)))
        }
        Ok(Err(error)) => {
            tracing::info!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unbound_of_one_address_take_no_more_than_their_places() {
        let limits = Limits { connections_max: 5, unbound_per_address_max: 2 };
        let places = Places::new(limits);
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = places.take(here).unwrap();
        let (second_place, second_unbound) = places.take(here).unwrap();
        assert!(places.take(here).is_none());
        let _other = places.take(there).unwrap();
        drop(second_unbound);
        let _third = places.take(here).unwrap();
        let _other = places.take(there).unwrap();
        assert!(places.take([10, 0, 0, 3].into()).is_none(), "five in all");
        drop((first, second_place));
        assert!(places.take([10, 0, 0, 3].into()).is_some());
        assert_eq!(places.unbound.lock().unwrap().len(), 2);
    }
}
