//! `GET /messages/export`: the messages of a list as a CSV file, written while it is read.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use model::carrier::OrgId;
use serde_json::Value;
use store::{Filter, StoreError};

use super::super::App;
use super::super::auth::{Caller, ReadMessages};
use super::super::error::{ApiError, ErrorOut};
use super::super::export::{self, Column, PAGE, Pages};
use super::super::page::Query;
use super::list::{filter_of, other_channel};
use super::output::MessageOut;

/// Of a message, by the names of the API.
const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("direction", "/direction"),
    ("channel", "/channel"),
    ("from", "/from"),
    ("to", "/to"),
    ("body", "/body"),
    ("status", "/status"),
    ("status_reason", "/status_reason"),
    ("error_code", "/error_code"),
    ("carrier_error", "/carrier_error"),
    ("segments", "/segments"),
    ("encoding", "/encoding"),
    ("category", "/category"),
    ("price", "/price/amount"),
    ("currency", "/price/currency"),
    ("mccmnc", "/mccmnc"),
    ("carrier_id", "/carrier_id"),
    ("external_id", "/external_id"),
    ("template_id", "/template_id"),
    ("batch_id", "/batch_id"),
    ("parent_message_id", "/parent_message_id"),
    ("test_mode", "/test_mode"),
    ("metadata", "/metadata"),
    ("created_at", "/created_at"),
    ("scheduled_at", "/scheduled_at"),
    ("sent_at", "/sent_at"),
    ("delivered_at", "/delivered_at"),
    ("failed_at", "/failed_at"),
];

/// The messages that filters let through.
struct Messages {
    app: App,
    organization: OrgId,
    filter: Filter,
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
    let permit = export::enter(&app)?;
    let (organization, now) = (caller.organization, caller.call.at());
    let messages = Messages { app, organization, filter };
    let first = (!empty).then_some(i64::MAX);
    Ok(export::file("messages", now, COLUMNS, (messages, first), permit))
}

impl Pages for Messages {
    async fn page(&self, before: i64) -> Result<(Vec<Value>, Option<i64>), StoreError> {
        let store = &self.app.store;
        let rows = store.messages(self.organization, &self.filter, before, PAGE).await?;
        let full = i64::try_from(rows.len()).unwrap_or(0) == PAGE;
        let next = rows.last().map(|row| row.key).filter(|_| full);
        let shown = rows.into_iter().map(|row| serde_json::to_value(MessageOut::from(row)));
        Ok((shown.map(Result::unwrap_or_default).collect(), next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_a_field_of_a_message() {
        let document: Value = serde_json::from_str(&crate::api::document()).unwrap();
        let fields = &document["components"]["schemas"]["MessageOut"]["properties"];
        for (name, _) in COLUMNS.iter().filter(|(name, _)| *name != "currency") {
            assert!(fields.get(name).is_some(), "{name}");
        }
    }
}
