//! Tenants see their own rows and nothing else; the roles cannot be talked out of it.

use sqlx::{Connection as _, Executor as _};

use model::money::Micros;

use crate::world::each;

#[tokio::test]
async fn a_tenant_sees_its_own_rows_only() {
    each(async |mut world| {
        let row = world.sent("+14155550123", "a1").await;
        let (other, _) = world.organization_with(Micros(5)).await;
        let filter = store::Filter::default();
        assert!(world.store.messages(other, &filter, i64::MAX, 10).await.unwrap().is_empty());
        assert!(world.store.events(other, row.key, 0, 10).await.unwrap().is_empty());
        assert_eq!(world.store.transfers(other, i64::MAX, 10).await.unwrap().len(), 1);
        assert_eq!(world.store.wallet(other).await.unwrap().unwrap().available, 5);
    })
    .await;
}

#[tokio::test]
async fn the_api_role_reads_nothing_without_a_tenant_and_writes_nothing_at_all() {
    each(async |mut world| {
        world.sent("+14155550123", "a1").await;
        if !world.store.is_postgres() {
            return;
        }
        let mut conn = sqlx::PgConnection::connect(&world.url).await.unwrap();
        conn.execute("set role orbit_api").await.unwrap();
        assert!(conn.execute("select * from messages").await.is_err());
        conn.execute("set orbit.org = '1'").await.unwrap();
        assert_eq!(conn.execute("select * from messages").await.unwrap().rows_affected(), 0);
        let own = format!("set orbit.org = '{}'", world.organization.0);
        conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(own))).await.unwrap();
        assert_eq!(conn.execute("select * from messages").await.unwrap().rows_affected(), 1);
        assert!(conn.execute("update wallets set available = 1").await.is_err());
        assert!(conn.execute("select * from parts").await.is_err());
    })
    .await;
}
