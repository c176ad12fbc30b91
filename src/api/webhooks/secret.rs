//! `POST /webhooks/{id}/rotate-secret`.

use std::time::Duration;

use actors::customer::webhook::sign;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use store::lane::WebhookChange;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeWebhooks};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};

/// A new secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretOut {
    /// The endpoint's id, or `callbacks`.
    pub(super) id: String,
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub(super) signing_secret: String,
    /// Until then the secret before this one signs too; null when there is none.
    pub(super) old_secret_expires_at: Option<String>,
}

/// Replaces an endpoint's secret, or that of the callbacks. For a day both sign each request.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate-secret", operation_id = "rotate_webhook_secret",
    tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`, or `callbacks`")),
    responses(
        (status = 200, description = "The new secret, shown only now", body = Envelope<SecretOut>),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let organization = caller.organization;
    let row = super::find_any(&app, organization, &id).await?;
    let secret = sign::secret(rand::random());
    let grace = Duration::from_secs(app.webhooks.settings.secret_grace_h * 3_600);
    let until = caller.call.at().plus(grace);
    let webhook = row.id;
    let change = WebhookChange::Rotate { organization, webhook, secret: secret.clone(), until };
    super::store(&app, change).await?;
    app.customers.refresh(webhook);
    let old_secret_expires_at = Some(until.iso()).filter(|_| !grace.is_zero());
    let out = SecretOut { id, signing_secret: secret, old_secret_expires_at };
    caller.call.answer(StatusCode::OK, out)
}
