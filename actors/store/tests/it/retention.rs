//! What is dropped goes whole, what has not ended stays, and the books agree before and after.

use std::sync::Arc;

use model::clock::At;
use model::esme::Submitted;
use model::message::Status;
use model::submission::{NewMessage, SendOptions};
use store::lane::{Admin, Gone, OutboxRef, Retire, Work};

use crate::world::{World, each, sent};

fn gone(row: OutboxRef, first_part: &str) -> Gone {
    let first_part = Some(first_part.to_owned()).filter(|id| !id.is_empty());
    Gone { key: row.key, carrier: row.carrier, first_part }
}

impl World {
    async fn retire(&mut self, step: Retire) {
        self.commit(Work { retire: vec![step], ..Work::default() }).await;
    }

    async fn delivered(&mut self, to: &str, id: &str) -> OutboxRef {
        let row = self.sent(to, id).await;
        let receipts = vec![self.receipt(id, Some(Status::Delivered))];
        self.commit(Work { receipts, ..Work::default() }).await;
        row
    }

    async fn keys(&self) -> Vec<i64> {
        let rows = self.store.aged_messages(0, 100).await.unwrap();
        rows.into_iter().map(|row| row.key).collect()
    }
}

#[tokio::test]
async fn an_ended_message_goes_with_its_history_and_parts() {
    each(async |mut world| {
        let old = world.delivered("+14155550123", "a1").await;
        let kept = world.delivered("+14155550124", "a2").await;
        let long = NewMessage { segments: 3, ..world.message("+14155550125") };
        let long = world.accepted(long).await;
        world.claim(&[long]).await;
        let result = world.result(long, 3, sent(&["b1", "b2", "b3"]));
        world.commit(Work { results: vec![result], ..Work::default() }).await;
        for part in ["b1", "b2", "b3"] {
            let receipts = vec![world.receipt(part, Some(Status::Delivered))];
            world.commit(Work { receipts, ..Work::default() }).await;
        }
        let step = vec![gone(old, "a1"), gone(long, "b1")];
        world.retire(Retire::Messages { gone: step, sent_before: At(0) }).await;
        assert_eq!(world.keys().await, [kept.key.0]);
        let lines = world.store.aged_lines(0, 100).await.unwrap();
        assert!(lines.iter().all(|line| line.message_key == kept.key.0), "{lines:?}");
        // Its parts are gone too: a late receipt finds nothing, and waits as an orphan.
        for (id, to, orphan) in [
            ("a1", "+14155550123", true),
            ("b1", "+14155550125", true),
            ("b3", "+14155550125", true),
            ("a2", "+14155550124", false),
        ] {
            let receipt = world.receipt(id, Some(Status::Undelivered));
            let receipts = vec![store::lane::Receipt { source: to.to_owned(), ..receipt }];
            let fate = world.commit(Work { receipts, ..Work::default() }).await.receipts.remove(0);
            assert_eq!(fate == store::lane::ReceiptFate::Parked, orphan, "{id}");
        }
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn what_has_not_ended_stays_whoever_asks() {
    each(async |mut world| {
        let queued = world.accepted(world.message("+14155550123")).await;
        let claimed = world.accepted(world.message("+14155550124")).await;
        world.claim(&[claimed]).await;
        let waiting = world.sent("+14155550125", "w1").await;
        let live = vec![gone(queued, ""), gone(claimed, ""), gone(waiting, "w1")];
        let keys = live.iter().map(|gone| gone.key).collect();
        world.retire(Retire::Messages { gone: live, sent_before: At(0) }).await;
        world.retire(Retire::Bodies { cursor: "outbound", keys, seq: 9 }).await;
        assert_eq!(world.keys().await.len(), 3);
        let filter = store::Filter::default();
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 10).await.unwrap();
        assert!(rows.iter().all(|row| row.body == "hello" && row.redacted_at.is_none()));
        let receipts = vec![world.receipt("w1", Some(Status::Delivered))];
        world.commit(Work { receipts, ..Work::default() }).await;
        assert_eq!(world.status(waiting.key).await, Status::Delivered);

        // Sent so long ago that no receipt is waited for.
        let silent = world.sent("+14155550126", "w2").await;
        let step = vec![gone(silent, "w2")];
        world.retire(Retire::Messages { gone: step, sent_before: At(i64::MAX) }).await;
        assert!(!world.keys().await.contains(&silent.key.0));
        world.assert_books().await;
    })
    .await;
}

#[tokio::test]
async fn a_body_is_taken_out_and_its_message_stays() {
    each(async |mut world| {
        let row = world.delivered("+14155550123", "a1").await;
        let keys = vec![row.key];
        world.retire(Retire::Bodies { cursor: "outbound", keys, seq: 42 }).await;
        let filter = store::Filter::default();
        let rows = world.store.messages(world.organization, &filter, i64::MAX, 1).await.unwrap();
        assert_eq!(rows[0].body, "");
        assert!(rows[0].redacted_at.is_some());
        let lines = world.store.log_of(world.organization, 0, 100).await.unwrap();
        assert!(lines.iter().all(|line| line.body.is_none()));
        assert_eq!(world.store.retention_cursor("outbound").await.unwrap(), 42);
        assert_eq!(world.store.retention_cursor("inbound").await.unwrap(), 0);
        let (cursor, keys) = ("outbound", Vec::new());
        world.retire(Retire::Bodies { cursor, keys, seq: 43 }).await;
        assert_eq!(world.store.retention_cursor("outbound").await.unwrap(), 43);
    })
    .await;
}

#[tokio::test]
async fn with_the_body_go_the_octets_that_came_by_smpp_but_not_what_tells_of_receipts() {
    each(async |mut world| {
        let submitted = Submitted {
            account: 7,
            registered_delivery: 1,
            source: (5, 0),
            destination: (1, 1),
            esm_class: 0x40,
            protocol_id: 0,
            data_coding: 0xF0,
            service_type: b"CMT".to_vec(),
            user_data: b"\x05\x00\x03\x01\x02\x01secret".to_vec(),
            tlvs: b"\x02\x04\x00\x02\x00\x01".to_vec(),
        };
        let own = Some(Arc::new(submitted.clone()));
        let options = SendOptions { submitted: own, ..SendOptions::default() };
        let message = NewMessage { options, ..world.message("+14155550123") };
        let (organization, id) = (world.organization, message.id);
        let row = world.accepted(message).await;
        let stored = async |world: &World| {
            let row = world.store.changeable(organization, id).await.unwrap().unwrap();
            Submitted::stored(row.smpp_account_id, row.submitted.as_deref()).unwrap()
        };
        assert_eq!(stored(&world).await, submitted);
        world.admin(Admin::Cancel { organization, messages: vec![row.key] }).await;
        let keys = vec![row.key];
        world.retire(Retire::Bodies { cursor: "outbound", keys, seq: 42 }).await;
        let (service_type, user_data, tlvs) = Default::default();
        let left = Submitted { service_type, user_data, tlvs, ..submitted };
        assert_eq!(stored(&world).await, left);
    })
    .await;
}

#[tokio::test]
async fn old_transfers_become_sums_and_the_books_agree() {
    each(async |mut world| {
        for n in 0..5 {
            world.delivered("+14155550123", &format!("a{n}")).await;
        }
        let before = world.wallet().await;
        let rows = world.store.aged_transfers(world.organization, 100).await.unwrap();
        assert_eq!(rows.len(), 11, "paid in once, held and settled five times");
        let (organization, up_to) = (world.organization, rows[8].seq);
        let transfers = Retire::Transfers { organization, up_to, before: At(i64::MAX) };
        for _ in 0..2 {
            world.retire(transfers.clone()).await;
            let rows = world.store.transfers(organization, i64::MAX, 100).await.unwrap();
            assert_eq!(rows.len(), 5, "three sums and two younger ones");
            let forward =
                |row: &&store::TransferRow| row.note.as_deref() == Some("brought forward");
            assert_eq!(rows.iter().filter(forward).count(), 3);
            world.assert_books().await;
        }
        // Younger ones are not touched, whatever their number.
        let none = Retire::Transfers { organization, up_to: i64::MAX, before: At(0) };
        world.retire(none).await;
        assert_eq!(world.store.transfers(organization, i64::MAX, 100).await.unwrap().len(), 5);
        assert_eq!(world.wallet().await, before);
        assert_eq!(
            world.store.organizations_after(model::carrier::OrgId(0), 9).await.unwrap(),
            [organization]
        );
    })
    .await;
}
