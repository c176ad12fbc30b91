//! What is said of an endpoint, and what is wrong with it.

use actors::customer::webhook::sign;
use model::event::EventKind;
use model::refusal::Code;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::body::{Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use super::Rules;

const PATTERNS_MAX: usize = 100;
const DESCRIPTION_MAX: usize = 500;

/// An endpoint to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"url": "https://example.com/orbit", "events": ["message.*"]}))]
pub(crate) struct WebhookIn {
    /// `https://` and a public address.
    #[schema(example = "https://example.com/orbit")]
    pub(super) url: String,
    /// Names of events, groups such as `message.*`, or `*`; see the schema `EventType`.
    #[schema(value_type = Vec<String>, example = json!(["message.delivered", "message.failed"]))]
    pub(super) events: Vec<Value>,
    /// At most 500 characters.
    pub(super) description: Option<String>,
    /// `whsec_` and base64 of 24 to 64 octets; made when left out.
    pub(super) secret: Option<String>,
}

/// What is to be changed; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"events": ["*"], "active": true}))]
pub(crate) struct WebhookPatch {
    pub(super) url: Option<String>,
    /// Replaces the whole list.
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) events: Option<Vec<Value>>,
    pub(super) description: Option<String>,
    /// False pauses: events wait, and go out when it is true again, unless they are too old then.
    pub(super) active: Option<bool>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::required("url", Kind::Text),
    Field::required("events", Kind::List),
    Field::optional("description", Kind::Text),
    Field::optional("secret", Kind::Text),
];

pub(super) const PATCH_FIELDS: &[Field] = &[
    Field::optional("url", Kind::Text),
    Field::optional("events", Kind::List),
    Field::optional("description", Kind::Text),
];

impl WebhookIn {
    pub(super) fn check(&self, rules: &Rules) -> Result<(), ApiError> {
        let mut faults = Vec::new();
        faults.extend(rules.check_url("url", &self.url).err());
        faults.extend(check_events(&self.events));
        faults.extend(self.description.as_deref().and_then(check_description));
        if let Some(secret) = &self.secret
            && !sign::is_secret(secret)
        {
            let expected = "whsec_ and base64 of 24 to 64 octets";
            let fault = Fault::new(Code::ValidationError, "the field `secret` is not valid");
            faults.push(fault.field("secret").expected(expected));
        }
        if faults.is_empty() { Ok(()) } else { Err(ApiError::faults(faults)) }
    }
}

impl WebhookPatch {
    pub(super) fn check(&self, rules: &Rules) -> Result<(), ApiError> {
        let mut faults = Vec::new();
        faults.extend(self.url.as_deref().and_then(|url| rules.check_url("url", url).err()));
        faults.extend(self.events.as_deref().and_then(check_events));
        faults.extend(self.description.as_deref().and_then(check_description));
        if faults.is_empty() { Ok(()) } else { Err(ApiError::faults(faults)) }
    }
}

fn check_events(events: &[Value]) -> Option<Fault> {
    let known = |event: &&Value| {
        event.as_str().is_some_and(|pattern| !EventKind::matching(pattern).is_empty())
    };
    if let Some(bad) = events.iter().find(|event| !known(event)) {
        let expected = "names of events, groups such as message.*, or *";
        return Some(wrong("events", bad.clone()).expected(expected));
    }
    let count = events.len();
    let fits = (1..=PATTERNS_MAX).contains(&count);
    (!fits).then(|| wrong("events", json!(count)).expected("1 to 100 events"))
}

fn check_description(description: &str) -> Option<Fault> {
    let fits = description.chars().count() <= DESCRIPTION_MAX && !description.contains('\0');
    let expected = "at most 500 characters, without U+0000";
    (!fits).then(|| wrong("description", json!(description)).expected(expected))
}

/// The list as it is stored: each pattern once.
pub(super) fn events_text(events: &[Value]) -> String {
    let mut patterns: Vec<&str> = Vec::new();
    for pattern in events.iter().filter_map(Value::as_str) {
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    json!(patterns).to_string()
}
