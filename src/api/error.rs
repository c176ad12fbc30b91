//! How a refusal looks in HTTP: the envelope, or a problem document (RFC 9457) when asked for.
//!
//! A handler's error is carried out as an extension of an empty response; the frame around all
//! routes (`frame.rs`) knows the request's id and what the client accepts, and writes the body.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::refusal::{Code, Detail, Refusal};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::StoreError;
use utoipa::ToSchema;

/// The longest piece of a bad value that is shown again.
const SHOWN_MAX: usize = 64;

/// One thing wrong with a request.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
    pub(crate) field: Option<Cow<'static, str>>,
    pub(crate) value: Option<Value>,
    pub(crate) expected: Option<Cow<'static, str>>,
    /// Further facts of a refusal.
    facts: Option<Box<Map<String, Value>>>,
}

/// What a request is answered with instead of its result.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) message: Cow<'static, str>,
    /// One: shown in `details`; several: in `details.errors[]`.
    pub(crate) faults: Vec<Fault>,
    pub(crate) details: Map<String, Value>,
    pub(crate) retry_after_s: Option<u32>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorOut<'a> {
    error: ErrorBody<'a>,
    meta: ErrorMeta<'a>,
}

#[derive(Serialize, ToSchema)]
struct ErrorBody<'a> {
    /// Stable; see `docs_url`.
    #[schema(example = "VALIDATION_ERROR")]
    code: &'a str,
    message: &'a str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// `field`, `value` and `expected` of one fault, or `errors[]` of several.
    #[schema(value_type = Object)]
    details: &'a Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct ErrorMeta<'a> {
    request_id: &'a str,
    timestamp: &'a str,
    docs_url: &'a str,
}

/// What is needed to write an error down.
pub(crate) struct Frame<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) timestamp: &'a str,
    /// `application/problem+json` was asked for.
    pub(crate) problem: bool,
    /// Scheme and host of this server, or nothing.
    pub(crate) public_url: &'a str,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            value: None,
            expected: None,
            facts: None,
        }
    }

    pub(crate) fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn value(mut self, value: Value) -> Self {
        self.value = Some(shortened(value));
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// One further fact for `details`.
    pub(crate) fn fact(mut self, name: &str, value: Value) -> Self {
        self.facts.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    fn show(&self, into: &mut Map<String, Value>) {
        if let Some(field) = &self.field {
            into.insert(String::from("field"), json!(field));
        }
        if let Some(value) = &self.value {
            into.insert(String::from("value"), value.clone());
        }
        if let Some(expected) = &self.expected {
            into.insert(String::from("expected"), json!(expected));
        }
        for (name, fact) in self.facts.iter().flat_map(|facts| facts.iter()) {
            into.insert(name.clone(), fact.clone());
        }
    }

    /// As an item of a list of faults.
    pub(crate) fn to_json(&self) -> Value {
        let mut item = Map::new();
        item.insert(String::from("code"), json!(self.code.as_str()));
        item.insert(String::from("message"), json!(self.message));
        self.show(&mut item);
        Value::Object(item)
    }
}

fn fact_json(fact: &Detail) -> Value {
    match fact {
        Detail::Text(text) => json!(text),
        Detail::Number(number) => json!(number),
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let facts = refusal.details.iter().map(|(n, fact)| ((*n).to_owned(), fact_json(fact)));
        let facts = (!refusal.details.is_empty()).then(|| facts.collect());
        Self {
            facts: facts.map(Box::new),
            code: refusal.code,
            message: refusal.message,
            field: refusal.field,
            value: None,
            expected: refusal.expected,
        }
    }
}

/// Long values are cut: an error is not an echo of the body.
fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(SHOWN_MAX) {
            Some((at, _)) => Value::String(format!("{}…", &text[..at])),
            None => Value::String(text),
        },
        Value::Array(_) => Value::String(String::from("[…]")),
        Value::Object(_) => Value::String(String::from("{…}")),
        plain => plain,
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let status = code.http_status();
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
            faults: Vec::new(),
            details: Map::new(),
            retry_after_s: None,
        }
    }

    /// The request cannot be read at all: 400, where the code's own status is 422.
    pub(crate) fn unreadable(message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(Code::ValidationError, message);
        error.status = StatusCode::BAD_REQUEST;
        error
    }

    /// A parameter of the query is wrong: 400.
    pub(crate) fn query(field: &'static str, value: &str, expected: &'static str) -> Self {
        let message = format!("the query parameter `{field}` is not valid");
        let fault = Fault::new(Code::ValidationError, message)
            .field(field)
            .value(json!(value))
            .expected(expected);
        let mut error = Self::from(fault);
        error.status = StatusCode::BAD_REQUEST;
        error
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "something went wrong here; tell your operator the request id",
        )
    }

    /// All that is wrong with one request. One fault lends its code to the whole.
    pub(crate) fn faults(mut faults: Vec<Fault>) -> Self {
        if faults.len() == 1 {
            return Self::from(faults.remove(0));
        }
        let count = faults.len();
        let message = format!("{count} things are wrong with the request; see details.errors");
        let mut error = Self::new(Code::ValidationError, message);
        error.faults = faults;
        error
    }

    pub(crate) fn detail(mut self, key: &str, value: Value) -> Self {
        self.details.insert(key.to_owned(), value);
        self
    }

    /// Writes the answer.
    pub(crate) fn render(&self, frame: &Frame<'_>) -> Response {
        let mut details = self.details.clone();
        match self.faults.as_slice() {
            [] => {}
            [fault] => fault.show(&mut details),
            many => {
                let list = many.iter().map(Fault::to_json).collect();
                details.insert(String::from("errors"), Value::Array(list));
            }
        }
        let code = self.code.as_str();
        let docs_url = format!("{}/docs/errors/{code}", frame.public_url);
        let status = self.status.as_u16();
        let body = if frame.problem {
            let problem = json!({
                "type": docs_url,
                "title": code,
                "status": status,
                "detail": self.message,
                "code": code,
                "details": details,
                "request_id": frame.request_id,
                "timestamp": frame.timestamp,
            });
            serde_json::to_vec(&problem)
        } else {
            serde_json::to_vec(&ErrorOut {
                error: ErrorBody { code, message: &self.message, status, details: &details },
                meta: ErrorMeta {
                    request_id: frame.request_id,
                    timestamp: frame.timestamp,
                    docs_url: &docs_url,
                },
            })
        };
        let mut response = Response::new(body.unwrap_or_default().into());
        *response.status_mut() = self.status;
        let kind = if frame.problem { "application/problem+json" } else { "application/json" };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let mut error = Self::new(fault.code, fault.message.clone());
        error.faults.push(fault);
        error
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let retry_after_s = refusal.retry_after_s;
        let mut error = Self::from(Fault::from(refusal));
        error.retry_after_s = retry_after_s;
        if error.code == Code::RateLimited {
            let alias = json!("RATE_LIMIT_EXCEEDED");
            error = error.detail("alias", alias);
        }
        match retry_after_s {
            Some(seconds) => error.detail("retry_after", json!(seconds)),
            None => error,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            tracing::warn!(%error, "the store does not answer");
            return Refusal::unavailable("the database does not answer; try again").into();
        }
        tracing::error!(%error, "a read failed");
        Self::internal()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    async fn rendered(error: &ApiError, problem: bool) -> (String, Value) {
        let frame = Frame {
            request_id: "req_1",
            timestamp: "2026-01-01T00:00:00.000Z",
            problem,
            public_url: "https://x",
        };
        let response = error.render(&frame);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        (kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn one_fault_is_told_by_field_and_several_in_a_list() {
        let fault = || {
            Fault::new(Code::ValidationError, "no")
                .field("to")
                .value(json!("x".repeat(100)))
                .expected("a string")
        };
        let (kind, body) = rendered(&ApiError::faults(vec![fault()]), false).await;
        assert_eq!(kind, "application/json");
        assert_eq!(body["error"]["status"], 422);
        assert_eq!(body["error"]["details"]["field"], "to");
        let shown = body["error"]["details"]["value"].as_str().unwrap();
        assert_eq!(shown.chars().count(), SHOWN_MAX + 1);
        let docs = "https://x/docs/errors/VALIDATION_ERROR";
        assert_eq!(body["meta"]["docs_url"], docs);

        let (_, body) = rendered(&ApiError::faults(vec![fault(), fault()]), false).await;
        assert_eq!(body["error"]["details"]["errors"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_problem_document_says_the_same() {
        let error = ApiError::from(Refusal::unavailable("later"));
        let (kind, body) = rendered(&error, true).await;
        assert_eq!(kind, "application/problem+json");
        assert_eq!(body["status"], 503);
        assert_eq!(body["code"], "SERVICE_UNAVAILABLE");
        assert_eq!(body["details"]["retry_after"], 1);
        assert_eq!(body["request_id"], "req_1");
    }
}
