//! Why a message went by its carrier, and where it went when that did not take it.

use model::carrier::{CarrierId, MessageKey};
use model::clock::At;
use model::event::EventKind;
use serde::{Deserialize, Serialize};
use store::{EventRow, MessageRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadMessages};
use super::super::error::ApiError;
use super::output::MessageOut;

/// Events of a message that are looked through: its first, and its few moves, come early.
const EVENTS_MAX: i64 = 500;

/// The decision, as it was taken. Carriers' names are shown of the organization's own.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct RouteOut {
    /// `organization_carrier_prefix`, `organization_carrier_default`, `platform_carrier_prefix`,
    /// `platform_carrier_default`, `organization_rule`, `interceptor`, `sandbox_test` or `sandbox_default`.
    #[schema(example = "platform_carrier_prefix")]
    reason: Option<String>,
    /// What told it from the others: `only`, `health`, `order`, `prefix`, `priority`, `cost`,
    /// `quality`, `weight` or `sticky`.
    by: String,
    /// Carriers that could have taken it.
    among: u64,
    /// Why others could not: `disabled`, `sender_type`, `circuit_open`, `unbound` or `paused`.
    passed: Vec<String>,
    /// Who said which network the recipient is of: `numbering_plan`, `portability`, or
    /// `numbering_plan_instead` when portability did not answer.
    mccmnc_source: String,
    /// The carrier that has it now.
    carrier: Option<String>,
    /// Each time it went to another carrier, oldest first.
    failovers: Vec<FailoverOut>,
}

/// A message, and why it went as it did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoutedOut {
    #[serde(flatten)]
    pub(super) message: MessageOut,
    /// Null of inbound messages, and of scheduled ones that were never routed.
    pub(super) route: Option<RouteOut>,
}

/// One change of carrier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailoverOut {
    at: String,
    from: Option<String>,
    to: Option<String>,
    /// `refused`, `carrier_down`, `circuit_open`, `carrier_disabled`, or `text`: the other parts of its
    /// text went there.
    #[schema(example = "refused")]
    reason: String,
    /// The status that the first carrier answered.
    #[schema(example = "0x00000008 ESME_RSYSERR")]
    carrier_error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chosen {
    route: Option<String>,
    by: Option<String>,
    among: Option<u64>,
    passed: Vec<String>,
    network: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Moved {
    from_carrier: i64,
    to_carrier: i64,
    reason: String,
    carrier_error: Option<String>,
}

fn detail<T: Default + for<'de> Deserialize<'de>>(row: &EventRow) -> T {
    let text = row.detail.as_deref();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The route of an outbound message; `None` while it is only scheduled, or was never routed.
pub(super) async fn of(
    app: &App,
    caller: &Caller<ReadMessages>,
    row: &MessageRow,
) -> Result<Option<RouteOut>, ApiError> {
    let organization = caller.organization;
    let key = MessageKey(row.key);
    let rows = app.store.events(organization, key, 0, EVENTS_MAX).await?;
    let router = app.admission.router();
    let name = |id: CarrierId| router.own_name(organization, id).map(|name| name.to_string());
    // A scheduled message is routed anew when its time has come.
    let created = rows.iter().rfind(|row| row.kind == EventKind::Created.code());
    let Some(created) = created else { return Ok(None) };
    let chosen: Chosen = detail(created);
    let moves = rows.iter().filter(|row| row.kind == EventKind::Diverted.code());
    let failovers = moves.map(|row| {
        let moved: Moved = detail(row);
        FailoverOut {
            at: At(row.at).iso(),
            from: name(CarrierId(moved.from_carrier)),
            to: name(CarrierId(moved.to_carrier)),
            reason: moved.reason,
            carrier_error: moved.carrier_error,
        }
    });
    Ok(Some(RouteOut {
        reason: chosen.route,
        by: chosen.by.unwrap_or_else(|| String::from("only")),
        among: chosen.among.unwrap_or(1),
        passed: chosen.passed,
        mccmnc_source: chosen.network.unwrap_or_else(|| String::from("numbering_plan")),
        carrier: row.carrier.clone().filter(|name| router.owns(organization, name)),
        failovers: failovers.collect(),
    }))
}
