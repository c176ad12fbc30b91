//! `POST /voice/calls/{id}/transfer`: somebody in a call is sent to talk to somebody else.
//!
//! Blind, to what the organization's telephone in the call could dial; attended, to who is left of another
//! call of the organization. It is answered when the call has taken the order; how it went is in the
//! call's events.

use actors::media::Side;
use actors::sip::call::{Order, Undialled, Unobeyed};
use axum::extract::{Path, State};
use axum::response::Response;
use model::carrier::MessageKey;
use model::refusal::Code;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeVoice};
use super::super::body::{self, Field, Kind, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::orders::{LegName, SIDES, find_to_change, give, ours};
use super::output::CallDetailOut;

const TO_MAX: usize = 128;
const TYPES: &[&str] = &["blind", "attended"];
const FIELDS: &[Field] = &[
    Field::optional("to", Kind::Text),
    Field::optional("type", Kind::OneOf(TYPES)),
    Field::optional("call_id", Kind::Text),
    Field::optional("leg", Kind::OneOf(SIDES)),
    Field::optional("queue_id", Kind::Text),
    Field::optional("agent_id", Kind::Text),
];

/// How somebody is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransferType {
    /// Whoever is dialled is rung, and talks once it answers.
    #[default]
    Blind,
    /// Whoever is left of another call talks at once.
    Attended,
}

/// Whom to send where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+14155550123", "type": "blind"}))]
pub(crate) struct TransferIn {
    /// What a telephone would dial: an extension, a name, a number. For `blind`.
    to: Option<String>,
    #[serde(rename = "type", default)]
    kind: TransferType,
    /// The other call. For `attended`.
    call_id: Option<String>,
    /// Who is sent: `a` who called, `b` who was called; when left out the side that is not yours.
    leg: Option<LegName>,
    /// Not served yet: 422.
    queue_id: Option<String>,
    /// Not served yet: 422.
    agent_id: Option<String>,
}

/// Where somebody is sent.
enum Target {
    Dialled(String),
    Call(String),
}

/// Sends who is in a call to somebody else.
#[utoipa::path(
    post, path = "/voice/calls/{id}/transfer", operation_id = "transfer_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = TransferIn,
    responses(
        (status = 200, description = "The call; whoever is dialled rings, or the other call is being \
            joined", body = Envelope<CallDetailOut>),
        (status = 403, description = "The destination is closed", body = ErrorOut),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "A call is not in progress, has no telephone of yours, or is \
            agreeing on something else", body = ErrorOut),
        (status = 422, description = "A field is refused, or what it dials", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn transfer(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said: TransferIn = body::parse(&raw, FIELDS)?;
    let sent = said.leg.map_or_else(|| ours(&row).other(), Side::from);
    let side = sent.other();
    let order = match said.target()? {
        Target::Dialled(to) => Order::Send { side, to },
        Target::Call(other) => {
            let other = find_to_change(&app, &caller, &other).await?;
            let leaves = ours(&other);
            let holder = app.calls.holder(MessageKey(other.key));
            let not_up = || ApiError::new(Code::Conflict, "the other call is not in progress");
            Order::Join { side, other: holder.ok_or_else(not_up)?, leaves }
        }
    };
    give((&app, &caller), row, order).await
}

/// Why a call was not transferred.
pub(super) fn refused(why: &Unobeyed) -> ApiError {
    let to = |code, message: &'static str| ApiError::from(Fault::new(code, message).field("to"));
    match why {
        Unobeyed::Undialled(why) => match why {
            Undialled::Emergency => to(
                Code::EmergencyCallingNotSupported,
                "no call reaches help through this switch: dial by another telephone",
            ),
            Undialled::Unknown => {
                to(Code::ValidationError, "nobody has that extension, name or number")
            }
            Undialled::Unreadable => to(Code::InvalidPhoneNumber, "no telephone dials that"),
            Undialled::NotAllowed => {
                to(Code::DestinationNotAllowed, "the telephone may not call there")
            }
            Undialled::Fraud => to(Code::FraudBlocked, "numbers with this prefix are not called"),
            Undialled::CallerId => {
                to(Code::CallerIdNotOwned, "the telephone's number is not of the organization")
            }
            Undialled::NoCallerId => to(Code::NoDefaultNumber, "there is no number to call from"),
            Undialled::NoPrice => to(Code::NoPrice, "nothing says what a call to there costs"),
            Undialled::NoRoute => to(Code::NoRoute, "no carrier takes calls to there"),
            Undialled::Sandbox => to(Code::WrongKeyMode, "a test call leaves the switch nowhere"),
            Undialled::Declined | Undialled::Rejected(_) | Undialled::TooManyHops => {
                to(Code::Conflict, "the number takes no calls now")
            }
        },
        Unobeyed::NoTelephone => {
            let message = "no telephone of yours is on the other side of who would be sent";
            ApiError::new(Code::Conflict, message)
        }
        other => ApiError::new(Code::Conflict, other.to_string()),
    }
}

impl TransferIn {
    fn target(self) -> Result<Target, ApiError> {
        let mut faults = Vec::new();
        for (field, given) in [("queue_id", self.queue_id), ("agent_id", self.agent_id)] {
            if let Some(value) = given {
                faults.push(wrong(field, json!(value)).expected("nothing: not served yet"));
            }
        }
        let (to, call) = (self.to, self.call_id);
        let target = match (self.kind, to, call) {
            (TransferType::Blind, Some(to), None) => {
                if to.trim().is_empty() || to.len() > TO_MAX || to.chars().any(char::is_control) {
                    faults.push(wrong("to", json!(to)).expected("what a telephone dials"));
                }
                Some(Target::Dialled(to))
            }
            (TransferType::Attended, None, Some(call)) => Some(Target::Call(call)),
            (TransferType::Blind, None, _) if faults.is_empty() => {
                let message = "the field `to` is missing";
                faults.push(Fault::new(Code::MissingRequiredField, message).field("to"));
                None
            }
            (TransferType::Attended, _, None) if faults.is_empty() => {
                let message = "the field `call_id` is missing";
                faults.push(Fault::new(Code::MissingRequiredField, message).field("call_id"));
                None
            }
            (TransferType::Blind, _, Some(call)) => {
                faults.push(wrong("call_id", json!(call)).expected("only with type attended"));
                None
            }
            (TransferType::Attended, Some(to), _) => {
                faults.push(wrong("to", json!(to)).expected("only with type blind"));
                None
            }
            _ => None,
        };
        match target {
            Some(target) if faults.is_empty() => Ok(target),
            _ => Err(ApiError::faults(faults)),
        }
    }
}
