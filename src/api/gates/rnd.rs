//! `/compliance/rnd`: numbers that were given back, as imported, and what they say of a consent.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::policy::is_day;
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::{PolicyChange, RndEntry};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::super::body::{self, Field, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::page::Query;
use super::dnc::{CountOut, phone};
use super::{ENTRIES_MAX, entries};

/// A stretch of the list of reassigned numbers.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"entries": [{"phone": "+14155550123", "disconnected_on": "2026-01-31"}]}))]
pub(crate) struct RndIn {
    /// 1 to 1000.
    #[schema(value_type = Vec<RndEntryIn>, min_items = 1, max_items = 1000)]
    entries: Vec<Value>,
}

/// One number.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's picture of an entry, which is read field by field")]
pub(crate) struct RndEntryIn {
    phone: String,
    /// The last day it was permanently disconnected; null takes it off the list.
    disconnected_on: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RndCheckOut {
    #[schema(example = "+14155550123")]
    phone: String,
    consent_date: String,
    /// `no_data`, `active` or `permanently_disconnected` on or after that day.
    #[schema(example = "permanently_disconnected")]
    status: &'static str,
}

const FIELDS: &[Field] = &[Field::required("entries", body::Kind::List)];

/// Says whether a number was given back since its holder consented.
#[utoipa::path(
    get, path = "/compliance/rnd/check", operation_id = "check_rnd", tag = "compliance",
    params(
        ("phone" = String, Query, description = "E.164, or as dialled in `country`"),
        ("country" = Option<String>, Query, description = "Two letters"),
        ("consent_date" = String, Query, description = "As in 2026-01-31"),
    ),
    responses(
        (status = 200, description = "What the imported list says", body = Envelope<RndCheckOut>),
        (status = 403, description = "The gate is off", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let phone = super::asked_phone(&query)?;
    let day = query.get("consent_date").unwrap_or_default();
    if !is_day(day) {
        return Err(ApiError::query("consent_date", day, "a day as in 2026-01-31"));
    }
    let (policy, _) = super::policy_of(&app, caller.organization).await?;
    if !policy.rnd {
        let message = "the gate of reassigned numbers is off; see rnd.enabled of your policies";
        return Err(ApiError::new(Code::RndScrubNotEnabled, message));
    }
    let status = match app.store.disconnected_on(caller.organization, &phone).await? {
        None => "no_data",
        Some(disconnected) if disconnected.as_str() >= day => "permanently_disconnected",
        Some(_) => "active",
    };
    let out = RndCheckOut { phone, consent_date: day.to_owned(), status };
    caller.call.answer(StatusCode::OK, out)
}

/// Imports numbers that were given back, or takes them off the list again.
#[utoipa::path(
    post, path = "/compliance/rnd/import", operation_id = "import_rnd", tag = "compliance",
    request_body = RndIn,
    responses(
        (status = 200, description = "Stored", body = Envelope<CountOut>),
        (status = 422, description = "An entry is refused; nothing is stored", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn import(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let entries = body::parse::<RndIn>(&body, FIELDS)?.read()?;
    let organization = caller.organization;
    let done = super::change(&app, PolicyChange::ImportRnd { organization, entries }).await?;
    caller.call.answer(StatusCode::OK, CountOut { count: super::rows(done) })
}

impl RndIn {
    fn read(self) -> Result<Vec<RndEntry>, ApiError> {
        let mut faults = Vec::new();
        let list = entries("entries", &self.entries, ENTRIES_MAX)?.iter().enumerate();
        let read = list.filter_map(|(at, item)| entry(at, item, &mut faults)).collect();
        if faults.is_empty() { Ok(read) } else { Err(ApiError::faults(faults)) }
    }
}

fn entry(at: usize, item: &Value, faults: &mut Vec<Fault>) -> Option<RndEntry> {
    let phone = phone(format!("entries[{at}].phone"), &item["phone"], faults);
    let day = item.get("disconnected_on");
    let disconnected_on = match day {
        Some(Value::Null) => None,
        Some(Value::String(day)) if is_day(day) => Some(day.clone()),
        _ => {
            let path = format!("entries[{at}].disconnected_on");
            let message = format!("the field `{path}` is not valid");
            let fault = Fault::new(Code::ValidationError, message).field(path);
            let fault = fault.value(json!(day));
            faults.push(fault.expected("a day as in 2026-01-31, or null"));
            return None;
        }
    };
    Some(RndEntry { phone: phone?, disconnected_on })
}
