//! `/voice/recording-settings`: whether calls are recorded, and who is told before.
//!
//! It holds for calls that are answered from then on. There is no voice that speaks a text, and nothing is
//! fetched: what is announced is a sound that the operator installed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::refusal::Code;
use model::voice::{Announcement, ConsentMode, RecordingSettings};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::lane::{Admin, AdminDone, RecordingChange, RecordingDone};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeVoice, ReadVoice};
use super::super::body::{self, Field, Kind, Raw, missing, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};

const DAYS_MAX: i64 = 3_650;
const LANGUAGE_MAX: usize = 35;
const MODES: &[&str] = &["none", "announce_inbound", "announce_all"];
const FIELDS: &[Field] = &[
    Field::required("mode", Kind::OneOf(MODES)),
    Field::optional("announcement", Kind::Object),
    Field::optional("default_record", Kind::Flag),
    Field::optional("channels", Kind::Whole),
    Field::optional("format", Kind::Text),
    Field::optional("retention_days", Kind::Whole),
    Field::optional("enforce_jurisdiction", Kind::Flag),
];

/// What is announced.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct AnnouncementIn {
    /// `url`. `tts` is refused: there is no engine.
    #[serde(rename = "type")]
    kind: String,
    /// The name of an installed sound.
    #[schema(example = "consent-en.wav")]
    url: Option<String>,
    #[schema(example = "en-US")]
    language: Option<String>,
}

/// Whether calls are recorded, and who is told before.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({
    "mode": "announce_all",
    "announcement": {"type": "url", "url": "consent-en.wav", "language": "en-US"},
    "default_record": true,
    "retention_days": 90,
}))]
pub(crate) struct RecordingSettingsIn {
    /// Who hears that the call is recorded: `none`, `announce_inbound` (who calls in) or
    /// `announce_all`.
    mode: String,
    /// Needed unless the mode is `none`.
    announcement: Option<AnnouncementIn>,
    /// Whether every call is recorded; else by `POST /voice/calls/{id}/recording`.
    #[serde(default)]
    default_record: bool,
    /// 2: the caller on the left, who was called on the right.
    #[schema(minimum = 2, maximum = 2, default = 2)]
    channels: Option<i64>,
    /// `wav`.
    format: Option<String>,
    /// 1 to 3650.
    #[schema(minimum = 1, maximum = 3650, default = 90)]
    retention_days: Option<i64>,
    /// Nothing is recorded where the law of a party's place asks for more than the mode.
    #[schema(default = true)]
    enforce_jurisdiction: Option<bool>,
}

/// Whether calls are recorded, and who is told before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingSettingsOut {
    #[schema(example = "announce_all")]
    mode: &'static str,
    announcement: Option<AnnouncementIn>,
    default_record: bool,
    channels: u8,
    format: &'static str,
    retention_days: i64,
    enforce_jurisdiction: bool,
}

/// Shows what holds for recordings.
#[utoipa::path(
    get, path = "/voice/recording-settings", operation_id = "get_recording_settings", tag = "voice",
    responses(
        (status = 200, description = "What holds", body = Envelope<RecordingSettingsOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
) -> Result<Response, ApiError> {
    let wanted = app.taping.wanted(caller.organization);
    caller.call.answer(StatusCode::OK, RecordingSettingsOut::of(&wanted))
}

/// Puts others in their place, for calls that are answered from now on.
#[utoipa::path(
    put, path = "/voice/recording-settings", operation_id = "put_recording_settings", tag = "voice",
    request_body = RecordingSettingsIn,
    responses(
        (status = 200, description = "What holds now", body = Envelope<RecordingSettingsOut>),
        (status = 422, description = "A field is refused, or there is no such sound", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    caller.live("a test key changes no recording settings: live calls go by them")?;
    let said: RecordingSettingsIn = body::parse(&raw, FIELDS)?;
    let settings = said.checked(&app).await?;
    let (organization, text) = (caller.organization, settings.to_json());
    let change = RecordingChange::Settings { organization, settings: text };
    // Both see one order of changes.
    let _changing = app.rules_changing.lock().await;
    match app.writer.change(Admin::Recording(Box::new(change))).await? {
        AdminDone::Recording(RecordingDone::Stored) => {}
        _ => return Err(ApiError::internal()),
    }
    app.taping.want(organization, settings.clone());
    caller.call.answer(StatusCode::OK, RecordingSettingsOut::of(&settings))
}

impl RecordingSettingsIn {
    async fn checked(self, app: &App) -> Result<RecordingSettings, ApiError> {
        let mut faults = Vec::new();
        let mode = ConsentMode::parse(&self.mode).unwrap_or_else(|| {
            faults.push(wrong("mode", json!(self.mode)).expected(MODES.join(", ")));
            ConsentMode::None
        });
        let days = self.retention_days.unwrap_or(RecordingSettings::default().retention_days);
        if !(1..=DAYS_MAX).contains(&days) {
            faults.push(wrong("retention_days", json!(days)).expected("1 to 3650"));
        }
        if let Some(channels) = self.channels.filter(|channels| *channels != 2) {
            faults.push(wrong("channels", json!(channels)).expected("2"));
        }
        if let Some(format) = self.format.filter(|format| format != "wav") {
            faults.push(wrong("format", json!(format)).expected("wav"));
        }
        let announcement = match self.announcement {
            Some(announcement) => announcement.checked(app, &mut faults).await,
            None if mode == ConsentMode::None => None,
            None => {
                faults.push(missing("announcement").expected("an installed sound to announce"));
                None
            }
        };
        if !faults.is_empty() {
            return Err(ApiError::faults(faults));
        }
        Ok(RecordingSettings {
            mode,
            announcement,
            default_record: self.default_record,
            retention_days: days,
            enforce_jurisdiction: self.enforce_jurisdiction.unwrap_or(true),
        })
    }
}

impl AnnouncementIn {
    async fn checked(self, app: &App, faults: &mut Vec<Fault>) -> Option<Announcement> {
        let language = self.language.as_deref().unwrap_or_default();
        let is_tag = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
        if language.len() > LANGUAGE_MAX || !language.chars().all(is_tag) {
            let fault = wrong("announcement.language", json!(language));
            faults.push(fault.expected("a language tag, as in en-US"));
        }
        match self.kind.as_str() {
            "url" => {}
            "tts" => {
                let message = "no engine that speaks texts is configured";
                let fault = Fault::new(Code::TtsNotConfigured, message);
                faults.push(fault.field("announcement.type").expected("url"));
                return None;
            }
            other => {
                faults.push(wrong("announcement.type", json!(other)).expected("url"));
                return None;
            }
        }
        let Some(sound) = self.url else {
            faults.push(missing("announcement.url"));
            return None;
        };
        if app.taping.sounds().find(&sound).await.is_none() {
            faults.push(no_sound("announcement.url", &sound));
        }
        Some(Announcement { sound, language: self.language })
    }
}

/// No sound of that name is installed.
pub(super) fn no_sound(field: &'static str, name: &str) -> Fault {
    let message = "no sound of that name is installed; nothing is fetched from elsewhere";
    let fault = Fault::new(Code::SoundNotFound, message).field(field).value(json!(name));
    fault.expected("the name of a WAV file of 8,000 samples a second in media.sounds_dir")
}

impl RecordingSettingsOut {
    fn of(settings: &RecordingSettings) -> Self {
        let announcement = settings.announcement.as_ref().map(|announcement| AnnouncementIn {
            kind: String::from("url"),
            url: Some(announcement.sound.clone()),
            language: announcement.language.clone(),
        });
        Self {
            mode: settings.mode.as_str(),
            announcement,
            default_record: settings.default_record,
            channels: 2,
            format: "wav",
            retention_days: settings.retention_days,
            enforce_jurisdiction: settings.enforce_jurisdiction,
        }
    }
}
