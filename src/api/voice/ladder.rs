//! `GET /voice/calls/{id}/ladder`: the SIP messages of a call in the order they were seen, as JSON, as
//! text, or as a picture.
//!
//! What proves a password, and keys of media, were starred out before they were stored.

mod draw;
mod plain;
mod scene;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use model::carrier::MessageKey;
use model::clock::At;
use model::voice::{CallStatus, EndReason, LADDER_MESSAGES_MAX, LadderMessage, unpack};
use serde::Serialize;
use store::CallRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadVoice};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::page::Query;
use super::find;
use scene::Heading;

/// Pieces of one call that are read.
const PIECES_MAX: i64 = 1_000;

/// What was seen of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LadderOut {
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    messages: Vec<LadderMessageOut>,
}

/// A SIP message on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LadderMessageOut {
    at: String,
    /// `in`: it came to us. `out`: it left.
    direction: &'static str,
    /// The other end.
    #[schema(example = "udp 192.0.2.7:5060")]
    peer: String,
    /// The method of a request, or the status of a response and its reason.
    #[schema(example = "180 Ringing")]
    title: String,
    cseq: Option<String>,
    sip_call_id: Option<String>,
    /// The message; octets that are no text are shown as such.
    text: String,
    /// There was more of it than is kept.
    truncated: bool,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Text,
    Svg,
}

/// Shows the SIP messages of a call.
#[utoipa::path(
    get, path = "/voice/calls/{id}/ladder", operation_id = "get_call_ladder", tag = "voice",
    params(
        ("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"),
        ("format" = Option<String>, Query, description = "`json`, `text` or `svg`; goes before the \
            header `Accept` (`text/plain`, `image/svg+xml`)"),
    ),
    responses(
        (status = 200, description = "The messages, oldest first; none when none were kept, or not \
            any more. As `text/plain` a drawing in plain characters and under it the messages one behind \
            the other, as `image/svg+xml` a picture",
            content(
                (Envelope<LadderOut> = "application/json"),
                (String = "text/plain"),
                (String = "image/svg+xml"),
            )),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let form = form_of(&Query::of(&uri)?, &headers)?;
    let row = find(&app, &caller, &id).await?;
    let key = MessageKey(row.key);
    // Of a call that is not quiet yet its actor has all messages, and the store none.
    let mut messages = unpack(&app.calls.seen(key).await.unwrap_or_default());
    if messages.is_empty() {
        let pieces = app.store.ladder(caller.organization, key, PIECES_MAX).await?;
        messages = pieces.iter().flat_map(|piece| unpack(&piece.messages)).collect();
    }
    messages.sort_by_key(|message| message.at);
    messages.truncate(LADDER_MESSAGES_MAX);
    Ok(match form {
        Form::Json => {
            let messages = messages.into_iter().map(LadderMessageOut::from).collect();
            return caller.call.answer(StatusCode::OK, LadderOut { call_id: id, messages });
        }
        Form::Text => {
            shown("text/plain; charset=utf-8", plain::text(&heading(&row, &id, "->"), &messages))
        }
        Form::Svg => shown("image/svg+xml", draw::svg(&heading(&row, &id, "→"), &messages)),
    })
}

/// Whose ladder it is, and what became of the call.
fn heading(row: &CallRow, id: &str, arrow: &str) -> Heading {
    let status = CallStatus::from_code(row.status).map_or("failed", CallStatus::as_str);
    let mut about = format!("{id}, {status}");
    if let Some(reason) = row.end_reason.and_then(EndReason::from_code) {
        about.push_str(&format!(" ({})", reason.as_str()));
    }
    about.push_str(&format!(", {}", At(row.created_at).iso()));
    if let (Some(answered), Some(ended)) = (row.answered_at, row.ended_at) {
        let talked = model::voice::whole_seconds(At(ended).since(At(answered)));
        about.push_str(&format!(", {talked} s"));
    }
    let from = row.from_addr.as_deref().unwrap_or("withheld");
    Heading { title: format!("{from} {arrow} {}", row.to_addr), about }
}

/// A picture that a browser opens by itself runs nothing.
fn shown(kind: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, text).into_response()
}

fn form_of(query: &Query, headers: &HeaderMap) -> Result<Form, ApiError> {
    match query.get("format") {
        Some("json") => return Ok(Form::Json),
        Some("text") => return Ok(Form::Text),
        Some("svg") => return Ok(Form::Svg),
        Some(other) => return Err(ApiError::query("format", other, "json, text or svg")),
        None => {}
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let known = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let form = known.filter_map(|kind| match kind {
        "application/json" | "*/*" => Some(Form::Json),
        "text/plain" => Some(Form::Text),
        "image/svg+xml" => Some(Form::Svg),
        _ => None,
    });
    Ok(form.into_iter().next().unwrap_or(Form::Json))
}

impl From<LadderMessage> for LadderMessageOut {
    fn from(message: LadderMessage) -> Self {
        Self {
            at: message.at.iso(),
            direction: if message.inbound { "in" } else { "out" },
            title: message.title(),
            cseq: message.header("CSeq", ""),
            sip_call_id: message.header("Call-ID", "i"),
            text: String::from_utf8_lossy(&message.octets).into_owned(),
            truncated: message.cut,
            peer: message.flow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_goes_before_the_header() {
        let form = |query: &str, accept: &'static str| {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            form_of(&Query::of(&uri).unwrap(), &headers)
        };
        assert_eq!(form("", "*/*").unwrap(), Form::Json);
        assert_eq!(form("", "").unwrap(), Form::Json);
        assert_eq!(form("", "text/html, image/svg+xml;q=0.9, */*").unwrap(), Form::Svg);
        assert_eq!(form("", "text/plain").unwrap(), Form::Text);
        assert_eq!(form("format=svg", "application/json").unwrap(), Form::Svg);
        assert_eq!(form("format=text", "*/*").unwrap(), Form::Text);
        assert_eq!(form("format=json", "text/plain").unwrap(), Form::Json);
        assert!(form("format=png", "*/*").is_err());
    }
}
