//! Interceptors: rules asked about each message before it is routed, the operator's first.
//!
//! Shared by all that accept; no actor. Rules are made ready once and replaced whole, so that asking
//! them takes no lock; what no rule concerns costs no allocation. Nothing here is the truth: the
//! operator's rules are settings, an organization's are rows, and a start reads both.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use model::carrier::OrgId;
use model::clock::At;
use model::country::country_of;
use model::interceptor::{Hours, Rule};
use model::message::{Category, Encoding};
use model::refusal::{Code, Detail, Refusal};
use proto_smpp::split;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use super::admission::SendRequest;

/// Octets of one of the operator's compiled expressions, and of what it remembers while it is asked.
const COMPILED_MAX: usize = 1024 * 1024;
/// The same of an organization's: the first that is enough is what the expression weighs.
const OWN_COMPILED: &[usize] = &[1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16];
/// And of a list of texts, which has no repetitions and is asked fast.
const OWN_TEXTS: &[usize] = &[1 << 12, 1 << 14, 1 << 15, 1 << 16, 1 << 17, WEIGHT_MAX];
/// What all expressions of an organization may weigh: a message is asked each of them.
pub const WEIGHT_MAX: usize = 256 * 1024;
const MINUTE_US: i64 = 60 * 1_000_000;

/// The rules; a clone is the same ones. The default are none.
#[derive(Clone, Default)]
pub struct Interceptors(Arc<Inner>);

#[derive(Default)]
struct Inner {
    table: ArcSwap<Table>,
    /// One change at a time.
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Table {
    operators: Arc<[Ready]>,
    own: HashMap<OrgId, Arc<[Ready]>>,
}

/// A rule that can be asked.
#[derive(Debug)]
pub struct Ready {
    rule: Rule,
    /// The operator's, for these; empty: for all.
    organizations: Vec<OrgId>,
    source_regex: Option<Regex>,
    text_regex: Option<Regex>,
    text_contains: Option<Regex>,
    categories: Vec<Category>,
    encodings: Vec<Encoding>,
    hours: Option<Hours>,
    weight: usize,
}

/// A regular expression that cannot be one here.
#[derive(Debug)]
pub struct BadPattern {
    pub field: &'static str,
    pub reason: String,
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// What rules do to a message, all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The names of those that matched, in order.
    pub matched: Vec<String>,
    pub sender: Option<String>,
    pub route: Option<String>,
    pub block: Option<Block>,
    pub tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub rule: String,
    pub reason: String,
}

impl Ready {
    /// One of the operator's.
    pub fn new(rule: Rule, organizations: Vec<OrgId>) -> Result<Self, BadPattern> {
        Self::within(&[COMPILED_MAX], &[COMPILED_MAX], rule, organizations)
    }

    /// One of an organization's, which may not be as large.
    pub fn own(rule: Rule) -> Result<Self, BadPattern> {
        Self::within(OWN_COMPILED, OWN_TEXTS, rule, Vec::new())
    }

    fn within(
        sizes: &[usize],
        of_texts: &[usize],
        rule: Rule,
        organizations: Vec<OrgId>,
    ) -> Result<Self, BadPattern> {
        let mut weight = 0;
        let mut pattern = |field, text: &str, any_case| {
            let sizes = if any_case { of_texts } else { sizes };
            let (regex, size) = pattern(field, text, any_case, sizes)?;
            weight += size;
            Ok(regex)
        };
        Ok(Self {
            source_regex: pattern("source_regex", &rule.source_regex, false)?,
            text_regex: pattern("text_regex", &rule.text_regex, false)?,
            // One expression finds any of them, and makes no copy of the text.
            text_contains: pattern("text_contains", &any_of(&rule.text_contains), true)?,
            weight,
            categories: rule.categories.iter().filter_map(|text| Category::parse(text)).collect(),
            encodings: rule.encodings.iter().filter_map(|text| Encoding::parse(text)).collect(),
            hours: Hours::parse(&rule.hours),
            organizations,
            rule,
        })
    }

    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Octets that its expressions are counted as.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The cheap questions first.
    fn matches(&self, organization: OrgId, seen: &Seen<'_>) -> bool {
        let rule = &self.rule;
        let any = |list: &[String], holds: &dyn Fn(&String) -> bool| {
            list.is_empty() || list.iter().any(holds)
        };
        rule.enabled
            && (self.organizations.is_empty() || self.organizations.contains(&organization))
            && (self.categories.is_empty() || self.categories.contains(&seen.category))
            && self.hours.is_none_or(|hours| hours.holds(seen.minute))
            && any(&rule.accounts, &|name| seen.account == Some(name))
            && any(&rule.destinations, &|prefix| seen.to.starts_with(prefix.as_str()))
            && any(&rule.sources, &|source| match source.strip_suffix('*') {
                Some(prefix) => seen.from.starts_with(prefix),
                None => seen.from == source,
            })
            && (self.encodings.is_empty() || self.encodings.contains(&seen.encoding()))
            && (rule.countries.is_empty() || {
                let country = country_of(seen.to);
                country.is_some_and(|country| rule.countries.iter().any(|one| one == country))
            })
            && self.source_regex.as_ref().is_none_or(|regex| regex.is_match(seen.from))
            && [&self.text_contains, &self.text_regex]
                .into_iter()
                .flatten()
                .all(|regex| regex.is_match(seen.body))
    }

    fn add_to(&self, outcome: &mut Outcome) {
        let rule = &self.rule;
        outcome.matched.push(rule.name.clone());
        if !rule.sender.is_empty() {
            outcome.sender = Some(rule.sender.clone());
        }
        if !rule.route.is_empty() {
            outcome.route = Some(rule.route.clone());
        }
        if !rule.block.is_empty() {
            let (rule, reason) = (rule.name.clone(), rule.block.clone());
            outcome.block = Some(Block { rule, reason });
        }
        for tag in &rule.tags {
            if !outcome.tags.contains(tag) {
                outcome.tags.push(tag.clone());
            }
        }
    }
}

fn any_of(texts: &[String]) -> String {
    texts.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|")
}

/// An expression within the first of these sizes that is enough, and that size.
fn pattern(
    field: &'static str,
    text: &str,
    any_case: bool,
    sizes: &[usize],
) -> Result<(Option<Regex>, usize), BadPattern> {
    if text.is_empty() {
        return Ok((None, 0));
    }
    let most = sizes.last().copied().unwrap_or_default();
    let mut builder = RegexBuilder::new(text);
    builder.dfa_size_limit(most).case_insensitive(any_case);
    for size in sizes {
        match builder.size_limit(*size).build() {
            Ok(regex) => return Ok((Some(regex), *size)),
            Err(regex::Error::CompiledTooBig(_)) if *size < most => {}
            Err(error) => return Err(BadPattern { field, reason: error.to_string() }),
        }
    }
    Ok((None, 0))
}

/// What rules look at.
struct Seen<'a> {
    account: Option<&'a str>,
    /// Empty when none was given: the default comes later.
    from: &'a str,
    /// Digits.
    to: &'a str,
    body: &'a str,
    asked: Option<Encoding>,
    category: Category,
    /// Of the day, UTC.
    minute: u16,
}

impl Seen<'_> {
    fn encoding(&self) -> Encoding {
        self.asked.unwrap_or_else(|| match split::Encoding::of(self.body) {
            split::Encoding::Gsm7 => Encoding::Gsm7,
            split::Encoding::Ucs2 => Encoding::Ucs2,
        })
    }
}

impl Interceptors {
    /// The operator's rules, from now on.
    pub fn set_operators(&self, rules: Vec<Ready>) {
        self.change(|table| table.operators = rules.into());
    }

    /// An organization's own, from now on.
    pub fn set_own(&self, organization: OrgId, rules: Vec<Ready>) {
        self.change(|table| {
            if rules.is_empty() {
                table.own.remove(&organization);
            } else {
                table.own.insert(organization, rules.into());
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let _one = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&self.0.table.load());
        change(&mut table);
        self.0.table.store(Arc::new(table));
    }

    /// The operator's rules, in order.
    #[must_use]
    pub fn operators(&self) -> Vec<Rule> {
        self.0.table.load().operators.iter().map(|ready| ready.rule.clone()).collect()
    }

    /// What the rules would do to a message, which stays as it is.
    #[must_use]
    pub fn outcome(
        &self,
        organization: OrgId,
        digits: &str,
        request: &SendRequest,
        now: At,
    ) -> Outcome {
        self.ask(organization, digits, request, now).unwrap_or_default()
    }

    /// Lays the rules on a message: it is refused, or becomes what they make of it. The carrier they
    /// name comes back.
    pub fn apply(
        &self,
        organization: OrgId,
        digits: &str,
        request: &mut SendRequest,
        now: At,
    ) -> Result<Option<String>, Refusal> {
        let Some(outcome) = self.ask(organization, digits, request, now) else { return Ok(None) };
        if let Some(Block { rule, reason }) = outcome.block {
            let refusal = Refusal::new(Code::BlockedByRule, reason);
            return Err(refusal.detail("rule", Detail::Text(rule)));
        }
        if outcome.sender.is_some() {
            request.from = outcome.sender;
        }
        if !outcome.tags.is_empty() {
            request.metadata = Some(tagged(request.metadata.as_deref(), &outcome.tags));
        }
        Ok(outcome.route)
    }

    /// `None`: no rule matches. Each rule sees the sender that those before it made.
    fn ask(
        &self,
        organization: OrgId,
        digits: &str,
        request: &SendRequest,
        now: At,
    ) -> Option<Outcome> {
        let table = self.0.table.load();
        let own = table.own.get(&organization).map_or(&[][..], |rules| &rules[..]);
        if table.operators.is_empty() && own.is_empty() {
            return None;
        }
        let mut seen = Seen {
            account: request.account.as_deref(),
            from: request.from.as_deref().unwrap_or_default(),
            to: digits,
            body: &request.body,
            asked: request.encoding,
            category: request.category,
            minute: u16::try_from(now.0.div_euclid(MINUTE_US).rem_euclid(24 * 60)).unwrap_or(0),
        };
        let mut outcome: Option<Outcome> = None;
        for ready in table.operators.iter().chain(own) {
            if !ready.matches(organization, &seen) {
                continue;
            }
            let outcome = outcome.get_or_insert_default();
            ready.add_to(outcome);
            if !ready.rule.sender.is_empty() {
                seen.from = &ready.rule.sender;
            }
            if outcome.block.is_some() || ready.rule.stop {
                break;
            }
        }
        outcome
    }
}

/// Metadata with these under `tags`, behind those that are there.
fn tagged(metadata: Option<&str>, tags: &[String]) -> String {
    let mut object: Map<String, Value> =
        metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match object.get_mut("tags") {
        Some(Value::Array(known)) => {
            for tag in tags {
                if !known.iter().any(|one| one == tag) {
                    known.push(json!(tag));
                }
            }
        }
        _ => {
            object.insert(String::from("tags"), json!(tags));
        }
    }
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests;
