//! A sweeper with a real writer and a real store.

use model::carrier::{MessageKey, OrgId};
use model::message::Status;
use model::money::Micros;
use store::lane::{Admin, CarrierChange};
use store::{Filter, Options};
use tokio::time::timeout;

use super::*;
use crate::testing::{self, Folder};
use crate::writer::{Limits, Shared};

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    store: Store,
    writer: WriterHandle,
    organization: OrgId,
    key: i64,
    _folder: Folder,
}

impl World {
    async fn new() -> Self {
        let folder = Folder::new(&format!("orbit-sweeper-{:032x}", rand::random::<u128>()));
        let url = folder.database();
        let store = Store::open(Options::new(&url)).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared);
        let (organization, key) = testing::tenant(&writer, Micros(1_000_000)).await;
        Self { store, writer, organization, key, _folder: folder }
    }

    /// Accepts, claims and settles one message.
    async fn sent(&self, account: (CarrierId, i64), external_id: &str) -> MessageKey {
        let tenant = (self.organization, self.key);
        testing::sent(&self.writer, tenant, account, external_id).await
    }

    async fn status(&self, key: MessageKey) -> Option<Status> {
        let filter = Filter::default();
        let rows = self.store.messages(self.organization, &filter, key.0 + 1, 1).await.unwrap();
        Status::from_code(rows[0].status)
    }

    async fn cursor(&self, carrier: CarrierId) -> i64 {
        let cursors = self.store.sweep_cursors(carrier).await.unwrap();
        cursors.last().unwrap().1
    }
}

#[tokio::test]
async fn a_message_without_a_receipt_is_given_up_when_its_own_carrier_is_overdue() {
    let world = World::new().await;
    let hasty = testing::carrier(&world.writer, "hasty").await;
    let patient = testing::carrier(&world.writer, "patient").await;
    let given_up = world.sent(hasty, "1").await;
    let kept = world.sent(patient, "2").await;
    let watch = |carrier, receipt_timeout| Watch { carrier, receipt_timeout, ended: None };
    let hour = Duration::from_secs(3_600);
    let watched = [watch(hasty.0, Duration::ZERO), watch(patient.0, hour)];
    let carriers: Watched = Arc::new(move || watched.to_vec());
    let mut args = SweeperArgs::new(world.store.clone(), world.writer.clone(), carriers);
    args.period = Duration::from_millis(1);
    let (sweeper, _) = Sweeper::spawn(None, Sweeper, args).await.unwrap();
    let world = &world;
    let ends = |key| async move {
        while world.status(key).await != Some(Status::SubmittedNoReceipt) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ends(given_up)).await.unwrap();
    let cursor = world.cursor(hasty.0).await;
    assert!(cursor > 0);
    let later = world.sent(hasty, "3").await;
    timeout(PATIENCE, ends(later)).await.unwrap();
    assert!(world.cursor(hasty.0).await > cursor, "a lane that lives on is read on");
    assert_eq!(world.status(kept).await, Some(Status::Sent));
    assert_eq!(world.cursor(patient.0).await, 0);
    sweeper.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}

#[tokio::test]
async fn an_account_that_ended_is_settled_when_what_it_sent_was_searched() {
    let world = World::new().await;
    let (gone, going) = (
        testing::carrier(&world.writer, "gone").await,
        testing::carrier(&world.writer, "going").await,
    );
    let given_up = world.sent(gone, "1").await;
    world.sent(going, "2").await;
    let end = CarrierChange::End(vec![gone.0, going.0]);
    world.writer.administer(Admin::Carrier(Box::new(end))).await.unwrap();
    let past = At::now().minus(Duration::from_secs(120));
    let ended = |carrier, receipt_timeout, at| Watch { carrier, receipt_timeout, ended: Some(at) };
    let watched = [ended(gone.0, Duration::ZERO, past), ended(going.0, Duration::ZERO, At::now())];
    let carriers: Watched = Arc::new(move || watched.to_vec());
    let mut args = SweeperArgs::new(world.store.clone(), world.writer.clone(), carriers);
    args.period = Duration::from_millis(1);
    let (sweeper, _) = Sweeper::spawn(None, Sweeper, args).await.unwrap();
    let settled = async {
        while world.store.accounts_ended().await.unwrap().len() == 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, settled).await.unwrap();
    let left = world.store.accounts_ended().await.unwrap();
    assert_eq!(left.iter().map(|account| account.id).collect::<Vec<_>>(), [going.0.0]);
    assert_eq!(world.status(given_up).await, Some(Status::SubmittedNoReceipt));
    sweeper.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}
