//! `POST /compliance/consent` and `/compliance/consent/bulk`: statements, kept for good.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::OrgId;
use model::consent::Preference;
use model::id::Kind as IdKind;
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::{Admin, Compliance, NewConsent};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance};
use super::super::body::{self, Field, Kind, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::input::{ConsentIn, FIELDS, Said};

const ITEMS_MAX: usize = 1_000;
/// Records of one transaction.
const AT_ONCE: usize = 100;

/// A statement, kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsentOut {
    contact_id: Option<String>,
    identifier: String,
    #[schema(example = json!(["cr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"]))]
    consent_record_ids: Vec<String>,
    channels: Vec<&'static str>,
    /// `opted_in` or `opted_out`.
    #[schema(example = "opted_in")]
    state: &'static str,
}

/// Many statements.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct BulkIn {
    /// 1 to 1000.
    #[schema(value_type = Vec<ConsentIn>, min_items = 1, max_items = 1000)]
    items: Vec<Value>,
}

/// What became of many statements.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkOut {
    accepted: usize,
    rejected: usize,
    results: Vec<BulkResult>,
}

/// What became of one: ids, or an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkResult {
    /// Its place in `items`, from 0.
    index: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consent_record_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

/// Records what a person says: kept for good, in force at once.
#[utoipa::path(
    post, path = "/compliance/consent", operation_id = "record_consent", tag = "compliance",
    request_body = ConsentIn,
    responses(
        (status = 201, description = "Kept", body = Envelope<ConsentOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: ConsentIn = body::parse(&raw, FIELDS)?;
    let said = input.check(caller.call.at()).map_err(ApiError::faults)?;
    keep(&app, caller.organization, said.records.clone()).await?;
    caller.call.answer(StatusCode::CREATED, ConsentOut::from(said))
}

/// Records up to 1000 statements. Bad ones are refused one by one.
#[utoipa::path(
    post, path = "/compliance/consent/bulk", operation_id = "record_consents", tag = "compliance",
    request_body = BulkIn,
    responses(
        (status = 201, description = "At least one is kept", body = Envelope<BulkOut>),
        (status = 422, description = "None is kept", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn bulk(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: BulkIn = body::parse(&raw, &[Field::required("items", Kind::List)])?;
    let count = input.items.len();
    if !(1..=ITEMS_MAX).contains(&count) {
        return Err(wrong("items", json!(count)).expected("1 to 1000 items").into());
    }
    let now = caller.call.at();
    let read: Vec<Result<Said, Fault>> = input
        .items
        .into_iter()
        .map(|item| {
            let first = |faults: Vec<Fault>| faults.into_iter().next();
            let other = || Fault::new(Code::ValidationError, "the item is not valid");
            read_item(item)?.check(now).map_err(|faults| first(faults).unwrap_or_else(other))
        })
        .collect();
    let records = read.iter().flatten().flat_map(|said| said.records.iter().cloned());
    let records: Vec<NewConsent> = records.collect();
    let out = BulkOut::from(read);
    if records.is_empty() {
        let errors: Vec<Value> =
            out.results.into_iter().filter_map(BulkResult::into_error).collect();
        let error = ApiError::new(Code::ValidationError, "no item was accepted");
        return Err(error.detail("errors", Value::Array(errors)));
    }
    for some in records.chunks(AT_ONCE) {
        keep(&app, caller.organization, some.to_vec()).await?;
    }
    caller.call.answer(StatusCode::CREATED, out)
}

async fn keep(app: &App, organization: OrgId, said: Vec<NewConsent>) -> Result<(), ApiError> {
    app.writer.administer(Admin::Comply(Compliance::Consent { organization, said })).await?;
    Ok(())
}

fn read_item(item: Value) -> Result<ConsentIn, Fault> {
    let Value::Object(map) = &item else {
        let fault = Fault::new(Code::ValidationError, "the item is not an object");
        return Err(fault.value(item).expected("an object with `identifier` and `channels`"));
    };
    if let Some(fault) = body::faults(map, FIELDS).into_iter().next() {
        return Err(fault);
    }
    serde_json::from_value(item).map_err(|error| {
        Fault::new(Code::ValidationError, format!("the item is not valid: {error}"))
    })
}

fn ids(records: &[NewConsent]) -> Vec<String> {
    records.iter().map(|record| record.id.show(IdKind::Consent)).collect()
}

impl From<Said> for ConsentOut {
    fn from(said: Said) -> Self {
        Self {
            contact_id: None,
            consent_record_ids: ids(&said.records),
            identifier: said.identifier,
            channels: said.channels.iter().map(|channel| channel.as_str()).collect(),
            state: Preference::of(said.opt_in).as_str(),
        }
    }
}

impl From<Vec<Result<Said, Fault>>> for BulkOut {
    fn from(read: Vec<Result<Said, Fault>>) -> Self {
        let accepted = read.iter().filter(|item| item.is_ok()).count();
        let result = |(index, item): (usize, Result<Said, Fault>)| match item {
            Ok(said) => BulkResult { index, consent_record_ids: ids(&said.records), error: None },
            Err(fault) => {
                BulkResult { index, consent_record_ids: Vec::new(), error: Some(fault.to_json()) }
            }
        };
        let rejected = read.len() - accepted;
        Self { accepted, rejected, results: read.into_iter().enumerate().map(result).collect() }
    }
}

impl BulkResult {
    fn into_error(self) -> Option<Value> {
        let mut error = self.error?;
        error["index"] = json!(self.index);
        Some(error)
    }
}
