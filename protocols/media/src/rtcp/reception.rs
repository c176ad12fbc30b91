//! What we heard of one source, counted for its receiver report (RFC 3550 §6.4.1, A.3, A.8).
//!
//! Arrivals are given as moments. A source that begins anew starts its counts anew; a jump that
//! nothing confirmed is not counted. Jitter is kept as the standard keeps it, in sixteenths.

use std::time::{Duration, Instant};

use super::Block;
use super::report::middle;
use crate::rtp::{Packet, Source, Standing};

/// The last sender report of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    middle: u32,
    at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    source: Source,
    clock_hz: u32,
    /// The moment that transit times are counted from.
    epoch: Instant,
    transit: Option<u32>,
    /// Times sixteen.
    jitter: u32,
    expected_before: u64,
    received_before: u64,
    heard: Option<Heard>,
}

impl Reception {
    /// Follows the source of a first packet; give that packet to `packet` too. A clock of 0 counts
    /// as 8,000.
    pub fn new(first: &Packet<'_>, clock_hz: u32, now: Instant) -> Self {
        Self {
            source: Source::new(first.ssrc, first.sequence),
            clock_hz: if clock_hz == 0 { 8_000 } else { clock_hz },
            epoch: now,
            transit: None,
            jitter: 0,
            expected_before: 0,
            received_before: 0,
            heard: None,
        }
    }

    /// Takes note of a packet. One with another SSRC starts everything anew.
    pub fn packet(&mut self, packet: &Packet<'_>, now: Instant) -> Standing {
        let standing = self.event(packet, now);
        if standing == Standing::Wild {
            return standing;
        }
        let transit = self.arrival(now).wrapping_sub(packet.timestamp);
        if let Some(before) = self.transit {
            let change = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A jump of the timestamp is no jitter.
            if change < self.clock_hz.saturating_mul(2) {
                self.jitter = self.jitter.wrapping_add(change).wrapping_sub((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
        standing
    }

    /// Takes note of a packet whose timestamp is not when it was made, as of a digit (RFC 4733): it is
    /// counted, and tells nothing of jitter.
    pub fn event(&mut self, packet: &Packet<'_>, now: Instant) -> Standing {
        if packet.ssrc != self.source.ssrc {
            *self = Self::new(packet, self.clock_hz, now);
        }
        let standing = self.source.update(packet.sequence);
        if standing == Standing::Restarted {
            self.expected_before = 0;
            self.received_before = 0;
            self.transit = None;
        }
        standing
    }

    /// A moment in units of the media's clock.
    fn arrival(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch);
        (since.as_nanos() * u128::from(self.clock_hz) / 1_000_000_000) as u32
    }

    /// Takes note of a sender report of this source.
    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, now: Instant) {
        if ssrc == self.source.ssrc {
            self.heard = Some(Heard { middle: middle(ntp), at: now });
        }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn jitter(&self) -> Duration {
        let nanos = u64::from(self.jitter >> 4) * 1_000_000_000 / u64::from(self.clock_hz);
        Duration::from_nanos(nanos)
    }

    /// The block of the next report; the loss since the one before is counted from here.
    pub fn block(&mut self, now: Instant) -> Option<Block> {
        if !self.source.is_believed() {
            return None;
        }
        let (expected, received) = (self.source.expected(), self.source.received());
        let expected_now = expected.saturating_sub(self.expected_before);
        let lost_now = expected_now.saturating_sub(received.saturating_sub(self.received_before));
        self.expected_before = expected;
        self.received_before = received;
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let since = |heard: Heard| now.saturating_duration_since(heard.at).as_nanos();
        let since = self.heard.map_or(0, |heard| (since(heard) << 16) / 1_000_000_000);
        let bounded = self.source.lost().clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        Some(Block {
            ssrc: self.source.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: bounded as i32,
            highest: self.source.extended_highest(),
            jitter: self.jitter >> 4,
            last_report: self.heard.map_or(0, |heard| heard.middle),
            since_last_report: u32::try_from(since).unwrap_or(u32::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet::new(0, sequence, timestamp, 5, &[])
    }

    fn on_time(count: u16) -> (Reception, Instant) {
        let mut now = Instant::now();
        let mut reception = Reception::new(&packet(0, 0), 8_000, now);
        for sequence in 0..count {
            reception.packet(&packet(sequence, u32::from(sequence) * 160), now);
            now += FRAME;
        }
        (reception, now)
    }

    #[test]
    fn a_digit_is_counted_and_is_no_jitter() {
        let (mut reception, mut now) = on_time(50);
        for sequence in 50..60 {
            reception.event(&packet(sequence, 8_000), now);
            now += FRAME;
        }
        reception.packet(&packet(60, 60 * 160), now);
        assert_eq!(reception.jitter(), Duration::ZERO);
        let block = reception.block(now).unwrap();
        assert_eq!((block.lost, block.highest), (0, 60));
    }

    #[test]
    fn packets_on_time_have_no_jitter_and_no_loss() {
        let (mut reception, now) = on_time(100);
        assert_eq!(reception.jitter(), Duration::ZERO);
        let block = reception.block(now).unwrap();
        assert_eq!((block.fraction_lost, block.lost, block.highest), (0, 0, 99));
        assert_eq!((block.last_report, block.since_last_report), (0, 0));
    }

    #[test]
    fn the_fraction_is_of_the_time_since_the_last_block() {
        let (mut reception, now) = on_time(10);
        reception.block(now);
        for sequence in [10, 11, 14, 15] {
            reception.packet(&packet(sequence, u32::from(sequence) * 160), now);
        }
        let block = reception.block(now).unwrap();
        assert_eq!((block.fraction_lost, block.lost), ((2_u32 * 256 / 6) as u8, 2));
        let block = reception.block(now).unwrap();
        assert_eq!((block.fraction_lost, block.lost), (0, 2));
    }

    #[test]
    fn alternating_delay_gives_the_jitter_of_the_standard() {
        let (mut reception, mut now) = on_time(2);
        for sequence in 2..400_u16 {
            let late = if sequence % 2 == 0 { Duration::from_millis(5) } else { Duration::ZERO };
            reception.packet(&packet(sequence, u32::from(sequence) * 160), now + late);
            now += FRAME;
        }
        // Each difference is 40 units; the estimate nears it.
        let block = reception.block(now).unwrap();
        assert!((39..=40).contains(&block.jitter), "{}", block.jitter);
        assert_eq!(reception.jitter().as_millis(), 4);
    }

    #[test]
    fn a_timestamp_that_begins_anew_is_no_jitter() {
        let (mut reception, now) = on_time(10);
        reception.packet(&packet(10, 3_000_000_000), now);
        reception.packet(&packet(11, 3_000_000_160), now + FRAME);
        assert_eq!(reception.jitter(), Duration::ZERO);
    }

    #[test]
    fn another_source_starts_its_own_count() {
        let (mut reception, now) = on_time(10);
        let other = |sequence| Packet::new(0, sequence, 0, 6, &[]);
        assert_eq!(reception.packet(&other(900), now), Standing::Probation);
        assert_eq!(reception.block(now), None);
        assert_eq!(reception.packet(&other(901), now), Standing::Next);
        let block = reception.block(now).unwrap();
        assert_eq!((block.ssrc, block.lost), (6, 0));
    }

    #[test]
    fn the_last_sender_report_and_its_age_are_in_the_block() {
        let (mut reception, now) = on_time(10);
        reception.sender_report(5, 0x0000_1234_5678_0000, now);
        reception.sender_report(99, 0, now);
        let block = reception.block(now + Duration::from_millis(1_500)).unwrap();
        assert_eq!((block.last_report, block.since_last_report), (0x1234_5678, 0x1_8000));
    }
}
