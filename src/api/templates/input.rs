//! What a template may be, and what is wrong with it.

use model::refusal::Code;
use model::template::{BODY_CHARS_MAX, Template, TemplateStatus, VARIABLES_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use store::lane::{TemplatePatch, TemplateText};
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use super::super::messages::{check_channel, text};

const NAME_CHARS_MAX: usize = 100;
const LANGUAGE_LENGTH_MAX: usize = 35;
const COMPONENTS_LENGTH_MAX: usize = 16 * 1024;

/// A template to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"name": "order-shipped", "language": "en",
    "body": "Hi {{name|there}}, your order {{order}} is on its way."}))]
pub(crate) struct TemplateIn {
    /// At most 100 characters; one of a kind in its channel.
    #[schema(min_length = 1, max_length = 100, example = "order-shipped")]
    name: String,
    /// `sms`, also when left out.
    #[schema(example = "sms")]
    channel: Option<String>,
    /// BCP 47, as in `en` or `pt-BR`; `en` when left out.
    #[schema(example = "en", max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    language: Option<String>,
    /// At most 1600 characters and 50 variables: `{{name}}`, or `{{name|what to say without it}}`.
    #[schema(
        min_length = 1,
        max_length = 1600,
        example = "Hi {{name|there}}, your order {{order}} is on its way."
    )]
    body: String,
    /// Kept and shown again, up to 16 KiB: SMS has no use for them.
    components: Option<Vec<Value>>,
    status: Option<StatusIn>,
}

/// What is to change of a template; what is left out or null stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"status": "disabled"}))]
pub(crate) struct TemplateChangeIn {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
    language: Option<String>,
    #[schema(min_length = 1, max_length = 1600)]
    body: Option<String>,
    components: Option<Vec<Value>>,
    status: Option<StatusIn>,
}

/// A disabled template is kept, and sends that name it are refused.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusIn {
    Approved,
    Disabled,
}

const STATUSES: &[&str] = &["approved", "disabled"];

const FIELDS: &[Field] = &[
    Field::required("name", Kind::Text),
    Field::optional("channel", Kind::Text),
    Field::optional("language", Kind::Text),
    Field::required("body", Kind::Text),
    Field::optional("components", Kind::List),
    Field::optional("status", Kind::OneOf(STATUSES)),
];

const CHANGE_FIELDS: &[Field] = &[
    Field::optional("name", Kind::Text),
    Field::optional("language", Kind::Text),
    Field::optional("body", Kind::Text),
    Field::optional("components", Kind::List),
    Field::optional("status", Kind::OneOf(STATUSES)),
];

impl From<StatusIn> for TemplateStatus {
    fn from(status: StatusIn) -> Self {
        match status {
            StatusIn::Approved => Self::Approved,
            StatusIn::Disabled => Self::Disabled,
        }
    }
}

impl TemplateIn {
    pub(crate) fn parse(raw: &[u8]) -> Result<TemplateText, ApiError> {
        let template: Self = body::parse(raw, FIELDS)?;
        let channel = template.channel.unwrap_or_else(|| String::from("sms"));
        check_channel(&channel)?;
        let language = template.language.unwrap_or_else(|| String::from("en"));
        let mut faults = Vec::new();
        check_name(&template.name, &mut faults);
        check_language(&language, &mut faults);
        check_body(&template.body, &mut faults);
        let components = check_components(template.components, &mut faults);
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(TemplateText {
            channel,
            name: template.name,
            language,
            body: template.body,
            components,
            // Nobody else has to agree to the text of an SMS.
            status: template.status.map_or(TemplateStatus::Approved, TemplateStatus::from),
        })
    }
}

impl TemplateChangeIn {
    pub(crate) fn parse(raw: &[u8]) -> Result<TemplatePatch, ApiError> {
        let change: Self = body::parse(raw, CHANGE_FIELDS)?;
        let mut faults = Vec::new();
        if let Some(name) = &change.name {
            check_name(name, &mut faults);
        }
        if let Some(language) = &change.language {
            check_language(language, &mut faults);
        }
        if let Some(body) = &change.body {
            check_body(body, &mut faults);
        }
        let components = check_components(change.components, &mut faults);
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(TemplatePatch {
            name: change.name,
            language: change.language,
            body: change.body,
            components,
            status: change.status.map(TemplateStatus::from),
        })
    }
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    text("name", name, faults);
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        faults.push(wrong("name", json!(name)).expected("1 to 100 characters"));
    }
}

/// The shape of a language tag; whether there is such a language is not looked up.
fn check_language(language: &str, faults: &mut Vec<Fault>) {
    let mut subtags = language.split('-');
    let primary = subtags.next().unwrap_or_default();
    let fits = language.len() <= LANGUAGE_LENGTH_MAX
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if !fits {
        let fault = wrong("language", json!(language));
        faults.push(fault.expected("a language tag (BCP 47), as in en or pt-BR"));
    }
}

fn check_body(body: &str, faults: &mut Vec<Fault>) {
    text("body", body, faults);
    if body.is_empty() || body.chars().count() > BODY_CHARS_MAX {
        faults.push(wrong("body", json!(body)).expected("1 to 1600 characters"));
        return;
    }
    let count = Template::parse(body).variables().len();
    if count > VARIABLES_MAX {
        let message = format!("the template has {count} variables");
        let fault = Fault::new(Code::InvalidTemplate, message).field("body");
        faults.push(fault.expected("at most 50 different variables"));
    }
}

/// Components as they are stored.
fn check_components(components: Option<Vec<Value>>, faults: &mut Vec<Fault>) -> Option<String> {
    let components = Value::Array(components?);
    let text = components.to_string();
    if text.len() > COMPONENTS_LENGTH_MAX || holds_zero(&components) {
        let expected = "an array of at most 16 KiB, without the character U+0000";
        faults.push(wrong("components", components).expected(expected));
        return None;
    }
    Some(text)
}

fn holds_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_zero),
        Value::Object(map) => map.iter().any(|(key, v)| key.contains('\0') || holds_zero(v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(text: &str) -> bool {
        let mut faults = Vec::new();
        check_language(text, &mut faults);
        faults.is_empty()
    }

    #[test]
    fn language_tags_have_a_shape() {
        for good in ["en", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske-1994", "x-none".get(2..).unwrap()]
        {
            assert!(language(good), "{good}");
        }
        for bad in ["", "e", "e1", "en_US", "en-", "-en", "en--us", "abcdefghi", "en-abcdefghi"] {
            assert!(!language(bad), "{bad}");
        }
        assert!(!language(&format!("en{}", "-abcdefgh".repeat(4))));
    }

    #[test]
    fn all_faults_of_a_template_are_told_at_once() {
        let many: String = (0..51).map(|n| format!("{{{{v{n}}}}}")).collect();
        let raw = json!({"name": " ", "language": "?", "body": many, "components": ["\0"]});
        let error = TemplateIn::parse(raw.to_string().as_bytes()).unwrap_err();
        let fields: Vec<_> = error.faults.iter().filter_map(|f| f.field.as_deref()).collect();
        assert_eq!(fields, ["name", "language", "body", "components"]);
        assert_eq!(error.faults[2].code, Code::InvalidTemplate);
    }

    #[test]
    fn components_are_kept_as_json() {
        let raw = br#"{"name":"a","body":"b","components":[{"type":"BODY"}],"status":"disabled"}"#;
        let text = TemplateIn::parse(raw).unwrap();
        assert_eq!(text.components.as_deref(), Some(r#"[{"type":"BODY"}]"#));
        assert_eq!((text.status, text.language.as_str()), (TemplateStatus::Disabled, "en"));
        let long = json!({"name": "a", "body": "b", "components": ["x".repeat(17_000)]});
        assert!(TemplateIn::parse(long.to_string().as_bytes()).is_err());
        assert!(TemplateIn::parse(br#"{"name":"a","body":"b","components":{}}"#).is_err());
    }
}
