//! One stream towards a peer, whoever speaks: one source, numbers in a row, time that goes on.
//!
//! A receiver that sees a new source, a jump of the numbers or of the timestamps may fall silent, or
//! play late for the rest of the call (RFC 3550 §8). So what comes in is moved by two offsets, which
//! are found anew whenever its source, its numbers or its timestamps begin anew. Losses and changes of
//! order stay as they are: the receiver shall see them.

use std::time::{Duration, Instant};

/// What a new source is ahead of the last packet at least.
const FRAMES_A_SECOND: u32 = 50;
/// A timestamp that moves farther than time did, by this many seconds, has begun anew.
const JUMP_S: i64 = 2;

/// Numbers of a packet that came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// Its numbers begin anew here.
    pub(super) restarted: bool,
    /// An event keeps the timestamp of its beginning.
    pub(super) is_event: bool,
}

/// What goes on the packet instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// The stream jumps here: the receiver may set its clock anew.
    pub(super) marker: bool,
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    sequence: u16,
    /// Of its latest packet that was no event.
    timestamp: u32,
    /// When that came.
    at: Instant,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) ssrc: u32,
    clock_hz: u32,
    /// The highest that was sent.
    sequence: u16,
    timestamp: u32,
    /// When that was.
    at: Option<Instant>,
    followed: Option<Followed>,
}

/// Whether a number lies ahead of another, over the wrap.
fn is_ahead(sequence: u16, of: u16) -> bool {
    sequence.wrapping_sub(of) as i16 > 0
}

impl Outgoing {
    /// A stream that nobody can foresee.
    pub(super) fn new() -> Self {
        Self::with(rand::random(), rand::random(), rand::random())
    }

    fn with(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, clock_hz: 8_000, sequence, timestamp, at: None, followed: None }
    }

    /// A description may change the clock; the stream goes on.
    pub(super) fn set_clock(&mut self, clock_hz: u32) {
        self.clock_hz = clock_hz;
    }

    /// The numbers for a packet that is passed on.
    pub(super) fn follow(&mut self, packet: &Incoming, now: Instant) -> Numbers {
        let known = self.followed.filter(|old| old.ssrc == packet.ssrc && !packet.restarted);
        let mut marker = known.is_none() && self.at.is_some();
        let mut followed = known.unwrap_or_else(|| self.anchor(packet, now));
        if is_ahead(packet.sequence, followed.sequence) {
            if !packet.is_event && self.has_jumped(&followed, packet.timestamp, now) {
                followed.timestamp_offset = self.next_timestamp(now).wrapping_sub(packet.timestamp);
                marker = true;
            }
            followed.sequence = packet.sequence;
            if !packet.is_event {
                followed.timestamp = packet.timestamp;
                followed.at = now;
            }
        }
        self.followed = Some(followed);
        let sequence = packet.sequence.wrapping_add(followed.sequence_offset);
        let timestamp = packet.timestamp.wrapping_add(followed.timestamp_offset);
        if self.at.is_none() || is_ahead(sequence, self.sequence) {
            self.sequence = sequence;
            // An event's time is its beginning: sound goes on from where it was before.
            if !packet.is_event || self.at.is_none() {
                self.timestamp = timestamp;
                self.at = Some(now);
            }
        }
        Numbers { sequence, timestamp, marker }
    }

    fn anchor(&self, packet: &Incoming, now: Instant) -> Followed {
        let sequence = self.sequence.wrapping_add(1);
        Followed {
            ssrc: packet.ssrc,
            sequence_offset: sequence.wrapping_sub(packet.sequence),
            timestamp_offset: self.next_timestamp(now).wrapping_sub(packet.timestamp),
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            at: now,
        }
    }

    fn has_jumped(&self, followed: &Followed, timestamp: u32, now: Instant) -> bool {
        let moved = i64::from(timestamp.wrapping_sub(followed.timestamp) as i32);
        let passed = i64::from(self.units(now.saturating_duration_since(followed.at)));
        let tolerance = JUMP_S * i64::from(self.clock_hz);
        moved < -tolerance || moved > passed + tolerance
    }

    fn units(&self, time: Duration) -> u32 {
        (time.as_micros() * u128::from(self.clock_hz) / 1_000_000) as u32
    }

    /// Where a source that begins now begins: as much later as time passed, one frame at least.
    pub(super) fn next_timestamp(&self, now: Instant) -> u32 {
        let Some(at) = self.at else { return self.timestamp };
        let passed = self.units(now.saturating_duration_since(at));
        self.timestamp.wrapping_add(passed.max(self.clock_hz / FRAMES_A_SECOND))
    }

    /// The number for a packet of our own, with its timestamp unless it is an event; what was followed
    /// before begins anew after it.
    pub(super) fn own(&mut self, timestamp: Option<u32>, now: Instant) -> u16 {
        self.followed = None;
        self.sequence = self.sequence.wrapping_add(1);
        if timestamp.is_some() || self.at.is_none() {
            self.timestamp = timestamp.unwrap_or(self.timestamp);
            self.at = Some(now);
        }
        self.sequence
    }

    pub(super) fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    /// The timestamp that this moment has; `None` before the first packet.
    pub(super) fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let passed = self.units(now.saturating_duration_since(self.at?));
        Some(self.timestamp.wrapping_add(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Incoming {
        Incoming { ssrc, sequence, timestamp, restarted: false, is_event: false }
    }

    /// Two packets of a source were sent, the last one at the moment given back.
    fn after_two() -> (Outgoing, Instant) {
        let mut stream = Outgoing::with(9, 65_533, u32::MAX - 100);
        let now = start();
        let first = stream.follow(&packet(1, 500, 7_000), now);
        assert_eq!(first, Numbers { sequence: 65_534, timestamp: u32::MAX - 100, marker: false });
        let second = stream.follow(&packet(1, 501, 7_160), now + FRAME);
        assert_eq!(second, Numbers { sequence: 65_535, timestamp: 59, marker: false });
        (stream, now + FRAME)
    }

    #[test]
    fn losses_and_changes_of_order_are_kept() {
        let (mut stream, now) = after_two();
        let after_loss = stream.follow(&packet(1, 504, 7_640), now + FRAME * 3);
        assert_eq!((after_loss.sequence, after_loss.timestamp), (2, 539));
        let late = stream.follow(&packet(1, 503, 7_480), now + FRAME * 3);
        assert_eq!((late.sequence, late.timestamp, late.marker), (1, 379, false));
    }

    #[test]
    fn another_source_goes_on_where_the_first_one_was() {
        let (mut stream, now) = after_two();
        let next = stream.follow(&packet(2, 60_000, 5), now + FRAME * 2);
        assert_eq!(next, Numbers { sequence: 0, timestamp: 59 + 320, marker: true });
        let after = stream.follow(&packet(2, 60_001, 165), now + FRAME * 3);
        assert_eq!(after, Numbers { sequence: 1, timestamp: 59 + 480, marker: false });
    }

    #[test]
    fn numbers_that_begin_anew_are_followed() {
        let (mut stream, now) = after_two();
        let jump = Incoming { restarted: true, ..packet(1, 30_000, 7_320) };
        let next = stream.follow(&jump, now);
        assert_eq!(next, Numbers { sequence: 0, timestamp: 59 + 160, marker: true });
    }

    #[test]
    fn a_timestamp_that_begins_anew_goes_on_and_a_pause_is_kept() {
        let (mut stream, now) = after_two();
        let pause = stream.follow(&packet(1, 502, 7_160 + 80_000), now + Duration::from_secs(10));
        assert_eq!(pause, Numbers { sequence: 0, timestamp: 59 + 80_000, marker: false });
        let now = now + Duration::from_secs(10) + FRAME;
        let reset = stream.follow(&packet(1, 503, 4_000_000_000), now);
        assert_eq!(reset, Numbers { sequence: 1, timestamp: 59 + 80_160, marker: true });
        let after = stream.follow(&packet(1, 504, 4_000_000_160), now + FRAME);
        assert_eq!(after, Numbers { sequence: 2, timestamp: 59 + 80_320, marker: false });
    }

    #[test]
    fn an_event_keeps_its_timestamp_and_sound_goes_on_after_it() {
        let (mut stream, mut now) = after_two();
        for step in 0..300 {
            let event = Incoming { is_event: true, ..packet(1, 502 + step, 7_320) };
            now += FRAME;
            let numbers = stream.follow(&event, now);
            assert_eq!((numbers.sequence, numbers.timestamp), (step, 219));
        }
        let sound = stream.follow(&packet(1, 802, 7_160 + 301 * 160), now + FRAME);
        assert_eq!((sound.sequence, sound.timestamp), (300, 59 + 301 * 160));
        let other = stream.follow(&packet(2, 1, 1), now + FRAME * 2);
        assert_eq!((other.sequence, other.timestamp), (301, 59 + 302 * 160));
    }

    #[test]
    fn our_own_packets_and_the_peers_are_one_stream() {
        let (mut stream, now) = after_two();
        let begin = stream.next_timestamp(now + FRAME);
        assert_eq!(stream.own(Some(begin), now + FRAME), 0);
        assert_eq!(stream.own(Some(begin.wrapping_add(160)), now + FRAME * 2), 1);
        let peer = stream.follow(&packet(1, 504, 7_640), now + FRAME * 3);
        assert_eq!(peer, Numbers { sequence: 2, timestamp: 59 + 480, marker: true });
    }
}
