//! What a sender pool may say, checked field by field and sender by sender.

use std::sync::Arc;

use model::address::SenderKind;
use model::country::is_country;
use model::pool::{
    CARRIERS_MAX, COUNTRIES_MAX, DAILY_CAP_MAX, NAME_CHARS_MAX, PoolSender, SENDERS_MAX,
    STICKY_DAYS, STICKY_DAYS_MAX, Strategy, WEIGHT_MAX,
};
use model::refusal::Code;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::PoolRow;
use store::lane::NewPool;
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::{ApiError, Fault};

/// A pool to be.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "support", "strategy": "sticky",
    "senders": [{"value": "+14155550100", "daily_cap": 200}, {"value": "+14155550101"}]}))]
pub(crate) struct PoolIn {
    /// 1 to 100 characters; no other pool of yours has it.
    name: String,
    /// `round_robin` (when left out), `weighted`, `sticky` or `least_used`.
    strategy: Option<String>,
    /// 1 to 100, each once.
    #[schema(min_items = 1, max_items = 100)]
    senders: Vec<PoolSenderIn>,
    /// Names of carriers, your own or the platform's: the only ones that take its messages. At most
    /// 20; empty or left out: any.
    carrier_ids: Option<Vec<String>>,
    /// 1 to 365.
    #[schema(minimum = 1, maximum = 365, default = 30)]
    sticky_ttl_days: Option<i64>,
}

/// What shall be different.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"strategy": "least_used"}))]
pub(crate) struct PoolPatch {
    name: Option<String>,
    strategy: Option<String>,
    /// All of them.
    senders: Option<Vec<PoolSenderIn>>,
    /// All of them; empty or null: any.
    carrier_ids: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 365)]
    sticky_ttl_days: Option<i64>,
}

/// A sender of a pool.
#[derive(Serialize, ToSchema)]
pub(crate) struct PoolSenderIn {
    /// E.164, a short code, or 3 to 11 letters and digits.
    #[schema(example = "+14155550100")]
    value: String,
    /// What the value is: `alphanumeric`, `international` or `short_code`; need not be given.
    r#type: Option<String>,
    /// Its share; of `weighted` and `sticky`.
    #[schema(minimum = 1, maximum = 1000, default = 1)]
    weight: Option<i64>,
    /// ISO 3166, of recipients; empty or left out: every country.
    countries: Option<Vec<String>>,
    /// Messages a day, UTC; null or left out: any number.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    daily_cap: Option<i64>,
}

/// The fields of a pool.
pub(crate) const FIELDS: &[Field] = &[
    Field::required("name", Kind::Text),
    Field::optional("strategy", Kind::OneOf(Strategy::NAMES)),
    Field::required("senders", Kind::List),
    Field::optional("carrier_ids", Kind::List),
    Field::optional("sticky_ttl_days", Kind::Whole),
];

const SENDER_FIELDS: &[Field] = &[
    Field::required("value", Kind::Text),
    Field::optional("type", Kind::Text),
    Field::optional("weight", Kind::Whole),
    Field::optional("countries", Kind::List),
    Field::optional("daily_cap", Kind::Whole),
];

/// A stored pool, for something to be laid over it.
pub(crate) fn stored(row: &PoolRow) -> NewPool {
    let pool = row.pool();
    NewPool {
        name: row.name.clone(),
        strategy: pool.strategy,
        senders: pool.senders,
        carriers: pool.carriers,
        sticky_ttl_days: pool.sticky_ttl_days,
    }
}

/// The pool that is asked for, laid over the one that is there; or everything that is wrong.
pub(crate) fn read(
    map: &Map<String, Value>,
    before: Option<NewPool>,
    knows: impl Fn(&str) -> bool,
) -> Result<NewPool, ApiError> {
    let given = |name: &str| map.get(name).filter(|value| !value.is_null());
    let fresh = before.is_none();
    let mut faults = body::faults(map, FIELDS);
    if !fresh {
        faults.retain(|fault| fault.code != Code::MissingRequiredField);
    }
    let mut pool = before.unwrap_or(NewPool {
        name: String::new(),
        strategy: Strategy::default(),
        senders: Vec::new(),
        carriers: Vec::new(),
        sticky_ttl_days: STICKY_DAYS,
    });
    if let Some(name) = given("name").and_then(Value::as_str) {
        let fits = (1..=NAME_CHARS_MAX).contains(&name.trim().chars().count());
        if !fits || name.contains('\0') {
            let expected = "1 to 100 characters, none of them U+0000";
            faults.push(wrong("name", json!(name)).expected(expected));
        }
        name.trim().clone_into(&mut pool.name);
    }
    if let Some(strategy) = given("strategy").and_then(Value::as_str).and_then(Strategy::parse) {
        pool.strategy = strategy;
    }
    if let Some(list) = given("senders").and_then(Value::as_array) {
        pool.senders = senders(list, &mut faults);
    }
    // Null is any carrier, as it is shown.
    if let Some(Value::Array(_) | Value::Null) = map.get("carrier_ids") {
        let list = map["carrier_ids"].as_array().map_or(&[][..], Vec::as_slice);
        pool.carriers = carriers(list, knows, &mut faults);
    }
    if let Some(days) = given("sticky_ttl_days").and_then(Value::as_i64) {
        in_range("sticky_ttl_days", days, STICKY_DAYS_MAX, &mut faults);
        pool.sticky_ttl_days = days;
    }
    if faults.is_empty() { Ok(pool) } else { Err(ApiError::faults(faults)) }
}

fn in_range(field: &'static str, value: i64, most: i64, faults: &mut Vec<Fault>) {
    if !(1..=most).contains(&value) {
        faults.push(wrong(field, json!(value)).expected(format!("1 to {most}")));
    }
}

fn senders(list: &[Value], faults: &mut Vec<Fault>) -> Vec<PoolSender> {
    if !(1..=SENDERS_MAX).contains(&list.len()) {
        faults.push(wrong("senders", json!(list.len())).expected("1 to 100 senders"));
        return Vec::new();
    }
    let mut senders: Vec<PoolSender> = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let mut own = Vec::new();
        let sender = sender(value, &mut own);
        if let Some(sender) = &sender
            && senders.iter().any(|known| known.value == sender.value)
        {
            own.push(wrong("value", json!(&*sender.value)).expected("each sender once"));
        }
        senders.extend(sender);
        faults.extend(own.into_iter().map(|fault| {
            let field = match fault.field.as_deref() {
                Some(field) => format!("senders[{at}].{field}"),
                None => format!("senders[{at}]"),
            };
            fault.field(field)
        }));
    }
    senders
}

fn sender(value: &Value, faults: &mut Vec<Fault>) -> Option<PoolSender> {
    let Value::Object(map) = value else {
        let fault = Fault::new(Code::ValidationError, "the sender is not an object");
        faults.push(fault.value(value.clone()).expected("an object with `value`"));
        return None;
    };
    faults.extend(body::faults(map, SENDER_FIELDS));
    let given = |name: &str| map.get(name).filter(|value| !value.is_null());
    let number = |name: &str| given(name).and_then(Value::as_i64);
    let weight = number("weight").unwrap_or(1);
    in_range("weight", weight, WEIGHT_MAX, faults);
    let daily_cap = number("daily_cap");
    if let Some(cap) = daily_cap {
        in_range("daily_cap", cap, DAILY_CAP_MAX, faults);
    }
    let mut countries = Vec::new();
    for country in given("countries").and_then(Value::as_array).into_iter().flatten() {
        match country.as_str().filter(|text| is_country(text)) {
            Some(text) if countries.iter().any(|known| known == text) => {}
            Some(text) => countries.push(text.to_owned()),
            None => {
                let expected = "ISO 3166 codes of two capital letters";
                faults.push(wrong("countries", country.clone()).expected(expected));
            }
        }
    }
    if countries.len() > COUNTRIES_MAX {
        faults.push(wrong("countries", json!(countries.len())).expected("at most 250 countries"));
    }
    let text = given("value").and_then(Value::as_str)?;
    let Some(kind) = SenderKind::of(text) else {
        let expected = "3 to 11 letters, digits, spaces, - or _; +E.164; or 3 to 8 digits";
        faults.push(wrong("value", json!(text)).expected(expected));
        return None;
    };
    if let Some(named) = given("type").and_then(Value::as_str)
        && named != kind.as_str()
    {
        faults.push(wrong("type", json!(named)).expected(kind.as_str()));
    }
    let weight = u32::try_from(weight).unwrap_or(1);
    Some(PoolSender { value: Arc::from(text), kind, weight, countries, daily_cap })
}

fn carriers(list: &[Value], knows: impl Fn(&str) -> bool, faults: &mut Vec<Fault>) -> Vec<String> {
    if list.len() > CARRIERS_MAX {
        faults.push(wrong("carrier_ids", json!(list.len())).expected("at most 20 carriers"));
        return Vec::new();
    }
    let mut carriers: Vec<String> = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        match value.as_str().filter(|name| knows(name)) {
            Some(name) if carriers.iter().any(|known| known == name) => {}
            Some(name) => carriers.push(name.to_owned()),
            None => {
                let fault = Fault::new(Code::ValidationError, "there is no such carrier");
                let expected = "the name of a carrier of the organization or of the platform";
                let field = format!("carrier_ids[{at}]");
                faults.push(fault.field(field).value(value.clone()).expected(expected));
            }
        }
    }
    carriers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn fields(value: &Value, before: Option<NewPool>) -> Vec<String> {
        let error = read(&map(value), before, |name| name == "main").unwrap_err();
        error.faults.iter().filter_map(|fault| fault.field.as_deref()).map(String::from).collect()
    }

    fn usual() -> NewPool {
        let pool = json!({"name": " x ", "senders": [{"value": "Orbit"}]});
        read(&map(&pool), None, |_| false).unwrap()
    }

    #[test]
    fn what_is_left_out_is_as_usual_and_a_patch_changes_what_it_says() {
        let pool = usual();
        assert_eq!(
            (&*pool.name, pool.strategy, pool.sticky_ttl_days),
            ("x", Strategy::RoundRobin, 30)
        );
        assert_eq!((pool.senders[0].weight, pool.senders[0].daily_cap), (1, None));
        let patch = json!({"carrier_ids": ["main", "main"], "strategy": "sticky"});
        let changed = read(&map(&patch), Some(pool.clone()), |name| name == "main").unwrap();
        let expected = NewPool {
            carriers: vec![String::from("main")],
            strategy: Strategy::Sticky,
            ..pool.clone()
        };
        assert_eq!(changed, expected);
        let any = read(&map(&json!({"carrier_ids": null})), Some(changed), |_| false).unwrap();
        assert!(any.carriers.is_empty());
        assert_eq!(read(&Map::new(), Some(pool.clone()), |_| false).unwrap(), pool);
    }

    #[test]
    fn every_fault_is_named_by_its_place() {
        let bad = json!({"name": "\u{0}", "strategy": "luck", "sticky_ttl_days": 366,
            "carrier_ids": ["main", "other", 5], "senders": [
                {"value": "Orbit", "weight": 0, "countries": ["US", "usa"]},
                {"value": "Orbit"}, {"value": "+1", "daily_cap": 0}, 7, {},
                {"value": "12345", "type": "alphanumeric", "weight": "x"}]});
        let expected = [
            "strategy",
            "name",
            "senders[0].weight",
            "senders[0].countries",
            "senders[1].value",
            "senders[2].daily_cap",
            "senders[2].value",
            "senders[3]",
            "senders[4].value",
            "senders[5].weight",
            "senders[5].type",
            "carrier_ids[1]",
            "carrier_ids[2]",
            "sticky_ttl_days",
        ];
        assert_eq!(fields(&bad, None), expected);
        assert_eq!(fields(&json!({}), None), ["name", "senders"]);
        assert_eq!(fields(&json!({"senders": []}), Some(usual())), ["senders"]);
        let many: Vec<_> = (0..101).map(|n| json!({"value": format!("Orbit{n}")})).collect();
        assert_eq!(fields(&json!({"senders": many}), Some(usual())), ["senders"]);
    }
}
