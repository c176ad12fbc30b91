//! What a rule may say, checked field by field.

use model::message::Category;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use store::lane::{CapPatch, NewCap};
use utoipa::ToSchema;

use model::id::PublicId;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use super::super::messages::{CATEGORIES, CHANNELS, CategoryIn};

/// A rule is counted hit by hit on each send: this bounds the work.
const LIMIT_MAX: i64 = 10_000;
/// 365 days.
const WINDOW_MAX_S: i64 = 31_536_000;
const NAME_CHARS_MAX: usize = 200;

/// A rule to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"name": "No more than three a day", "channel": "sms",
    "category": "marketing", "limit": 3, "window_seconds": 86400}))]
pub(crate) struct CapIn {
    /// 1 to 200 characters.
    name: String,
    /// `sms`; null: every channel.
    channel: Option<String>,
    /// Null: `marketing` and `service`.
    category: Option<CategoryIn>,
    /// How many messages a recipient may be sent within the window: 1 to 10000.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: i64,
    /// The window rolls: 1 to 31536000 seconds.
    #[schema(minimum = 1, maximum = 31_536_000)]
    window_seconds: i64,
    /// True when left out.
    enabled: Option<bool>,
}

/// What is to be different; what is left out stays. `channel` and `category` may become null.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"limit": 5}))]
pub(crate) struct CapPatchIn {
    name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    channel: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<CategoryIn>)]
    category: Option<Option<CategoryIn>>,
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<i64>,
    #[schema(minimum = 1, maximum = 31_536_000)]
    window_seconds: Option<i64>,
    enabled: Option<bool>,
}

const FIELDS: &[Field] = &[
    Field::required("name", Kind::Text),
    Field::optional("channel", Kind::Text),
    Field::optional("category", Kind::OneOf(CATEGORIES)),
    Field::required("limit", Kind::Whole),
    Field::required("window_seconds", Kind::Whole),
    Field::optional("enabled", Kind::Flag),
];

const PATCH_FIELDS: &[Field] = &[
    Field::optional("name", Kind::Text),
    Field::optional("channel", Kind::Text),
    Field::optional("category", Kind::OneOf(CATEGORIES)),
    Field::optional("limit", Kind::Whole),
    Field::optional("window_seconds", Kind::Whole),
    Field::optional("enabled", Kind::Flag),
];

/// Tells null, which is a value, from what is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl CapIn {
    pub(super) fn parse(raw: &[u8], id: PublicId) -> Result<NewCap, ApiError> {
        let cap: Self = body::parse(raw, FIELDS)?;
        let mut faults = Vec::new();
        check_name(&cap.name, &mut faults);
        check_channel(cap.channel.as_deref(), &mut faults);
        check_range("limit", cap.limit, LIMIT_MAX, &mut faults);
        check_range("window_seconds", cap.window_seconds, WINDOW_MAX_S, &mut faults);
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(NewCap {
            id,
            name: cap.name,
            channel: cap.channel,
            category: cap.category.map(Category::from),
            limit: cap.limit,
            window_s: cap.window_seconds,
            enabled: cap.enabled.unwrap_or(true),
        })
    }
}

impl CapPatchIn {
    pub(super) fn parse(raw: &[u8]) -> Result<CapPatch, ApiError> {
        let patch: Self = body::parse(raw, PATCH_FIELDS)?;
        let mut faults = Vec::new();
        if let Some(name) = &patch.name {
            check_name(name, &mut faults);
        }
        check_channel(patch.channel.as_ref().and_then(Option::as_deref), &mut faults);
        if let Some(limit) = patch.limit {
            check_range("limit", limit, LIMIT_MAX, &mut faults);
        }
        if let Some(window) = patch.window_seconds {
            check_range("window_seconds", window, WINDOW_MAX_S, &mut faults);
        }
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(CapPatch {
            name: patch.name,
            channel: patch.channel,
            category: patch.category.map(|category| category.map(Category::from)),
            limit: patch.limit,
            window_s: patch.window_seconds,
            enabled: patch.enabled,
        })
    }
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.trim().chars().count());
    if !fits || name.contains('\0') {
        faults
            .push(wrong("name", json!(name)).expected("1 to 200 characters, none of them U+0000"));
    }
}

fn check_channel(channel: Option<&str>, faults: &mut Vec<Fault>) {
    if let Some(channel) = channel.filter(|channel| !CHANNELS.contains(channel)) {
        faults.push(wrong("channel", json!(channel)).expected(CHANNELS.join(", ")));
    }
}

fn check_range(field: &'static str, value: i64, most: i64, faults: &mut Vec<Fault>) {
    if !(1..=most).contains(&value) {
        faults.push(wrong(field, json!(value)).expected(format!("1 to {most}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_told_from_what_is_left_out() {
        let patch = CapPatchIn::parse(br#"{"channel": null, "limit": 7}"#).unwrap();
        assert_eq!(patch.channel, Some(None));
        assert_eq!(patch.category, None);
        assert_eq!(patch.limit, Some(7));
    }

    #[test]
    fn every_fault_of_a_rule_is_named() {
        let id = PublicId::from_bytes([0; 16]);
        let bad = br#"{"name": " ", "channel": "pigeon", "limit": 0, "window_seconds": 31536001}"#;
        let error = CapIn::parse(bad, id).unwrap_err();
        let fields: Vec<_> = error.faults.iter().filter_map(|f| f.field.as_deref()).collect();
        assert_eq!(fields, ["name", "channel", "limit", "window_seconds"]);
        let error = CapIn::parse(br#"{"limit": 1.5, "enabled": "yes"}"#, id).unwrap_err();
        let fields: Vec<_> = error.faults.iter().filter_map(|f| f.field.as_deref()).collect();
        assert_eq!(fields, ["name", "limit", "window_seconds", "enabled"]);
    }
}
