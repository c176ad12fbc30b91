//! `POST /compliance/suppression-list` and its two ways to delete.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::consent::{Origin, Scope};
use model::id::{Kind as IdKind, PublicId};
use model::refusal::Code;
use serde::Deserialize;
use serde_json::json;
use store::lane::{Admin, AdminDone, Compliance, Complied, Lift, NewSuppression};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance};
use super::super::body::{self, Field, Kind, Raw, storable};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::page::Query;
use super::entry::resolve;
use super::list::SuppressionOut;

pub(super) const REASON_MAX: usize = 200;
const SOURCE_MAX: usize = 100;

/// An address that is to get no messages.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"address": "+14155550123", "reason": "asked by phone"}))]
pub(crate) struct SuppressionIn {
    /// E.164 with its `+`, an email address, or a channel's own id.
    #[schema(example = "+14155550123")]
    address: String,
    /// `all`, or one channel; without it `email` for email addresses and `all` for others.
    #[schema(example = "all")]
    scope: Option<String>,
    /// At most 200 characters; `manual` when left out.
    reason: Option<String>,
    /// At most 100 characters; `api` when left out.
    source: Option<String>,
}

const FIELDS: &[Field] = &[
    Field::required("address", Kind::Text),
    Field::optional("scope", Kind::Text),
    Field::optional("reason", Kind::Text),
    Field::optional("source", Kind::Text),
];

/// Puts an address on the suppression list. One that is there stays as it is; what a person's
/// keyword or consent had put there becomes the organization's own.
#[utoipa::path(
    post, path = "/compliance/suppression-list", operation_id = "create_suppression",
    tag = "compliance",
    request_body = SuppressionIn,
    responses(
        (status = 201, description = "It is on the list now", body = Envelope<SuppressionOut>),
        (status = 200, description = "It was there already", body = Envelope<SuppressionOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let entry = entry(&raw, &caller)?;
    let (organization, address, scope) = (caller.organization, entry.address.clone(), entry.scope);
    let change = Compliance::Suppress { organization, origin: Origin::Api, entries: vec![entry] };
    let touched = match app.writer.administer(Admin::Comply(change)).await? {
        AdminDone::Complied(Complied::Suppressed(touched)) => touched,
        _ => return Err(ApiError::internal()),
    };
    let rows = app.store.suppressions_of(organization, &address).await?;
    let row = rows.into_iter().find(|row| row.scope == scope.code());
    // Gone again already, by another request.
    let row = row.ok_or_else(|| ApiError::new(Code::Conflict, "the entry was just removed"))?;
    let status = if touched > 0 { StatusCode::CREATED } else { StatusCode::OK };
    caller.call.answer(status, SuppressionOut::from(row))
}

/// Takes an entry off the list.
#[utoipa::path(
    delete, path = "/compliance/suppression-list/{id}", operation_id = "delete_suppression",
    tag = "compliance",
    params(("id" = String, Path, example = "sup_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "It is off the list"),
        (status = 404, description = "There is no such entry of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = PublicId::parse(IdKind::Suppression, &id).ok_or_else(not_there)?;
    lift(&app, &caller, Lift::Id(id)).await
}

/// Takes an address off the list: in one scope, or in all of them.
#[utoipa::path(
    delete, path = "/compliance/suppression-list", operation_id = "delete_suppressions_of_address",
    tag = "compliance",
    params(
        ("address" = String, Query, description = "As listed"),
        ("scope" = Option<String>, Query, description = "One scope; without it every one"),
    ),
    responses(
        (status = 204, description = "It is off the list"),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = 404, description = "It is not on the list", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete_by_address(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let scope = scope_of(&query)?;
    let text = query.get("address").unwrap_or_default();
    let (address, _) = resolve(text, scope, None)
        .map_err(|_| ApiError::query("address", text, "an address of the list"))?;
    lift(&app, &caller, Lift::Address { address, scope }).await
}

async fn lift(
    app: &App,
    caller: &Caller<ChangeCompliance>,
    which: Lift,
) -> Result<Response, ApiError> {
    let change = Compliance::Lift { organization: caller.organization, which };
    match app.writer.administer(Admin::Comply(change)).await? {
        AdminDone::Complied(Complied::Lifted(0)) => Err(not_there()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

fn entry(raw: &[u8], caller: &Caller<ChangeCompliance>) -> Result<NewSuppression, ApiError> {
    let input: SuppressionIn = body::parse(raw, FIELDS)?;
    let reason = input.reason.unwrap_or_else(|| String::from("manual"));
    let source = input.source.unwrap_or_else(|| String::from("api"));
    let mut faults = Vec::new();
    storable("reason", &reason, REASON_MAX, &mut faults);
    storable("source", &source, SOURCE_MAX, &mut faults);
    let scope = input.scope.as_deref().map(read_scope).transpose();
    let resolved = scope.and_then(|scope| resolve(&input.address, scope, None));
    match resolved {
        Ok((address, scope)) if faults.is_empty() => {
            let id = PublicId::new(caller.call.at());
            Ok(NewSuppression { id, address, scope, reason, source })
        }
        Ok(_) => Err(ApiError::faults(faults)),
        Err(fault) => {
            faults.push(fault);
            Err(ApiError::faults(faults))
        }
    }
}

pub(super) fn read_scope(text: &str) -> Result<Scope, Fault> {
    Scope::parse(text).ok_or_else(|| {
        let fault = body::wrong("scope", json!(text));
        fault.expected(Scope::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "))
    })
}

pub(super) fn scope_of(query: &Query) -> Result<Option<Scope>, ApiError> {
    let Some(text) = query.get("scope") else {
        return Ok(None);
    };
    let scope = Scope::parse(text);
    scope.map(Some).ok_or_else(|| ApiError::query("scope", text, "`all` or a channel, as in sms"))
}

fn not_there() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such entry on the suppression list")
}
