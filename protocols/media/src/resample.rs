//! From 8,000 samples a second to 16,000 and back, by a half-band filter.
//!
//! What lies above the smaller rate's half would come back as a whistle (an image, or an alias), so it is
//! filtered out, by 50 dB. The filter keeps what it needs of the samples before, so frames join without a
//! click; what comes out is a millisecond late.

use std::f32::consts::PI;

/// Coefficients on each side of the middle one; of those only every second is not nought.
const REACH: usize = 15;
/// Coefficients that are not nought, but for the middle one.
const ARMS: usize = REACH + 1;

/// One direction, for one stream.
#[derive(Debug, Clone)]
pub struct Resampler {
    /// Twice as many samples come out, or half as many.
    doubles: bool,
    arms: [f32; ARMS],
    /// What came last, and what is worked on.
    samples: Vec<i16>,
}

impl Resampler {
    /// Between two rates of which one is twice the other; `None`: they are the same, or something else.
    pub fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        let doubles = match (from_hz.checked_mul(2), to_hz.checked_mul(2)) {
            (Some(twice), _) if twice == to_hz => true,
            (_, Some(twice)) if twice == from_hz => false,
            _ => return None,
        };
        let past = if doubles { ARMS - 1 } else { 2 * REACH - 1 };
        Some(Self { doubles, arms: arms(), samples: vec![0; past] })
    }

    /// Appends what these samples become; of an odd number the last one waits for the next.
    pub fn run(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.samples.extend(input);
        let arms = &self.arms;
        let mut done = 0;
        if self.doubles {
            for window in self.samples.windows(ARMS) {
                let taken = window.iter().zip(arms);
                let between: f32 = taken.map(|(sample, arm)| f32::from(*sample) * arm).sum();
                out.extend([window[ARMS / 2 - 1], limited(2.0 * between)]);
                done += 1;
            }
        } else {
            for window in self.samples.windows(2 * REACH + 1).step_by(2) {
                let taken = window.iter().step_by(2).zip(arms);
                let sides: f32 = taken.map(|(sample, arm)| f32::from(*sample) * arm).sum();
                out.push(limited(sides + 0.5 * f32::from(window[REACH])));
                done += 2;
            }
        }
        self.samples.drain(..done);
    }
}

fn limited(sample: f32) -> i16 {
    sample.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16
}

/// A windowed sinc at its odd places, which together let half through.
fn arms() -> [f32; ARMS] {
    let mut arms = [0.0; ARMS];
    for (at, arm) in arms.iter_mut().enumerate() {
        let place = 2.0 * at as f32 - REACH as f32;
        let window = 0.54 + 0.46 * (PI * place / (REACH as f32 + 1.0)).cos();
        *arm = (PI * place / 2.0).sin() / (PI * place) * window;
    }
    let sum: f32 = arms.iter().sum();
    arms.map(|arm| arm * 0.5 / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::{Generator, Tone, strength};

    fn sound(hz: f64, rate: u32, samples: usize) -> Vec<i16> {
        let tone = Tone { frequencies: [hz, 0.0], level_dbm0: -3.0, on_ms: 1_000, off_ms: 0 };
        let mut out = vec![0; samples];
        Generator::new(&tone, rate).fill(&mut out);
        out
    }

    /// In frames of odd sizes.
    fn run(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut out = Vec::new();
        input.chunks(37).for_each(|chunk| resampler.run(chunk, &mut out));
        out
    }

    #[test]
    fn a_voice_comes_through_and_back() {
        let input = sound(1_000.0, 8_000, 1_600);
        let wide = run(8_000, 16_000, &input);
        assert_eq!(wide.len(), 3_200);
        let before = strength(&input[800..], 1_000.0, 8_000);
        for (samples, rate) in [(&wide, 16_000), (&run(16_000, 8_000, &wide), 8_000)] {
            let after = strength(&samples[samples.len() / 2..], 1_000.0, rate);
            assert!((after / before - 1.0).abs() < 0.1, "{after} of {before}");
        }
    }

    #[test]
    fn what_the_smaller_rate_cannot_hold_is_not_heard_elsewhere() {
        let high = run(16_000, 8_000, &sound(6_500.0, 16_000, 3_200));
        let peak = high[400..].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(peak < 200, "{peak}");
    }

    #[test]
    fn other_rates_are_not_known() {
        assert!(Resampler::new(8_000, 8_000).is_none() && Resampler::new(48_000, 8_000).is_none());
    }
}
