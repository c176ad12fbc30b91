//! WAV files of telephony: PCM of 16 bits, A-law and µ-law, with one channel or two.
//!
//! `Wav::parse` is a view over a whole file in memory; it looks at each chunk once and believes no
//! length. `header` gives the octets in front of the data, also before the data's length is known: a
//! recorder writes it first with 0, and again over itself at the end. `interleave` makes two legs one
//! recording, left the caller.

use thiserror::Error;

use crate::g711::Law;

/// Octets that `header` gives.
pub const HEADER: usize = 58;
/// Chunks that are looked at before the data.
const CHUNKS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Pcm16,
    G711(Law),
}

impl Format {
    fn tag(self) -> u16 {
        match self {
            Self::Pcm16 => 1,
            Self::G711(Law::A) => 6,
            Self::G711(Law::Mu) => 7,
        }
    }

    fn of(tag: u16, bits: u16) -> Result<Self, WavError> {
        match (tag, bits) {
            (1, 16) => Ok(Self::Pcm16),
            (6, 8) => Ok(Self::G711(Law::A)),
            (7, 8) => Ok(Self::G711(Law::Mu)),
            _ => Err(WavError::Format { tag, bits }),
        }
    }

    /// Octets of one sample.
    pub fn octets(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::G711(_) => 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WavError {
    #[error("not a WAV file")]
    NotWav,
    #[error("no description of the format, or no data")]
    Incomplete,
    #[error("format {tag} with {bits} bits is not read")]
    Format { tag: u16, bits: u16 },
    #[error("{0} channels")]
    Channels(u16),
    #[error("a rate of {0} Hz")]
    Rate(u32),
    #[error("longer than a WAV file can be")]
    TooLong,
}

/// A file, as a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wav<'a> {
    pub format: Format,
    /// 1 or 2.
    pub channels: u16,
    pub rate_hz: u32,
    /// Whole samples of all channels.
    pub data: &'a [u8],
}

impl<'a> Wav<'a> {
    pub fn parse(file: &'a [u8]) -> Result<Self, WavError> {
        let mut rest = match file {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', rest @ ..] => rest,
            _ => return Err(WavError::NotWav),
        };
        let mut described = None;
        for _ in 0..CHUNKS_MAX {
            let Some((head, body)) = rest.split_first_chunk::<8>() else { break };
            let [a, b, c, d, length @ ..] = *head;
            let length = u32::from_le_bytes(length) as usize;
            // A recorder that was cut off left a length of 0 or of everything: what is there counts.
            let whole = body.split_at_checked(length);
            match (&[a, b, c, d], described) {
                (b"fmt ", _) => {
                    let (body, _) = whole.ok_or(WavError::Incomplete)?;
                    described = Some(Self::describe(body)?);
                }
                (b"data", Some(wav)) => {
                    let body = match whole {
                        Some((data, _)) if length > 0 => data,
                        _ => body,
                    };
                    return Ok(wav.with(body));
                }
                (b"data", None) => return Err(WavError::Incomplete),
                _ => {}
            }
            // Chunks begin at even places.
            rest = body.get(length.saturating_add(length % 2)..).unwrap_or_default();
        }
        Err(WavError::Incomplete)
    }

    fn describe(body: &[u8]) -> Result<Wav<'static>, WavError> {
        let fixed = body.first_chunk::<16>().ok_or(WavError::Incomplete)?;
        let half = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let (channels, bits) = (half(2), half(14));
        let rate_hz = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        // The extensible form has the true tag in front of its GUID.
        let tag = match (half(0), body.get(24..26)) {
            (0xFFFE, Some(&[low, high])) => u16::from_le_bytes([low, high]),
            (tag, _) => tag,
        };
        let format = Format::of(tag, bits)?;
        if !(1..=2).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        if !(8_000..=48_000).contains(&rate_hz) {
            return Err(WavError::Rate(rate_hz));
        }
        Ok(Wav { format, channels, rate_hz, data: &[] })
    }

    fn with<'b>(self, data: &'b [u8]) -> Wav<'b> {
        let frame = self.format.octets() * usize::from(self.channels);
        let Wav { format, channels, rate_hz, .. } = self;
        Wav { format, channels, rate_hz, data: &data[..data.len() / frame * frame] }
    }

    /// Frames: samples of one channel.
    pub fn frames(&self) -> usize {
        self.data.len() / (self.format.octets() * usize::from(self.channels))
    }

    /// The samples of all channels, in turn.
    pub fn samples(&self) -> impl Iterator<Item = i16> + '_ {
        let octets = self.format.octets();
        self.data.chunks_exact(octets).map(move |sample| match (self.format, sample) {
            (Format::G711(law), [octet]) => law.decode(*octet),
            (_, [low, high]) => i16::from_le_bytes([*low, *high]),
            _ => 0,
        })
    }

    /// One sample for each frame: two channels become their mean.
    pub fn mono(&self) -> impl Iterator<Item = i16> + '_ {
        let mut samples = self.samples();
        let channels = self.channels;
        std::iter::from_fn(move || {
            let first = samples.next()?;
            if channels == 1 {
                return Some(first);
            }
            let second = samples.next().unwrap_or(first);
            Some(i32::midpoint(i32::from(first), i32::from(second)) as i16)
        })
    }
}

/// What stands in front of so many octets of data. Behind an odd number of them belongs a zero.
pub fn header(
    format: Format,
    channels: u16,
    rate_hz: u32,
    data_octets: u64,
) -> Result<[u8; HEADER], WavError> {
    if !(1..=2).contains(&channels) {
        return Err(WavError::Channels(channels));
    }
    if !(8_000..=48_000).contains(&rate_hz) {
        return Err(WavError::Rate(rate_hz));
    }
    let whole = data_octets.checked_add(data_octets % 2 + HEADER as u64 - 8);
    let riff = whole.and_then(|octets| u32::try_from(octets).ok()).ok_or(WavError::TooLong)?;
    let data = data_octets as u32;
    let frame = format.octets() as u16 * channels;
    let frames = data / u32::from(frame);
    let mut out = [0; HEADER];
    let mut at = 0;
    let mut put = |octets: &[u8]| {
        out[at..at + octets.len()].copy_from_slice(octets);
        at += octets.len();
    };
    put(b"RIFF");
    put(&riff.to_le_bytes());
    put(b"WAVEfmt ");
    // With the empty extension and the count of frames that what is not PCM has to have.
    put(&18_u32.to_le_bytes());
    put(&format.tag().to_le_bytes());
    put(&channels.to_le_bytes());
    put(&rate_hz.to_le_bytes());
    put(&(rate_hz * u32::from(frame)).to_le_bytes());
    put(&frame.to_le_bytes());
    put(&(format.octets() as u16 * 8).to_le_bytes());
    put(&0_u16.to_le_bytes());
    put(b"fact");
    put(&4_u32.to_le_bytes());
    put(&frames.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    Ok(out)
}

/// Appends the samples of two legs in turn; the shorter one is filled with silence.
pub fn interleave(left: &[i16], right: &[i16], out: &mut Vec<u8>) {
    let sample = |leg: &[i16], at: usize| leg.get(at).copied().unwrap_or(0).to_le_bytes();
    for at in 0..left.len().max(right.len()) {
        out.extend(sample(left, at));
        out.extend(sample(right, at));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(format: Format, channels: u16, data: &[u8]) -> Vec<u8> {
        let mut file = header(format, channels, 8_000, data.len() as u64).unwrap().to_vec();
        file.extend(data);
        file
    }

    fn by_hound(channels: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    #[test]
    fn what_another_program_writes_is_read_and_what_is_written_another_reads() {
        let samples = [0, 1, -1, i16::MAX, i16::MIN, 300];
        for channels in [1, 2] {
            let theirs = by_hound(channels, &samples);
            let wav = Wav::parse(&theirs).unwrap();
            assert_eq!((wav.format, wav.channels, wav.rate_hz), (Format::Pcm16, channels, 8_000));
            assert_eq!(wav.samples().collect::<Vec<_>>(), samples);
            assert_eq!(wav.frames(), 6 / usize::from(channels));
            let ours = file(Format::Pcm16, channels, wav.data);
            let reader = hound::WavReader::new(&ours[..]).unwrap();
            assert_eq!((reader.spec().channels, reader.spec().sample_rate), (channels, 8_000));
            let read: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
            assert_eq!(read, samples);
        }
    }

    #[test]
    fn both_laws_are_read() {
        for law in [Law::A, Law::Mu] {
            let file = file(Format::G711(law), 1, &[1, 2, 3]);
            let wav = Wav::parse(&file).unwrap();
            assert_eq!(wav.format, Format::G711(law));
            let expected: Vec<i16> = [1, 2, 3].map(|octet| law.decode(octet)).to_vec();
            assert_eq!(wav.samples().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn two_legs_are_the_two_sides_of_a_recording() {
        let mut data = Vec::new();
        interleave(&[100, 200, 300], &[-100], &mut data);
        let file = file(Format::Pcm16, 2, &data);
        let wav = Wav::parse(&file).unwrap();
        assert_eq!(wav.samples().collect::<Vec<_>>(), [100, -100, 200, 0, 300, 0]);
        assert_eq!(wav.mono().collect::<Vec<_>>(), [0, 100, 150]);
    }

    #[test]
    fn a_recording_that_was_cut_off_is_read_as_far_as_it_goes() {
        let mut file = file(Format::Pcm16, 1, &[1, 0, 2, 0, 3]);
        for length in [0_u32, 4_000, u32::MAX] {
            file[HEADER - 4..HEADER].copy_from_slice(&length.to_le_bytes());
            assert_eq!(Wav::parse(&file).unwrap().samples().collect::<Vec<_>>(), [1, 2]);
        }
    }

    #[test]
    fn chunks_that_are_not_known_are_passed_over() {
        let whole = file(Format::Pcm16, 1, &[1, 0]);
        let mut with = whole[..12].to_vec();
        with.extend(b"LIST\x03\0\0\0abc\0");
        with.extend(&whole[12..]);
        assert_eq!(Wav::parse(&with).unwrap().frames(), 1);
        let many = [&whole[..12], &b"junk\0\0\0\0".repeat(CHUNKS_MAX), &whole[12..]].concat();
        assert_eq!(Wav::parse(&many), Err(WavError::Incomplete));
    }

    #[test]
    fn what_is_not_read_is_named() {
        assert_eq!(Wav::parse(b"RIFX"), Err(WavError::NotWav));
        let mut file = file(Format::Pcm16, 1, &[0; 4]);
        assert_eq!(Wav::parse(&file[..40]), Err(WavError::Incomplete));
        file[22] = 3;
        assert_eq!(Wav::parse(&file), Err(WavError::Channels(3)));
        file[20] = 85;
        assert_eq!(Wav::parse(&file), Err(WavError::Format { tag: 85, bits: 16 }));
        assert_eq!(header(Format::Pcm16, 0, 8_000, 0), Err(WavError::Channels(0)));
        assert_eq!(header(Format::Pcm16, 1, 0, 0), Err(WavError::Rate(0)));
        assert_eq!(header(Format::Pcm16, 1, 8_000, u64::MAX), Err(WavError::TooLong));
        assert_eq!(header(Format::Pcm16, 1, 8_000, 1 << 32), Err(WavError::TooLong));
    }

    proptest! {
        #[test]
        fn no_file_panics(tail in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..60) {
            let mut file = file(Format::Pcm16, 2, &[]);
            file.truncate(cut);
            file.extend(tail);
            if let Ok(wav) = Wav::parse(&file) {
                prop_assert_eq!(wav.samples().count(), wav.frames() * usize::from(wav.channels));
                prop_assert_eq!(wav.mono().count(), wav.frames());
            }
        }
    }
}
