//! What can go wrong with a store, told apart by what its caller must do.

use thiserror::Error;

/// A failure of the store itself; never a refusal of an item.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database said no to the statement or could not be reached; nothing was stored.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// The same from the writer's SQLite.
    #[error("database: {0}")]
    Sqlite(rusqlite::Error),
    /// A column of another type than our statements select.
    #[error("column {0} of a row is not what was selected")]
    Column(usize),
    /// COMMIT was sent and its outcome is not known, or the server has fallen silent.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(Box<StoreError>),
    /// A row that our own rules make impossible.
    #[error("broken invariant: {0}")]
    Impossible(&'static str),
    /// Some result of the batch lost its row; the lane runs the batch again, looking at each.
    #[error("a result is stale")]
    Stale,
    #[error("{0}")]
    Schema(String),
    #[error("another process serves this store: {0}")]
    InUse(String),
    #[error("database url: {0}")]
    Url(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl StoreError {
    /// True when the connection is of no more use, or the machine is at fault: a full disk, a
    /// lost server. Splitting the batch would not help.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => match error {
                // SQLite: 5 busy, 6 locked, 8 read-only, 10 I/O, 11 corrupt, 13 full, 14 cannot open.
                // PostgreSQL: 08 connection, 53 resources, 57 operator, 58 system, 40 rollback.
                sqlx::Error::Database(db) => {
                    db.code().is_some_and(|code| match code.parse::<u32>() {
                        Ok(number) if code.len() < 5 => {
                            matches!(number & 0xff, 5 | 6 | 8 | 10 | 11 | 13 | 14)
                        }
                        _ => ["08", "40", "53", "57", "58"].iter().any(|c| code.starts_with(c)),
                    })
                }
                sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::Encode(_)
                | sqlx::Error::RowNotFound => false,
                _ => true,
            },
            Self::Sqlite(error) => error.sqlite_error_code().is_some_and(|code| {
                use rusqlite::ErrorCode::{
                    CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull,
                    OutOfMemory, ReadOnly, SystemIoFailure,
                };
                matches!(
                    code,
                    CannotOpen
                        | DatabaseBusy
                        | DatabaseCorrupt
                        | DatabaseLocked
                        | DiskFull
                        | OutOfMemory
                        | ReadOnly
                        | SystemIoFailure
                )
            }),
            Self::Impossible(_) | Self::Stale | Self::Column(_) => false,
            Self::Schema(_) | Self::Url(_) => false,
            Self::InUse(_) | Self::Unknown(_) => true,
        }
    }
}
