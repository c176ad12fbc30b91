//! Phone numbers at the operator's desk: put in stock, taken out of it, and whose they are.

use model::address::Recipient;
use model::clock::At;
use model::country::{country_of, is_country};
use model::id::{Kind, PublicId};
use model::money::Micros;
use model::number::{CAPABILITIES, MANUAL, NumberStatus, NumberType, area_code};
use model::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::lane::NewNumber;
use store::{NumberFilter, StockFilter};

use super::desk::{Desk, PAGE, away, id_text, invalid};
use crate::api::NumberStockOut;

/// Numbers put in stock at once.
const STOCKED_MAX: usize = 10_000;

/// What is asked of numbers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum NumberRequest {
    /// Puts numbers in stock; those that are known stay as they are.
    Add(NumbersToAdd),
    /// How much is in stock, or what of a country.
    Stock { country: Option<String> },
    /// Takes numbers that nobody has out of stock.
    Withdraw { numbers: Vec<String> },
    /// An organization's.
    List { organization_id: String },
}

/// Numbers to put in stock, all alike.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct NumbersToAdd {
    pub numbers: Vec<String>,
    /// None: by the number.
    pub country: Option<String>,
    pub kind: String,
    pub capabilities: Vec<String>,
    pub sms_two_way: bool,
    /// Dollars, as decimal text.
    pub monthly_usd: String,
}

pub(super) async fn answer(desk: &Desk, request: NumberRequest) -> Result<Value, Refusal> {
    match request {
        NumberRequest::Add(asked) => {
            let numbers = read(&asked)?;
            let asked = numbers.len();
            let added = desk.numbers()?.stock(numbers).await?;
            Ok(json!({ "asked": asked, "added": added }))
        }
        NumberRequest::Stock { country: None } => {
            let counts = desk.store.stock_counts(PAGE).await.map_err(away)?;
            let shown = counts.into_iter().map(|row| {
                json!({
                    "country": row.country_code,
                    "type": NumberType::from_code(row.number_type).map(NumberType::as_str),
                    "numbers": row.numbers,
                })
            });
            Ok(shown.collect())
        }
        NumberRequest::Stock { country: Some(country) } => {
            let filter = StockFilter { country, ..StockFilter::default() };
            let rows = desk.store.stock(&filter, "", PAGE).await.map_err(away)?;
            Ok(rows.iter().map(|row| json!(NumberStockOut::of(row))).collect())
        }
        NumberRequest::Withdraw { numbers } => {
            for number in &numbers {
                desk.numbers()?.withdraw(number).await?;
            }
            Ok(json!({ "withdrawn": numbers.len() }))
        }
        NumberRequest::List { organization_id } => {
            let organization = desk.organization(&organization_id).await?;
            let filter = NumberFilter::default();
            let rows = desk.store.numbers(organization, &filter, i64::MAX, PAGE).await;
            let shown = rows.map_err(away)?.into_iter().map(|row| {
                let routing: Option<Value> =
                    row.routing.as_deref().and_then(|text| serde_json::from_str(text).ok());
                json!({
                    "id": id_text(&row.public_id, Kind::Number),
                    "e164": row.e164,
                    "status": NumberStatus::from_code(row.status).map(NumberStatus::as_str),
                    "label": row.label,
                    "monthly_cost": Micros(row.monthly_cost).to_string(),
                    "routing": routing.and_then(|routing| routing.get("type").cloned()),
                    "auto_renew": row.auto_renew != 0,
                    "next_billing_at": row.next_billing_at.map(|at| At(at).iso()),
                    "unpaid_since": row.unpaid_since.map(|at| At(at).iso()),
                })
            });
            Ok(shown.collect())
        }
    }
}

fn read(asked: &NumbersToAdd) -> Result<Vec<NewNumber>, Refusal> {
    let number_type = NumberType::read(&asked.kind)
        .ok_or_else(|| invalid("type", "local, toll_free, mobile or short_code"))?;
    let monthly_cost = Micros::parse_usd(&asked.monthly_usd)
        .filter(|cost| *cost <= Micros::TOP_UP_MAX)
        .ok_or_else(|| invalid("monthly_usd", "dollars, with at most six decimals"))?;
    let known = |text: &String| CAPABILITIES.contains(&text.as_str());
    if asked.capabilities.is_empty() || !asked.capabilities.iter().all(known) {
        return Err(invalid("capabilities", CAPABILITIES.join(", ")));
    }
    if asked.country.as_deref().is_some_and(|country| !is_country(country)) {
        return Err(invalid("country", "an ISO 3166 code of two capital letters"));
    }
    if !(1..=STOCKED_MAX).contains(&asked.numbers.len()) {
        return Err(invalid("numbers", format!("1 to {STOCKED_MAX} numbers")));
    }
    let short = number_type == NumberType::ShortCode;
    let number = |text: &String| {
        let fits = match short {
            true => (3..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
            false => Recipient::parse(text).is_some(),
        };
        let country = asked.country.as_deref().or_else(|| country_of(text).filter(|_| !short));
        let expected = || invalid("numbers", format!("numbers of a country, not {text}"));
        Ok(NewNumber {
            id: PublicId::new(At::now()),
            country_code: country.filter(|_| fits).ok_or_else(expected)?.to_owned(),
            area_code: area_code(text).map(str::to_owned),
            e164: text.clone(),
            number_type,
            capabilities: json!(asked.capabilities).to_string(),
            sms_two_way: asked.sms_two_way,
            provider: String::from(MANUAL),
            monthly_cost,
        })
    };
    asked.numbers.iter().map(number).collect()
}
