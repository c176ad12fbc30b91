//! `GET /numbers/export`: the numbers of an organization as CSV or JSON, in one piece.
//!
//! The order of the columns does not change; more may come behind them.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use model::clock::At;
use model::number::NumberStatus;
use serde_json::{Map, Value};
use store::NumberRow;

use super::super::App;
use super::super::auth::{Caller, ReadNumbers};
use super::super::error::{ApiError, ErrorOut};
use super::super::export::records;
use super::super::page::Query;
use super::{NumberOut, filter_of};

/// Numbers in one file.
const ROWS_MAX: i64 = 50_000;

const COLUMNS: &[&str] = &[
    "e164",
    "country_code",
    "area_code",
    "status",
    "number_type",
    "capabilities",
    "label",
    "tags",
    "forwarding_number",
    "assigned_to",
    "compliance_profile_id",
    "tfv_status",
    "monthly_cost",
    "provider",
    "created_at",
    "assigned_at",
    "next_billing_at",
];

/// Gives the numbers as a file, newest first.
#[utoipa::path(
    get, path = "/numbers/export", operation_id = "export_numbers", tag = "numbers",
    params(
        ("format" = Option<String>, Query, description = "`csv` (when left out) or `json`"),
        ("status" = Option<String>, Query, description = "`active`, `suspended` or `parked`; all when left out"),
        ("country_code" = Option<String>, Query, description = "ISO 3166"),
        ("search" = Option<String>, Query, description = "Part of the number or the label"),
    ),
    responses(
        (status = 200, description = "At most 50,000; `X-Row-Count` says how many, `X-Truncated` \
            whether there are more, and `X-Truncated-At` how many there may be", body = String,
            content_type = "text/csv"),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller<ReadNumbers>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let json = match query.get("format") {
        None | Some("csv") => false,
        Some("json") => true,
        Some(other) => return Err(ApiError::query("format", other, "csv or json")),
    };
    let filter = filter_of(&query)?;
    let full = |_| model::refusal::Refusal::unavailable("too many exports are under way");
    let _permit = app.exports.try_acquire().map_err(full)?;
    let rows = app.store.numbers(caller.organization, &filter, i64::MAX, ROWS_MAX + 1);
    let mut rows = rows.await?;
    let most = usize::try_from(ROWS_MAX).unwrap_or(usize::MAX);
    let truncated = rows.len() > most;
    rows.truncate(most);
    let (kind, body) = match json {
        true => ("application/json", in_json(&rows)?),
        false => ("text/csv; charset=utf-8; header=present", in_csv(&rows)?),
    };
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    let day = caller.call.at().iso();
    let ending = if json { "json" } else { "csv" };
    let name = format!("attachment; filename=\"numbers-{}.{ending}\"", &day[..10]);
    put(header::CONTENT_TYPE, kind);
    put(header::CONTENT_DISPOSITION, &name);
    put(header::CACHE_CONTROL, "no-store");
    put(HeaderName::from_static("x-row-count"), &rows.len().to_string());
    put(HeaderName::from_static("x-truncated"), if truncated { "true" } else { "false" });
    if truncated {
        put(HeaderName::from_static("x-truncated-at"), &ROWS_MAX.to_string());
    }
    Ok(response)
}

fn in_csv(rows: &[NumberRow]) -> Result<Vec<u8>, ApiError> {
    let header = COLUMNS.iter().map(|name| Cow::from(*name)).collect();
    let lines = std::iter::once(header).chain(rows.iter().map(cells));
    let file = records(lines.map(Vec::into_iter)).map_err(|error| {
        tracing::error!(%error, "an export cannot be written");
        ApiError::internal()
    })?;
    Ok(file.to_vec())
}

fn in_json(rows: &[NumberRow]) -> Result<Vec<u8>, ApiError> {
    let object = |row: &NumberRow| -> Map<String, Value> {
        let cells = cells(row);
        let pairs = COLUMNS.iter().zip(cells);
        let value = |cell: Cow<'_, str>| match cell.is_empty() {
            true => Value::Null,
            false => Value::from(cell.into_owned()),
        };
        pairs.map(|(name, cell)| ((*name).to_owned(), value(cell))).collect()
    };
    let objects: Vec<_> = rows.iter().map(object).collect();
    serde_json::to_vec(&objects).map_err(|_| ApiError::internal())
}

fn cells(row: &NumberRow) -> Vec<Cow<'_, str>> {
    let out = NumberOut::of(row);
    let moment = |at: Option<i64>| Cow::from(at.map(|at| At(at).iso()).unwrap_or_default());
    let list = |list: &Value| {
        let items = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        Cow::from(items.collect::<Vec<_>>().join(";"))
    };
    let text = |text: &Option<String>| Cow::from(text.clone().unwrap_or_default());
    vec![
        Cow::from(row.e164.as_str()),
        Cow::from(row.country_code.as_str()),
        text(&row.area_code),
        Cow::from(NumberStatus::from_code(row.status).map_or("parked", NumberStatus::as_str)),
        Cow::from(out.number_type),
        list(&out.capabilities),
        Cow::from(row.label.as_str()),
        list(&out.tags),
        text(&out.forwarding_number),
        Cow::from(""),
        text(&row.compliance_profile_id),
        Cow::from(""),
        Cow::from(out.monthly_cost),
        Cow::from(row.provider.as_str()),
        Cow::from(At(row.created_at).iso()),
        moment(row.assigned_at),
        moment(row.next_billing_at),
    ]
}
