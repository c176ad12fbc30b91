//! `GET /frequency-caps` and `GET /frequency-caps/{id}`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::Category;
use model::refusal::Code;
use serde::Serialize;
use store::CapRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadCompliance};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::super::page::{List, Page, Query};

/// A rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapOut {
    #[schema(example = "fcr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "No more than three a day")]
    name: String,
    /// Null: every channel.
    #[schema(example = "sms")]
    pub(super) channel: Option<String>,
    /// Null: `marketing` and `service`.
    #[schema(example = "marketing")]
    category: Option<&'static str>,
    #[schema(example = 3)]
    pub(super) limit: i64,
    #[schema(example = 86_400)]
    window_seconds: i64,
    enabled: bool,
    created_at: String,
    updated_at: String,
}

impl From<CapRow> for CapOut {
    fn from(row: CapRow) -> Self {
        Self {
            id: id_of(Kind::Cap, &row.public_id),
            name: row.name,
            channel: row.channel,
            category: row.category.and_then(Category::from_code).map(Category::as_str),
            limit: row.max_count,
            window_seconds: row.window_s,
            enabled: row.disabled_at.is_none(),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}

/// Lists the rules, newest first.
#[utoipa::path(
    get, path = "/frequency-caps", operation_id = "list_frequency_caps", tag = "frequency-caps",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<CapOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Caps, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.cap_rules(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    caller.call.page(rows.into_iter().map(CapOut::from).collect(), pagination)
}

/// Shows one rule.
#[utoipa::path(
    get, path = "/frequency-caps/{id}", operation_id = "get_frequency_cap", tag = "frequency-caps",
    params(("id" = String, Path, example = "fcr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The rule", body = Envelope<CapOut>),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let out = find(&app, caller.organization, parse(&id)?).await?;
    caller.call.answer(StatusCode::OK, out)
}

pub(super) fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such frequency cap")
}

pub(super) fn parse(id: &str) -> Result<PublicId, ApiError> {
    PublicId::parse(Kind::Cap, id).ok_or_else(unknown)
}

pub(super) async fn find(app: &App, organization: OrgId, id: PublicId) -> Result<CapOut, ApiError> {
    let row = app.store.cap_rule(organization, id).await?;
    row.map(CapOut::from).ok_or_else(unknown)
}
