//! Tones: what a caller hears while nobody speaks, beeps, and digits as sound.
//!
//! A tone is one or two frequencies with a cadence. `Generator` fills frame after frame and keeps the
//! phase, so frames join without a click; each burst begins and ends softly. Levels are in dBm0, where
//! a full-scale sine is +3.17 (G.711, µ-law). `strength` measures one in what was heard.

use std::f64::consts::TAU;

/// Sounds for a time, is silent for a time, and so on; 0 ms of silence is a steady tone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// In Hz; 0 for none.
    pub frequencies: [f64; 2],
    /// Of each frequency.
    pub level_dbm0: f64,
    pub on_ms: u32,
    pub off_ms: u32,
}

const fn tone(frequencies: [f64; 2], on_ms: u32, off_ms: u32) -> Tone {
    Tone { frequencies, level_dbm0: -13.0, on_ms, off_ms }
}

impl Tone {
    /// North America.
    pub const DIAL_US: Self = tone([350.0, 440.0], 1_000, 0);
    pub const RINGING_US: Self = tone([440.0, 480.0], 2_000, 4_000);
    pub const BUSY_US: Self = tone([480.0, 620.0], 500, 500);
    pub const CONGESTION_US: Self = tone([480.0, 620.0], 250, 250);
    /// Most of Europe (ETSI TR 101 041).
    pub const DIAL_EU: Self = tone([425.0, 0.0], 1_000, 0);
    pub const RINGING_EU: Self = tone([425.0, 0.0], 1_000, 4_000);
    pub const BUSY_EU: Self = tone([425.0, 0.0], 500, 500);
    pub const CONGESTION_EU: Self = tone([425.0, 0.0], 200, 200);
    /// Before a recording.
    pub const BEEP: Self = tone([1_000.0, 0.0], 1_000, 0);

    /// The pair of frequencies of a digit (Q.23), `None` for what is no key.
    pub fn of_key(key: char) -> Option<Self> {
        const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
        const COLUMNS: [f64; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
        const KEYS: [[char; 4]; 4] = [
            ['1', '2', '3', 'A'],
            ['4', '5', '6', 'B'],
            ['7', '8', '9', 'C'],
            ['*', '0', '#', 'D'],
        ];
        let key = key.to_ascii_uppercase();
        let places = KEYS.iter().zip(ROWS);
        let mut found = places.filter_map(|(keys, row)| {
            let column = keys.iter().position(|other| *other == key)?;
            Some([row, *COLUMNS.get(column)?])
        });
        found.next().map(|pair| Self { level_dbm0: -9.0, ..tone(pair, 160, 80) })
    }
}

/// Samples of a ramp at each end of a burst, as a share of a second.
const RAMP_S: f64 = 0.002;
/// dBm0 of a full-scale sine.
const FULL_SCALE_DBM0: f64 = 3.17;

/// Makes the samples of one tone, without an end.
#[derive(Debug, Clone)]
pub struct Generator {
    /// Turns per sample.
    steps: [f64; 2],
    phases: [f64; 2],
    amplitude: f64,
    on: u64,
    off: u64,
    ramp: u64,
    /// Samples into the cadence.
    place: u64,
}

impl Generator {
    /// For a rate between 8,000 and 48,000; others are brought within.
    pub fn new(tone: &Tone, rate_hz: u32) -> Self {
        let rate = rate_hz.clamp(8_000, 48_000);
        let step = |frequency: f64| {
            let audible = frequency.is_finite() && frequency > 0.0;
            if audible { (frequency / f64::from(rate)).min(0.5) } else { 0.0 }
        };
        let samples = |millis: u32| u64::from(millis) * u64::from(rate) / 1_000;
        let level = if tone.level_dbm0.is_finite() { tone.level_dbm0.min(0.0) } else { -60.0 };
        let peak = 10_f64.powf((level - FULL_SCALE_DBM0) / 20.0) * f64::from(i16::MAX);
        let ramp = (f64::from(rate) * RAMP_S) as u64;
        let on = samples(tone.on_ms);
        Self {
            steps: tone.frequencies.map(step),
            phases: [0.0; 2],
            amplitude: peak,
            on: on.max(1),
            off: samples(tone.off_ms),
            ramp: if tone.off_ms == 0 { 0 } else { ramp.min(on / 2) },
            place: 0,
        }
    }

    /// Fills a frame and goes on from its end.
    pub fn fill(&mut self, frame: &mut [i16]) {
        for sample in frame {
            *sample = self.sample();
        }
    }

    fn sample(&mut self) -> i16 {
        let place = self.place;
        self.place = (self.place + 1) % (self.on + self.off);
        if place >= self.on {
            self.phases = [0.0; 2];
            return 0;
        }
        let mut value = 0.0;
        for (phase, step) in self.phases.iter_mut().zip(self.steps) {
            value += (*phase * TAU).sin();
            *phase = (*phase + step).fract();
        }
        let to_edge = (place + 1).min(self.on - place);
        let soft = if to_edge < self.ramp { to_edge as f64 / self.ramp as f64 } else { 1.0 };
        // A cast from float saturates.
        (value * self.amplitude * soft).round() as i16
    }
}

/// How strong a frequency is in the samples (Goertzel): 1 is a sine of full scale, nothing is 0.
#[must_use]
pub fn strength(samples: &[i16], frequency: f64, rate_hz: u32) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let coefficient = 2.0 * (TAU * frequency / f64::from(rate_hz)).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let now = f64::from(*sample) / 32_768.0 + coefficient * one - two;
        (two, one) = (one, now);
    }
    let power = one * one + two * two - coefficient * one * two;
    power.max(0.0).sqrt() * 2.0 / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(tone: &Tone, rate: u32, millis: u32) -> Vec<i16> {
        let mut all = vec![0; (rate * millis / 1_000) as usize];
        let mut generator = Generator::new(tone, rate);
        all.chunks_mut(160).for_each(|frame| generator.fill(frame));
        all
    }

    #[test]
    fn a_key_sounds_at_its_two_frequencies_and_at_no_other() {
        for (key, low, high) in
            [('1', 697.0, 1_209.0), ('#', 941.0, 1_477.0), ('d', 941.0, 1_633.0)]
        {
            let tone = Tone::of_key(key).unwrap();
            let sound = samples(&tone, 8_000, 150);
            for frequency in [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0] {
                let heard = strength(&sound, frequency, 8_000) > 0.1;
                assert_eq!(heard, frequency == low || frequency == high, "{key} {frequency}");
            }
        }
        assert_eq!(Tone::of_key('x'), None);
    }

    #[test]
    fn the_level_is_what_was_asked_for() {
        let tone = Tone { level_dbm0: -10.0, ..Tone::BEEP };
        let decibels = 20.0 * strength(&samples(&tone, 8_000, 1_000), 1_000.0, 8_000).log10();
        assert!((decibels + 13.17).abs() < 0.1, "{decibels}");
    }

    #[test]
    fn the_cadence_is_kept_over_frames() {
        let sound = samples(&Tone::BUSY_EU, 8_000, 2_000);
        for (part, loud) in sound.chunks(4_000).zip([true, false, true, false]) {
            assert_eq!(part.iter().any(|sample| *sample != 0), loud);
        }
    }

    #[test]
    fn a_steady_tone_has_no_gap_where_its_cadence_begins_anew() {
        let sound = samples(&Tone::DIAL_EU, 8_000, 2_000);
        let steepest =
            sound.windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs()).max().unwrap();
        let at_the_seam = (sound[8_000] - sound[7_999]).unsigned_abs();
        assert!(at_the_seam <= steepest && steepest < 3_000, "{at_the_seam} {steepest}");
    }

    #[test]
    fn senseless_tones_are_still_samples() {
        for value in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let tone = Tone { frequencies: [value; 2], level_dbm0: value, on_ms: 0, off_ms: 0 };
            assert_eq!(samples(&tone, 0, 0).len(), 0);
            let mut frame = [0; 160];
            Generator::new(&tone, u32::MAX).fill(&mut frame);
        }
    }
}
