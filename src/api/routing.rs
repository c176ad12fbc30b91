//! `/messaging/routing`: an organization's own rules, and where a message would go.

use actors::traffic::router::Asked;
use actors::traffic::router::simulate::{Seen, Simulation};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::address::{Recipient, SenderKind};
use model::carrier::OrgId;
use model::clock::At;
use model::country::country_of;
use model::message::Category;
use model::refusal::Code;
use model::routing::{RULES_MAX, Rule};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::Admin;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeSmpp, ReadSmpp};
use super::body::{self, Field, Kind, Raw, wrong};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut, Fault};
use super::pools;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, replace)).routes(routes!(simulate))
}

/// One rule: what it is for, and which carriers take that. A list that is left out or empty holds
/// every message.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoutingRuleIn {
    /// ISO 3166, of the recipient.
    #[schema(example = json!(["US", "CA"]))]
    countries: Vec<String>,
    /// Networks as MCC and MNC, or whole countries as MCC.
    #[schema(example = json!(["310260"]))]
    mccmnc: Vec<String>,
    /// Digits that recipients begin with, without `+`.
    #[schema(example = json!(["1415"]))]
    prefixes: Vec<String>,
    /// Of `alphanumeric`, `international` and `short_code`.
    #[schema(example = json!(["alphanumeric"]))]
    sender_types: Vec<String>,
    /// Of `transactional`, `otp`, `service` and `marketing`.
    #[schema(example = json!(["otp"]))]
    categories: Vec<String>,
    /// 1 to 20 names of carriers, your own or the platform's: the only ones for what matches.
    #[schema(example = json!(["upstream"]))]
    carriers: Vec<String>,
    /// `priority` (as listed), `cost`, `quality` or `weighted`.
    #[schema(example = "priority")]
    strategy: String,
}

/// All rules, in order: the first that matches a message decides.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoutingIn {
    /// At most 100; empty: the switch's own order.
    rules: Vec<RoutingRuleIn>,
}

/// An organization's rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoutingOut {
    #[schema(value_type = Vec<RoutingRuleIn>)]
    rules: Vec<Rule>,
    /// Null: never set.
    updated_at: Option<String>,
}

/// A message to try out.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SimulateIn {
    #[schema(example = "+14155550123")]
    to: String,
    /// Left out: the carrier's default, or the switch's.
    from: Option<String>,
    /// A sender pool, in the place of `from`: its carriers, and the first of its senders that covers
    /// the country.
    sender_pool_id: Option<String>,
    /// `transactional` when left out.
    #[schema(example = "otp")]
    category: Option<String>,
    /// A moment whose prices and networks hold; now when left out.
    #[schema(example = "2026-01-01T12:00:00Z")]
    at: Option<String>,
}

/// Where it would go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimulationOut {
    /// Null: no carrier takes it.
    carrier: Option<String>,
    /// `organization_carrier_prefix`, `organization_carrier_default`, `platform_carrier_prefix`,
    /// `platform_carrier_default` or `organization_rule`.
    reason: Option<&'static str>,
    /// What told it from the others: `only`, `health`, `order`, `prefix`, `priority`, `cost`,
    /// `quality`, `weight` or `sticky`.
    by: Option<&'static str>,
    /// Carriers it would be tried at next, if it certainly was not accepted.
    alternates: Vec<String>,
    /// The rule of yours that decides, counted from 0.
    rule: Option<usize>,
    #[schema(example = "US")]
    country: Option<&'static str>,
    #[schema(example = "310260")]
    mccmnc: Option<String>,
    /// Who says so: `numbering_plan` or `portability`.
    mccmnc_source: &'static str,
    /// Your own carriers and the platform's, and what became of each.
    candidates: Vec<CandidateOut>,
}

/// One carrier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandidateOut {
    carrier: String,
    /// `organization` or `platform`.
    scope: &'static str,
    /// `chosen`, `alternate`, `behind`, `behind_own_carriers`, `not_in_rule`, `not_in_pool`,
    /// `disabled`, `not_covered` or `sender_type`.
    verdict: &'static str,
    /// `fine`, `circuit_open`, `circuit_half_open`, `unbound` or `paused`.
    state: &'static str,
}

/// Shows the organization's rules.
#[utoipa::path(
    get, path = "/messaging/routing", operation_id = "get_routing", tag = "routing",
    responses(
        (status = 200, description = "The rules", body = Envelope<RoutingOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
) -> Result<Response, ApiError> {
    let out = look(&app, caller.organization).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Replaces all rules; they hold at once.
#[utoipa::path(
    put, path = "/messaging/routing", operation_id = "put_routing", tag = "routing",
    request_body = RoutingIn,
    responses(
        (status = 200, description = "The rules as they are now", body = Envelope<RoutingOut>),
        (status = 422, description = "A rule is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let organization = caller.organization;
    caller.live("a test key changes nothing of live routing")?;
    let rules = parse(&app, organization, &raw)?;
    let text = serde_json::to_string(&rules).map_err(|_| ApiError::internal())?;
    let out = in_turn(app, organization, rules, text).await?;
    caller.call.answer(StatusCode::OK, out)
}

/// Tells where a live message would go now, and why no carrier else. Nothing is sent or counted.
#[utoipa::path(
    post, path = "/messaging/routing/simulate", operation_id = "simulate_routing", tag = "routing",
    request_body = SimulateIn,
    responses(
        (status = 200, description = "Where it would go", body = Envelope<SimulationOut>),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn simulate(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: SimulateIn = body::parse(&raw, SIMULATE_FIELDS)?;
    let now = caller.call.at();
    app.admission.router().learn(&input.to, now).await;
    let told = simulated(&app, caller.organization, &input, now)?;
    caller.call.answer(StatusCode::OK, told)
}

const FIELDS: &[Field] = &[Field::required("rules", Kind::List)];

const SIMULATE_FIELDS: &[Field] = &[
    Field::required("to", Kind::Text),
    Field::optional("from", Kind::Text),
    Field::optional("sender_pool_id", Kind::Text),
    Field::optional("category", Kind::Text),
    Field::optional("at", Kind::Text),
];

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Value>,
}

/// The rules of a body, or everything that is wrong with them.
fn parse(app: &App, organization: OrgId, raw: &[u8]) -> Result<Vec<Rule>, ApiError> {
    let Rules { rules: given } = body::parse(raw, FIELDS)?;
    if given.len() > RULES_MAX {
        let fault = Fault::new(Code::ValidationError, "there are too many rules");
        return Err(fault.field("rules").expected("at most 100").into());
    }
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for (at, value) in given.into_iter().enumerate() {
        let rule: Rule = match serde_json::from_value(value) {
            Ok(rule) => rule,
            Err(error) => {
                let fault =
                    Fault::new(Code::ValidationError, format!("the rule is not valid: {error}"));
                faults.push(fault.field(format!("rules[{at}]")));
                continue;
            }
        };
        for bad in rule.faults(at) {
            let entry = bad.entry.map_or(String::new(), |entry| format!("[{entry}]"));
            let field = format!("rules[{at}].{}{entry}", bad.list);
            let fault = Fault::new(Code::ValidationError, "an entry of the rule is not valid");
            faults.push(fault.field(field).expected(bad.expected));
        }
        for (entry, name) in rule.carriers.iter().enumerate() {
            if !app.admission.router().knows(organization, name) {
                let field = format!("rules[{at}].carriers[{entry}]");
                let fault = Fault::new(Code::ValidationError, "there is no such carrier");
                let expected = "a carrier of the organization or of the platform";
                faults.push(fault.field(field).value(json!(name)).expected(expected));
            }
        }
        rules.push(rule);
    }
    if faults.is_empty() { Ok(rules) } else { Err(ApiError::faults(faults)) }
}

fn simulated(
    app: &App,
    organization: OrgId,
    input: &SimulateIn,
    now: At,
) -> Result<SimulationOut, ApiError> {
    let mut faults = Vec::new();
    if Recipient::parse(&input.to).is_none() {
        let fault = Fault::new(Code::InvalidPhoneNumber, "the recipient is not a phone number");
        faults.push(fault.field("to").expected("E.164, as in +14155550123"));
    }
    let kind = input.from.as_deref().map(SenderKind::of);
    if kind == Some(None) {
        let fault = Fault::new(Code::InvalidSender, "the sender is not one that can be used");
        faults.push(fault.field("from"));
    }
    let at = input.at.as_deref().map(At::parse);
    if at == Some(None) {
        let fault = wrong("at", json!(input.at));
        faults.push(fault.expected("a moment as in 2026-01-01T12:00:00Z"));
    }
    let category = input.category.as_deref().map(Category::parse);
    if category == Some(None) {
        let fault = wrong("category", json!(input.category));
        faults.push(fault.expected("transactional, otp, service or marketing"));
    }
    if !faults.is_empty() {
        return Err(ApiError::faults(faults));
    }
    let (from, pool) = (input.from.as_deref(), input.sender_pool_id.as_deref());
    let pool = pools::asked(app, organization, from, pool)?;
    let pool = pool.and_then(|id| app.admission.router().pool(organization, id));
    let country = country_of(&input.to);
    let sender = match &pool {
        Some(pool) => {
            let sender = pool.senders.iter().find(|sender| sender.covers(country));
            Some(sender.ok_or_else(|| model::pool::uncovered(pool.public_id, country))?)
        }
        None => None,
    };
    let asked = Asked {
        organization,
        to: &input.to,
        from: sender.map_or(from.unwrap_or_default(), |sender| &sender.value),
        kind: sender.map_or(kind.flatten(), |sender| Some(sender.kind)),
        category: category.flatten().unwrap_or(Category::Transactional),
        submitted: None,
        pool: pool.as_ref().map(|pool| pool.id),
        tried: &[],
        now: at.flatten().unwrap_or(now),
    };
    Ok(SimulationOut::from(app.admission.router().simulate(&asked)))
}

/// Stores the rules and takes them up, one change after the other; also when the caller leaves.
async fn in_turn(
    app: App,
    organization: OrgId,
    rules: Vec<Rule>,
    text: String,
) -> Result<RoutingOut, ApiError> {
    let change = async move {
        let _turn = app.rules_changing.lock().await;
        app.writer.administer(Admin::Route { organization, rules: text }).await?;
        app.admission.router().set_rules(organization, rules);
        look(&app, organization).await
    };
    tokio::spawn(change).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

async fn look(app: &App, organization: OrgId) -> Result<RoutingOut, ApiError> {
    let row = app.store.routing(organization).await?;
    let updated_at = row.as_ref().map(|row| At(row.updated_at).iso());
    Ok(RoutingOut { rules: row.map(|row| row.parsed()).unwrap_or_default(), updated_at })
}

impl From<Simulation> for SimulationOut {
    fn from(told: Simulation) -> Self {
        let name = |id| {
            let seen = told.candidates.iter().find(|seen: &&Seen| seen.id == id);
            seen.map(|seen| seen.name.to_string())
        };
        let mut ways = told.ways.iter().filter_map(|id| name(*id));
        Self {
            carrier: ways.next(),
            alternates: ways.collect(),
            reason: told.note.map(|note| note.reason),
            by: told.note.map(|note| note.by.as_str()),
            rule: told.rule,
            country: told.country,
            mccmnc: told.mccmnc.clone(),
            mccmnc_source: told.network.as_str(),
            candidates: told.candidates.iter().map(CandidateOut::from).collect(),
        }
    }
}

impl From<&Seen> for CandidateOut {
    fn from(seen: &Seen) -> Self {
        Self {
            carrier: seen.name.to_string(),
            scope: if seen.own { "organization" } else { "platform" },
            verdict: seen.verdict.as_str(),
            state: seen.standing.as_str(),
        }
    }
}
