//! `/compliance/dnc`: the organization's do-not-contact list, and what all lists say of a number.

use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::address::Recipient;
use model::clock::At;
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::DncRow;
use store::lane::{DncEntry, PolicyChange};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::super::body::{self, Field, Raw, missing};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::page::{List, Page, Query};
use super::{ENTRIES_MAX, entries, not_a_phone, short_text};

const REASON_MAX: usize = 200;

/// One number, or `entries`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"phone": "+14155550123", "reason": "asked by telephone"}))]
pub(crate) struct DncIn {
    /// E.164.
    phone: Option<String>,
    /// At most 200 characters.
    reason: Option<String>,
    /// 1 to 1000, each with `phone` and `reason`.
    #[schema(value_type = Option<Vec<DncEntryIn>>, max_items = 1000)]
    entries: Option<Vec<Value>>,
}

/// One number of many.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's picture of an entry, which is read field by field")]
pub(crate) struct DncEntryIn {
    phone: String,
    reason: Option<String>,
}

/// Numbers to take off the list.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"phones": ["+14155550123"]}))]
pub(crate) struct DncOffIn {
    /// 1 to 1000, E.164.
    phones: Vec<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DncEntryOut {
    #[schema(example = "+14155550123")]
    phone: String,
    reason: String,
    created_at: String,
}

/// How many entries were written or taken away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountOut {
    #[schema(example = 1)]
    pub(crate) count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DncCheckOut {
    #[schema(example = "+14155550123")]
    phone: String,
    on_dnc: bool,
    /// `org_list`, `suppression` or `consent`; null when it is on none.
    #[schema(example = "org_list")]
    source: Option<String>,
    /// No federal list is read.
    federal_feeds_synced: bool,
}

const FIELDS: &[Field] = &[
    Field::optional("phone", body::Kind::Text),
    Field::optional("reason", body::Kind::Text),
    Field::optional("entries", body::Kind::List),
];
const OFF_FIELDS: &[Field] = &[Field::required("phones", body::Kind::List)];

/// Says whether a number is not to be contacted, and by which list.
#[utoipa::path(
    get, path = "/compliance/dnc/check", operation_id = "check_dnc", tag = "compliance",
    params(
        ("phone" = String, Query, description = "E.164, or as dialled in `country`"),
        ("country" = Option<String>, Query, description = "Two letters"),
    ),
    responses(
        (status = 200, description = "What the lists say", body = Envelope<DncCheckOut>),
        (status = 403, description = "The gate is off", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn check(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let phone = super::asked_phone(&Query::of(&uri)?)?;
    let (policy, _) = super::policy_of(&app, caller.organization).await?;
    if !policy.dnc.enabled {
        let message = "the do-not-contact gate is off; see dnc.enabled of your policies";
        return Err(ApiError::new(Code::DncSyncNotEnabled, message));
    }
    let source = app.store.dnc_source(caller.organization, &phone).await?;
    let source = source.map(|row| row.source);
    let on_dnc = source.is_some();
    let out = DncCheckOut { phone, on_dnc, source, federal_feeds_synced: false };
    caller.call.answer(StatusCode::OK, out)
}

/// Lists the organization's own entries, newest first.
#[utoipa::path(
    get, path = "/compliance/dnc", operation_id = "list_dnc", tag = "compliance",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<DncEntryOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Dnc, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.dnc_entries(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    let data = rows.into_iter().map(DncEntryOut::from).collect();
    caller.call.page(data, pagination)
}

/// Puts numbers on the organization's list; one that is there already gets the new reason.
#[utoipa::path(
    post, path = "/compliance/dnc", operation_id = "add_dnc", tag = "compliance",
    request_body = DncIn,
    responses(
        (status = 200, description = "On the list", body = Envelope<CountOut>),
        (status = 422, description = "An entry is refused; nothing is stored", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn add(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let entries = body::parse::<DncIn>(&body, FIELDS)?.read()?;
    let organization = caller.organization;
    let done = super::change(&app, PolicyChange::AddDnc { organization, entries }).await?;
    caller.call.answer(StatusCode::OK, CountOut { count: super::rows(done) })
}

/// Takes numbers off the organization's list: `?phone=`, or a body of `phones`.
#[utoipa::path(
    delete, path = "/compliance/dnc", operation_id = "remove_dnc", tag = "compliance",
    params(("phone" = Option<String>, Query, description = "E.164; without it the body counts")),
    request_body = Option<DncOffIn>,
    responses(
        (status = 200, description = "Off the list: as many as were on it",
            body = Envelope<CountOut>),
        (status = 422, description = "A number is refused; nothing is removed", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    request: Request,
) -> Result<Response, ApiError> {
    let query = Query::of(request.uri())?;
    let phones = if query.get("phone").is_some() {
        vec![super::asked_phone(&query)?]
    } else {
        let body = body::read(request, &app.http).await?;
        body::parse::<DncOffIn>(&body, OFF_FIELDS)?.read()?
    };
    let organization = caller.organization;
    let done = super::change(&app, PolicyChange::RemoveDnc { organization, phones }).await?;
    caller.call.answer(StatusCode::OK, CountOut { count: super::rows(done) })
}

impl DncIn {
    fn read(self) -> Result<Vec<DncEntry>, ApiError> {
        let mut faults = Vec::new();
        let read = match (&self.phone, &self.entries) {
            (_, Some(list)) => {
                let list = entries("entries", list, ENTRIES_MAX)?.iter().enumerate();
                let each = |(at, item): (usize, &Value)| {
                    entry(&format!("entries[{at}]."), item, &mut faults)
                };
                list.filter_map(each).collect()
            }
            (Some(_), None) => {
                let item = json!({"phone": self.phone, "reason": self.reason});
                entry("", &item, &mut faults).into_iter().collect()
            }
            (None, None) => return Err(missing("phone").into()),
        };
        if faults.is_empty() { Ok(read) } else { Err(ApiError::faults(faults)) }
    }
}

/// One entry, or what is wrong with it by path.
fn entry(path: &str, item: &Value, faults: &mut Vec<Fault>) -> Option<DncEntry> {
    let phone = phone(format!("{path}phone"), &item["phone"], faults);
    let reason = short_text(format!("{path}reason"), item.get("reason"), REASON_MAX, faults);
    Some(DncEntry { phone: phone?, reason: reason.unwrap_or_default() })
}

pub(super) fn phone(path: String, value: &Value, faults: &mut Vec<Fault>) -> Option<String> {
    let read = value.as_str().and_then(Recipient::parse).map(Recipient::into_string);
    if read.is_none() {
        faults.push(not_a_phone(path, value.clone()));
    }
    read
}

impl DncOffIn {
    fn read(self) -> Result<Vec<String>, ApiError> {
        let mut faults = Vec::new();
        let list = entries("phones", &self.phones, ENTRIES_MAX)?.iter().enumerate();
        let each =
            |(at, value): (usize, &Value)| phone(format!("phones[{at}]"), value, &mut faults);
        let phones = list.filter_map(each).collect();
        if faults.is_empty() { Ok(phones) } else { Err(ApiError::faults(faults)) }
    }
}

impl From<DncRow> for DncEntryOut {
    fn from(row: DncRow) -> Self {
        Self { phone: row.phone, reason: row.reason, created_at: At(row.created_at).iso() }
    }
}
