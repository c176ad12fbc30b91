//! `/proxy/sessions`: two people who reach each other by a number of neither.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::address::Recipient;
use model::clock::At;
use model::emergency::redacted;
use model::id::{Kind, PublicId};
use model::masking::{LIFE, LIFE_MAX, ProxyChannel, ProxyStatus, SESSIONS_MAX, channels};
use model::refusal::{Code, Detail, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::ProxySessionRow;
use store::lane::{NewProxySession, ProxyDone};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeVoice, ReadVoice};
use super::body::{self, Field, Kind as Shape, Raw, wrong};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut, Fault};
use super::messages::id_of;
use super::page::{List, Page, Query};

/// What a test key is told.
const LIVE: &str = "a test key opens and closes no masking sessions: live calls go by them";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, open)).routes(routes!(show, close))
}

/// A session to open.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"party_a": "+14155550111", "party_b": "+14155550122",
    "channels": ["voice"]}))]
pub(crate) struct SessionIn {
    /// E.164.
    party_a: String,
    /// E.164, another than `party_a`.
    party_b: String,
    /// Of `voice` and `sms`; both when left out.
    channels: Option<Vec<String>>,
    /// ISO 8601, at most 90 days ahead; a day when left out.
    expires_at: Option<String>,
    /// `num_…`, a number of yours that is routed to `proxy`; one that neither of them knows when left
    /// out.
    proxy_number_id: Option<String>,
}

/// A masking session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionOut {
    #[schema(example = "prx_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// What both of them call.
    #[schema(example = "+14155550100")]
    proxy_number: String,
    #[schema(example = "+14155550111")]
    party_a: String,
    #[schema(example = "+14155550122")]
    party_b: String,
    #[schema(example = json!(["voice", "sms"]))]
    channels: Vec<&'static str>,
    /// `open`, `closed` or `expired`.
    status: &'static str,
    expires_at: String,
    /// Calls and messages that went by it.
    interactions_count: i64,
    created_at: String,
    ended_at: Option<String>,
}

const FIELDS: &[Field] = &[
    Field::required("party_a", Shape::Text),
    Field::required("party_b", Shape::Text),
    Field::optional("channels", Shape::List),
    Field::optional("expires_at", Shape::Text),
    Field::optional("proxy_number_id", Shape::Text),
];

/// Lists the sessions, newest first.
#[utoipa::path(
    get, path = "/proxy/sessions", operation_id = "list_proxy_sessions", tag = "proxy",
    params(
        ("status" = Option<String>, Query, description = "`open`, `closed` or `expired`"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<SessionOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let status = match query.get("status") {
        None => 0,
        Some(text) => match ProxyStatus::parse(text) {
            Some(status) => status.code(),
            None => return Err(ApiError::query("status", text, "open, closed or expired")),
        },
    };
    let page = Page::newest_first(&app, &caller, List::ProxySessions, &query)?;
    let now = caller.call.at();
    let of = (status, now.0);
    let rows = app.store.proxy_sessions(caller.organization, of, page.from, page.reads());
    let mut rows = rows.await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    caller.call.page(rows.iter().map(|row| SessionOut::of(row, now)).collect(), pagination)
}

/// Opens a session.
#[utoipa::path(
    post, path = "/proxy/sessions", operation_id = "open_proxy_session", tag = "proxy",
    request_body = SessionIn,
    responses(
        (status = 201, description = "Open", body = Envelope<SessionOut>),
        (status = 409, description = "No number is free for both of them", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn open(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let map = body::parse(&raw, FIELDS)?;
    let (organization, now) = (caller.organization, caller.call.at());
    let new = read(&app, &map, now)?;
    let id = PublicId::new(now);
    let new = NewProxySession { id, organization, ..new };
    let row = app.masks.open(new).await?.map_err(told)?;
    caller.call.answer(StatusCode::CREATED, SessionOut::of(&row, now))
}

/// Shows a session.
#[utoipa::path(
    get, path = "/proxy/sessions/{id}", operation_id = "get_proxy_session", tag = "proxy",
    params(("id" = String, Path, example = "prx_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The session", body = Envelope<SessionOut>),
        (status = 404, description = "There is no such session of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = PublicId::parse(Kind::ProxySession, &id).ok_or_else(unknown)?;
    let row = app.store.proxy_session(caller.organization, id).await?.ok_or_else(unknown)?;
    caller.call.answer(StatusCode::OK, SessionOut::of(&row, caller.call.at()))
}

/// Closes a session. A call that is there goes on to its end.
#[utoipa::path(
    delete, path = "/proxy/sessions/{id}", operation_id = "close_proxy_session", tag = "proxy",
    params(("id" = String, Path, example = "prx_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Closed"),
        (status = 404, description = "There is no such open session of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn close(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let id = PublicId::parse(Kind::ProxySession, &id).ok_or_else(unknown)?;
    app.masks.close(caller.organization, id).await?.map_err(told)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session that is asked for, without its id and its organization; or everything that is wrong.
fn read(app: &App, map: &Map<String, Value>, now: At) -> Result<NewProxySession, ApiError> {
    let mut faults = body::faults(map, FIELDS);
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    let mut party = |name: &'static str| -> Result<String, ApiError> {
        let Some(number) = text(name) else { return Ok(String::new()) };
        if app.phones.emergency().blocks(number) {
            let message = "calls to emergency services are not supported";
            let refusal = Refusal::new(Code::EmergencyCallingNotSupported, message).field(name);
            return Err(refusal.detail("destination", Detail::Text(redacted(number))).into());
        }
        if Recipient::parse(number).is_none() {
            let expected = "a phone number, as +14155550111";
            faults.push(wrong(name, json!(number)).expected(expected));
        }
        Ok(number.to_owned())
    };
    let (party_a, party_b) = (party("party_a")?, party("party_b")?);
    if !party_a.is_empty() && party_a == party_b {
        faults.push(wrong("party_b", json!(party_b)).expected("another number than party_a"));
    }
    for name in ["pool_id", "record"] {
        let said = map.get(name).filter(|value| !value.is_null() && **value != json!(false));
        if let Some(value) = said {
            faults.push(wrong(name, value.clone()).expected("left out: it is not built yet"));
        }
    }
    let set = set_of(map.get("channels"), &mut faults);
    let expires_at = expiry_of(text("expires_at"), now, &mut faults);
    let number = text("proxy_number_id").map(|text| PublicId::parse(Kind::Number, text));
    if number == Some(None) {
        let expected = "num_…, a number of yours that is routed to proxy";
        faults.push(wrong("proxy_number_id", map["proxy_number_id"].clone()).expected(expected));
    }
    if !faults.is_empty() {
        return Err(ApiError::faults(faults));
    }
    Ok(NewProxySession {
        id: PublicId::new(now),
        organization: model::carrier::OrgId(0),
        party_a,
        party_b,
        channels: set,
        expires_at,
        number: number.flatten(),
    })
}

fn set_of(given: Option<&Value>, faults: &mut Vec<Fault>) -> i64 {
    let Some(list) = given.and_then(Value::as_array) else {
        return ProxyChannel::ALL.iter().map(|channel| channel.code()).sum();
    };
    let set = list.iter().try_fold(0, |set, item| {
        item.as_str().and_then(ProxyChannel::parse).map(|channel| set | channel.code())
    });
    set.filter(|set| *set != 0).unwrap_or_else(|| {
        faults.push(wrong("channels", json!(list)).expected("some of voice, sms"));
        0
    })
}

fn expiry_of(text: Option<&str>, now: At, faults: &mut Vec<Fault>) -> At {
    let Some(text) = text else { return now.plus(LIFE) };
    let at = At::parse(text).filter(|at| *at > now && *at <= now.plus(LIFE_MAX));
    at.unwrap_or_else(|| {
        let expected = "an ISO 8601 moment, at most 90 days ahead";
        faults.push(wrong("expires_at", json!(text)).expected(expected));
        now
    })
}

fn told(done: ProxyDone) -> Refusal {
    match done {
        ProxyDone::Unknown => unknown(),
        ProxyDone::NoNumber => {
            let message = "there is no such number of yours that is routed to proxy";
            Refusal::new(Code::ValidationError, message).field("proxy_number_id")
        }
        ProxyDone::Exhausted => {
            let message = "every number that is routed to proxy is known to one of them";
            Refusal::new(Code::ProxyPoolExhausted, message)
        }
        ProxyDone::TooMany => {
            let refusal = Refusal::new(Code::Conflict, "as many sessions are open as may be");
            refusal.detail("limit", Detail::Number(SESSIONS_MAX))
        }
        ProxyDone::Stored => Refusal::new(Code::InternalError, "the change could not be stored"),
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such session, or it is not open")
}

impl SessionOut {
    fn of(row: &ProxySessionRow, now: At) -> Self {
        let status = ProxyStatus::from_code(row.status).unwrap_or(ProxyStatus::Closed);
        let over = status == ProxyStatus::Open && row.expires_at <= now.0;
        let ended_at = row.ended_at.or(over.then_some(row.expires_at));
        Self {
            id: id_of(Kind::ProxySession, &row.public_id),
            proxy_number: row.proxy_number.clone(),
            party_a: row.party_a.clone(),
            party_b: row.party_b.clone(),
            channels: channels(row.channels).map(ProxyChannel::as_str).collect(),
            status: if over { ProxyStatus::Expired } else { status }.as_str(),
            expires_at: At(row.expires_at).iso(),
            interactions_count: row.interactions,
            created_at: At(row.created_at).iso(),
            ended_at: ended_at.map(|at| At(at).iso()),
        }
    }
}
