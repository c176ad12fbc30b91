//! One press out of the packets of an RTP event (RFC 4733 §2.5).
//!
//! Packets of one event share a timestamp; some peers give each packet its own. Ends come three times,
//! or never. So a press is told by event, timestamp, time and duration together: it ends with its end
//! packet, with another event, or when nothing of it came for `SILENCE`; what repeats an end that was
//! heard is no new press. A duration is believed as far as the time that passed bears it out.

use std::time::{Duration, Instant};

use super::{Digit, Event};

/// Without a packet for so long a press is over.
const SILENCE: Duration = Duration::from_millis(150);
/// Repeats of an end come within this.
const ECHO: Duration = Duration::from_millis(200);
/// How far a duration and the time that passed may differ.
const TOLERANCE: Duration = Duration::from_millis(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Pressed(Digit),
    Released(Digit, Duration),
}

/// A packet that tells of a key.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    digit: Digit,
    timestamp: u32,
    marker: bool,
    event: Event,
}

/// A press that is under way or just over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Press {
    digit: Digit,
    /// Of its latest packet.
    timestamp: u32,
    began: Instant,
    last: Instant,
    /// The longest duration its packets told, in units.
    units: u16,
    /// Units of segments that are full (RFC 4733 §2.5.1.3).
    full: u64,
}

/// Follows the events of one stream.
#[derive(Debug, Clone)]
pub struct Listener {
    clock_hz: u32,
    current: Option<Press>,
    /// The last press that is over.
    before: Option<Press>,
}

impl Listener {
    /// With the clock of `telephone-event` in the SDP; 0 counts as 8,000.
    pub fn new(clock_hz: u32) -> Self {
        let clock_hz = if clock_hz == 0 { 8_000 } else { clock_hz };
        Self { clock_hz, current: None, before: None }
    }

    /// When the next `tick` is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.map(|press| press.last + SILENCE)
    }

    /// Ends a press whose last packets were lost.
    pub fn tick(&mut self, now: Instant) -> Option<Heard> {
        let silent = self.current.is_some_and(|press| now >= press.last + SILENCE);
        if silent { self.release() } else { None }
    }

    /// Takes note of an event packet.
    pub fn packet(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        now: Instant,
    ) -> Vec<Heard> {
        let mut heard: Vec<Heard> = self.tick(now).into_iter().collect();
        let Some(event) = Event::parse(payload) else { return heard };
        let Some(digit) = Digit::of_event(event.event) else { return heard };
        let packet = Arrived { digit, timestamp, marker, event };
        if let Some(press) = &mut self.current {
            if press.is_meant(&packet, self.clock_hz) {
                press.note(timestamp, &event, now);
                if event.end {
                    heard.extend(self.release());
                }
                return heard;
            }
            if is_older(timestamp, press.timestamp) {
                return heard;
            }
            heard.extend(self.release());
        }
        if let Some(press) = &mut self.before
            && press.is_echo(&packet, now)
        {
            if event.end && !is_older(timestamp, press.timestamp) {
                press.timestamp = timestamp;
                press.last = now;
            }
            return heard;
        }
        self.current =
            Some(Press { digit, timestamp, began: now, last: now, units: event.duration, full: 0 });
        heard.push(Heard::Pressed(digit));
        if event.end {
            heard.extend(self.release());
        }
        heard
    }

    fn release(&mut self) -> Option<Heard> {
        let press = self.current.take()?;
        self.before = Some(press);
        Some(Heard::Released(press.digit, press.duration(self.clock_hz)))
    }
}

/// Whether a timestamp lies before another, over the wrap.
fn is_older(timestamp: u32, than: u32) -> bool {
    timestamp != than && than.wrapping_sub(timestamp) < 0x8000_0000
}

impl Press {
    fn is_meant(&self, packet: &Arrived, clock_hz: u32) -> bool {
        let Arrived { digit, timestamp, marker, event } = *packet;
        if digit != self.digit {
            return false;
        }
        if timestamp == self.timestamp {
            return true;
        }
        // A peer that counts the timestamp on moves it as far as the duration grew, or by a frame
        // when it repeats the end. The next segment of a long press begins where the last one ended.
        let ahead = timestamp.wrapping_sub(self.timestamp);
        let grown = event.duration.checked_sub(self.units).map(u32::from);
        let goes_on = grown.is_some_and(|grown| ahead <= grown + clock_hz / 25);
        let next_segment = ahead == u32::from(self.units) || ahead == 0xFFFF;
        !marker && (goes_on || (self.units >= 0xF000 && next_segment))
    }

    fn note(&mut self, timestamp: u32, event: &Event, now: Instant) {
        if timestamp != self.timestamp && event.duration < self.units {
            self.full += u64::from(self.units);
            self.units = 0;
        }
        self.timestamp = timestamp;
        self.units = self.units.max(event.duration);
        self.last = now;
    }

    /// Whether a packet says again what is over.
    fn is_echo(&self, packet: &Arrived, now: Instant) -> bool {
        let recent = now.saturating_duration_since(self.last) < ECHO;
        let same = packet.digit == self.digit;
        if packet.timestamp == self.timestamp {
            return same && (recent || !packet.marker);
        }
        if is_older(packet.timestamp, self.timestamp) {
            // Timestamps that begin anew look older as well, but not within the time of an echo.
            return recent;
        }
        // The end once more from a peer that counts the timestamp on: another press would begin
        // after this one has ended.
        let ahead = packet.timestamp.wrapping_sub(self.timestamp);
        let again = packet.event.end && packet.event.duration >= self.units;
        same && again && recent && ahead < u32::from(self.units)
    }

    fn duration(&self, clock_hz: u32) -> Duration {
        let units = self.full + u64::from(self.units);
        let told = Duration::from_nanos(units.saturating_mul(1_000_000_000) / u64::from(clock_hz));
        let passed = self.last.saturating_duration_since(self.began);
        // Only an end came: there is nothing to compare with.
        if passed.is_zero() || told.abs_diff(passed) <= TOLERANCE { told } else { passed }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Rig {
        listener: Listener,
        now: Instant,
        heard: Vec<Heard>,
    }

    impl Rig {
        fn new(clock_hz: u32) -> Self {
            Self { listener: Listener::new(clock_hz), now: Instant::now(), heard: Vec::new() }
        }

        fn event(&mut self, event: u8, timestamp: u32, duration: u16, end: bool) {
            let payload = Event { event, end, volume: 10, duration }.octets();
            let marker = duration <= 160;
            self.heard.extend(self.listener.packet(timestamp, marker, &payload, self.now));
            self.now += Duration::from_millis(20);
        }

        /// A press as the standard wants it: five packets, and its end three times.
        fn press(&mut self, event: u8, timestamp: u32) {
            for duration in [160, 320, 480, 640, 800] {
                self.event(event, timestamp, duration, false);
            }
            for _ in 0..3 {
                self.event(event, timestamp, 960, true);
            }
        }

        fn pause(&mut self, millis: u64) {
            self.now += Duration::from_millis(millis);
            self.heard.extend(self.listener.tick(self.now));
        }

        fn digits(&self) -> String {
            let pressed = self.heard.iter().filter_map(|heard| match heard {
                Heard::Pressed(digit) => Some(digit.as_char()),
                Heard::Released(..) => None,
            });
            pressed.collect()
        }

        fn durations(&self) -> Vec<u128> {
            let released = self.heard.iter().filter_map(|heard| match heard {
                Heard::Pressed(_) => None,
                Heard::Released(_, duration) => Some(duration.as_millis()),
            });
            released.collect()
        }
    }

    #[test]
    fn a_press_with_its_end_three_times_is_one() {
        let mut rig = Rig::new(8_000);
        rig.press(5, 1_000);
        rig.press(5, 3_000);
        rig.press(11, 5_000);
        assert_eq!(rig.digits(), "55#");
        assert_eq!(rig.durations(), [120, 120, 120]);
    }

    #[test]
    fn a_press_whose_ends_were_lost_ends_in_time() {
        let mut rig = Rig::new(8_000);
        rig.event(1, 100, 160, false);
        rig.event(1, 100, 320, false);
        assert_eq!(rig.durations(), [0; 0]);
        assert!(rig.listener.deadline().is_some());
        rig.pause(200);
        assert_eq!((rig.digits(), rig.durations()), ("1".to_owned(), vec![40]));
        assert_eq!(rig.listener.deadline(), None);
        rig.event(1, 100, 480, true);
        assert_eq!(rig.digits(), "1", "an end that comes late");
    }

    #[test]
    fn a_press_whose_ends_were_lost_ends_with_the_next_one() {
        let mut rig = Rig::new(8_000);
        rig.event(1, 100, 160, false);
        rig.event(2, 900, 160, false);
        rig.event(2, 900, 320, true);
        rig.event(2, 1_700, 160, false);
        assert_eq!(rig.digits(), "122");
        assert_eq!(rig.durations().len(), 2);
    }

    #[test]
    fn of_a_press_of_which_only_the_ends_came_is_heard_once() {
        let mut rig = Rig::new(8_000);
        for _ in 0..3 {
            rig.event(9, 100, 960, true);
        }
        assert_eq!((rig.digits(), rig.durations()), ("9".to_owned(), vec![120]));
    }

    #[test]
    fn a_peer_that_counts_the_timestamp_on_presses_once() {
        let mut rig = Rig::new(8_000);
        for step in 1..6_u16 {
            rig.event(4, 1_000 + u32::from(step) * 160, step * 160, false);
        }
        for repeat in 0..3 {
            rig.event(4, 1_960 + repeat * 160, 960, true);
        }
        assert_eq!((rig.digits(), rig.durations()), ("4".to_owned(), vec![120]));
        rig.pause(60);
        rig.press(4, 4_000);
        assert_eq!(rig.digits(), "44");
    }

    #[test]
    fn the_same_key_twice_without_a_marker_is_two_presses() {
        let mut rig = Rig::new(8_000);
        rig.press(7, 1_000);
        let payload = Event { event: 7, end: false, volume: 0, duration: 160 }.octets();
        rig.heard.extend(rig.listener.packet(2_600, false, &payload, rig.now));
        assert_eq!(rig.digits(), "77");
    }

    #[test]
    fn late_packets_of_a_press_that_is_over_are_no_press() {
        let mut rig = Rig::new(8_000);
        rig.press(1, 1_000);
        rig.event(2, 3_000, 160, false);
        rig.event(1, 1_000, 640, false);
        rig.event(2, 3_000, 320, true);
        rig.event(2, 3_000, 160, false);
        assert_eq!(rig.digits(), "12");
    }

    #[test]
    fn events_at_16_khz_last_what_they_say() {
        let mut rig = Rig::new(16_000);
        for duration in [320, 640, 960] {
            rig.event(3, 0, duration, false);
        }
        rig.event(3, 0, 1_280, true);
        assert_eq!(rig.durations(), [80]);
    }

    #[test]
    fn a_clock_that_time_does_not_bear_out_is_not_believed() {
        // Units of 48 kHz under a clock of 8 kHz: 100 ms would be 600.
        let mut rig = Rig::new(8_000);
        for step in 1..6_u16 {
            rig.event(3, 0, step * 960, step == 5);
        }
        assert_eq!(rig.durations(), [80]);
    }

    #[test]
    fn a_press_of_several_segments_is_one() {
        let mut rig = Rig::new(8_000);
        let mut timestamp = 500;
        for segment in 0..3_u32 {
            for packet in 1..=409_u16 {
                rig.event(6, timestamp, (packet * 160).max(161), segment == 2 && packet == 409);
            }
            timestamp += 409 * 160;
        }
        assert_eq!(rig.digits(), "6");
        let lasted = rig.durations()[0];
        assert!((24_300..24_700).contains(&lasted), "{lasted}");
    }

    #[test]
    fn events_that_are_no_keys_and_cut_payloads_are_passed_over() {
        let mut rig = Rig::new(0);
        rig.event(36, 0, 160, true);
        rig.heard.extend(rig.listener.packet(0, true, &[1, 2], rig.now));
        assert!(rig.heard.is_empty());
    }

    proptest! {
        #[test]
        fn every_press_is_released_once_and_before_the_next(
            packets in proptest::collection::vec((0u8..3, 0u32..5, any::<u16>(), any::<bool>(), any::<bool>(), 0u64..300), 1..100)
        ) {
            let mut rig = Rig::new(8_000);
            for (event, timestamp, duration, end, marker, millis) in packets {
                let payload = Event { event, end, volume: 0, duration }.octets();
                rig.heard.extend(rig.listener.packet(timestamp * 800, marker, &payload, rig.now));
                rig.now += Duration::from_millis(millis);
            }
            rig.pause(1_000);
            for pair in rig.heard.chunks(2) {
                prop_assert!(matches!(pair, [Heard::Pressed(a), Heard::Released(b, _)] if a == b));
            }
        }
    }
}
