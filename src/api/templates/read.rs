//! `GET /messages/templates` and `GET /messages/templates/{id}`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::refusal::Code;
use model::template::TemplateStatus;
use store::{TemplateFilter, TemplateRow};

use super::super::App;
use super::super::auth::{Caller, ReadTemplates};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Query};
use super::output::TemplateOut;

/// Lists templates, newest first.
#[utoipa::path(
    get, path = "/messages/templates", operation_id = "list_templates", tag = "templates",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("name" = Option<String>, Query, description = "The whole name"),
        ("channel" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "`approved` or `disabled`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<TemplateOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadTemplates>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let filter = filter_of(&query)?;
    let page = Page::newest_first(&app, &caller, List::Templates, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.templates(organization, &filter, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.key);
    let data = rows.into_iter().map(TemplateOut::from).collect();
    caller.call.page(data, pagination)
}

/// Shows one template.
#[utoipa::path(
    get, path = "/messages/templates/{id}", operation_id = "get_template", tag = "templates",
    params(("id" = String, Path, example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The template", body = Envelope<TemplateOut>),
        (status = 404, description = "There is no such template of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadTemplates>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, caller.organization, &id).await?;
    caller.call.answer(StatusCode::OK, TemplateOut::from(row))
}

pub(super) fn unknown() -> ApiError {
    ApiError::new(Code::TemplateNotFound, "there is no such template")
}

pub(super) fn id_in(text: &str) -> Result<PublicId, ApiError> {
    PublicId::parse(Kind::Template, text).ok_or_else(unknown)
}

pub(super) async fn find(
    app: &App,
    organization: OrgId,
    id: &str,
) -> Result<TemplateRow, ApiError> {
    let row = app.store.template(organization, id_in(id)?).await?;
    row.ok_or_else(unknown)
}

fn filter_of(query: &Query) -> Result<TemplateFilter, ApiError> {
    let status = query.get("status").map(|text| {
        let known = TemplateStatus::parse(text).map(TemplateStatus::code);
        known.ok_or_else(|| ApiError::query("status", text, "approved or disabled"))
    });
    Ok(TemplateFilter {
        channel: query.get("channel").map(str::to_owned),
        name: query.get("name").map(str::to_owned),
        status: status.transpose()?,
    })
}
