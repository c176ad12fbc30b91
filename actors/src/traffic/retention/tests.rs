//! Retention with a real writer, on each database in turn; age is made by writing it into the rows.

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::message::Status;
use model::money::Micros;
use store::lane::{Receipt, Work};
use store::testing::Outsider;
use store::{Filter, MessageRow, Options};
use tokio::time::{sleep, timeout};

use super::*;
use crate::testing::{self, Folder};
use crate::writer::{Limits, Shared};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

struct World {
    store: Store,
    writer: WriterHandle,
    outsider: Outsider,
    organization: OrgId,
    key: i64,
    carrier: CarrierId,
    epoch: i64,
}

async fn each(test: impl AsyncFn(World)) {
    let name = format!("orbit_retention_{:032x}", rand::random::<u128>());
    let folder = Folder::new(&name);
    test(World::open(&folder.database()).await).await;
    if let Ok(server) = std::env::var("TEST_POSTGRES_URL") {
        let mut admin = Outsider::connect(&server).await.unwrap();
        admin.run(&format!("create database {name}")).await.unwrap();
        let (base, _) = server.rsplit_once('/').unwrap();
        test(World::open(&format!("{base}/{name}")).await).await;
        admin.run(&format!("drop database {name} with (force)")).await.unwrap();
    }
}

impl World {
    async fn open(url: &str) -> Self {
        let store = Store::open(Options::new(url)).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared);
        let (organization, key) = testing::tenant(&writer, Micros(1_000_000)).await;
        let (carrier, epoch) = testing::carrier(&writer, "main").await;
        let outsider = Outsider::connect(url).await.unwrap();
        Self { store, writer, outsider, organization, key, carrier, epoch }
    }

    async fn queued(&self) -> MessageKey {
        testing::queued(&self.writer, (self.organization, self.key), self.carrier).await
    }

    async fn sent(&self, external_id: &str) -> MessageKey {
        let (tenant, account) = ((self.organization, self.key), (self.carrier, self.epoch));
        testing::sent(&self.writer, tenant, account, external_id).await
    }

    async fn delivered(&self, external_id: &str) -> MessageKey {
        let key = self.sent(external_id).await;
        let receipt = Receipt {
            carrier: self.carrier,
            external_id: external_id.to_owned(),
            raw_id: external_id.to_owned(),
            status: Some(Status::Delivered),
            reason: None,
            error: None,
            source: String::from("+14155550123"),
            destination: String::from("Orbit"),
        };
        self.writer.perform(Work { receipts: vec![receipt], ..Work::default() }).await.unwrap();
        key
    }

    /// Sets back the clock of all rows there are.
    async fn age(&mut self, days: u32) {
        let by = (DAY * days).as_micros();
        for sql in [
            format!("update messages set created_at = created_at - {by}, sent_at = sent_at - {by}"),
            format!("update events set at = at - {by}"),
            format!("update ledger set at = at - {by}"),
            format!("update quarantine set at = at - {by}"),
        ] {
            self.outsider.run(&sql).await.unwrap();
        }
    }

    async fn rows(&self) -> Vec<MessageRow> {
        let filter = Filter::default();
        self.store.messages(self.organization, &filter, i64::MAX, 100).await.unwrap()
    }

    async fn start(&self, keep: Keep) -> ActorRef<RetentionMsg> {
        let pace = Pace { period: Duration::from_millis(5), batch: 2, pause: Duration::ZERO };
        let (store, writer) = (self.store.clone(), self.writer.clone());
        let args = RetentionArgs { store, writer, keep, pace };
        Retention::spawn(None, Retention, args).await.unwrap().0
    }
}

/// Asks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !is_so().await {
            sleep(Duration::from_millis(2)).await; // between two looks
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn old_messages_go_in_steps_and_what_is_not_over_stays() {
    each(async |mut world| {
        for n in 0..5 {
            world.delivered(&format!("old{n}")).await;
        }
        let queued = world.queued().await;
        let waiting = world.sent("waiting").await;
        world.age(20).await;
        let fresh = world.delivered("fresh").await;
        let keep = Keep { messages: Some(DAY * 10), ..Keep::default() };
        let actor = world.start(keep).await;
        until("the old are gone", async || world.rows().await.len() == 3).await;
        let keys: Vec<i64> = world.rows().await.iter().map(|row| row.key).collect();
        assert_eq!(keys, [fresh.0, waiting.0, queued.0]);
        let lines = world.store.aged_lines(0, 100).await.unwrap();
        assert!(lines.iter().all(|line| keys.contains(&line.message_key)));

        // After thirty days nobody waits for a receipt any more; the queue is waited for.
        world.age(11).await;
        until("the silent one is gone", async || {
            world.rows().await.iter().all(|row| row.key != waiting.0)
        })
        .await;
        until("the fresh one is old", async || world.rows().await.len() == 1).await;
        assert_eq!(world.rows().await[0].key, queued.0);
        assert_eq!(world.store.imbalances().await.unwrap(), []);
        actor.stop(None);
    })
    .await;
}

#[tokio::test]
async fn bodies_go_after_their_messages_have_ended() {
    each(async |world| {
        let ended = world.delivered("a1").await;
        let waiting = world.sent("a2").await;
        let queued = world.queued().await;
        let keep = Keep { outbound_bodies: Some(Duration::ZERO), ..Keep::default() };
        let actor = world.start(keep).await;
        let bodies = async || -> Vec<(i64, bool)> {
            let rows = world.rows().await;
            rows.iter().map(|row| (row.key, row.redacted_at.is_none())).collect()
        };
        let first = [(queued.0, true), (waiting.0, true), (ended.0, false)];
        until("the first body is out", async || bodies().await == first).await;
        // It goes on behind its cursor.
        let later = world.delivered("a3").await;
        until("the later body is out", async || bodies().await[0] == (later.0, false)).await;
        assert_eq!(bodies().await[1..], first);
        assert_eq!(world.rows().await[0].body, "");
        actor.stop(None);
    })
    .await;
}

#[tokio::test]
async fn old_money_and_what_was_set_aside_go_and_the_books_agree() {
    each(async |mut world| {
        for n in 0..4 {
            world.delivered(&format!("a{n}")).await;
        }
        let aside = store::lane::Quarantined {
            carrier: None,
            message: None,
            reason: String::from("test"),
            item: String::from("x"),
        };
        let quarantine = vec![aside];
        world.writer.perform(Work { quarantine, ..Work::default() }).await.unwrap();
        world.age(20).await;
        world.delivered("fresh").await;
        let kept = Some(DAY * 10);
        let keep = Keep { messages: kept, ledger: kept, lines: kept, ..Keep::default() };
        let actor = world.start(keep).await;
        let count =
            async || world.store.transfers(world.organization, i64::MAX, 100).await.unwrap().len();
        until("three sums and two transfers are left", async || count().await == 5).await;
        until("nothing is set aside", async || {
            world.store.quarantined(i64::MAX, 9).await.unwrap().is_empty()
        })
        .await;
        until("one message is left", async || world.rows().await.len() == 1).await;
        assert_eq!(world.store.imbalances().await.unwrap(), []);
        actor.stop(None);
    })
    .await;
}
