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
use model::network::neighbourhood;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::caller::Called;
use crate::smpp::wire::{ReadHalf, WriteHalf};

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// After the system cannot accept: out of file descriptors, most likely.
const REST: Duration = Duration::from_millis(100);

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// Of one address, bound or not; a /64 of IPv6 is one address.
    pub per_address_max: usize,
    /// Of one address, that have not bound yet.
    pub unbound_per_address_max: usize,
}

/// The places. A clone is the same.
#[derive(Clone, Debug)]
pub struct Places {
    all: Arc<Semaphore>,
    addresses: Arc<Mutex<HashMap<IpAddr, Taken>>>,
    limits: Limits,
}

/// What one address has.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    all: usize,
    unbound: usize,
}

/// A connection's place: among all, and among those of its address. Given back when dropped.
#[derive(Debug)]
pub struct Place {
    _all: OwnedSemaphorePermit,
    _own: Own,
}

/// A connection's place among the unbound of its address; given back when dropped.
#[derive(Debug)]
pub struct Unbound(#[expect(dead_code, reason = "held until dropped")] Own);

/// One of the two that are counted by address.
#[derive(Debug)]
struct Own {
    addresses: Arc<Mutex<HashMap<IpAddr, Taken>>>,
    address: IpAddr,
    unbound: bool,
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = addresses.get_mut(&self.address) {
            if self.unbound {
                taken.unbound -= 1;
            } else {
                taken.all -= 1;
            }
            if taken.all == 0 && taken.unbound == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// A connection that was let in, or opened by us.
pub struct Accepted {
    pub halves: (ReadHalf, WriteHalf),
    pub address: IpAddr,
    pub place: Place,
    pub unbound: Unbound,
    /// We opened it.
    pub called: Option<Called>,
}

impl Places {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let all = Arc::new(Semaphore::new(limits.connections_max));
        Self { all, addresses: Arc::default(), limits }
    }

    /// A place for a connection from or to this address.
    #[must_use]
    pub fn take(&self, address: IpAddr) -> Option<(Place, Unbound)> {
        let address = neighbourhood(address);
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = addresses.get(&address).copied().unwrap_or_default();
        let full = taken.all >= self.limits.per_address_max
            || taken.unbound >= self.limits.unbound_per_address_max;
        if full {
            return None;
        }
        addresses.insert(address, Taken { all: taken.all + 1, unbound: taken.unbound + 1 });
        drop(addresses);
        let own = |unbound| Own { addresses: Arc::clone(&self.addresses), address, unbound };
        Some((Place { _all: all, _own: own(false) }, Unbound(own(true))))
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
                let called = None;
                let _ = on_accept(Accepted { halves, address, place, unbound, called });
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn the_unbound_of_one_address_take_no_more_than_their_places() {
        let limits = Limits { connections_max: 5, per_address_max: 5, unbound_per_address_max: 2 };
        let places = Places::new(limits);
        let first = places.take(HERE).unwrap();
        let (second_place, second_unbound) = places.take(HERE).unwrap();
        assert!(places.take(HERE).is_none());
        let _other = places.take(THERE).unwrap();
        drop(second_unbound);
        let _third = places.take(HERE).unwrap();
        let _other = places.take(THERE).unwrap();
        assert!(places.take([10, 0, 0, 3].into()).is_none(), "five in all");
        drop((first, second_place));
        assert!(places.take([10, 0, 0, 3].into()).is_some());
        assert_eq!(places.addresses.lock().unwrap().len(), 2);
    }

    #[test]
    fn one_address_does_not_hold_all_places_bound_or_not() {
        let limits = Limits { connections_max: 5, per_address_max: 3, unbound_per_address_max: 2 };
        let places = Places::new(limits);
        let mut held = Vec::new();
        for _ in 0..3 {
            let (place, unbound) = places.take(HERE).unwrap();
            drop(unbound);
            held.push(place);
        }
        assert!(places.take(HERE).is_none(), "three are its most");
        let _other = places.take(THERE).unwrap();
        held.pop();
        assert!(places.take(HERE).is_some());
    }

    #[test]
    fn a_host_with_a_whole_64_of_ipv6_has_the_places_of_one_address() {
        let limits = Limits { connections_max: 9, per_address_max: 2, unbound_per_address_max: 2 };
        let places = Places::new(limits);
        let take = |text: &str| places.take(text.parse().unwrap());
        let held = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(take("2001:db8::3").is_some(), "given back as it was taken");
    }
}
