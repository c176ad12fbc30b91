//! `GET /messages` and `GET /messages/{id}`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::id::{Kind, PublicId};
use model::message::{Direction, Status};
use model::refusal::Code;
use store::{Filter, MessageRow};

use super::super::App;
use super::super::auth::{Caller, ReadMessages};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::{List, Page, Pagination, Query};
use super::output::MessageOut;
use super::route::{self, RoutedOut};

/// Counted so far for `total`, and no further.
const COUNT_MAX: i64 = 10_000;

pub(crate) const CHANNELS: &[&str] = &[
    "sms",
    "mms",
    "whatsapp",
    "email",
    "rcs",
    "viber",
    "messenger",
    "instagram",
    "line",
    "telegram",
    "fax",
];

/// Lists messages, newest first.
#[utoipa::path(
    get, path = "/messages", operation_id = "list_messages", tag = "messages",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("status" = Option<String>, Query),
        ("direction" = Option<String>, Query, description = "`outbound` or `inbound`"),
        ("to" = Option<String>, Query),
        ("from" = Option<String>, Query),
        ("batch_id" = Option<String>, Query),
        ("channel" = Option<String>, Query),
        ("created_after" = Option<String>, Query, description = "ISO 8601, inclusive"),
        ("created_before" = Option<String>, Query, description = "ISO 8601, exclusive"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<MessageOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadMessages>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let filter = filter_of(&query)?;
    let page = Page::newest_first(&app, &caller, List::Messages, &query)?;
    let nothing = other_channel(&query)?;
    let mut rows = if nothing {
        Vec::new()
    } else {
        app.store.messages(caller.organization, &filter, page.from, page.reads()).await?
    };
    let total = total(&app, &caller, &filter, nothing).await?;
    let pagination = Pagination { total, ..page.cut(&mut rows, |row| row.key) };
    let data = rows.into_iter().map(MessageOut::from).collect();
    caller.call.page(data, pagination)
}

/// Shows one message.
#[utoipa::path(
    get, path = "/messages/{id}", operation_id = "get_message", tag = "messages",
    params(("id" = String, Path, example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The message", body = Envelope<RoutedOut>),
        (status = 404, description = "There is no such message of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadMessages>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    let route = route::of(&app, &caller, &row).await?;
    caller.call.answer(StatusCode::OK, RoutedOut { message: MessageOut::from(row), route })
}

pub(crate) async fn find(
    app: &App,
    caller: &Caller<ReadMessages>,
    id: &str,
) -> Result<MessageRow, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such message");
    let id = PublicId::parse(Kind::Message, id).ok_or_else(unknown)?;
    let row = app.store.message(caller.organization, id).await?;
    row.ok_or_else(unknown)
}

pub(super) fn filter_of(query: &Query) -> Result<Filter, ApiError> {
    let status = query.get("status").map(|text| {
        let known = Status::parse(text).map(Status::code);
        known.ok_or_else(|| ApiError::query("status", text, "a status, as in delivered"))
    });
    let direction = query.get("direction").map(|text| {
        let known = Direction::parse(text).map(Direction::code);
        known.ok_or_else(|| ApiError::query("direction", text, "outbound or inbound"))
    });
    let batch = query.get("batch_id").map(|text| {
        let known = PublicId::parse(Kind::Batch, text);
        known.ok_or_else(|| ApiError::query("batch_id", text, "bat_ and 32 hexadecimal digits"))
    });
    Ok(Filter {
        status: status.transpose()?,
        direction: direction.transpose()?,
        to: query.get("to").map(str::to_owned),
        from: query.get("from").map(str::to_owned),
        batch: batch.transpose()?,
        created_after: query.moment("created_after")?,
        created_before: query.moment("created_before")?,
    })
}

/// True for a channel that exists and has no messages here.
pub(super) fn other_channel(query: &Query) -> Result<bool, ApiError> {
    match query.get("channel") {
        None | Some("sms") => Ok(false),
        Some(other) if CHANNELS.contains(&other) => Ok(true),
        Some(other) => Err(ApiError::query("channel", other, "a channel, as in sms")),
    }
}

/// The size of the whole list, where counting it is cheap and exact.
async fn total(
    app: &App,
    caller: &Caller<ReadMessages>,
    filter: &Filter,
    nothing: bool,
) -> Result<Option<i64>, ApiError> {
    if nothing {
        return Ok(Some(0));
    }
    let status = filter.status;
    let others = Filter { status: None, ..filter.clone() };
    // Rows know no `sending`: what is queued and on its way is told apart by the outbox.
    let blurred = [Status::Queued.code(), Status::Sending.code()];
    if !others.is_empty() || status.is_some_and(|status| blurred.contains(&status)) {
        return Ok(None);
    }
    let most = COUNT_MAX + 1;
    let count = app.store.count_messages(caller.organization, status, most).await?;
    Ok((count <= COUNT_MAX).then_some(count))
}
