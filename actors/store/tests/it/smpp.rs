//! Customers' SMPP accounts: what they may ask about, and what they are owed.

use std::sync::Arc;

use model::carrier::MessageKey;
use model::clock::At;
use model::esme::Submitted;
use model::event::EventKind;
use model::id::PublicId;
use model::submission::{NewMessage, SendOptions};
use store::lane::{Admin, AdminDone, SmppChange, SmppSettings, Work};

use crate::world::{World, each, sent};

async fn account(world: &mut World, system_id: &str) -> store::SmppAccountRow {
    let list = || String::from("[]");
    let settings = SmppSettings {
        allowed_ips: list(),
        allowed_senders: list(),
        inbound_numbers: list(),
        bind_types: 7,
        max_binds: 5,
        window_size: 10,
        category: 1,
        receipt_format: 3,
        id_format: 2,
        congestion_state: true,
        intermediate_receipts: true,
        ..SmppSettings::default()
    };
    let create = SmppChange::Create {
        id: PublicId::new(At::now()),
        organization: world.organization,
        system_id: system_id.to_owned(),
        password_mac: [1; 32],
        settings,
    };
    assert_eq!(world.admin(Admin::Smpp(Box::new(create))).await, AdminDone::Smpp(true));
    world.store.smpp_account_named(system_id).await.unwrap().unwrap()
}

fn of(world: &World, account: i64, registered_delivery: u8, later: bool) -> NewMessage {
    let submitted = Submitted { account, registered_delivery, ..Submitted::default() };
    let scheduled_at = later.then(|| At(At::now().0 + 3_600_000_000));
    let submitted = Some(Arc::new(submitted));
    let options = SendOptions { submitted, scheduled_at, ..SendOptions::default() };
    NewMessage { options, ..world.message("+14155550123") }
}

#[tokio::test]
async fn what_waits_between_two_addresses_is_found_and_nothing_else() {
    each(async |mut world| {
        let one = account(&mut world, "one").await.id;
        let two = account(&mut world, "two").await.id;
        let queued = world.accepted(of(&world, one, 1, false)).await.key;
        let later = world.accepted(of(&world, one, 1, true)).await.key;
        let gone = world.accepted(of(&world, one, 1, false)).await;
        assert_eq!(world.claim(&[gone]).await, [true]);
        world.accepted(of(&world, two, 1, false)).await;
        world.accepted(NewMessage { to: "+14155550124".into(), ..of(&world, one, 1, true) }).await;
        let (store, organization) = (&world.store, world.organization);
        let found = async |from: &str, after, limit| -> Vec<i64> {
            let (who, between) = ((one, organization), (from, "+14155550123"));
            let rows = store.waiting_between(who, between, after, 100, limit).await;
            rows.unwrap().into_iter().map(|row| row.key).collect()
        };
        assert_eq!(found("Orbit", 0, 100).await, [queued.0, later.0]);
        assert_eq!(found("Orbit", 0, 1).await, [queued.0]);
        assert_eq!(found("Orbit", queued.0, 100).await, [later.0]);
        assert_eq!(found("Else", 0, 100).await, [0_i64; 0]);
        let row = store.asked_to_change(one, later.0).await.unwrap().unwrap();
        assert_eq!((row.key, row.edits), (later.0, 0));
        assert!(store.asked_to_change(two, later.0).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn steps_on_the_way_are_owed_where_they_were_asked_for() {
    each(async |mut world| {
        let account = account(&mut world, "one").await;
        for (registered_delivery, id) in [(0x11, "a"), (0x01, "b"), (0x10, "c")] {
            let row = world.accepted(of(&world, account.id, registered_delivery, false)).await;
            assert_eq!(world.claim(&[row]).await, [true]);
            let results = vec![world.result(row, 1, sent(&[id]))];
            world.commit(Work { results, ..Work::default() }).await;
            let receipts = vec![world.receipt(id, Some(model::message::Status::Delivered))];
            world.commit(Work { receipts, ..Work::default() }).await;
        }
        let owed = async |steps| -> Vec<i64> {
            let rows = world.store.owed(account.id, world.organization, 0, steps, 100).await;
            rows.unwrap().into_iter().map(|row| row.kind).collect()
        };
        let (step, end) = (EventKind::Sent.code(), EventKind::Delivered.code());
        assert_eq!(owed(false).await, [end, end, end]);
        assert_eq!(owed(true).await, [step, end, end, step, end]);
    })
    .await;
}

#[tokio::test]
async fn a_message_shows_the_form_of_its_accounts_ids_and_the_account_its_organizations_pace() {
    each(async |mut world| {
        let row = account(&mut world, "one").await;
        assert_eq!((row.congestion_state, row.intermediate_receipts), (1, 1));
        assert_eq!(row.organization_tps, 0);
        let organization = world.organization;
        let pace = SmppChange::SetPace { organization, tps: 7 };
        assert_eq!(world.admin(Admin::Smpp(Box::new(pace))).await, AdminDone::Smpp(true));
        let by_smpp = world.accepted(of(&world, row.id, 1, false)).await.key;
        let by_rest = world.accepted(world.message("+14155550123")).await.key;
        let store = &world.store;
        let format = async |key: MessageKey| {
            let filter = store::Filter::default();
            let rows = store.messages(organization, &filter, key.0 + 1, 1).await.unwrap();
            rows[0].smpp_id_format
        };
        assert_eq!((format(by_smpp).await, format(by_rest).await), (Some(2), None));
        let row = store.smpp_account_named("one").await.unwrap().unwrap();
        assert_eq!(row.organization_tps, 7);
        assert_eq!(store.organizations(1).await.unwrap()[0].smpp_tps, 7);
    })
    .await;
}

#[tokio::test]
async fn an_account_keeps_the_pool_it_names_also_when_that_is_gone() {
    each(async |mut world| {
        let made = account(&mut world, "one").await;
        assert_eq!(made.default_sender_pool(), None);
        let pool = PublicId::new(At::now());
        let mut seen = At(made.updated_at);
        for named in [Some(pool), None, Some(pool)] {
            let settings = SmppSettings {
                default_sender_pool: named,
                allowed_ips: String::from("[]"),
                allowed_senders: String::from("[]"),
                inbound_numbers: String::from("[]"),
                window_size: 10,
                ..SmppSettings::default()
            };
            let id = PublicId::from_bytes(made.public_id.as_slice().try_into().unwrap());
            let organization = world.organization;
            let update = SmppChange::Update { id, organization, seen, settings };
            assert_eq!(world.admin(Admin::Smpp(Box::new(update))).await, AdminDone::Smpp(true));
            let row = world.store.smpp_account(organization, id).await.unwrap().unwrap();
            assert_eq!((row.default_sender_pool(), row.window_size), (named, 10));
            seen = At(row.updated_at);
        }
        let all = world.store.all_smpp_accounts(0, 10).await.unwrap();
        assert_eq!(all[0].default_sender_pool(), Some(pool), "as a start reads it");
    })
    .await;
}

#[tokio::test]
async fn who_wrote_last_to_a_person_is_found_as_for_an_answer() {
    each(async |mut world| {
        let from = |from: &str, ton| NewMessage {
            from: from.to_owned(),
            from_ton: ton,
            ..world.message("+14155550123")
        };
        let (number, name) = (from("+14155550100", 1), from("Orbit", 5));
        world.accepted(number).await;
        world.accepted(name).await;
        let (store, now, ours) = (&world.store, At::now(), Some(world.organization));
        let last =
            async |from: &str, to: &str, now| store.last_writer((from, to), now).await.unwrap();
        assert_eq!(last("+14155550100", "+14155550123", now).await, ours);
        assert_eq!(last("+14155550100", "+14155550124", now).await, None);
        assert_eq!(last("Orbit", "+14155550123", now).await, None, "nobody answers a name");
        let late = now.plus(std::time::Duration::from_secs(31 * 86_400));
        assert_eq!(last("+14155550100", "+14155550123", late).await, None);
    })
    .await;
}
