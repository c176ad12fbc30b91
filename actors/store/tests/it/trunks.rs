//! SIP trunks: seen by their organization without their password, and changed as they were seen.

use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use model::money::Micros;
use store::lane::{Admin, AdminDone, NewTrunk, TrunkChange, TrunkDone, TrunkPassword};

use crate::world::{World, each};

impl World {
    async fn trunk(&mut self, change: TrunkChange) -> TrunkDone {
        match self.admin(Admin::Trunk(Box::new(change))).await {
            AdminDone::Trunk(done) => done,
            other => panic!("{other:?}"),
        }
    }
}

fn new(name: &str) -> NewTrunk {
    NewTrunk { name: name.to_owned(), settings: String::from("{}"), disabled: false }
}

fn create(organization: OrgId) -> (PublicId, TrunkChange) {
    let id = PublicId::new(At::now());
    let password = Some(vec![1, 2, 3]);
    (id, TrunkChange::Create { organization, id, trunk: new("one"), password, most: 2 })
}

#[tokio::test]
async fn a_trunk_is_replaced_as_it_was_seen_and_belongs_to_one() {
    each(async |mut world| {
        let own = world.organization;
        let (id, change) = create(own);
        assert_eq!(world.trunk(change).await, TrunkDone::Stored);
        assert_eq!(world.trunk(create(own).1).await, TrunkDone::Stored);
        assert_eq!(world.trunk(create(own).1).await, TrunkDone::TooMany);
        let (other, _) = world.organization_with(Micros(0)).await;
        let store = world.store.clone();
        assert!(store.own_trunk(other, id).await.unwrap().is_none());
        assert!(store.own_trunks(other, i64::MAX, 10).await.unwrap().is_empty());
        assert_eq!(store.own_trunks(own, i64::MAX, 10).await.unwrap().len(), 2);
        assert_eq!(store.all_trunks(0, 10).await.unwrap().len(), 2);

        let row = store.own_trunk(own, id).await.unwrap().unwrap();
        let replace = |organization, seen, password| TrunkChange::Replace {
            organization,
            id,
            seen,
            trunk: NewTrunk { disabled: true, ..new("two") },
            password,
        };
        let seen = At(row.updated_at);
        let password = async || {
            let rows = store.trunks_of(own, 10).await.unwrap();
            rows.into_iter().find(|row| row.public_id == id.as_bytes()).unwrap().password
        };
        let theirs = replace(other, seen, TrunkPassword::Stays);
        assert_eq!(world.trunk(theirs).await, TrunkDone::Unknown);
        assert_eq!(world.trunk(replace(own, seen, TrunkPassword::Stays)).await, TrunkDone::Stored);
        assert_eq!(password().await, Some(vec![1, 2, 3]));
        let again = replace(own, seen, TrunkPassword::Is(None));
        assert_eq!(world.trunk(again).await, TrunkDone::Changed);
        let row = store.own_trunk(own, id).await.unwrap().unwrap();
        assert_eq!((&*row.name, row.disabled_at.is_some()), ("two", true));
        let seen = At(row.updated_at);
        let other_password = replace(own, seen, TrunkPassword::Is(Some(vec![9])));
        assert_eq!(world.trunk(other_password).await, TrunkDone::Stored);
        assert_eq!(password().await, Some(vec![9]));

        let delete = |organization| TrunkChange::Delete { organization, id };
        assert_eq!(world.trunk(delete(other)).await, TrunkDone::Unknown);
        assert_eq!(world.trunk(delete(own)).await, TrunkDone::Stored);
        assert_eq!(world.trunk(delete(own)).await, TrunkDone::Unknown);
    })
    .await;
}
