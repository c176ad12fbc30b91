//! What a rule and a trial may say, checked field by field.

use actors::traffic::admission::SendRequest;
use actors::traffic::interceptors::Ready;
use model::clock::At;
use model::interceptor::Rule;
use model::message::{Category, Encoding};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::super::body::{self, Field, Kind, wrong};
use super::super::error::ApiError;
use super::super::messages::CATEGORIES;

const ENCODINGS: &[&str] = &["gsm7", "ucs2"];
const POSITION_MAX: i64 = 1_000_000;
const TEXT_MAX: usize = 1_600;

/// Whom a rule concerns and what it does. All that is given must hold; of a list, one of its items.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct RuleInOut {
    /// 1 to 100 characters.
    name: String,
    /// Names of SMPP accounts.
    accounts: Vec<String>,
    /// Senders, or what they begin with and `*`.
    sources: Vec<String>,
    /// At most 256 characters.
    source_regex: String,
    /// What the recipient's digits begin with, without `+`.
    destinations: Vec<String>,
    /// ISO 3166 codes.
    countries: Vec<String>,
    /// Parts of the text, in any case of letters.
    text_contains: Vec<String>,
    /// At most 256 characters.
    text_regex: String,
    categories: Vec<String>,
    /// `gsm7`, `ucs2`.
    encodings: Vec<String>,
    /// UTC, as `22:00-06:00`.
    hours: String,
    /// Becomes the sender.
    sender: String,
    /// The name of the carrier that is to take it.
    route: String,
    /// Refuses the message, with this reason.
    block: String,
    /// Put into the message's `metadata` as `tags`.
    tags: Vec<String>,
    /// Rules after this one are not asked.
    stop: bool,
    #[serde(default = "yes")]
    enabled: bool,
}

/// A rule to be.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"name": "No casinos at night", "text_contains": ["casino"],
    "hours": "22:00-06:00", "block": "not at night", "position": 10}))]
pub(crate) struct RuleIn {
    /// Lower ones are asked first: 0 to 1000000, 0 when left out.
    #[schema(minimum = 0, maximum = 1_000_000)]
    position: Option<i64>,
    #[serde(flatten)]
    rule: RuleInOut,
}

/// A message that is not sent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"to": "+14155550123", "from": "Orbit", "body": "hello"}))]
pub(crate) struct TrialIn {
    to: String,
    from: Option<String>,
    body: String,
    category: Option<String>,
    encoding: Option<String>,
    /// The name of the SMPP account it comes by.
    account: Option<String>,
    /// When, as `2026-01-01T23:00:00Z`; now when left out.
    at: Option<String>,
}

const RULE_FIELDS: &[Field] = &[
    Field::optional("position", Kind::Whole),
    Field::required("name", Kind::Text),
    Field::optional("enabled", Kind::Flag),
    Field::optional("accounts", Kind::List),
    Field::optional("sources", Kind::List),
    Field::optional("source_regex", Kind::Text),
    Field::optional("destinations", Kind::List),
    Field::optional("countries", Kind::List),
    Field::optional("text_contains", Kind::List),
    Field::optional("text_regex", Kind::Text),
    Field::optional("categories", Kind::List),
    Field::optional("encodings", Kind::List),
    Field::optional("hours", Kind::Text),
    Field::optional("sender", Kind::Text),
    Field::optional("route", Kind::Text),
    Field::optional("block", Kind::Text),
    Field::optional("tags", Kind::List),
    Field::optional("stop", Kind::Flag),
];

const TRIAL_FIELDS: &[Field] = &[
    Field::required("to", Kind::Text),
    Field::optional("from", Kind::Text),
    Field::required("body", Kind::Text),
    Field::optional("category", Kind::OneOf(CATEGORIES)),
    Field::optional("encoding", Kind::OneOf(ENCODINGS)),
    Field::optional("account", Kind::Text),
    Field::optional("at", Kind::Text),
];

fn yes() -> bool {
    true
}

impl RuleIn {
    /// The place, and the rule as it is stored.
    pub(super) fn parse(raw: &[u8]) -> Result<(i64, String), ApiError> {
        let input: Self = body::parse(raw, RULE_FIELDS)?;
        let position = input.position.unwrap_or(0);
        let rule = Rule::from(input.rule);
        let mut faults = Vec::new();
        if !(0..=POSITION_MAX).contains(&position) {
            faults.push(wrong("position", json!(position)).expected("0 to 1000000"));
        }
        let shown = json!(rule);
        for (field, expected) in rule.faults() {
            faults.push(wrong(field, shown[field].clone()).expected(expected));
        }
        if shown.to_string().contains("\\u0000") {
            faults.push(wrong("name", json!(rule.name)).expected("no U+0000 in any field"));
        }
        if let Err(bad) = Ready::own(rule) {
            faults.push(wrong(bad.field, shown[bad.field].clone()).expected(bad.reason));
        }
        if faults.is_empty() {
            Ok((position, shown.to_string()))
        } else {
            Err(ApiError::faults(faults))
        }
    }
}

impl TrialIn {
    pub(super) fn parse(raw: &[u8], now: At) -> Result<(SendRequest, At), ApiError> {
        let input: Self = body::parse(raw, TRIAL_FIELDS)?;
        let mut faults = Vec::new();
        body::storable("body", &input.body, TEXT_MAX, &mut faults);
        let at = match &input.at {
            None => now,
            Some(text) => At::parse(text).unwrap_or_else(|| {
                faults.push(wrong("at", json!(text)).expected("a time, as 2026-01-01T23:00:00Z"));
                now
            }),
        };
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        let category = input.category.and_then(|text| Category::parse(&text));
        let request = SendRequest {
            to: input.to,
            from: input.from,
            pool: None,
            body: input.body,
            encoding: input.encoding.and_then(|text| Encoding::parse(&text)),
            category: category.unwrap_or(Category::Transactional),
            account: input.account.map(std::sync::Arc::from),
            metadata: None,
            test: false,
            submitted: None,
        };
        Ok((request, at))
    }
}

impl From<RuleInOut> for Rule {
    fn from(rule: RuleInOut) -> Self {
        Self {
            name: rule.name,
            enabled: rule.enabled,
            organizations: Vec::new(),
            accounts: rule.accounts,
            sources: rule.sources,
            source_regex: rule.source_regex,
            destinations: rule.destinations,
            countries: rule.countries,
            text_contains: rule.text_contains,
            text_regex: rule.text_regex,
            categories: rule.categories,
            encodings: rule.encodings,
            hours: rule.hours,
            sender: rule.sender,
            route: rule.route,
            block: rule.block,
            tags: rule.tags,
            stop: rule.stop,
        }
    }
}

impl From<Rule> for RuleInOut {
    fn from(rule: Rule) -> Self {
        Self {
            name: rule.name,
            accounts: rule.accounts,
            sources: rule.sources,
            source_regex: rule.source_regex,
            destinations: rule.destinations,
            countries: rule.countries,
            text_contains: rule.text_contains,
            text_regex: rule.text_regex,
            categories: rule.categories,
            encodings: rule.encodings,
            hours: rule.hours,
            sender: rule.sender,
            route: rule.route,
            block: rule.block,
            tags: rule.tags,
            stop: rule.stop,
            enabled: rule.enabled,
        }
    }
}
