//! Opening a store: files, pools, roles, locks.
//!
//! On SQLite the writer has a connection of its own and the readers a pool that cannot write. On
//! PostgreSQL readers for tenants act as `orbit_api` under row-level security, everything else as
//! `orbit_engine`; neither owns a table. The writer's connection holds an advisory lock, so that a
//! second process on the same database refuses to start.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use model::carrier::OrgId;
use model::protection::Protection;
use model::voice::Bounds;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Executor as _, Transaction,
};

use crate::bulk::{Conn, Log, silent};
use crate::copier::Copier;
use crate::disk::{Disk, Flush, Progress};
use crate::error::StoreError;
use crate::lane::{Alternatives, Lane, Terms};
use crate::reading::Engine;
use crate::schema;

/// One number per product, so that other programs' advisory locks do not meet ours.
const SERVE_LOCK: i64 = 0x4f52_4249_5401;

/// How long the writer waits for PostgreSQL: longer than its statements may take there.
const ANSWER_WAIT: Duration = Duration::from_secs(40);

/// Of a new SQLite file; one that is there keeps its own.
const PAGE_BYTES: u32 = 8_192;

/// How long a connection waits for another one's lock on a SQLite file.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// What reads by runs is planned by index and in its order, for its transaction alone: how many rows
/// lie in a run PostgreSQL can only guess, and a wrong guess reads a table from end to end. Other
/// reads need their sorts.
const BY_RUNS: &str = "select set_config('enable_seqscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_material', 'off', true), set_config('enable_sort', 'off', true),
    set_config('jit', 'off', true)";

/// The first number above one. Bounds of runs are compared as they are stored: below row security
/// PostgreSQL looks nothing up by what it calculates from a row.
pub(crate) fn above(number: i64) -> i64 {
    number.saturating_add(1)
}

/// The first number below one.
pub(crate) fn below(number: i64) -> i64 {
    number.saturating_sub(1)
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://PATH` or `postgres://…`.
    pub url: String,
    pub readers_max: u32,
    pub reader_wait: Duration,
    /// How long PostgreSQL may leave the writer without an answer.
    pub answer_wait: Duration,
    /// Pages of the write-ahead log after which SQLite copies it into the database.
    pub sqlite_checkpoint_pages: u32,
    /// What guards organizations that set nothing themselves.
    pub protection: Protection,
    /// What bounds each organization's calls.
    pub bounds: Bounds,
    /// Receipts that match nothing which one carrier may have parked.
    pub parked_receipts_max: i64,
    /// How SQLite's write-ahead log gets to the disk.
    pub flush: Flush,
}

impl Options {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            readers_max: 4,
            reader_wait: Duration::from_secs(5),
            answer_wait: ANSWER_WAIT,
            sqlite_checkpoint_pages: 4_000,
            protection: Protection::default(),
            bounds: Bounds::default(),
            parked_receipts_max: 5_000,
            flush: Flush::default(),
        }
    }

    /// The file behind a `sqlite:` url.
    fn sqlite_path(&self) -> Result<PathBuf, StoreError> {
        Ok(SqliteConnectOptions::from_str(&self.url)?.get_filename().to_owned())
    }

    fn is_postgres(&self) -> Result<bool, StoreError> {
        if self.url.starts_with("postgres://") || self.url.starts_with("postgresql://") {
            return Ok(true);
        }
        if self.url.starts_with("sqlite:") {
            return Ok(false);
        }
        Err(StoreError::Url(String::from("neither sqlite://PATH nor postgres://…")))
    }
}

/// The reading side. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    options: Options,
    postgres: bool,
    tenants: AnyPool,
    engine: AnyPool,
    progress: Arc<Progress>,
}

/// A query with its values, ready to be read.
pub(crate) type Asked<T> = sqlx::query::QueryAs<'static, Any, T, AnyArguments>;

/// What a query reads.
pub(crate) trait Row: for<'r> sqlx::FromRow<'r, AnyRow> + Send + Unpin {}

impl<T: for<'r> sqlx::FromRow<'r, AnyRow> + Send + Unpin> Row for T {}

/// A reader that sees one organization's rows and no others.
pub enum Tenant {
    Sqlite(PoolConnection<Any>),
    Postgres(Transaction<'static, Any>),
}

impl Tenant {
    pub(crate) fn conn(&mut self) -> &mut AnyConnection {
        match self {
            Self::Sqlite(conn) => conn,
            Self::Postgres(tx) => tx,
        }
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => Ok(tx.commit().await?),
        }
    }
}

impl Store {
    /// Connects and brings the schema up to date. Fails on a schema newer than this program.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let postgres = options.is_postgres()?;
        migrate(&options, postgres).await?;
        let tenants = pool(&options, postgres, "set role orbit_api").await?;
        let engine = pool(&options, postgres, "set role orbit_engine").await?;
        Ok(Self { options, postgres, tenants, engine, progress: Arc::default() })
    }

    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.postgres
    }

    /// Reads as one organization.
    pub async fn tenant(&self, organization: OrgId) -> Result<Tenant, StoreError> {
        if !self.postgres {
            return Ok(Tenant::Sqlite(self.tenants.acquire().await?));
        }
        let mut tx = self.tenants.begin().await?;
        sqlx::query("select set_config('orbit.org', $1, true)")
            .bind(organization.0.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(Tenant::Postgres(tx))
    }

    /// The rows of a query that walks an organization's runs.
    pub(crate) async fn all_by_runs<T: Row>(
        &self,
        organization: OrgId,
        query: Asked<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut tenant = self.tenant(organization).await?;
        if let Tenant::Postgres(tx) = &mut tenant {
            sqlx::query(BY_RUNS).execute(&mut **tx).await?;
        }
        let rows = query.fetch_all(tenant.conn()).await?;
        tenant.close().await?;
        self.settled().await?;
        Ok(rows)
    }

    /// The rows of a query, read as one organization.
    pub(crate) async fn all_of<T: Row>(
        &self,
        organization: OrgId,
        query: Asked<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut tenant = self.tenant(organization).await?;
        let rows = query.fetch_all(tenant.conn()).await?;
        tenant.close().await?;
        self.settled().await?;
        Ok(rows)
    }

    /// The row of a query, if there is one, read as one organization.
    pub(crate) async fn one_of<T: Row>(
        &self,
        organization: OrgId,
        query: Asked<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut tenant = self.tenant(organization).await?;
        let row = query.fetch_optional(tenant.conn()).await?;
        tenant.close().await?;
        self.settled().await?;
        Ok(row)
    }

    /// Reads as the switch itself. What was found comes once it is on the disk.
    pub(crate) fn engine(&self) -> Engine<'_> {
        Engine::new(&self.engine, &self.progress, self.options.reader_wait)
    }

    /// To be waited for between reading and telling what was read: it may not be on the disk yet.
    pub(crate) async fn settled(&self) -> Result<(), StoreError> {
        Ok(self.progress.settled(self.options.reader_wait).await?)
    }

    /// True when the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.engine).await?;
        Ok(())
    }

    /// Opens the writer. `exclusive` on PostgreSQL: refuse while another process serves this
    /// database. On SQLite the data folder's lock file says so.
    pub async fn lane(
        &self,
        alternatives: Alternatives,
        exclusive: bool,
    ) -> Result<Lane, StoreError> {
        let conn = if self.postgres {
            let wait = self.options.answer_wait;
            let conn = tokio::time::timeout(wait, self.writing(exclusive)).await;
            Conn::Postgres(conn.map_err(|_| silent(wait))??, wait)
        } else {
            let path = self.options.sqlite_path()?;
            let conn = rusqlite::Connection::open(&path)?;
            conn.set_prepared_statement_cache_capacity(300);
            conn.busy_timeout(BUSY_WAIT)?;
            for (name, value) in [
                ("journal_mode", "wal"),
                // The log gets to the disk beside the writer; within copying SQLite itself sees to it.
                ("synchronous", "normal"),
                ("foreign_keys", "off"),
                ("cache_size", "-16000"),
            ] {
                conn.pragma_update(None, name, value)?;
            }
            let copier = Copier::start(&conn, &path, self.options.sqlite_checkpoint_pages)?;
            let disk = Disk::open(&path, self.options.flush.clone(), self.progress.clone())?;
            Conn::Sqlite(Box::new(conn), Log { copier, disk })
        };
        let terms = Terms {
            alone: exclusive,
            parked_max: self.options.parked_receipts_max,
            protection: self.options.protection.clone(),
            bounds: self.options.bounds.clone(),
        };
        Lane::open(conn, alternatives, terms).await
    }

    /// The writer's connection to PostgreSQL.
    async fn writing(&self, exclusive: bool) -> Result<PgConnection, StoreError> {
        let mut conn = PgConnectOptions::from_str(&self.options.url)?
            .application_name("orbit lane")
            .statement_cache_capacity(500)
            .connect()
            .await?;
        if exclusive {
            let sql = "select pg_try_advisory_lock($1)";
            let free: bool = sqlx::query_scalar(sql).bind(SERVE_LOCK).fetch_one(&mut conn).await?;
            if !free {
                let whose = String::from("its advisory lock is held on this database");
                return Err(StoreError::InUse(whose));
            }
        }
        for sql in [
            "set role orbit_engine",
            "set enable_seqscan = off",
            "set enable_hashjoin = off",
            "set enable_mergejoin = off",
            "set jit = off",
            "set plan_cache_mode = force_generic_plan",
            "set statement_timeout = '30s'",
            // A server that we seem to have vanished from lets go of the lock within a minute.
            "set tcp_keepalives_idle = 30",
            "set tcp_keepalives_interval = 10",
            "set tcp_keepalives_count = 3",
        ] {
            conn.execute(sql).await?;
        }
        Ok(conn)
    }

    /// Closes the pools once their last query is done.
    pub async fn close(&self) {
        self.tenants.close().await;
        self.engine.close().await;
    }
}

fn sqlite_options(options: &Options) -> Result<SqliteConnectOptions, StoreError> {
    Ok(SqliteConnectOptions::from_str(&options.url)?
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(BUSY_WAIT))
}

async fn migrate(options: &Options, postgres: bool) -> Result<(), StoreError> {
    let migrator = schema::migrator(postgres);
    if postgres {
        let mut conn = PgConnectOptions::from_str(&options.url)?.connect().await?;
        migrator.run(&mut conn).await.map_err(schema::explain)?;
        conn.close().await?;
    } else {
        let mut conn = sqlite_options(options)?.connect().await?;
        migrator.run(&mut conn).await.map_err(schema::explain)?;
        conn.close().await?;
    }
    Ok(())
}

async fn pool(
    options: &Options,
    postgres: bool,
    role: &'static str,
) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(options.readers_max)
        .acquire_timeout(options.reader_wait)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                let setup = if postgres {
                    [role, "set statement_timeout = '10s'"]
                } else {
                    ["pragma query_only = on", "pragma busy_timeout = 5000"]
                };
                for sql in setup {
                    conn.execute(sql).await?;
                }
                Ok(())
            })
        })
        .connect(&options.url)
        .await?;
    Ok(pool)
}
