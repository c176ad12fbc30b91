//! `POST /messages/{id}/cancel`, and of a whole batch: stops what has not begun to leave.
//!
//! Against a carrier that takes the message in the same moment one of the two wins, and the answer
//! says which: `cancelled` is never sent, and what is refused here was or will be.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::MessageKey;
use model::id::{Kind, PublicId};
use model::message::Status;
use model::refusal::{Code, Refusal};
use serde::Serialize;
use store::KeyedRow;
use store::lane::{Admin, AdminDone, CancelFate};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeMessages};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::change::{check_mode, find, refused};
use super::output::MessageOut;

/// Messages of a batch that are stopped by one transaction.
const AT_ONCE: usize = 500;

/// What became of a batch's messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchCancelOut {
    #[schema(example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    batch_id: String,
    /// Stopped by this request.
    cancelled: usize,
    /// Sent, being sent, or ended before.
    not_cancelled: usize,
}

/// Stops a message that is `scheduled`, or `queued` and not yet taken by its carrier.
#[utoipa::path(
    post, path = "/messages/{id}/cancel", operation_id = "cancel_message", tag = "messages",
    params(("id" = String, Path, example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "It is cancelled, and its price released",
            body = Envelope<MessageOut>),
        (status = 404, description = "There is no such message of yours", body = ErrorOut),
        (status = 409, description = "Too late: see `details.status`", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller<ChangeMessages>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    match stop(&app, &caller, vec![MessageKey(row.key)]).await?.first() {
        Some(CancelFate::Cancelled { .. }) => show(&app, &caller, &row.id).await,
        Some(CancelFate::Not(status)) => Err(not_cancellable(*status).into()),
        // An inbound one: it is there, and nothing can be stopped.
        Some(CancelFate::Unknown) => Err(not_cancellable(Status::Received).into()),
        None => Err(ApiError::internal()),
    }
}

/// Stops all messages of a batch that have not begun to leave.
#[utoipa::path(
    post, path = "/messages/batches/{id}/cancel", operation_id = "cancel_batch", tag = "messages",
    params(("id" = String, Path, example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "How many were stopped", body = Envelope<BatchCancelOut>),
        (status = 404, description = "There is no such batch of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn cancel_batch(
    State(app): State<App>,
    caller: Caller<ChangeMessages>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such batch");
    let batch = PublicId::parse(Kind::Batch, &id).ok_or_else(unknown)?;
    let mut out = BatchCancelOut { batch_id: id, cancelled: 0, not_cancelled: 0 };
    let mut after = MessageKey(0);
    loop {
        let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let rows = app.store.batch_keys(caller.organization, batch, after, limit).await?;
        if let Some(first) = rows.first() {
            check_mode(&caller, first.test_mode)?;
        } else if after == MessageKey(0) {
            return Err(unknown());
        }
        let (count, last) = (rows.len(), rows.last().map(|row| row.key));
        let open: Vec<MessageKey> = rows.into_iter().filter_map(open).collect();
        let stopped = if open.is_empty() { 0 } else { stop_some(&app, &caller, open).await? };
        out.cancelled += stopped;
        out.not_cancelled += count - stopped;
        match last.filter(|_| count == AT_ONCE) {
            Some(last) => after = MessageKey(last),
            None => return caller.call.answer(StatusCode::OK, out),
        }
    }
}

/// The key of one that may still be stopped.
fn open(row: KeyedRow) -> Option<MessageKey> {
    let may = [Status::Scheduled.code(), Status::Queued.code()].contains(&row.status);
    may.then_some(MessageKey(row.key))
}

async fn stop_some(
    app: &App,
    caller: &Caller<ChangeMessages>,
    messages: Vec<MessageKey>,
) -> Result<usize, ApiError> {
    let fates = stop(app, caller, messages).await?;
    Ok(fates.iter().filter(|fate| matches!(fate, CancelFate::Cancelled { .. })).count())
}

async fn stop(
    app: &App,
    caller: &Caller<ChangeMessages>,
    messages: Vec<MessageKey>,
) -> Result<Vec<CancelFate>, ApiError> {
    let organization = caller.organization;
    match app.writer.administer(Admin::Cancel { organization, messages }).await? {
        AdminDone::Cancelled(fates) => Ok(fates),
        _ => Err(ApiError::internal()),
    }
}

/// The message as it stands now.
pub(crate) async fn show(
    app: &App,
    caller: &Caller<ChangeMessages>,
    id: &[u8],
) -> Result<Response, ApiError> {
    let id = id.try_into().map(PublicId::from_bytes).map_err(|_| ApiError::internal())?;
    let row = app.store.message(caller.organization, id).await?;
    let row = row.ok_or_else(ApiError::internal)?;
    caller.call.answer(StatusCode::OK, MessageOut::from(row))
}

fn not_cancellable(status: Status) -> Refusal {
    let message = "the message has begun to leave, or has ended";
    refused(Code::MessageNotCancellable, message, status)
}
