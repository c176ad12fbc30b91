//! How good a leg sounds: the E-model (ITU-T G.107) from loss, jitter and delay, and a leg's counters.
//!
//! The full model has twenty parameters; all but three keep the defaults of the recommendation, so
//! what is left is R = 93.2 − Id − Ie,eff. The delay impairment is its usual linear form with the
//! knee at 177.3 ms. MOS is given in hundredths, so that a leg can be compared and stored exactly.

use std::time::Duration;

use crate::rtcp::Block;

/// How a codec bears loss (ITU-T G.113).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Codec {
    /// What it costs without any loss (Ie).
    pub impairment: f64,
    /// How well it bears loss (Bpl).
    pub robustness: f64,
}

impl Codec {
    /// G.711 whose gaps are filled with silence.
    pub const G711: Self = Self { impairment: 0.0, robustness: 4.3 };
    /// G.711 with concealment (G.711 Appendix I).
    pub const G711_CONCEALED: Self = Self { impairment: 0.0, robustness: 25.1 };
    /// G.729 Annex A.
    pub const G729: Self = Self { impairment: 11.0, robustness: 19.0 };
}

/// R without any impairment.
const BEST: f64 = 93.2;

/// The rating R, 0 to 93.2. `loss` is a share from 0 to 1, `delay` mouth to ear.
pub fn rating(codec: Codec, loss: f64, delay: Duration) -> f64 {
    let percent = if loss.is_finite() { loss.clamp(0.0, 1.0) * 100.0 } else { 100.0 };
    let millis = delay.as_secs_f64() * 1_000.0;
    let by_delay = 0.024 * millis + 0.11 * (millis - 177.3).max(0.0);
    let bearable = percent / (percent + codec.robustness.max(f64::EPSILON));
    let by_loss = codec.impairment + (95.0 - codec.impairment) * bearable;
    (BEST - by_delay - by_loss).clamp(0.0, BEST)
}

/// The mean opinion score for a rating, in hundredths: 100 to 441.
pub fn mos(rating: f64) -> u16 {
    let score = 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6;
    // For R between 0 and 6.5 the formula falls below 1.
    (score.clamp(1.0, 4.5) * 100.0).round() as u16
}

/// What is known of one stretch of a leg.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stretch {
    /// A share from 0 to 1.
    pub loss: f64,
    pub jitter: Duration,
    /// There and back, when reports gave it.
    pub round_trip: Option<Duration>,
    /// What one packet holds.
    pub packet: Duration,
}

impl Stretch {
    /// From a block of a report, with the clock its jitter is counted in.
    pub fn of_block(block: &Block, clock_hz: u32, round_trip: Option<Duration>) -> Self {
        let units = u64::from(block.jitter) * 1_000_000_000;
        Self {
            loss: f64::from(block.fraction_lost) / 256.0,
            jitter: Duration::from_nanos(units.checked_div(u64::from(clock_hz)).unwrap_or(0)),
            round_trip,
            packet: Duration::from_millis(20),
        }
    }

    /// Half the way there and back, one packet, and a jitter buffer of twice the jitter.
    pub fn delay(&self) -> Duration {
        let way = self.round_trip.unwrap_or_default() / 2;
        way.saturating_add(self.packet).saturating_add(self.jitter.saturating_mul(2))
    }

    pub fn mos(&self, codec: Codec) -> u16 {
        mos(rating(codec, self.loss, self.delay()))
    }
}

/// One direction of a call, from its first packet to its last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub packets: u64,
    pub octets: u64,
    pub lost: u64,
    /// Came after their turn.
    pub late: u64,
    pub duplicates: u64,
    /// From an address or source that had no business here.
    pub refused: u64,
    pub jitter_max: Duration,
    pub round_trip: Option<Duration>,
    stretches: u64,
    mos_sum: u64,
    mos_worst: Option<u16>,
}

impl Counters {
    /// Takes note of a stretch, as each report gives one.
    pub fn stretch(&mut self, stretch: &Stretch, codec: Codec) -> u16 {
        let mos = stretch.mos(codec);
        self.jitter_max = self.jitter_max.max(stretch.jitter);
        self.round_trip = stretch.round_trip.or(self.round_trip);
        self.stretches = self.stretches.saturating_add(1);
        self.mos_sum = self.mos_sum.saturating_add(u64::from(mos));
        self.mos_worst = Some(self.mos_worst.map_or(mos, |worst| worst.min(mos)));
        mos
    }

    /// The mean over the stretches, in hundredths.
    pub fn mos(&self) -> Option<u16> {
        let mean = self.mos_sum.checked_div(self.stretches)?;
        u16::try_from(mean).ok()
    }

    pub fn mos_worst(&self) -> Option<u16> {
        self.mos_worst
    }

    /// In hundredths of a percent.
    pub fn loss(&self) -> u64 {
        let all = self.packets.saturating_add(self.lost);
        self.lost.saturating_mul(10_000).checked_div(all).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_perfect_leg_has_the_best_score_of_the_model() {
        assert_eq!(mos(rating(Codec::G711, 0.0, Duration::ZERO)), 441);
        assert_eq!(mos(0.0), 100);
        assert_eq!(mos(5.0), 100, "the formula falls below 1 here");
    }

    #[test]
    fn loss_and_delay_cost_what_the_recommendation_says() {
        // G.113: G.711 with concealment at 5 % loss has Ie,eff 15.8.
        let by_loss = BEST - rating(Codec::G711_CONCEALED, 0.05, Duration::ZERO);
        assert!((by_loss - 15.78).abs() < 0.01, "{by_loss}");
        // 300 ms: 7.2 and 13.5.
        let by_delay = BEST - rating(Codec::G711, 0.0, millis(300));
        assert!((by_delay - 20.697).abs() < 0.01, "{by_delay}");
        assert!(mos(rating(Codec::G711, 0.05, Duration::ZERO)) < 250);
        assert!(mos(rating(Codec::G729, 0.0, millis(100))) > 380);
    }

    #[test]
    fn a_leg_keeps_its_mean_and_its_worst_stretch() {
        let mut counters = Counters { packets: 980, lost: 20, ..Counters::default() };
        assert_eq!((counters.mos(), counters.mos_worst()), (None, None));
        let good = Stretch { packet: millis(20), ..Stretch::default() };
        let bad = Stretch { loss: 0.1, round_trip: Some(millis(80)), ..good };
        let best = counters.stretch(&good, Codec::G711);
        let worst = counters.stretch(&bad, Codec::G711);
        assert_eq!(counters.mos(), Some((best + worst) / 2));
        assert_eq!(counters.mos_worst(), Some(worst));
        assert_eq!(counters.loss(), 200);
        counters.stretch(&good, Codec::G711);
        assert_eq!(counters.round_trip, Some(millis(80)), "the last one known");
    }

    #[test]
    fn a_block_becomes_a_stretch() {
        let block = Block { fraction_lost: 64, jitter: 80, ..Block::default() };
        let stretch = Stretch::of_block(&block, 8_000, Some(millis(60)));
        assert_eq!((stretch.loss, stretch.jitter), (0.25, millis(10)));
        assert_eq!(stretch.delay(), millis(70));
        assert_eq!(Stretch::of_block(&block, 0, None).jitter, Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_score_is_in_its_range_and_never_rises_with_loss(
            loss in any::<f64>(), nanos in any::<u64>(), more in 0.0..1.0_f64
        ) {
            let delay = Duration::from_nanos(nanos);
            let score = mos(rating(Codec::G711, loss, delay));
            prop_assert!((100..=441).contains(&score));
            let worse = rating(Codec::G711, more, delay);
            prop_assert!(worse <= rating(Codec::G711, more / 2.0, delay));
        }
    }
}
