//! `GET /compliance/quiet-hours/preview`: may this number be written to now, and when else?

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::policy::CHANNELS;
use model::quiet::{self, Reading, Window};
use model::refusal::Code;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadCompliance};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::page::Query;

/// What the clocks of a number say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuietHoursPreviewOut {
    #[schema(example = "sms")]
    channel: String,
    allowed_now: bool,
    /// The hour that the clock shows there.
    #[schema(example = 22)]
    local_hour: i8,
    /// Of several zones, one that forbids it, else the first.
    #[schema(example = "Europe/Berlin")]
    local_timezone: String,
    /// Null for channels without quiet hours.
    #[schema(example = "08:00")]
    window_start_local: Option<String>,
    #[schema(example = "21:00")]
    window_end_local: Option<String>,
    /// Null when it is allowed now, or when no moment of the next eight days suits all zones.
    next_allowed_at: Option<String>,
    /// `outside_window`, `exempt_channel`, or null.
    #[schema(example = "outside_window")]
    reason: Option<&'static str>,
    /// Quiet hours are switched on: a send now would be refused or deferred.
    enforced: bool,
    /// `reject` or `defer`.
    #[schema(example = "reject")]
    policy: &'static str,
}

/// Says whether a number may be written to now by quiet hours, switched on or not.
#[utoipa::path(
    get, path = "/compliance/quiet-hours/preview", operation_id = "preview_quiet_hours",
    tag = "compliance",
    params(
        ("phone" = String, Query, description = "E.164"),
        ("channel" = Option<String>, Query, description = "`sms` when left out"),
        ("country" = Option<String>, Query, description = "Of a number that is not E.164"),
        ("timezone_override" = Option<String>, Query, description = "An IANA time zone, in the \
            place of the number's"),
    ),
    responses(
        (status = 200, description = "What the clocks say", body = Envelope<QuietHoursPreviewOut>),
        (status = 422, description = "The number or the channel is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn preview(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let phone = super::asked_phone(&query)?;
    let channel = query.get("channel").unwrap_or("sms");
    if !CHANNELS.contains(&channel) {
        let fault = Fault::new(Code::InvalidChannel, "there is no such channel");
        let fault = fault.field("channel").value(json!(channel));
        return Err(fault.expected(CHANNELS.join(", ")).into());
    }
    let zones = match query.get("timezone_override") {
        None => quiet::zones_of(&phone),
        Some(name) => vec![quiet::zone(name).ok_or_else(|| {
            ApiError::query("timezone_override", name, "an IANA time zone, as in Europe/Berlin")
        })?],
    };
    let (policy, _) = super::policy_of(&app, caller.organization).await?;
    let hours = policy.quiet_hours;
    let window = hours.window(channel, quiet::country_of(&phone));
    let always = Window::hours(0, 24);
    let reading = quiet::read(&zones, window.unwrap_or(always), caller.call.at());
    let mut out = QuietHoursPreviewOut::new(channel, window, reading);
    out.enforced = hours.enabled;
    out.policy = if hours.defer { "defer" } else { "reject" };
    caller.call.answer(StatusCode::OK, out)
}

impl QuietHoursPreviewOut {
    fn new(channel: &str, window: Option<Window>, reading: Reading) -> Self {
        let reason = match window {
            None => Some("exempt_channel"),
            Some(_) => (!reading.allowed).then_some("outside_window"),
        };
        Self {
            channel: channel.to_owned(),
            allowed_now: reading.allowed,
            local_hour: reading.hour,
            local_timezone: reading.zone,
            window_start_local: window.map(|window| window.start()),
            window_end_local: window.map(|window| window.end()),
            next_allowed_at: reading.next_allowed.filter(|_| !reading.allowed).map(|at| at.iso()),
            reason,
            enforced: false,
            policy: "reject",
        }
    }
}
