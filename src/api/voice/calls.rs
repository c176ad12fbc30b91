//! `GET /voice/calls`, `/voice/calls/{id}` and `/voice/calls/{id}/events`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::carrier::MessageKey;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::voice::CallStatus;
use serde::Serialize;
use serde_json::{Value, json};
use store::EventRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadVoice};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Query};
use super::output::{CallDetailOut, CallOut};
use super::{detail, filter_of, find};

/// One thing that happened to a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallEventOut {
    #[schema(example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[serde(rename = "type")]
    #[schema(example = "call.answered")]
    kind: &'static str,
    created_at: String,
    /// As its webhook has it.
    #[schema(value_type = Object)]
    data: Value,
}

/// Lists calls, newest first.
#[utoipa::path(
    get, path = "/voice/calls", operation_id = "list_calls", tag = "voice",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("status" = Option<String>, Query, description = "`initiating`, `ringing`, `in_progress`, \
            `completed` or `failed`"),
        ("direction" = Option<String>, Query, description = "`outbound` or `inbound`"),
        ("to" = Option<String>, Query),
        ("from" = Option<String>, Query),
        ("created_after" = Option<String>, Query, description = "ISO 8601, inclusive"),
        ("created_before" = Option<String>, Query, description = "ISO 8601, exclusive"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<CallOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let mut filter = filter_of(&query)?;
    let status = query.get("status").map(|text| {
        let known = CallStatus::parse(text).map(CallStatus::code);
        known.ok_or_else(|| ApiError::query("status", text, "a status, as in completed"))
    });
    filter.status = status.transpose()?;
    filter.after = query.moment("created_after")?;
    filter.before = query.moment("created_before")?;
    let page = Page::newest_first(&app, &caller, List::Calls, &query)?;
    let mut rows = app.store.calls(caller.organization, &filter, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.key);
    let now = caller.call.at();
    let calls = rows.into_iter().map(|row| CallOut::of(row, None, now)).collect();
    caller.call.page(calls, pagination)
}

/// Shows one call with its legs.
#[utoipa::path(
    get, path = "/voice/calls/{id}", operation_id = "get_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, detail(&app, &caller, row).await?)
}

/// Lists what happened to a call, oldest first.
#[utoipa::path(
    get, path = "/voice/calls/{id}/events", operation_id = "list_call_events", tag = "voice",
    params(
        ("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 200 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "Its history", body = Envelope<Vec<CallEventOut>>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::oldest_first(&app, &caller, List::CallEvents, &query)?;
    let key = MessageKey(find(&app, &caller, &id).await?.key);
    let mut rows = app.store.events(caller.organization, key, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    caller.call.page(rows.iter().filter_map(CallEventOut::of).collect(), pagination)
}

impl CallEventOut {
    fn of(row: &EventRow) -> Option<Self> {
        let kind = EventKind::from_code(row.kind)?.public_type()?;
        let data = row.detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Some(Self {
            id: PublicId::of_row(At(row.at), row.seq).show(Kind::Event),
            kind,
            created_at: At(row.at).iso(),
            data: data.unwrap_or_else(|| json!({})),
        })
    }
}
