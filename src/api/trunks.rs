//! `/voice/sip-trunks`: telephone systems of customers, that calls go to and come from.
//!
//! A password is never shown. A change holds for the next call; calls that are there go on.

mod input;

use actors::sip::trunks::{Health, Running, Trunks};
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::clock::At;
use model::id::{Kind, PublicId};
use serde::Serialize;
use store::TrunkListedRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeVoice, ReadVoice};
use super::body::{self, Raw};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::{List, Page, Query};
use crate::trunks::unknown;

use input::TrunkIn;
pub(crate) use input::{FIELDS, read, said};

/// What a test key is told.
const LIVE: &str = "a test key changes no SIP trunks: live calls go by them";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, delete))
}

/// A SIP trunk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrunkOut {
    #[schema(example = "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "Office")]
    name: String,
    /// Where calls go; null: they only come in.
    #[schema(example = "sip:pbx.example.com;transport=tls")]
    outbound_uri: Option<String>,
    /// Who calls in.
    #[schema(example = json!(["203.0.113.7"]))]
    inbound_uris: Vec<String>,
    username: Option<String>,
    /// As they are preferred.
    #[schema(example = json!(["PCMU", "PCMA"]))]
    codecs: Vec<String>,
    /// `none`, `tls` or `tls_srtp`.
    #[schema(example = "tls_srtp")]
    encryption: String,
    /// Whether we register there.
    register: bool,
    #[schema(example = 30)]
    options_ping_seconds: i64,
    #[schema(example = 30)]
    max_channels: i64,
    /// Calls on it now.
    channels_in_use: usize,
    /// `active` or `disabled`.
    status: &'static str,
    /// `up`, `down` (it did not answer three times) or `unknown`.
    health: &'static str,
    /// Why it did not answer last.
    last_error: Option<String>,
    /// How we are registered there; null: we do not register.
    registration: Option<TrunkRegistrationOut>,
    created_at: String,
    updated_at: String,
}

/// Our registration with a trunk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrunkRegistrationOut {
    /// `registering`, `registered`, `failed` (it is tried again) or `unregistered`.
    status: &'static str,
    expires_at: Option<String>,
    /// Why the last attempt was in vain.
    last_error: Option<String>,
}

/// Lists the trunks, newest first.
#[utoipa::path(
    get, path = "/voice/sip-trunks", operation_id = "list_sip_trunks", tag = "trunks",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<TrunkOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Trunks, &query)?;
    let mut rows = app.store.own_trunks(caller.organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    let data = rows.iter().map(|row| TrunkOut::of(app.trunks.trunks(), row)).collect();
    caller.call.page(data, pagination)
}

/// Makes a trunk.
#[utoipa::path(
    post, path = "/voice/sip-trunks", operation_id = "create_sip_trunk", tag = "trunks",
    request_body = TrunkIn,
    responses(
        (status = 201, description = "Made", body = Envelope<TrunkOut>),
        (status = 409, description = "There are as many as may be", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let asked = read(&body::parse(&raw, FIELDS)?, |target| app.trunks.may_lead_to(target))?;
    let row = app.trunks.create(caller.organization, asked).await?;
    caller.call.answer(StatusCode::CREATED, TrunkOut::of(app.trunks.trunks(), &row))
}

/// Shows a trunk, and how it is.
#[utoipa::path(
    get, path = "/voice/sip-trunks/{id}", operation_id = "get_sip_trunk", tag = "trunks",
    params(("id" = String, Path, example = "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The trunk", body = Envelope<TrunkOut>),
        (status = 404, description = "There is no such trunk of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, TrunkOut::of(app.trunks.trunks(), &row))
}

/// Puts another in its place, from the next call on: what is left out is as usual, but for the
/// password.
#[utoipa::path(
    put, path = "/voice/sip-trunks/{id}", operation_id = "replace_sip_trunk", tag = "trunks",
    params(("id" = String, Path, example = "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = TrunkIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<TrunkOut>),
        (status = 404, description = "There is no such trunk of yours", body = ErrorOut),
        (status = 409, description = "Somebody changed it meanwhile", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    let asked = read(&body::parse(&raw, FIELDS)?, |target| app.trunks.may_lead_to(target))?;
    let row = app.trunks.replace(&row, asked).await?;
    caller.call.answer(StatusCode::OK, TrunkOut::of(app.trunks.trunks(), &row))
}

/// Deletes a trunk. Its calls go on to their end.
#[utoipa::path(
    delete, path = "/voice/sip-trunks/{id}", operation_id = "delete_sip_trunk", tag = "trunks",
    params(("id" = String, Path, example = "trk_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such trunk of yours", body = ErrorOut),
        (status = 409, description = "Numbers are routed to it", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    app.trunks.delete(&row).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<TrunkListedRow, ApiError> {
    let id = PublicId::parse(Kind::Trunk, id).ok_or_else(unknown)?;
    let row = app.store.own_trunk(caller.organization, id).await?;
    Ok(row.ok_or_else(unknown)?)
}

impl TrunkRegistrationOut {
    pub(crate) fn of(running: &Running) -> Option<Self> {
        let standing = running.trunk.registers().then(|| running.live.standing())?;
        Some(Self {
            status: standing.registered.as_str(),
            expires_at: standing.expires_at.map(At::iso),
            last_error: standing.error,
        })
    }
}

impl TrunkOut {
    pub(crate) fn of(trunks: &Trunks, row: &TrunkListedRow) -> Self {
        let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
        let running = trunks.find(id);
        let live = running.as_ref().map(|running| &running.live);
        let fields = row.fields();
        Self {
            id: id_of(Kind::Trunk, &row.public_id),
            name: row.name.clone(),
            outbound_uri: fields.outbound_uri,
            inbound_uris: fields.inbound_uris,
            username: fields.username,
            codecs: fields.codecs,
            encryption: fields.encryption,
            register: fields.register,
            options_ping_seconds: fields.options_ping_seconds,
            max_channels: fields.max_channels,
            channels_in_use: live.map_or(0, |live| live.calls()),
            status: if row.disabled_at.is_some() { "disabled" } else { "active" },
            health: live.map_or(Health::Unknown, |live| live.health()).as_str(),
            last_error: live.map(|live| live.last_error()).filter(|error| !error.is_empty()),
            registration: running.as_deref().and_then(TrunkRegistrationOut::of),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}
