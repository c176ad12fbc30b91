//! How the hot writer speaks: one statement for many rows, in each database's own best way.
//!
//! SQLite runs in this very thread, by rusqlite on the library that sqlx links: a prepared
//! statement, row by row, no thread to cross and no copy to bind. PostgreSQL gets arrays and
//! `unnest`: one round trip for all rows. Both texts stand side by side.

use std::io;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::copier::Copier;
use crate::disk::Disk;
use crate::error::StoreError;

/// One statement over many rows.
pub(crate) struct Bulk {
    /// Run once per row; `?1`, `?2`, … are the row's columns.
    pub(crate) sqlite: &'static str,
    /// Run once; takes one array per column.
    pub(crate) postgres: &'static str,
}

/// The values of one column, row by row.
pub(crate) enum Column<'a> {
    Int(Vec<i64>),
    /// The same in so many rows. On PostgreSQL it is a plain parameter, not an array.
    Same(i64, usize),
    MaybeInt(Vec<Option<i64>>),
    Text(Vec<&'a str>),
    MaybeText(Vec<Option<&'a str>>),
    Blob(Vec<&'a [u8]>),
    MaybeBlob(Vec<Option<&'a [u8]>>),
}

impl Column<'_> {
    /// Nothing in any row. PostgreSQL takes an empty array for it: `unnest` fills up with nulls.
    fn is_null(&self) -> bool {
        match self {
            Self::MaybeInt(v) => v.iter().all(Option::is_none),
            Self::MaybeText(v) => v.iter().all(Option::is_none),
            Self::MaybeBlob(v) => v.iter().all(Option::is_none),
            Self::Int(_) | Self::Same(..) | Self::Text(_) | Self::Blob(_) => false,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::Same(_, rows) => *rows,
            Self::MaybeInt(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::MaybeText(v) => v.len(),
            Self::Blob(v) => v.len(),
            Self::MaybeBlob(v) => v.len(),
        }
    }

    fn at(&self, row: usize) -> ToSqlOutput<'_> {
        let value = match self {
            Self::Int(v) => ValueRef::Integer(v[row]),
            Self::Same(v, _) => ValueRef::Integer(*v),
            Self::MaybeInt(v) => v[row].map_or(ValueRef::Null, ValueRef::Integer),
            Self::Text(v) => ValueRef::Text(v[row].as_bytes()),
            Self::MaybeText(v) => v[row].map_or(ValueRef::Null, |t| ValueRef::Text(t.as_bytes())),
            Self::Blob(v) => ValueRef::Blob(v[row]),
            Self::MaybeBlob(v) => v[row].map_or(ValueRef::Null, ValueRef::Blob),
        };
        ToSqlOutput::Borrowed(value)
    }
}

/// The writer's connection. Statements on SQLite block: a lane lives where that does no harm.
pub(crate) enum Conn {
    Sqlite(Box<rusqlite::Connection>, Log),
    /// With how long its server may take to answer.
    Postgres(PgConnection, Duration),
}

/// What becomes of SQLite's write-ahead log.
pub(crate) struct Log {
    pub(crate) copier: Copier,
    pub(crate) disk: Disk,
}

/// A row of either database, read by position.
pub(crate) enum Line {
    Sqlite(Vec<Value>),
    Postgres(PgRow),
}

impl Line {
    pub(crate) fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.maybe_int(at)?.ok_or_else(|| StoreError::Column(at))
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => match row.get(at) {
                Some(Value::Integer(value)) => Ok(Some(*value)),
                Some(Value::Null) => Ok(None),
                _ => Err(StoreError::Column(at)),
            },
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, StoreError> {
        self.maybe_text(at)?.ok_or_else(|| StoreError::Column(at))
    }

    pub(crate) fn maybe_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => match row.get(at) {
                Some(Value::Text(value)) => Ok(Some(value.clone())),
                Some(Value::Null) => Ok(None),
                _ => Err(StoreError::Column(at)),
            },
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }

    pub(crate) fn blob(&self, at: usize) -> Result<Vec<u8>, StoreError> {
        self.maybe_blob(at)?.ok_or_else(|| StoreError::Column(at))
    }

    pub(crate) fn maybe_blob(&self, at: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sqlite(row) => match row.get(at) {
                Some(Value::Blob(value)) => Ok(Some(value.clone())),
                Some(Value::Null) => Ok(None),
                _ => Err(StoreError::Column(at)),
            },
            Self::Postgres(row) => Ok(row.try_get(at)?),
        }
    }
}

impl Conn {
    /// Runs a statement without parameters: `begin`, `commit`, `rollback`.
    pub(crate) async fn plain(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(conn, _) => {
                conn.prepare_cached(sql)?.execute([])?;
            }
            Self::Postgres(conn, wait) => {
                answered(*wait, sqlx::query(sql).execute(conn)).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn begin(&mut self) -> Result<(), StoreError> {
        let sql = if matches!(self, Self::Sqlite(..)) { "begin immediate" } else { "begin" };
        self.plain(sql).await
    }

    /// On SQLite it is in the log then, and has to get [to the disk](Disk::reach).
    pub(crate) async fn commit(&mut self) -> Result<(), StoreError> {
        let disk = self.disk();
        disk.begins();
        let done = self.plain("commit").await;
        disk.ends(done.is_ok());
        done?;
        if let Self::Sqlite(conn, log) = self {
            log.copier.after_commit(conn);
        }
        Ok(())
    }

    pub(crate) fn disk(&self) -> Disk {
        match self {
            Self::Sqlite(_, log) => log.disk.clone(),
            Self::Postgres(..) => Disk::NONE,
        }
    }

    /// What is there already is on the disk.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(conn, log) => log.disk.start(conn),
            Self::Postgres(..) => Ok(()),
        }
    }

    /// Undoes the transaction, if there still is one. A connection that cannot is of no more use,
    /// which the next `begin` finds out.
    pub(crate) async fn abandon(&mut self) {
        if let Self::Sqlite(conn, _) = self
            && conn.is_autocommit()
        {
            return;
        }
        if let Err(error) = self.plain("rollback").await {
            tracing::warn!(%error, "a transaction could not be undone");
        }
    }

    /// Runs a statement over all rows; answers how many rows of the table it touched.
    pub(crate) async fn run(
        &mut self,
        bulk: &'static Bulk,
        columns: &[Column<'_>],
    ) -> Result<u64, StoreError> {
        let rows = length(columns);
        if rows == 0 {
            return Ok(0);
        }
        match self {
            Self::Sqlite(conn, _) => {
                let mut statement = conn.prepare_cached(bulk.sqlite)?;
                let mut touched = 0;
                for row in 0..rows {
                    let values = columns.iter().map(|column| column.at(row));
                    touched += statement.execute(rusqlite::params_from_iter(values))? as u64;
                }
                Ok(touched)
            }
            Self::Postgres(conn, wait) => {
                let query = bind_arrays(sqlx::query(bulk.postgres), columns);
                Ok(answered(*wait, query.execute(conn)).await?.rows_affected())
            }
        }
    }

    /// Runs a query over all rows.
    pub(crate) async fn fetch(
        &mut self,
        bulk: &'static Bulk,
        columns: &[Column<'_>],
    ) -> Result<Vec<Line>, StoreError> {
        let rows = length(columns);
        if rows == 0 {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite(conn, _) => {
                let mut statement = conn.prepare_cached(bulk.sqlite)?;
                let width = statement.column_count();
                let mut lines = Vec::with_capacity(rows);
                for row in 0..rows {
                    let values = columns.iter().map(|column| column.at(row));
                    let mut found = statement.query(rusqlite::params_from_iter(values))?;
                    while let Some(line) = found.next()? {
                        let values = (0..width).map(|at| line.get::<_, Value>(at));
                        lines.push(Line::Sqlite(values.collect::<Result<_, _>>()?));
                    }
                }
                Ok(lines)
            }
            Self::Postgres(conn, wait) => {
                let query = bind_arrays(sqlx::query(bulk.postgres), columns);
                let rows = answered(*wait, query.fetch_all(conn)).await?;
                Ok(rows.into_iter().map(Line::Postgres).collect())
            }
        }
    }
}

/// What a server says, or that it says nothing. A server that vanished without a word closes no
/// connection; what it was asked for may be done or not, and the connection is of no more use.
async fn answered<T>(
    wait: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(wait, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unknown(Box::new(silent(wait)))),
    }
}

pub(crate) fn silent(wait: Duration) -> StoreError {
    let said = format!("the database did not answer within {} s", wait.as_secs_f64());
    StoreError::Database(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, said)))
}

fn length(columns: &[Column<'_>]) -> usize {
    let rows = columns.first().map_or(0, Column::len);
    debug_assert!(columns.iter().all(|c| c.len() == rows), "columns of unequal length");
    rows
}

type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_arrays<'q>(mut query: PgQuery<'q>, columns: &[Column<'_>]) -> PgQuery<'q> {
    for (at, column) in columns.iter().enumerate() {
        // The first says how many rows there are.
        let null = at > 0 && column.is_null();
        query = match column {
            Column::MaybeInt(_) if null => query.bind(&[] as &[Option<i64>]),
            Column::MaybeText(_) if null => query.bind(&[] as &[Option<&str>]),
            Column::MaybeBlob(_) if null => query.bind(&[] as &[Option<&[u8]>]),
            Column::Int(v) => query.bind(v),
            Column::Same(v, _) => query.bind(v),
            Column::MaybeInt(v) => query.bind(v),
            Column::Text(v) => query.bind(v),
            Column::MaybeText(v) => query.bind(v),
            Column::Blob(v) => query.bind(v),
            Column::MaybeBlob(v) => query.bind(v),
        };
    }
    query
}
