//! A database that an earlier program filled comes up right.
#![expect(clippy::unwrap_used, reason = "a failing test should say where")]

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::*;
use crate::{Filter, LogFilter, Options, Store};
use model::carrier::{CarrierId, OrgId};
use model::clock::At;
use model::event::EventKind;

/// The steps up to one.
fn up_to(last: i64, postgres: bool) -> Migrator {
    let all = migrator(postgres);
    let steps = all.iter().filter(|step| step.version <= last).cloned().collect();
    Migrator::with_migrations(steps)
}

async fn apply(url: &str, last: i64) {
    if url.starts_with("sqlite") {
        let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
        let options = options.create_if_missing(true);
        let mut conn = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        up_to(last, false).run(&mut conn).await.unwrap();
    } else {
        let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
        up_to(last, true).run(&mut conn).await.unwrap();
    }
}

async fn run(url: &str, sql: String) {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect(url).await.unwrap();
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    conn.close().await.unwrap();
}

/// Three hundred messages of three organizations in turn, each with two lines of the log; every
/// tenth line is of none.
fn earlier_rows(postgres: bool) -> String {
    let blob = |n: i64| match postgres {
        true => format!("'\\x{n:032x}'::bytea"),
        false => format!("x'{n:032x}'"),
    };
    let mut sql = String::from("begin;");
    for organization in 1..=3 {
        sql.push_str(&format!(
            "insert into organizations (id, public_id, name, created_at)
             values ({organization}, {}, 'o', 1);",
            blob(organization)
        ));
    }
    for n in 1_i64..=300 {
        // Scheduled; sent without an id; sent in part; delivered, once in part.
        let (status, scheduled, external, partly) = match n % 10 {
            0 => (13, "77", "null", "null"),
            1 => (3, "null", "null", "null"),
            2 => (3, "null", "'x'", "5"),
            3 => (4, "66", "'x'", "5"),
            _ => (4, "null", "'x'", "null"),
        };
        let organization = n / 3 % 3 + 1;
        let id = blob(1_000 + n);
        sql.push_str(&format!(
            "insert into messages (key, id, organization_id, direction, status, category, encoding,
                segments, test_mode, carrier_id, unit_price, from_ton, created_at, to_addr,
                from_addr, body, scheduled_at, external_id, partly_at)
             values ({n}, {id}, {organization}, 1, {status}, 1, 1, 1, 0, 9, 1, 5, {n}, '+1', 'me',
                'hello', {scheduled}, {external}, {partly});"
        ));
        let own = if n % 5 == 0 { 0 } else { n };
        for (seq, message) in [(2 * n, n), (2 * n + 1, own)] {
            sql.push_str(&format!(
                "insert into events (seq, organization_id, message_key, kind, status, at)
                 values ({seq}, {organization}, {message}, 1, 1, {n});"
            ));
        }
    }
    sql.push_str(
        "insert into carriers (id, name, epoch, ended_at) values (9, 'gone', 1, 5); commit;",
    );
    sql
}

async fn all_is_found(url: &str) {
    let store = Store::open(Options::new(url)).await.unwrap();
    let organization_of = |n: i64| OrgId(n / 3 % 3 + 1);
    for organization in (1..=3).map(OrgId) {
        let own = |n: &i64| organization_of(*n) == organization;
        let filter = Filter::default();
        let rows = store.messages(organization, &filter, 200, 1_000).await.unwrap();
        let keys: Vec<i64> = rows.iter().map(|row| row.key).collect();
        assert_eq!(keys, (1..200).rev().filter(own).collect::<Vec<_>>());
        let lines = store.log_of(organization, 101, 1_000).await.unwrap();
        let seqs: Vec<i64> = lines.iter().map(|row| row.seq).collect();
        let own_line = |seq: &i64| own(&(seq / 2));
        assert_eq!(seqs, (102..=601).filter(own_line).collect::<Vec<_>>());
        let page = LogFilter::new(EventKind::ALL);
        let page = store.log_page(organization, &page, 301, 10).await.unwrap();
        let seqs: Vec<i64> = page.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, (2..301).rev().filter(own_line).take(10).collect::<Vec<_>>());
    }
    let due = store.due(At(100), (0, 0), 1_000).await.unwrap();
    let keys: Vec<i64> = due.iter().map(|row| row.key).collect();
    assert_eq!(keys, (1..=30).map(|n| n * 10).collect::<Vec<_>>());
    let lines = store.aged_own_lines(0, 1_000).await.unwrap();
    assert_eq!(lines.len(), 60);
    let ended = store.accounts_ended().await.unwrap();
    assert_eq!(ended.iter().map(|row| CarrierId(row.id)).collect::<Vec<_>>(), [CarrierId(9)]);
    count(&store, "select count(*) as n from messages where nameless is not null", 30).await;
    count(&store, "select count(*) as n from messages where partly_at is not null", 30).await;
    store.close().await;
}

async fn count(store: &Store, sql: &'static str, expected: i64) {
    let found: i64 = sqlx::query_scalar(sql).fetch_one(store.engine()).await.unwrap();
    assert_eq!(found, expected, "{sql}");
}

#[tokio::test]
async fn rows_of_before_runs_are_found_by_them() {
    let folder = std::env::temp_dir().join(format!("orbit-schema-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("sqlite://{}", folder.join("orbit.db").display());
    apply(&url, 20).await;
    run(&url, earlier_rows(false)).await;
    all_is_found(&url).await;
    std::fs::remove_dir_all(&folder).unwrap();

    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else { return };
    let name = format!("orbit_schema_{}", std::process::id());
    // Whose database it is passes no row security.
    run(&server, format!("{ROLES} create role {name} login createrole")).await;
    run(&server, format!("grant orbit_api, orbit_engine to {name} with admin option")).await;
    run(&server, format!("create database {name} owner {name}")).await;
    let (base, _) = server.rsplit_once('/').unwrap();
    let (_, host) = base.rsplit_once('@').unwrap();
    let owners = format!("postgres://{name}@{host}/{name}");
    apply(&owners, 20).await;
    run(&format!("{base}/{name}"), earlier_rows(true)).await;
    all_is_found(&owners).await;
    run(&server, format!("drop database {name} with (force)")).await;
    run(&server, format!("drop role {name}")).await;
}

/// The roles of the program, which belong to the whole server.
const ROLES: &str = "do $$ begin create role orbit_api nologin;
    exception when duplicate_object or unique_violation then null; end $$;
    do $$ begin create role orbit_engine nologin;
    exception when duplicate_object or unique_violation then null; end $$;";
