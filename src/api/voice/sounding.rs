//! `POST /voice/calls/{id}/recording` and `POST|DELETE /voice/calls/{id}/play`: what a call that goes on
//! records, and what it plays to its sides. The call's actor does it.

use actors::media::{Refused, Side, Sound, ToneName};
use actors::sip::call::{Barrier, Order, TapeOrder, Unobeyed};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::MessageKey;
use model::country::{is_country, is_north_american};
use model::refusal::Code;
use serde::Deserialize;
use serde_json::json;
use store::CallRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeVoice};
use super::super::body::{self, Field, Kind, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::orders::{body_of, find_to_change, give, unobeyed};
use super::output::CallDetailOut;
use super::recordings::RecordingOut;
use super::taping::no_sound;

const ACTIONS: &[&str] = &["start", "pause", "resume", "stop"];
const RECORDING_FIELDS: &[Field] = &[Field::required("action", Kind::OneOf(ACTIONS))];
const TONES: &[&str] = &["ringback", "busy", "dial", "congestion", "beep"];
const SIDES: &[&str] = &["a", "b", "both"];
const PLAY_FIELDS: &[Field] = &[
    Field::optional("url", Kind::Text),
    Field::optional("text", Kind::Text),
    Field::optional("tone", Kind::OneOf(TONES)),
    Field::optional("country", Kind::Text),
    Field::optional("loop", Kind::Flag),
    Field::optional("leg", Kind::OneOf(SIDES)),
];
const STOP_FIELDS: &[Field] = &[Field::optional("leg", Kind::OneOf(SIDES))];

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordingAction {
    Start,
    /// What is said meanwhile is silence in the file: for the numbers of cards.
    Pause,
    Resume,
    Stop,
}

/// What is to become of the recording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"action": "start"}))]
pub(crate) struct RecordingIn {
    action: RecordingAction,
}

/// One side of a call, or both.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Legs {
    A,
    B,
    #[default]
    Both,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    Ringback,
    Busy,
    Dial,
    Congestion,
    Beep,
}

/// What to play: one of `url` and `tone`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "please-hold.wav", "loop": true, "leg": "b"}))]
pub(crate) struct PlayIn {
    /// The name of an installed sound.
    url: Option<String>,
    /// Refused: there is no engine that speaks texts.
    text: Option<String>,
    tone: Option<Tone>,
    /// Whose tone, ISO 3166: those of North America, or else those of Europe.
    #[schema(example = "US")]
    country: Option<String>,
    /// Again and again, until something else is played or it is stopped.
    #[serde(rename = "loop", default)]
    repeats: bool,
    /// Who hears it: `a` who called, `b` who was called, or `both`.
    #[serde(default)]
    leg: Legs,
}

/// Who is to hear nothing of ours any more.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"leg": "both"}))]
pub(crate) struct StopPlayIn {
    #[serde(default)]
    leg: Legs,
}

/// Begins, pauses, resumes or ends the recording of a call.
#[utoipa::path(
    post, path = "/voice/calls/{id}/recording", operation_id = "record_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = RecordingIn,
    responses(
        (status = 200, description = "The recording; one that was stopped is `in_progress` until its \
            file is whole", body = Envelope<RecordingOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "`CONSENT_REQUIRED`: it was to be announced before and was not, or \
            a party's place asks for more than the mode; or the call is not in progress, is recorded \
            already or is not, or speaks neither PCMU nor PCMA", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn record(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said: RecordingIn = body::parse(&raw, RECORDING_FIELDS)?;
    let order = match said.action {
        RecordingAction::Start => TapeOrder::Start,
        RecordingAction::Pause => TapeOrder::Pause,
        RecordingAction::Resume => TapeOrder::Resume,
        RecordingAction::Stop => TapeOrder::Stop,
    };
    let call = MessageKey(row.key);
    if row.ended_at.is_some() {
        return Err(unobeyed(&row, Unobeyed::NotUp));
    }
    let done = app.calls.order(call, Order::Record(order)).await;
    done.map_err(|why| unrecorded(&row, why))?;
    let newest = app.store.recordings(caller.organization, (Some(call), None), i64::MAX, 1).await?;
    let newest = newest.first().ok_or_else(ApiError::internal)?;
    caller.call.answer(StatusCode::OK, RecordingOut::of(newest))
}

/// Why a recording does not do what it is told.
fn unrecorded(row: &CallRow, why: Unobeyed) -> ApiError {
    let conflict = |message: &'static str| ApiError::new(Code::Conflict, message);
    let consent = |message: String| {
        let mut error = ApiError::new(Code::ConsentRequired, message);
        error.status = StatusCode::CONFLICT;
        error
    };
    match why {
        Unobeyed::Unrecorded(Barrier::Unannounced) => {
            consent(String::from("the recording was not announced to the sides of this call"))
        }
        Unobeyed::Unrecorded(Barrier::Jurisdiction(demand)) => {
            let mode = demand.mode.as_str();
            let message = format!("recording a party in {} asks for {mode}", demand.region);
            consent(message)
                .detail("required_mode", json!(mode))
                .detail("region", json!(demand.region))
        }
        Unobeyed::Unrecorded(Barrier::Codec) => {
            conflict("a side of the call speaks neither PCMU nor PCMA")
        }
        Unobeyed::Sound(Refused::Recording) => conflict("the call is recorded already"),
        Unobeyed::Sound(Refused::NotRecording) => conflict("the call is not recorded"),
        other => unobeyed(row, other),
    }
}

/// Plays a sound to the sides of a call, in the place of what they hear else.
#[utoipa::path(
    post, path = "/voice/calls/{id}/play", operation_id = "play_to_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = PlayIn,
    responses(
        (status = 200, description = "The call; it is played", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress, something is announced, or who is to \
            hear it speaks neither PCMU nor PCMA", body = ErrorOut),
        (status = 422, description = "A field is refused; `SOUND_NOT_FOUND`; `TTS_NOT_CONFIGURED`",
            body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn play(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said: PlayIn = body::parse(&raw, PLAY_FIELDS)?;
    let (sides, repeats) = (said.leg.sides(), said.repeats);
    let sound = said.sound(&app).await?;
    give((&app, &caller), row, Order::Play { sides, sound, repeats }).await
}

/// Stops what is played; who waits hears music again, if there is any.
#[utoipa::path(
    delete, path = "/voice/calls/{id}/play", operation_id = "stop_playing_to_call", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = Option<StopPlayIn>,
    responses(
        (status = 200, description = "The call", body = Envelope<CallDetailOut>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = 409, description = "The call is not in progress, or something is announced",
            body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn stop_playing(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said: StopPlayIn = body_of(&app, request, STOP_FIELDS).await?;
    give((&app, &caller), row, Order::StopPlaying { sides: said.leg.sides() }).await
}

impl Legs {
    fn sides(self) -> Vec<Side> {
        match self {
            Self::A => vec![Side::A],
            Self::B => vec![Side::B],
            Self::Both => Side::BOTH.to_vec(),
        }
    }
}

impl PlayIn {
    async fn sound(self, app: &App) -> Result<Sound, ApiError> {
        if self.text.is_some() {
            let message = "no engine that speaks texts is configured";
            return Err(Fault::new(Code::TtsNotConfigured, message).field("text").into());
        }
        match (self.url, self.tone) {
            (Some(name), None) => {
                let found = app.taping.sounds().find(&name).await;
                found.ok_or_else(|| no_sound("url", &name).into())
            }
            (None, Some(name)) => tone(name, self.country.as_deref()),
            _ => {
                let fault = Fault::new(Code::ValidationError, "what is to be played is not said");
                Err(fault.field("url").expected("one of url and tone").into())
            }
        }
    }
}

/// The tone of a country.
fn tone(name: Tone, country: Option<&str>) -> Result<Sound, ApiError> {
    if let Some(country) = country.filter(|country| !is_country(country)) {
        return Err(wrong("country", json!(country)).expected("US, DE and the like").into());
    }
    let name = match name {
        Tone::Ringback => ToneName::Ringback,
        Tone::Busy => ToneName::Busy,
        Tone::Dial => ToneName::Dial,
        Tone::Congestion => ToneName::Congestion,
        Tone::Beep => ToneName::Beep,
    };
    Ok(Sound::tone(name, country.is_some_and(is_north_american)))
}

/// A sound that a request names, if it names one.
pub(super) async fn music(app: &App, name: Option<&str>) -> Result<Option<Sound>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    let found = app.taping.sounds().find(name).await;
    found.map(Some).ok_or_else(|| no_sound("music_url", name).into())
}
