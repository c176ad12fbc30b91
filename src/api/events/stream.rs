//! `GET /events/stream`: events as they happen, by server-sent events.
//!
//! A stream begins where the log ends now, or 5 seconds before the event its client saw last, so
//! that clients drop what they know by its id. Where that event is unknown, too old or too far
//! behind, `event: reset` says so, and the client has to read the list.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use model::clock::At;

use super::super::App;
use super::super::auth::{Caller, ReadEvents};
use super::super::chunks;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::Query;
use super::Resource;
use super::follow::{Follower, Of, Wanted};
use super::list::{find, key_of};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const HEARTBEAT: &[u8] = b": heartbeat\n\n";

/// What is sent again before the event a client saw last: this long, and no more than so many.
const OVERLAP: Duration = Duration::from_secs(5);
const OVERLAP_MAX: i64 = 1_000;

/// A caller whose key may also stand in the query, as `token`: browsers give an event source no
/// headers. On this path only.
pub(crate) struct Subscriber(Caller<ReadEvents>);

impl FromRequestParts<App> for Subscriber {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let named = |name: &str| parts.headers.contains_key(name);
        if !named("x-api-key") && !named("authorization") {
            let token = Query::of(&parts.uri)?.get("token").and_then(|t| t.parse().ok());
            if let Some(mut token) = token {
                HeaderValue::set_sensitive(&mut token, true);
                parts.headers.insert("x-api-key", token);
            }
        }
        Caller::from_request_parts(parts, app).await.map(Self)
    }
}

/// Where a stream begins.
struct Start {
    cursor: i64,
    /// Why it cannot go on where the client was.
    reset: Option<&'static str>,
}

/// Tells events as they happen, as server-sent events.
#[utoipa::path(
    get, path = "/events/stream", operation_id = "stream_events", tag = "events",
    params(
        ("type" = Option<String>, Query, description = "Types or patterns, as \
            `message.delivered,contact.*`; also by the name `types`"),
        ("resource_id" = Option<String>, Query, description = "Of this message or call only, `msg_…` \
            or `call_…`"),
        ("token" = Option<String>, Query, description = "The API key, where no header can be sent"),
        ("last_event_id" = Option<String>, Query, description = "As the header `Last-Event-ID`, \
            which goes before it"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event seen: the stream \
            goes on 5 seconds before it, or begins with `event: reset`"),
    ),
    responses(
        (status = 200, description = "Events without end: `id`, `event` (the type), and `data`, the \
            event as `GET /events` shows it, on one line", body = String,
            content_type = "text/event-stream"),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = 429, description = "The key has as many streams as it may", body = ErrorOut),
        (status = 503, description = "There are as many streams as there may be", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn stream(
    State(app): State<App>,
    Subscriber(caller): Subscriber,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let (kinds, resource) = (super::kinds_of(&query)?, super::resource_of(&query)?);
    let place = app.streams.enter(caller.key)?;
    let of = match resource {
        // Perhaps it is only about to be sent.
        Some(Resource::Message(id)) => Some(Of::Message(id)),
        Some(call) => Some(Of::Key(key_of(&app, &caller, call).await?)),
        None => None,
    };
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let seen = seen.or_else(|| query.get("last_event_id")).filter(|id| !id.is_empty());
    let start = start(&app, &caller, seen).await?;
    let settings = &app.streams.settings;
    let beat = Duration::from_secs(settings.heartbeat_s);
    let ahead = settings.buffer_events.saturating_add(1);
    let (frames, body) = chunks::alive(ahead, Bytes::from_static(HEARTBEAT), beat);
    let _ = frames.try_send(Ok(greeting(settings.retry_ms, start.reset)));
    let (wanted, cursor) = (Wanted { kinds, of }, start.cursor);
    let follower = Follower { app: app.clone(), caller, wanted, cursor, frames, place };
    tokio::spawn(follower.run());
    let mut response = Response::new(body);
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The first frame. An empty id makes the client forget the one that leads nowhere.
fn greeting(retry_ms: u64, reset: Option<&'static str>) -> Bytes {
    let reset = reset.map(|why| format!("id:\nevent: reset\ndata: {{\"reason\":\"{why}\"}}\n\n"));
    Bytes::from(format!("retry: {retry_ms}\n\n{}", reset.unwrap_or_default()))
}

async fn start(
    app: &App,
    caller: &Caller<ReadEvents>,
    seen: Option<&str>,
) -> Result<Start, ApiError> {
    // Read first: what is committed while the rest is looked at comes after it.
    let end = app.store.newest_event().await?;
    let Some(id) = seen else {
        return Ok(Start { cursor: end, reset: None });
    };
    let reset = |why| Ok(Start { cursor: end, reset: Some(why) });
    let Some(row) = find(app, caller, id).await? else {
        return reset("unknown_id");
    };
    let settings = &app.streams.settings;
    let oldest = caller.call.at().minus(Duration::from_secs(settings.replay_h * 3_600));
    if row.at < oldest.micros() {
        return reset("too_old");
    }
    let most = i64::try_from(settings.replay_events_max).unwrap_or(i64::MAX - 1);
    if app.store.log_count(caller.organization, row.seq, most + 1).await? > most {
        return reset("too_far_behind");
    }
    let since = At(row.at).minus(OVERLAP).micros();
    let overlap = app.store.log_overlap(caller.organization, row.seq, since, OVERLAP_MAX);
    Ok(Start { cursor: overlap.await?, reset: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_says_when_to_come_again_and_whether_to_begin_anew() {
        assert_eq!(greeting(3_000, None), "retry: 3000\n\n");
        let reset = greeting(1, Some("too_old"));
        assert_eq!(reset, "retry: 1\n\nid:\nevent: reset\ndata: {\"reason\":\"too_old\"}\n\n");
    }
}
