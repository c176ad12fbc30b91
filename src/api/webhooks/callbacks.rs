//! `GET /webhooks/callbacks`: the secret of `webhook_url`, and the hidden endpoint behind it.
//!
//! Each organization has one such endpoint from the first message on that names a `webhook_url`,
//! so that callbacks have the order, the retries and the dead letters of any endpoint.

use actors::customer::webhook::sign;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use store::WebhookRow;
use store::lane::{WebhookChange, WebhookDone};

use super::super::App;
use super::super::auth::{Caller, ChangeWebhooks};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::CALLBACKS;
use super::secret::SecretOut;

/// Shows the secret that signs what goes to the `webhook_url` of single messages.
#[utoipa::path(
    get, path = "/webhooks/callbacks", operation_id = "get_callback_secret", tag = "webhooks",
    responses(
        (status = 200, description = "The secret", body = Envelope<SecretOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
) -> Result<Response, ApiError> {
    let row = made(&app, caller.organization).await?;
    let old = row.old_secret_until.filter(|until| At(*until) > caller.call.at());
    let out = SecretOut {
        id: CALLBACKS.to_owned(),
        signing_secret: row.secret,
        old_secret_expires_at: old.map(|until| At(until).iso()),
    };
    caller.call.answer(StatusCode::OK, out)
}

/// Checks a message's `webhook_url`, and sees to it that there is someone to call it.
pub(crate) async fn ready(
    app: &App,
    organization: OrgId,
    url: Option<&str>,
) -> Result<(), ApiError> {
    let Some(url) = url else { return Ok(()) };
    app.webhooks.check_url("webhook_url", url)?;
    if !app.webhooks.knows(organization) {
        made(app, organization).await?;
        app.webhooks.remember(organization);
    }
    Ok(())
}

/// The endpoint, made if need be: before the message, so that no event of it comes too early.
async fn made(app: &App, organization: OrgId) -> Result<WebhookRow, ApiError> {
    if let Some(row) = app.store.callbacks(organization).await? {
        return Ok(row);
    }
    let (id, secret) = (PublicId::new(At::now()), sign::secret(rand::random()));
    let change = WebhookChange::Callbacks { organization, id, secret };
    if let WebhookDone::Made(number) = super::store(app, change).await? {
        app.customers.refresh(number);
    }
    app.store.callbacks(organization).await?.ok_or_else(ApiError::internal)
}
