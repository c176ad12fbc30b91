//! `/sip-credentials`: what phones register and call as.
//!
//! A password is shown once, when it is made. A change holds at once: phones whose password is not good
//! any more are bound no longer.

mod input;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::clock::At;
use model::id::{Kind, PublicId};
use model::sip::CredentialStatus;
use serde::Serialize;
use serde_json::Value;
use store::{SipBindingRow, SipListedRow};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeVoice, ReadVoice};
use super::body::{self, Raw};
use super::call::{Envelope, secret};
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::{List, Page, Query};
use crate::sip::{SipBook, unknown};

pub(crate) use input::{FIELDS, read, read_new, stored};
use input::{SipCredentialIn, SipCredentialPatch};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, revoke))
        .routes(routes!(rotate))
        .routes(routes!(unregister))
}

/// A SIP credential.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SipCredentialOut {
    #[schema(example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "Front desk")]
    label: String,
    #[schema(example = "100-k7f3q9x2")]
    sip_username: String,
    /// The domain of its addresses, and the realm of its password.
    #[schema(example = "acme.sip.example.com")]
    sip_server: String,
    #[schema(example = 5060)]
    sip_port: u16,
    /// What your other phones call it by.
    #[schema(example = "100")]
    extension: Option<String>,
    /// It may call numbers.
    allowed_outbound: bool,
    /// First digits of the numbers it may call; empty for any.
    #[schema(value_type = Vec<String>, example = json!(["+1"]))]
    allowed_destinations: Value,
    #[schema(example = "+14155550100")]
    caller_id: Option<String>,
    #[schema(example = 5)]
    max_contacts: i64,
    /// `active` or `suspended`.
    status: &'static str,
    /// Where its phones are now.
    registrations: Vec<RegistrationOut>,
    created_at: String,
    updated_at: String,
}

/// A phone that is registered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegistrationOut {
    #[schema(example = "sip:100-k7f3q9x2@192.0.2.7:5060")]
    contact: String,
    user_agent: Option<String>,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    #[schema(example = "tls")]
    transport: String,
    /// Address and port that it came from.
    received_from: String,
    registered_at: String,
    expires_at: String,
}

/// A credential with its password, once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SipCredentialWithPasswordOut {
    #[serde(flatten)]
    credential: SipCredentialOut,
    /// Shown only now.
    sip_password: String,
}

/// Lists the credentials that are not revoked, newest first.
#[utoipa::path(
    get, path = "/sip-credentials", operation_id = "list_sip_credentials", tag = "sip",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<SipCredentialOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::SipCredentials, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.own_sip_credentials(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    let bound = app.phones.registrations(organization, &rows).await?;
    let data = rows.iter().map(|row| SipCredentialOut::of(&app.phones, row, &bound)).collect();
    caller.call.page(data, pagination)
}

/// Makes a credential. Its password is shown once.
#[utoipa::path(
    post, path = "/sip-credentials", operation_id = "create_sip_credential", tag = "sip",
    request_body = SipCredentialIn,
    responses(
        (status = 201, description = "Made", body = Envelope<SipCredentialWithPasswordOut>),
        (status = 409, description = "The extension or username is taken, or there are as many as may be",
            body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live("a test key changes no SIP credentials: they call for money")?;
    let new = read_new(&body::parse(&raw, FIELDS)?, app.phones.emergency())?;
    let (row, sip_password) = app.phones.create(caller.organization, new).await?;
    let credential = SipCredentialOut::of(&app.phones, &row, &[]);
    let out = SipCredentialWithPasswordOut { credential, sip_password };
    Ok(secret(caller.call.answer(StatusCode::CREATED, out)?))
}

/// Shows a credential and where its phones are registered.
#[utoipa::path(
    get, path = "/sip-credentials/{id}", operation_id = "get_sip_credential", tag = "sip",
    params(("id" = String, Path, example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The credential", body = Envelope<SipCredentialOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, shown(&app, row).await?)
}

/// Changes what is given, from the next call on. Who is suspended is registered no longer.
#[utoipa::path(
    patch, path = "/sip-credentials/{id}", operation_id = "update_sip_credential", tag = "sip",
    params(("id" = String, Path, example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = SipCredentialPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<SipCredentialOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = 409, description = "The extension is taken, or somebody changed it meanwhile",
            body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let settings = read(&body::parse(&raw, FIELDS)?, stored(&row), app.phones.emergency())?;
    let row = app.phones.update(&row, settings).await?;
    caller.call.answer(StatusCode::OK, shown(&app, row).await?)
}

/// Revokes a credential for good. Its phones are registered no longer, and its extension is free.
#[utoipa::path(
    delete, path = "/sip-credentials/{id}", operation_id = "revoke_sip_credential", tag = "sip",
    params(("id" = String, Path, example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    app.phones.revoke(&row).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives a credential another password, shown once. Its phones must come again with it.
#[utoipa::path(
    post, path = "/sip-credentials/{id}/rotate", operation_id = "rotate_sip_password", tag = "sip",
    params(("id" = String, Path, example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "With its password",
            body = Envelope<SipCredentialWithPasswordOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let (row, sip_password) = app.phones.rotate(&row).await?;
    let credential = SipCredentialOut::of(&app.phones, &row, &[]);
    let out = SipCredentialWithPasswordOut { credential, sip_password };
    Ok(secret(caller.call.answer(StatusCode::OK, out)?))
}

/// Drops all registrations of a credential. Its phones may come again.
#[utoipa::path(
    post, path = "/sip-credentials/{id}/unregister", operation_id = "unregister_sip_credential",
    tag = "sip",
    params(("id" = String, Path, example = "sip_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "Without registrations", body = Envelope<SipCredentialOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn unregister(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    app.phones.unregister(&row).await?;
    caller.call.answer(StatusCode::OK, shown(&app, row).await?)
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<SipListedRow, ApiError> {
    let id = PublicId::parse(Kind::SipCredential, id).ok_or_else(unknown)?;
    let row = app.store.own_sip_credential(caller.organization, id).await?;
    Ok(row.ok_or_else(unknown)?)
}

async fn find_to_change(
    app: &App,
    caller: &Caller<ChangeVoice>,
    id: &str,
) -> Result<SipListedRow, ApiError> {
    caller.live("a test key changes no SIP credentials: they call for money")?;
    find(app, caller, id).await
}

async fn shown(app: &App, row: SipListedRow) -> Result<SipCredentialOut, ApiError> {
    let organization = model::carrier::OrgId(row.organization_id);
    let rows = [row];
    let bound = app.phones.registrations(organization, &rows).await?;
    Ok(SipCredentialOut::of(&app.phones, &rows[0], &bound))
}

impl SipCredentialOut {
    /// With those of these registrations that are its own.
    pub(crate) fn of(book: &SipBook, row: &SipListedRow, bound: &[SipBindingRow]) -> Self {
        let destinations = serde_json::from_str(&row.allowed_destinations);
        let own = bound.iter().filter(|binding| binding.credential_id == row.id);
        Self {
            id: id_of(Kind::SipCredential, &row.public_id),
            label: row.label.clone(),
            sip_username: row.username.clone(),
            sip_server: row.realm.clone(),
            sip_port: book.port(),
            extension: row.extension.clone(),
            allowed_outbound: row.allowed_outbound != 0,
            allowed_destinations: destinations.unwrap_or_else(|_| Value::Array(Vec::new())),
            caller_id: row.caller_id.clone(),
            max_contacts: row.max_contacts,
            status: CredentialStatus::from_code(row.status)
                .map_or("suspended", CredentialStatus::as_str),
            registrations: own.map(RegistrationOut::of).collect(),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}

impl RegistrationOut {
    fn of(row: &SipBindingRow) -> Self {
        Self {
            contact: row.contact.clone(),
            user_agent: row.user_agent.clone(),
            transport: row.transport.clone(),
            received_from: row.received_from.clone(),
            registered_at: At(row.registered_at).iso(),
            expires_at: At(row.expires_at).iso(),
        }
    }
}
