//! `/events`: all that happened to what an organization owns; as a list, and as it happens.
//!
//! list ─ the log, newest first   stream ─ a follower per stream ─ one reader per organization
//!
//! Every line is told in the words of a webhook. Nothing here is stored: a stream's place in the
//! log is the id of the last event its client has seen.

mod follow;
mod list;
mod stream;
mod streams;

use model::event::EventKind;
use model::id::{Kind, PublicId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::ApiError;
use super::page::Query;

pub(crate) use streams::Streams;

/// More patterns than this in one filter are refused.
const PATTERNS_MAX: usize = 50;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(stream::stream))
        .routes(routes!(list::show))
}

/// The kinds that a query asks for, by `type` (or `types`): names and patterns, with commas between.
fn kinds_of(query: &Query) -> Result<Vec<EventKind>, ApiError> {
    let Some(text) = query.get("type").or_else(|| query.get("types")) else {
        return Ok(EventKind::matching("*"));
    };
    let expected = "types such as message.sent, or patterns such as message.*, with commas between";
    let mut kinds = Vec::new();
    if text.split(',').count() > PATTERNS_MAX {
        return Err(ApiError::query("type", text, "at most 50 types"));
    }
    for pattern in text.split(',').map(str::trim) {
        let named = EventKind::matching(pattern);
        if named.is_empty() {
            return Err(ApiError::query("type", pattern, expected));
        }
        kinds.extend(named);
    }
    Ok(kinds)
}

/// What events can be asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Message(PublicId),
    Call(PublicId),
}

/// The message or call that a query asks for by `resource_id`.
fn resource_of(query: &Query) -> Result<Option<Resource>, ApiError> {
    let Some(text) = query.get("resource_id") else {
        return Ok(None);
    };
    let message = PublicId::parse(Kind::Message, text).map(Resource::Message);
    let resource = message.or_else(|| PublicId::parse(Kind::Call, text).map(Resource::Call));
    let expected = "a message or call: msg_ or call_ and 32 hexadecimal digits";
    match resource {
        Some(resource) => Ok(Some(resource)),
        None => Err(ApiError::query("resource_id", text, expected)),
    }
}
