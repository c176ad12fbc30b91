//! Whom nobody answers: known scanners, and who guesses passwords.
//!
//! A name from an address that fails often is shut out, and the address itself when it fails with many
//! names. Behind one address may be a whole provider's customers: who is registered from a port of it goes on
//! being heard. Only failures with a nonce that this address was given count, so nobody gets another banned
//! with forged datagrams. All that is kept is bounded.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use proto_sip::{Message, Name};

use crate::lockout::{Lockout, Rule, Shut};

/// The shield. A clone is the same.
#[derive(Clone)]
pub struct Shield(Arc<Inner>);

struct Inner {
    lockout: Mutex<Lockout>,
    /// Some address is shut out: only then is each datagram looked up.
    addresses: AtomicBool,
    /// How many bindings each peer has.
    registered: Mutex<HashMap<SocketAddr, u32>>,
    /// Beginnings of User-Agent in lower case.
    scanners: Vec<String>,
    pub dropped: AtomicU64,
    bans: AtomicU64,
}

impl Shield {
    #[must_use]
    pub fn new(rule: Rule, scanners: &[String]) -> Self {
        Self(Arc::new(Inner {
            lockout: Mutex::new(Lockout::new(rule)),
            addresses: AtomicBool::new(false),
            registered: Mutex::default(),
            scanners: scanners.iter().map(|name| name.to_lowercase()).collect(),
            dropped: AtomicU64::new(0),
            bans: AtomicU64::new(0),
        }))
    }

    /// Whether what comes from this peer is not even read.
    #[must_use]
    pub fn is_deaf_to(&self, peer: SocketAddr, now: Instant) -> bool {
        if !self.0.addresses.load(Ordering::Acquire) {
            return false;
        }
        let shut = {
            let mut lockout = self.lockout();
            let any = lockout.is_any_address_shut(now);
            self.0.addresses.store(any, Ordering::Release);
            any && lockout.is_address_shut(peer.ip(), now)
        };
        let deaf = shut && !self.registered().contains_key(&peer);
        if deaf {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        deaf
    }

    /// Whether a request says that a scanner sent it.
    #[must_use]
    pub fn is_scanner(&self, request: &Message) -> bool {
        if self.0.scanners.is_empty() || !request.is_request() {
            return false;
        }
        let Some(agent) = request.first(Name::UserAgent) else { return false };
        let agent = agent.raw();
        let named = |scanner: &String| {
            let scanner = scanner.as_bytes();
            agent.windows(scanner.len()).any(|part| part.eq_ignore_ascii_case(scanner))
        };
        let scanner = self.0.scanners.iter().any(named);
        if scanner {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        scanner
    }

    /// Whether this name is shut out where the peer is.
    #[must_use]
    pub fn is_shut(&self, name: &str, peer: SocketAddr, now: Instant) -> bool {
        self.lockout().is_name_shut(name, peer.ip(), now)
    }

    /// Counts a wrong password or an unknown name. True: it is shut out from now on.
    pub fn failed(&self, name: &str, peer: SocketAddr, now: Instant) -> bool {
        let mut lockout = self.lockout();
        let shut = lockout.failed(name, peer.ip(), now);
        if shut {
            self.0.bans.fetch_add(1, Ordering::Relaxed);
            if lockout.is_any_address_shut(now) {
                self.0.addresses.store(true, Ordering::Release);
            }
        }
        shut
    }

    pub fn succeeded(&self, name: &str, peer: SocketAddr) {
        self.lockout().succeeded(name, peer.ip());
    }

    /// A binding is reached at this peer: it is heard whoever else is behind its address.
    pub fn registered_at(&self, peer: SocketAddr) {
        *self.registered().entry(peer).or_default() += 1;
    }

    pub fn unregistered_at(&self, peer: SocketAddr) {
        let mut registered = self.registered();
        if let Some(count) = registered.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                registered.remove(&peer);
            }
        }
    }

    /// Whether a telephone is reached at this peer.
    #[must_use]
    pub fn is_registered_at(&self, peer: SocketAddr) -> bool {
        self.registered().contains_key(&peer)
    }

    /// Forgets what is registered: a registrar begins anew.
    pub fn forget_registered(&self) {
        self.registered().clear();
    }

    /// Who is shut out now, and for how long.
    #[must_use]
    pub fn bans(&self, now: Instant) -> Vec<Shut> {
        self.lockout().shut(now)
    }

    /// Lets an address in again, and its names. How many bans there were.
    pub fn pardon(&self, address: IpAddr) -> usize {
        self.lockout().pardon(address)
    }

    /// Messages that were dropped, and bans that were made, since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.0.dropped.load(Ordering::Relaxed), self.0.bans.load(Ordering::Relaxed))
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.0.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<SocketAddr, u32>> {
        self.0.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proto_sip::Limits;

    use super::*;

    fn shield() -> Shield {
        let (within, shut) = (Duration::from_secs(60), Duration::from_secs(900));
        Shield::new(
            Rule { tries: 3, within, shut },
            &["friendly-scanner".into(), "sipvicious".into()],
        )
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn peer(port: u16) -> SocketAddr {
        ([100, 64, 0, 1], port).into()
    }

    #[test]
    fn a_name_that_fails_is_shut_out_and_its_neighbours_are_not() {
        let (shield, now) = (shield(), now());
        for _ in 0..2 {
            assert!(!shield.failed("eve", peer(1), now));
        }
        assert!(shield.failed("eve", peer(2), now), "whatever the port");
        assert!(shield.is_shut("eve", peer(3), now));
        assert!(!shield.is_shut("bob", peer(3), now));
        assert!(!shield.is_deaf_to(peer(3), now));
        assert!(!shield.is_shut("eve", peer(3), now + Duration::from_secs(900)));
        assert_eq!(shield.bans(now).len(), 1);
    }

    #[test]
    fn an_address_that_tries_many_names_is_not_heard_but_who_is_registered_there() {
        let (shield, now) = (shield(), now());
        shield.registered_at(peer(5060));
        for n in 0..12 {
            shield.failed(&format!("{n}"), peer(1), now);
        }
        assert!(shield.is_deaf_to(peer(1), now));
        assert!(!shield.is_deaf_to(peer(5060), now));
        assert!(!shield.is_deaf_to(([100, 64, 0, 2], 1).into(), now));
        shield.unregistered_at(peer(5060));
        assert!(shield.is_deaf_to(peer(5060), now));
        assert_eq!(shield.pardon(peer(9).ip()), 1);
        assert!(!shield.is_deaf_to(peer(1), now));
    }

    #[test]
    fn scanners_are_known_by_their_word() {
        let shield = shield();
        let request = |agent: &str| {
            let text = format!(
                "OPTIONS sip:100@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nUser-Agent: {agent}\r\n\r\n"
            );
            Message::parse(Bytes::from(text), &Limits::default()).unwrap()
        };
        assert!(shield.is_scanner(&request("Friendly-Scanner")));
        assert!(shield.is_scanner(&request("x SIPVicious/0.3")));
        assert!(!shield.is_scanner(&request("baresip v1.0")));
        assert_eq!(shield.counts().0, 2);
    }
}
