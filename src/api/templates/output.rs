//! How templates look from outside.

use model::clock::At;
use model::id::Kind;
use model::template::{Template, TemplateStatus};
use serde::Serialize;
use serde_json::Value;
use store::TemplateRow;
use utoipa::ToSchema;

use super::super::messages::id_of;

/// A text with variables, kept by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplateOut {
    #[schema(example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "order-shipped")]
    name: String,
    /// `sms`.
    #[schema(example = "sms")]
    channel: String,
    #[schema(example = "en")]
    language: String,
    #[schema(example = "Hi {{name|there}}, your order {{order}} is on its way.")]
    body: String,
    /// The variables of the text, in their order.
    #[schema(example = json!(["name", "order"]))]
    variables: Vec<String>,
    /// Kept as given.
    #[schema(value_type = Option<Vec<Value>>)]
    components: Option<Value>,
    /// `approved` or `disabled`.
    #[schema(example = "approved")]
    status: &'static str,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    created_at: String,
    updated_at: String,
}

impl From<TemplateRow> for TemplateOut {
    fn from(row: TemplateRow) -> Self {
        let names = Template::parse(&row.body).variables();
        Self {
            id: id_of(Kind::Template, &row.id),
            name: row.name,
            channel: row.channel,
            language: row.language,
            variables: names.into_iter().map(str::to_owned).collect(),
            body: row.body,
            components: row.components.and_then(|text| serde_json::from_str(&text).ok()),
            status: TemplateStatus::from_code(row.status)
                .map_or("disabled", TemplateStatus::as_str),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}
