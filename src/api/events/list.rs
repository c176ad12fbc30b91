//! `GET /events` and `GET /events/{id}`: the log, as far back as it is kept.

use std::time::Duration;

use actors::customer::envelope::Envelope as Event;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::carrier::MessageKey;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::Code;
use serde::Serialize;
use serde_json::Value;
use store::{LogFilter, LoggedRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadEvents};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Query};
use super::Resource;

/// One thing that happened, in the words of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventEnvelope {
    #[schema(example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[serde(rename = "type")]
    #[schema(example = "message.delivered")]
    kind: &'static str,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    created_at: String,
    /// What the type says: of `message.*`, the message as it is now.
    #[schema(value_type = Object)]
    data: Value,
    /// Which event of its message this is, from 1; gaps are events that are history only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    /// The data was too long and says only what it is of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl EventEnvelope {
    fn of(row: &LoggedRow) -> Option<Self> {
        let Event { id, kind, created_at, data, sequence, truncated } = Event::of(row)?;
        Some(Self { id, kind, created_at, data, sequence, truncated })
    }
}

/// Lists events, newest first.
#[utoipa::path(
    get, path = "/events", operation_id = "list_events", tag = "events",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("type" = Option<String>, Query, description = "Types or patterns, as \
            `message.delivered,contact.*`; also by the name `types`"),
        ("resource_id" = Option<String>, Query, description = "Of this message or call only, `msg_…` \
            or `call_…`"),
        ("after" = Option<String>, Query, description = "ISO 8601, inclusive"),
        ("before" = Option<String>, Query, description = "ISO 8601, exclusive"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<EventEnvelope>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadEvents>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Log, &query)?;
    let organization = caller.organization;
    let mut rows = match filter_of(&app, &caller, &query).await? {
        Some(filter) => app.store.log_page(organization, &filter, page.from, page.reads()).await?,
        None => Vec::new(),
    };
    let pagination = page.cut(&mut rows, |row| row.seq);
    caller.call.page(rows.iter().filter_map(EventEnvelope::of).collect(), pagination)
}

/// Shows one event.
#[utoipa::path(
    get, path = "/events/{id}", operation_id = "get_event", tag = "events",
    params(("id" = String, Path, example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The event", body = Envelope<EventEnvelope>),
        (status = 404, description = "There is no such event of yours, or none any more",
            body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadEvents>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such event");
    let row = find(&app, &caller, &id).await?.ok_or_else(unknown)?;
    let kept = row.at >= oldest(&app, caller.call.at());
    let event = EventEnvelope::of(&row).filter(|_| kept).ok_or_else(unknown)?;
    caller.call.answer(StatusCode::OK, event)
}

/// The line of the log that an event's id was made of.
pub(super) async fn find(
    app: &App,
    caller: &Caller<ReadEvents>,
    id: &str,
) -> Result<Option<LoggedRow>, ApiError> {
    let Some(id) = PublicId::parse(Kind::Event, id) else {
        return Ok(None);
    };
    let row = app.store.logged(caller.organization, id.row_number()).await?;
    Ok(row.filter(|row| PublicId::of_row(At(row.at), row.seq) == id))
}

/// Older events are of no concern to anybody but their message.
fn oldest(app: &App, now: At) -> i64 {
    match app.retention.events_days {
        0 => i64::MIN,
        days => now.minus(Duration::from_secs(days * 86_400)).micros(),
    }
}

/// The key of a message or call of the caller's.
pub(super) async fn key_of(
    app: &App,
    caller: &Caller<ReadEvents>,
    resource: Resource,
) -> Result<Option<MessageKey>, ApiError> {
    let key = match resource {
        Resource::Message(id) => {
            app.store.message(caller.organization, id).await?.map(|message| message.key)
        }
        Resource::Call(id) => app.store.call(caller.organization, id).await?.map(|call| call.key),
    };
    Ok(key.map(MessageKey))
}

/// `None`: of a message or call that is not there.
async fn filter_of(
    app: &App,
    caller: &Caller<ReadEvents>,
    query: &Query,
) -> Result<Option<LogFilter>, ApiError> {
    let mut filter = LogFilter::new(&super::kinds_of(query)?);
    let after = query.moment("after")?.unwrap_or(i64::MIN);
    filter.after = after.max(oldest(app, caller.call.at()));
    filter.before = query.moment("before")?.unwrap_or(i64::MAX);
    if let Some(resource) = super::resource_of(query)? {
        let Some(key) = key_of(app, caller, resource).await? else {
            return Ok(None);
        };
        filter.message = Some(key);
    }
    Ok(Some(filter))
}
