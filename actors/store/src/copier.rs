//! Copies SQLite's write-ahead log into its database, in a thread beside the writer.
//!
//! SQLite does this itself within the commit that makes the log long enough, and that commit waits for
//! thousands of pages and the disk. Here the thread copies what is there while the writer goes on; the
//! writer then copies the little that came meanwhile, after which its next commit starts the log anew.
//! Only it can: nobody else sees a moment in which nothing is left.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;

use crate::error::StoreError;

thread_local! {
    /// How many pages the log had after this thread's last commit.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// Beyond so many times its length a log is copied by the writer, whatever the thread does.
const LATE: i32 = 4;

enum Step {
    Idle,
    /// The thread copies.
    Aside,
    /// The writer copies the rest after each commit, until the log begins anew.
    Rest,
}

pub(crate) struct Copier {
    /// From this length on the log is copied.
    length: i32,
    step: Step,
    copied: Arc<AtomicBool>,
    /// None once the thread is to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    /// Takes over the log of the writer's connection `writer` to the database at `path`.
    pub(crate) fn start(
        writer: &Connection,
        path: impl AsRef<Path>,
        length: u32,
    ) -> Result<Self, StoreError> {
        let conn = Connection::open(path)?;
        // In the place of SQLite's own copying.
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        let copied = Arc::new(AtomicBool::new(false));
        let (wake, woken) = sync_channel(1);
        let done = copied.clone();
        let thread = Builder::new()
            .name(String::from("orbit-wal"))
            .spawn(move || copy_when_woken(&conn, &woken, &done))
            .map_err(|error| StoreError::Database(sqlx::Error::Io(error)))?;
        let length = i32::try_from(length).unwrap_or(i32::MAX / LATE);
        Ok(Self { length, step: Step::Idle, copied, wake: Some(wake), thread: Some(thread) })
    }

    /// To be called after each commit of `writer`, in its thread.
    pub(crate) fn after_commit(&mut self, writer: &Connection) {
        let pages = PAGES.get();
        if pages < self.length {
            self.step = Step::Idle;
            return;
        }
        if matches!(self.step, Step::Idle) {
            self.copied.store(false, Ordering::Release);
            let asked = self.wake.as_ref().map(|wake| wake.try_send(()));
            let alive = matches!(asked, Some(Ok(()) | Err(TrySendError::Full(()))));
            self.step = if alive { Step::Aside } else { Step::Rest };
        }
        let late = pages / LATE >= self.length;
        if matches!(self.step, Step::Aside) && (late || self.copied.load(Ordering::Acquire)) {
            self.step = Step::Rest;
        }
        if matches!(self.step, Step::Rest) {
            copy(writer);
        }
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that copies the write-ahead log failed");
        }
    }
}

fn copy_when_woken(conn: &Connection, woken: &Receiver<()>, done: &AtomicBool) {
    while woken.recv().is_ok() {
        copy(conn);
        // What came while that was copied: a tenth of it.
        copy(conn);
        done.store(true, Ordering::Release);
    }
}

/// Copies what no reader and no writer is in the way of. What is left is left for the next time, and
/// so is a disk that is full: the commit that needs it says so.
fn copy(conn: &Connection) {
    let all = conn.query_row("pragma wal_checkpoint(passive)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = all {
        tracing::warn!(%error, "the write-ahead log could not be copied");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test should say where")]

    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A folder of its own, which goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let own = format!("orbit-copier-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(own);
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn opened(path: &Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.pragma_update(None, "journal_mode", "wal").unwrap();
        conn
    }

    /// Commits rows of two pages each until the thread has been asked and has answered; answers how
    /// long the log got.
    fn fill(conn: &Connection, copier: &mut Copier, commits: usize) -> i32 {
        let mut longest = 0;
        for _ in 0..commits {
            conn.execute("insert into t (b) values (zeroblob(8000))", []).unwrap();
            longest = longest.max(PAGES.get());
            copier.after_commit(conn);
            while matches!(copier.step, Step::Aside) && !copier.copied.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
        longest
    }

    #[test]
    fn the_log_begins_anew_and_stays_short() {
        let folder = Folder::new("short");
        let path = folder.0.join("t.db");
        let conn = opened(&path);
        conn.execute_batch("create table t (b)").unwrap();
        let mut copier = Copier::start(&conn, &path, 50).unwrap();
        let longest = fill(&conn, &mut copier, 500);
        assert!((50..80).contains(&longest), "{longest}");
        drop(copier);
        let copy = folder.0.join("copy.db");
        fs::copy(&path, &copy).unwrap();
        let kept: i64 =
            opened(&copy).query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
        assert!(kept > 450, "{kept} rows reached the database itself");
    }

    #[test]
    fn a_reader_that_holds_the_log_delays_it_no_longer_than_it_reads() {
        let folder = Folder::new("reader");
        let path = folder.0.join("t.db");
        let conn = opened(&path);
        conn.execute_batch("create table t (b)").unwrap();
        let mut copier = Copier::start(&conn, &path, 50).unwrap();
        let reader = opened(&path);
        reader.execute_batch("begin; select count(*) from t").unwrap();
        assert!(fill(&conn, &mut copier, 100) > 200);
        reader.execute_batch("commit").unwrap();
        fill(&conn, &mut copier, 2);
        assert!(PAGES.get() < 50, "{}", PAGES.get());
    }
}
