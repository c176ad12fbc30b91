//! `/numbers`: what is in stock, what an organization has bought of it, and where calls to it go.

mod export;
mod input;
mod routing;
mod stock;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::clock::At;
use model::id::{Kind, PublicId};
use model::money::Micros;
use model::number::{NumberStatus, NumberType, Routing};
use serde::Serialize;
use serde_json::Value;
use store::{NumberFilter, NumberRow};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeNumbers, ReadNumbers};
use super::body::{self, Raw};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::{List, Page, Query};
use crate::numbers::unknown;

pub(crate) use input::PATCH_FIELDS;
use input::{AutoRenewIn, NumberPatch, PurchaseIn};
pub(crate) use stock::StockOut;

/// What a test key is told.
const LIVE: &str = "a test key buys, changes and gives back no numbers";

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stock::available))
        .routes(routes!(stock::countries))
        .routes(routes!(export::export))
        .routes(routes!(purchase))
        .routes(routes!(list, buy))
        .routes(routes!(show, update, release))
        .routes(routes!(auto_renew))
        .routes(routes!(routing::show, routing::replace))
}

/// A number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NumberOut {
    #[schema(example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "+14155550100")]
    e164: String,
    #[schema(example = "US")]
    country_code: String,
    #[schema(example = "415")]
    area_code: Option<String>,
    /// `active`; `suspended`: not paid for, and out of service; or `parked`: given back, and kept from
    /// others for a while.
    status: &'static str,
    /// `local`, `toll_free`, `mobile` or `short_code`.
    number_type: &'static str,
    #[schema(value_type = Vec<String>, example = json!(["sms", "voice"]))]
    capabilities: Value,
    /// Messages can be answered.
    sms_two_way: bool,
    #[schema(example = "Sales")]
    label: String,
    #[schema(value_type = Vec<String>)]
    tags: Value,
    /// Where calls go, of `forward`.
    forwarding_number: Option<String>,
    compliance_profile_id: Option<String>,
    /// Dollars a month.
    #[schema(example = "1.000000")]
    monthly_cost: String,
    currency: &'static str,
    #[schema(example = "manual")]
    provider: String,
    auto_renew: bool,
    /// Null: calls are not taken.
    #[schema(value_type = Option<Object>)]
    routing: Option<Routing>,
    /// Calls to it are recorded, as far as consent allows.
    record: bool,
    created_at: String,
    assigned_at: Option<String>,
    /// Until then it is paid; the next month is taken from the wallet then.
    next_billing_at: Option<String>,
    /// Since when the balance does not cover the next month.
    unpaid_since: Option<String>,
    /// Until then a parked number is kept from others.
    parked_until: Option<String>,
    updated_at: String,
}

/// Lists the numbers, newest first.
#[utoipa::path(
    get, path = "/numbers", operation_id = "list_numbers", tag = "numbers",
    params(
        ("status" = Option<String>, Query, description = "`active`, `suspended` or `parked`"),
        ("country_code" = Option<String>, Query, description = "ISO 3166"),
        ("search" = Option<String>, Query, description = "Part of the number or the label"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<NumberOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadNumbers>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let filter = filter_of(&query)?;
    let page = Page::newest_first(&app, &caller, List::Numbers, &query)?;
    let rows = app.store.numbers(caller.organization, &filter, page.from, page.reads());
    let mut rows = rows.await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    caller.call.page(rows.iter().map(NumberOut::of).collect(), pagination)
}

/// Buys a number of the stock. Its first month is taken from the wallet at once.
#[utoipa::path(
    post, path = "/numbers", operation_id = "buy_number", tag = "numbers",
    request_body = PurchaseIn,
    responses(
        (status = 201, description = "Bought", body = Envelope<NumberOut>),
        (status = 402, description = "The balance does not cover the first month", body = ErrorOut),
        (status = 409, description = "Nobody can buy it", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn buy(
    State(app): State<App>,
    caller: Caller<ChangeNumbers>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let asked = input::read_purchase(&body::parse(&raw, input::PURCHASE_FIELDS)?)?;
    let purchase = stock::found(&app, asked).await?;
    let row = app.numbers.buy(caller.organization, purchase).await?;
    caller.call.answer(StatusCode::CREATED, NumberOut::of(&row))
}

/// The same by its other name.
#[utoipa::path(
    post, path = "/numbers/purchase", operation_id = "purchase_number", tag = "numbers",
    request_body = PurchaseIn,
    responses(
        (status = 201, description = "Bought", body = Envelope<NumberOut>),
        (status = 402, description = "The balance does not cover the first month", body = ErrorOut),
        (status = 409, description = "Nobody can buy it", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn purchase(
    app: State<App>,
    caller: Caller<ChangeNumbers>,
    raw: Raw,
) -> Result<Response, ApiError> {
    buy(app, caller, raw).await
}

/// Shows a number.
#[utoipa::path(
    get, path = "/numbers/{id}", operation_id = "get_number", tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The number", body = Envelope<NumberOut>),
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
    caller.call.answer(StatusCode::OK, NumberOut::of(&row))
}

/// Changes what is given.
#[utoipa::path(
    patch, path = "/numbers/{id}", operation_id = "update_number", tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = NumberPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<NumberOut>),
        (status = 404, description = "There is no such active number of yours", body = ErrorOut),
        (status = 409, description = "Somebody changed it meanwhile", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeNumbers>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    let settings = input::lay(&body::parse(&raw, PATCH_FIELDS)?, &row)?;
    let row = app.numbers.update(&row, settings).await?;
    caller.call.answer(StatusCode::OK, NumberOut::of(&row))
}

/// Gives a number back. Calls to it are not taken from now on; after a while others can buy it. What
/// is paid of the month is not paid back.
#[utoipa::path(
    delete, path = "/numbers/{id}", operation_id = "release_number", tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Parked"),
        (status = 404, description = "There is no such active number of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller<ChangeNumbers>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    app.numbers.park(&row).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Says whether another month is paid when one is over. Without that the number is given back then.
#[utoipa::path(
    patch, path = "/numbers/{id}/auto-renew", operation_id = "set_number_auto_renew",
    tag = "numbers",
    params(("id" = String, Path, example = "num_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = AutoRenewIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<NumberOut>),
        (status = 404, description = "There is no such active number of yours", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn auto_renew(
    State(app): State<App>,
    caller: Caller<ChangeNumbers>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live(LIVE)?;
    let row = find(&app, &caller, &id).await?;
    let wanted = input::read_auto_renew(&body::parse(&raw, input::AUTO_RENEW_FIELDS)?)?;
    let row = app.numbers.auto_renew(&row, wanted).await?;
    caller.call.answer(StatusCode::OK, NumberOut::of(&row))
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<NumberRow, ApiError> {
    let id = PublicId::parse(Kind::Number, id).ok_or_else(unknown)?;
    let row = app.store.number(caller.organization, id).await?;
    Ok(row.ok_or_else(unknown)?)
}

/// Which numbers a list or an export asks for.
fn filter_of(query: &Query) -> Result<NumberFilter, ApiError> {
    let status = match query.get("status") {
        None | Some("" | "all") => 0,
        Some(text) => match NumberStatus::parse(text).filter(|s| *s != NumberStatus::Stock) {
            Some(status) => status.code(),
            None => return Err(ApiError::query("status", text, "active, suspended or parked")),
        },
    };
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(NumberFilter { status, country: text("country_code"), search: text("search") })
}

impl NumberOut {
    pub(crate) fn of(row: &NumberRow) -> Self {
        let list = |text: &str| serde_json::from_str(text).unwrap_or(Value::Array(Vec::new()));
        let routing = row.routing.as_deref().and_then(Routing::parse);
        let forwarding_number = match &routing {
            Some(Routing::Forward { number }) => Some(number.clone()),
            _ => None,
        };
        Self {
            id: id_of(Kind::Number, &row.public_id),
            e164: row.e164.clone(),
            country_code: row.country_code.clone(),
            area_code: row.area_code.clone(),
            status: NumberStatus::from_code(row.status).map_or("parked", NumberStatus::as_str),
            number_type: type_of(row.number_type),
            capabilities: list(&row.capabilities),
            sms_two_way: row.sms_two_way != 0,
            label: row.label.clone(),
            tags: list(&row.tags),
            forwarding_number,
            compliance_profile_id: row.compliance_profile_id.clone(),
            monthly_cost: Micros(row.monthly_cost).to_string(),
            currency: "USD",
            provider: row.provider.clone(),
            auto_renew: row.auto_renew != 0,
            routing,
            record: row.record != 0,
            created_at: At(row.created_at).iso(),
            assigned_at: row.assigned_at.map(|at| At(at).iso()),
            next_billing_at: row.next_billing_at.map(|at| At(at).iso()),
            unpaid_since: row.unpaid_since.map(|at| At(at).iso()),
            parked_until: row.parked_until.map(|at| At(at).iso()),
            updated_at: At(row.updated_at).iso(),
        }
    }
}

fn type_of(code: i64) -> &'static str {
    NumberType::from_code(code).map_or("local", NumberType::as_str)
}
