//! `PUT` and `DELETE /webhooks/{id}`, and `POST /webhooks/{id}/test`.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::event::EventKind;
use model::refusal::Code;
use serde::Serialize;
use serde_json::json;
use store::lane::{Resume, WebhookChange, WebhookFields};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeWebhooks};
use super::super::body::{self, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::input::{PATCH_FIELDS, WebhookPatch, events_text};
use super::output::WebhookOut;

/// A test is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestOut {
    webhook_id: String,
    #[schema(example = "webhook.test")]
    event_type: &'static str,
    /// `queued`: see the deliveries of the endpoint for what became of it.
    #[schema(example = "queued")]
    status: &'static str,
}

/// Changes an endpoint; what is left out stays.
#[utoipa::path(
    put, path = "/webhooks/{id}", operation_id = "update_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`")),
    request_body = WebhookPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<WebhookOut>),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = super::find(&app, caller.organization, &id).await?;
    let patch: WebhookPatch = body::parse(&raw, PATCH_FIELDS)?;
    patch.check(&app.webhooks)?;
    let resume = match patch.active {
        Some(true) if row.disabled_at.is_some() => {
            let hours = app.webhooks.settings.expire_h;
            let oldest = caller.call.at().minus(Duration::from_secs(hours * 3_600));
            let line = app.store.line_before(caller.organization, oldest.micros()).await?;
            Resume::From(line)
        }
        Some(false) => Resume::No,
        Some(true) | None => Resume::Unchanged,
    };
    let fields = WebhookFields {
        url: patch.url.unwrap_or(row.url),
        events: patch.events.as_deref().map_or(row.events, events_text),
        description: patch.description.or(row.description),
    };
    let organization = caller.organization;
    let change = WebhookChange::Update { organization, webhook: row.id, fields, resume };
    super::store(&app, change).await?;
    app.customers.refresh(row.id);
    let row = super::find(&app, organization, &id).await?;
    caller.call.answer(StatusCode::OK, WebhookOut::from(row))
}

/// Deletes an endpoint. What waits for it is dropped.
#[utoipa::path(
    delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = super::find(&app, caller.organization, &id).await?;
    let organization = caller.organization;
    super::store(&app, WebhookChange::Delete { organization, webhook: row.id }).await?;
    app.customers.refresh(row.id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sends the event `webhook.test` to this endpoint, whatever it asked for.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`")),
    responses(
        (status = 202, description = "On its way", body = Envelope<TestOut>),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = 409, description = "It is not active", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = super::find(&app, caller.organization, &id).await?;
    if row.disabled_at.is_some() {
        let message = "the webhook is not active; set `active` to true first";
        return Err(ApiError::new(Code::Conflict, message));
    }
    let detail = json!({ "webhook_id": id, "message": "This is a test of your webhook." });
    let change = WebhookChange::Tell {
        organization: caller.organization,
        kind: EventKind::WebhookTest,
        detail: detail.to_string(),
    };
    super::store(&app, change).await?;
    let out = TestOut { webhook_id: id, event_type: "webhook.test", status: "queued" };
    caller.call.answer(StatusCode::ACCEPTED, out)
}
