//! Lists as CSV files, written while they are read: RFC 4180, UTF-8, a header line.
//!
//! The rows are read page by page behind the client, so an export of any length takes the memory of
//! two pages; it ends when the client goes. A cell that a spreadsheet would run as a formula gets an
//! apostrophe before it; phone numbers are left alone.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use csv::{Terminator, WriterBuilder};
use model::clock::At;
use model::refusal::Refusal;
use serde_json::Value;
use store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::App;
use super::chunks::{Chunk, chunked};
use super::error::ApiError;

/// Rows read at once.
pub(crate) const PAGE: i64 = 500;

/// A column: its name, and where its value is in a row as the API shows it (RFC 6901).
pub(crate) type Column = (&'static str, &'static str);

/// A list that is read page by page.
pub(crate) trait Pages: Send + Sync + 'static {
    /// Rows below a number, as the API shows them, and the number of the last if there may be more.
    fn page(
        &self,
        before: i64,
    ) -> impl Future<Output = Result<(Vec<Value>, Option<i64>), StoreError>> + Send;
}

/// Leave to export; one too many is refused.
pub(crate) fn enter(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    let full = |_| Refusal::unavailable("too many exports are under way").retry_after(10);
    Ok(Arc::clone(&app.exports).try_acquire_owned().map_err(full)?)
}

/// A file of all rows below `first`; none without it.
pub(crate) fn file(
    name: &str,
    now: At,
    columns: &'static [Column],
    (pages, first): (impl Pages, Option<i64>),
    permit: OwnedSemaphorePermit,
) -> Response {
    let (chunks, body) = chunked(1);
    tokio::spawn(async move {
        run(pages, first, columns, chunks).await;
        drop(permit);
    });
    answer(name, now, body)
}

fn answer(name: &str, now: At, body: Body) -> Response {
    let day = now.iso();
    let day = day.get(..10).unwrap_or_default();
    let name = format!("attachment; filename=\"{name}-{day}.csv\"");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

async fn run(
    pages: impl Pages,
    mut next: Option<i64>,
    columns: &'static [Column],
    chunks: mpsc::Sender<Chunk>,
) {
    let header = records(std::iter::once(columns.iter().map(|(name, _)| Cow::from(*name))));
    let mut going = chunks.send(header).await.is_ok();
    while let (true, Some(before)) = (going, next) {
        let chunk = match pages.page(before).await {
            Ok((rows, more)) => {
                next = more;
                records(rows.iter().map(|row| cells(columns, row)))
            }
            Err(error) => {
                tracing::error!(%error, "an export breaks off");
                next = None;
                Err(io::Error::other("the export broke off"))
            }
        };
        going = chunks.send(chunk).await.is_ok();
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

fn cells<'a>(columns: &'static [Column], row: &'a Value) -> impl Iterator<Item = Cow<'a, str>> {
    columns.iter().map(move |(_, pointer)| text(row.pointer(pointer).unwrap_or(&Value::Null)))
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::from(""),
        Value::String(text) => Cow::from(text.as_str()),
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
}
