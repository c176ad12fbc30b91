//! `GET /voice/cdrs` and `GET /voice/cdrs/export`: what became of each leg, as a list and as a file.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::Response;
use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::id::{Kind, PublicId};
use serde_json::Value;
use store::{CallFilter, StoreError};

use super::super::App;
use super::super::auth::{Caller, ReadVoice};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::export::{self, Column, PAGE, Pages};
use super::super::page::{List, Page, Query};
use super::filter_of;
use super::output::CdrOut;

/// Rows of one file.
const ROWS_MAX: i64 = 50_000;
const RANGE_MAX: Duration = Duration::from_secs(31 * 86_400);

/// In this order; new ones come behind.
const COLUMNS: &[Column] = &[
    ("cdr_id", "/cdr_id"),
    ("call_id", "/call_id"),
    ("leg_id", "/leg_id"),
    ("direction", "/direction"),
    ("kind", "/kind"),
    ("from", "/from"),
    ("to", "/to"),
    ("prefix", "/prefix"),
    ("country", "/country"),
    ("trunk", "/trunk"),
    ("start", "/start"),
    ("answer", "/answer"),
    ("end", "/end"),
    ("duration_seconds", "/duration_seconds"),
    ("billable_seconds", "/billable_seconds"),
    ("rate_per_min", "/rate_per_min"),
    ("increments", "/increments"),
    ("connect_fee", "/connect_fee"),
    ("cost", "/cost"),
    ("carrier_cost", "/carrier_cost"),
    ("currency", "/currency"),
    ("end_reason", "/end_reason"),
    ("sip_code", "/sip_code"),
    ("q850", "/q850"),
    ("attest", "/attest"),
    ("codec", "/codec"),
    ("mos", "/mos"),
    ("pdd_ms", "/pdd_ms"),
    ("campaign_id", "/campaign_id"),
    ("agent_id", "/agent_id"),
    ("is_correction", "/is_correction"),
    ("test_mode", "/test_mode"),
];

/// Records of a time, from the newest of them when the file was begun down to the last that fits.
struct Records {
    app: App,
    organization: OrgId,
    filter: CallFilter,
    /// The last.
    down_to: i64,
}

/// Lists records of legs, newest first.
#[utoipa::path(
    get, path = "/voice/cdrs", operation_id = "list_cdrs", tag = "voice",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("call_id" = Option<String>, Query, description = "Of this call only, `call_…`"),
        ("direction" = Option<String>, Query, description = "`outbound` or `inbound`"),
        ("to" = Option<String>, Query),
        ("from" = Option<String>, Query),
        ("ended_after" = Option<String>, Query, description = "ISO 8601, inclusive"),
        ("ended_before" = Option<String>, Query, description = "ISO 8601, exclusive"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<CdrOut>>),
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
    let page = Page::newest_first(&app, &caller, List::Cdrs, &query)?;
    let mut rows = match narrowed(&app, &caller, &query).await? {
        Some(filter) => {
            app.store.cdrs(caller.organization, &filter, page.from, page.reads()).await?
        }
        None => Vec::new(),
    };
    let pagination = page.cut(&mut rows, |row| row.seq);
    caller.call.page(rows.into_iter().map(CdrOut::from).collect(), pagination)
}

/// Gives records of legs as a CSV file, newest first.
#[utoipa::path(
    get, path = "/voice/cdrs/export", operation_id = "export_cdrs", tag = "voice",
    params(
        ("call_id" = Option<String>, Query, description = "Of this call only, `call_…`"),
        ("direction" = Option<String>, Query, description = "`outbound` or `inbound`"),
        ("to" = Option<String>, Query),
        ("from" = Option<String>, Query),
        ("ended_after" = Option<String>, Query, description = "ISO 8601, inclusive; 31 days before \
            the end when left out"),
        ("ended_before" = Option<String>, Query, description = "ISO 8601, exclusive; now when left \
            out; at most 31 days later"),
    ),
    responses(
        (status = 200, description = "At most 50,000 records. `X-Row-Count` says how many, \
            `X-Truncated` whether there are more, and then `X-Truncated-At` after how many the file \
            ends. Cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return get an \
            apostrophe before them, unless they are phone numbers", body = String,
            content_type = "text/csv"),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = 503, description = "As many exports are under way as may be", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let (organization, now) = (caller.organization, caller.call.at());
    let narrowed = narrowed(&app, &caller, &query).await?;
    let mut filter = narrowed.clone().unwrap_or_default();
    let before = filter.before.unwrap_or_else(|| now.micros() + 1);
    let earliest = At(before).minus(RANGE_MAX).micros();
    let after = filter.after.unwrap_or(earliest);
    if after < earliest {
        let text = query.get("ended_after").unwrap_or_default();
        return Err(ApiError::query("ended_after", text, "at most 31 days before ended_before"));
    }
    (filter.after, filter.before) = (Some(after), Some(before));
    let permit = export::enter(&app)?;
    let found = match narrowed {
        Some(_) => app.store.cdr_range(organization, &filter, ROWS_MAX).await?,
        None => None,
    };
    let count = found.as_ref().map_or(0, |found| found.rows);
    let truncated = found.as_ref().is_some_and(|found| found.more);
    let first = found.as_ref().map(|found| found.newest + 1);
    let down_to = found.map_or(i64::MAX, |found| found.oldest);
    let records = Records { app, organization, filter, down_to };
    let mut file = export::file("cdrs", now, COLUMNS, (records, first), permit);
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            file.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    put("x-row-count", &count.to_string());
    put("x-truncated", if truncated { "true" } else { "false" });
    if truncated {
        put("x-truncated-at", &ROWS_MAX.to_string());
    }
    Ok(file)
}

impl Pages for Records {
    async fn page(&self, before: i64) -> Result<(Vec<Value>, Option<i64>), StoreError> {
        let store = &self.app.store;
        let mut rows = store.cdrs(self.organization, &self.filter, before, PAGE).await?;
        let full = i64::try_from(rows.len()).unwrap_or(0) == PAGE;
        rows.retain(|row| row.seq >= self.down_to);
        let next = rows.last().map(|row| row.seq).filter(|seq| full && *seq > self.down_to);
        let shown = rows.into_iter().map(|row| serde_json::to_value(CdrOut::from(row)));
        Ok((shown.map(Result::unwrap_or_default).collect(), next))
    }
}

/// `None`: of a call that is not there.
async fn narrowed(
    app: &App,
    caller: &Caller<ReadVoice>,
    query: &Query,
) -> Result<Option<CallFilter>, ApiError> {
    let mut filter = filter_of(query)?;
    filter.after = query.moment("ended_after")?;
    filter.before = query.moment("ended_before")?;
    if let Some(text) = query.get("call_id") {
        let wrong = || ApiError::query("call_id", text, "call_ and 32 hexadecimal digits");
        let id = PublicId::parse(Kind::Call, text).ok_or_else(wrong)?;
        let Some(call) = app.store.call(caller.organization, id).await? else {
            return Ok(None);
        };
        filter.call = Some(MessageKey(call.key));
    }
    Ok(Some(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_a_field_of_a_record() {
        let document: Value = serde_json::from_str(&crate::api::document()).unwrap();
        let fields = &document["components"]["schemas"]["CdrOut"]["properties"];
        for (name, pointer) in COLUMNS {
            assert_eq!(format!("/{name}"), *pointer);
            assert!(fields.get(name).is_some(), "{name}");
        }
    }
}
