//! How often an organization may ask, per class of endpoint: GCRA by `governor`.
//!
//! The profile `open` has no limits; `documented` has the per-minute table of the API's
//! documentation. State is one number per organization and class that ever asked.

use std::num::NonZeroU32;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use model::carrier::OrgId;
use model::clock::At;
use model::refusal::{Code, Refusal};
use serde_json::json;

use super::error::ApiError;
use crate::settings::Profile;

/// Endpoints that share one allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Send,
    Batch,
    Read,
    Billing,
    /// Of anything but sends: webhooks, rules, lists.
    Change,
    /// Of lists as files.
    Import,
}

impl Class {
    const ALL: [Self; 6] =
        [Self::Send, Self::Batch, Self::Read, Self::Billing, Self::Change, Self::Import];

    fn per_minute(self) -> u32 {
        match self {
            Self::Send => 100,
            Self::Batch => 10,
            Self::Read => 120,
            Self::Billing | Self::Change => 60,
            Self::Import => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Send => "messages-send",
            Self::Batch => "messages-batch",
            Self::Read => "messages-read",
            Self::Billing => "billing",
            Self::Change => "changes",
            Self::Import => "imports",
        }
    }
}

type Limiter =
    RateLimiter<OrgId, DashMapStateStore<OrgId>, DefaultClock, StateInformationMiddleware>;

/// One limiter per class, or none at all.
pub(crate) struct Limits(Option<Vec<Limiter>>);

/// Where an organization stands after one request: what the headers say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    class: Class,
    limit: u32,
    remaining: u32,
    /// Until the whole allowance is there again, or on a refusal until one request fits.
    reset_s: u32,
}

impl Limits {
    pub(crate) fn new(profile: Profile) -> Self {
        Self(match profile {
            Profile::Open => None,
            Profile::Documented => Some(Class::ALL.into_iter().map(limiter).collect()),
        })
    }

    /// Takes one request from the allowance. `Ok(None)`: there is no limit.
    pub(crate) fn take(
        &self,
        organization: OrgId,
        class: Class,
    ) -> (Option<Standing>, Result<(), ApiError>) {
        let Some(limiters) = &self.0 else {
            return (None, Ok(()));
        };
        let limit = class.per_minute();
        let standing = |remaining, reset_s| Standing { class, limit, remaining, reset_s };
        match limiters[class as usize].check_key(&organization) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = limit.saturating_sub(remaining);
                let reset_s = (used * 60).div_ceil(limit);
                (Some(standing(remaining, reset_s)), Ok(()))
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                let wait_s = u32::try_from(wait.as_secs()).unwrap_or(60) + 1;
                (Some(standing(0, wait_s)), Err(refused(limit, wait_s)))
            }
        }
    }
}

fn limiter(class: Class) -> Limiter {
    let limit = NonZeroU32::new(class.per_minute()).unwrap_or(NonZeroU32::MIN);
    RateLimiter::dashmap(Quota::per_minute(limit)).with_middleware()
}

fn refused(limit: u32, wait_s: u32) -> ApiError {
    let message = format!("more than {limit} requests a minute; wait {wait_s} s");
    ApiError::from(Refusal::new(Code::RateLimited, message).retry_after(wait_s))
        .detail("limit", json!(limit))
        .detail("window", json!("60s"))
}

impl Standing {
    /// `X-RateLimit-*` as documented, and the fields of the IETF draft.
    pub(crate) fn write(&self, headers: &mut HeaderMap, now: At) {
        let reset_at = now.micros() / 1_000_000 + i64::from(self.reset_s);
        let name = self.class.name();
        let policy = format!("\"{name}\";q={};w=60", self.limit);
        let state = format!("\"{name}\";r={};t={}", self.remaining, self.reset_s);
        let mut put = |name, value: Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("x-ratelimit-limit", Some(HeaderValue::from(self.limit)));
        put("x-ratelimit-remaining", Some(HeaderValue::from(self.remaining)));
        put("x-ratelimit-reset", Some(HeaderValue::from(reset_at)));
        put("ratelimit-policy", HeaderValue::try_from(policy).ok());
        put("ratelimit", HeaderValue::try_from(state).ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_profile_never_refuses() {
        let limits = Limits::new(Profile::Open);
        for _ in 0..10_000 {
            let (standing, taken) = limits.take(OrgId(1), Class::Send);
            assert!(standing.is_none() && taken.is_ok());
        }
    }

    #[test]
    fn the_documented_profile_refuses_the_hundred_and_first_send_of_one_organization() {
        let limits = Limits::new(Profile::Documented);
        for _ in 0..100 {
            assert!(limits.take(OrgId(1), Class::Send).1.is_ok());
        }
        let (standing, taken) = limits.take(OrgId(1), Class::Send);
        let error = taken.unwrap_err();
        assert_eq!(error.code, Code::RateLimited);
        assert_eq!(error.details["alias"], "RATE_LIMIT_EXCEEDED");
        assert_eq!(error.details["window"], "60s");
        assert_eq!(error.details["limit"], 100);
        assert!(error.retry_after_s.unwrap() >= 1);
        assert!(limits.take(OrgId(2), Class::Send).1.is_ok());
        assert!(limits.take(OrgId(1), Class::Read).1.is_ok());

        let mut headers = HeaderMap::new();
        standing.unwrap().write(&mut headers, At(1_000_000_000));
        assert_eq!(headers["x-ratelimit-limit"], "100");
        assert_eq!(headers["x-ratelimit-remaining"], "0");
        assert_eq!(headers["ratelimit-policy"], "\"messages-send\";q=100;w=60");
        assert!(headers.contains_key("ratelimit") && headers.contains_key("x-ratelimit-reset"));
    }
}
