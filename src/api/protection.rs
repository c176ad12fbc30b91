//! `/compliance/protection`: what guards an organization against fraud with its own account. The
//! operator's settings hold until the organization sets its own.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::OrgId;
use model::clock::At;
use model::country::is_country;
use model::money::Micros;
use model::protection::{Overrides, Protection};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::lane::Admin;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeCompliance, ReadCompliance};
use super::body::{self, Field, Kind, Raw, wrong};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut, Fault};
use crate::settings::{MICROS_MAX, VELOCITY_MAX, is_prefix};

/// Entries of one list.
const ENTRIES_MAX: usize = 300;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, replace))
}

/// What an organization sets for itself. What is null or left out is the operator's; zero and an
/// empty list are no bound.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({"allowed_countries": ["US", "CA"], "daily_spend_micros": 50_000_000}))]
pub(crate) struct ProtectionIn {
    /// ISO 3166 codes in capitals; empty: every country.
    allowed_countries: Option<Vec<String>>,
    /// Digits without `+`.
    blocked_prefixes: Option<Vec<String>>,
    /// Of a day in UTC, in millionths of a dollar.
    #[schema(minimum = 0)]
    daily_spend_micros: Option<i64>,
    /// Messages a minute to one range of numbers: a calling code and three digits.
    #[schema(minimum = 0, maximum = 10_000_000)]
    velocity_per_minute: Option<i64>,
    /// The same of category `otp`.
    #[schema(minimum = 0, maximum = 10_000_000)]
    otp_velocity_per_minute: Option<i64>,
    /// Below this the event `wallet.low` is told.
    #[schema(minimum = 0)]
    balance_low_micros: Option<i64>,
}

/// What guards an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProtectionOut {
    /// What holds.
    effective: RulesOut,
    /// What of it the organization has set; null: the operator's holds.
    own: ProtectionIn,
    /// Spent since midnight UTC, in millionths; counted while there is a limit.
    spent_today_micros: i64,
}

/// Zero and an empty list are no bound.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulesOut {
    allowed_countries: Vec<String>,
    #[schema(example = json!(["881", "979"]))]
    blocked_prefixes: Vec<String>,
    daily_spend_micros: i64,
    velocity_per_minute: i64,
    #[schema(example = 600)]
    otp_velocity_per_minute: i64,
    #[schema(example = 1_000_000)]
    balance_low_micros: i64,
}

const FIELDS: &[Field] = &[
    Field::optional("allowed_countries", Kind::List),
    Field::optional("blocked_prefixes", Kind::List),
    Field::optional("daily_spend_micros", Kind::Whole),
    Field::optional("velocity_per_minute", Kind::Whole),
    Field::optional("otp_velocity_per_minute", Kind::Whole),
    Field::optional("balance_low_micros", Kind::Whole),
];

/// Shows what guards the organization.
#[utoipa::path(
    get, path = "/compliance/protection", operation_id = "get_protection", tag = "protection",
    responses(
        (status = 200, description = "What holds, and whose it is", body = Envelope<ProtectionOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
) -> Result<Response, ApiError> {
    let out = look(&app, caller.organization, caller.call.at()).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Replaces all that the organization has set; an empty object takes it back.
#[utoipa::path(
    put, path = "/compliance/protection", operation_id = "put_protection", tag = "protection",
    request_body = ProtectionIn,
    responses(
        (status = 200, description = "What holds now", body = Envelope<ProtectionOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let (organization, own) = (caller.organization, ProtectionIn::parse(&raw)?);
    app.writer.administer(Admin::Protect { organization, own: own.clone() }).await?;
    app.admission.guard().set(organization, &own);
    caller.call.answer(StatusCode::OK, look(&app, organization, caller.call.at()).await?)
}

async fn look(app: &App, organization: OrgId, now: At) -> Result<ProtectionOut, ApiError> {
    let own = app.store.protection(organization).await?;
    let spent = app.store.spent_on(organization, now).await?;
    Ok(ProtectionOut {
        effective: RulesOut::from(&*app.admission.guard().protection(organization)),
        own: ProtectionIn::from(own),
        spent_today_micros: spent.0,
    })
}

impl ProtectionIn {
    fn parse(raw: &[u8]) -> Result<Overrides, ApiError> {
        let own: Self = body::parse(raw, FIELDS)?;
        let mut faults = Vec::new();
        let countries = own.allowed_countries.as_deref();
        check_list("allowed_countries", countries, is_country, "US, DE and the like", &mut faults);
        let prefixes = own.blocked_prefixes.as_deref();
        check_list("blocked_prefixes", prefixes, is_prefix, "1 to 15 digits each", &mut faults);
        for (field, value, most) in [
            ("daily_spend_micros", own.daily_spend_micros, MICROS_MAX),
            ("velocity_per_minute", own.velocity_per_minute, VELOCITY_MAX),
            ("otp_velocity_per_minute", own.otp_velocity_per_minute, VELOCITY_MAX),
            ("balance_low_micros", own.balance_low_micros, MICROS_MAX),
        ] {
            if let Some(value) = value.filter(|value| !(0..=most).contains(value)) {
                faults.push(wrong(field, json!(value)).expected(format!("0 to {most}")));
            }
        }
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(Overrides {
            allowed_countries: own.allowed_countries,
            blocked_prefixes: own.blocked_prefixes,
            daily_spend: own.daily_spend_micros.map(Micros),
            velocity: own.velocity_per_minute,
            otp_velocity: own.otp_velocity_per_minute,
            balance_low: own.balance_low_micros.map(Micros),
        })
    }
}

fn check_list(
    field: &'static str,
    list: Option<&[String]>,
    fits: fn(&str) -> bool,
    expected: &str,
    faults: &mut Vec<Fault>,
) {
    let list = list.unwrap_or_default();
    let bad = list.iter().find(|entry| !fits(entry));
    if list.len() > ENTRIES_MAX || bad.is_some() {
        let value = bad.map_or(json!(list.len()), |entry| json!(entry));
        let expected = format!("at most {ENTRIES_MAX} entries: {expected}");
        faults.push(wrong(field, value).expected(expected));
    }
}

impl From<Overrides> for ProtectionIn {
    fn from(own: Overrides) -> Self {
        Self {
            allowed_countries: own.allowed_countries,
            blocked_prefixes: own.blocked_prefixes,
            daily_spend_micros: own.daily_spend.map(|micros| micros.0),
            velocity_per_minute: own.velocity,
            otp_velocity_per_minute: own.otp_velocity,
            balance_low_micros: own.balance_low.map(|micros| micros.0),
        }
    }
}

impl From<&Protection> for RulesOut {
    fn from(rules: &Protection) -> Self {
        Self {
            allowed_countries: rules.allowed_countries.clone(),
            blocked_prefixes: rules.blocked_prefixes.clone(),
            daily_spend_micros: rules.daily_spend.0,
            velocity_per_minute: rules.velocity,
            otp_velocity_per_minute: rules.otp_velocity,
            balance_low_micros: rules.balance_low.0,
        }
    }
}
