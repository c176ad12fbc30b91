//! Interceptors: kept in order, by organization, and no more than may be.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use store::lane::{Admin, AdminDone, InterceptorChange};

use crate::world::{World, each};

async fn change(world: &mut World, change: InterceptorChange) -> bool {
    match world.admin(Admin::Interceptor(Box::new(change))).await {
        AdminDone::Interceptor(done) => done,
        other => panic!("{other:?}"),
    }
}

fn create(id: PublicId, organization: OrgId, position: i64, rule: &str) -> InterceptorChange {
    InterceptorChange::Create { id, organization, position, rule: rule.to_owned(), most: 3 }
}

async fn rules(world: &World, organization: OrgId) -> Vec<String> {
    let rows = world.store.interceptors(organization, 10).await.unwrap();
    rows.into_iter().map(|row| row.rule).collect()
}

#[tokio::test]
async fn rules_are_kept_in_order_and_are_nobody_elses() {
    each(async |mut world| {
        let ours = world.organization;
        let (theirs, _) = world.organization_with(Micros(0)).await;
        let [a, b, c, d, e] = std::array::from_fn(|_| PublicId::new(At::now()));
        assert!(change(&mut world, create(a, ours, 5, "a")).await);
        assert!(change(&mut world, create(b, ours, 1, "b")).await);
        assert!(change(&mut world, create(c, ours, 5, "c")).await);
        assert!(!change(&mut world, create(d, ours, 0, "d")).await, "three are all there may be");
        assert!(change(&mut world, create(e, theirs, 0, "e")).await);
        assert_eq!(rules(&world, ours).await, ["b", "a", "c"]);
        let update = |organization| InterceptorChange::Update {
            id: a,
            organization,
            position: 9,
            rule: String::from("a2"),
        };
        assert!(!change(&mut world, update(theirs)).await);
        assert!(change(&mut world, update(ours)).await);
        assert_eq!(rules(&world, ours).await, ["b", "c", "a2"]);
        assert!(world.store.interceptor(theirs, a).await.unwrap().is_none());
        let row = world.store.interceptor(ours, a).await.unwrap().unwrap();
        assert!(row.updated_at >= row.created_at && row.position == 9);
        let delete = |organization| InterceptorChange::Delete { id: b, organization };
        assert!(!change(&mut world, delete(theirs)).await);
        assert!(change(&mut world, delete(ours)).await);
        assert!(!change(&mut world, delete(ours)).await);
        assert_eq!(rules(&world, ours).await, ["c", "a2"]);
        let all = world.store.all_interceptors(0, 10).await.unwrap();
        assert_eq!(all.len(), 3);
        let rest = world.store.all_interceptors(all[0].id, 10).await.unwrap();
        assert_eq!(rest.len(), 2);
    })
    .await;
}
