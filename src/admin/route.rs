//! Where a message would go, for its operator.

use actors::traffic::router::{Asked, Router};
use model::address::{Recipient, SenderKind};
use model::carrier::OrgId;
use model::clock::At;
use model::message::Category;
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};

use super::desk::invalid;

pub(super) fn simulate(
    router: Option<&Router>,
    organization: OrgId,
    to: &str,
    from: Option<String>,
    category: Option<String>,
) -> Result<Value, Refusal> {
    let Some(router) = router else {
        let text = "only a running switch knows its carriers; start it, and ask again";
        return Err(Refusal::new(Code::ServiceUnavailable, text));
    };
    if Recipient::parse(to).is_none() {
        return Err(invalid("to", "E.164, as in +14155550123"));
    }
    let kind = from.as_deref().map(SenderKind::of);
    if kind == Some(None) {
        return Err(invalid("from", "a sender"));
    }
    let category = category.as_deref().unwrap_or("transactional");
    let category = Category::parse(category)
        .ok_or_else(|| invalid("category", "transactional, otp, service or marketing"))?;
    let told = router.simulate(&Asked {
        organization,
        to,
        from: from.as_deref().unwrap_or_default(),
        kind: kind.flatten(),
        category,
        submitted: None,
        pool: None,
        tried: &[],
        now: At::now(),
    });
    let name = |id| {
        let seen = told.candidates.iter().find(|seen| seen.id == id);
        seen.map(|seen| seen.name.to_string())
    };
    let ways: Vec<_> = told.ways.iter().filter_map(|id| name(*id)).collect();
    let candidates = told.candidates.iter().map(|seen| {
        json!({
            "carrier": &*seen.name,
            "scope": if seen.own { "organization" } else { "platform" },
            "verdict": seen.verdict.as_str(),
            "state": seen.standing.as_str(),
        })
    });
    Ok(json!({
        "carrier": ways.first(),
        "alternates": ways.get(1..).unwrap_or_default(),
        "reason": told.note.map(|note| note.reason),
        "by": told.note.map(|note| note.by.as_str()),
        "rule": told.rule,
        "country": told.country,
        "mccmnc": told.mccmnc,
        "mccmnc_source": told.network.as_str(),
        "candidates": candidates.collect::<Vec<_>>(),
    }))
}
