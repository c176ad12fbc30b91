//! Codecs that sound is made of and read from: G.711 always, G.722 and Opus where they were built in.
//!
//! G.722 is the `audio-codec` crate (feature `g722`), Opus is libopus by way of `opusic-c` (feature
//! `opus`, which needs cmake and a compiler of C). Payloads come from strangers: what does not decode is
//! no sound, and what decodes is as long as a datagram can make it, and no longer.

use std::fmt;

use crate::g711::Law;

/// Samples of the longest packet of Opus, 120 ms, at 16,000 a second.
#[cfg(feature = "opus")]
const LONGEST: usize = 1_920;
/// Octets of the longest packet of ours.
#[cfg(feature = "opus")]
const PACKET_MAX: usize = 400;
/// How hard the encoder tries, of ten.
#[cfg(feature = "opus")]
const COMPLEXITY: u8 = 5;

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    G711(Law),
    G722,
    Opus,
}

impl Speech {
    /// By its name in a description, and its clock.
    pub fn named(name: &str, clock_hz: u32) -> Option<Self> {
        let all = [Self::G711(Law::Mu), Self::G711(Law::A), Self::G722, Self::Opus];
        let is = |one: &Self| one.name().eq_ignore_ascii_case(name) && one.clock_hz() == clock_hz;
        all.into_iter().find(is)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::G711(Law::Mu) => "PCMU",
            Self::G711(Law::A) => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// Whether this program can do it.
    pub fn is_built(self) -> bool {
        match self {
            Self::G711(_) => true,
            Self::G722 => cfg!(feature = "g722"),
            Self::Opus => cfg!(feature = "opus"),
        }
    }

    /// The clock of its timestamps; that of G.722 is half its rate by an old mistake (RFC 3551 §4.5.2).
    pub fn clock_hz(self) -> u32 {
        match self {
            Self::G711(_) | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Samples a second that it is made of, next to those of `other`: Opus takes what is there.
    pub fn rate_hz(self, other: Self) -> u32 {
        match (self, other) {
            (Self::G711(_), _) | (Self::Opus, Self::G711(_)) => 8_000,
            (Self::G722 | Self::Opus, _) => 16_000,
        }
    }
}

/// From payloads to samples.
pub struct Decoder(Reading);

enum Reading {
    G711(Law),
    #[cfg(feature = "g722")]
    G722(Box<audio_codec::g722::G722Decoder>),
    #[cfg(feature = "opus")]
    Opus(Box<opusic_c::Decoder>, Vec<u16>),
}

/// From samples to payloads.
pub struct Encoder(Writing);

enum Writing {
    G711(Law),
    #[cfg(feature = "g722")]
    G722(Box<audio_codec::g722::G722Encoder>),
    #[cfg(feature = "opus")]
    Opus(Box<opusic_c::Encoder>, Vec<u16>),
}

#[cfg(feature = "opus")]
fn opus_rate(rate_hz: u32) -> opusic_c::SampleRate {
    match rate_hz {
        8_000 => opusic_c::SampleRate::Hz8000,
        _ => opusic_c::SampleRate::Hz16000,
    }
}

impl Decoder {
    /// `None` for what was not built in. The rate is one that `Speech::rate_hz` gives.
    #[cfg_attr(not(feature = "opus"), expect(unused_variables, reason = "of Opus alone"))]
    pub fn new(speech: Speech, rate_hz: u32) -> Option<Self> {
        Some(Self(match speech {
            Speech::G711(law) => Reading::G711(law),
            #[cfg(feature = "g722")]
            Speech::G722 => Reading::G722(Box::default()),
            #[cfg(feature = "opus")]
            Speech::Opus => {
                let decoder = opusic_c::Decoder::new(opusic_c::Channels::Mono, opus_rate(rate_hz));
                Reading::Opus(Box::new(decoder.ok()?), vec![0; LONGEST])
            }
            #[cfg(not(all(feature = "g722", feature = "opus")))]
            _ => return None,
        }))
    }

    /// Appends the samples of a payload; none, if it makes no sense.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        if payload.is_empty() {
            return;
        }
        match &mut self.0 {
            Reading::G711(law) => law.decode_all(payload, out),
            #[cfg(feature = "g722")]
            Reading::G722(decoder) => {
                use audio_codec::Decoder as _;
                let begin = out.len();
                out.resize(begin + decoder.max_decode_samples(payload.len()), 0);
                let done = decoder.decode_into(payload, &mut out[begin..]).unwrap_or(0);
                out.truncate(begin + done);
            }
            #[cfg(feature = "opus")]
            Reading::Opus(decoder, room) => {
                let done = decoder.decode_to_slice(payload, room, false).unwrap_or(0);
                out.extend(room[..done].iter().map(|sample| *sample as i16));
            }
        }
    }

    /// So many samples for a packet that was lost, if the codec knows how.
    #[cfg_attr(not(feature = "opus"), expect(unused_variables, reason = "of Opus alone"))]
    pub fn conceal(&mut self, samples: usize) -> Option<Vec<i16>> {
        #[cfg(feature = "opus")]
        if let Reading::Opus(decoder, room) = &mut self.0 {
            let wanted = samples.min(room.len());
            let done = decoder.decode_to_slice(&[], &mut room[..wanted], false).ok()?;
            return Some(room[..done].iter().map(|sample| *sample as i16).collect());
        }
        None
    }
}

impl Encoder {
    /// `None` for what was not built in. The rate is one that `Speech::rate_hz` gives.
    #[cfg_attr(not(feature = "opus"), expect(unused_variables, reason = "of Opus alone"))]
    pub fn new(speech: Speech, rate_hz: u32) -> Option<Self> {
        Some(Self(match speech {
            Speech::G711(law) => Writing::G711(law),
            #[cfg(feature = "g722")]
            Speech::G722 => Writing::G722(Box::default()),
            #[cfg(feature = "opus")]
            Speech::Opus => {
                let (mono, voice) = (opusic_c::Channels::Mono, opusic_c::Application::Voip);
                let mut encoder = opusic_c::Encoder::new(mono, opus_rate(rate_hz), voice).ok()?;
                encoder.set_complexity(COMPLEXITY).ok()?;
                Writing::Opus(Box::new(encoder), Vec::new())
            }
            #[cfg(not(all(feature = "g722", feature = "opus")))]
            _ => return None,
        }))
    }

    /// Appends the payload of a frame of 20 ms.
    pub fn encode(&mut self, frame: &[i16], out: &mut Vec<u8>) {
        match &mut self.0 {
            Writing::G711(law) => law.encode_all(frame, out),
            #[cfg(feature = "g722")]
            Writing::G722(encoder) => {
                use audio_codec::Encoder as _;
                let begin = out.len();
                out.resize(begin + encoder.max_encode_bytes(frame.len()), 0);
                let done = encoder.encode_into(frame, &mut out[begin..]).unwrap_or(0);
                out.truncate(begin + done);
            }
            #[cfg(feature = "opus")]
            Writing::Opus(encoder, room) => {
                room.clear();
                room.extend(frame.iter().map(|sample| *sample as u16));
                let begin = out.len();
                out.resize(begin + PACKET_MAX, 0);
                let done = encoder.encode_to_slice(room, &mut out[begin..]).unwrap_or(0);
                out.truncate(begin + done);
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_known_by_their_names_and_clocks() {
        assert_eq!(Speech::named("pcmu", 8_000), Some(Speech::G711(Law::Mu)));
        assert_eq!(Speech::named("G722", 8_000), Some(Speech::G722));
        assert_eq!(Speech::named("Opus", 48_000), Some(Speech::Opus));
        assert_eq!(Speech::named("PCMU", 16_000), None);
    }

    #[test]
    fn what_was_not_built_in_is_not_made() {
        for speech in [Speech::G711(Law::A), Speech::G722, Speech::Opus] {
            let made = (Decoder::new(speech, 16_000), Encoder::new(speech, 16_000));
            assert_eq!(
                (made.0.is_some(), made.1.is_some()),
                (speech.is_built(), speech.is_built())
            );
        }
    }
}
