//! `GET /webhooks` and `GET /webhooks/{id}`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::super::App;
use super::super::auth::{Caller, ReadWebhooks};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{LIMIT_DEFAULT, List, Pagination, Query};
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
    let limit = query.limit(LIMIT_DEFAULT)?;
    let (organization, now) = (caller.organization, caller.call.at());
    let before = match query.get("cursor") {
        Some(text) => app.cursors.open(List::Webhooks, organization, text, now)?,
        None => i64::MAX,
    };
    let mut rows = app.store.webhooks(organization, before, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more).map(|row| row.id);
    let seal = |last| app.cursors.seal(List::Webhooks, organization, last, now);
    let pagination = Pagination { cursor: last.map(seal), has_more, total: None };
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
