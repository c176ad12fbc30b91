//! Receipts that match nothing: how many wait, which go first, and that early ones get through.

use model::carrier::CarrierId;
use model::clock::At;
use model::message::Status;
use store::lane::{Done, Receipt, ReceiptFate, Work};
use store::{Options, Store};

use crate::world::{World, each, readings, sent};

const MAX: i64 = 100;

impl World {
    /// Another writer, with this bound.
    async fn bounded(&mut self, parked_receipts_max: i64) {
        let options = Options { parked_receipts_max, ..Options::new(&self.url) };
        let store = Store::open(options).await.unwrap();
        self.lane = store.lane(readings, false).await.unwrap();
        store.close().await;
    }

    /// Receipts of ids that were never given, for people who were never written to.
    fn invented(&self, carrier: CarrierId, from: usize, count: usize) -> Vec<Receipt> {
        let receipt = |at: usize| Receipt {
            carrier,
            source: format!("+1415666{at:04}"),
            ..self.receipt(&format!("invented-{at}"), Some(Status::Delivered))
        };
        (from..from + count).map(receipt).collect()
    }

    async fn take(&mut self, receipts: Vec<Receipt>) -> Done {
        self.commit(Work { receipts, ..Work::default() }).await
    }

    /// How many wait of a carrier.
    async fn parked(&self, carrier: &str) -> i64 {
        let rows = self.store.orphans(i64::MAX, i64::MAX, 10_000).await.unwrap();
        let own = rows.iter().filter(|row| row.carrier.as_deref() == Some(carrier));
        i64::try_from(own.count()).unwrap()
    }

    async fn dropped(&self) -> Vec<(String, i64)> {
        let rows = self.store.receipts_dropped(0, 10).await.unwrap();
        rows.into_iter().map(|row| (row.carrier, row.receipts)).collect()
    }
}

#[tokio::test]
async fn genuine_early_receipts_get_through_a_flood_of_invented_ones() {
    each(async |mut world| {
        let main = world.carrier;
        let (other, _) = world.own("other").await;
        world.bounded(MAX).await;
        let quiet = world.invented(other, 0, 30);
        world.take(quiet).await;
        let (mut invented, mut counted, mut most) = (0, 0, 0);
        for round in 0..20 {
            if round == 10 {
                // A restart in the midst of it: what waits is counted anew.
                world.bounded(MAX).await;
            }
            let row = world.accepted(world.message("+14155550123")).await;
            world.claim(&[row]).await;
            let id = format!("genuine-{round}");
            let mut receipts = world.invented(main, invented, 40);
            receipts.insert(20, world.receipt(&id, Some(Status::Delivered)));
            let more = world.invented(main, invented + 40, 40);
            invented += 80;
            for receipts in [receipts, more] {
                let done = world.take(receipts).await;
                assert!(done.receipts.iter().all(|fate| *fate == ReceiptFate::Parked));
                assert!(done.dropped.iter().all(|dropped| dropped.carrier == "main"));
                counted += done.dropped.iter().map(|dropped| dropped.receipts).sum::<u64>();
                most = most.max(world.parked("main").await);
            }
            let results = vec![world.result(row, 1, sent(&[&id]))];
            world.commit(Work { results, ..Work::default() }).await;
            assert_eq!(world.status(row.key).await, Status::Delivered, "in round {round}");
        }
        let left = world.parked("main").await;
        assert!(most <= MAX && left >= MAX / 2, "{most} at most, {left} left");
        assert_eq!(i64::try_from(counted).unwrap(), 1_600 - left);
        assert_eq!(world.dropped().await, [(String::from("main"), 1_600 - left)]);
        assert_eq!(world.parked("other").await, 30, "nobody else's are touched");
        // The newest are those that are left.
        let rows = world.store.orphans(i64::MAX, i64::MAX, 1).await.unwrap();
        assert_eq!(rows[0].raw_id, "invented-1599");
    })
    .await;
}

#[tokio::test]
async fn a_receipt_of_a_doubt_outlives_as_many_as_fit() {
    each(async |mut world| {
        world.bounded(MAX).await;
        let row = world.accepted(world.message("+14155550123")).await;
        world.claim(&[row]).await;
        let mut receipts = vec![world.receipt("lost", Some(Status::Delivered))];
        receipts.extend(world.invented(world.carrier, 0, 60));
        world.take(receipts).await;
        let resolve = store::lane::Outcome::Resolve {
            to: String::from("+14155550123"),
            from: String::from("Orbit"),
            since: At(1),
            resend: true,
            attempts: 1,
            submitted: 1,
        };
        let results = vec![world.result(row, 1, resolve)];
        world.commit(Work { results, ..Work::default() }).await;
        assert_eq!(world.status(row.key).await, Status::Delivered);
        assert_eq!(world.parked("main").await, 60);
    })
    .await;
}

#[tokio::test]
async fn a_bound_that_was_set_lower_is_reached_at_the_next_receipt() {
    each(async |mut world| {
        let many = world.invented(world.carrier, 0, 1_000);
        world.take(many).await;
        assert_eq!(world.parked("main").await, 1_000);
        world.bounded(MAX).await;
        let one = world.invented(world.carrier, 1_000, 1);
        let done = world.take(one).await;
        assert_eq!(done.dropped[0].receipts, 911);
        assert_eq!(world.parked("main").await, MAX - MAX / 10);
        // One batch of more than fit keeps its newest.
        let many = world.invented(world.carrier, 2_000, 250);
        world.take(many).await;
        let rows = world.store.orphans(i64::MAX, i64::MAX, 1_000).await.unwrap();
        assert_eq!(rows.len(), 90);
        assert_eq!(rows[89].raw_id, "invented-2160");
    })
    .await;
}

#[tokio::test]
async fn what_is_dropped_of_age_is_not_counted_twice() {
    each(async |mut world| {
        world.bounded(MAX).await;
        let first = world.invented(world.carrier, 0, 80);
        world.take(first).await;
        let old = Some(At::now().plus(std::time::Duration::from_secs(60)));
        let receipts = world.invented(world.carrier, 80, 10);
        world.commit(Work { receipts, forget_parked_before: old, ..Work::default() }).await;
        assert_eq!(world.parked("main").await, 0);
        let more = world.invented(world.carrier, 100, 100);
        assert!(world.take(more).await.dropped.is_empty(), "all of them fit");
        assert_eq!(world.parked("main").await, 100);
    })
    .await;
}
