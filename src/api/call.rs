//! One request: its id, its moment, and the envelope its answer goes out in.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use model::clock::At;
use model::id::{Kind, PublicId};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::limits::Standing;
use super::page::Pagination;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX: usize = 64;

/// Made once per request by the frame; carried to the handler; read again for the headers.
#[derive(Clone)]
pub(crate) struct Call(Arc<Inner>);

struct Inner {
    request_id: HeaderValue,
    at: At,
    test: AtomicBool,
    standing: OnceLock<Standing>,
}

/// The body of every success.
#[derive(Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    pub(crate) data: T,
    pub(crate) meta: Meta,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Meta {
    #[schema(example = "req_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    request_id: String,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    timestamp: String,
    /// Of lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<Pagination>,
}

impl Call {
    pub(crate) fn begin(headers: &HeaderMap, at: At) -> Self {
        let given = headers.get(REQUEST_ID).filter(|id| {
            let id = id.as_bytes();
            (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
        });
        let minted = || {
            let id = PublicId::new(at).show(Kind::Request);
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("req_0"))
        };
        Self(Arc::new(Inner {
            request_id: given.cloned().unwrap_or_else(minted),
            at,
            test: AtomicBool::new(false),
            standing: OnceLock::new(),
        }))
    }

    /// When the request's head had been read.
    pub(crate) fn at(&self) -> At {
        self.0.at
    }

    pub(crate) fn request_id(&self) -> &str {
        self.0.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn mark_test(&self) {
        self.0.test.store(true, Ordering::Relaxed);
    }

    pub(crate) fn mark_standing(&self, standing: Standing) {
        let _ = self.0.standing.set(standing);
    }

    /// The headers that every answer to this request has.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, self.0.request_id.clone());
        if self.0.test.load(Ordering::Relaxed) {
            let env = HeaderName::from_static("x-orbit-env");
            headers.insert(env, HeaderValue::from_static("sandbox"));
        }
        if let Some(standing) = self.0.standing.get() {
            standing.write(headers, self.0.at);
        }
    }

    /// A success with `data`.
    pub(crate) fn answer<T: Serialize>(
        &self,
        status: StatusCode,
        data: T,
    ) -> Result<Response, ApiError> {
        self.envelope(status, data, None)
    }

    /// A page of a list.
    pub(crate) fn page<T: Serialize>(
        &self,
        data: Vec<T>,
        pagination: Pagination,
    ) -> Result<Response, ApiError> {
        self.envelope(StatusCode::OK, data, Some(pagination))
    }

    fn envelope<T: Serialize>(
        &self,
        status: StatusCode,
        data: T,
        pagination: Option<Pagination>,
    ) -> Result<Response, ApiError> {
        let meta = Meta {
            request_id: self.request_id().to_owned(),
            timestamp: At::now().iso(),
            pagination,
        };
        let body = serde_json::to_vec(&Envelope { data, meta }).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            ApiError::internal()
        })?;
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Ok(response)
    }
}

/// An answer that nobody may keep.
pub(crate) fn secret(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let begun = parts.extensions.get::<Self>().cloned();
        Ok(begun.unwrap_or_else(|| Self::begin(&parts.headers, At::now())))
    }
}

impl From<Infallible> for ApiError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(given) {
            headers.insert(REQUEST_ID, value);
        }
        Call::begin(&headers, At(0)).request_id().to_owned()
    }

    #[test]
    fn a_request_id_is_kept_when_short_and_visible_else_made() {
        assert_eq!(id_for(b"abc-1"), "abc-1");
        assert_eq!(id_for(&[b'x'; 64]), "x".repeat(64));
        for bad in [&b""[..], b"a b", &[b'x'; 65], "é".as_bytes()] {
            let id = id_for(bad);
            assert!(id.starts_with("req_") && id.len() == 36, "{id}");
        }
    }
}
