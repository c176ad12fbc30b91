//! When what SQLite has written is on the disk; until then nobody is told of it.
//!
//! The writer's transactions end in the write-ahead log without waiting for the disk. Whoever is to
//! tell the world of them asks [`Disk::reach`] first, which may be in another thread, while the writer
//! is about the next one. What readers found waits for the disk, too ([`Progress::settled`]). PostgreSQL
//! shows and answers nothing that is not on its disk, and has no need of this.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use crate::error::StoreError;

type Flusher = dyn Fn(&File) -> io::Result<()> + Send + Sync;

/// Brings what was written to a file to the disk.
#[derive(Clone)]
pub struct Flush(Arc<Flusher>);

impl Flush {
    /// For tests: a disk that is slow, or fails.
    pub fn new(flush: impl Fn(&File) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(flush))
    }
}

impl Default for Flush {
    fn default() -> Self {
        Self::new(File::sync_data)
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flush")
    }
}

/// How far the transactions of a store are. They are counted, and end one after the other.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The last that readers may see.
    begun: AtomicI64,
    /// The last that is all in the log.
    written: AtomicI64,
    reached: watch::Sender<Reached>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// The last that is on the disk.
    upto: i64,
    /// The disk did not take some of it; which, nobody knows.
    lost: bool,
}

impl Default for Progress {
    fn default() -> Self {
        let reached = watch::Sender::new(Reached::default());
        Self { begun: AtomicI64::new(0), written: AtomicI64::new(0), reached }
    }
}

impl Progress {
    /// Resolves once all that could be seen until now is on the disk.
    pub(crate) async fn settled(&self, patience: Duration) -> Result<(), sqlx::Error> {
        let seen = self.begun.load(Ordering::SeqCst);
        let now = *self.reached.borrow();
        if now.upto >= seen && !now.lost {
            return Ok(());
        }
        let mut reached = self.reached.subscribe();
        // One that failed is not waited for.
        let there =
            |now: &Reached| now.lost || now.upto >= seen.min(self.begun.load(Ordering::SeqCst));
        match tokio::time::timeout(patience, reached.wait_for(there)).await {
            Ok(Ok(now)) if !now.lost => Ok(()),
            Ok(_) => Err(sqlx::Error::Io(lost())),
            Err(_) => {
                let said = "what was read does not get to the disk";
                Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, said)))
            }
        }
    }
}

struct Log {
    file: File,
    flush: Flush,
    progress: Arc<Progress>,
}

/// A lane's way to the disk.
#[derive(Clone)]
pub struct Disk(Option<Arc<Log>>);

impl Disk {
    /// Of a database whose commits wait for the disk themselves.
    pub(crate) const NONE: Self = Self(None);

    /// Of the SQLite database at `path`, whose log is there.
    pub(crate) fn open(
        path: &Path,
        flush: Flush,
        progress: Arc<Progress>,
    ) -> Result<Self, StoreError> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Closing it lets go of no lock: SQLite locks other files.
        let file = OpenOptions::new().read(true).write(true).open(PathBuf::from(log));
        let file = file.map_err(broken)?;
        Ok(Self(Some(Arc::new(Log { file, flush, progress }))))
    }

    /// Waits until all is on the disk that was written before this call. An error: nobody knows what
    /// is, and the lane is of no more use.
    pub fn reach(&self) -> Result<(), StoreError> {
        let Some(log) = &self.0 else { return Ok(()) };
        let written = log.progress.written.load(Ordering::SeqCst);
        let now = *log.progress.reached.borrow();
        if now.upto >= written && !now.lost {
            return Ok(());
        }
        let done = if now.lost { Err(lost()) } else { (log.flush.0)(&log.file) };
        log.progress.reached.send_modify(|reached| match done {
            Ok(()) => reached.upto = reached.upto.max(written),
            Err(_) => reached.lost = true,
        });
        done.map_err(|error| StoreError::Unknown(Box::new(broken(error))))
    }

    /// Whether one's reaching the disk is the other's.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// From now on readers may see the transaction that is under way.
    pub(crate) fn begins(&self) {
        let Some(log) = &self.0 else { return };
        log.progress.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// What began is written, or is not and never will be.
    pub(crate) fn ends(&self, written: bool) {
        let Some(log) = &self.0 else { return };
        let Progress { begun, written: last, reached } = &*log.progress;
        if written {
            last.store(begun.load(Ordering::SeqCst), Ordering::SeqCst);
        } else {
            begun.store(last.load(Ordering::SeqCst), Ordering::SeqCst);
            reached.send_modify(|_| {});
        }
    }

    /// Has on the disk what a new lane finds, before it builds on that. After a disk that failed, all
    /// of the log has to be copied to the database: of the log itself nobody knows what the disk has.
    pub(crate) fn start(&self, writer: &Connection) -> Result<(), StoreError> {
        let Some(Log { file, flush, progress }) = self.0.as_deref() else { return Ok(()) };
        let written = progress.written.load(Ordering::SeqCst);
        let lost = progress.reached.borrow().lost;
        let copy =
            if lost { "pragma wal_checkpoint(full)" } else { "pragma wal_checkpoint(passive)" };
        let all = writer.query_row(copy, [], |row| {
            Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
        })?;
        if lost && !all {
            return Err(broken(io::Error::other("a reader keeps the log from being copied")));
        }
        (flush.0)(file).map_err(broken)?;
        progress.reached.send_modify(|reached| {
            *reached = Reached { upto: reached.upto.max(written), lost: false };
        });
        Ok(())
    }
}

fn broken(error: io::Error) -> StoreError {
    StoreError::Database(sqlx::Error::Io(error))
}

fn lost() -> io::Error {
    io::Error::other("the disk has lost what was written")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test should say where")]

    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// A database with a row, and the way of its log to the disk.
    fn opened(name: &str, flush: Flush) -> (Folder, Connection, Disk, Arc<Progress>) {
        let folder = std::env::temp_dir().join(format!("orbit-disk-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("t.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "journal_mode", "wal").unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        conn.execute_batch("create table t (b); insert into t values (1)").unwrap();
        let progress = Arc::<Progress>::default();
        let disk = Disk::open(&path, flush, progress.clone()).unwrap();
        (Folder(folder), conn, disk, progress)
    }

    #[tokio::test]
    async fn a_transaction_that_failed_is_waited_for_by_nobody() {
        let (_folder, _conn, disk, progress) = opened("failed", Flush::default());
        disk.begins();
        let waits = progress.settled(Duration::from_secs(10));
        let (settled, ()) = tokio::join!(waits, async { disk.ends(false) });
        settled.unwrap();
        disk.begins();
        disk.ends(true);
        assert!(progress.settled(Duration::from_millis(50)).await.is_err());
        disk.reach().unwrap();
        progress.settled(Duration::ZERO).await.unwrap();
    }

    #[test]
    fn one_wait_is_for_all_that_was_written_before() {
        let times = Arc::<AtomicI64>::default();
        let count = times.clone();
        let flush = Flush::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let (_folder, _conn, disk, _) = opened("once", flush);
        for _ in 0..3 {
            disk.begins();
            disk.ends(true);
        }
        disk.begins();
        disk.reach().unwrap();
        disk.reach().unwrap();
        assert_eq!(times.load(Ordering::Relaxed), 1, "what is under way is not waited for");
        disk.ends(true);
        disk.reach().unwrap();
        assert_eq!(times.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_log_that_may_be_lost_is_built_on_only_once_it_is_copied() {
        let broken = Flush::new(|_| Err(io::Error::from_raw_os_error(5)));
        let (folder, conn, disk, progress) = opened("lost", broken);
        disk.begins();
        disk.ends(true);
        assert!(matches!(disk.reach(), Err(StoreError::Unknown(_))));

        let path = folder.0.join("t.db");
        let sound = Disk::open(&path, Flush::default(), progress.clone()).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("begin; select * from t").unwrap();
        conn.execute("insert into t values (2)", []).unwrap();
        assert!(sound.start(&conn).is_err(), "the reader keeps the second row in the log");
        assert!(matches!(sound.reach(), Err(StoreError::Unknown(_))));
        reader.execute_batch("commit").unwrap();
        sound.start(&conn).unwrap();
        sound.reach().unwrap();
        let copy = folder.0.join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        let rows = Connection::open(&copy).unwrap();
        let rows: i64 = rows.query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2, "in the database itself");
    }
}
