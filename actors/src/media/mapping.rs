//! What becomes of each payload type on its way from one leg to the other.
//!
//! Both descriptions decide it, so it is worked out when one of them changes: a table by payload type,
//! one look-up a packet. The peer's own order of preference chooses among what it takes, after what both
//! of its descriptions have.

use proto_media::Speech;
use proto_media::g711::Law;

use super::convert::Turn;
use super::session::RemoteMedia;

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

impl Encoding {
    /// Whether it carries sound by itself.
    fn is_sound(&self) -> bool {
        !matches!(self, Self::Events { .. } | Self::ComfortNoise)
    }

    /// As what we can make it and read it, if we can.
    pub(super) fn speech(&self) -> Option<Speech> {
        let speech = match self {
            Self::G711(law) => Some(Speech::G711(*law)),
            Self::Other { name, clock_hz } => Speech::named(name, *clock_hz),
            Self::Events { .. } | Self::ComfortNoise => None,
        };
        speech.filter(|speech| speech.is_built())
    }
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
    /// Made anew in another codec.
    Convert(Turn),
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
    /// From what one side says to what the other one hears.
    pub(super) fn between(from: &RemoteMedia, to: &RemoteMedia) -> Self {
        let mut mapping = Self::new(&from.receive, &agreed(&to.send, &to.receive));
        let said = agreed(&from.receive, &from.send);
        let sound = said.iter().find(|format| format.encoding.is_sound());
        let passage = sound.map(|format| mapping.of(format.payload_type));
        if matches!(passage, Some(Passage::Convert(_))) {
            mapping.press_events();
        }
        mapping
    }

    /// Sound that is made anew is later than the packets of digits, and has other numbers.
    fn press_events(&mut self) {
        for passage in &mut self.by_type {
            if matches!(passage, Passage::Events { .. }) {
                *passage = Passage::Press;
                self.presses = true;
            }
        }
    }

    /// Whether sound is made anew.
    pub(super) fn converts(&self) -> bool {
        self.by_type.iter().any(|passage| matches!(passage, Passage::Convert(_)))
    }

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
            let law = outgoing.iter().find(other).map(|format| Passage::Transcode {
                from: *from,
                payload_type: format.payload_type,
            });
            law.or_else(|| convert(encoding, outgoing)).unwrap_or(Passage::Drop)
        }
        (Encoding::Other { .. }, None) => convert(encoding, outgoing).unwrap_or(Passage::Drop),
        (_, None) => Passage::Drop,
    }
}

/// What is made anew: into the first that we can do.
fn convert(encoding: &Encoding, outgoing: &[Format]) -> Option<Passage> {
    let from = encoding.speech()?;
    let mut known = outgoing.iter().filter_map(|format| Some((format, format.encoding.speech()?)));
    known
        .next()
        .map(|(format, to)| Passage::Convert(Turn { from, to, payload_type: format.payload_type }))
}

/// The same formats, those first that the other description has too.
pub(super) fn agreed(formats: &[Format], others: &[Format]) -> Vec<Format> {
    let is_agreed = |format: &&Format| others.iter().any(|one| one.encoding == format.encoding);
    let (mut first, rest): (Vec<&Format>, Vec<&Format>) = formats.iter().partition(is_agreed);
    first.extend(rest);
    first.into_iter().cloned().collect()
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
    use std::slice::from_ref;

    use super::*;

    fn opus(payload_type: u8) -> Format {
        let encoding = Encoding::Other { name: "opus".into(), clock_hz: 48_000 };
        Format { payload_type, encoding }
    }

    #[test]
    fn of_what_a_peer_takes_that_goes_first_which_was_agreed() {
        let (mu, a) = (Format::g711(Law::Mu), Format::g711(Law::A));
        let other = || Encoding::Other { name: "iLBC".into(), clock_hz: 8_000 };
        let offered = [Format { payload_type: 97, encoding: other() }, mu.clone(), a.clone()];
        assert_eq!(agreed(&offered, from_ref(&a))[0], a);
        let from = RemoteMedia::speaking(&[mu.clone(), a.clone()], from_ref(&a));
        let to = RemoteMedia::speaking(from_ref(&mu), &[offered[0].clone(), mu.clone()]);
        let mapping = Mapping::between(&from, &to);
        assert_eq!(mapping.of(8), Passage::Transcode { from: Law::A, payload_type: 0 });
        assert!(!mapping.converts());
    }

    #[test]
    fn what_is_made_anew_has_its_digits_pressed_anew() {
        let (law, events) = (Format::g711(Law::A), Format::events(101));
        let from = RemoteMedia::speaking(&[law.clone(), events.clone()], &[law, events.clone()]);
        let to = RemoteMedia::speaking(&[opus(111), events.clone()], &[opus(111), events]);
        let mapping = Mapping::between(&from, &to);
        let turn = Turn { from: Speech::G711(Law::A), to: Speech::Opus, payload_type: 111 };
        let is_built = Speech::Opus.is_built();
        let (sound, digits) = match is_built {
            true => (Passage::Convert(turn), Passage::Press),
            false => (Passage::Drop, Passage::Events { payload_type: 101 }),
        };
        assert_eq!((mapping.of(8), mapping.of(101)), (sound, digits));
        assert_eq!((mapping.converts(), mapping.presses()), (is_built, is_built));
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
        let encoding = Encoding::Other { name: "iLBC".into(), clock_hz: 8_000 };
        let other = Format { payload_type: 111, encoding };
        let mapping = Mapping::new(&[other, Format::events(101)], &[Format::g711(Law::A)]);
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
