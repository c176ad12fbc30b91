//! Inbound messages find their owner, once.

use model::message::{Encoding, Status};
use store::lane::{Inbound, InboundFate, Work};

use crate::world::{World, each};

pub(crate) fn from_handset(world: &World, fingerprint: u8) -> Inbound {
    Inbound {
        carrier: world.carrier,
        carrier_organization: None,
        from: String::from("+14155550123"),
        to: String::from("+14155550100"),
        body: String::from("yes"),
        encoding: Encoding::Gsm7,
        from_ton: 1,
        raw: b"yes".to_vec(),
        said: model::esme::Submitted::default(),
        fingerprint: [fingerprint; 32],
        session: model::clock::At::now().micros(),
        part: None,
    }
}

#[tokio::test]
async fn a_reply_belongs_to_who_wrote_last_and_a_repeat_is_taken_once() {
    each(async |mut world| {
        let mut message = world.message("+14155550123");
        message.from = String::from("+14155550100");
        message.from_ton = 1;
        world.accepted(message).await;
        let mut repeat = from_handset(&world, 1);
        let first = from_handset(&world, 1);
        let done = world.commit(Work { inbound: vec![first], ..Work::default() }).await;
        assert_eq!(done.inbound, [InboundFate::Stored(world.organization)]);
        repeat.session = done.at.micros() + 1;
        let inbound = vec![repeat];
        let done = world.commit(Work { inbound, ..Work::default() }).await;
        let owner = world.organization;
        assert_eq!(done.inbound, [InboundFate::Repeated]);
        let filter = store::Filter { direction: Some(2), ..store::Filter::default() };
        let rows = world.store.messages(owner, &filter, i64::MAX, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].status, Status::Received.code());
        assert_eq!(rows[0].body, "yes");
    })
    .await;
}

#[tokio::test]
async fn the_same_words_again_by_the_same_connection_are_another_message() {
    each(async |mut world| {
        let mut item = from_handset(&world, 4);
        item.carrier_organization = Some(world.organization);
        let done =
            world.commit(Work { inbound: vec![item.clone(), item], ..Work::default() }).await;
        let stored = InboundFate::Stored(world.organization);
        assert_eq!(done.inbound, [stored, stored]);
    })
    .await;
}

#[tokio::test]
async fn an_inbound_message_of_nobody_is_kept_for_the_operator() {
    each(async |mut world| {
        let inbound = vec![from_handset(&world, 2)];
        let done = world.commit(Work { inbound, ..Work::default() }).await;
        assert_eq!(done.inbound, [InboundFate::Ownerless]);
        let kept = world.store.quarantined(i64::MAX, 10).await.unwrap();
        assert_eq!(kept[0].reason, "inbound_without_owner");
    })
    .await;
}

#[tokio::test]
async fn a_carrier_bound_to_an_organization_gives_it_the_rest() {
    each(async |mut world| {
        let mut item = from_handset(&world, 3);
        item.carrier_organization = Some(world.organization);
        let done = world.commit(Work { inbound: vec![item], ..Work::default() }).await;
        assert_eq!(done.inbound, [InboundFate::Stored(world.organization)]);
    })
    .await;
}

#[tokio::test]
async fn an_organizations_own_carrier_says_nothing_to_another_one() {
    each(async |mut world| {
        let mut message = world.message("+14155550123");
        message.from = String::from("+14155550100");
        message.from_ton = 1;
        world.accepted(message).await;
        let (other, _) = world.organization_with(model::money::Micros(5)).await;
        let mut forged = from_handset(&world, 5);
        forged.carrier_organization = Some(other);
        forged.body = String::from("STOP");
        let mut own = from_handset(&world, 6);
        own.carrier_organization = Some(world.organization);
        let done = world.commit(Work { inbound: vec![forged, own], ..Work::default() }).await;
        let expected = [InboundFate::Stored(other), InboundFate::Stored(world.organization)];
        assert_eq!(done.inbound, expected);
        let filter = store::Filter { direction: Some(2), ..store::Filter::default() };
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 10).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.body.as_str()).collect::<Vec<_>>(), ["yes"]);
        let refused = world.submission(vec![world.message("+14155550123")]);
        assert!(world.accept(vec![refused]).await[0].is_ok(), "nobody opted out of it");
    })
    .await;
}
