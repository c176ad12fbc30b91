//! Request bodies: read whole within a limit and a time, then parsed; and what to say when not.
//!
//! The happy way is one typed parse of the raw octets. Only when that fails is the body read again
//! as a free value, to find every fault by field.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::BodyExt as _;
use model::refusal::Code;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::App;
use super::error::{ApiError, Fault};
use crate::settings::Http;

/// A body over the limit is still read this many times the limit, and forgotten: a client that
/// is not listened to would not read the refusal either.
const DRAIN_FACTOR: usize = 8;

/// The body of a JSON request, whole.
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<App> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        read(request, &app.http).await.map(Self)
    }
}

/// Reads a JSON body whole, within the limit and the time that are set.
pub(crate) async fn read(request: Request, http: &Http) -> Result<Bytes, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        let fault = Fault::new(Code::UnsupportedMedia, "the body must be JSON")
            .field("Content-Type")
            .value(json!(kind))
            .expected("application/json");
        return Err(fault.into());
    }
    let patience = Duration::from_secs(http.request_timeout_s);
    let reading = gather(request.into_body(), http.body_limit_bytes);
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        let message = "the body did not arrive in time";
        Err(ApiError::new(Code::RequestTimeout, message))
    })
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

pub(crate) async fn gather(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is longer than {limit} octets");
        ApiError::new(Code::PayloadTooLarge, message).detail("limit_bytes", json!(limit))
    };
    let drain = limit.saturating_mul(DRAIN_FACTOR);
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > drain as u64 {
        return Err(too_large());
    }
    let (mut first, mut all, mut length) = (Bytes::new(), Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let broken = |_| ApiError::unreadable("the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length > drain {
            return Err(too_large());
        }
        if length > limit {
            continue;
        }
        if length == data.len() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
    }
    if length > limit {
        return Err(too_large());
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// What may stand in one field.
pub(crate) enum Kind {
    Text,
    OneOf(&'static [&'static str]),
    /// A number without a fraction.
    Whole,
    Flag,
    Object,
    List,
}

/// One known field of a body.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

impl Field {
    pub(crate) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    fn fault(&self, value: Option<&Value>) -> Option<Fault> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return self.required.then(|| missing(self.name));
        };
        let (fits, expected) = match self.kind {
            Kind::Text => (value.is_string(), "a string"),
            Kind::Whole => (value.is_i64(), "a whole number"),
            Kind::Flag => (value.is_boolean(), "true or false"),
            Kind::Object => (value.is_object(), "an object"),
            Kind::List => (value.is_array(), "an array"),
            Kind::OneOf(names) => {
                let fits = value.as_str().is_some_and(|text| names.contains(&text));
                if fits {
                    return None;
                }
                return Some(wrong(self.name, value.clone()).expected(names.join(", ")));
            }
        };
        (!fits).then(|| wrong(self.name, value.clone()).expected(expected))
    }
}

pub(crate) fn missing(field: &'static str) -> Fault {
    let message = format!("the field `{field}` is required");
    Fault::new(Code::MissingRequiredField, message).field(field)
}

pub(crate) fn wrong(field: &'static str, value: Value) -> Fault {
    let message = format!("the field `{field}` is not valid");
    Fault::new(Code::ValidationError, message).field(field).value(value)
}

/// A text that can be stored: without U+0000, and of at most so many characters.
pub(crate) fn storable(field: &'static str, text: &str, most: usize, faults: &mut Vec<Fault>) {
    if text.contains('\0') || text.chars().count() > most {
        let expected = format!("at most {most} characters, none of them U+0000");
        faults.push(wrong(field, json!(text)).expected(expected));
    }
}

/// Reads a typed body, or says everything that is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8], fields: &[Field]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| explain(body, fields, &error))
}

fn explain(body: &[u8], fields: &[Field], error: &serde_json::Error) -> ApiError {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return ApiError::unreadable(format!("the body is not JSON: {error}")),
    };
    let Value::Object(map) = value else {
        let fault = Fault::new(Code::ValidationError, "the body is not an object");
        return fault.value(value).expected("a JSON object").into();
    };
    let faults = faults(&map, fields);
    if faults.is_empty() {
        let message = format!("the body is not valid: {error}");
        return Fault::new(Code::ValidationError, message).into();
    }
    ApiError::faults(faults)
}

/// The known fields that are missing or of the wrong type.
pub(crate) fn faults(map: &Map<String, Value>, fields: &[Field]) -> Vec<Fault> {
    let fault = |field: &Field| field.fault(map.get(field.name));
    fields.iter().filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct In {
        #[serde(rename = "to")]
        _to: String,
        #[serde(rename = "kind")]
        _kind: Option<String>,
    }

    const FIELDS: &[Field] =
        &[Field::required("to", Kind::Text), Field::optional("kind", Kind::OneOf(&["a", "b"]))];

    fn fails(body: &str) -> ApiError {
        parse::<In>(body.as_bytes(), FIELDS).unwrap_err()
    }

    #[test]
    fn what_is_not_json_is_400() {
        let deep = "[".repeat(100_000);
        for body in ["", "{", "{\"to\":}", "{\"to\":\"\\ud800\"}", "nul", &deep] {
            let error = fails(body);
            assert_eq!(error.status.as_u16(), 400);
            assert_eq!(error.code, Code::ValidationError);
        }
        let broken = parse::<In>(b"{\"to\":\"\xff\"}", FIELDS).unwrap_err();
        assert_eq!(broken.status.as_u16(), 400);
    }

    #[test]
    fn wrong_types_are_422_and_name_the_field() {
        let error = fails("{\"to\":5}");
        assert_eq!(error.status.as_u16(), 422);
        assert_eq!(error.faults[0].field.as_deref(), Some("to"));
        assert_eq!(error.faults[0].value, Some(json!(5)));
        assert_eq!(error.faults[0].expected.as_deref(), Some("a string"));
        assert_eq!(fails("{}").code, Code::MissingRequiredField);
        assert_eq!(fails("{\"to\":null}").code, Code::MissingRequiredField);
        assert_eq!(fails("[]").status.as_u16(), 422);
        assert_eq!(fails("{\"to\":\"a\",\"to\":\"b\"}").status.as_u16(), 422);
    }

    #[test]
    fn several_faults_are_told_at_once() {
        let error = fails("{\"kind\":[]}");
        assert_eq!(error.code, Code::ValidationError);
        assert_eq!(error.faults.len(), 2);
        assert_eq!(error.faults[1].expected.as_deref(), Some("a, b"));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(parse::<In>(b"{\"to\":\"x\",\"new\":{\"a\":[1]}}", FIELDS).is_ok());
    }

    #[tokio::test]
    async fn a_body_at_the_limit_passes_and_one_octet_more_does_not() {
        assert_eq!(gather(Body::from("1234"), 4).await.unwrap(), "1234");
        let error = gather(Body::from("12345"), 4).await.unwrap_err();
        assert_eq!(error.code, Code::PayloadTooLarge);
        let error = gather(Body::from(vec![0; 100]), 4).await.unwrap_err();
        assert_eq!(error.code, Code::PayloadTooLarge);
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("") && !is_json("text/json") && !is_json("application/jsonp"));
    }
}
