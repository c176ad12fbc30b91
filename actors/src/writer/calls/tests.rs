//! Calls through a writer, also through one that dies or whose database refuses an end.

use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::message::Direction;
use model::money::Micros;
use model::submission::Credential;
use model::voice::{CallStatus, EndReason, Facts, HangupBy, Leg, LegKind, Rated, Tariff};
use ractor::ActorRef;
use store::lane::{Closing, Progress};
use store::{Options, Store};
use tokio::sync::oneshot;

use super::*;
use crate::testing::{self, Folder};
use crate::writer::{Limits, Shared, WriterMsg};

const TARIFF: Tariff =
    Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };

fn new_call(organization: OrgId) -> NewCall {
    NewCall {
        id: PublicId::new(At::now()),
        organization,
        credential: Credential::Switch,
        idempotency: None,
        direction: Direction::Outbound,
        from: None,
        to: String::from("+14155550123"),
        dials: Vec::new(),
        test: false,
        rated: Rated { prefix: String::from("1"), tariff: TARIFF },
        transport: None,
        facts: Facts::default(),
        mask: None,
        legs: Vec::new(),
        metadata: None,
    }
}

struct Bench {
    folder: Folder,
    store: Store,
    shared: Arc<Shared>,
    writer: WriterHandle,
    life: ActorRef<WriterMsg>,
    organization: OrgId,
}

impl Bench {
    async fn new() -> Self {
        let folder = Folder::new(&format!("orbit_calls_{:032x}", rand::random::<u128>()));
        let store = Store::open(Options::new(&folder.database())).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        let life = testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(Arc::clone(&shared));
        let (organization, _) = testing::tenant(&writer, Micros(100_000)).await;
        Self { folder, store, shared, writer, life, organization }
    }

    async fn wallet(&self) -> (i64, i64) {
        let wallet = self.store.wallet(self.organization).await.unwrap().unwrap();
        (wallet.available, wallet.held)
    }

    async fn is_paid_back(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while self.wallet().await != (100_000, 0) {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", self.wallet().await);
            tokio::time::sleep(Duration::from_millis(5)).await; // between two looks
        }
    }
}

#[tokio::test]
async fn what_was_asked_of_a_writer_that_died_is_taken_back_by_the_next() {
    let bench = Bench::new().await;
    let call = new_call(bench.organization);
    let id = call.id;
    bench.writer.open_call(call).await.unwrap();
    assert_eq!(bench.wallet().await, (76_000, 24_000));
    bench.life.stop_and_wait(None, None).await.unwrap();
    bench.writer.take_back(id);
    // The first try finds no writer.
    tokio::task::yield_now().await;
    testing::start_writer(&bench.store, &bench.shared).await;
    bench.is_paid_back().await;
}

#[tokio::test]
async fn a_call_whose_end_the_database_does_not_take_keeps_no_other_open() {
    let bench = Bench::new().await;
    for (party, to) in [("fine", "+1"), ("bad", "+1"), ("worse", "+1999"), ("fine", "+1")] {
        let mut call = new_call(bench.organization);
        let leg = Leg::new(call.id, LegKind::Pstn, Direction::Outbound, to, At::now());
        call.legs = vec![Leg { party: Some(party.to_owned()), ..leg }];
        bench.writer.open_call(call).await.unwrap();
    }
    let database = rusqlite::Connection::open(bench.folder.path().join("orbit.db")).unwrap();
    let refuse = "create trigger refuse before insert on call_legs
        when new.party = 'bad' or new.to_addr = '+1999'
        begin select raise(abort, 'not this one'); end";
    database.execute_batch(refuse).unwrap();
    assert_eq!(bench.wallet().await, (4_000, 96_000));
    assert_eq!(bench.writer.recover_calls(MessageKey(i64::MAX)).await.unwrap(), 3);
    assert_eq!(bench.wallet().await, (76_000, 24_000));
}

#[tokio::test]
async fn a_call_is_opened_told_renewed_and_closed_through_the_writer() {
    let bench = Bench::new().await;
    let Bench { writer, organization, store, .. } = &bench;
    let organization = *organization;
    let opened = writer.open_call(new_call(organization)).await.unwrap();
    let Opened::Fresh { key, at, covered_s } = opened else { panic!("{opened:?}") };
    assert_eq!(covered_s, Some(120));
    let progress = Progress {
        key,
        at,
        status: Some(CallStatus::InProgress),
        legs: None,
        transport: None,
        facts: None,
    };
    let (told, answer) = oneshot::channel();
    let changes = vec![
        CallChange::Progress(Box::new(progress)),
        CallChange::Renew { key, slice: 2, seconds: 60 },
    ];
    writer.tell_calls(changes, |done| drop(told.send(done))).unwrap();
    let done = answer.await.unwrap();
    assert_eq!(done[0], CallDone::Noted(true));
    let closing = Closing {
        key,
        at: at.plus(Duration::from_secs(61)),
        reason: EndReason::Normal,
        sip_code: None,
        q850: None,
        by: HangupBy::Caller,
        legs: Vec::new(),
        facts: None,
        ladder: None,
    };
    let done = writer.change_call(CallChange::Close(Box::new(closing))).await.unwrap();
    let CallDone::Closed(Some(came_to)) = done else { panic!("{done:?}") };
    assert_eq!(came_to.cost, Micros(24_000));
    // Nobody holds this one: the next life ends it.
    writer.open_call(new_call(organization)).await.unwrap();
    assert_eq!(writer.recover_calls(writer.first_key()).await.unwrap(), 0);
    assert_eq!(writer.recover_calls(MessageKey(i64::MAX)).await.unwrap(), 1);
    let wallet = store.wallet(organization).await.unwrap().unwrap();
    assert_eq!((wallet.available, wallet.held), (76_000, 0));
    assert_eq!(store.imbalances().await.unwrap(), []);
}

#[tokio::test]
async fn what_nobody_waits_for_is_stored_with_what_somebody_does_and_soon_by_itself() {
    let bench = Bench::new().await;
    let opened = bench.writer.open_call(new_call(bench.organization)).await.unwrap();
    let Opened::Fresh { key, at, .. } = opened else { panic!("{opened:?}") };
    let becomes = |status| {
        let (status, legs, transport, facts) = (Some(status), None, None, None);
        let progress = Progress { key, at, status, legs, transport, facts };
        vec![CallChange::Progress(Box::new(progress))]
    };
    // Meanwhile the writer has nothing to do any more.
    assert_eq!(bench.wallet().await, (76_000, 24_000));
    bench.writer.tell_calls(becomes(CallStatus::Ringing), |_| {}).unwrap();
    bench.writer.open_call(new_call(bench.organization)).await.unwrap();
    let log = bench.store.log_of(bench.organization, 0, 10).await.unwrap();
    let kinds: Vec<i64> = log.iter().map(|line| line.kind).collect();
    let wanted = [EventKind::CallInitiated, EventKind::CallRinging, EventKind::CallInitiated];
    assert_eq!(kinds, wanted.map(EventKind::code));
    assert!(log[0].at < log[1].at, "the first call was stored before");
    assert_eq!(log[1].at, log[2].at, "both in one transaction");
    let (told, answer) = oneshot::channel();
    let told = |done| drop(told.send(done));
    bench.writer.tell_calls(becomes(CallStatus::InProgress), told).unwrap();
    let done = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap();
    assert_eq!(done, [CallDone::Noted(true)]);
}

#[tokio::test]
async fn nothing_is_opened_without_a_writer() {
    let limits = Limits { accepts_max: 1, backlog_per_organization_max: 1 };
    let writer = WriterHandle::new(Arc::new(Shared::new(limits)));
    assert!(writer.recover_calls(MessageKey(1)).await.is_err());
    assert!(writer.tell_calls(Vec::new(), |_| {}).is_err());
    writer.drain();
    assert!(writer.refusing().is_some());
}

#[tokio::test]
async fn many_wait_to_be_taken_back_and_no_more_than_may() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let call = new_call(bench.organization);
        ids.push(call.id);
        bench.writer.open_call(call).await.unwrap();
    }
    assert_eq!(bench.wallet().await, (28_000, 72_000));
    bench.life.stop_and_wait(None, None).await.unwrap();
    let lost = &bench.shared.lost;
    assert_eq!((lost.add(ids[0]), lost.add(ids[1])), (Added::First, Added::Behind));
    // As if that had begun one.
    tokio::spawn(bench.writer.clone().take_all_back());
    bench.writer.take_back(ids[2]);
    for _ in 0..LOST_WAIT_MAX + LOST_MAX {
        bench.writer.take_back(PublicId::new(At::now()));
    }
    assert_eq!(lost.add(ids[0]), Added::Full);
    assert!(lost.state().waiting.len() <= LOST_WAIT_MAX);
    testing::start_writer(&bench.store, &bench.shared).await;
    bench.is_paid_back().await;
}
