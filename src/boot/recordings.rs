//! Recordings as the settings want them, and the task that keeps them.

use std::path::PathBuf;
use std::time::Duration;

use actors::media::Sounds;
use actors::sip::recordings::{KeepArgs, Taping, TapingParts, keep};
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result};
use model::carrier::OrgId;
use model::voice::RecordingSettings;
use store::Store;
use tokio::task::JoinHandle;

use crate::home::Home;
use crate::settings::Settings;

/// The folder of recordings in the data folder.
const FOLDER: &str = "recordings";

/// What organizations want, and the sounds that are installed.
pub(super) async fn taping(settings: &Settings, home: &Home, store: &Store) -> Result<Taping> {
    let media = &settings.media;
    let folder = media.recordings_dir.as_ref().map_or_else(|| home.file(FOLDER), PathBuf::from);
    let sounds = media.sounds_dir.as_ref().map(PathBuf::from);
    let taping = Taping::new(TapingParts {
        jurisdictions: settings.read_jurisdictions()?,
        sounds: Sounds::new(sounds, media.sounds_bytes_max),
        folder,
        hold_music: media.hold_music.clone(),
    });
    for row in store.recording_settings().await? {
        let wanted = RecordingSettings::from_json(&row.settings);
        taping.want(OrgId(row.organization_id), wanted);
    }
    let sounds = taping.sounds().clone();
    tokio::task::spawn_blocking(move || sounds.refresh()).await.context("media.sounds_dir")?;
    if let Some(name) = &media.hold_music
        && taping.hold_music().is_none()
    {
        tracing::warn!(name, "media.hold_music is not there: who waits hears nothing");
    }
    Ok(taping)
}

/// Begins to keep them.
pub(super) fn keeping(
    settings: &Settings,
    taping: &Taping,
    store: &Store,
    writer: &WriterHandle,
) -> JoinHandle<()> {
    tokio::spawn(keep(KeepArgs {
        taping: taping.clone(),
        store: store.clone(),
        writer: writer.clone(),
        period: Duration::from_secs(settings.media.recordings_sweep_s),
    }))
}
