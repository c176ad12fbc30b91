//! Another program at the same database, for tests of other crates: it locks, and it spoils.
//!
//! Only with the feature `testing`, which no released program turns on.

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

/// A connection of its own, with every right.
pub struct Outsider(AnyConnection);

impl Outsider {
    pub async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        Ok(Self(AnyConnection::connect(url).await?))
    }

    /// Runs one or more statements. What `begin immediate` locks stays locked until `rollback`.
    pub async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.0.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())
    }
}
