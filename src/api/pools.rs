//! `/messaging/sender-pools`: senders that messages go from in turn. A change holds for the next
//! message.

mod input;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::pool::{PoolSender, Strategy};
use serde::Serialize;
use store::lane::PoolChange;
use store::{PoolRow, PoolUseRow};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeSmpp, ReadSmpp};
use super::body::{self, Raw};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut, Fault};
use super::messages::id_of;
use super::page::Pagination;
use crate::pools::unknown;

pub(crate) use input::{FIELDS, read, stored};
use input::{PoolIn, PoolPatch};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, update, delete))
}

/// A sender pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolOut {
    #[schema(example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "support")]
    name: String,
    /// `round_robin`, `weighted`, `sticky` or `least_used`.
    #[schema(example = "sticky")]
    strategy: &'static str,
    senders: Vec<PoolSenderOut>,
    /// Names of the only carriers that take its messages; empty: any.
    #[schema(example = json!(["upstream"]))]
    carrier_ids: Vec<String>,
    /// Days after the last message that a recipient's sender is remembered; of `sticky`.
    #[schema(example = 30)]
    sticky_ttl_days: i64,
    created_at: String,
    updated_at: String,
}

/// A sender of a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoolSenderOut {
    #[schema(example = "+14155550100")]
    value: String,
    /// `alphanumeric`, `international` or `short_code`: what its value is.
    #[schema(example = "international")]
    r#type: &'static str,
    #[schema(example = 1)]
    weight: u32,
    /// ISO 3166; empty: every country.
    #[schema(example = json!(["US", "CA"]))]
    countries: Vec<String>,
    /// Null: any number.
    #[schema(example = 200)]
    daily_cap: Option<i64>,
    /// Live messages by this pool since midnight, UTC.
    #[schema(example = 17)]
    used_today: i64,
}

/// Lists the pools by name. There are at most 50.
#[utoipa::path(
    get, path = "/messaging/sender-pools", operation_id = "list_sender_pools",
    tag = "sender-pools",
    responses(
        (status = 200, description = "All of them", body = Envelope<Vec<PoolOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
) -> Result<Response, ApiError> {
    let organization = caller.organization;
    let rows = app.pools.rows(organization).await?;
    let uses = app.pools.uses(organization, caller.call.at()).await?;
    let total = i64::try_from(rows.len()).ok();
    let pagination = Pagination { cursor: None, has_more: false, total };
    caller.call.page(rows.iter().map(|row| PoolOut::of(row, &uses)).collect(), pagination)
}

/// Makes a pool.
#[utoipa::path(
    post, path = "/messaging/sender-pools", operation_id = "create_sender_pool",
    tag = "sender-pools", request_body = PoolIn,
    responses(
        (status = 201, description = "Made", body = Envelope<PoolOut>),
        (status = 409, description = "The name is taken, or there are 50", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let organization = caller.organization;
    let map = body::parse(&raw, FIELDS)?;
    let pool = read(&map, None, |name| app.pools.knows(organization, name))?;
    let id = PublicId::new(caller.call.at());
    app.pools.change(PoolChange::Create { organization, id, pool }).await?;
    let out = shown(&app, organization, id, caller.call.at()).await?;
    caller.call.answer(StatusCode::CREATED, out)
}

/// Shows a pool.
#[utoipa::path(
    get, path = "/messaging/sender-pools/{id}", operation_id = "get_sender_pool",
    tag = "sender-pools",
    params(("id" = String, Path, example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The pool", body = Envelope<PoolOut>),
        (status = 404, description = "There is no such pool of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let out = shown(&app, caller.organization, id_in(&id)?, caller.call.at()).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Changes what is given, from the next message on; `senders` and `carrier_ids` are replaced whole.
#[utoipa::path(
    patch, path = "/messaging/sender-pools/{id}", operation_id = "update_sender_pool",
    tag = "sender-pools",
    params(("id" = String, Path, example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = PoolPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<PoolOut>),
        (status = 404, description = "There is no such pool of yours", body = ErrorOut),
        (status = 409, description = "The name is taken, or somebody changed it meanwhile",
            body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let (organization, id) = (caller.organization, id_in(&id)?);
    let row = app.store.sender_pool(organization, id).await?.ok_or_else(unknown)?;
    let map = body::parse(&raw, &[])?;
    let pool = read(&map, Some(stored(&row)), |name| app.pools.knows(organization, name))?;
    let seen = At(row.updated_at);
    app.pools.change(PoolChange::Update { organization, id, seen, pool }).await?;
    let out = shown(&app, organization, id, caller.call.at()).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Deletes a pool and what it remembers. Messages keep the senders they went from.
#[utoipa::path(
    delete, path = "/messaging/sender-pools/{id}", operation_id = "delete_sender_pool",
    tag = "sender-pools",
    params(("id" = String, Path, example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such pool of yours", body = ErrorOut),
        (status = 409, description = "Scheduled messages name it", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let (organization, id) = (caller.organization, id_in(&id)?);
    app.pools.change(PoolChange::Delete { organization, id }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The pool that a send names in the place of a sender; one of both.
pub(crate) fn asked(
    app: &App,
    organization: OrgId,
    from: Option<&str>,
    pool: Option<&str>,
) -> Result<Option<PublicId>, ApiError> {
    let Some(text) = pool else { return Ok(None) };
    let fault = || Fault::from(model::pool::unknown()).value(serde_json::json!(text));
    if from.is_some() {
        let fault = body::wrong("sender_pool_id", serde_json::json!(text));
        return Err(fault.expected("either `from` or `sender_pool_id`").into());
    }
    let id = PublicId::parse(Kind::SenderPool, text).ok_or_else(fault)?;
    app.admission.router().pool(organization, id).ok_or_else(fault)?;
    Ok(Some(id))
}

/// What a test key is told.
const LIVE: &str = "a test key changes no sender pools: live messages go by them";

fn id_in(text: &str) -> Result<PublicId, ApiError> {
    Ok(PublicId::parse(Kind::SenderPool, text).ok_or_else(unknown)?)
}

async fn shown(app: &App, organization: OrgId, id: PublicId, now: At) -> Result<PoolOut, ApiError> {
    let row = app.store.sender_pool(organization, id).await?.ok_or_else(unknown)?;
    Ok(PoolOut::of(&row, &app.pools.uses(organization, now).await?))
}

impl PoolOut {
    pub(crate) fn of(row: &PoolRow, uses: &[PoolUseRow]) -> Self {
        let pool = row.pool();
        let used = |sender: &PoolSender| {
            let of = |u: &&PoolUseRow| u.pool_id == row.id && *u.sender == *sender.value;
            uses.iter().find(of).map_or(0, |u| u.used)
        };
        let senders = pool.senders.iter().map(|sender| PoolSenderOut {
            value: sender.value.to_string(),
            r#type: sender.kind.as_str(),
            weight: sender.weight,
            countries: sender.countries.clone(),
            daily_cap: sender.daily_cap,
            used_today: used(sender),
        });
        Self {
            id: id_of(Kind::SenderPool, &row.public_id),
            name: row.name.clone(),
            strategy: Strategy::as_str(pool.strategy),
            senders: senders.collect(),
            carrier_ids: pool.carriers,
            sticky_ttl_days: pool.sticky_ttl_days,
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}
