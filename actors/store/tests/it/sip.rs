//! SIP credentials and bindings: one of a kind, ended with their password, many in a batch.

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::PublicId;
use model::money::Micros;
use store::lane::{
    Admin, AdminDone, Binding, BindingChange, Registrant, SipChange, SipDone, SipHashes,
    SipSettings, Unbound, Work,
};

use crate::world::{World, each};

fn settings(extension: Option<&str>) -> SipSettings {
    SipSettings {
        label: String::from("desk"),
        extension: extension.map(String::from),
        allowed_outbound: true,
        allowed_destinations: String::from("[\"+1\"]"),
        caller_id: None,
        max_contacts: 5,
        suspended: false,
    }
}

fn hashes(text: &str) -> SipHashes {
    SipHashes { md5: format!("{text}-md5"), sha256: format!("{text}-sha256") }
}

fn create(organization: OrgId, username: &str, extension: Option<&str>) -> (PublicId, SipChange) {
    let id = PublicId::new(At::now());
    let create = SipChange::Create {
        organization,
        id,
        realm: format!("o{}.sip.test", organization.0),
        username: username.to_owned(),
        hashes: hashes("first"),
        settings: settings(extension),
        most: 3,
    };
    (id, create)
}

impl World {
    async fn sip(&mut self, change: SipChange) -> SipDone {
        match self.admin(Admin::Sip(Box::new(change))).await {
            AdminDone::Sip(done) => done,
            other => panic!("{other:?}"),
        }
    }

    async fn phone(&mut self, username: &str, extension: Option<&str>) -> Registrant {
        let organization = self.organization;
        let (public_id, create) = create(organization, username, extension);
        assert_eq!(self.sip(create).await, SipDone::Stored);
        let row = self.store.sip_credential(public_id).await.unwrap().unwrap();
        Registrant { credential: row.id, public_id, organization }
    }

    async fn bound(&self) -> Vec<(i64, String, String)> {
        let mut all = Vec::new();
        loop {
            let after = all
                .last()
                .map_or((0, String::new()), |(c, k, _): &(i64, String, _)| (*c, k.clone()));
            // A small page, so that pages are turned.
            let rows = self.store.sip_bindings((after.0, &after.1), 2).await.unwrap();
            if rows.is_empty() {
                return all;
            }
            all.extend(rows.into_iter().map(|row| (row.credential_id, row.binding, row.contact)));
        }
    }

    /// The kinds of the organization's own log, oldest first.
    async fn told(&self) -> Vec<(EventKind, String)> {
        let rows = self.store.log_of(self.organization, 0, 100).await.unwrap();
        let kind = |row: &store::LoggedRow| EventKind::from_code(row.kind).unwrap();
        rows.iter().map(|row| (kind(row), row.detail.clone().unwrap_or_default())).collect()
    }
}

fn binding(of: Registrant, key: &str, contact: &str) -> Binding {
    let now = At::now();
    Binding {
        of,
        key: key.to_owned(),
        aor: String::from("sip:100@acme.sip.test"),
        contact: contact.to_owned(),
        instance: Some(String::from("<urn:uuid:1>")),
        reg_id: Some(1),
        path: vec![String::from("<sip:edge.example.com;lr>")],
        call_id: String::from("c1"),
        cseq: 7,
        user_agent: None,
        transport: String::from("wss"),
        received_from: String::from("192.0.2.1:5060"),
        flow: String::from("tcp/17"),
        node: String::from("one"),
        q: 1_000,
        registered_at: now,
        expires_at: At(now.0 + 60_000_000),
    }
}

fn put(of: Registrant, key: &str, contact: &str, is_new: bool) -> BindingChange {
    BindingChange::Put { binding: Box::new(binding(of, key, contact)), is_new }
}

fn remove(of: Registrant, key: &str) -> BindingChange {
    let (key, contact) = (key.to_owned(), String::from("sip:gone"));
    BindingChange::Remove { of, key, contact, why: Unbound::Expired }
}

#[tokio::test]
async fn usernames_and_extensions_are_one_of_a_kind_until_they_are_revoked() {
    each(async |mut world| {
        let own = world.organization;
        let first = world.phone("100-a", Some("100")).await;
        let taken = create(own, "100-a", None).1;
        assert_eq!(world.sip(taken).await, SipDone::UsernameTaken);
        let taken = create(own, "100-b", Some("100")).1;
        assert_eq!(world.sip(taken).await, SipDone::ExtensionTaken);
        let (other, _) = world.organization_with(Micros(0)).await;
        let theirs = create(other, "100-a", Some("100")).1;
        assert_eq!(world.sip(theirs).await, SipDone::Stored, "another realm");
        let second = world.phone("101-a", Some("101")).await;
        world.phone("102-a", None).await;
        assert_eq!(world.sip(create(own, "x", None).1).await, SipDone::TooMany);

        let row = world.store.own_sip_credential(own, second.public_id).await.unwrap().unwrap();
        let update = |seen, extension| SipChange::Update {
            organization: own,
            id: second.public_id,
            seen,
            settings: settings(extension),
        };
        let seen = At(row.updated_at);
        assert_eq!(world.sip(update(seen, Some("100"))).await, SipDone::ExtensionTaken);
        assert_eq!(world.sip(update(seen, Some("101"))).await, SipDone::Stored);
        assert_eq!(world.sip(update(seen, Some("103"))).await, SipDone::Changed);

        let revoke = SipChange::Revoke { organization: own, id: first.public_id };
        assert_eq!(world.sip(revoke.clone()).await, SipDone::Stored);
        assert_eq!(world.sip(revoke).await, SipDone::Unknown);
        assert_eq!(world.sip(create(own, "100-a", Some("100")).1).await, SipDone::Stored);
        let row = world.store.sip_credential(first.public_id).await.unwrap().unwrap();
        assert_eq!(row.status, 3, "its row tells that it is revoked");
        assert!(world.store.own_sip_credential(own, first.public_id).await.unwrap().is_none());
        let unknown = SipChange::Revoke { organization: other, id: second.public_id };
        assert_eq!(world.sip(unknown).await, SipDone::Unknown, "somebody else's");
    })
    .await;
}

#[tokio::test]
async fn organizations_of_one_name_have_two_realms() {
    each(async |mut world| {
        let (other, _) = world.organization_with(Micros(0)).await;
        let first = world.store.organization_slug(world.organization).await.unwrap().unwrap();
        let second = world.store.organization_slug(other).await.unwrap().unwrap();
        assert_eq!(first, "test");
        assert!(second.starts_with("test-") && second.len() == 17, "{second}");
    })
    .await;
}

#[tokio::test]
async fn the_last_word_on_a_binding_holds() {
    each(async |mut world| {
        let one = world.phone("a", None).await;
        let two = world.phone("b", None).await;
        let changes = vec![
            put(one, "k1", "sip:old", true),
            put(two, "k1", "sip:b", true),
            put(one, "k1", "sip:new", false),
            put(one, "k2", "sip:gone", true),
            remove(one, "k2"),
            remove(one, "k3"),
            put(one, "k3", "sip:back", true),
        ];
        world.commit(Work { bindings: changes, ..Work::default() }).await;
        let expected = [(one, "k1", "sip:new"), (one, "k3", "sip:back"), (two, "k1", "sip:b")];
        let expected = expected.map(|(of, k, c)| (of.credential, k.to_owned(), c.to_owned()));
        assert_eq!(world.bound().await, expected);
        let again = vec![put(one, "k1", "sip:newer", false), remove(two, "k1")];
        world.commit(Work { bindings: again, ..Work::default() }).await;
        assert_eq!(world.bound().await[0].2, "sip:newer");
        assert_eq!(world.bound().await.len(), 2);

        let now = At::now().0;
        let rows = world
            .store
            .own_sip_bindings(one.organization, (one.credential, one.credential), now, 10)
            .await;
        let row = &rows.unwrap()[0];
        let expected = binding(one, "k1", "sip:newer");
        let path = serde_json::from_str::<Vec<String>>(&row.path).unwrap();
        assert_eq!((path, row.instance.clone()), (expected.path, expected.instance));
        assert_eq!((row.reg_id, row.cseq, row.q), (Some(1), 7, 1_000));
        let texts = [&row.aor, &row.call_id, &row.transport, &row.received_from, &row.flow];
        let known = [&expected.aor, &expected.call_id, &expected.transport];
        assert_eq!(texts[..3], known);
        assert_eq!(texts[3..], [&expected.received_from, &expected.flow]);
        let late = world.store.own_sip_bindings(
            one.organization,
            (one.credential, one.credential),
            now * 2,
            10,
        );
        assert!(late.await.unwrap().is_empty(), "expired");

        let kinds: Vec<_> = world.told().await.into_iter().map(|(kind, _)| kind).collect();
        let count = |kind| kinds.iter().filter(|k| **k == kind).count();
        assert_eq!((count(EventKind::SipRegistered), count(EventKind::SipUnregistered)), (4, 3));
    })
    .await;
}

#[tokio::test]
async fn what_ends_a_password_ends_its_bindings_and_none_comes_after() {
    each(async |mut world| {
        let of = world.phone("a", None).await;
        let neighbour = world.phone("b", None).await;
        let (organization, id) = (of.organization, of.public_id);
        let rotate = SipChange::Rotate {
            organization,
            id,
            realm: String::from("new.sip.test"),
            hashes: hashes("second"),
        };
        let suspend = SipChange::Update {
            organization,
            id,
            seen: At(0),
            settings: SipSettings { suspended: true, ..settings(None) },
        };
        let ends = [
            SipChange::Unregister { organization, id },
            rotate,
            suspend,
            SipChange::Revoke { organization, id },
        ];
        for mut end in ends {
            if let SipChange::Update { seen, .. } = &mut end {
                seen.0 = world.store.sip_credential(id).await.unwrap().unwrap().updated_at;
            }
            let revives = matches!(end, SipChange::Revoke { .. });
            if revives {
                let seen = At(world.store.sip_credential(id).await.unwrap().unwrap().updated_at);
                let settings = settings(None);
                let revive = SipChange::Update { organization, id, seen, settings };
                assert_eq!(world.sip(revive).await, SipDone::Stored);
            }
            let bindings = vec![put(of, "k", "sip:a", true), put(neighbour, "k", "sip:b", false)];
            world.commit(Work { bindings, ..Work::default() }).await;
            assert_eq!(world.bound().await.len(), 2, "{end:?}");
            assert_eq!(world.sip(end).await, SipDone::Stored);
            let left: Vec<i64> = world.bound().await.into_iter().map(|(of, ..)| of).collect();
            assert_eq!(left, [neighbour.credential]);
        }
        let late = vec![put(of, "k", "sip:a", false)];
        world.commit(Work { bindings: late, ..Work::default() }).await;
        assert_eq!(world.bound().await.len(), 1, "a revoked one is not bound again");
        let told = world.told().await;
        let dropped = told.iter().filter(|(_, detail)| detail.contains("\"dropped\"")).count();
        assert_eq!(dropped, 4);
        let row = world.store.sip_credential(id).await.unwrap().unwrap();
        assert_eq!((row.realm.as_str(), row.ha1_md5.as_str()), ("new.sip.test", "second-md5"));
    })
    .await;
}

#[tokio::test]
async fn changes_are_seen_since_a_moment_and_revoked_ones_are_among_them() {
    each(async |mut world| {
        let one = world.phone("a", None).await;
        let two = world.phone("b", None).await;
        let all = world.store.sip_credentials_changed((0, 0), 10).await.unwrap();
        assert_eq!(
            all.iter().map(|row| row.id).collect::<Vec<_>>(),
            [one.credential, two.credential]
        );
        let last = all.last().unwrap();
        let mark = (last.updated_at, last.id);
        assert!(world.store.sip_credentials_changed(mark, 10).await.unwrap().is_empty());
        let revoke = SipChange::Revoke { organization: one.organization, id: one.public_id };
        assert_eq!(world.sip(revoke).await, SipDone::Stored);
        let changed = world.store.sip_credentials_changed(mark, 10).await.unwrap();
        assert_eq!((changed.len(), changed[0].id, changed[0].status), (1, one.credential, 3));
        let active = world.store.sip_credentials(0, 10).await.unwrap();
        assert_eq!(active.iter().map(|row| row.id).collect::<Vec<_>>(), [two.credential]);
    })
    .await;
}

#[tokio::test]
async fn credentials_and_bindings_are_their_organizations_alone() {
    each(async |mut world| {
        let of = world.phone("a", None).await;
        let bindings = vec![put(of, "k", "sip:a", true)];
        world.commit(Work { bindings, ..Work::default() }).await;
        let (other, _) = world.organization_with(Micros(0)).await;
        let store = &world.store;
        assert!(store.own_sip_credentials(other, i64::MAX, 10).await.unwrap().is_empty());
        assert!(store.own_sip_credential(other, of.public_id).await.unwrap().is_none());
        let now = At::now().0;
        assert!(store.own_sip_bindings(other, (0, i64::MAX), now, 10).await.unwrap().is_empty());
        assert_eq!(
            store.own_sip_credentials(of.organization, i64::MAX, 10).await.unwrap().len(),
            1
        );
        if store.is_postgres() {
            let own = format!("set orbit.org = '{}'", of.organization.0);
            let sql = [
                "set role orbit_api; select ha1_md5 from sip_credentials",
                "set role orbit_api; delete from sip_bindings",
            ];
            for sql in sql {
                let refused = store_refuses(&world.url, &format!("{own}; {sql}")).await;
                assert!(refused.contains("permission denied"), "{refused}");
            }
        }
    })
    .await;
}

async fn store_refuses(url: &str, sql: &str) -> String {
    use sqlx::{Connection as _, Executor as _};
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    conn.execute(sql).await.map_or_else(|error| error.to_string(), |_| String::new())
}
