//! Wall time as the product counts it: microseconds since 1970, UTC.
//!
//! The only place that reads the system's wall clock. Writers ask once per batch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, in microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub i64);

impl At {
    /// The present, by this machine's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// ISO 8601 in UTC with milliseconds, as every answer shows time.
    #[must_use]
    pub fn iso(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => format!("{at:.3}"),
            Err(_) => String::from("1970-01-01T00:00:00.000Z"),
        }
    }

    /// Reads a date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`.
    #[must_use]
    pub fn parse_http(text: &str) -> Option<Self> {
        let at = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(Self(at.timestamp().as_microsecond()))
    }

    /// Reads an ISO 8601 / RFC 3339 moment with an offset or `Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Self(at.as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_its_text() {
        let at = At(1_700_000_000_123_000);
        assert_eq!(at.iso(), "2023-11-14T22:13:20.123Z");
        assert_eq!(At::parse(&at.iso()), Some(at));
        assert_eq!(At::parse("yesterday"), None);
    }

    #[test]
    fn a_span_never_runs_backwards() {
        assert_eq!(At(5).since(At(9)), Duration::ZERO);
        assert_eq!(At(i64::MAX).plus(Duration::from_secs(1)), At(i64::MAX));
    }
}
