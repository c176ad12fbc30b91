//! When a carrier is spared for a while: too many of its answers in a window were errors.
//!
//! Pure: time is an argument. The window is twelve slices that are reused in turn. An open circuit
//! closes at the first good answer after its time; a bad one opens it anew.

use std::time::Duration;

use model::clock::At;

const SLICES: usize = 12;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circuit {
    /// Of all answers in the window; 1 and more: only by a refused bind.
    pub error_rate: f64,
    pub window: Duration,
    /// With fewer answers in the window it stays closed.
    pub min: u32,
    pub open: Duration,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            error_rate: 0.5,
            window: Duration::from_secs(60),
            min: 20,
            open: Duration::from_secs(30),
        }
    }
}

/// One carrier's breaker.
#[derive(Debug)]
pub struct Breaker {
    circuit: Circuit,
    slices: [Slice; SLICES],
    open_until: Option<At>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which stretch of time it holds.
    number: i64,
    good: u32,
    bad: u32,
}

impl Breaker {
    #[must_use]
    pub fn new(circuit: Circuit) -> Self {
        Self { circuit, slices: [Slice::default(); SLICES], open_until: None }
    }

    /// Other thresholds, from now on.
    pub fn set(&mut self, circuit: Circuit) {
        if self.circuit != circuit {
            let open_until = self.open_until;
            *self = Self { open_until, ..Self::new(circuit) };
        }
    }

    /// Notes answers, good and bad. True: the circuit has just opened or closed.
    pub fn note(&mut self, good: u32, bad: u32, now: At) -> bool {
        if good == 0 && bad == 0 {
            return false;
        }
        if let Some(until) = self.open_until {
            if now < until {
                // Of what was under way when it opened.
                return false;
            }
            if bad > 0 {
                return self.open(now);
            }
            self.slices = [Slice::default(); SLICES];
            self.open_until = None;
            return true;
        }
        let number = self.number(now);
        let slice = &mut self.slices[usize::try_from(number).unwrap_or(0) % SLICES];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice.good = slice.good.saturating_add(good);
        slice.bad = slice.bad.saturating_add(bad);
        self.is_over(number) && self.open(now)
    }

    /// Opens it whatever was counted, as when a bind is refused.
    pub fn open(&mut self, now: At) -> bool {
        self.open_until = Some(now.plus(self.circuit.open));
        true
    }

    /// Until when it is open; `None`: closed. Past that time it waits for a good answer.
    #[must_use]
    pub fn open_until(&self) -> Option<At> {
        self.open_until
    }

    fn is_over(&self, number: i64) -> bool {
        let oldest = number - i64::try_from(SLICES).unwrap_or(0);
        let live = self.slices.iter().filter(|slice| slice.number > oldest);
        let (good, bad) = live.fold((0_u64, 0_u64), |(good, bad), slice| {
            (good + u64::from(slice.good), bad + u64::from(slice.bad))
        });
        let all = good + bad;
        all >= u64::from(self.circuit.min.max(1)) && share(bad, all) >= self.circuit.error_rate
    }

    fn number(&self, now: At) -> i64 {
        let window = i64::try_from(self.circuit.window.as_micros()).unwrap_or(i64::MAX);
        let slice = (window / i64::try_from(SLICES).unwrap_or(1)).max(1);
        now.micros() / slice
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> At {
        At(1_800_000_000_000_000 + seconds * 1_000_000)
    }

    /// What is noted when, and until when the circuit is open after it.
    type Step = (i64, (u32, u32), Option<i64>);

    fn runs(name: &str, steps: &[Step]) {
        let mut breaker = Breaker::new(Circuit::default());
        for (second, (good, bad), open) in steps {
            let before = breaker.open_until();
            let told = breaker.note(*good, *bad, at(*second));
            assert_eq!(breaker.open_until(), open.map(at), "{name} at {second}");
            assert_eq!(told, before != breaker.open_until(), "{name} at {second}");
        }
    }

    #[test]
    fn it_opens_by_its_error_rate_and_closes_by_a_good_answer() {
        runs("too few", &[(0, (0, 19), None)]);
        runs("enough", &[(0, (0, 19), None), (1, (0, 1), Some(31))]);
        runs("under the rate", &[(0, (11, 0), None), (1, (0, 9), None)]);
        runs("at the rate", &[(0, (10, 0), None), (1, (0, 10), Some(31))]);
        runs("old ones count no more", &[(0, (0, 19), None), (61, (0, 1), None)]);
        runs("of its own window", &[(0, (0, 10), None), (50, (0, 10), Some(80))]);
        runs("late answers change nothing", &[(0, (0, 20), Some(30)), (5, (9, 9), Some(30))]);
        runs(
            "a probe fails, the next is good, and the count begins anew",
            &[
                (0, (0, 20), Some(30)),
                (31, (0, 1), Some(61)),
                (62, (1, 0), None),
                (63, (0, 19), None),
                (64, (0, 1), Some(94)),
            ],
        );
        runs("nothing is nothing", &[(0, (0, 0), None)]);
    }

    #[test]
    fn a_refused_bind_opens_it_at_once() {
        let mut breaker = Breaker::new(Circuit { error_rate: 2.0, ..Circuit::default() });
        assert!(!breaker.note(0, 1_000, at(0)), "the rate is out of reach");
        assert!(breaker.open(at(1)));
        assert_eq!(breaker.open_until(), Some(at(31)));
    }

    #[test]
    fn other_thresholds_count_anew_and_leave_it_open() {
        let mut breaker = Breaker::new(Circuit::default());
        breaker.note(0, 19, at(0));
        breaker.set(Circuit { min: 10, ..Circuit::default() });
        assert!(!breaker.note(0, 9, at(1)));
        assert!(breaker.note(0, 1, at(1)));
        breaker.set(Circuit::default());
        assert_eq!(breaker.open_until(), Some(at(31)));
    }
}
