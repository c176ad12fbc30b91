//! How many connections there may be: of all, of one address, and of those who have not said who they are.
//!
//! Every connection takes a place among all, and one among the unbound of its address until it binds or
//! registers, so that strangers who connect and say nothing neither fill the switch nor keep others out.
//! Places are values: dropped, they are given back, however a connection ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use model::network::neighbourhood;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
