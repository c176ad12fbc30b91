//! The data folder: its lock, its secrets, its admin socket. All of it is the owner's alone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A data folder that exists.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

/// Held while this process serves the folder; the lock goes with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Home {
    /// Makes the folder, for its owner's eyes alone, unless it is there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("data.dir {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.file("admin.sock")
    }

    /// The lock, or nothing while another process has it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        let path = self.file("orbit.lock");
        let file = private(&path).with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| path.display().to_string())
            }
        }
    }

    pub(crate) fn lock(&self) -> Result<Lock> {
        match self.try_lock()? {
            Some(lock) => Ok(lock),
            None => bail!("another orbit serves {}", self.folder.display()),
        }
    }

    /// 32 random octets of this folder, made once.
    pub(crate) fn secret(&self, name: &str) -> Result<[u8; 32]> {
        let path = self.file(name);
        let mut file = private(&path).with_context(|| path.display().to_string())?;
        let mut known = Vec::new();
        file.read_to_end(&mut known)?;
        if let Ok(secret) = <[u8; 32]>::try_from(known.as_slice()) {
            return Ok(secret);
        }
        if !known.is_empty() {
            bail!("{} is damaged: it does not hold 32 octets", path.display());
        }
        let secret: [u8; 32] = rand::random();
        file.write_all(&secret)?;
        file.sync_all()?;
        Ok(secret)
    }

    /// A small text of this folder, or nothing when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>> {
        match std::fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.file(name).display().to_string()),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.file(name);
        let mut file = private(&path).with_context(|| path.display().to_string())?;
        file.set_len(0)?;
        writeln!(file, "{text}")?;
        Ok(file.sync_all()?)
    }

    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        fs4::available_space(&self.folder)
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("orbit-home-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_folder_is_served_by_one_process_at_a_time() {
        let path = folder("lock");
        let home = Home::open(&path).unwrap();
        let held = home.lock().unwrap();
        assert!(home.try_lock().unwrap().is_none());
        assert!(home.lock().unwrap_err().to_string().contains("another orbit"));
        drop(held);
        assert!(home.try_lock().unwrap().is_some());
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn secrets_are_made_once_and_are_the_owners_alone() {
        let path = folder("secret");
        let home = Home::open(&path).unwrap();
        let secret = home.secret("cursor-key").unwrap();
        assert_eq!(home.secret("cursor-key").unwrap(), secret);
        let mode = std::fs::metadata(home.file("cursor-key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        home.write("dev-key", "dv_live_sk_x").unwrap();
        home.write("dev-key", "short").unwrap();
        assert_eq!(home.read("dev-key").unwrap().as_deref(), Some("short"));
        assert_eq!(home.read("nothing").unwrap(), None);
        std::fs::write(home.file("cursor-key"), "short").unwrap();
        assert!(home.secret("cursor-key").is_err());
        std::fs::remove_dir_all(path).unwrap();
    }
}
