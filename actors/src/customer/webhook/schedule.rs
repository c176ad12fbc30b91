//! When a delivery that failed is tried again. Pure: chance comes in as a number.

use std::time::Duration;

use model::clock::At;

/// However long an endpoint asks us to stay away.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The wait after so many failed attempts, at least one; `None`: that was the last. `chance`, from
/// 0 to 1, spreads it by a tenth to either side; `retry_after` is what the endpoint asked for.
#[must_use]
pub fn wait(
    delays: &[Duration],
    attempts: i64,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Duration> {
    let step = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let delay = spread(*delays.get(step)?, chance);
    Some(delay.max(retry_after.unwrap_or_default()))
}

/// A tenth to either side.
#[must_use]
pub fn spread(delay: Duration, chance: f64) -> Duration {
    delay.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

/// Reads `Retry-After`: seconds, or a date; no longer than a day.
#[must_use]
pub fn retry_after(text: &str, now: At) -> Option<Duration> {
    let text = text.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => At::parse_http(text)?.since(now),
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn seven_attempts_at_the_documented_distances_and_no_eighth() {
        let delays = [60, 300, 1_800, 7_200, 28_800, 86_400].map(s);
        let waits: Vec<_> = (1..=7).map(|made| wait(&delays, made, None, 0.5)).collect();
        let expected = [60, 300, 1_800, 7_200, 28_800, 86_400].map(|n| Some(s(n)));
        assert_eq!(waits[..6], expected);
        assert_eq!(waits[6], None);
        assert_eq!(wait(&delays, 0, None, 0.5), None);
        assert_eq!(wait(&[], 1, None, 0.5), None);
    }

    #[test]
    fn chance_moves_a_wait_by_a_tenth() {
        for (chance, expected) in [(0.0, 54.0), (0.5, 60.0), (1.0, 66.0), (9.0, 66.0)] {
            let wait = wait(&[s(60)], 1, None, chance).unwrap().as_secs_f64();
            assert!((wait - expected).abs() < 0.001, "{chance}: {wait}");
        }
    }

    #[test]
    fn an_endpoint_may_ask_for_longer_but_not_for_less_and_for_a_day_at_most() {
        assert_eq!(wait(&[s(60)], 1, Some(s(600)), 0.5), Some(s(600)));
        assert_eq!(wait(&[s(60)], 1, Some(s(1)), 0.5), Some(s(60)));
        let now = At(1_700_000_000_000_000);
        assert_eq!(retry_after("120", now), Some(s(120)));
        assert_eq!(retry_after(" 999999999 ", now), Some(s(86_400)));
        assert_eq!(retry_after("Tue, 14 Nov 2023 22:14:20 GMT", now), Some(s(60)));
        assert_eq!(retry_after("Mon, 14 Nov 2022 22:14:20 GMT", now), Some(s(0)));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }
}
