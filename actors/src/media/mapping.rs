//! What becomes of each payload type on its way from one leg to the other.
//!
//! Both descriptions decide it, so it is worked out when one of them changes: a table by payload type,
//! one look-up a packet. The peer's own order of preference chooses among what it takes.

use proto_media::g711::Law;

/// Payload types that seven bits tell apart.
const TYPES: usize = 128;

/// What a payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    G711(Law),
    /// `telephone-event` (RFC 4733).
    Events {
        clock_hz: u32,
    },
    /// `CN` (RFC 3389).
    ComfortNoise,
    /// Passed on untouched to a peer that takes the same.
    Other {
        name: Box<str>,
        clock_hz: u32,
    },
}

/// A payload type and what it stands for in one description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    pub encoding: Encoding,
}

impl Format {
    #[must_use]
    pub fn g711(law: Law) -> Self {
        Self { payload_type: law.payload_type(), encoding: Encoding::G711(law) }
    }

    #[must_use]
    pub fn events(payload_type: u8) -> Self {
        Self { payload_type, encoding: Encoding::Events { clock_hz: 8_000 } }
    }
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// The other leg has nothing like it.
    Drop,
    /// As it is, under this payload type.
    Pass { payload_type: u8 },
    /// From this law to the other one.
    Transcode { from: Law, payload_type: u8 },
    /// Digits, under this payload type.
    Events { payload_type: u8 },
    /// Digits, heard and pressed anew: the other leg counts their time differently.
    Press,
}

/// One direction.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    by_type: [Passage; TYPES],
    presses: bool,
}

impl Mapping {
    /// From what one peer may send to what the other one takes.
    pub(super) fn new(incoming: &[Format], outgoing: &[Format]) -> Self {
        let mut by_type = [Passage::Drop; TYPES];
        for format in incoming {
            if let Some(place) = by_type.get_mut(usize::from(format.payload_type)) {
                *place = passage(&format.encoding, outgoing);
            }
        }
        let presses = by_type.contains(&Passage::Press);
        Self { by_type, presses }
    }

    /// Whether digits are to be pressed anew.
    pub(super) fn presses(&self) -> bool {
        self.presses
    }

    pub(super) fn of(&self, payload_type: u8) -> Passage {
        self.by_type.get(usize::from(payload_type)).copied().unwrap_or(Passage::Drop)
    }
}

fn passage(encoding: &Encoding, outgoing: &[Format]) -> Passage {
    let same = outgoing.iter().find(|format| format.encoding == *encoding);
    match (encoding, same) {
        (Encoding::Events { .. }, Some(format)) => {
            Passage::Events { payload_type: format.payload_type }
        }
        (Encoding::Events { .. }, None) if events(outgoing).is_some() => Passage::Press,
        (_, Some(format)) => Passage::Pass { payload_type: format.payload_type },
        (Encoding::G711(from), None) => {
            let other = |format: &&Format| matches!(format.encoding, Encoding::G711(_));
            outgoing.iter().find(other).map_or(Passage::Drop, |format| Passage::Transcode {
                from: *from,
                payload_type: format.payload_type,
            })
        }
        (_, None) => Passage::Drop,
    }
}

/// The events that a peer takes, and their clock.
pub(super) fn events(formats: &[Format]) -> Option<(u8, u32)> {
    formats.iter().find_map(|format| match format.encoding {
        Encoding::Events { clock_hz } => Some((format.payload_type, clock_hz)),
        _ => None,
    })
}

/// The clock of the timestamps of what a peer takes first.
pub(super) fn clock(formats: &[Format]) -> u32 {
    formats.first().map_or(8_000, |format| match format.encoding {
        Encoding::G711(_) | Encoding::ComfortNoise => 8_000,
        Encoding::Events { clock_hz } | Encoding::Other { clock_hz, .. } => clock_hz.max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opus(payload_type: u8) -> Format {
        let encoding = Encoding::Other { name: "opus/2".into(), clock_hz: 48_000 };
        Format { payload_type, encoding }
    }

    #[test]
    fn the_same_encoding_passes_under_the_others_payload_type() {
        let incoming = [opus(111), Format::g711(Law::A), Format::events(101)];
        let outgoing = [Format::events(96), opus(120), Format::g711(Law::A)];
        let mapping = Mapping::new(&incoming, &outgoing);
        assert_eq!(mapping.of(111), Passage::Pass { payload_type: 120 });
        assert_eq!(mapping.of(8), Passage::Pass { payload_type: 8 });
        assert_eq!(mapping.of(101), Passage::Events { payload_type: 96 });
    }

    #[test]
    fn one_law_becomes_the_other_where_only_that_is_taken() {
        let mapping = Mapping::new(&[Format::g711(Law::Mu)], &[opus(111), Format::g711(Law::A)]);
        assert_eq!(mapping.of(0), Passage::Transcode { from: Law::Mu, payload_type: 8 });
    }

    #[test]
    fn what_the_other_leg_does_not_take_or_nobody_described_is_dropped() {
        let mapping = Mapping::new(&[opus(111), Format::events(101)], &[Format::g711(Law::A)]);
        for payload_type in [111, 101, 0, 8, 127, 255] {
            assert_eq!(mapping.of(payload_type), Passage::Drop, "{payload_type}");
        }
    }

    #[test]
    fn events_of_another_clock_are_pressed_anew() {
        let wide = Format { payload_type: 101, encoding: Encoding::Events { clock_hz: 16_000 } };
        assert_eq!(Mapping::new(&[wide], &[Format::events(101)]).of(101), Passage::Press);
    }
}
