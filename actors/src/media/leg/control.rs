//! RTCP of a leg: ended here, with reports of our own towards the peer.
//!
//! Each leg is a session of RTP by itself, whatever the other one is: the peer gets sender reports of
//! the one stream it hears and blocks on what we heard of it, and its reports give round trip and how
//! well it hears us. What else comes, feedback and what applications send, ends here too.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use model::clock::At;
use proto_media::latch::{Arrival, Verdict};
use proto_media::quality::{Codec, Stretch};
use proto_media::rtcp::{
    self, Block, Chunk, Item, ReceiverReport, Rtcp, SenderReport, compound, round_trip,
};

use super::super::notice::Notices;
use super::Leg;

/// Phones conceal losses.
const CODEC: Codec = Codec::G711_CONCEALED;
/// Seconds between 1900 and 1970.
const NTP_EPOCH_S: u64 = 2_208_988_800;

#[derive(Debug)]
pub(super) struct Reports {
    due: Instant,
    /// What we call ourselves: of this leg alone, and nothing of this machine.
    name: [u8; 16],
    /// Packets when the last report was made.
    packets: u64,
    round_trip: Option<Duration>,
    room: Vec<u8>,
}

impl Reports {
    pub(super) fn new(now: Instant) -> Self {
        let mut name = [0; 16];
        let number = format!("{:016x}", rand::random::<u64>());
        name.copy_from_slice(number.as_bytes());
        Self { due: now, name, packets: 0, round_trip: None, room: Vec::new() }
    }
}

/// A moment as RTCP tells it: seconds since 1900 and their fraction.
fn ntp(at: At) -> u64 {
    let micros = u64::try_from(at.micros()).unwrap_or(0);
    let fraction = ((micros % 1_000_000) << 32) / 1_000_000;
    ((micros / 1_000_000 + NTP_EPOCH_S) << 32) | fraction
}

/// Who sent it.
fn source(packet: &Rtcp) -> Option<u32> {
    match packet {
        Rtcp::SenderReport(report) => Some(report.ssrc),
        Rtcp::ReceiverReport(report) => Some(report.ssrc),
        Rtcp::Description(chunks) => chunks.first().map(|chunk| chunk.ssrc),
        Rtcp::Bye(bye) => bye.sources.first().copied(),
        Rtcp::Other { body, .. } => body.first_chunk().map(|ssrc| u32::from_be_bytes(*ssrc)),
    }
}

impl Leg {
    /// A datagram of RTCP, from its own socket or, `muxed`, from the one of RTP.
    pub(in super::super) fn control(
        &mut self,
        octets: &mut [u8],
        from: SocketAddr,
        muxed: bool,
        now: Instant,
        notices: &mut Notices,
    ) {
        if !self.may_come(from) {
            self.counts.received.refused += 1;
            return;
        }
        let proven = self.seal.is_some();
        let length = match &mut self.seal {
            None => Some(octets.len()),
            Some(seal) => seal.open_rtcp(octets),
        };
        let read = length.and_then(|length| compound(octets.get(..length)?).ok());
        let Some(packets) = read else {
            self.counts.received.refused += 1;
            return;
        };
        let ssrc = packets.first().and_then(source);
        let arrival = Arrival { from, ssrc, sequence: None, proven };
        let is_ours = if muxed {
            self.latch(&arrival, now, notices)
        } else {
            !matches!(self.rtcp_latch.packet(&arrival, now), Verdict::Refuse(_))
        };
        if !is_ours {
            self.counts.received.refused += u64::from(!muxed);
            return;
        }
        // A peer that is silent for a while says by this that it is there.
        if proven || self.is_of_peer(from.ip()) {
            self.is_alive(now);
        }
        for packet in packets {
            match packet {
                Rtcp::SenderReport(report) => {
                    if let Some(reception) = &mut self.reception {
                        reception.sender_report(report.ssrc, report.ntp, now);
                    }
                    self.heard_by_peer(&report.blocks);
                }
                Rtcp::ReceiverReport(report) => self.heard_by_peer(&report.blocks),
                Rtcp::Description(_) | Rtcp::Bye(_) | Rtcp::Other { .. } => {}
            }
        }
    }

    fn is_of_peer(&self, host: IpAddr) -> bool {
        let by_signalling = self.args.signalling == Some(host) || self.rtcp_latch.names(host);
        by_signalling || self.latch.names(host) || self.latch.is_locked_to(host)
    }

    fn heard_by_peer(&mut self, blocks: &[Block]) {
        let ours = self.outgoing.ssrc;
        for block in blocks.iter().filter(|block| block.ssrc == ours) {
            let trip = round_trip(ntp(At::now()), block);
            self.reports.round_trip = trip.or(self.reports.round_trip);
            let stretch = Stretch::of_block(block, self.outgoing.clock_hz(), trip);
            let counters = &mut self.counts.heard_by_peer;
            counters.stretch(&stretch, CODEC);
            counters.lost = u64::try_from(block.lost).unwrap_or(0);
            counters.packets = self.counts.sent_packets.saturating_sub(counters.lost);
        }
    }

    /// Sends a report when one is due; zero: never.
    pub(in super::super) fn report_on(&mut self, every: Duration, now: Instant) {
        if self.remote.is_none() || now < self.reports.due {
            return;
        }
        let is_first = self.reports.packets == 0 && self.counts.sent_packets == 0;
        // Half to one and a half times, so that calls do not report all at once (RFC 3550 §6.2).
        self.reports.due = now + every.mul_f64(rand::random_range(0.5..1.5));
        let block = self.measure(now);
        if every.is_zero() || (is_first && block.is_none()) {
            return;
        }
        let mut room = std::mem::take(&mut self.reports.room);
        room.clear();
        if self.write_report(block, now, &mut room).is_ok() {
            self.send_report(&room);
        }
        self.reports.room = room;
    }

    /// Takes note of how the time since the last report was.
    fn measure(&mut self, now: Instant) -> Option<Block> {
        let block = self.reception.as_mut()?.block(now)?;
        let packets = self.counts.received.packets;
        if packets > self.reports.packets {
            let stretch = Stretch::of_block(&block, self.clock_hz, self.reports.round_trip);
            self.counts.received.stretch(&stretch, CODEC);
            self.reports.packets = packets;
        }
        Some(block)
    }

    /// The last stretch of a session that ends.
    pub(in super::super) fn settle(&mut self, now: Instant) {
        self.measure(now);
    }

    fn write_report(
        &self,
        block: Option<Block>,
        now: Instant,
        room: &mut Vec<u8>,
    ) -> Result<(), rtcp::RtcpError> {
        let ssrc = self.outgoing.ssrc;
        let blocks = Vec::from_iter(block);
        let report = match self.outgoing.timestamp_at(now) {
            None => Rtcp::ReceiverReport(ReceiverReport { ssrc, blocks }),
            Some(timestamp) => Rtcp::SenderReport(SenderReport {
                ssrc,
                ntp: ntp(At::now()),
                timestamp,
                packets: self.counts.sent_packets as u32,
                octets: self.counts.sent_octets as u32,
                blocks,
            }),
        };
        report.write(room)?;
        let item = Item { kind: Item::CNAME, text: self.reports.name.to_vec() };
        Rtcp::Description(vec![Chunk { ssrc, items: vec![item] }]).write(room)
    }

    fn send_report(&mut self, octets: &[u8]) {
        let muxed = self.remote.as_ref().is_some_and(|remote| remote.rtcp_mux);
        let latch = if muxed { &self.latch } else { &self.rtcp_latch };
        let Some(to) = latch.target() else { return };
        let octets = match &mut self.seal {
            None => Some(octets),
            Some(seal) => seal.close_rtcp(octets),
        };
        let socket = if muxed { &self.rtp } else { &self.rtcp };
        if octets.is_none_or(|octets| socket.send_to(octets, to).is_err()) {
            self.counts.sent_failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_seconds_since_1900() {
        assert_eq!(ntp(At(0)), NTP_EPOCH_S << 32);
        assert_eq!(ntp(At(1_500_000)), ((NTP_EPOCH_S + 1) << 32) | 0x8000_0000);
    }
}
