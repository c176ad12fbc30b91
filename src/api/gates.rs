//! `/compliance`, the part of the send gates: an organization's policy, what quiet hours say to a
//! number, its do-not-contact list, reassigned numbers, and the registration of senders.
//!
//! The gates themselves run inside the accept transaction; here they are set and asked.

mod dnc;
mod policies;
mod quiet_hours;
mod rnd;
mod senders;

use model::address::Recipient;
use model::carrier::OrgId;
use model::clock::At;
use model::policy::Policy;
use model::quiet;
use model::refusal::Code;
use serde_json::{Value, json};
use store::lane::{Admin, AdminDone, PolicyChange, PolicyDone};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::error::{ApiError, Fault};
use super::page::Query;

/// Entries of a list in one request.
const ENTRIES_MAX: usize = 1_000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(policies::show, policies::replace))
        .routes(routes!(quiet_hours::preview))
        .routes(routes!(dnc::check))
        .routes(routes!(dnc::list, dnc::add, dnc::remove))
        .routes(routes!(rnd::check))
        .routes(routes!(rnd::import))
        .routes(routes!(senders::list, senders::create))
        .routes(routes!(senders::show, senders::remove))
}

/// The policy in force, and since when: what was set, or everything off.
async fn policy_of(app: &App, organization: OrgId) -> Result<(Policy, Option<At>), ApiError> {
    let Some(row) = app.store.policy(organization).await? else {
        return Ok((Policy::default(), None));
    };
    let policy = serde_json::from_str(&row.body).ok();
    let policy = policy.and_then(|value| Policy::read(&value).ok());
    Ok((policy.ok_or_else(ApiError::internal)?, Some(At(row.updated_at))))
}

async fn change(app: &App, change: PolicyChange) -> Result<PolicyDone, ApiError> {
    match app.writer.administer(Admin::Policy(change)).await? {
        AdminDone::Policy(done) => Ok(done),
        _ => Err(ApiError::internal()),
    }
}

/// How many rows a change touched.
fn rows(done: PolicyDone) -> u64 {
    match done {
        PolicyDone::Rows(rows) => rows,
        _ => 0,
    }
}

/// The number a query asks about: E.164, or as it is dialled in `country`. A `+` that came as a
/// blank is one.
fn asked_phone(query: &Query) -> Result<String, ApiError> {
    let text = query.get("phone").unwrap_or_default().trim();
    let country = query.get("country").filter(|text| !text.is_empty());
    let read = match country {
        None => {
            let plus = if text.starts_with('+') { "" } else { "+" };
            Recipient::parse(&format!("{plus}{text}")).map(Recipient::into_string)
        }
        Some(country) => quiet::e164(text, country),
    };
    read.ok_or_else(|| not_a_phone("phone", json!(text)).into())
}

fn not_a_phone(field: impl Into<std::borrow::Cow<'static, str>>, value: Value) -> Fault {
    let fault = Fault::new(Code::InvalidPhoneNumber, "this is no phone number");
    fault.field(field).value(value).expected("E.164, as in +14155550123")
}

/// The objects of a list in a body: 1 to `most`.
fn entries<'a>(field: &'static str, list: &'a [Value], most: usize) -> Result<&'a [Value], Fault> {
    if (1..=most).contains(&list.len()) {
        return Ok(list);
    }
    let fault = Fault::new(Code::ValidationError, format!("the field `{field}` is not valid"));
    Err(fault.field(field).value(json!(list.len())).expected(format!("1 to {most} entries")))
}

/// A short text of a list's item: absent and null are none.
fn short_text(
    path: String,
    value: Option<&Value>,
    characters_max: usize,
    faults: &mut Vec<Fault>,
) -> Option<String> {
    let value = value.filter(|value| !value.is_null())?;
    let text = value
        .as_str()
        .filter(|text| text.chars().count() <= characters_max && !text.contains('\0'));
    if text.is_none() {
        let fault = Fault::new(Code::ValidationError, format!("the field `{path}` is not valid"));
        let expected = format!("a text of at most {characters_max} characters, without U+0000");
        faults.push(fault.field(path).value(value.clone()).expected(expected));
    }
    text.map(str::to_owned)
}
