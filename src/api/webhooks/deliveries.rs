//! `GET /webhooks/{id}/deliveries` and `GET /webhooks/dead-letters`.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use model::carrier::OrgId;
use store::DeliveryRow;
use store::lane::DeliveryState;

use super::super::App;
use super::super::auth::{Caller, ReadWebhooks};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Query};
use super::output::{AttemptOut, DeliveryOut};

/// Requests shown with one page of deliveries.
const ATTEMPTS_MAX: i64 = 2_000;

/// Lists what was sent to an endpoint, newest event first, with each request and its answer.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    params(
        ("id" = String, Path, description = "`wh_…`, or `callbacks`"),
        ("outcome" = Option<String>, Query,
            description = "`pending`, `delivered` or `dead_letter`"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<DeliveryOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = 404, description = "There is no endpoint of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadWebhooks>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let state = query.get("outcome").map(outcome).transpose()?;
    let page = Page::newest_first(&app, &caller, List::Deliveries, &query)?;
    let organization = caller.organization;
    let webhook = super::find_any(&app, organization, &id).await?.id;
    let mut rows =
        app.store.deliveries(organization, webhook, state, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    let data = with_attempts(&app, organization, webhook, rows).await?;
    caller.call.page(data, pagination)
}

/// Lists what was given up at any endpoint, newest first. Replay one to have it sent again.
#[utoipa::path(
    get, path = "/webhooks/dead-letters", operation_id = "list_dead_letters", tag = "webhooks",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page, without the requests made",
            body = Envelope<Vec<DeliveryOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn dead_letters(
    State(app): State<App>,
    caller: Caller<ReadWebhooks>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::DeadLetters, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.dead_letters(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    caller.call.page(rows.into_iter().map(DeliveryOut::from).collect(), pagination)
}

fn outcome(name: &str) -> Result<i64, ApiError> {
    let state = match name {
        "pending" => DeliveryState::Pending,
        "delivered" => DeliveryState::Delivered,
        "dead_letter" => DeliveryState::Dead,
        _ => return Err(ApiError::query("outcome", name, "pending, delivered or dead_letter")),
    };
    Ok(state.code())
}

async fn with_attempts(
    app: &App,
    organization: OrgId,
    webhook: i64,
    rows: Vec<DeliveryRow>,
) -> Result<Vec<DeliveryOut>, ApiError> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let lines = (last.seq, first.seq);
    let mut attempts =
        app.store.delivery_attempts(organization, webhook, lines, ATTEMPTS_MAX).await?;
    let with = |row: DeliveryRow| {
        let seq = row.seq;
        let own = attempts.extract_if(.., |attempt| attempt.seq == seq);
        let own = own.map(AttemptOut::from).collect();
        let mut out = DeliveryOut::from(row);
        out.attempts = own;
        out
    };
    Ok(rows.into_iter().map(with).collect())
}
