//! Interceptors at the operator's desk: which there are, and what they would do to a message.

use std::sync::Arc;

use actors::traffic::admission::SendRequest;
use actors::traffic::interceptors::Interceptors;
use model::address::Recipient;
use model::clock::At;
use model::message::Category;
use model::refusal::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::desk::{Desk, PAGE, away, id_text, invalid};
use model::id::Kind;

/// A message that is not sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trial {
    pub(crate) organization_id: String,
    pub(crate) to: String,
    pub(crate) from: Option<String>,
    pub(crate) body: String,
    pub(crate) account: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) at: Option<String>,
}

/// The operator's rules, and an organization's own when it is named.
pub(super) async fn list(desk: &Desk, organization_id: Option<&str>) -> Result<Value, Refusal> {
    let mut shown: Vec<Value> = Vec::new();
    for rule in desk.interceptors.operators() {
        let mut rule = json!(rule);
        rule["of"] = json!("operator");
        shown.push(rule);
    }
    if let Some(text) = organization_id {
        let organization = desk.organization(text).await?;
        for row in desk.store.interceptors(organization, PAGE).await.map_err(away)? {
            let mut rule: Value = serde_json::from_str(&row.rule).unwrap_or_default();
            rule["of"] = json!(text);
            rule["id"] = json!(id_text(&row.public_id, Kind::Interceptor));
            rule["position"] = json!(row.position);
            shown.push(rule);
        }
    }
    Ok(Value::Array(shown))
}

pub(super) async fn test(desk: &Desk, trial: Trial) -> Result<Value, Refusal> {
    let organization = desk.organization(&trial.organization_id).await?;
    let to = Recipient::parse(&trial.to).ok_or_else(|| invalid("to", "+ and a phone number"))?;
    let category = trial.category.as_deref().map(|text| {
        Category::parse(text)
            .ok_or_else(|| invalid("category", "transactional, otp, service or marketing"))
    });
    let at = trial.at.as_deref().map(|text| {
        At::parse(text).ok_or_else(|| invalid("at", "a time, as 2026-01-01T23:00:00Z"))
    });
    let request = SendRequest {
        to: trial.to,
        from: trial.from,
        pool: None,
        body: trial.body,
        encoding: None,
        category: category.transpose()?.unwrap_or(Category::Transactional),
        account: trial.account.map(Arc::from),
        metadata: None,
        test: false,
        submitted: None,
    };
    let at = at.transpose()?.unwrap_or_else(At::now);
    let rules: &Interceptors = &desk.interceptors;
    let outcome = rules.outcome(organization, to.digits(), &request, at);
    let blocked = outcome.block.map(|one| json!({"rule": one.rule, "reason": one.reason}));
    Ok(json!({
        "matched": outcome.matched,
        "blocked": blocked,
        "from": outcome.sender.or(request.from),
        "route": outcome.route,
        "tags": outcome.tags,
    }))
}
