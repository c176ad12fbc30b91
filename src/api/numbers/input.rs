//! What is said of a number: bought, labelled; and every fault named.

use model::country::is_country;
use model::number::{CAPABILITIES, LABEL_CHARS_MAX, NumberType, TAG_CHARS_MAX, TAGS_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::lane::NumberSettings;
use store::{NumberRow, StockFilter};
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};
use super::stock::is_number;

/// A number to buy: the one that is named, or the first in stock that fits.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"phone_number": "+14155550100", "friendly_name": "Sales"}))]
pub(crate) struct PurchaseIn {
    phone_number: Option<String>,
    /// The same by its older name.
    number: Option<String>,
    /// ISO 3166; needed without a number.
    country_code: Option<String>,
    /// `local`, `toll_free`, `mobile` or `short_code`; of what is looked for.
    r#type: Option<String>,
    /// Of `sms`, `voice`, `mms`, `whatsapp`, `rcs`; of what is looked for.
    capabilities: Option<Vec<String>>,
    /// At most 100 characters.
    friendly_name: Option<String>,
    compliance_profile_id: Option<String>,
}

/// What shall be different.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"label": "Sales", "tags": ["west"]}))]
pub(crate) struct NumberPatch {
    /// At most 100 characters.
    label: Option<String>,
    /// The same by its other name.
    friendly_name: Option<String>,
    /// At most 20, of at most 50 characters.
    tags: Option<Vec<String>>,
}

/// Whether it goes on.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read field by field")]
#[schema(example = json!({"auto_renew": false}))]
pub(crate) struct AutoRenewIn {
    auto_renew: bool,
}

pub(crate) const AUTO_RENEW_FIELDS: &[Field] = &[Field::required("auto_renew", Kind::Flag)];

pub(crate) const PURCHASE_FIELDS: &[Field] = &[
    Field::optional("phone_number", Kind::Text),
    Field::optional("number", Kind::Text),
    Field::optional("country_code", Kind::Text),
    Field::optional("type", Kind::Text),
    Field::optional("capabilities", Kind::List),
    Field::optional("friendly_name", Kind::Text),
    Field::optional("compliance_profile_id", Kind::Text),
];

pub(crate) const PATCH_FIELDS: &[Field] = &[
    Field::optional("label", Kind::Text),
    Field::optional("friendly_name", Kind::Text),
    Field::optional("tags", Kind::List),
];

/// What would change where calls and messages go, and is said elsewhere or not built.
const ELSEWHERE: &[&str] = &["sms_webhook_url", "voice_webhook_url", "agent_id"];

pub(super) struct AskedPurchase {
    pub(super) e164: Option<String>,
    /// Without a number.
    pub(super) filter: StockFilter,
    pub(super) label: String,
    pub(super) compliance_profile_id: Option<String>,
}

pub(super) fn read_purchase(map: &Map<String, Value>) -> Result<AskedPurchase, ApiError> {
    let mut faults = body::faults(map, PURCHASE_FIELDS);
    let text = |name: &str| map.get(name).and_then(Value::as_str);
    for name in ELSEWHERE {
        if let Some(value) = map.get(*name).filter(|value| !value.is_null()) {
            let expected = "left out: calls go where PUT /numbers/{id}/routing says";
            faults.push(wrong(name, value.clone()).expected(expected));
        }
    }
    let e164 = text("phone_number").or(text("number"));
    if let Some(number) = e164.filter(|number| !is_number(number)) {
        let expected = "a phone number, as +14155550100";
        faults.push(wrong("phone_number", json!(number)).expected(expected));
    }
    let country = text("country_code").unwrap_or_default();
    if e164.is_none() && !is_country(country) {
        let expected = "an ISO 3166 code of two capital letters, or a phone_number";
        faults.push(wrong("country_code", json!(country)).expected(expected));
    }
    let mut filter = StockFilter { country: country.to_owned(), ..StockFilter::default() };
    if let Some(named) = text("type") {
        match NumberType::read(named) {
            Some(number_type) => filter.number_type = number_type.code(),
            None => {
                let expected = "local, toll_free, mobile or short_code";
                faults.push(wrong("type", json!(named)).expected(expected));
            }
        }
    }
    for item in map.get("capabilities").and_then(Value::as_array).into_iter().flatten() {
        match item.as_str().filter(|text| CAPABILITIES.contains(text)) {
            Some(known) if filter.capabilities.iter().all(|c| c != known) => {
                filter.capabilities.push(known.to_owned());
            }
            Some(_) => {}
            None => {
                let expected = CAPABILITIES.join(", ");
                faults.push(wrong("capabilities", item.clone()).expected(expected));
                break;
            }
        }
    }
    let label = text("friendly_name").unwrap_or_default();
    body::storable("friendly_name", label, LABEL_CHARS_MAX, &mut faults);
    let profile = text("compliance_profile_id");
    body::storable("compliance_profile_id", profile.unwrap_or_default(), 100, &mut faults);
    if !faults.is_empty() {
        return Err(ApiError::faults(faults));
    }
    Ok(AskedPurchase {
        e164: e164.map(str::to_owned),
        filter,
        label: label.to_owned(),
        compliance_profile_id: profile.map(str::to_owned),
    })
}

/// What is said laid over what is there.
pub(super) fn lay(map: &Map<String, Value>, row: &NumberRow) -> Result<NumberSettings, ApiError> {
    let mut faults = body::faults(map, PATCH_FIELDS);
    let mut settings = NumberSettings { label: row.label.clone(), tags: row.tags.clone() };
    for name in ["friendly_name", "label"] {
        if let Some(label) = map.get(name).and_then(Value::as_str) {
            body::storable(name, label, LABEL_CHARS_MAX, &mut faults);
            label.clone_into(&mut settings.label);
        }
    }
    if let Some(tags) = map.get("tags").and_then(Value::as_array) {
        settings.tags = read_tags(tags, &mut faults);
    }
    if faults.is_empty() { Ok(settings) } else { Err(ApiError::faults(faults)) }
}

pub(super) fn read_auto_renew(map: &Map<String, Value>) -> Result<bool, ApiError> {
    let wanted = map.get("auto_renew").and_then(Value::as_bool);
    wanted.ok_or_else(|| ApiError::faults(body::faults(map, AUTO_RENEW_FIELDS)))
}

fn read_tags(tags: &[Value], faults: &mut Vec<Fault>) -> String {
    let fits = |tag: &Value| {
        tag.as_str().is_some_and(|tag| {
            (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.contains('\0')
        })
    };
    if tags.len() > TAGS_MAX {
        faults.push(wrong("tags", json!(tags.len())).expected("at most 20"));
    } else if let Some(bad) = tags.iter().find(|tag| !fits(tag)) {
        faults.push(wrong("tags", bad.clone()).expected("1 to 50 characters each"));
    }
    json!(tags).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_purchase_names_a_number_or_what_is_looked_for() {
        let named = read_purchase(&map(&json!({"number": "+14155550100"}))).unwrap();
        assert_eq!(named.e164.as_deref(), Some("+14155550100"));
        let looked = json!({"country_code": "US", "type": "toll-free",
            "capabilities": ["voice", "voice"], "friendly_name": "Sales"});
        let looked = read_purchase(&map(&looked)).unwrap();
        assert_eq!((looked.e164, &*looked.label), (None, "Sales"));
        let filter = looked.filter;
        assert_eq!((filter.number_type, filter.capabilities), (2, vec![String::from("voice")]));
        for bad in [
            json!({}),
            json!({"country_code": "us"}),
            json!({"phone_number": "415"  , "agent_id": "agt_1"}),
            json!({"phone_number": "+1"}),
            json!({"country_code": "US", "type": "fax"}),
            json!({"country_code": "US", "capabilities": ["fax"]}),
        ] {
            assert!(read_purchase(&map(&bad)).is_err(), "{bad}");
        }
    }
}
