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
use store::Store;
use store::lane::{Admin, RecordingChange, RecordingEnd};

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

    async fn drop_what_is_spent(&self) {
        loop {
            let rows = match self.store.spent_recordings(At::now(), PAGE).await {
                Ok(rows) => rows,
                Err(error) => return tracing::warn!(%error, "old recordings wait"),
            };
            let found = rows.len();
            let mut gone = Vec::new();
            for row in rows {
                match tokio::fs::remove_file(self.taping.path(&row.file)).await {
                    Ok(()) => gone.push(row.seq),
                    Err(error) if error.kind() == ErrorKind::NotFound => gone.push(row.seq),
                    Err(error) => {
                        tracing::warn!(%error, file = row.file, "an old recording stays");
                    }
                }
            }
            let dropped = gone.len();
            if dropped > 0 {
                let change = Admin::Recording(Box::new(RecordingChange::Drop(gone)));
                if let Err(refusal) = self.writer.administer(change).await {
                    return tracing::warn!(error = %refusal.message, "old recordings wait");
                }
            }
            if dropped < found || found == 0 {
                return;
            }
        }
    }
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
