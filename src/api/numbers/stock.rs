//! `/numbers/available`: what can be bought.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::address::Recipient;
use model::country::is_country;
use model::id::Kind;
use model::money::Micros;
use model::number::{CAPABILITIES, NumberType};
use model::refusal::{Code, Refusal};
use serde::Serialize;
use serde_json::Value;
use store::{StockFilter, StockRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadNumbers};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::super::page::Query;
use super::input::AskedPurchase;
use crate::numbers::Purchase;

const LIMIT: i64 = 100;
const LIMIT_MAX: i64 = 500;
/// Countries and types listed.
const COUNTS_MAX: i64 = 1_000;

/// A number that can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockOut {
    #[schema(example = "did_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "+14155550100")]
    phone_number: String,
    /// The same by its older name.
    number: String,
    country: String,
    /// `local`, `toll_free`, `mobile` or `short_code`.
    r#type: &'static str,
    #[schema(value_type = Vec<String>, example = json!(["sms", "voice"]))]
    capabilities: Value,
    /// Messages can be answered.
    #[serde(rename = "sms_two_way")]
    sms_two_way: bool,
    /// Dollars a month.
    #[schema(example = 1.0)]
    monthly_rate: f64,
    /// The same, exact.
    #[serde(rename = "monthly_cost")]
    #[schema(example = "1.000000")]
    monthly_cost: String,
    currency: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AvailableOut {
    numbers: Vec<StockOut>,
}

/// How much of a country can be bought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NumberCountryOut {
    #[schema(example = "US")]
    country: String,
    r#type: &'static str,
    #[schema(example = 120)]
    numbers: i64,
}

/// Searches what can be bought.
#[utoipa::path(
    get, path = "/numbers/available", operation_id = "search_numbers", tag = "numbers",
    params(
        ("country" = String, Query, description = "ISO 3166"),
        ("type" = Option<String>, Query,
            description = "`local`, `toll_free`, `mobile` or `short_code`"),
        ("capabilities" = Option<String>, Query, description = "Such as `sms,voice`: all of them"),
        ("area_code" = Option<String>, Query),
        ("contains" = Option<String>, Query, description = "Digits anywhere in the number"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 when left out"),
    ),
    responses(
        (status = 200, description = "By number", body = Envelope<AvailableOut>),
        (status = 400, description = "The query is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn available(
    State(app): State<App>,
    caller: Caller<ReadNumbers>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let limit = match query.get("limit") {
        None => LIMIT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| ApiError::query("limit", text, "1 to 500"))?,
    };
    let rows = app.store.stock(&filter_of(&query)?, "", limit).await?;
    let numbers = rows.iter().map(StockOut::of).collect();
    caller.call.answer(StatusCode::OK, AvailableOut { numbers })
}

/// Lists the countries of which numbers can be bought.
#[utoipa::path(
    get, path = "/numbers/available/countries", operation_id = "list_number_countries",
    tag = "numbers",
    responses(
        (status = 200, description = "By country and type", body = Envelope<Vec<NumberCountryOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn countries(
    State(app): State<App>,
    caller: Caller<ReadNumbers>,
) -> Result<Response, ApiError> {
    let rows = app.store.stock_counts(COUNTS_MAX).await?;
    let counts = rows.into_iter().map(|row| NumberCountryOut {
        country: row.country_code,
        r#type: super::type_of(row.number_type),
        numbers: row.numbers,
    });
    caller.call.answer(StatusCode::OK, counts.collect::<Vec<_>>())
}

/// The number that a purchase is about: the one it names, or the first that fits.
pub(super) async fn found(app: &App, asked: AskedPurchase) -> Result<Purchase, ApiError> {
    let AskedPurchase { e164, filter, label, compliance_profile_id } = asked;
    let e164 = match e164 {
        Some(e164) => e164,
        None => {
            let rows = app.store.stock(&filter, "", 1).await?;
            let none = || {
                let message = "no number in stock fits";
                Refusal::new(Code::NumberNotAvailable, message)
            };
            rows.into_iter().next().ok_or_else(none)?.e164
        }
    };
    Ok(Purchase { e164, label, compliance_profile_id })
}

fn filter_of(query: &Query) -> Result<StockFilter, ApiError> {
    let country = query.get("country").unwrap_or_default();
    if !is_country(country) {
        let expected = "an ISO 3166 code of two capital letters";
        return Err(ApiError::query("country", country, expected));
    }
    let number_type = match query.get("type") {
        None => 0,
        Some(text) => match NumberType::read(text) {
            Some(number_type) => number_type.code(),
            None => {
                let expected = "local, toll_free, mobile or short_code";
                return Err(ApiError::query("type", text, expected));
            }
        },
    };
    let mut capabilities = Vec::new();
    for text in query.get("capabilities").unwrap_or_default().split(',').map(str::trim) {
        match CAPABILITIES.iter().find(|known| **known == text) {
            Some(known) if capabilities.iter().all(|c| c != known) => {
                capabilities.push((*known).to_owned());
            }
            Some(_) => {}
            None if text.is_empty() => {}
            None => {
                let expected = "sms, voice, mms, whatsapp and rcs, with commas between them";
                return Err(ApiError::query("capabilities", text, expected));
            }
        }
    }
    let digits = |name: &'static str| match query.get(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) if text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(Some(text.to_owned()))
        }
        Some(text) => Err(ApiError::query(name, text, "digits")),
    };
    let (area_code, contains) = (digits("area_code")?, digits("contains")?);
    let country = country.to_owned();
    Ok(StockFilter { country, number_type, capabilities, area_code, contains })
}

/// A number that can be anybody's.
pub(super) fn is_number(text: &str) -> bool {
    let short = (3..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    short || Recipient::parse(text).is_some()
}

impl StockOut {
    pub(crate) fn of(row: &StockRow) -> Self {
        let capabilities = serde_json::from_str(&row.capabilities);
        #[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 micros")]
        let monthly_rate = row.monthly_cost as f64 / 1e6;
        Self {
            id: id_of(Kind::Did, &row.public_id),
            phone_number: row.e164.clone(),
            number: row.e164.clone(),
            country: row.country_code.clone(),
            r#type: super::type_of(row.number_type),
            capabilities: capabilities.unwrap_or_else(|_| Value::Array(Vec::new())),
            sms_two_way: row.sms_two_way != 0,
            monthly_rate,
            monthly_cost: Micros(row.monthly_cost).to_string(),
            currency: "USD",
        }
    }
}
