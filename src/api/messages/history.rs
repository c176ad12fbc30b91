//! `GET /messages/{id}/events`: the story of one message, oldest first.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use model::carrier::MessageKey;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::Status;
use serde::{Deserialize, Serialize};
use store::EventRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadMessages};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Pagination, Query};
use super::list::find;

/// One thing that happened to a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventOut {
    #[schema(example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// `message.` and `created`, `retried`, `in_doubt`, `sent`, `receipt`, `delivered`, `failed`,
    /// `cancelled`, `edited`, `deferred`, `diverted`, `received` or `replied`.
    #[serde(rename = "type")]
    #[schema(example = "message.delivered")]
    kind: String,
    /// The message's status from here on.
    #[schema(example = "delivered")]
    status: &'static str,
    at: String,
    /// Who says so: `api`, `switch` or `carrier`.
    source: &'static str,
    /// What the carrier's receipt said of this part.
    carrier_state: Option<String>,
    carrier_error: Option<String>,
    segment_no: Option<i64>,
    /// Why this carrier, or why it ended so.
    reason: Option<String>,
    /// Why this carrier was chosen.
    route: Option<String>,
    attempt: Option<i64>,
    /// The time it was put off to, or edited to.
    scheduled_at: Option<String>,
}

/// What a log row keeps beside its columns.
#[derive(Default, Deserialize)]
struct Detail {
    carrier_state: Option<String>,
    carrier_error: Option<String>,
    segment_no: Option<i64>,
    reason: Option<String>,
    route: Option<String>,
    attempt: Option<i64>,
    scheduled_at: Option<String>,
}

/// Tells all that happened to a message, oldest first.
#[utoipa::path(
    get, path = "/messages/{id}/events", operation_id = "list_message_events", tag = "messages",
    params(
        ("id" = String, Path, example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 200 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "Its history", body = Envelope<Vec<EventOut>>),
        (status = 404, description = "There is no such message of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller<ReadMessages>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::oldest_first(&app, &caller, List::Events, &query)?;
    let message = find(&app, &caller, &id).await?;
    let key = MessageKey(message.key);
    let mut rows = app.store.events(caller.organization, key, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    let whole = page.from == 0 && !pagination.has_more;
    let total = whole.then(|| i64::try_from(rows.len()).unwrap_or(0));
    let pagination = Pagination { total, ..pagination };
    let data = rows.iter().map(EventOut::from).collect();
    caller.call.page(data, pagination)
}

impl From<&EventRow> for EventOut {
    fn from(row: &EventRow) -> Self {
        let detail: Detail = row
            .detail
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let kind = EventKind::from_code(row.kind);
        let source = match kind {
            Some(EventKind::Created) | None => "api",
            Some(EventKind::Retried | EventKind::InDoubt) => "switch",
            Some(EventKind::Failed) if detail.reason.is_some() => "switch",
            Some(EventKind::Cancelled | EventKind::Edited) => "api",
            Some(
                EventKind::Sent
                | EventKind::Receipt
                | EventKind::Delivered
                | EventKind::Failed
                | EventKind::Received
                | EventKind::Replied,
            ) => "carrier",
            Some(_) => "switch",
        };
        Self {
            id: PublicId::of_row(At(row.at), row.seq).show(Kind::Event),
            kind: format!("message.{}", kind.map_or("created", EventKind::as_str)),
            status: Status::from_code(row.status).map_or("queued", Status::as_str),
            at: At(row.at).iso(),
            source,
            carrier_state: detail.carrier_state,
            carrier_error: detail.carrier_error,
            segment_no: detail.segment_no,
            reason: detail.reason,
            route: detail.route,
            attempt: detail.attempt,
            scheduled_at: detail.scheduled_at,
        }
    }
}
