//! Schemas, locks, and failures of the database itself.

use store::lane::Work;
use store::{Options, Store, StoreError};

use sqlx::Executor as _;

use crate::world::{each, readings};

#[tokio::test]
async fn an_older_program_refuses_a_newer_schema() {
    each(async |world| {
        run(&world.url, "insert into _sqlx_migrations
            (version, description, success, checksum, execution_time) values (999, 'later', true, '', 0)")
        .await;
        let refused = Store::open(Options::new(&world.url)).await;
        let Err(StoreError::Schema(text)) = refused else { panic!("opened") };
        assert!(text.contains("newer version"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn opening_twice_changes_nothing() {
    each(async |world| {
        let again = Store::open(Options::new(&world.url)).await.unwrap();
        again.ping().await.unwrap();
        again.close().await;
    })
    .await;
}

#[tokio::test]
async fn one_process_serves_a_postgres_database() {
    each(async |world| {
        if world.store.is_postgres() {
            let second = world.store.lane(readings, true).await;
            assert!(matches!(second, Err(StoreError::InUse(_))));
            assert!(world.store.lane(readings, false).await.is_ok());
        }
    })
    .await;
}

#[tokio::test]
async fn a_batch_the_database_refuses_changes_nothing_and_the_lane_goes_on() {
    each(async |mut world| {
        let poison = if world.store.is_postgres() {
            "create function no_poison() returns trigger language plpgsql as
                'begin if new.body = ''poison'' then raise exception ''poisoned''; end if; return new; end';
             create trigger no_poison before insert on messages
                for each row execute function no_poison()"
        } else {
            "create trigger no_poison before insert on messages when new.body = 'poison'
             begin select raise(abort, 'poisoned'); end"
        };
        run(&world.url, poison).await;
        let mut bad = world.message("+14155550123");
        bad.body = String::from("poison");
        let accepts =
            vec![world.submission(vec![world.message("+14155550124")]), world.submission(vec![bad])];
        let error = world.lane.commit(&Work { accepts, ..Work::default() }).await.unwrap_err();
        assert!(!error.is_outage(), "{error}");
        assert_eq!(world.store.count_messages(world.organization, None, 9).await.unwrap(), 0);
        assert_eq!(world.wallet().await, (1_000_000, 0));
        world.accepted(world.message("+14155550125")).await;
        world.assert_books().await;
    })
    .await;
}

pub(crate) async fn run(url: &str, sql: &str) {
    use sqlx::Connection as _;
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    if url.starts_with("sqlite") {
        sqlx::SqliteConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    } else {
        sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
    }
}
