//! A session on its thread: two legs, and what of one goes to the other.
//!
//! Everything here happens on one thread, for one packet, one order or one tick at a time. Nothing
//! waits, nothing is allocated for a packet.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::Registry;

use super::leg::{DATAGRAM_MAX, Leg};
use super::mapping::{Mapping, Passage};
use super::notice::{Event, Notices};
use super::relay::{Opening, Order};
use super::session::{RemoteMedia, Report, SessionId, Side, Watch};

/// Datagrams of one socket before others have their turn.
const TURN: usize = 32;

/// Which of a leg's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Rtp,
    Rtcp,
}

/// Where a thread reads to; one for all its sessions.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) octets: Box<[u8; DATAGRAM_MAX]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { octets: Box::new([0; DATAGRAM_MAX]) }
    }
}

#[derive(Debug)]
pub(super) struct Crossing {
    id: SessionId,
    legs: [Leg; 2],
    /// From A to B, and from B to A.
    mappings: [Mapping; 2],
    notices: Notices,
    watch: Watch,
    opened: Instant,
}

impl Crossing {
    /// Its sockets are polled under four tokens from this one on.
    pub(super) fn open(
        opening: Opening,
        registry: &Registry,
        token: usize,
        now: Instant,
    ) -> std::io::Result<Self> {
        let Opening { id, args, pairs, life } = opening;
        let [a, b] = pairs;
        let [of_a, of_b] = args.legs;
        Ok(Self {
            id,
            legs: [
                Leg::open(Side::A, a, of_a, registry, token, now)?,
                Leg::open(Side::B, b, of_b, registry, token + 2, now)?,
            ],
            mappings: [Mapping::new(&[], &[]), Mapping::new(&[], &[])],
            notices: Notices::new(id, args.notices),
            watch: life,
            opened: now,
        })
    }

    /// Nobody holds its handle.
    pub(super) fn is_abandoned(&self) -> bool {
        self.watch.is_abandoned()
    }

    fn pair(&mut self, from: Side) -> (&mut Leg, &mut Leg) {
        let [a, b] = &mut self.legs;
        match from {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    /// Takes what waits at a socket; whether there may be more.
    pub(super) fn readable(
        &mut self,
        side: Side,
        channel: Channel,
        scratch: &mut Scratch,
        clock: impl Fn() -> Instant,
    ) -> bool {
        for _ in 0..TURN {
            let leg = &mut self.legs[side.index()];
            let octets = &mut scratch.octets[..];
            let received = match channel {
                Channel::Rtp => leg.receive(octets),
                Channel::Rtcp => leg.receive_rtcp(octets),
            };
            match received {
                Ok((length, from)) if channel == Channel::Rtp => {
                    self.rtp(side, &mut octets[..length], from, clock());
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // An ICMP message of a packet that was sent; the next datagram is not less good.
                Err(_) => {}
            }
        }
        true
    }

    fn rtp(&mut self, side: Side, octets: &mut [u8], from: std::net::SocketAddr, now: Instant) {
        let leg = &mut self.legs[side.index()];
        let Some(packet) = leg.admit(octets, from, now, &mut self.notices) else { return };
        let passage = self.mappings[side.index()].of(packet.payload_type);
        let (from, to) = self.pair(side);
        if !from.may_speak() || !to.may_hear() {
            return;
        }
        let payload_type = match passage {
            Passage::Drop => return from.not_forwarded(),
            Passage::Pass { payload_type } | Passage::Events { payload_type } => payload_type,
            Passage::Transcode { from, payload_type } => {
                if let Some(payload) = octets.get_mut(packet.payload.clone()) {
                    from.transcode(payload);
                }
                payload_type
            }
        };
        to.forward(octets, &packet, payload_type, now);
    }

    pub(super) fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Remote(side, remote) => self.describe(side, *remote, now),
            Order::Hold(side, on) => self.legs[side.index()].hold(on, now),
            Order::Mute(side, on) => self.legs[side.index()].is_muted = on,
        }
    }

    fn describe(&mut self, side: Side, remote: RemoteMedia, now: Instant) {
        self.legs[side.index()].describe(remote, now);
        let [a, b] = &self.legs;
        if let (Some(a), Some(b)) = (a.remote(), b.remote()) {
            self.mappings = [Mapping::new(&a.receive, &b.send), Mapping::new(&b.receive, &a.send)];
        }
    }

    /// What time brings; to be called several times a second.
    pub(super) fn tick(&mut self, timeout: Duration, now: Instant) {
        for leg in &mut self.legs {
            leg.check_silence(timeout, now, &mut self.notices);
        }
    }

    /// A fault of ours ends it.
    pub(super) fn broken(mut self) {
        self.notices.tell(Side::A, Event::Broken);
    }

    pub(super) fn report(&self, now: Instant) -> Report {
        let [a, b] = &self.legs;
        Report {
            session: self.id,
            lasted: now.saturating_duration_since(self.opened),
            legs: [a.report(), b.report()],
            notices_dropped: self.notices.dropped,
        }
    }
}
