//! `/compliance/policies`: which gates an organization has switched on.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::clock::At;
use model::policy::{Policy, PolicyFault};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::PolicyChange;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::super::body::{self, Field, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};

/// The whole policy: what is left out is as by default, and everything is off by default.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "quiet_hours": {"enabled": true, "policy": "defer",
        "windows": {"sms": {"start": "08:00", "end": "21:00"}},
        "countries": {"TR": {"start": "08:00", "end": "20:00"}},
        "presets": true, "exempt_categories": ["otp"]},
    "unknown_consent": {"sms": "refuse"},
    "dnc": {"enabled": true, "categories": ["marketing", "service"]},
    "rnd": {"enabled": false},
    "sender_ids": {"require_approved": true}}))]
pub(crate) struct PolicyIn {
    /// `enabled`; `policy`: `reject` or `defer`; `windows` by channel and `countries` by two
    /// letters, each `{start, end}` as `08:00`; `presets`: the customary hours of some countries;
    /// `exempt_categories`, else `otp`.
    #[schema(value_type = Option<Object>)]
    quiet_hours: Option<Value>,
    /// By channel: `allow`, or `refuse` whose consent is not recorded.
    #[schema(value_type = Option<Object>)]
    unknown_consent: Option<Value>,
    /// `enabled`; `categories`, else all but `otp`.
    #[schema(value_type = Option<Object>)]
    dnc: Option<Value>,
    /// `enabled`.
    #[schema(value_type = Option<Object>)]
    rnd: Option<Value>,
    /// `require_approved`.
    #[schema(value_type = Option<Object>)]
    sender_ids: Option<Value>,
}

/// The policy in force, with everything that was left out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyOut {
    #[schema(value_type = Object)]
    quiet_hours: Value,
    #[schema(value_type = Object)]
    unknown_consent: Value,
    #[schema(value_type = Object)]
    dnc: Value,
    #[schema(value_type = Object)]
    rnd: Value,
    #[schema(value_type = Object)]
    sender_ids: Value,
    /// Null until a policy was set.
    updated_at: Option<String>,
}

const FIELDS: &[Field] = &[
    Field::optional("quiet_hours", body::Kind::Object),
    Field::optional("unknown_consent", body::Kind::Object),
    Field::optional("dnc", body::Kind::Object),
    Field::optional("rnd", body::Kind::Object),
    Field::optional("sender_ids", body::Kind::Object),
];

/// Shows which send gates are on.
#[utoipa::path(
    get, path = "/compliance/policies", operation_id = "get_policies", tag = "compliance",
    responses(
        (status = 200, description = "The policy in force", body = Envelope<PolicyOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
) -> Result<Response, ApiError> {
    answer(&app, &caller).await
}

async fn answer<P>(app: &App, caller: &Caller<P>) -> Result<Response, ApiError> {
    let (policy, updated_at) = super::policy_of(app, caller.organization).await?;
    caller.call.answer(StatusCode::OK, PolicyOut::new(&policy, updated_at))
}

/// Replaces the whole policy; it holds for every send that is accepted after the answer.
#[utoipa::path(
    put, path = "/compliance/policies", operation_id = "put_policies", tag = "compliance",
    request_body = PolicyIn,
    responses(
        (status = 200, description = "The policy in force now", body = Envelope<PolicyOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let input: PolicyIn = body::parse(&body, FIELDS)?;
    let policy = Policy::read(&input.to_json()).map_err(told)?;
    let organization = caller.organization;
    super::change(&app, PolicyChange::Set { organization, policy: Box::new(policy) }).await?;
    answer(&app, &caller).await
}

fn told(faults: Vec<PolicyFault>) -> ApiError {
    let fault = |fault: PolicyFault| {
        let message = format!("the field `{}` is not valid", fault.path);
        let told = Fault::new(Code::ValidationError, message);
        told.field(fault.path).value(fault.value).expected(fault.expected)
    };
    ApiError::faults(faults.into_iter().map(fault).collect())
}

impl PolicyIn {
    fn to_json(&self) -> Value {
        json!({
            "quiet_hours": self.quiet_hours,
            "unknown_consent": self.unknown_consent,
            "dnc": self.dnc,
            "rnd": self.rnd,
            "sender_ids": self.sender_ids,
        })
    }
}

impl PolicyOut {
    fn new(policy: &Policy, updated_at: Option<At>) -> Self {
        let mut whole = policy.to_json();
        let mut section = |name: &str| whole[name].take();
        Self {
            quiet_hours: section("quiet_hours"),
            unknown_consent: section("unknown_consent"),
            dnc: section("dnc"),
            rnd: section("rnd"),
            sender_ids: section("sender_ids"),
            updated_at: updated_at.map(At::iso),
        }
    }
}
