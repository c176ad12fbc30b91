//! `POST /messages/templates/{id}/preview`: what a template makes of some values. Nothing is sent.

use actors::traffic::text;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::template::Template;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadTemplates};
use super::super::body::{self, Field, Kind, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::read::find;
use super::values::{Values, VariableIn};
use super::wording::too_long;

/// Values to try a template with.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"variables": {"name": "Ada", "order": 1234}}))]
pub(crate) struct PreviewIn {
    /// Texts of at most 1600 characters, numbers and booleans by name.
    #[schema(value_type = Option<HashMap<String, VariableIn>>)]
    variables: Option<Map<String, Value>>,
    /// Puts plain signs in the place of typographic ones, where that makes the text GSM-7.
    smart_encoding: Option<bool>,
}

/// What a template makes of some values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplatePreviewOut {
    /// The text; variables without a value stand in it as they are written.
    #[schema(example = "Hi Ada, your order 1234 is on its way.")]
    body: String,
    /// `gsm7` or `ucs2`.
    #[schema(example = "gsm7")]
    encoding: &'static str,
    characters: usize,
    segments: usize,
    /// The variables that have neither a value nor a default: a send would be refused.
    missing: Vec<String>,
}

const FIELDS: &[Field] =
    &[Field::optional("variables", Kind::Object), Field::optional("smart_encoding", Kind::Flag)];

/// Shows what a template makes of some values.
#[utoipa::path(
    post, path = "/messages/templates/{id}/preview", operation_id = "preview_template",
    tag = "templates",
    params(("id" = String, Path, example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = PreviewIn,
    responses(
        (status = 200, description = "The text", body = Envelope<TemplatePreviewOut>),
        (status = 404, description = "There is no such template of yours", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn preview(
    State(app): State<App>,
    caller: Caller<ReadTemplates>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: PreviewIn = body::parse(&raw, FIELDS)?;
    let row = find(&app, caller.organization, &id).await?;
    let values = Values::read(input.variables.unwrap_or_default())?;
    let template = Template::parse(&row.body);
    let missing = template.missing(|name| values.get(name));
    let body = template.fill(|name| values.get(name)).ok_or_else(too_long)?;
    let smart = input.smart_encoding == Some(true);
    let body = if smart { text::smart(body, None) } else { body };
    let weight = text::weigh_plainly(&body);
    let out = TemplatePreviewOut {
        encoding: weight.encoding.as_str(),
        characters: weight.characters,
        segments: weight.segments,
        missing: missing.into_iter().map(str::to_owned).collect(),
        body,
    };
    caller.call.answer(StatusCode::OK, out)
}
