//! The packets of a row of digits (RFC 4733 §2.5.1): one each frame time, every end three times.
//!
//! The caller asks once per frame time and puts its own sequence number on each packet. While a train
//! runs no audio is sent; `w` is a pause of half a second. A train is bounded: 64 signs, 8 seconds a
//! digit.

use std::time::Duration;

use thiserror::Error;

use super::{Digit, Event};

/// Signs in one train.
pub const SIGNS_MAX: usize = 64;
/// Ends of one press.
const ENDS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Between two digits.
const GAP: Duration = Duration::from_millis(60);
const SHORTEST: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrainError {
    #[error("no digits, or more than {SIGNS_MAX}")]
    Length,
    #[error("{0:?} is no digit")]
    Sign(char),
    #[error("a digit lasts from 40 ms to 8 s")]
    Duration,
    #[error("the clock or the frame time is out of bounds")]
    Clock,
}

/// What is to be sent in this frame time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgoing {
    Packet {
        marker: bool,
        timestamp: u32,
        payload: [u8; 4],
    },
    /// Nothing, but the train goes on.
    Silence,
    /// Audio may be sent again, from this timestamp.
    Done {
        timestamp: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Press(Digit),
    Pause { frames: u32 },
}

#[derive(Debug, Clone)]
pub struct Train {
    steps: std::vec::IntoIter<Step>,
    current: Option<Step>,
    /// Frames into the current step.
    frame: u32,
    /// Frames of a press, without the repeats of its end.
    frames_of_press: u32,
    units_per_frame: u32,
    /// When the current step began.
    began: u32,
    volume: u8,
}

impl Train {
    /// Digits and `w`, each digit as long as `duration`, from `timestamp` on.
    pub fn new(
        digits: &str,
        duration: Duration,
        clock_hz: u32,
        frame: Duration,
        timestamp: u32,
    ) -> Result<Self, TrainError> {
        let count = digits.chars().take(SIGNS_MAX + 1).count();
        if count == 0 || count > SIGNS_MAX {
            return Err(TrainError::Length);
        }
        if !(SHORTEST..=LONGEST).contains(&duration) {
            return Err(TrainError::Duration);
        }
        let millis = frame.as_millis();
        if !(5..=60).contains(&millis) || !(8_000..=48_000).contains(&clock_hz) {
            return Err(TrainError::Clock);
        }
        let frames_in = |time: Duration| time.as_millis().div_ceil(millis) as u32;
        let mut steps = Vec::with_capacity(count * 2);
        for sign in digits.chars() {
            if sign.eq_ignore_ascii_case(&'w') {
                steps.push(Step::Pause { frames: frames_in(PAUSE) });
                continue;
            }
            let digit = Digit::of_char(sign).ok_or(TrainError::Sign(sign))?;
            steps.push(Step::Press(digit));
            steps.push(Step::Pause { frames: frames_in(GAP) });
        }
        let mut steps = steps.into_iter();
        let units_per_frame = (millis as u32) * clock_hz / 1_000;
        // What a duration can tell has 16 bits: at a fast clock a press is cut there.
        let frames_max = u32::from(u16::MAX) / units_per_frame;
        Ok(Self {
            current: steps.next(),
            steps,
            frame: 0,
            frames_of_press: frames_in(duration).min(frames_max),
            units_per_frame,
            began: timestamp,
            volume: 10,
        })
    }

    /// What goes out in this frame time; to be asked once in each, until it is done.
    pub fn next_frame(&mut self) -> Outgoing {
        let Some(step) = self.current else { return Outgoing::Done { timestamp: self.began } };
        self.frame += 1;
        let (outgoing, frames) = match step {
            Step::Pause { frames } => (Outgoing::Silence, frames),
            Step::Press(digit) => {
                let length = self.frame.min(self.frames_of_press);
                let event = Event {
                    event: digit.event(),
                    end: self.frame >= self.frames_of_press,
                    volume: self.volume,
                    duration: (length * self.units_per_frame) as u16,
                };
                let packet = Outgoing::Packet {
                    marker: self.frame == 1,
                    timestamp: self.began,
                    payload: event.octets(),
                };
                (packet, self.frames_of_press + ENDS - 1)
            }
        };
        if self.frame >= frames {
            self.began = self.began.wrapping_add(self.frame * self.units_per_frame);
            self.frame = 0;
            self.current = self.steps.next();
        }
        outgoing
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::super::{Heard, Listener};
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn train(digits: &str, millis: u64) -> Result<Train, TrainError> {
        Train::new(digits, Duration::from_millis(millis), 8_000, FRAME, 1_000)
    }

    fn all(mut train: Train) -> Vec<Outgoing> {
        let frames = std::iter::from_fn(|| match train.next_frame() {
            Outgoing::Done { .. } => None,
            outgoing => Some(outgoing),
        });
        frames.collect()
    }

    #[test]
    fn a_digit_is_packets_of_growing_duration_and_three_ends() {
        let packets = all(train("5", 80).unwrap());
        let expected =
            [(160, false), (320, false), (480, false), (640, true), (640, true), (640, true)];
        for (index, (duration, end)) in expected.into_iter().enumerate() {
            let payload = Event { event: 5, end, volume: 10, duration }.octets();
            let packet = Outgoing::Packet { marker: index == 0, timestamp: 1_000, payload };
            assert_eq!(packets[index], packet, "{index}");
        }
        assert_eq!(packets[6..], [Outgoing::Silence; 3]);
    }

    #[test]
    fn the_timestamp_goes_on_where_the_train_ended() {
        let mut train = train("5w", 80).unwrap();
        let frames = all(train.clone()).len() as u32;
        assert_eq!(frames, 6 + 3 + 25);
        for _ in 0..frames {
            train.next_frame();
        }
        let done = Outgoing::Done { timestamp: 1_000 + frames * 160 };
        assert_eq!((train.next_frame(), train.next_frame()), (done, done));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert_eq!(train("", 100).err(), Some(TrainError::Length));
        assert_eq!(train(&"1".repeat(65), 100).err(), Some(TrainError::Length));
        assert_eq!(train("12x", 100).err(), Some(TrainError::Sign('x')));
        assert_eq!(train("1", 39).err(), Some(TrainError::Duration));
        assert_eq!(train("1", 8_001).err(), Some(TrainError::Duration));
        let bad = Train::new("1", FRAME * 4, 0, FRAME, 0);
        assert_eq!(bad.err(), Some(TrainError::Clock));
        let bad = Train::new("1", FRAME * 4, 8_000, Duration::ZERO, 0);
        assert_eq!(bad.err(), Some(TrainError::Clock));
    }

    #[test]
    fn a_press_too_long_for_its_clock_is_cut_and_not_wrapped() {
        let long = Train::new("1", LONGEST, 48_000, FRAME, 0).unwrap();
        let packets = all(long);
        let longest = packets.iter().filter_map(|packet| match packet {
            Outgoing::Packet { payload, .. } => Event::parse(payload).map(|event| event.duration),
            _ => None,
        });
        assert_eq!(longest.max(), Some(68 * 960));
    }

    proptest! {
        #[test]
        fn what_is_sent_is_heard_though_packets_are_lost(
            digits in "[0-9*#A-D]{1,12}",
            millis in 40u64..400,
            losses in proptest::collection::vec(0u8..10, 400),
        ) {
            let mut listener = Listener::new(8_000);
            let mut now = Instant::now();
            let mut heard = String::new();
            let mut listen = |events: Vec<Heard>| {
                for event in events {
                    if let Heard::Pressed(digit) = event {
                        heard.push(digit.as_char());
                    }
                }
            };
            let mut lost_in_a_row = 0;
            for (outgoing, loss) in all(train(&digits, millis).unwrap()).into_iter().zip(losses.iter().cycle()) {
                // One in ten is lost, and never two in a row.
                let lost = *loss == 0 && lost_in_a_row == 0;
                lost_in_a_row = u8::from(lost);
                if let Outgoing::Packet { marker, timestamp, payload } = outgoing && !lost {
                    listen(listener.packet(timestamp, marker, &payload, now));
                }
                now += FRAME;
            }
            prop_assert_eq!(heard, digits);
        }
    }
}
