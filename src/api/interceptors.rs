//! `/messaging/interceptors`: an organization's own rules on its messages, asked after the
//! operator's, and what all of them would do to a message.
//!
//! A change holds for the next message: the rules in memory are replaced by those that are stored.

mod input;

use actors::traffic::admission::SendRequest;
use actors::traffic::interceptors::{Outcome, Ready, WEIGHT_MAX};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::address::Recipient;
use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::interceptor::Rule;
use model::refusal::Code;
use serde::Serialize;
use serde_json::json;
use store::lane::{Admin, AdminDone, InterceptorChange};
use store::{InterceptorRow, Store, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeInterceptors, ReadInterceptors};
use super::body::{Raw, wrong};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::Pagination;

use input::{RuleIn, RuleInOut, TrialIn};

/// Rules of one organization.
const RULES_MAX: i64 = 100;
/// Rows read at once, at the start.
const PAGE: i64 = 500;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(test))
        .routes(routes!(show, replace, delete))
}

/// A rule with its id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InterceptorOut {
    #[schema(example = "icr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// Lower ones are asked first.
    position: i64,
    #[serde(flatten)]
    rule: RuleInOut,
    created_at: String,
    updated_at: String,
}

/// What the rules would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialOut {
    /// Names of the rules that match, in the order in which they are asked.
    matched: Vec<String>,
    /// Null: it is not refused.
    blocked: Option<BlockedOut>,
    /// The sender that it has then; null: none was given and none set.
    from: Option<String>,
    /// The carrier that is to take it; null: the usual choice.
    route: Option<String>,
    tags: Vec<String>,
}

/// Why, and by which rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockedOut {
    rule: String,
    reason: String,
}

/// Lists the rules in the order in which they are asked. There are at most 100.
#[utoipa::path(
    get, path = "/messaging/interceptors", operation_id = "list_interceptors",
    tag = "interceptors",
    responses(
        (status = 200, description = "All of them", body = Envelope<Vec<InterceptorOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadInterceptors>,
) -> Result<Response, ApiError> {
    let rows = app.store.interceptors(caller.organization, RULES_MAX).await?;
    let total = i64::try_from(rows.len()).ok();
    let pagination = Pagination { cursor: None, has_more: false, total };
    caller.call.page(rows.iter().map(InterceptorOut::of).collect(), pagination)
}

/// Makes a rule. It holds for the next message.
#[utoipa::path(
    post, path = "/messaging/interceptors", operation_id = "create_interceptor",
    tag = "interceptors", request_body = RuleIn,
    responses(
        (status = 201, description = "Made", body = Envelope<InterceptorOut>),
        (status = 409, description = "There are 100 already, or the expressions of all are too large",
            body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeInterceptors>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let (position, rule) = RuleIn::parse(&raw)?;
    let id = PublicId::new(caller.call.at());
    let organization = caller.organization;
    let change = InterceptorChange::Create { id, organization, position, rule, most: RULES_MAX };
    if !changed(&app, organization, change).await? {
        return Err(ApiError::new(Code::Conflict, "there are as many rules as may be")
            .detail("limit", json!(RULES_MAX)));
    }
    let row = find(&app, organization, &id.show(Kind::Interceptor)).await?;
    caller.call.answer(StatusCode::CREATED, InterceptorOut::of(&row))
}

/// Shows a rule.
#[utoipa::path(
    get, path = "/messaging/interceptors/{id}", operation_id = "get_interceptor",
    tag = "interceptors",
    params(("id" = String, Path, example = "icr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The rule", body = Envelope<InterceptorOut>),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadInterceptors>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, caller.organization, &id).await?;
    caller.call.answer(StatusCode::OK, InterceptorOut::of(&row))
}

/// Puts another rule in the place of one. What is left out is not set.
#[utoipa::path(
    put, path = "/messaging/interceptors/{id}", operation_id = "replace_interceptor",
    tag = "interceptors",
    params(("id" = String, Path, example = "icr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = RuleIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<InterceptorOut>),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = 409, description = "The expressions of all rules are too large", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeInterceptors>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let organization = caller.organization;
    let number = id_in(&id)?;
    find(&app, organization, &id).await?;
    let (position, rule) = RuleIn::parse(&raw)?;
    let change = InterceptorChange::Update { id: number, organization, position, rule };
    if !changed(&app, organization, change).await? {
        return Err(unknown());
    }
    let row = find(&app, organization, &id).await?;
    caller.call.answer(StatusCode::OK, InterceptorOut::of(&row))
}

/// Deletes a rule. It is not asked about the next message.
#[utoipa::path(
    delete, path = "/messaging/interceptors/{id}", operation_id = "delete_interceptor",
    tag = "interceptors",
    params(("id" = String, Path, example = "icr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeInterceptors>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, organization) = (id_in(&id)?, caller.organization);
    if !changed(&app, organization, InterceptorChange::Delete { id, organization }).await? {
        return Err(unknown());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Says what all rules would do to a message, the operator's too. Nothing is sent.
#[utoipa::path(
    post, path = "/messaging/interceptors/test", operation_id = "test_interceptors",
    tag = "interceptors", request_body = TrialIn,
    responses(
        (status = 200, description = "What would be done", body = Envelope<TrialOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller<ReadInterceptors>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let (request, at) = TrialIn::parse(&raw, caller.call.at())?;
    let to = Recipient::parse(&request.to).ok_or_else(|| {
        let fault = wrong("to", json!(request.to)).expected("E.164, as in +14155550123");
        ApiError::faults(vec![fault])
    })?;
    let rules = app.admission.interceptors();
    let outcome = rules.outcome(caller.organization, to.digits(), &request, at);
    caller.call.answer(StatusCode::OK, TrialOut::of(&request, outcome))
}

/// Reads the rules of every organization into memory.
pub(crate) async fn load(
    store: &Store,
    rules: &actors::traffic::interceptors::Interceptors,
) -> Result<(), StoreError> {
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let rows = store.all_interceptors(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        all.extend(rows);
    }
    all.sort_by_key(|row| (row.organization_id, row.position, row.id));
    for own in all.chunk_by(|a, b| a.organization_id == b.organization_id) {
        rules.set_own(OrgId(own[0].organization_id), own.iter().filter_map(ready).collect());
    }
    Ok(())
}

/// The rules in memory become those that are stored.
async fn take_up(app: &App, organization: OrgId) -> Result<(), ApiError> {
    let rows = app.store.interceptors(organization, RULES_MAX).await?;
    app.admission.interceptors().set_own(organization, rows.iter().filter_map(ready).collect());
    Ok(())
}

/// What was stored was a rule once: another version may have known more of expressions.
fn ready(row: &InterceptorRow) -> Option<Ready> {
    let rule: Rule = serde_json::from_str(&row.rule).ok()?;
    Ready::own(rule)
        .inspect_err(|bad| tracing::error!(%bad, id = row.id, "an interceptor cannot be asked"))
        .ok()
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such interceptor")
}

fn id_in(text: &str) -> Result<PublicId, ApiError> {
    PublicId::parse(Kind::Interceptor, text).ok_or_else(unknown)
}

async fn find(app: &App, organization: OrgId, id: &str) -> Result<InterceptorRow, ApiError> {
    app.store.interceptor(organization, id_in(id)?).await?.ok_or_else(unknown)
}

/// Stores a change and takes it up, one change after the other; also when the caller leaves.
async fn changed(
    app: &App,
    organization: OrgId,
    change: InterceptorChange,
) -> Result<bool, ApiError> {
    let app = app.clone();
    let change = async move {
        let _turn = app.rules_changing.lock().await;
        weigh(&app, organization, &change).await?;
        let done = app.writer.administer(Admin::Interceptor(Box::new(change))).await?;
        take_up(&app, organization).await?;
        Ok(done == AdminDone::Interceptor(true))
    };
    tokio::spawn(change).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

/// Each message is asked all expressions: they may weigh only so much together.
async fn weigh(app: &App, owner: OrgId, change: &InterceptorChange) -> Result<(), ApiError> {
    let (rule, replaced) = match change {
        InterceptorChange::Create { rule, .. } => (rule, None),
        InterceptorChange::Update { id, rule, .. } => (rule, Some(id.as_bytes())),
        InterceptorChange::Delete { .. } => return Ok(()),
    };
    let weight = |text: &str| {
        let rule = serde_json::from_str(text).ok().and_then(|rule| Ready::own(rule).ok());
        rule.map_or(0, |ready| ready.weight())
    };
    let rows = app.store.interceptors(owner, RULES_MAX).await?;
    let others = rows.iter().filter(|row| replaced.is_none_or(|id| row.public_id != id));
    let all = others.map(|row| weight(&row.rule)).sum::<usize>() + weight(rule);
    if all > WEIGHT_MAX {
        let message = "the expressions of all rules together are too large";
        return Err(ApiError::new(Code::Conflict, message).detail("limit", json!(WEIGHT_MAX)));
    }
    Ok(())
}

impl InterceptorOut {
    fn of(row: &InterceptorRow) -> Self {
        let rule: Rule = serde_json::from_str(&row.rule).unwrap_or_default();
        Self {
            id: id_of(Kind::Interceptor, &row.public_id),
            position: row.position,
            rule: RuleInOut::from(rule),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}

impl TrialOut {
    fn of(request: &SendRequest, outcome: Outcome) -> Self {
        let blocked = outcome.block;
        Self {
            matched: outcome.matched,
            blocked: blocked.map(|block| BlockedOut { rule: block.rule, reason: block.reason }),
            from: outcome.sender.or_else(|| request.from.clone()),
            route: outcome.route,
            tags: outcome.tags,
        }
    }
}
