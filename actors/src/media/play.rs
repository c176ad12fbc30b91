//! What is played to a leg in the other one's place: a tone, or a sound from a WAV file.
//!
//! Reading a file is the caller's affair and done once: a sound is its samples, shared by all who
//! play it. A player fills one frame of 20 ms at a time; what was not repeated ends in silence.

use std::sync::Arc;

use proto_media::tone::{Generator, Tone};
use proto_media::wav::{Wav, WavError};
use thiserror::Error;

use super::session::PlayId;

/// Samples of a frame.
pub(super) const FRAME: usize = 160;
/// What is played in samples a second.
const RATE_HZ: u32 = 8_000;

/// Something to be heard; clones share their samples.
#[derive(Clone, Debug)]
pub enum Sound {
    Tone(Tone),
    Samples(Arc<[i16]>),
}

/// A tone that is known by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToneName {
    Ringback,
    Busy,
    Dial,
    Congestion,
    Beep,
}

/// Why a file is no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SoundError {
    #[error(transparent)]
    Wav(#[from] WavError),
    #[error("a rate of {0} Hz, not 8,000")]
    Rate(u32),
    #[error("it has no samples")]
    Empty,
}

impl Sound {
    /// A tone as it is heard in North America, or else in Europe.
    #[must_use]
    pub fn tone(name: ToneName, is_american: bool) -> Self {
        Self::Tone(match (name, is_american) {
            (ToneName::Ringback, true) => Tone::RINGING_US,
            (ToneName::Ringback, false) => Tone::RINGING_EU,
            (ToneName::Busy, true) => Tone::BUSY_US,
            (ToneName::Busy, false) => Tone::BUSY_EU,
            (ToneName::Dial, true) => Tone::DIAL_US,
            (ToneName::Dial, false) => Tone::DIAL_EU,
            (ToneName::Congestion, true) => Tone::CONGESTION_US,
            (ToneName::Congestion, false) => Tone::CONGESTION_EU,
            (ToneName::Beep, _) => Tone::BEEP,
        })
    }

    /// A WAV file of 8,000 samples a second; two channels become one.
    pub fn from_wav(file: &[u8]) -> Result<Self, SoundError> {
        let wav = Wav::parse(file)?;
        if wav.rate_hz != RATE_HZ {
            return Err(SoundError::Rate(wav.rate_hz));
        }
        let samples: Arc<[i16]> = wav.mono().collect();
        if samples.is_empty() { Err(SoundError::Empty) } else { Ok(Self::Samples(samples)) }
    }
}

#[derive(Debug)]
enum Source {
    Tone(Box<Generator>),
    Samples(Arc<[i16]>),
}

#[derive(Debug)]
pub(super) struct Player {
    pub(super) id: PlayId,
    source: Source,
    /// Samples of one round.
    length: usize,
    place: usize,
    repeats: bool,
}

impl Player {
    /// A tone's round is once its cadence.
    pub(super) fn new(id: PlayId, sound: &Sound, repeats: bool) -> Self {
        let (source, length) = match sound {
            Sound::Tone(tone) => {
                let millis = tone.on_ms.saturating_add(tone.off_ms).max(1) as usize;
                let samples = millis.saturating_mul(RATE_HZ as usize) / 1_000;
                (Source::Tone(Box::new(Generator::new(tone, RATE_HZ))), samples)
            }
            Sound::Samples(samples) => (Source::Samples(Arc::clone(samples)), samples.len()),
        };
        Self { id, source, length, place: 0, repeats }
    }

    pub(super) fn is_over(&self) -> bool {
        self.place >= self.length && !self.repeats
    }

    pub(super) fn fill(&mut self, frame: &mut [i16; FRAME]) {
        frame.fill(0);
        match &mut self.source {
            Source::Tone(generator) => {
                let rest = if self.repeats { FRAME } else { self.length - self.place };
                let sounding = rest.min(FRAME);
                generator.fill(&mut frame[..sounding]);
                self.place += sounding;
                if self.repeats {
                    self.place %= self.length.max(1);
                }
            }
            Source::Samples(samples) => {
                for sample in frame {
                    if self.repeats && self.place >= samples.len() {
                        self.place = 0;
                    }
                    let Some(next) = samples.get(self.place) else { break };
                    *sample = *next;
                    self.place += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto_media::wav::{Format, header};

    use super::*;

    fn frames(player: &mut Player, count: usize) -> Vec<i16> {
        let mut all = Vec::new();
        for _ in 0..count {
            let mut frame = [1; FRAME];
            player.fill(&mut frame);
            all.extend(frame);
        }
        all
    }

    #[test]
    fn a_sound_ends_with_its_samples_or_begins_anew() {
        let sound = Sound::Samples((1..=200).collect());
        let mut once = Player::new(PlayId(1), &sound, false);
        let heard = frames(&mut once, 2);
        assert_eq!((heard[199], heard[200], once.is_over()), (200, 0, true));
        let mut always = Player::new(PlayId(1), &sound, true);
        let heard = frames(&mut always, 4);
        assert_eq!((heard[199], heard[200], heard[400], always.is_over()), (200, 1, 1, false));
    }

    #[test]
    fn a_tone_is_one_round_of_its_cadence_or_goes_on() {
        let tone = Tone { on_ms: 50, off_ms: 10, ..Tone::BUSY_EU };
        let mut once = Player::new(PlayId(1), &Sound::Tone(tone), false);
        let heard = frames(&mut once, 3);
        assert!(once.is_over());
        assert!(heard[100..390].iter().any(|sample| *sample != 0));
        assert!(heard[401..].iter().all(|sample| *sample == 0));
        let mut always = Player::new(PlayId(1), &Sound::Tone(tone), true);
        let heard = frames(&mut always, 50);
        assert!(heard[49 * FRAME..].iter().any(|sample| *sample != 0) && !always.is_over());
    }

    #[test]
    fn a_file_is_a_sound_when_its_rate_fits() {
        let file = |rate: u32, data: &[u8]| {
            let mut file = header(Format::Pcm16, 1, rate, data.len() as u64).unwrap().to_vec();
            file.extend(data);
            Sound::from_wav(&file)
        };
        assert!(
            matches!(file(8_000, &[1, 0, 2, 0]), Ok(Sound::Samples(samples)) if *samples == [1, 2])
        );
        assert_eq!(file(16_000, &[1, 0]).unwrap_err(), SoundError::Rate(16_000));
        assert_eq!(file(8_000, &[]).unwrap_err(), SoundError::Empty);
        assert_eq!(Sound::from_wav(b"x").unwrap_err(), SoundError::Wav(WavError::NotWav));
    }
}
