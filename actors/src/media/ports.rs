//! Pairs of ports, even for RTP and the next for RTCP: bound when lent, rested before they are lent again.
//!
//! The order is a shuffle, so that a port tells nothing of the next one; a port that was given back
//! waits until the last packets of its call have died down. What another program holds is passed
//! over. The lock is taken when a call begins and when it ends, never for a packet; which ports are ours now
//! is read without it.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mio::net::UdpSocket;
use rand::seq::SliceRandom as _;
use tokio::time::Instant;

use super::Refused;

/// All pairs; clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pool: Arc<Mutex<Pool>>,
    lent: Lent,
    bind: IpAddr,
    rest: Duration,
}

#[derive(Debug)]
struct Pool {
    /// Even ones.
    free: VecDeque<u16>,
    /// In the order in which they may go back.
    resting: VecDeque<(Instant, u16)>,
    lent: usize,
}

/// Which ports are lent now, a bit for each pair. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Lent(Arc<[AtomicU64]>);

/// Two bound sockets, and the loan of their ports.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    /// Behind the sockets: they close first.
    pub(super) loan: Loan,
}

/// Gives its pair back when dropped.
#[derive(Debug)]
pub(super) struct Loan {
    port: u16,
    ports: Ports,
}

impl Ports {
    /// All even ports of the range whose next one is in it too.
    pub(super) fn new(bind: IpAddr, min: u16, max: u16, rest: Duration) -> Self {
        let mut free: Vec<u16> = (min..max).filter(|port| port.is_multiple_of(2)).collect();
        free.shuffle(&mut rand::rng());
        let pool = Pool { free: free.into(), resting: VecDeque::new(), lent: 0 };
        Self { pool: Arc::new(Mutex::new(pool)), lent: Lent::default(), bind, rest }
    }

    /// Ports that are lent, from now on.
    pub(super) fn lent(&self) -> Lent {
        self.lent.clone()
    }

    /// Lends a pair.
    pub(super) fn take(&self) -> Result<Pair, Refused> {
        let mut tries = self.with(|pool| pool.free.len() + pool.resting.len());
        loop {
            let port = self.with(|pool| pool.next(Instant::now()));
            let loan = Loan { port: port.ok_or(Refused::PortsExhausted)?, ports: self.clone() };
            match self.bind(loan.port) {
                Ok((rtp, rtcp)) => {
                    self.lent.set(loan.port, true);
                    return Ok(Pair { rtp, rtcp, loan });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => tries -= 1,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(Refused::PortsExhausted);
                }
                Err(error) => return Err(Refused::Socket(error.kind())),
            }
        }
    }

    fn bind(&self, port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
        let bound = |port: u16| UdpSocket::bind(SocketAddr::new(self.bind, port));
        Ok((bound(port)?, bound(port + 1)?))
    }

    pub(super) fn in_use(&self) -> usize {
        self.with(|pool| pool.lent)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Pool) -> T) -> T {
        work(&mut self.pool.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pool {
    fn next(&mut self, now: Instant) -> Option<u16> {
        while let Some((until, port)) = self.resting.front().copied()
            && until <= now
        {
            self.resting.pop_front();
            self.free.push_back(port);
        }
        let port = self.free.pop_front()?;
        self.lent += 1;
        Some(port)
    }
}

impl Default for Lent {
    fn default() -> Self {
        Self((0..=u16::MAX / 128).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Lent {
    /// Whether this is one of a pair that is lent.
    pub(super) fn contains(&self, port: u16) -> bool {
        let (word, bit) = Self::place(port);
        self.0.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn set(&self, port: u16, lent: bool) {
        let (word, bit) = Self::place(port);
        let Some(word) = self.0.get(word) else { return };
        if lent {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn place(port: u16) -> (usize, u64) {
        let pair = port / 2;
        (usize::from(pair / 64), 1 << (pair % 64))
    }
}

impl Pair {
    pub(super) fn port(&self) -> u16 {
        self.loan.port
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let (port, until) = (self.port, Instant::now() + self.ports.rest);
        self.ports.lent.set(port, false);
        self.ports.with(|pool| {
            pool.lent -= 1;
            pool.resting.push_back((until, port));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 1));

    #[test]
    fn pairs_begin_even_and_are_bound_with_the_next() {
        let ports = Ports::new(HOST, 20_001, 20_008, Duration::ZERO);
        let pairs: Vec<Pair> = std::iter::from_fn(|| ports.take().ok()).collect();
        let mut lent: Vec<u16> = pairs.iter().map(Pair::port).collect();
        lent.sort_unstable();
        assert_eq!(lent, [20_002, 20_004, 20_006]);
        for pair in &pairs {
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.port());
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.port() + 1);
        }
        assert_eq!(ports.in_use(), 3);
        let is_lent = |port: &u16| ports.lent().contains(*port);
        assert!((20_002..20_008).all(|port| is_lent(&port)));
        assert!([20_001, 20_008, 2, u16::MAX].iter().all(|port| !is_lent(port)));
        drop(pairs);
        assert!((0..=u16::MAX).all(|port| !is_lent(&port)));
    }

    #[test]
    fn what_is_lent_out_is_refused_by_name_and_a_pair_given_back_is_lent_again() {
        let ports = Ports::new(HOST, 20_010, 20_011, Duration::ZERO);
        let pair = ports.take().unwrap();
        assert_eq!(ports.take().unwrap_err(), Refused::PortsExhausted);
        drop(pair);
        assert_eq!(ports.take().unwrap().port(), 20_010);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_rests_before_it_is_lent_again() {
        let ports = Ports::new(HOST, 20_012, 20_013, Duration::from_secs(5));
        drop(ports.take().unwrap());
        assert_eq!(ports.take().unwrap_err(), Refused::PortsExhausted);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(ports.take().is_ok());
    }

    #[test]
    fn what_another_program_holds_is_passed_over() {
        let other = std::net::UdpSocket::bind((HOST, 20_015)).unwrap();
        let ports = Ports::new(HOST, 20_014, 20_017, Duration::ZERO);
        assert_eq!(ports.take().unwrap().port(), 20_016);
        drop(other);
        let one = ports.take().unwrap();
        let two = ports.take().unwrap();
        assert_eq!(one.port() + two.port(), 20_014 + 20_016);
    }
}
