//! What SMPP accounts are told they are owed: the same as the log says, and without gaps.

use std::sync::Arc;

use model::clock::At;
use model::esme::Submitted;
use model::id::PublicId;
use model::message::Status;
use model::refusal::MessageError;
use store::lane::{Accepted, Admin, AdminDone, OutboxRef, Outcome, SmppChange, SmppSettings, Work};

use crate::world::{World, each, sent};

async fn account(world: &mut World) -> i64 {
    let settings = SmppSettings {
        name: String::from("test"),
        allowed_ips: String::from("[]"),
        bind_types: 7,
        max_binds: 4,
        tps: 0,
        window_size: 10,
        test: false,
        category: 1,
        default_sender: None,
        allowed_senders: String::from("[]"),
        receipt_format: 3,
        id_format: 1,
        inbound_numbers: String::from("[]"),
        once_by_reference: false,
        disabled: false,
        ..SmppSettings::default()
    };
    let create = SmppChange::Create {
        id: PublicId::new(At::now()),
        organization: world.organization,
        system_id: String::from("acme"),
        password_mac: [1; 32],
        settings,
    };
    let done = world.admin(Admin::Smpp(Box::new(create))).await;
    assert_eq!(done, AdminDone::Smpp(true));
    world.store.smpp_account_named("acme").await.unwrap().unwrap().id
}

async fn handed_over(world: &mut World, account: i64, id: &str) -> OutboxRef {
    let submitted = Submitted {
        account,
        registered_delivery: 1,
        source: (5, 0),
        destination: (1, 1),
        esm_class: 0,
        protocol_id: 0,
        data_coding: 0,
        service_type: Vec::new(),
        user_data: b"hello".to_vec(),
        tlvs: Vec::new(),
    };
    let mut message = world.message("+14155550123");
    message.options.submitted = Some(Arc::new(submitted));
    let submission = world.submission(vec![message]);
    let answer = world.accept(vec![submission]).await.remove(0).unwrap();
    let Accepted::Fresh { first, .. } = answer else { panic!("{answer:?}") };
    let (carrier, organization) = (world.carrier, world.organization);
    let row = OutboxRef { carrier, class: 1, organization, key: first };
    assert_eq!(world.claim(&[row]).await, [true]);
    let result = world.result(row, 1, sent(&[id]));
    let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
    assert_eq!(done.owed.len(), 0);
    row
}

#[tokio::test]
async fn a_receipt_tells_what_the_log_says() {
    each(async |mut world| {
        let account = account(&mut world).await;
        handed_over(&mut world, account, "a").await;
        handed_over(&mut world, account, "b").await;
        world.sent("+14155550123", "c").await;
        let mut last = None;
        for ids in [&["a", "c"][..], &["b"]] {
            let receipts = ids.iter().map(|id| world.receipt(id, Some(Status::Delivered)));
            let receipts = receipts.collect();
            let done = world.commit(Work { receipts, ..Work::default() }).await;
            let [owed] = &done.owed[..] else { panic!("{:?}", done.owed) };
            assert_eq!((owed.organization, owed.after), (world.organization, last));
            let after = last.unwrap_or(0);
            let read =
                world.store.owed(account, world.organization, after, false, 10).await.unwrap();
            let told = owed.rows.as_ref().unwrap();
            assert_eq!(told.len(), 1);
            assert_eq!(format!("{:?}", told[0]), format!("{:?}", read[0]));
            assert!(owed.to >= told[0].seq);
            last = Some(owed.to);
        }
    })
    .await;
}

#[tokio::test]
async fn other_ends_are_to_be_read_from_the_log() {
    each(async |mut world| {
        let row = world.accepted(world.message("+14155550123")).await;
        assert_eq!(world.claim(&[row]).await, [true]);
        let outcome = Outcome::Ended {
            status: Status::Rejected,
            reason: None,
            error: Some(MessageError::InvalidRecipient),
            carrier_error: None,
            submitted: 0,
            parts: Vec::new(),
        };
        let result = world.result(row, 1, outcome);
        let done = world.commit(Work { results: vec![result], ..Work::default() }).await;
        assert!(done.owed.len() == 1 && done.owed[0].rows.is_none());
    })
    .await;
}
