//! What becomes of recordings that nobody holds: those that a crash cut off are made whole, or marked
//! failed; those that are deleted, or were kept long enough, go with their files, the file first.
//!
//! One task, started by boot. What fails is tried again at the next round; nothing is lost with it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use model::clock::At;
use model::id::PublicId;
use model::voice::RecordingFault;
use store::lane::{Admin, RecordingChange, RecordingEnd};
use store::{RecordingFileRow, Store, StoreError};

use super::{Taping, failed, store_end};
use crate::media::repair;
use crate::writer::WriterHandle;

/// Rows of one step.
const PAGE: i64 = 200;
/// Between two looks for a writer.
const REST: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct KeepArgs {
    pub taping: Taping,
    pub store: Store,
    pub writer: WriterHandle,
    /// Between two rounds.
    pub period: Duration,
}

/// Goes on until it is dropped.
pub async fn keep(args: KeepArgs) {
    while !args.writer.is_attached() {
        tokio::time::sleep(REST).await;
    }
    // What this process begins has a higher number.
    let before = args.writer.first_key().0;
    let mut is_repaired = false;
    loop {
        if !is_repaired {
            is_repaired = args.repair_all(before).await;
        }
        args.drop_what_is_spent().await;
        let sounds = args.taping.sounds().clone();
        // A panic there costs one round.
        let _ = tokio::task::spawn_blocking(move || sounds.refresh()).await;
        tokio::time::sleep(args.period).await;
    }
}

impl KeepArgs {
    /// Ends the recordings of earlier lives; whether none is left.
    async fn repair_all(&self, before: i64) -> bool {
        loop {
            let rows = match self.store.open_recordings(before, PAGE).await {
                Ok(rows) if rows.is_empty() => return true,
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "recordings of an earlier life wait");
                    return false;
                }
            };
            tracing::warn!(recordings = rows.len(), "recordings of an earlier life are ended");
            for row in rows {
                let Ok(id) = <[u8; 16]>::try_from(row.public_id.as_slice()) else { return false };
                let path = self.taping.path(&row.file);
                let end = whole(path.clone()).await;
                if !store_end(&self.writer, PublicId::from_bytes(id), &path, end).await {
                    return false;
                }
            }
        }
    }

    /// All that may go, each once: a file that cannot be removed waits for the next round, and keeps no
    /// other one.
    async fn drop_what_is_spent(&self) {
        if let Err(error) = self.drop_all().await {
            tracing::warn!(error, "old recordings wait");
        }
    }

    async fn drop_all(&self) -> Result<(), String> {
        let (mut deleted, mut expired, mut stays) = (0, (i64::MIN, 0), 0);
        loop {
            let mut rows = self.store.deleted_recordings(deleted, PAGE).await.map_err(said)?;
            deleted = rows.last().map_or(deleted, |last| last.seq);
            if rows.is_empty() {
                let kept = self.store.expired_recordings(At::now(), expired, PAGE);
                rows = kept.await.map_err(said)?;
                expired = rows.last().map_or(expired, |last| (last.expires_at, last.seq));
            }
            if rows.is_empty() {
                break;
            }
            stays += self.drop_these(rows).await?;
        }
        if stays > 0 {
            tracing::warn!(recordings = stays, "old recordings cannot be removed");
        }
        Ok(())
    }

    /// How many stay.
    async fn drop_these(&self, rows: Vec<RecordingFileRow>) -> Result<usize, String> {
        let (found, mut gone) = (rows.len(), Vec::new());
        for row in rows {
            match tokio::fs::remove_file(self.taping.path(&row.file)).await {
                Ok(()) => gone.push(row.seq),
                Err(error) if error.kind() == ErrorKind::NotFound => gone.push(row.seq),
                Err(error) => tracing::debug!(%error, file = row.file, "an old recording stays"),
            }
        }
        let stays = found - gone.len();
        if !gone.is_empty() {
            let change = Admin::Recording(Box::new(RecordingChange::Drop(gone)));
            self.writer.administer(change).await.map_err(|refusal| refusal.message)?;
        }
        Ok(stays)
    }
}

fn said(error: StoreError) -> String {
    error.to_string()
}

/// What a crash left of a file.
async fn whole(path: PathBuf) -> RecordingEnd {
    let repaired = tokio::task::spawn_blocking(move || repair(&path)).await;
    match repaired {
        Ok(Ok((lasted, octets))) if !lasted.is_zero() => RecordingEnd {
            fault: None,
            duration_ms: i64::try_from(lasted.as_millis()).unwrap_or(i64::MAX),
            size_bytes: i64::try_from(octets).unwrap_or(i64::MAX),
            lost_ms: 0,
        },
        Ok(Ok(_)) => failed(RecordingFault::Interrupted),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            failed(RecordingFault::Interrupted)
        }
        Ok(Err(_)) | Err(_) => failed(RecordingFault::Storage),
    }
}

#[cfg(test)]
mod tests;
