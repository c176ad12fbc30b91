//! One end of a session: its two sockets, from whom it takes packets, and the stream it sends.
//!
//! A packet is unsealed if it has to be, goes through the latch, then through the counts; what is sent
//! goes where the latch says. What a leg is sent of our own is in `voice`, RTCP in `control`. Whether
//! and what to send on is the session's affair (`crossing`).

mod control;
mod voice;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use proto_media::dtmf::{Heard, Listener};
use proto_media::g711::Law;
use proto_media::latch::{Arrival, Latch, Policy, Refusal, Verdict};
use proto_media::quality::Counters;
use proto_media::rtcp::Reception;
use proto_media::rtp::{self, Packet, Rewrite, Standing};

use super::mapping::{self, Encoding};
use super::notice::{Event, Notices, Presses};
use super::outgoing::{Incoming, Outgoing};
use super::ports::{Loan, Pair};
use super::reach::Reach;
use super::seal::Seal;
use super::session::{LegArgs, RemoteMedia, Side};
use control::Reports;
pub(super) use voice::STEP;
use voice::Voice;

/// Octets of one datagram; what is longer is cut, and then refused or short.
pub(super) const DATAGRAM_MAX: usize = 2_048;

/// How long after the last one a packet of 20 ms comes.
const IN_TIME: Range<Duration> = Duration::from_millis(14)..Duration::from_millis(26);
/// Packets until it is looked whether another waits behind one.
const LOOK: u8 = 8;

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
    /// Of the peer's under one key that were forgotten because there were too many.
    pub sources_forgotten: u64,
    /// Where media came from.
    pub latched: Option<SocketAddr>,
    pub jitter: Duration,
    /// How well the peer heard us, by its own reports.
    pub heard_by_peer: Counters,
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
    pub(super) marker: bool,
    /// Octets of the packet, without a seal.
    pub(super) length: usize,
    /// Where the payload begins and ends.
    pub(super) payload: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Leg {
    side: Side,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// Behind the sockets: they close first.
    _loan: Loan,
    args: LegArgs,
    reach: Arc<Reach>,
    latch: Latch,
    /// Of the RTCP socket.
    rtcp_latch: Latch,
    seal: Option<Seal>,
    remote: Option<RemoteMedia>,
    reception: Option<Reception>,
    /// Of what comes in.
    clock_hz: u32,
    /// `telephone-event` of what comes in, and who listens to it.
    events_type: Option<u8>,
    listener: Listener,
    pub(super) presses: Presses,
    outgoing: Outgoing,
    voice: Voice,
    reports: Reports,
    on_hold: bool,
    pub(super) is_muted: bool,
    counts: LegReport,
    /// Something came, or was to come from then on.
    alive_at: Instant,
    /// When the RTP socket was read last, and how often without looking for a second datagram.
    read_at: Instant,
    read_once: u8,
    speaks: bool,
    hears: bool,
    told: Told,
}

impl Leg {
    /// Takes its sockets to the poll of a thread, under this token and the next.
    pub(super) fn open(
        side: Side,
        pair: Pair,
        args: LegArgs,
        reach: &Arc<Reach>,
        registry: &Registry,
        token: usize,
        now: Instant,
    ) -> io::Result<Self> {
        let Pair { mut rtp, mut rtcp, loan } = pair;
        registry.register(&mut rtp, Token(token), Interest::READABLE)?;
        registry.register(&mut rtcp, Token(token + 1), Interest::READABLE)?;
        Ok(Self {
            side,
            rtp,
            rtcp,
            _loan: loan,
            args,
            reach: Arc::clone(reach),
            latch: Latch::new(args.policy, args.signalling),
            rtcp_latch: Latch::new(Policy::NamedHosts, args.signalling),
            seal: None,
            remote: None,
            reception: None,
            clock_hz: 8_000,
            events_type: None,
            listener: Listener::new(8_000),
            presses: Presses::new(now),
            outgoing: Outgoing::new(),
            voice: Voice::default(),
            reports: Reports::new(now),
            on_hold: false,
            is_muted: false,
            counts: LegReport::default(),
            alive_at: now,
            read_at: now,
            read_once: 0,
            speaks: false,
            hears: false,
            told: Told::default(),
        })
    }

    pub(super) fn describe(&mut self, remote: RemoteMedia, now: Instant) {
        if let Some(host) = remote.signalling {
            self.args.signalling = Some(host);
            self.latch.signalled(host);
            self.rtcp_latch.signalled(host);
        }
        if remote.is_other_peer {
            self.begin_anew();
        }
        let next_port =
            |rtp: SocketAddr| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?));
        let rtcp = remote.rtcp.or_else(|| remote.rtp.and_then(next_port));
        let may_go = |place: &SocketAddr| self.reach.allows(*place);
        self.latch.describe(remote.rtp.filter(may_go), now);
        self.rtcp_latch.describe(rtcp.filter(may_go), now);
        match (&mut self.seal, &remote.srtp) {
            (Some(seal), Some(keys)) => seal.rekey(keys),
            (seal, keys) => *seal = keys.as_ref().map(Seal::new),
        }
        self.clock_hz = mapping::clock(&mapping::agreed(&remote.receive, &remote.send));
        let events = mapping::events(&remote.receive);
        if events.map(|(payload_type, _)| payload_type) != self.events_type {
            self.listener = Listener::new(events.map_or(8_000, |(_, clock_hz)| clock_hz));
            self.events_type = events.map(|(payload_type, _)| payload_type);
        }
        self.outgoing.set_clock(mapping::clock(&mapping::agreed(&remote.send, &remote.receive)));
        self.told = Told { first: self.told.first, ..Told::default() };
        (self.speaks, self.hears) = (remote.sends, remote.receives);
        self.remote = Some(remote);
        self.check_play();
        self.alive_at = now;
    }

    /// For another peer: its latch, its counts, and a stream of another source, so that no key seals
    /// two packets of one number.
    fn begin_anew(&mut self) {
        let (gone, host) = (self.latch.locked(), self.args.signalling);
        self.latch = Latch::new(self.args.policy, host).after(gone);
        self.rtcp_latch = Latch::new(Policy::NamedHosts, host).after(self.rtcp_latch.locked());
        self.counts.sources_forgotten += self.seal.take().map_or(0, |seal| seal.forgotten());
        self.outgoing = Outgoing::new();
        self.told = Told::default();
        if let Some(reception) = self.reception.take() {
            self.counts.received.lost += u64::try_from(reception.source().lost()).unwrap_or(0);
        }
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
        self.speaks && !self.on_hold && !self.is_muted
    }

    /// Whether it hears the other one.
    pub(super) fn may_hear(&self) -> bool {
        self.hears && !self.on_hold
    }

    /// Whether no second datagram is to be looked for behind the one that was just read. One that comes in
    /// its time after the last one is no burst, so nothing is behind it; a look now and then makes sure.
    pub(super) fn comes_alone(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.read_at);
        self.read_at = now;
        let alone = IN_TIME.contains(&passed) && self.read_once < LOOK;
        self.read_once = if alone { self.read_once + 1 } else { 0 };
        alone
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
        octets: &mut [u8],
        from: SocketAddr,
        now: Instant,
        notices: &mut Notices,
    ) -> Option<Admitted> {
        if !self.may_come(from) {
            self.refuse(Refusal::Stranger, from, notices);
            return None;
        }
        let is_rtp = rtp::kind(octets) == rtp::Kind::Rtp;
        let sealed = if is_rtp { self.seal.as_mut() } else { None };
        let proven = sealed.is_some();
        let length = match sealed.map(|seal| seal.open(octets)) {
            None => octets.len(),
            Some(Some(length)) => length,
            Some(None) => {
                self.refuse(Refusal::Stranger, from, notices);
                return None;
            }
        };
        let read = Packet::parse(&octets[..length]).ok().filter(|_| is_rtp);
        let arrival = Arrival {
            from,
            ssrc: read.map(|packet| packet.ssrc),
            sequence: read.map(|packet| packet.sequence),
            proven,
        };
        if !self.latch(&arrival, now, notices) {
            return None;
        }
        let packet = read?;
        self.is_alive(now);
        if !self.told.first {
            self.told.first = notices.try_tell(self.side, Event::FirstPacket);
        }
        let is_event = Some(packet.payload_type) == self.events_type;
        let restarted = match self.count(&packet, is_event, now) {
            Standing::Wild => return None,
            Standing::Restarted => true,
            Standing::Probation | Standing::Next | Standing::Behind => false,
        };
        let Packet { ssrc, sequence, timestamp, marker, payload_type, .. } = packet;
        let begin = packet.header_len();
        Some(Admitted {
            incoming: Incoming { ssrc, sequence, timestamp, restarted, is_event },
            payload_type,
            marker,
            length,
            payload: begin..begin + packet.payload.len(),
        })
    }

    /// Whether anything from there is looked at; what is locked was let in before.
    fn may_come(&self, from: SocketAddr) -> bool {
        self.latch.locked() == Some(from) || self.reach.allows(from)
    }

    fn is_alive(&mut self, now: Instant) {
        self.alive_at = now;
        self.told.silent = false;
    }

    fn latch(&mut self, arrival: &Arrival, now: Instant, notices: &mut Notices) -> bool {
        match self.latch.packet(arrival, now) {
            Verdict::Accept => return true,
            Verdict::Latched(to) => {
                self.rtcp_latch.vouch(to.ip());
                notices.tell(self.side, Event::Latched(to));
                return true;
            }
            Verdict::Refuse(refusal) => self.refuse(refusal, arrival.from, notices),
        }
        false
    }

    fn refuse(&mut self, refusal: Refusal, from: SocketAddr, notices: &mut Notices) {
        self.counts.received.refused += 1;
        let is_stranger = matches!(refusal, Refusal::Locked | Refusal::Stranger);
        if is_stranger && !self.told.stranger {
            self.told.stranger = notices.try_tell(self.side, Event::Stranger(from));
        }
    }

    /// Digits in an admitted packet of events.
    pub(super) fn listen(&mut self, packet: &Admitted, payload: &[u8], now: Instant) -> Vec<Heard> {
        self.listener.packet(packet.incoming.timestamp, packet.marker, payload, now)
    }

    /// A digit whose last packets were lost.
    pub(super) fn listen_on(&mut self, now: Instant) -> Option<Heard> {
        self.listener.tick(now)
    }

    /// The law of what came, if it is G.711.
    pub(super) fn law(&self, payload_type: u8) -> Option<Law> {
        let formats = self.remote.iter().flat_map(|remote| &remote.receive);
        let mut laws = formats.filter(|format| format.payload_type == payload_type);
        laws.find_map(|format| match format.encoding {
            Encoding::G711(law) => Some(law),
            _ => None,
        })
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
        let octets = match &mut self.seal {
            None => Some(octets),
            Some(seal) => seal.close(octets),
        };
        if octets.is_some_and(|octets| self.rtp.send_to(octets, to).is_ok()) {
            self.counts.sent_packets += 1;
            self.counts.sent_octets += payload as u64;
        } else {
            self.counts.sent_failed += 1;
        }
    }

    /// Whether nothing came for too long though the peer was to send; told once, as soon as there is
    /// room.
    pub(super) fn check_silence(&mut self, timeout: Duration, now: Instant, notices: &mut Notices) {
        if self.on_hold || !self.speaks {
            self.alive_at = now;
            return;
        }
        let silent = now.saturating_duration_since(self.alive_at) >= timeout;
        if silent && !timeout.is_zero() && !self.told.silent {
            self.told.silent = notices.try_tell(self.side, Event::Silent);
        }
    }

    pub(super) fn report(&self) -> LegReport {
        let mut report = self.counts.clone();
        report.latched = self.latch.locked();
        report.sources_forgotten += self.seal.as_ref().map_or(0, Seal::forgotten);
        if let Some(reception) = &self.reception {
            report.received.lost += u64::try_from(reception.source().lost()).unwrap_or(0);
            report.jitter = reception.jitter();
        }
        report
    }
}
