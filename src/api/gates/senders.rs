//! `/compliance/sender-id-registrations`: senders, and the countries they are to be approved for.
//!
//! The operator approves or rejects, by `orbit sender`; `sender_id.updated` tells.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::address::SenderKind;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::policy::{Approval, is_country};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::{PolicyChange, PolicyDone, SenderCountry};
use store::{SenderCountryRow, SenderRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::super::body::{self, Field, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::messages::id_of;
use super::super::page::{List, Page, Query};
use super::{entries, short_text};

const COUNTRIES_MAX: usize = 20;
const DOCUMENTS_MAX: usize = 20;
const DOCUMENT_MAX: usize = 500;
const NOTES_MAX: usize = 1_000;
const USE_CASE_MAX: usize = 500;

/// A sender to be approved.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"sender_id": "MyShop", "use_case": "order updates",
    "countries": [{"country": "GB", "document_refs": ["doc-1"], "notes": "trade mark"}]}))]
pub(crate) struct SenderIn {
    /// 3 to 11 letters, digits, blanks, `-` or `_`.
    sender_id: String,
    /// At most 500 characters.
    use_case: Option<String>,
    /// 1 to 20, each once.
    #[schema(value_type = Vec<SenderCountryIn>, min_items = 1, max_items = 20)]
    countries: Vec<Value>,
}

/// One country of many.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "the document's picture of an entry, which is read field by field")]
pub(crate) struct SenderCountryIn {
    /// Two capital letters.
    country: String,
    /// At most 20 names or addresses of documents.
    document_refs: Option<Vec<String>>,
    /// At most 1000 characters.
    notes: Option<String>,
}

/// A registered sender.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderOut {
    #[schema(example = "sir_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "MyShop")]
    sender_id: String,
    use_case: Option<String>,
    countries: Vec<SenderCountryOut>,
    created_at: String,
}

/// Where a sender stands in one country.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderCountryOut {
    #[schema(example = "GB")]
    country: String,
    /// `pending`, `approved` or `rejected`.
    #[schema(example = "pending")]
    status: &'static str,
    document_refs: Vec<String>,
    notes: Option<String>,
    /// The operator's.
    reason: Option<String>,
    decided_at: Option<String>,
}

const FIELDS: &[Field] = &[
    Field::required("sender_id", body::Kind::Text),
    Field::optional("use_case", body::Kind::Text),
    Field::required("countries", body::Kind::List),
];

/// Registers a sender for countries. Each starts as `pending`.
#[utoipa::path(
    post, path = "/compliance/sender-id-registrations", operation_id = "register_sender_id",
    tag = "compliance", request_body = SenderIn,
    responses(
        (status = 201, description = "Registered", body = Envelope<SenderOut>),
        (status = 409, description = "It is registered for one of these already", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let (sender, use_case, countries) = body::parse::<SenderIn>(&body, FIELDS)?.read()?;
    let (organization, id) = (caller.organization, PublicId::new(caller.call.at()));
    let change = PolicyChange::RegisterSender { organization, id, sender, use_case, countries };
    if let PolicyDone::Taken(countries) = super::change(&app, change).await? {
        let message = "the sender is registered already for a country of these";
        let error = ApiError::new(Code::Conflict, message);
        return Err(error.detail("countries", json!(countries)));
    }
    let out = find(&app, &caller, &id.show(Kind::SenderRegistration)).await?;
    caller.call.answer(StatusCode::CREATED, out)
}

/// Lists registered senders, newest first.
#[utoipa::path(
    get, path = "/compliance/sender-id-registrations", operation_id = "list_sender_ids",
    tag = "compliance",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<SenderOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Senders, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.senders(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.number);
    let (first, last) = (rows.last().map_or(0, |r| r.number), rows.first().map_or(0, |r| r.number));
    let countries = app.store.sender_countries(organization, first, last).await?;
    let data = rows.into_iter().map(|row| SenderOut::new(row, &countries)).collect();
    caller.call.page(data, pagination)
}

/// Shows one registered sender.
#[utoipa::path(
    get, path = "/compliance/sender-id-registrations/{id}", operation_id = "get_sender_id",
    tag = "compliance",
    params(("id" = String, Path, example = "sir_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The registration", body = Envelope<SenderOut>),
        (status = 404, description = "There is no such registration of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let out = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Withdraws a registration, with what was approved by it.
#[utoipa::path(
    delete, path = "/compliance/sender-id-registrations/{id}", operation_id = "remove_sender_id",
    tag = "compliance",
    params(("id" = String, Path, example = "sir_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "As it was", body = Envelope<SenderOut>),
        (status = 404, description = "There is no such registration of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let out = find(&app, &caller, &id).await?;
    let organization = caller.organization;
    let id = PublicId::parse(Kind::SenderRegistration, &id).ok_or_else(unknown)?;
    match super::change(&app, PolicyChange::RemoveSender { organization, id }).await? {
        PolicyDone::Rows(_) => caller.call.answer(StatusCode::OK, out),
        _ => Err(unknown()),
    }
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such registration")
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<SenderOut, ApiError> {
    let id = PublicId::parse(Kind::SenderRegistration, id).ok_or_else(unknown)?;
    let row = app.store.sender(caller.organization, id).await?.ok_or_else(unknown)?;
    let number = row.number;
    let countries = app.store.sender_countries(caller.organization, number, number).await?;
    Ok(SenderOut::new(row, &countries))
}

impl SenderIn {
    fn read(self) -> Result<(String, Option<String>, Vec<SenderCountry>), ApiError> {
        let mut faults = Vec::new();
        if SenderKind::of(&self.sender_id) != Some(SenderKind::Alphanumeric) {
            let message = "only alphanumeric senders are registered";
            let fault = Fault::new(Code::InvalidSender, message).field("sender_id");
            let expected = "3 to 11 letters, digits, blanks, - or _, with at least one letter";
            faults.push(fault.value(json!(self.sender_id)).expected(expected));
        }
        let use_case = self.use_case.map(Value::from);
        let use_case =
            short_text(String::from("use_case"), use_case.as_ref(), USE_CASE_MAX, &mut faults);
        let mut countries: Vec<SenderCountry> = Vec::new();
        let list = entries("countries", &self.countries, COUNTRIES_MAX).map_err(|fault| {
            faults.push(fault);
        });
        for (at, item) in list.unwrap_or_default().iter().enumerate() {
            let path = format!("countries[{at}].");
            countries.extend(country(&path, item, &countries, &mut faults));
        }
        if faults.is_empty() {
            return Ok((self.sender_id, use_case, countries));
        }
        Err(ApiError::faults(faults))
    }
}

/// One country, or what is wrong with it by path.
fn country(
    path: &str,
    item: &Value,
    before: &[SenderCountry],
    faults: &mut Vec<Fault>,
) -> Option<SenderCountry> {
    let known = faults.len();
    let country = item["country"].as_str().unwrap_or_default();
    let fresh = before.iter().all(|other| other.country != country);
    if !is_country(country) || !fresh {
        let message = format!("the field `{path}country` is not valid");
        let fault = Fault::new(Code::ValidationError, message).field(format!("{path}country"));
        let expected = "two capital letters, as in GB, each country once";
        faults.push(fault.value(item["country"].clone()).expected(expected));
    }
    let refs = match &item["document_refs"] {
        Value::Null => &[],
        value => value.as_array().filter(|refs| refs.len() <= DOCUMENTS_MAX).map_or_else(
            || {
                let message = format!("the field `{path}document_refs` is not valid");
                let fault = Fault::new(Code::ValidationError, message);
                let fault = fault.field(format!("{path}document_refs")).value(value.clone());
                faults.push(fault.expected("a list of at most 20 texts"));
                &[][..]
            },
            Vec::as_slice,
        ),
    };
    let mut document_refs = Vec::with_capacity(refs.len());
    for (at, value) in refs.iter().enumerate() {
        let path = format!("{path}document_refs[{at}]");
        document_refs.extend(short_text(path, Some(value), DOCUMENT_MAX, faults));
    }
    let notes = short_text(format!("{path}notes"), item.get("notes"), NOTES_MAX, faults);
    (faults.len() == known).then(|| SenderCountry {
        country: country.to_owned(),
        document_refs: json!(document_refs).to_string(),
        notes,
    })
}

impl SenderOut {
    fn new(row: SenderRow, countries: &[SenderCountryRow]) -> Self {
        let own = countries.iter().filter(|country| country.registration == row.number);
        Self {
            id: id_of(Kind::SenderRegistration, &row.id),
            sender_id: row.sender_id,
            use_case: row.use_case,
            countries: own.map(SenderCountryOut::from).collect(),
            created_at: At(row.created_at).iso(),
        }
    }
}

impl From<&SenderCountryRow> for SenderCountryOut {
    fn from(row: &SenderCountryRow) -> Self {
        Self {
            country: row.country.clone(),
            status: Approval::from_code(row.state).unwrap_or(Approval::Pending).as_str(),
            document_refs: serde_json::from_str(&row.document_refs).unwrap_or_default(),
            notes: row.notes.clone(),
            reason: row.reason.clone(),
            decided_at: row.decided_at.map(|at| At(at).iso()),
        }
    }
}
