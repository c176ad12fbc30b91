//! Nobody is told of a commit before it is on the disk, and of none that the disk has failed.

use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use model::carrier::CarrierId;
use model::money::Micros;
use model::refusal::Code;
use model::submission::Credential;
use ractor::ActorStatus;
use store::lane::{AcceptAnswer, Claim};
use store::{Flush, Options, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::testing::{self, Folder};
use crate::writer::{Limits, WriterHandle};

#[derive(Clone, Copy, Default)]
struct State {
    shut: bool,
    broken: bool,
    asked: usize,
}

/// A disk that waits while it is shut.
#[derive(Default)]
struct Valve {
    state: Mutex<State>,
    turned: Condvar,
}

impl Valve {
    fn turn(&self, shut: bool, broken: bool) {
        let mut state = self.state.lock().unwrap();
        (state.shut, state.broken) = (shut, broken);
        self.turned.notify_all();
    }

    fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    fn flush(self: &Arc<Self>) -> Flush {
        let valve = Arc::clone(self);
        Flush::new(move |file| {
            let mut state = valve.state.lock().unwrap();
            state.asked += 1;
            let state = valve.turned.wait_while(state, |state| state.shut).unwrap();
            if state.broken {
                return Err(io::Error::from_raw_os_error(5));
            }
            drop(state);
            file.sync_data()
        })
    }
}

struct Bench {
    folder: Folder,
    store: Store,
    valve: Arc<Valve>,
    shared: Arc<Shared>,
    writer: WriterHandle,
    life: ActorRef<WriterMsg>,
    tenant: (OrgId, i64),
    carrier: (CarrierId, i64),
}

impl Bench {
    async fn new() -> Self {
        let folder = Folder::new(&format!("orbit_publish_{:032x}", rand::random::<u128>()));
        let valve = Arc::<Valve>::default();
        let options = Options { flush: valve.flush(), ..Options::new(&folder.database()) };
        let store = Store::open(options).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        let life = testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(Arc::clone(&shared));
        let tenant = testing::tenant(&writer, Micros(100_000)).await;
        let carrier = testing::carrier(&writer, "main").await;
        Self { folder, store, valve, shared, writer, life, tenant, carrier }
    }

    fn submit(&self) -> JoinHandle<AcceptAnswer> {
        let writer = self.writer.clone();
        let submission = Submission {
            organization: self.tenant.0,
            credential: Credential::ApiKey(self.tenant.1),
            idempotency: None,
            batch: None,
            messages: vec![testing::message(self.carrier.0)],
        };
        tokio::spawn(async move { writer.submit(submission).await })
    }

    /// Waits until the file itself holds so many rows, whoever may be told of them.
    async fn written(&self, rows: &str, wanted: i64) {
        let file = rusqlite::Connection::open(self.folder.path().join("orbit.db")).unwrap();
        until(|| {
            let count = format!("select count(*) from {rows}");
            let found: i64 = file.query_row(&count, [], |row| row.get(0)).unwrap();
            found >= wanted
        })
        .await;
    }
}

async fn until(there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !there() {
        assert!(Instant::now() < deadline, "it does not come");
        sleep(Duration::from_millis(2)).await; // between two looks
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_goes_on_while_answers_wait_for_the_disk() {
    let bench = Bench::new().await;
    bench.valve.turn(true, false);
    let before = bench.valve.asked();
    let first = bench.submit();
    bench.written("messages", 1).await;
    until(|| bench.valve.asked() > before).await;
    let second = bench.submit();
    bench.written("messages", 2).await;
    let asked = bench.valve.asked();
    assert!(!first.is_finished() && !second.is_finished());
    let listed = bench.store.backlog_by_organization();
    assert!(timeout(Duration::from_millis(50), listed).await.is_err(), "owners are not shown it");

    bench.valve.turn(false, false);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(bench.valve.asked(), asked + 1, "one wait for the first, one for the second");
    assert_eq!(bench.store.backlog_by_organization().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_the_disk_failed_nobody_hears_and_the_next_life_finds_what_is_there() {
    let bench = Bench::new().await;
    let key = testing::queued(&bench.writer, bench.tenant, bench.carrier.0).await;
    bench.valve.turn(true, false);
    let (claimed, told) = oneshot::channel();
    let (carrier, epoch) = bench.carrier;
    let row = OutboxRef { carrier, class: 1, organization: bench.tenant.0, key };
    let work = Work { claims: vec![Claim { row, epoch }], ..Work::default() };
    let claim = Then::new(move |done| claimed.send(done.claims).unwrap());
    bench.writer.ask(work, claim).unwrap();
    bench.written("outbox where intent is not null", 1).await;
    let answer = bench.submit();
    bench.written("messages", 2).await;

    bench.valve.turn(false, true);
    assert_eq!(answer.await.unwrap().unwrap_err().code, Code::ServiceUnavailable);
    assert!(told.await.is_err(), "no message leaves by an intent that may be lost");
    until(|| bench.life.get_status() == ActorStatus::Stopped).await;
    assert!(bench.store.backlog_by_organization().await.is_err());

    bench.valve.turn(false, false);
    testing::start_writer(&bench.store, &bench.shared).await;
    assert_eq!(bench.store.backlog_by_organization().await.unwrap().len(), 1);
    bench.submit().await.unwrap().unwrap();
    bench.written("messages", 3).await;
}
