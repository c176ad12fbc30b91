//! `POST /voice/calls/{id}/hangup`, `/hold`, `/unhold`, `/mute`, `/unmute` and `/dtmf`: what a call that goes on is told to do.
//!
//! The call's actor does it; here is who may, and what is answered. Hanging up is answered when the end is
//! stored, and again with the same for a call that is over, so that it may be repeated.

use std::time::Duration;

use actors::media::{Refused, Side};
use actors::sip::call::{Order, Unobeyed};
use axum::body::HttpBody as _;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::MessageKey;
use model::message::Direction;
use model::refusal::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use store::CallRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeVoice};
use super::super::body::{self, Field, Kind, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::output::CallDetailOut;
use super::sounding::music;
use super::{detail, find};

const DIGITS_MAX: usize = 64;
const PRESS_MS: i64 = 160;
const PRESS_MS_MIN: i64 = 40;
const PRESS_MS_MAX: i64 = 2_000;

pub(super) const SIDES: &[&str] = &["a", "b"];
const LEG_FIELDS: &[Field] = &[Field::optional("leg", Kind::OneOf(SIDES))];
const HOLD_FIELDS: &[Field] =
    &[Field::optional("leg", Kind::OneOf(SIDES)), Field::optional("music_url", Kind::Text)];
const PRESS_FIELDS: &[Field] = &[
    Field::required("digits", Kind::Text),
    Field::optional("duration_ms", Kind::Whole),
    Field::optional("leg", Kind::OneOf(SIDES)),
];

/// A side of a call.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LegName {
    A,
    B,
}

/// Whose microphone.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"leg": "a"}))]
pub(crate) struct MuteIn {
    /// `a` who called, `b` who was called; when left out the side of yours: who called of an outbound
    /// call, who was called of an inbound one.
    leg: Option<LegName>,
}

/// Who is to wait.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"leg": "b"}))]
pub(crate) struct HoldIn {
    /// `a` who called, `b` who was called; when left out the side that is not yours.
    leg: Option<LegName>,
    /// The name of an installed sound, which it hears meanwhile; when left out the operator's music, if
    /// there is any.
    music_url: Option<String>,
}

/// Digits to press.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"digits": "12w34#"}))]
pub(crate) struct DtmfIn {
    /// 1 to 64 of `0` to `9`, `*`, `#`, `A` to `D`; `w` waits half a second.
    digits: String,
    /// Of each, 40 to 2000.
    #[schema(minimum = 40, maximum = 2000, default = 160)]
    duration_ms: Option<i64>,
    /// Who hears them: `a` who called, `b` who was called; when left out the side that is not yours.
    leg: Option<LegName>,
}

/// Ends a call, or gives it up while it rings.
#[utoipa::path(
    post, path = "/voice/calls/{id}/hangup", operation_id = "hang_up_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The call, which is over", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 503, description = "It is not known to be over: ask again", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn hang_up(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    if row.ended_at.is_none() {
        let told = app.calls.order(MessageKey(row.key), Order::HangUp).await;
        return over((&app, &caller), &id, told).await;
    }
    shown(&app, &caller, row).await
}

/// Refuses a call to a number of yours while it rings: who calls hears `486 Busy Here`.
#[utoipa::path(
    post, path = "/voice/calls/{id}/decline", operation_id = "decline_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The call, which is over", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is yours, or rings no more", body = ErrorOut),
        (status = 503, description = "It is not known to be over: ask again", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn decline(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let is_inbound = Direction::from_code(row.direction) == Some(Direction::Inbound);
    if !is_inbound || row.answered_at.is_some() || row.ended_at.is_some() {
        return Err(unobeyed(&row, Unobeyed::NotRinging));
    }
    match app.calls.order(MessageKey(row.key), Order::Decline).await {
        Err(why @ Unobeyed::NotRinging) => Err(unobeyed(&row, why)),
        told => over((&app, &caller), &id, told).await,
    }
}

/// The call that was told to end.
async fn over(
    (app, caller): (&App, &Caller<ChangeVoice>),
    id: &str,
    told: Result<(), Unobeyed>,
) -> Result<Response, ApiError> {
    let row = find(app, caller, id).await?;
    if row.ended_at.is_none() {
        tracing::warn!(call = row.key, ?told, "a call that was to end is not over yet");
        return Err(Refusal::unavailable("the call is not known to be over").into());
    }
    shown(app, caller, row).await
}

/// Has one side of a call wait: it is offered `sendonly`, is not heard, and hears music if there is any.
#[utoipa::path(
    post, path = "/voice/calls/{id}/hold", operation_id = "hold_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = Option<HoldIn>,
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress, or its sides are agreeing on \
            something else", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn hold(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    held((&app, &caller), &id, request, true).await
}

/// Takes a side back that waits.
#[utoipa::path(
    post, path = "/voice/calls/{id}/unhold", operation_id = "unhold_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = Option<HoldIn>,
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress, or its sides are agreeing on \
            something else", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn unhold(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    held((&app, &caller), &id, request, false).await
}

/// Silences one side of a call.
#[utoipa::path(
    post, path = "/voice/calls/{id}/mute", operation_id = "mute_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = Option<MuteIn>,
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn mute(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    muted((&app, &caller), &id, request, true).await
}

/// Lets a side be heard again.
#[utoipa::path(
    post, path = "/voice/calls/{id}/unmute", operation_id = "unmute_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = Option<MuteIn>,
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn unmute(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    muted((&app, &caller), &id, request, false).await
}

/// Presses digits, as RFC 4733 events.
#[utoipa::path(
    post, path = "/voice/calls/{id}/dtmf", operation_id = "press_digits", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = DtmfIn,
    responses(
        (status = 200, description = "The call; the digits are on their way",
            body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress, or who is to hear them takes no \
            digits", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn press(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said: DtmfIn = body::parse(&raw, PRESS_FIELDS)?;
    let side = said.leg.map_or_else(|| ours(&row).other(), Side::from);
    let (digits, duration) = said.checked()?;
    give((&app, &caller), row, Order::Press { side, digits, duration }).await
}

async fn muted(
    (app, caller): (&App, &Caller<ChangeVoice>),
    id: &str,
    request: Request,
    on: bool,
) -> Result<Response, ApiError> {
    let row = find_to_change(app, caller, id).await?;
    let said: MuteIn = body_of(app, request, LEG_FIELDS).await?;
    let side = said.leg.map_or_else(|| ours(&row), Side::from);
    give((app, caller), row, Order::Mute { side, on }).await
}

async fn held(
    (app, caller): (&App, &Caller<ChangeVoice>),
    id: &str,
    request: Request,
    on: bool,
) -> Result<Response, ApiError> {
    let row = find_to_change(app, caller, id).await?;
    let said: HoldIn = body_of(app, request, HOLD_FIELDS).await?;
    let side = said.leg.map_or_else(|| ours(&row).other(), Side::from);
    let music = music(app, said.music_url.as_deref()).await?;
    give((app, caller), row, Order::Hold { side, on, music }).await
}

/// A body that may be left out.
pub(super) async fn body_of<T: DeserializeOwned + Default>(
    app: &App,
    request: Request,
    fields: &[Field],
) -> Result<T, ApiError> {
    match request.body().size_hint().exact() {
        Some(0) => Ok(T::default()),
        _ => body::parse(&body::read(request, &app.http).await?, fields),
    }
}

/// Tells a call in progress to do something.
pub(super) async fn give(
    (app, caller): (&App, &Caller<ChangeVoice>),
    row: CallRow,
    order: Order,
) -> Result<Response, ApiError> {
    if row.ended_at.is_some() {
        return Err(unobeyed(&row, Unobeyed::NotUp));
    }
    match app.calls.order(MessageKey(row.key), order).await {
        Ok(()) => {
            let id = id_of(model::id::Kind::Call, &row.id);
            shown(app, caller, find(app, caller, &id).await?).await
        }
        Err(why) => Err(unobeyed(&row, why)),
    }
}

/// Why a call does not do what it is told.
pub(super) fn unobeyed(row: &CallRow, why: Unobeyed) -> ApiError {
    let conflict = |message: &'static str| ApiError::new(Code::Conflict, message);
    match why {
        Unobeyed::NotUp | Unobeyed::Gone => conflict("the call is not in progress"),
        Unobeyed::NotRinging => conflict("no call to a number of yours rings there any more"),
        Unobeyed::Elsewhere => conflict("the call was joined to another one: ask that one"),
        error @ (Unobeyed::NoTelephone | Unobeyed::Undialled(_) | Unobeyed::NotJoined(_)) => {
            super::transfer::refused(&error)
        }
        Unobeyed::Busy => {
            conflict("the sides of the call are agreeing on something else: ask again")
        }
        Unobeyed::Sound(Refused::NoEvents) => conflict("who is to hear the digits takes none"),
        Unobeyed::Sound(Refused::NoLaw) => {
            conflict("who is to hear it speaks neither PCMU nor PCMA")
        }
        error @ (Unobeyed::Late
        | Unobeyed::NotStored
        | Unobeyed::Unrecorded(_)
        | Unobeyed::Sound(_)) => {
            tracing::warn!(call = row.key, %error, "a call does not obey");
            Refusal::unavailable("the call does not obey now").into()
        }
    }
}

pub(super) async fn find_to_change(
    app: &App,
    caller: &Caller<ChangeVoice>,
    id: &str,
) -> Result<CallRow, ApiError> {
    let row = find(app, caller, id).await?;
    if row.test_mode == 0 {
        caller.live("a test key changes no live calls")?;
    }
    Ok(row)
}

async fn shown(
    app: &App,
    caller: &Caller<ChangeVoice>,
    row: CallRow,
) -> Result<Response, ApiError> {
    caller.call.answer(StatusCode::OK, detail(app, caller, row).await?)
}

/// The side of the organization's own people.
pub(super) fn ours(row: &CallRow) -> Side {
    match Direction::from_code(row.direction) {
        Some(Direction::Inbound) => Side::B,
        _ => Side::A,
    }
}

impl From<LegName> for Side {
    fn from(leg: LegName) -> Self {
        match leg {
            LegName::A => Self::A,
            LegName::B => Self::B,
        }
    }
}

impl DtmfIn {
    fn checked(self) -> Result<(String, Duration), ApiError> {
        let mut faults = Vec::new();
        let is_digit = |sign: char| matches!(sign, '0'..='9' | '*' | '#' | 'A'..='D' | 'w');
        if !(1..=DIGITS_MAX).contains(&self.digits.len()) || !self.digits.chars().all(is_digit) {
            // What was pressed is not repeated: it may be a secret number.
            let fault = wrong("digits", json!("***"));
            faults.push(fault.expected("1 to 64 of 0 to 9, *, #, A to D and w"));
        }
        let millis = self.duration_ms.unwrap_or(PRESS_MS);
        if !(PRESS_MS_MIN..=PRESS_MS_MAX).contains(&millis) {
            faults.push(wrong("duration_ms", json!(millis)).expected("40 to 2000"));
        }
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok((self.digits, Duration::from_millis(millis.unsigned_abs())))
    }
}
