//! Migrations: numbered steps, one text per database, never edited once released.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::error::StoreError;

struct Step {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// Both texts of a step lie in files of one name, which begins with the four digits.
macro_rules! steps {
    ($($version:literal $digits:literal $name:literal,)+) => {
        &[$(Step {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("migrations/sqlite/", $digits, "_", $name, ".sql")),
            postgres: include_str!(concat!("migrations/postgres/", $digits, "_", $name, ".sql")),
        },)+]
    };
}

const STEPS: &[Step] = steps![
    1 "0001" "spine",
    2 "0002" "log",
    3 "0003" "webhooks",
    4 "0004" "caps",
    5 "0005" "compliance",
    6 "0006" "schedules",
    7 "0007" "protection",
    8 "0008" "retention",
    9 "0009" "templates",
    10 "0010" "policies",
    11 "0011" "smpp",
    12 "0012" "carriers",
    13 "0013" "routing",
    14 "0014" "quirks",
    15 "0015" "interceptors",
    16 "0016" "esme",
    17 "0017" "lean_hits",
    18 "0018" "pools",
    19 "0019" "accounts",
    20 "0020" "texts_and_calls",
    22 "0022" "sip",
    24 "0024" "calls",
    25 "0025" "runs",
    26 "0026" "call_legs",
    27 "0027" "numbers",
    28 "0028" "recordings",
    30 "0030" "account_pools",
    31 "0031" "number_months",
    32 "0032" "recorded_numbers",
];

pub(crate) fn migrator(postgres: bool) -> Migrator {
    let steps = STEPS
        .iter()
        .map(|step| {
            let sql = if postgres { step.postgres } else { step.sqlite };
            Migration::new(
                step.version,
                Cow::Borrowed(step.name),
                MigrationType::Simple,
                AssertSqlSafe(sql).into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(steps)
}

/// Says in words what a failed migration means for the operator.
pub(crate) fn explain(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError::{VersionMismatch, VersionMissing};
    StoreError::Schema(match error {
        VersionMissing(version) => format!(
            "the database has schema step {version}, which this program does not know: \
             it was written by a newer version; start that one"
        ),
        VersionMismatch(version) => {
            format!("schema step {version} in the database differs from this program's")
        }
        other => format!("migration: {other}"),
    })
}

#[cfg(test)]
mod tests;
