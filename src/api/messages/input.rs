//! What a send may say, and what is wrong with it before routes and prices are looked at.

use model::message::{Category, Encoding};
use model::refusal::Code;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use super::super::templates::VariableIn;

const KEYS_MAX: usize = 50;
const KEY_LENGTH_MAX: usize = 64;
const VALUE_LENGTH_MAX: usize = 512;

/// What a message is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CategoryIn {
    #[default]
    Transactional,
    Otp,
    Service,
    Marketing,
}

/// How the text travels; `auto` takes GSM-7 when it holds the text.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodingIn {
    #[default]
    Auto,
    Gsm7,
    Ucs2,
}

impl From<CategoryIn> for Category {
    fn from(category: CategoryIn) -> Self {
        match category {
            CategoryIn::Transactional => Self::Transactional,
            CategoryIn::Otp => Self::Otp,
            CategoryIn::Service => Self::Service,
            CategoryIn::Marketing => Self::Marketing,
        }
    }
}

impl EncodingIn {
    pub(crate) fn asked(self) -> Option<Encoding> {
        match self {
            Self::Auto => None,
            Self::Gsm7 => Some(Encoding::Gsm7),
            Self::Ucs2 => Some(Encoding::Ucs2),
        }
    }
}

/// A message to send.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"channel": "sms", "to": "+15005550002", "body": "Hello from Orbit"}))]
pub(crate) struct MessageIn {
    /// Required at `/messages`, where it must be `sms`; `/messages/sms` does not need it.
    pub(crate) channel: Option<String>,
    /// E.164, with its `+`.
    #[schema(example = "+15005550002", pattern = r"^\+[1-9][0-9]{6,14}$")]
    pub(crate) to: String,
    /// E.164, a short code, or 3 to 11 letters and digits; else the default sender.
    pub(crate) from: Option<String>,
    /// A sender pool of yours, in the place of `from`: it chooses the sender.
    pub(crate) sender_pool_id: Option<String>,
    /// At most 1600 characters and 10 segments. Either this or `template_id`.
    #[schema(example = "Hello from Orbit", min_length = 1, max_length = 1600)]
    pub(crate) body: Option<String>,
    /// A template of yours, in the place of `body`.
    pub(crate) template_id: Option<String>,
    /// Texts of at most 1600 characters, numbers and booleans by name. Where they are given, a
    /// `body` is a template too.
    #[schema(value_type = Option<HashMap<String, VariableIn>>)]
    pub(crate) variables: Option<Map<String, Value>>,
    pub(crate) encoding: Option<EncodingIn>,
    /// Puts plain signs in the place of typographic ones, where that makes the text GSM-7.
    pub(crate) smart_encoding: Option<bool>,
    pub(crate) category: Option<CategoryIn>,
    /// Kept and shown again: at most 50 keys of 64 characters, values of 512.
    #[schema(value_type = Option<Object>)]
    pub(crate) metadata: Option<Map<String, Value>>,
    /// Not before this: ISO 8601, at least 60 seconds and at most 35 days ahead. Without an offset
    /// it is read in `timezone`.
    #[schema(example = "2030-01-01T09:00:00")]
    pub(crate) scheduled_at: Option<String>,
    /// An IANA name, or `recipient`: the time zone that the recipient's number tells.
    #[schema(example = "Europe/Paris")]
    pub(crate) timezone: Option<String>,
    /// How long it may be tried, from now or from `scheduled_at` on; then it ends as `expired`.
    #[schema(minimum = 60, maximum = 172_800, default = 172_800)]
    pub(crate) validity_seconds: Option<i64>,
    #[schema(ignore)]
    media_urls: Option<IgnoredAny>,
    /// Where the events of this message go, beside the webhooks; like these, signed and tried
    /// again.
    #[schema(example = "https://example.com/orbit")]
    pub(crate) webhook_url: Option<String>,
}

/// The fields of [`MessageIn`], for those who got them wrong.
pub(crate) const FIELDS: &[Field] = &[
    Field::optional("channel", Kind::Text),
    Field::required("to", Kind::Text),
    Field::optional("from", Kind::Text),
    Field::optional("sender_pool_id", Kind::Text),
    Field::optional("body", Kind::Text),
    Field::optional("template_id", Kind::Text),
    Field::optional("variables", Kind::Object),
    Field::optional("smart_encoding", Kind::Flag),
    Field::optional("encoding", Kind::OneOf(&["auto", "gsm7", "ucs2"])),
    Field::optional("category", Kind::OneOf(CATEGORIES)),
    Field::optional("metadata", Kind::Object),
    Field::optional("scheduled_at", Kind::Text),
    Field::optional("timezone", Kind::Text),
    Field::optional("validity_seconds", Kind::Whole),
    Field::optional("webhook_url", Kind::Text),
];

pub(crate) const CATEGORIES: &[&str] = &["transactional", "otp", "service", "marketing"];

impl MessageIn {
    /// Reads and checks a body.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let message: Self = body::parse(raw, FIELDS)?;
        let mut faults = Vec::new();
        text("to", &message.to, &mut faults);
        text("from", message.from.as_deref().unwrap_or_default(), &mut faults);
        text("body", message.body.as_deref().unwrap_or_default(), &mut faults);
        if let Some(metadata) = &message.metadata {
            check_metadata(metadata, &mut faults);
        }
        unsupported("media_urls", message.media_urls.is_some(), &mut faults);
        if faults.is_empty() {
            return Ok(message);
        }
        Err(ApiError::faults(faults))
    }
}

/// U+0000 cannot be stored, nor sent.
pub(crate) fn text(field: &'static str, text: &str, faults: &mut Vec<Fault>) {
    if text.contains('\0') {
        let expected = "a string without the character U+0000";
        faults.push(wrong(field, json!(text)).expected(expected));
    }
}

/// Known fields that change what is sent, or when, and that we do not honour yet: refused, since
/// to ignore them would send something else.
pub(crate) fn unsupported(field: &'static str, given: bool, faults: &mut Vec<Fault>) {
    if given {
        let message = format!("the field `{field}` is not supported by this version");
        let fault = Fault::new(Code::ValidationError, message).field(field);
        faults.push(fault.expected("no such field"));
    }
}

pub(crate) fn check_metadata(metadata: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let fits = |(key, value): (&String, &Value)| {
        let key_fits = key.chars().count() <= KEY_LENGTH_MAX && !key.contains('\0');
        let value_fits = match value {
            Value::String(text) => text.chars().count() <= VALUE_LENGTH_MAX && !text.contains('\0'),
            Value::Number(_) | Value::Bool(_) | Value::Null => true,
            Value::Array(_) | Value::Object(_) => false,
        };
        key_fits && value_fits
    };
    let bad = metadata.iter().find(|(key, value)| !fits((key, value)));
    if metadata.len() > KEYS_MAX || bad.is_some() {
        let value = bad.map_or(Value::Null, |(key, _)| json!(key));
        let expected = "at most 50 keys of 64 characters; values are plain, texts of 512";
        faults.push(wrong("metadata", value).expected(expected));
    }
}

/// Metadata as it is stored.
pub(crate) fn metadata_text(metadata: Option<Map<String, Value>>) -> Option<String> {
    metadata.map(|metadata| Value::Object(metadata).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: Value) -> Fault {
        let error = MessageIn::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.status.as_u16(), 422);
        error.faults[0].clone()
    }

    #[test]
    fn a_message_needs_a_recipient_and_a_text() {
        assert!(MessageIn::parse(br#"{"to":"+1","body":"x","later":1}"#).is_ok());
        assert_eq!(fault(json!({"body": "x"})).code, Code::MissingRequiredField);
        let wrong = fault(json!({"to": 1, "body": "x"}));
        assert_eq!(wrong.field.as_deref(), Some("to"));
        let category = fault(json!({"to": "+1", "body": "x", "category": "spam"}));
        assert_eq!(category.expected.as_deref(), Some(CATEGORIES.join(", ").as_str()));
    }

    #[test]
    fn the_character_zero_is_refused_wherever_it_would_be_stored() {
        for body in [
            json!({"to": "+1\0", "body": "x"}),
            json!({"to": "+1", "body": "\0"}),
            json!({"to": "+1", "from": "a\0", "body": "x"}),
            json!({"to": "+1", "body": "x", "metadata": {"a": "\0"}}),
            json!({"to": "+1", "body": "x", "metadata": {"\0": "a"}}),
        ] {
            assert_eq!(fault(body).code, Code::ValidationError);
        }
    }

    #[test]
    fn what_would_change_the_send_and_is_not_built_is_refused() {
        let pictures =
            json!({"to": "+1", "body": "x", "media_urls": ["https://example.com/a.png"]});
        assert_eq!(fault(pictures).field.as_deref(), Some("media_urls"));
        assert!(MessageIn::parse(br#"{"to":"+1","body":"x","media_urls":null}"#).is_ok());
    }

    #[test]
    fn metadata_has_bounds() {
        let with = |metadata: Value| json!({"to": "+1", "body": "x", "metadata": metadata});
        let many: Map<String, Value> = (0..51).map(|n| (n.to_string(), json!(1))).collect();
        for bad in [
            json!("x"),
            json!({"k": {}}),
            json!({"k": "x".repeat(513)}),
            json!({"k".repeat(65): 1}),
            Value::Object(many),
        ] {
            assert_eq!(fault(with(bad)).field.as_deref(), Some("metadata"));
        }
        let good = with(json!({"k": "x".repeat(512), "n": 1, "b": true}));
        assert!(MessageIn::parse(good.to_string().as_bytes()).is_ok());
    }
}
