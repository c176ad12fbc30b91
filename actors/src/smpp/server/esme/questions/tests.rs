//! Questions about many messages, and about what else is known of one.

use model::carrier::CarrierId;
use model::id::PublicId;
use model::rates::Rates;
use model::submission::{Credential, NewMessage, SendOptions, Submission};
use store::lane::{Accepted, SmppChange, SmppSettings};

use super::*;
use crate::customer::testing::World;
use crate::lockout::Rule;
use crate::smpp::server::accounts::Accounts;
use crate::testing;
use crate::traffic::admission::{CarrierRoute, Routes};

struct Scene {
    world: World,
    desk: Desk,
    carrier: CarrierId,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let rule = Rule { tries: 0, within: Duration::ZERO, shut: Duration::ZERO };
        let accounts = Accounts::new([7; 32], rule);
        let list = || String::from("[]");
        let create = SmppChange::Create {
            id: PublicId::new(At::now()),
            organization: world.organization,
            system_id: String::from("acme"),
            password_mac: [0; 32],
            settings: SmppSettings {
                allowed_ips: list(),
                allowed_senders: list(),
                inbound_numbers: list(),
                bind_types: 7,
                max_binds: 1,
                window_size: 10,
                category: 1,
                receipt_format: 3,
                id_format: 1,
                ..SmppSettings::default()
            },
        };
        world.writer.administer(Admin::Smpp(Box::new(create))).await.unwrap();
        accounts.put(&world.store.smpp_account_named("acme").await.unwrap().unwrap());
        let (carrier, _) = testing::carrier(&world.writer, "asked").await;
        let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,1000,,\n").unwrap();
        let carriers = vec![CarrierRoute::new(carrier, "asked")];
        let desk = Desk {
            writer: world.writer.clone(),
            store: world.store.clone(),
            admission: Admission::new(Routes { carriers, rates, ..Routes::default() }),
            account: accounts.find("acme").unwrap(),
            speaks_50: false,
        };
        Self { world, desk, carrier }
    }

    /// One that is scheduled for later; its number.
    async fn scheduled(&self, service_type: &[u8], metadata: Option<&str>) -> i64 {
        let account = self.desk.account.id;
        let service_type = service_type.to_vec();
        let submitted = Submitted { account, service_type, ..Submitted::default() };
        let message = NewMessage {
            metadata: metadata.map(str::to_owned),
            options: SendOptions {
                submitted: Some(Arc::new(submitted)),
                scheduled_at: Some(At::now().plus(Duration::from_secs(3_600))),
                ..SendOptions::default()
            },
            ..testing::message(self.carrier)
        };
        let submission = Submission {
            organization: self.world.organization,
            credential: Credential::SmppAccount(account),
            idempotency: None,
            batch: None,
            messages: vec![message],
        };
        match self.world.writer.submit(submission).await.unwrap() {
            Accepted::Fresh { first, .. } => first.0,
            other => panic!("{other:?}"),
        }
    }

    async fn waiting(&self) -> usize {
        let rows = self.desk.between("Orbit", "+14155550123", 0, 100).await;
        rows.unwrap().len()
    }
}

fn cancel(service_type: &[u8]) -> Cancel {
    Cancel {
        service_type: service_type.to_vec(),
        source: Address::new(5, 0, "Orbit"),
        destination: Address::new(1, 1, "14155550123"),
        ..Cancel::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_behind_many_messages_of_another_is_stopped_whole() {
    let scene = Scene::new().await;
    for service in [b"CMT", b"CMT", b"CMT", b"VMA", b"VMA", b"VMA"] {
        scene.scheduled(service, None).await;
    }
    assert_eq!(scene.desk.stop_between(&cancel(b"VMA"), 2).await, Ok(()));
    assert_eq!(scene.waiting().await, 3, "those of the other service");
    let none = scene.desk.stop_between(&cancel(b"VMA"), 2).await;
    assert_eq!(none, Err(CommandStatus::CANCELFAIL));
    // As many as one page has: no more of them is no failure.
    assert_eq!(scene.desk.stop_between(&cancel(b""), 3).await, Ok(()));
    assert_eq!(scene.waiting().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_search_of_an_account_is_throttled_and_stops_nothing() {
    let scene = Scene::new().await;
    scene.scheduled(b"", None).await;
    let own = scene.desk.account.searching();
    let second = scene.desk.stop_between(&cancel(b""), 10).await;
    assert_eq!(second, Err(CommandStatus::THROTTLED));
    assert_eq!(scene.waiting().await, 1);
    drop(own);
    assert_eq!(scene.desk.stop_between(&cancel(b""), 10).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_words_leave_a_messages_metadata_alone() {
    let scene = Scene::new().await;
    let metadata = "{\"order\":\"7\"}";
    let number = scene.scheduled(b"", Some(metadata)).await;
    let replace = Replace {
        message_id: number.to_string().into_bytes(),
        short_message: b"other words".to_vec(),
        ..Replace::default()
    };
    assert_eq!(scene.desk.replace(&replace).await, Ok(()));
    let row = scene.desk.store.asked_to_change(scene.desk.account.id, number).await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.body.as_str(), row.metadata.as_deref()), ("other words", Some(metadata)));
}
