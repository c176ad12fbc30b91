//! Digits: as RTP events (RFC 4733), heard and sent, and in the bodies of SIP INFO.
//!
//! `Listener` (in `listen`) makes one press out of the many packets of an event, also when the last
//! ones were lost or repeated; `Train` (in `send`) makes the packets of a row of digits. `info`
//! reads and writes the two bodies that peers use.

pub mod info;
pub mod listen;
pub mod send;

pub use listen::{Heard, Listener};
pub use send::{Outgoing, Train, TrainError};

/// One of the sixteen keys, or the hook flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

/// By event code; the last is the flash.
const SIGNS: &[u8; 17] = b"0123456789*#ABCD!";

impl Digit {
    pub const FLASH: Self = Self(16);

    pub fn of_event(event: u8) -> Option<Self> {
        (usize::from(event) < SIGNS.len()).then_some(Self(event))
    }

    /// `0` to `9`, `*`, `#`, `A` to `D` in either case, `!` for the flash.
    pub fn of_char(sign: char) -> Option<Self> {
        let sign = u8::try_from(sign).ok()?.to_ascii_uppercase();
        let event = SIGNS.iter().position(|other| *other == sign)?;
        u8::try_from(event).ok().map(Self)
    }

    pub fn event(self) -> u8 {
        self.0
    }

    pub fn as_char(self) -> char {
        SIGNS.get(usize::from(self.0)).map_or('?', |sign| char::from(*sign))
    }
}

/// The payload of an event packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub event: u8,
    pub end: bool,
    /// Below 0 dBm0, 0 to 63.
    pub volume: u8,
    /// In units of the clock, since the event began.
    pub duration: u16,
}

impl Event {
    /// The first event of a payload; what follows it is not read.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        Some(Self {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3F,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    pub fn octets(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, (u8::from(self.end) << 7) | self.volume.min(63), high, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_sign_and_its_event() {
        for (event, sign) in (0_u8..).zip("0123456789*#ABCD!".chars()) {
            let digit = Digit::of_event(event).unwrap();
            assert_eq!((digit.as_char(), digit.event()), (sign, event));
            assert_eq!(Digit::of_char(sign), Some(digit));
        }
        assert_eq!(Digit::of_char('d'), Digit::of_event(15));
        for nothing in ['x', ' ', 'é', '\u{100}'] {
            assert_eq!(Digit::of_char(nothing), None);
        }
        assert_eq!(Digit::of_event(17), None);
    }

    #[test]
    fn an_event_comes_back_from_its_octets() {
        let event = Event { event: 11, end: true, volume: 10, duration: 0x0320 };
        assert_eq!(event.octets(), [11, 0x8A, 3, 0x20]);
        assert_eq!(Event::parse(&event.octets()), Some(event));
        assert_eq!(Event::parse(&[1, 2, 3]), None);
        assert_eq!(Event::parse(&[1, 0x40, 0, 0, 9]).unwrap().volume, 0, "the reserved bit");
    }
}
