//! A histogram of latencies in microseconds with a fixed size.
//!
//! Each power of two is cut in 64 equal steps, so a percentile is at most 1.6 % off and
//! recording costs one addition. Nothing is allocated after construction, and histograms
//! of several workers can be merged. Values above about 19 hours share the last bucket.

use serde::Serialize;

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
const POWERS: usize = 31;
const BUCKETS: usize = STEPS * POWERS;

pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u64,
    max: u64,
}

/// What a scenario prints of a histogram.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) mean_ms: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, micros: u64) {
        self.counts[bucket(micros)] += 1;
        self.total += 1;
        self.sum = self.sum.saturating_add(micros);
        self.max = self.max.max(micros);
    }

    /// The smallest value such that a share `quantile` of all values is not above it.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        if self.total == 0 {
            return 0;
        }
        let wanted = ((self.total as f64 * quantile).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(index).min(self.max);
            }
        }
        self.max
    }

    pub(crate) fn summary(&self) -> Summary {
        let mean = self.sum as f64 / self.total.max(1) as f64;
        Summary {
            count: self.total,
            mean_ms: millis(mean),
            p50_ms: millis(self.quantile(0.5) as f64),
            p99_ms: millis(self.quantile(0.99) as f64),
            p999_ms: millis(self.quantile(0.999) as f64),
            max_ms: millis(self.max as f64),
        }
    }
}

/// Microseconds to milliseconds, rounded to a microsecond.
fn millis(micros: f64) -> f64 {
    micros.round() / 1000.0
}

/// Values below `2 * STEPS` have a bucket each; above, the leading bits choose.
fn bucket(value: u64) -> usize {
    if value < STEPS as u64 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() - STEP_BITS;
    let step = (value >> power) as usize;
    ((power as usize) * STEPS + step).min(BUCKETS - 1)
}

/// The highest value that falls into a bucket.
fn highest(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let power = index / STEPS - 1;
    let step = (index - power * STEPS) as u64;
    ((step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket() {
        for value in (0..5_000).chain([65_535, 65_536, 1_000_000, 59_999_999]) {
            let index = bucket(value);
            assert!(value <= highest(index), "{value} above bucket {index}");
            if index > 0 {
                assert!(value > highest(index - 1), "{value} below bucket {index}");
            }
        }
    }

    #[test]
    fn percentiles_are_within_two_percent() {
        let mut histogram = Histogram::new();
        for value in 1..=100_000 {
            histogram.record(value);
        }
        for (quantile, wanted) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let got = histogram.quantile(quantile) as f64;
            assert!((got / wanted - 1.0).abs() < 0.02, "{quantile}: {got}");
        }
        assert_eq!(histogram.summary().max_ms, 100.0);
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        assert_eq!(Histogram::new().summary().p99_ms, 0.0);
    }

    #[test]
    fn a_huge_value_shares_the_last_bucket() {
        let mut histogram = Histogram::new();
        histogram.record(u64::MAX);
        histogram.record(1);
        assert_eq!(histogram.quantile(0.5), 1);
    }
}
