//! `GET /webhooks` and `GET /webhooks/{id}`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::super::App;
use super::super::auth::{Caller, ReadWebhooks};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Query};
use super::output::WebhookOut;

/// Lists the endpoints, newest first.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<WebhookOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadWebhooks>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Webhooks, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.webhooks(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    caller.call.page(rows.into_iter().map(WebhookOut::from).collect(), pagination)
}

/// Shows an endpoint.
#[utoipa::path(
    get, path = "/webhooks/{id}", operation_id = "get_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`")),
    responses(
        (status = 200, description = "The endpoint", body = Envelope<WebhookOut>),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = super::find(&app, caller.organization, &id).await?;
    caller.call.answer(StatusCode::OK, WebhookOut::from(row))
}
