//! `POST /messages/{id}/retry`: a new message like one that failed, through all gates and price
//! again. The old one stays as it ended; the new one names it as its parent.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use model::carrier::MessageKey;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::{Category, Encoding, Status};
use model::refusal::{Code, Refusal};
use model::submission::SendOptions;
use store::ChangeRow;

use actors::traffic::admission::SendRequest;

use super::super::App;
use super::super::auth::{Caller, SendOne};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::idempotency;
use super::change::{find, refused, status_of};
use super::output::AcceptedOut;
use super::send::{check, submit};

/// Sends a message again that ended as `failed`, `undelivered`, `expired` or `rejected`.
#[utoipa::path(
    post, path = "/messages/{id}/retry", operation_id = "retry_message", tag = "messages",
    params(
        ("id" = String, Path, example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"),
        ("Idempotency-Key" = Option<String>, Header, description = "8 to 255 visible characters: \
            the same key and message within 24 hours is one retry"),
    ),
    responses(
        (status = 202, description = "A new message, stored and queued",
            body = Envelope<AcceptedOut>),
        (status = 402, description = "The balance does not cover it", body = ErrorOut),
        (status = 404, description = "There is no such message of yours", body = ErrorOut),
        (status = 409, description = "It did not fail: see `details.status`", body = ErrorOut),
        (status = 422, description = "What was taken then is refused now", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller<SendOne>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Two messages are two requests, whatever their key.
    let idempotency = idempotency::read(&headers, "POST /messages/{id}/retry", id.as_bytes())?;
    let row = find(&app, &caller, &id).await?;
    may_retry(&row)?;
    // A pool chooses again, so that it counts each message that it sends.
    let pool = row.pool();
    let request = SendRequest {
        to: row.to_addr,
        from: pool.is_none().then_some(row.from_addr),
        pool,
        body: row.body,
        encoding: Encoding::from_code(row.encoding),
        category: Category::from_code(row.category).unwrap_or(Category::Transactional),
        account: None,
        metadata: row.metadata,
        test: caller.test,
        submitted: None,
    };
    let mut message = check(&app, &caller, request)?;
    message.options = SendOptions {
        scheduled_at: None,
        validity_s: row.validity_s.and_then(|seconds| u32::try_from(seconds).ok()),
        webhook_url: row.webhook_url,
        parent: Some(MessageKey(row.key)),
        template: row.template_id.and_then(|id| id.try_into().ok()).map(PublicId::from_bytes),
        ..message.options
    };
    submit(&app, &caller, message, idempotency).await
}

fn may_retry(row: &ChangeRow) -> Result<(), Refusal> {
    let status = status_of(row);
    let failed = [Status::Failed, Status::Undelivered, Status::Expired, Status::Rejected];
    if !failed.contains(&status) {
        let message = "only a message that failed can be sent again";
        return Err(refused(Code::MessageNotRetryable, message, status));
    }
    let submitted = Submitted::stored(row.smpp_account_id, row.submitted.as_deref());
    if submitted.is_some_and(|submitted| submitted.esm_class != 0) {
        let message = "it is a part of something that an SMPP client sent: only that can repeat it";
        return Err(refused(Code::MessageNotRetryable, message, status));
    }
    if row.redacted_at.is_some() {
        let message = "the message's text is no longer kept; send it anew";
        return Err(refused(Code::MessageNotRetryable, message, status));
    }
    Ok(())
}
