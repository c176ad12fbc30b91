//! `/voice/recordings`: what was recorded of calls, as rows and as files.
//!
//! A file is sent as it lies there, in pieces: a client that is slow holds one piece in memory. What is
//! deleted is gone from here at once, and from the disk a moment later.

use std::io::SeekFrom;
use std::path::PathBuf;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use model::carrier::MessageKey;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::Code;
use model::voice::RecordingStatus;
use serde::Serialize;
use store::RecordingRow;
use store::lane::{Admin, AdminDone, RecordingChange, RecordingDone};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeVoice, ReadVoice};
use super::super::call::Envelope;
use super::super::chunks::{Chunk, chunked};
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::super::page::{List, Page, Pagination, Query};
use super::find as find_call;
use super::output::RecordingConsentOut;

/// Octets of a piece of a file.
const PIECE: usize = 64 * 1_024;
/// Pieces that may be ready before the client takes them.
const AHEAD: usize = 2;

/// A recording of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingOut {
    #[schema(example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    call_id: String,
    /// `in_progress`, `available` or `failed`.
    #[schema(example = "available")]
    status: &'static str,
    test_mode: bool,
    /// Null while it is in progress.
    duration_seconds: Option<i64>,
    /// The caller is on the left.
    channels: u8,
    /// PCM of 16 bits, 8,000 samples a second.
    format: &'static str,
    size_bytes: Option<i64>,
    /// Where its file is; null while there is none.
    #[schema(example = "/api/v1/voice/recordings/rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00/media")]
    url: Option<String>,
    consent: RecordingConsentOut,
    /// What the disk was too slow for; it is silence in the file.
    lost_ms: Option<i64>,
    /// Why it failed, as `storage_failed`.
    reason: Option<String>,
    started_at: String,
    ended_at: Option<String>,
    /// When its file goes.
    expires_at: String,
}

/// What is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingDeletedOut {
    #[schema(example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    deleted: bool,
}

impl RecordingOut {
    pub(super) fn of(row: &RecordingRow) -> Self {
        let id = id_of(Kind::Recording, &row.public_id);
        let status = RecordingStatus::from_code(row.status).unwrap_or(RecordingStatus::Failed);
        let iso = |at: Option<i64>| at.map(|at| At(at).iso());
        Self {
            url: has_file(row).then(|| format!("/api/v1/voice/recordings/{id}/media")),
            id,
            call_id: id_of(Kind::Call, &row.call_id),
            status: status.as_str(),
            test_mode: row.test_mode != 0,
            duration_seconds: row.duration_ms.map(|millis| millis / 1_000),
            channels: 2,
            format: "wav",
            size_bytes: row.size_bytes,
            consent: RecordingConsentOut {
                mode: row.consent_mode.clone(),
                announced_at: iso(row.announced_at),
            },
            lost_ms: row.lost_ms,
            reason: row.fault.clone(),
            started_at: At(row.started_at).iso(),
            ended_at: iso(row.ended_at),
            expires_at: At(row.expires_at).iso(),
        }
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    pub(super) fn consent(&self) -> RecordingConsentOut {
        self.consent.clone()
    }
}

fn has_file(row: &RecordingRow) -> bool {
    row.size_bytes.is_some_and(|size| size > 0)
}

/// Lists recordings, newest first.
#[utoipa::path(
    get, path = "/voice/recordings", operation_id = "list_recordings", tag = "voice",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("call_id" = Option<String>, Query, description = "Of this call only, `call_…`"),
        ("status" = Option<String>, Query, description = "`in_progress`, `available` or `failed`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<RecordingOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let status = query.get("status").map(|text| {
        let known = RecordingStatus::parse(text);
        let known = known.filter(|status| *status != RecordingStatus::Deleted);
        let wrong = || ApiError::query("status", text, "a status, as in available");
        known.map(RecordingStatus::code).ok_or_else(wrong)
    });
    let status = status.transpose()?;
    let page = Page::newest_first(&app, &caller, List::Recordings, &query)?;
    let call = match query.get("call_id") {
        None => None,
        Some(text) => {
            let wrong = || ApiError::query("call_id", text, "call_ and 32 hexadecimal digits");
            let id = PublicId::parse(Kind::Call, text).ok_or_else(wrong)?;
            let Some(call) = app.store.call(caller.organization, id).await? else {
                let none = Pagination { cursor: None, has_more: false, total: None };
                return caller.call.page(Vec::<RecordingOut>::new(), none);
            };
            Some(MessageKey(call.key))
        }
    };
    let (organization, wanted) = (caller.organization, (call, status));
    let mut rows = app.store.recordings(organization, wanted, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    caller.call.page(rows.iter().map(RecordingOut::of).collect(), pagination)
}

/// Lists the recordings of a call, newest first.
#[utoipa::path(
    get, path = "/voice/calls/{id}/recordings", operation_id = "list_call_recordings", tag = "voice",
    params(("id" = String, Path, example = "call_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "At most 200", body = Envelope<Vec<RecordingOut>>),
        (status = 404, description = "There is no such call of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn of_call(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    const MOST: i64 = 200;
    let call = MessageKey(find_call(&app, &caller, &id).await?.key);
    let wanted = (Some(call), None);
    let rows = app.store.recordings(caller.organization, wanted, i64::MAX, MOST).await?;
    let all: Vec<RecordingOut> = rows.iter().map(RecordingOut::of).collect();
    caller.call.answer(StatusCode::OK, all)
}

/// Shows a recording.
#[utoipa::path(
    get, path = "/voice/recordings/{id}", operation_id = "get_recording", tag = "voice",
    params(("id" = String, Path, example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The recording", body = Envelope<RecordingOut>),
        (status = 404, description = "There is no such recording of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (_, row) = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, RecordingOut::of(&row))
}

/// Deletes a recording with its file.
#[utoipa::path(
    delete, path = "/voice/recordings/{id}", operation_id = "delete_recording", tag = "voice",
    params(("id" = String, Path, example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "It is gone", body = Envelope<RecordingDeletedOut>),
        (status = 404, description = "There is no such recording of yours", body = ErrorOut),
        (status = 409, description = "It is in progress: stop it before", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, row) = find(&app, &caller, &id).await?;
    if row.test_mode == 0 {
        caller.live("a test key deletes no live recordings")?;
    }
    let organization = caller.organization;
    let file = app.store.recording_file(organization, id).await?;
    let change = Admin::Recording(Box::new(RecordingChange::Delete { organization, id }));
    match app.writer.change(change).await? {
        AdminDone::Recording(RecordingDone::Stored) => {}
        AdminDone::Recording(RecordingDone::Busy) => {
            let message = "the recording is in progress: stop it before";
            return Err(ApiError::new(Code::Conflict, message));
        }
        AdminDone::Recording(RecordingDone::Unknown) => return Err(unknown()),
        _ => return Err(ApiError::internal()),
    }
    // One that cannot be removed now goes with the next sweep, and so does the row.
    if let Some(file) = file {
        let _ = tokio::fs::remove_file(app.taping.path(&file)).await;
    }
    let id = id.show(Kind::Recording);
    caller.call.answer(StatusCode::OK, RecordingDeletedOut { id, deleted: true })
}

/// Sends a recording's file: WAV, PCM of 16 bits, 8,000 samples a second, the caller on the left.
#[utoipa::path(
    get, path = "/voice/recordings/{id}/media", operation_id = "get_recording_media", tag = "voice",
    params(("id" = String, Path, example = "rec_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "audio/wav"),
        (status = 404, description = "There is no such recording of yours", body = ErrorOut),
        (status = 409, description = "There is no file: it is in progress, or has failed",
            body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn media(
    State(app): State<App>,
    caller: Caller<ReadVoice>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (id, row) = find(&app, &caller, &id).await?;
    let no_file = |message: &'static str| ApiError::new(Code::Conflict, message);
    if !has_file(&row) {
        let is_open = row.status == RecordingStatus::InProgress.code();
        let why = if is_open { "the recording is in progress" } else { "the recording has failed" };
        return Err(no_file(why));
    }
    let file = app.store.recording_file(caller.organization, id).await?.ok_or_else(unknown)?;
    let opened = open(app.taping.path(&file)).await;
    let (file, length) = opened.map_err(|error| {
        tracing::error!(%error, recording = id.show(Kind::Recording), "a file is missing");
        no_file("the file of the recording cannot be read")
    })?;
    let mut response = Response::new(send(file));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let name = format!("attachment; filename=\"{}.wav\"", id.show(Kind::Recording));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn open(path: PathBuf) -> std::io::Result<(File, u64)> {
    let mut file = File::open(path).await?;
    let length = file.seek(SeekFrom::End(0)).await?;
    file.seek(SeekFrom::Start(0)).await?;
    Ok((file, length))
}

/// A file as a body.
fn send(mut file: File) -> Body {
    let (chunks, body) = chunked(AHEAD);
    tokio::spawn(async move {
        loop {
            let mut piece = vec![0; PIECE];
            let chunk: Chunk = match file.read(&mut piece).await {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(Bytes::from(piece))
                }
                Err(error) => Err(error),
            };
            let is_last = chunk.is_err();
            if chunks.send(chunk).await.is_err() || is_last {
                return;
            }
        }
    });
    body
}

fn unknown() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such recording")
}

async fn find<P>(
    app: &App,
    caller: &Caller<P>,
    id: &str,
) -> Result<(PublicId, RecordingRow), ApiError> {
    let id = PublicId::parse(Kind::Recording, id).ok_or_else(unknown)?;
    let row = app.store.recording(caller.organization, id).await?.ok_or_else(unknown)?;
    Ok((id, row))
}
