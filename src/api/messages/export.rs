//! `GET /messages/export`: the messages of a list as a CSV file, written while it is read.
//!
//! RFC 4180, UTF-8, a header line. The rows are read page by page behind the client, so an export
//! of any length takes the memory of two pages; it ends when the client goes. A cell that a
//! spreadsheet would run as a formula gets an apostrophe before it; phone numbers are left alone.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use csv::{Terminator, WriterBuilder};
use model::carrier::OrgId;
use model::refusal::Refusal;
use serde_json::Value;
use store::{Filter, MessageRow};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::super::App;
use super::super::auth::{Caller, ReadMessages};
use super::super::chunks::{Chunk, chunked};
use super::super::error::{ApiError, ErrorOut};
use super::super::page::Query;
use super::list::{filter_of, other_channel};
use super::output::MessageOut;

/// Rows read at once.
const PAGE: i64 = 500;

/// Of a message, by the names of the API.
const COLUMNS: &[&str] = &[
    "id",
    "direction",
    "channel",
    "from",
    "to",
    "body",
    "status",
    "status_reason",
    "error_code",
    "carrier_error",
    "segments",
    "encoding",
    "category",
    "price",
    "currency",
    "mccmnc",
    "carrier_id",
    "external_id",
    "template_id",
    "batch_id",
    "parent_message_id",
    "test_mode",
    "metadata",
    "created_at",
    "scheduled_at",
    "sent_at",
    "delivered_at",
    "failed_at",
];

/// One export under way.
struct Export {
    app: App,
    organization: OrgId,
    filter: Filter,
    /// There is nothing to read.
    empty: bool,
    chunks: mpsc::Sender<Chunk>,
    _permit: OwnedSemaphorePermit,
}

/// Gives messages as a CSV file, newest first.
#[utoipa::path(
    get, path = "/messages/export", operation_id = "export_messages", tag = "messages",
    params(
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
        (status = 200, description = "All messages that the filters let through. Cells that begin \
            with `=`, `+`, `-`, `@`, a tab or a carriage return get an apostrophe before them, \
            unless they are phone numbers", body = String, content_type = "text/csv"),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = 503, description = "As many exports are under way as may be", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller<ReadMessages>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let (filter, empty) = (filter_of(&query)?, other_channel(&query)?);
    let full = |_| Refusal::unavailable("too many exports are under way").retry_after(10);
    let permit = Arc::clone(&app.exports).try_acquire_owned().map_err(full)?;
    let (chunks, body) = chunked(1);
    let organization = caller.organization;
    let export = Export { app, organization, filter, empty, chunks, _permit: permit };
    tokio::spawn(export.run());
    let day = caller.call.at().iso();
    let day = day.get(..10).unwrap_or_default();
    let name = format!("attachment; filename=\"messages-{day}.csv\"");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

impl Export {
    async fn run(self) {
        let header = records(std::iter::once(COLUMNS.iter().map(|name| Cow::from(*name))));
        let mut next = if self.empty { None } else { Some(i64::MAX) };
        let mut going = self.chunks.send(header).await.is_ok();
        while let (true, Some(before)) = (going, next) {
            let page = self.app.store.messages(self.organization, &self.filter, before, PAGE);
            let chunk = match page.await {
                Ok(rows) => {
                    let full = i64::try_from(rows.len()).unwrap_or(0) == PAGE;
                    next = rows.last().map(|row| row.key).filter(|_| full);
                    records(rows.into_iter().map(cells))
                }
                Err(error) => {
                    tracing::error!(%error, "an export breaks off");
                    next = None;
                    Err(io::Error::other("the export broke off"))
                }
            };
            going = self.chunks.send(chunk).await.is_ok();
        }
    }
}

/// Lines of a file.
pub(crate) fn records<'a>(
    lines: impl Iterator<Item = impl Iterator<Item = Cow<'a, str>>>,
) -> Chunk {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for line in lines {
        writer.write_record(line.map(|cell| guarded(cell).into_owned()))?;
    }
    let bytes = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Bytes::from(bytes))
}

fn cells(row: MessageRow) -> impl Iterator<Item = Cow<'static, str>> {
    let message = serde_json::to_value(MessageOut::from(row)).unwrap_or_default();
    COLUMNS.iter().map(move |name| match *name {
        "price" => text(&message["price"]["amount"]),
        "currency" => text(&message["price"]["currency"]),
        name => text(&message[name]),
    })
}

fn text(value: &Value) -> Cow<'static, str> {
    match value {
        Value::Null => Cow::from(""),
        Value::String(text) => Cow::from(text.clone()),
        other => Cow::from(other.to_string()),
    }
}

/// What a spreadsheet would take for a formula gets an apostrophe before it.
fn guarded(cell: Cow<'_, str>) -> Cow<'_, str> {
    let number = |cell: &str| {
        cell.strip_prefix('+').is_some_and(|digits| {
            (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        })
    };
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number(&cell) {
        return Cow::from(format!("'{cell}"));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_disarmed_and_phone_numbers_are_not() {
        for formula in ["=1+1", "+1-2", "-1", "@SUM(A1)", "\t=1", "\r=1", "+", "+1234567890123456"]
        {
            assert_eq!(guarded(Cow::from(formula)), format!("'{formula}"));
        }
        for plain in ["", "hello", "+14155550123", "a=b", "'", "1", " =1"] {
            assert_eq!(guarded(Cow::from(plain)), plain);
        }
    }

    #[test]
    fn a_record_is_quoted_where_it_must_be() {
        let line = ["a,b", "say \"x\"", "two\r\nlines", "plain", "", "=1,2"];
        let bytes = records(std::iter::once(line.iter().map(|cell| Cow::from(*cell)))).unwrap();
        assert_eq!(bytes, "\"a,b\",\"say \"\"x\"\"\",\"two\r\nlines\",plain,,\"'=1,2\"\r\n");
    }

    #[test]
    fn every_column_is_a_field_of_a_message() {
        let document: Value = serde_json::from_str(&crate::api::document()).unwrap();
        let fields = &document["components"]["schemas"]["MessageOut"]["properties"];
        for name in COLUMNS.iter().filter(|name| **name != "currency") {
            assert!(fields.get(name).is_some(), "{name}");
        }
    }
}
