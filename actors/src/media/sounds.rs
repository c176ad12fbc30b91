//! The sounds that an operator has installed: WAV files of one folder, by their names, in memory.
//!
//! Whoever plays one looks in memory; the folder is read again by whoever may wait for a disk. A file that
//! is no sound of 8,000 samples a second is not one, and the log says why, once for each state of it. So
//! many octets are held at most; files beyond are left out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::play::Sound;

/// The longest name of a sound.
const NAME_MAX: usize = 100;
/// Files of the folder that are looked at.
const FILES_MAX: usize = 1_000;
const SUFFIX: &str = ".wav";

/// All sounds. A clone is the same.
#[derive(Clone, Debug)]
pub struct Sounds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Option<PathBuf>,
    octets_max: u64,
    installed: ArcSwap<HashMap<String, Sound>>,
    /// What was read of each file, and as of when; `None`: it is no sound.
    seen: Mutex<HashMap<String, (Stamp, Option<Sound>)>>,
}

/// A state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    octets: u64,
    changed: Option<SystemTime>,
}

/// Whether this can be the name of a sound. Nothing that is one leads out of the folder.
#[must_use]
pub fn is_sound_name(name: &str) -> bool {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
    name.len() <= NAME_MAX
        && name.len() > SUFFIX.len()
        && name.ends_with(SUFFIX)
        && !name.starts_with('.')
        && name.chars().all(fits)
}

impl Sounds {
    /// Those of a folder, which need not be there; none without one. Nothing is read yet.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, octets_max: u64) -> Self {
        let (installed, seen) = (ArcSwap::default(), Mutex::default());
        Self(Arc::new(Inner { folder, octets_max, installed, seen }))
    }

    /// A sound as it was read last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Sound> {
        self.0.installed.load().get(name).cloned()
    }

    /// The same, where the folder may be read for it: not for an actor.
    pub async fn find(&self, name: &str) -> Option<Sound> {
        if !is_sound_name(name) {
            return None;
        }
        if let Some(sound) = self.get(name) {
            return Some(sound);
        }
        let sounds = self.clone();
        tokio::task::spawn_blocking(move || sounds.refresh()).await.ok()?;
        self.get(name)
    }

    /// Reads what has changed in the folder. It waits for the disk.
    pub fn refresh(&self) {
        let Some(folder) = &self.0.folder else { return };
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut octets) = (HashMap::new(), 0_u64);
        for (name, stamp) in files(folder) {
            octets = octets.saturating_add(stamp.octets);
            if octets > self.0.octets_max {
                tracing::warn!(name, "no room in memory for this sound and those after it");
                break;
            }
            let read = match seen.remove(&name) {
                Some((of, sound)) if of == stamp => sound,
                _ => read(&folder.join(&name)),
            };
            known.insert(name, (stamp, read));
        }
        let sounds = known.iter();
        let sounds = sounds.filter_map(|(name, (_, sound))| Some((name.clone(), sound.clone()?)));
        self.0.installed.store(Arc::new(sounds.collect()));
        *seen = known;
    }
}

/// The files of a folder that have the name of a sound, in the order of their names.
fn files(folder: &Path) -> Vec<(String, Stamp)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(FILES_MAX);
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| is_sound_name(name))?;
            let file = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file)?;
            Some((name, Stamp { octets: file.len(), changed: file.modified().ok() }))
        })
        .collect();
    files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    files
}

fn read(path: &Path) -> Option<Sound> {
    let sound = fs::read(path).map_err(|error| error.to_string());
    let sound = sound.and_then(|file| Sound::from_wav(&file).map_err(|error| error.to_string()));
    sound.inspect_err(|error| tracing::warn!(path = %path.display(), error, "no sound")).ok()
}

impl Sound {
    /// How long it is, played once.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Tone(tone) => Duration::from_millis(u64::from(tone.on_ms.max(1) + tone.off_ms)),
            Self::Samples(samples) => Duration::from_micros(samples.len() as u64 * 125),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto_media::wav::{Format, header};

    use super::*;
    use crate::testing::Folder;

    fn wav(rate: u32, samples: u64) -> Vec<u8> {
        let mut file = header(Format::Pcm16, 1, rate, samples * 2).unwrap().to_vec();
        file.resize(file.len() + samples as usize * 2, 1);
        file
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["a.wav", "Consent_de-1.2.wav"] {
            assert!(is_sound_name(name), "{name}");
        }
        let long = format!("{}.wav", "x".repeat(NAME_MAX));
        for name in
            ["", ".wav", "..wav", "a", "a.mp3", "../a.wav", "a/b.wav", "a\\b.wav", "a\0.wav", &long]
        {
            assert!(!is_sound_name(name), "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_put_there_is_found_and_what_is_taken_away_is_not() {
        let folder = Folder::new("orbit-sounds");
        let sounds = Sounds::new(Some(folder.path().to_owned()), 100_000);
        let put = |name: &str, file: &[u8]| fs::write(folder.path().join(name), file).unwrap();
        assert!(sounds.find("one.wav").await.is_none());
        put("one.wav", &wav(8_000, 800));
        put("fast.wav", &wav(16_000, 800));
        put("no.wav", b"no");
        put("other.txt", b"no");
        let one = sounds.find("one.wav").await.unwrap();
        assert_eq!(one.lasts(), Duration::from_millis(100));
        for name in ["fast.wav", "no.wav", "other.txt", "two.wav"] {
            assert!(sounds.find(name).await.is_none(), "{name}");
        }
        put("one.wav", &wav(8_000, 1_600));
        sounds.refresh();
        assert_eq!(sounds.get("one.wav").unwrap().lasts(), Duration::from_millis(200));
        fs::remove_file(folder.path().join("one.wav")).unwrap();
        sounds.refresh();
        assert!(sounds.get("one.wav").is_none());
    }

    #[test]
    fn memory_has_a_bound_and_a_folder_that_is_not_there_has_nothing() {
        let folder = Folder::new("orbit-sounds-many");
        for name in ["a.wav", "b.wav"] {
            fs::write(folder.path().join(name), wav(8_000, 1_000)).unwrap();
        }
        let sounds = Sounds::new(Some(folder.path().to_owned()), 3_000);
        sounds.refresh();
        assert!(sounds.get("a.wav").is_some() && sounds.get("b.wav").is_none());
        let none = Sounds::new(Some(folder.path().join("nowhere")), 3_000);
        none.refresh();
        assert!(none.get("a.wav").is_none());
    }
}
