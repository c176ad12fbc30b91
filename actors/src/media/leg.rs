//! One end of a session: its two sockets, from whom it takes packets, and the stream it sends.
//!
//! A packet goes through the latch first, then through the counts; what is sent goes where the latch
//! says. Whether and what to send is the session's affair (`crossing`).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use proto_media::latch::{Arrival, Latch, Refusal, Verdict};
use proto_media::quality::Counters;
use proto_media::rtcp::Reception;
use proto_media::rtp::{self, Packet, Rewrite, Standing};

use super::mapping;
use super::notice::{Event, Notices};
use super::outgoing::{Incoming, Outgoing};
use super::ports::{Loan, Pair};
use super::session::{LegArgs, RemoteMedia, Side};

/// What a leg's calls may send a second at most is far below; octets of one datagram.
pub(super) const DATAGRAM_MAX: usize = 2_048;

/// What a leg carried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LegReport {
    /// What came from the peer.
    pub received: Counters,
    pub sent_packets: u64,
    pub sent_octets: u64,
    /// That the machine did not take.
    pub sent_failed: u64,
    /// For which the other leg had no format or no place.
    pub not_forwarded: u64,
    /// Where media came from.
    pub latched: Option<SocketAddr>,
    pub jitter: Duration,
}

/// What was told to the owner since the last description.
#[derive(Debug, Default)]
struct Told {
    first: bool,
    stranger: bool,
    silent: bool,
}

/// A packet that may come from where it came, by its numbers.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) incoming: Incoming,
    pub(super) payload_type: u8,
    /// Where the payload begins and ends.
    pub(super) payload: std::ops::Range<usize>,
}

#[derive(Debug)]
pub(super) struct Leg {
    side: Side,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Behind the sockets: they close first.
    _loan: Loan,
    args: LegArgs,
    latch: Latch,
    remote: Option<RemoteMedia>,
    reception: Option<Reception>,
    /// Of what comes in.
    clock_hz: u32,
    /// `telephone-event` of what comes in.
    events_type: Option<u8>,
    outgoing: Outgoing,
    on_hold: bool,
    pub(super) is_muted: bool,
    counts: LegReport,
    /// Something came, or was to come from then on.
    alive_at: Instant,
    told: Told,
}

impl Leg {
    /// Takes its sockets to the poll of a thread, under this token and the next.
    pub(super) fn open(
        side: Side,
        pair: Pair,
        args: LegArgs,
        registry: &Registry,
        token: usize,
        now: Instant,
    ) -> io::Result<Self> {
        let mut rtp = UdpSocket::from_std(pair.rtp);
        let mut rtcp = UdpSocket::from_std(pair.rtcp);
        registry.register(&mut rtp, Token(token), Interest::READABLE)?;
        registry.register(&mut rtcp, Token(token + 1), Interest::READABLE)?;
        Ok(Self {
            side,
            rtp,
            rtcp,
            _loan: pair.loan,
            args,
            latch: Latch::new(args.policy, None, args.signalling),
            remote: None,
            reception: None,
            clock_hz: 8_000,
            events_type: None,
            outgoing: Outgoing::new(),
            on_hold: false,
            is_muted: false,
            counts: LegReport::default(),
            alive_at: now,
            told: Told::default(),
        })
    }

    pub(super) fn describe(&mut self, remote: RemoteMedia, now: Instant) {
        if remote.is_other_peer {
            self.latch = Latch::new(self.args.policy, None, self.args.signalling);
            self.forget_reception();
        }
        self.latch.reopen(remote.rtp, now);
        self.clock_hz = mapping::clock(&remote.receive);
        self.events_type = mapping::events(&remote.receive).map(|(payload_type, _)| payload_type);
        self.outgoing.set_clock(mapping::clock(&remote.send));
        self.told = Told { first: self.told.first && !remote.is_other_peer, ..Told::default() };
        self.remote = Some(remote);
        self.alive_at = now;
    }

    pub(super) fn remote(&self) -> Option<&RemoteMedia> {
        self.remote.as_ref()
    }

    pub(super) fn hold(&mut self, on: bool, now: Instant) {
        self.on_hold = on;
        self.alive_at = now;
        self.told.silent = false;
    }

    /// Whether what it says goes on.
    pub(super) fn may_speak(&self) -> bool {
        !self.on_hold && !self.is_muted && self.remote.as_ref().is_some_and(|remote| remote.sends)
    }

    /// Whether it hears the other one.
    pub(super) fn may_hear(&self) -> bool {
        !self.on_hold && self.remote.as_ref().is_some_and(|remote| remote.receives)
    }

    /// A datagram of the RTP socket, if there is one.
    pub(super) fn receive(&mut self, octets: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.rtp.recv_from(octets)
    }

    /// A datagram of the RTCP socket, if there is one.
    pub(super) fn receive_rtcp(&mut self, octets: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.rtcp.recv_from(octets)
    }

    /// Whether a datagram is media of this leg's peer, and which.
    pub(super) fn admit(
        &mut self,
        octets: &[u8],
        from: SocketAddr,
        now: Instant,
        notices: &mut Notices,
    ) -> Option<Admitted> {
        let read = match rtp::kind(octets) {
            rtp::Kind::Rtp => Packet::parse(octets).ok(),
            _ => None,
        };
        let arrival = Arrival {
            from,
            ssrc: read.map(|packet| packet.ssrc),
            sequence: read.map(|packet| packet.sequence),
            proven: false,
        };
        if !self.latch(&arrival, now, notices) {
            return None;
        }
        let packet = read?;
        self.alive_at = now;
        self.told.silent = false;
        if !self.told.first {
            self.told.first = true;
            notices.tell(self.side, Event::FirstPacket);
        }
        let is_event = Some(packet.payload_type) == self.events_type;
        let restarted = match self.count(&packet, is_event, now) {
            Standing::Wild => return None,
            Standing::Restarted => true,
            Standing::Probation | Standing::Next | Standing::Behind => false,
        };
        let Packet { ssrc, sequence, timestamp, payload_type, .. } = packet;
        let begin = packet.header_len();
        Some(Admitted {
            incoming: Incoming { ssrc, sequence, timestamp, restarted, is_event },
            payload_type,
            payload: begin..begin + packet.payload.len(),
        })
    }

    fn latch(&mut self, arrival: &Arrival, now: Instant, notices: &mut Notices) -> bool {
        match self.latch.packet(arrival, now) {
            Verdict::Accept => return true,
            Verdict::Latched(to) => {
                notices.tell(self.side, Event::Latched(to));
                return true;
            }
            Verdict::Refuse(Refusal::NotMedia | Refusal::Unproven) => {}
            Verdict::Refuse(Refusal::Locked | Refusal::Stranger) if !self.told.stranger => {
                self.told.stranger = true;
                notices.tell(self.side, Event::Stranger(arrival.from));
            }
            Verdict::Refuse(Refusal::Locked | Refusal::Stranger) => {}
        }
        self.counts.received.refused += 1;
        false
    }

    fn count(&mut self, packet: &Packet<'_>, is_event: bool, now: Instant) -> Standing {
        let clock_hz = self.clock_hz;
        let reception = self.reception.get_or_insert_with(|| Reception::new(packet, clock_hz, now));
        let lost = reception.source().lost();
        let another = reception.source().ssrc != packet.ssrc;
        let standing =
            if is_event { reception.event(packet, now) } else { reception.packet(packet, now) };
        if another || standing == Standing::Restarted {
            self.counts.received.lost += u64::try_from(lost).unwrap_or(0);
        }
        let received = &mut self.counts.received;
        received.packets += 1;
        received.octets += packet.payload.len() as u64;
        received.late += u64::from(standing == Standing::Behind);
        standing
    }

    fn forget_reception(&mut self) {
        if let Some(reception) = self.reception.take() {
            self.counts.received.lost += u64::try_from(reception.source().lost()).unwrap_or(0);
        }
    }

    pub(super) fn not_forwarded(&mut self) {
        self.counts.not_forwarded += 1;
    }

    /// Sends a packet of the other leg on, with this leg's numbers.
    pub(super) fn forward(
        &mut self,
        octets: &mut [u8],
        packet: &Admitted,
        payload_type: u8,
        now: Instant,
    ) {
        let Some(to) = self.latch.target() else { return self.not_forwarded() };
        let numbers = self.outgoing.follow(&packet.incoming, now);
        let with = Rewrite {
            payload_type,
            sequence: numbers.sequence,
            timestamp: numbers.timestamp,
            ssrc: self.outgoing.ssrc,
        };
        rtp::rewrite(octets, &with);
        // An event's marker begins a press, whatever the stream does.
        if numbers.marker
            && !packet.incoming.is_event
            && let Some(second) = octets.get_mut(1)
        {
            *second |= 0x80;
        }
        self.send(octets, packet.payload.len(), to);
    }

    fn send(&mut self, octets: &[u8], payload: usize, to: SocketAddr) {
        match self.rtp.send_to(octets, to) {
            Ok(_) => {
                self.counts.sent_packets += 1;
                self.counts.sent_octets += payload as u64;
            }
            Err(_) => self.counts.sent_failed += 1,
        }
    }

    /// Whether nothing came for too long though the peer was to send; told once.
    pub(super) fn check_silence(&mut self, timeout: Duration, now: Instant, notices: &mut Notices) {
        let expected = !self.on_hold && self.remote.as_ref().is_some_and(|remote| remote.sends);
        if !expected {
            self.alive_at = now;
            return;
        }
        let silent = now.saturating_duration_since(self.alive_at) >= timeout;
        if silent && !timeout.is_zero() && !self.told.silent {
            self.told.silent = true;
            notices.tell(self.side, Event::Silent);
        }
    }

    pub(super) fn report(&self) -> LegReport {
        let mut report = self.counts.clone();
        report.latched = self.latch.locked();
        if let Some(reception) = &self.reception {
            report.received.lost += u64::try_from(reception.source().lost()).unwrap_or(0);
            report.jitter = reception.jitter();
        }
        report
    }
}
