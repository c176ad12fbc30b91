//! `Idempotency-Key`: how a repeated request stays one effect. The writer decides; here the header
//! is read, the body's fingerprint taken, and the wait for a twin bounded.

use std::time::Duration;

use axum::http::HeaderMap;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use model::submission::{Idempotency, Submission};
use sha2::{Digest as _, Sha256};
use store::lane::Accepted;

use super::App;
use super::error::{ApiError, Fault};

const HEADER: &str = "idempotency-key";
/// A key is known this long.
const LIFE: Duration = Duration::from_secs(24 * 3_600);

/// The key of a request, if it has one. The fingerprint is taken only then.
pub(crate) fn read(
    headers: &HeaderMap,
    route: &'static str,
    body: &[u8],
) -> Result<Option<Idempotency>, ApiError> {
    let Some(value) = headers.get(HEADER) else {
        return Ok(None);
    };
    let octets = value.as_bytes();
    let fits = (8..=255).contains(&octets.len()) && octets.iter().all(u8::is_ascii_graphic);
    let Some(key) = value.to_str().ok().filter(|_| fits) else {
        let message = "the Idempotency-Key is not one we can keep";
        let fault = Fault::new(Code::IdempotencyKeyInvalid, message)
            .field("Idempotency-Key")
            .expected("8 to 255 visible ASCII characters");
        return Err(fault.into());
    };
    Ok(Some(Idempotency { route, key: key.to_owned(), fingerprint: Sha256::digest(body).into() }))
}

/// What an earlier request with this key and body made. Asked for where the request itself is refused
/// by now for the time that has passed since.
pub(crate) async fn earlier(
    app: &App,
    organization: OrgId,
    request: Option<&Idempotency>,
    now: At,
) -> Result<Option<PublicId>, ApiError> {
    let Some(request) = request else { return Ok(None) };
    Ok(app.store.repeated(organization, request, now.minus(LIFE)).await?)
}

/// Gives a submission to the writer and waits for its commit, within bounds.
pub(crate) async fn submit(app: &App, submission: Submission) -> Result<Accepted, ApiError> {
    let keyed = submission.idempotency.is_some();
    let wait = if keyed { app.idempotency_wait } else { app.request_timeout };
    match tokio::time::timeout(wait, app.writer.submit(submission)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(late(keyed, wait).into()),
    }
}

/// Nobody knows what became of the request: with a key, the next one with it will be told.
fn late(keyed: bool, wait: Duration) -> Refusal {
    let seconds = wait.as_secs();
    if keyed {
        let message = format!("the request with this Idempotency-Key still runs after {seconds} s");
        return Refusal::new(Code::IdempotencyInProgress, message).retry_after(1);
    }
    let message = format!("not stored within {seconds} s; it may be stored yet");
    Refusal::unavailable(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(key: &[u8]) -> Result<Option<Idempotency>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(key).unwrap());
        read(&headers, "POST /messages/sms", b"{}")
    }

    #[test]
    fn a_key_is_8_to_255_visible_characters() {
        assert!(read(&HeaderMap::new(), "POST /x", b"").unwrap().is_none());
        assert_eq!(with(b"12345678").unwrap().unwrap().key, "12345678");
        assert!(with(&[b'a'; 255]).is_ok());
        for bad in [&b"1234567"[..], &[b'a'; 256], b"1234 5678", "ééééé".as_bytes(), b""] {
            let error = with(bad).unwrap_err();
            assert_eq!(error.code, Code::IdempotencyKeyInvalid);
            assert_eq!(error.status.as_u16(), 400);
        }
    }

    #[test]
    fn the_fingerprint_is_of_the_raw_octets() {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(HEADER),
            HeaderValue::from_static("12345678"),
        )]);
        let print = |body: &[u8]| {
            let key = read(&headers, "POST /x", body).unwrap().unwrap();
            key.fingerprint
        };
        assert_eq!(print(b"{}"), print(b"{}"));
        assert_ne!(print(b"{}"), print(b"{ }"));
    }
}
