//! How the hot writer speaks: one statement for many rows, in each database's own best way.
//!
//! SQLite gets a list of `VALUES` with bare `?` (named parameters make sqlx quadratic there),
//! padded with nulls to a few lengths so that a handful of prepared statements serve every batch;
//! each text says `where column1 is not null`. PostgreSQL gets arrays and `unnest`.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

/// Lengths a list of rows is padded to.
const LENGTHS: [usize; 17] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512];
const PARAMETERS_MAX: usize = 32_000;

/// One statement over many rows: both texts side by side.
pub(crate) struct Bulk {
    /// What stands before and after the list of rows, whose columns are `column1`, `column2`, ….
    pub(crate) sqlite: (&'static str, &'static str),
    /// Takes one array per column.
    pub(crate) postgres: &'static str,
}

/// The values of one column, row by row.
pub(crate) enum Column<'a> {
    Int(Vec<i64>),
    MaybeInt(Vec<Option<i64>>),
    Text(Vec<&'a str>),
    MaybeText(Vec<Option<&'a str>>),
    Blob(Vec<&'a [u8]>),
    MaybeBlob(Vec<Option<&'a [u8]>>),
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::MaybeInt(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::MaybeText(v) => v.len(),
            Self::Blob(v) => v.len(),
            Self::MaybeBlob(v) => v.len(),
        }
    }
}

/// The writer's connection.
pub(crate) enum Conn {
    Sqlite { conn: SqliteConnection, texts: HashMap<(usize, usize), Arc<str>> },
    Postgres(PgConnection),
}

/// A row of either database, read by position.
pub(crate) enum Line {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Line {
    pub(crate) fn int(&self, at: usize) -> Result<i64, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
    }

    pub(crate) fn maybe_text(&self, at: usize) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
    }

    pub(crate) fn blob(&self, at: usize) -> Result<Vec<u8>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
    }
}

impl Conn {
    pub(crate) fn sqlite(conn: SqliteConnection) -> Self {
        Self::Sqlite { conn, texts: HashMap::new() }
    }

    /// Runs a statement without parameters, `begin` and `commit` among them.
    pub(crate) async fn plain(&mut self, sql: &'static str) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { conn, .. } => sqlx::query(sql).execute(conn).await?.rows_affected(),
            Self::Postgres(conn) => sqlx::query(sql).execute(conn).await?.rows_affected(),
        })
    }

    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let sql = if matches!(self, Self::Sqlite { .. }) { "begin immediate" } else { "begin" };
        self.plain(sql).await.map(|_| ())
    }

    /// Runs a statement over all rows; answers how many rows of the table it touched.
    pub(crate) async fn run(
        &mut self,
        bulk: &'static Bulk,
        columns: &[Column<'_>],
    ) -> Result<u64, sqlx::Error> {
        let mut touched = 0;
        match self {
            Self::Sqlite { conn, texts } => {
                for (from, to) in chunks(columns) {
                    let (text, length) = sqlite_text(texts, bulk, columns.len(), to - from);
                    let query = sqlx::query(AssertSqlSafe(text));
                    let query = bind_rows(query, columns, from, to, length);
                    touched += query.execute(&mut *conn).await?.rows_affected();
                }
            }
            Self::Postgres(conn) => {
                if columns.first().is_some_and(|c| c.len() > 0) {
                    let query = bind_arrays(sqlx::query(bulk.postgres), columns);
                    touched = query.execute(conn).await?.rows_affected();
                }
            }
        }
        Ok(touched)
    }

    /// Runs a query over all rows.
    pub(crate) async fn fetch(
        &mut self,
        bulk: &'static Bulk,
        columns: &[Column<'_>],
    ) -> Result<Vec<Line>, sqlx::Error> {
        let mut lines = Vec::new();
        match self {
            Self::Sqlite { conn, texts } => {
                for (from, to) in chunks(columns) {
                    let (text, length) = sqlite_text(texts, bulk, columns.len(), to - from);
                    let query = sqlx::query(AssertSqlSafe(text));
                    let query = bind_rows(query, columns, from, to, length);
                    let rows = query.fetch_all(&mut *conn).await?;
                    lines.extend(rows.into_iter().map(Line::Sqlite));
                }
            }
            Self::Postgres(conn) => {
                if columns.first().is_some_and(|c| c.len() > 0) {
                    let query = bind_arrays(sqlx::query(bulk.postgres), columns);
                    let rows = query.fetch_all(conn).await?;
                    lines.extend(rows.into_iter().map(Line::Postgres));
                }
            }
        }
        Ok(lines)
    }
}

fn chunks(columns: &[Column<'_>]) -> impl Iterator<Item = (usize, usize)> + use<> {
    let rows = columns.first().map_or(0, Column::len);
    debug_assert!(columns.iter().all(|c| c.len() == rows), "columns of unequal length");
    let step = (PARAMETERS_MAX / columns.len().max(1)).min(LENGTHS[LENGTHS.len() - 1]);
    (0..rows).step_by(step).map(move |from| (from, (from + step).min(rows)))
}

fn sqlite_text(
    texts: &mut HashMap<(usize, usize), Arc<str>>,
    bulk: &'static Bulk,
    columns: usize,
    rows: usize,
) -> (Arc<str>, usize) {
    let length = LENGTHS.into_iter().find(|l| *l >= rows).unwrap_or(rows);
    let at = std::ptr::from_ref(bulk).addr();
    let text = texts.entry((at, length)).or_insert_with(|| {
        let row = format!("({})", vec!["?"; columns].join(","));
        let rows = vec![row.as_str(); length].join(",");
        Arc::from(format!("{}{rows}{}", bulk.sqlite.0, bulk.sqlite.1))
    });
    (text.clone(), length)
}

type SqliteQuery<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;
type PgQuery<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind_rows<'q>(
    mut query: SqliteQuery<'q>,
    columns: &[Column<'_>],
    from: usize,
    to: usize,
    length: usize,
) -> SqliteQuery<'q> {
    for row in from..to {
        for column in columns {
            query = match column {
                Column::Int(v) => query.bind(v[row]),
                Column::MaybeInt(v) => query.bind(v[row]),
                Column::Text(v) => query.bind(v[row]),
                Column::MaybeText(v) => query.bind(v[row]),
                Column::Blob(v) => query.bind(v[row]),
                Column::MaybeBlob(v) => query.bind(v[row]),
            };
        }
    }
    for _ in 0..(length - (to - from)) * columns.len() {
        query = query.bind(None::<i64>);
    }
    query
}

fn bind_arrays<'q>(mut query: PgQuery<'q>, columns: &[Column<'_>]) -> PgQuery<'q> {
    for column in columns {
        query = match column {
            Column::Int(v) => query.bind(v),
            Column::MaybeInt(v) => query.bind(v),
            Column::Text(v) => query.bind(v),
            Column::MaybeText(v) => query.bind(v),
            Column::Blob(v) => query.bind(v),
            Column::MaybeBlob(v) => query.bind(v),
        };
    }
    query
}
