//! `/numbers/{id}/routing`: where calls to a number go. The whole is put at once, and holds for the next
//! call; what is not known is refused, since a call would go elsewhere than was meant.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::OrgId;
use model::number::{Fallback, RingTarget, Routing, SipForward};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::NumberRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeNumbers, ReadNumbers};
use super::super::body::{self, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::{LIVE, find};

mod read;

use read::{Place, read};

/// Where calls go.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"type": "sip_forward",
    "config": {"mode": "inline", "sipUri": "sip:agent@pbx.example.com", "timeout": 30}}))]
pub(crate) struct NumberRoutingIn {
    /// `sip_forward`, `ring_group`, `forward`, `reject` or `proxy`; null: calls are not taken.
    r#type: Option<String>,
    /// By type. `sip_forward`: `mode` `inline` with `sipUri`, `sipUsername`, `sipPassword`, or `trunk`
    /// with `trunkId`; `headers` (`X-…`), `timeout`, `fallback` (a `type` of `forward` or `ring_group` and its
    /// `config`). `ring_group`: `targets` (`{type: "user", name}`,
    /// `{type: "phone", number}`, `{type: "sip", sipUri}`), `strategy`, `ring_seconds`. `forward`:
    /// `number`. `reject`: `status`. `proxy`: nothing. All: `record`, so that calls are recorded as far as the
    /// organization's recording settings and the law allow.
    #[schema(value_type = Option<Object>)]
    config: Option<Value>,
}

/// Where calls go; a password is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NumberRoutingOut {
    #[schema(example = "forward")]
    r#type: Option<String>,
    #[schema(value_type = Option<Object>, example = json!({"number": "+14155550123"}))]
    config: Option<Value>,
}

/// Shows where calls to a number go.
#[utoipa::path(
    get, path = "/numbers/{id}/routing", operation_id = "get_number_routing", tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "Where they go", body = Envelope<NumberRoutingOut>),
        (status = 404, description = "There is no such number of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadNumbers>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, NumberRoutingOut::of(&row))
}

/// Says where calls to a number go, from the next one on.
#[utoipa::path(
    put, path = "/numbers/{id}/routing", operation_id = "put_number_routing", tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = NumberRoutingIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<NumberRoutingOut>),
        (status = 404, description = "There is no such active number of yours", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeNumbers>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    let place = Place {
        own: &row.e164,
        emergency: app.phones.emergency(),
        may_lead_to: &|target| app.trunks.may_lead_to(target) && !app.phones.is_own(&target.host),
    };
    let asked = read(&body::parse(&raw, &[])?, &place)?;
    check_users(&app, caller.organization, asked.routing.as_ref()).await?;
    let row = app.numbers.route(&row, asked).await?;
    caller.call.answer(StatusCode::OK, NumberRoutingOut::of(&row))
}

/// The phones of a group are the organization's.
async fn check_users(
    app: &App,
    organization: OrgId,
    routing: Option<&Routing>,
) -> Result<(), ApiError> {
    let (group, place) = match routing {
        Some(Routing::RingGroup(group)) => (group, "config"),
        Some(Routing::SipForward(
            SipForward::Inline { fallback: Some(fallback), .. }
            | SipForward::Trunk { fallback: Some(fallback), .. },
        )) => match &**fallback {
            Fallback::RingGroup(group) => (group, "config.fallback.config"),
            Fallback::Forward { .. } => return Ok(()),
        },
        _ => return Ok(()),
    };
    for (at, target) in group.targets.iter().enumerate() {
        let RingTarget::User { name } = target else { continue };
        if app.store.own_sip_user(organization, name).await?.is_none() {
            let fault = Fault::new(Code::ValidationError, "there is no such SIP credential");
            let expected = "the extension or username of a SIP credential";
            let field = format!("{place}.targets[{at}].name");
            return Err(fault.field(field).value(json!(name)).expected(expected).into());
        }
    }
    Ok(())
}

impl NumberRoutingOut {
    fn of(row: &NumberRow) -> Self {
        let routing =
            row.routing.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let part = |name: &str| routing.as_ref().and_then(|routing| routing.get(name)).cloned();
        let kind = part("type").and_then(|kind| kind.as_str().map(str::to_owned));
        let mut config = part("config");
        if let Some(config) = config.as_mut().and_then(Value::as_object_mut)
            && row.record != 0
        {
            config.insert(String::from("record"), Value::Bool(true));
        }
        Self { r#type: kind, config }
    }
}
