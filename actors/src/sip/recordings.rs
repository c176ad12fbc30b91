//! Recordings of calls: what calls and the API share of them, and how what was recorded is kept.
//!
//! call ── asks here whether and what is announced, and where its file goes
//! keep    a task of boot's: what a crash cut off is made whole, what was kept long enough goes
//!
//! What organizations want is a row first and here second; files are below one folder, and named by their
//! rows. Nothing here is waited for by a relay.

mod keep;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::carrier::OrgId;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::voice::{Jurisdictions, RecordingFault, RecordingSettings};
use proto_media::wav;
use store::lane::{Admin, RecordingChange, RecordingEnd};

use crate::media::{Ended, Recorded, Sound, Sounds};
use crate::writer::WriterHandle;

pub use keep::{KeepArgs, keep};

/// How often an end is told to the store that does not answer; then the next start finds the file.
const TRIES: usize = 60;
const AGAIN: Duration = Duration::from_secs(1);
/// Samples, of both sides together, that may be missing, and which part of all.
const LOST_MAX: u64 = 16_000;
const LOST_PART: u64 = 50;

/// A clone is the same.
#[derive(Clone, Debug)]
pub struct Taping(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: TapingParts,
    wanted: RwLock<HashMap<OrgId, Arc<RecordingSettings>>>,
    default: Arc<RecordingSettings>,
}

/// What it is made of.
#[derive(Debug)]
pub struct TapingParts {
    pub jurisdictions: Jurisdictions,
    pub sounds: Sounds,
    /// Of all recordings.
    pub folder: PathBuf,
    /// The sound that waits with who is on hold.
    pub hold_music: Option<String>,
}

impl Taping {
    #[must_use]
    pub fn new(parts: TapingParts) -> Self {
        let (wanted, default) = (RwLock::default(), Arc::default());
        Self(Arc::new(Inner { parts, wanted, default }))
    }

    /// What an organization wants.
    #[must_use]
    pub fn wanted(&self, organization: OrgId) -> Arc<RecordingSettings> {
        let wanted = self.0.wanted.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wanted.get(&organization).unwrap_or(&self.0.default))
    }

    /// What it wants from the next call on; it is stored.
    pub fn want(&self, organization: OrgId, settings: RecordingSettings) {
        let mut wanted = self.0.wanted.write().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(organization, Arc::new(settings));
    }

    #[must_use]
    pub fn jurisdictions(&self) -> &Jurisdictions {
        &self.0.parts.jurisdictions
    }

    #[must_use]
    pub fn sounds(&self) -> &Sounds {
        &self.0.parts.sounds
    }

    #[must_use]
    pub fn hold_music(&self) -> Option<Sound> {
        self.sounds().get(self.0.parts.hold_music.as_deref()?)
    }

    /// Where a row's file lies.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.parts.folder.join(Path::new(file))
    }
}

/// The name of a recording's file: in a folder of its day.
#[must_use]
pub(crate) fn file_of(id: PublicId, at: At) -> String {
    let moment = at.iso();
    let day = moment.get(..10).unwrap_or_default();
    format!("{day}/{}.wav", id.show(Kind::Recording))
}

/// What is stored of a recording's end.
#[must_use]
pub(crate) fn end_of(recorded: Option<&Recorded>) -> RecordingEnd {
    let Some(recorded) = recorded else { return failed(RecordingFault::Storage) };
    let frames = recorded.octets.saturating_sub(wav::HEADER as u64) / 4;
    let lost = recorded.lost_samples;
    let fault = if recorded.error.is_some() {
        Some(RecordingFault::Storage)
    } else if frames == 0 {
        Some(RecordingFault::Nothing)
    } else if lost > LOST_MAX && lost > frames * 2 / LOST_PART {
        Some(RecordingFault::TooSlow)
    } else {
        None
    };
    let size = if frames == 0 { 0 } else { recorded.octets };
    RecordingEnd {
        fault,
        duration_ms: i64::try_from(recorded.lasted.as_millis()).unwrap_or(i64::MAX),
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        lost_ms: i64::try_from(lost / 16).unwrap_or(i64::MAX),
    }
}

/// There is no file.
#[must_use]
pub(crate) fn failed(fault: RecordingFault) -> RecordingEnd {
    RecordingEnd { fault: Some(fault), duration_ms: 0, size_bytes: 0, lost_ms: 0 }
}

/// Waits for a recording's end and has it stored, whatever became of its call.
pub(crate) async fn finish(writer: &WriterHandle, id: PublicId, path: &Path, ended: Ended) {
    let end = end_of(ended.await.ok().as_ref());
    store_end(writer, id, path, end).await;
}

/// Has an end stored; a file with nothing in it goes.
pub(crate) async fn store_end(
    writer: &WriterHandle,
    id: PublicId,
    path: &Path,
    end: RecordingEnd,
) -> bool {
    let outcome = end.fault.map_or("available", RecordingFault::as_str);
    metrics::counter!("orbit_recordings_ended_total", "outcome" => outcome).increment(1);
    if end.size_bytes == 0 {
        // It may never have been made.
        let _ = tokio::fs::remove_file(path).await;
    }
    for _ in 0..TRIES {
        let change = Admin::Recording(Box::new(RecordingChange::End { id, end }));
        match writer.administer(change).await {
            Ok(_) => return true,
            Err(refusal) => {
                tracing::warn!(error = %refusal.message, "a recording's end is not stored yet");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(frames: u64, lost_samples: u64) -> Recorded {
        Recorded {
            path: PathBuf::new(),
            lasted: Duration::from_millis(frames / 8),
            octets: 58 + frames * 4,
            lost_samples,
            error: None,
        }
    }

    #[test]
    fn an_end_says_what_is_there_and_what_is_missing() {
        let whole = end_of(Some(&recorded(16_000, 320)));
        assert_eq!((whole.fault, whole.duration_ms, whole.size_bytes), (None, 2_000, 64_058));
        assert_eq!(whole.lost_ms, 20);
        let slow = end_of(Some(&recorded(80_000, 16_160)));
        assert_eq!((slow.fault, slow.lost_ms), (Some(RecordingFault::TooSlow), 1_010));
        // Of an hour a second is nothing.
        assert_eq!(end_of(Some(&recorded(28_800_000, 16_160))).fault, None);
        let empty = end_of(Some(&recorded(0, 0)));
        assert_eq!((empty.fault, empty.size_bytes), (Some(RecordingFault::Nothing), 0));
        let error = Some(std::io::ErrorKind::StorageFull);
        let full = end_of(Some(&Recorded { error, ..recorded(800, 0) }));
        assert_eq!((full.fault, full.size_bytes), (Some(RecordingFault::Storage), 3_258));
        assert_eq!(end_of(None), failed(RecordingFault::Storage));
    }

    #[test]
    fn a_file_is_named_by_its_recording_in_a_folder_of_its_day() {
        let at = At::parse("2026-01-31T23:59:59Z").unwrap();
        let id = PublicId::new(at);
        assert_eq!(file_of(id, at), format!("2026-01-31/{}.wav", id.show(Kind::Recording)));
    }
}
