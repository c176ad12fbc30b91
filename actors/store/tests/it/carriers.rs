//! Carriers and their credentials: whose they are, what is in use, and who was faster.

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::money::Micros;
use sqlx::{Connection as _, Executor as _};

use store::lane::{Admin, AdminDone, CarrierChange, CarrierDone};

use crate::world::{World, each};

fn id() -> PublicId {
    PublicId::new(At::now())
}

impl World {
    pub(crate) async fn alter(&mut self, change: CarrierChange) -> CarrierDone {
        match self.admin(Admin::Carrier(Box::new(change))).await {
            AdminDone::CarrierChanged(done) => done,
            other => panic!("{other:?}"),
        }
    }

    async fn credential(&mut self, organization: Option<OrgId>) -> PublicId {
        let id = id();
        let change = CarrierChange::CreateCredential {
            id,
            organization,
            name: String::from("one"),
            settings: String::from("{\"host\":\"h\"}"),
            password: b"sealed".to_vec(),
            most: 3,
        };
        assert_eq!(self.alter(change).await, CarrierDone::Done);
        id
    }

    fn new_carrier(organization: Option<OrgId>, credential: PublicId, name: &str) -> CarrierChange {
        CarrierChange::CreateCarrier {
            id: id(),
            organization,
            credential,
            name: name.to_owned(),
            account: name.to_owned(),
            settings: String::from("{}"),
            disabled: false,
            most: 3,
        }
    }
}

#[tokio::test]
async fn a_credential_is_its_owners_alone_and_used_by_one_carrier() {
    each(async |mut world| {
        let own = Some(world.organization);
        let (other, _) = world.organization_with(Micros(1)).await;
        let first = world.credential(own).await;
        let second = world.credential(own).await;
        let platform = world.credential(None).await;

        let strange = World::new_carrier(Some(other), first, "strange");
        assert_eq!(world.alter(strange).await, CarrierDone::NoCredential);
        let strange = World::new_carrier(own, platform, "strange");
        assert_eq!(world.alter(strange).await, CarrierDone::NoCredential);

        let made = World::new_carrier(own, first, "mine");
        let CarrierChange::CreateCarrier { id: carrier, .. } = &made else { panic!() };
        let carrier = *carrier;
        assert_eq!(world.alter(made).await, CarrierDone::Done);
        let again = World::new_carrier(own, first, "again");
        assert_eq!(world.alter(again).await, CarrierDone::InUse);
        let taken = World::new_carrier(own, second, "mine");
        assert_eq!(world.alter(taken).await, CarrierDone::Taken);
        let made = World::new_carrier(None, platform, "upstream");
        assert_eq!(world.alter(made).await, CarrierDone::Done);

        let rows = world.store.smpp_carriers(world.organization, i64::MAX, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].name.as_str(), rows[0].account.as_str()), ("mine", "mine"));
        assert_eq!(rows[0].credential, first.as_bytes());
        assert!(world.store.smpp_carriers(other, i64::MAX, 10).await.unwrap().is_empty());
        assert!(world.store.smpp_carrier(other, carrier).await.unwrap().is_none());
        assert!(world.store.smpp_credential(other, first).await.unwrap().is_none());
        assert!(world.store.smpp_credential(world.organization, platform).await.unwrap().is_none());
        assert_eq!(world.store.platform_carriers(10).await.unwrap().len(), 1);
        let row = world.store.smpp_credential(world.organization, first).await.unwrap().unwrap();
        assert_eq!(row.carrier.as_deref(), Some(&carrier.as_bytes()[..]));
        assert_eq!(row.account.as_deref(), Some("mine"));

        let delete = |id, organization| CarrierChange::DeleteCredential { id, organization };
        assert_eq!(world.alter(delete(first, own)).await, CarrierDone::InUse);
        assert_eq!(world.alter(delete(first, Some(other))).await, CarrierDone::Missing);
        let gone = CarrierChange::DeleteCarrier { id: carrier, organization: Some(other) };
        assert_eq!(world.alter(gone).await, CarrierDone::Missing);
        let gone = CarrierChange::DeleteCarrier { id: carrier, organization: own };
        assert_eq!(world.alter(gone).await, CarrierDone::Done);
        assert_eq!(world.alter(delete(first, own)).await, CarrierDone::Done);
        assert_eq!(world.alter(delete(first, own)).await, CarrierDone::Missing);
        // Its account stays, for what was sent through it.
        let again = world.admin(Admin::NameCarrier { name: String::from("mine") }).await;
        let AdminDone::Carrier { id, .. } = again else { panic!() };
        assert_eq!(id.0, rows[0].carrier_id);
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_of_one_reading_the_second_is_told() {
    each(async |mut world| {
        let own = Some(world.organization);
        let credential = world.credential(own).await;
        let made = World::new_carrier(own, credential, "mine");
        let CarrierChange::CreateCarrier { id: carrier, .. } = &made else { panic!() };
        let carrier = *carrier;
        world.alter(made).await;
        let row = world.store.smpp_carrier(world.organization, carrier).await.unwrap().unwrap();
        let update = |seen, settings: &str| CarrierChange::UpdateCarrier {
            id: carrier,
            organization: own,
            seen: At(seen),
            credential,
            name: String::from("mine"),
            settings: settings.to_owned(),
            disabled: true,
        };
        assert_eq!(world.alter(update(row.updated_at, "{\"a\":1}")).await, CarrierDone::Done);
        assert_eq!(world.alter(update(row.updated_at, "{\"b\":1}")).await, CarrierDone::Stale);
        let now = world.store.smpp_carrier(world.organization, carrier).await.unwrap().unwrap();
        assert_eq!(now.settings, "{\"a\":1}");
        assert!(now.disabled_at.is_some() && now.updated_at > row.updated_at);

        let row = world.store.smpp_credential(world.organization, credential).await.unwrap();
        let seen = row.unwrap().updated_at;
        let update = |seen, settings: &str| CarrierChange::UpdateCredential {
            id: credential,
            organization: own,
            seen: At(seen),
            name: String::from("renamed"),
            settings: settings.to_owned(),
        };
        assert_eq!(world.alter(update(seen, "{\"a\":1}")).await, CarrierDone::Done);
        assert_eq!(world.alter(update(seen, "{\"b\":1}")).await, CarrierDone::Stale);
        let runs = world.store.runnable_carriers(0, 10).await.unwrap();
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].credential_settings, "{\"a\":1}");
        assert_eq!(runs[0].password, b"sealed");
        assert!(runs[0].disabled_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_password_is_revealed_once_and_the_log_says_by_whom() {
    each(async |mut world| {
        let own = Some(world.organization);
        let credential = world.credential(own).await;
        let (other, _) = world.organization_with(Micros(1)).await;
        let seen = |organization, sealed: &[u8]| CarrierChange::Reveal {
            id: credential,
            organization,
            by: String::from("key_\"1"),
            sealed: sealed.to_vec(),
        };
        let reveal = |organization| seen(organization, b"sealed");
        assert_eq!(world.alter(reveal(Some(other))).await, CarrierDone::Missing);
        assert_eq!(world.alter(reveal(None)).await, CarrierDone::Missing);
        assert_eq!(world.alter(reveal(own)).await, CarrierDone::Done);
        assert_eq!(world.alter(reveal(own)).await, CarrierDone::Revealed);
        let rotate = CarrierChange::SetPassword {
            id: credential,
            organization: own,
            password: b"other".to_vec(),
            revealed: false,
            by: String::from("key_2"),
        };
        assert_eq!(world.alter(rotate).await, CarrierDone::Done);
        let sealed = world.store.sealed_password(own, credential).await.unwrap();
        assert_eq!(sealed.as_deref(), Some(&b"other"[..]));
        assert_eq!(world.store.sealed_password(Some(other), credential).await.unwrap(), None);
        assert_eq!(world.store.sealed_password(None, credential).await.unwrap(), None);
        assert_eq!(world.alter(reveal(own)).await, CarrierDone::Stale, "the old one, read before");
        assert_eq!(world.alter(seen(own, b"other")).await, CarrierDone::Done);

        let log = world.store.log_of(world.organization, 0, 100).await.unwrap();
        let told = |kind: EventKind| log.iter().filter(|row| row.kind == kind.code()).count();
        assert_eq!(told(EventKind::CredentialRevealed), 2);
        assert_eq!(told(EventKind::CredentialRotated), 1);
        let detail = log.iter().find(|row| row.kind == EventKind::CredentialRotated.code());
        let detail = detail.unwrap().detail.clone().unwrap();
        let detail: serde_json::Value = serde_json::from_str(&detail).unwrap();
        assert_eq!(detail["credential_id"], credential.show(Kind::SmppCredential));
        assert_eq!(detail["by"], "key_2");
    })
    .await;
}

#[tokio::test]
async fn an_organization_has_so_many_credentials_and_no_more() {
    each(async |mut world| {
        let own = Some(world.organization);
        for _ in 0..3 {
            world.credential(own).await;
        }
        let one_more = CarrierChange::CreateCredential {
            id: id(),
            organization: own,
            name: String::new(),
            settings: String::from("{}"),
            password: Vec::new(),
            most: 3,
        };
        assert_eq!(world.alter(one_more).await, CarrierDone::TooMany);
        let (other, _) = world.organization_with(Micros(1)).await;
        world.credential(Some(other)).await;
        world.credential(None).await;
        let all = world.store.smpp_credentials(world.organization, i64::MAX, 10).await.unwrap();
        assert_eq!(all.len(), 3);
        assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
        let rest = world.store.smpp_credentials(world.organization, all[1].id, 10).await.unwrap();
        assert_eq!(rest.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_database_keeps_tenants_apart_and_passwords_from_all_of_them() {
    each(async |mut world| {
        let own = Some(world.organization);
        world.credential(own).await;
        world.credential(None).await;
        if !world.store.is_postgres() {
            return;
        }
        let mut conn = sqlx::PgConnection::connect(&world.url).await.unwrap();
        conn.execute("set role orbit_api").await.unwrap();
        for (organization, rows) in [(world.organization.0, 1), (world.organization.0 + 1, 0)] {
            let set = format!("set orbit.org = '{organization}'");
            conn.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(set))).await.unwrap();
            let seen = conn.execute("select id, settings from smpp_credentials").await.unwrap();
            assert_eq!(seen.rows_affected(), rows);
        }
        assert!(conn.execute("select password from smpp_credentials").await.is_err());
        assert!(conn.execute("delete from smpp_carriers").await.is_err());
    })
    .await;
}
