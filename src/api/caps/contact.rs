//! `GET /contacts/{id}/frequency-caps`: how one recipient stands with the rules in force. There
//! are no contacts yet: `{id}` is the phone number.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::address::Recipient;
use model::refusal::Code;
use serde::Serialize;
use store::CapStanding;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadCompliance};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::read::CapOut;

/// One recipient and the rules in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContactCapsOut {
    #[schema(example = "+14155550123")]
    address: String,
    /// Counted of test messages, as the caller's key is.
    test_mode: bool,
    /// Rules that name a channel.
    grouped_by_channel: BTreeMap<String, Vec<CapStandingOut>>,
    /// Rules for every channel.
    global_caps: Vec<CapStandingOut>,
}

/// A rule, and how the recipient stands with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapStandingOut {
    #[serde(flatten)]
    rule: CapOut,
    /// Messages within the window that ends now.
    #[schema(example = 3)]
    current_count: i64,
    remaining: i64,
    /// When there is room again; null: there is room now.
    next_available_at: Option<String>,
}

/// Shows how one recipient stands with the rules in force.
#[utoipa::path(
    get, path = "/contacts/{id}/frequency-caps", operation_id = "get_contact_frequency_caps",
    tag = "frequency-caps",
    params(("id" = String, Path, description = "A phone number", example = "+14155550123")),
    responses(
        (status = 200, description = "The rules, and what they count", body = Envelope<ContactCapsOut>),
        (status = 404, description = "This is no phone number", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let address = Recipient::parse(&format!("+{}", id.trim_start_matches('+')));
    let address = address.ok_or_else(|| {
        ApiError::new(Code::NotFound, "there is no such contact; a phone number is one")
    })?;
    let now = caller.call.at();
    let standings =
        app.store.cap_standings(caller.organization, address.as_str(), caller.test, now).await?;
    let mut out = ContactCapsOut {
        address: address.into_string(),
        test_mode: caller.test,
        grouped_by_channel: BTreeMap::new(),
        global_caps: Vec::new(),
    };
    for standing in standings.into_iter().map(CapStandingOut::from) {
        match standing.rule.channel.clone() {
            Some(channel) => out.grouped_by_channel.entry(channel).or_default().push(standing),
            None => out.global_caps.push(standing),
        }
    }
    caller.call.answer(StatusCode::OK, out)
}

impl From<CapStanding> for CapStandingOut {
    fn from(standing: CapStanding) -> Self {
        let rule = CapOut::from(standing.rule);
        Self {
            current_count: standing.count,
            remaining: (rule.limit - standing.count).max(0),
            next_available_at: standing.free_at.map(|at| at.iso()),
            rule,
        }
    }
}
