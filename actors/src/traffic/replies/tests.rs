//! Answers with a real writer and a real store: sent once, left out with a note, or kept.

use std::sync::Arc;

use model::carrier::CarrierId;
use model::message::Encoding;
use model::money::Micros;
use model::rates::Rates;
use store::lane::{Inbound, Work};
use store::{Filter, MessageRow, Options};
use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{self, Folder};
use crate::traffic::admission::{CarrierRoute, Routes};
use crate::writer::{Limits, Shared};

const PATIENCE: Duration = Duration::from_secs(30);
const PERSON: &str = "+14155550123";

struct World {
    args: RepliesArgs,
    organization: OrgId,
    carrier: CarrierId,
    _folder: Folder,
}

impl World {
    async fn new(credit: i64) -> Self {
        let folder = Folder::new(&format!("orbit-replies-{:032x}", rand::random::<u128>()));
        let store = Store::open(Options::new(&folder.database())).await.unwrap();
        let limits = Limits { accepts_max: 100, backlog_per_organization_max: 100 };
        let shared = Arc::new(Shared::new(limits));
        testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared);
        let (carrier, _) = testing::carrier(&writer, "main").await;
        let (organization, _) = testing::tenant(&writer, Micros(credit)).await;
        let admission = Admission::new(Routes {
            carriers: vec![CarrierRoute {
                prefixes: vec![String::from("1")],
                ..CarrierRoute::new(carrier, "main")
            }],
            rates: Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,7900,,\n").unwrap(),
            ..Routes::default()
        });
        let args = RepliesArgs::new(store, writer, admission);
        Self { args, organization, carrier, _folder: folder }
    }

    async fn hears(&self, from: &str, body: &str) {
        let item = Inbound {
            carrier: self.carrier,
            carrier_organization: Some(self.organization),
            from: from.to_owned(),
            to: String::from("+14155550100"),
            body: body.to_owned(),
            encoding: Encoding::Gsm7,
            from_ton: 1,
            raw: Vec::new(),
            said: model::esme::Submitted::default(),
            fingerprint: rand::random(),
            session: 0,
            part: None,
        };
        let work = Work { inbound: vec![item], ..Work::default() };
        self.args.writer.perform(work).await.unwrap();
    }

    async fn sent(&self) -> Vec<MessageRow> {
        let filter = Filter { direction: Some(1), ..Filter::default() };
        self.args.store.messages(self.organization, &filter, i64::MAX, 99).await.unwrap()
    }

    async fn due(&self) -> usize {
        self.args.store.due_replies(99).await.unwrap().len()
    }

    async fn until_nothing_is_due(&self) {
        let started = Instant::now();
        while self.due().await > 0 {
            assert!(started.elapsed() < PATIENCE, "still due");
            // Between two looks at the rows.
            sleep(Duration::from_millis(5)).await; // a fact is polled
        }
    }
}

#[tokio::test]
async fn a_stop_is_confirmed_from_the_number_written_to_and_paid_for() {
    let world = World::new(1_000_000).await;
    let (replies, task) = Replies::spawn(None, Replies, world.args.clone()).await.unwrap();
    world.hears(PERSON, "STOP").await;
    world.until_nothing_is_due().await;
    let sent = world.sent().await;
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to_addr.as_str(), sent[0].from_addr.as_str()), (PERSON, "+14155550100"));
    assert!(sent[0].body.contains("START") && sent[0].metadata.is_some());
    let wallet = world.args.store.wallet(world.organization).await.unwrap().unwrap();
    assert_eq!((wallet.available, wallet.held), (992_100, 7_900));
    replies.stop(None);
    task.await.unwrap();
}

#[tokio::test]
async fn what_is_due_from_an_earlier_life_is_sent_at_the_start() {
    let world = World::new(1_000_000).await;
    world.hears(PERSON, "STOP").await;
    let (replies, task) = Replies::spawn(None, Replies, world.args.clone()).await.unwrap();
    world.until_nothing_is_due().await;
    assert_eq!(world.sent().await.len(), 1);
    replies.stop(None);
    task.await.unwrap();
}

#[tokio::test]
async fn an_answer_submitted_twice_is_one_message() {
    let world = World::new(1_000_000).await;
    world.hears(PERSON, "STOP").await;
    let row = world.args.store.due_replies(1).await.unwrap().remove(0);
    // The first life dies before it could note that it was sent.
    assert!(matches!(world.args.send(row.clone()).await, Fate::Sent));
    assert!(matches!(world.args.send(row).await, Fate::Sent));
    assert_eq!(world.args.look().await, Looked::Done);
    assert_eq!((world.sent().await.len(), world.due().await), (1, 0));
}

#[tokio::test]
async fn without_money_route_or_in_time_it_is_left_out() {
    let world = World::new(5).await;
    world.hears(PERSON, "STOP").await;
    world.hears("+447911123456", "STOP").await;
    world.hears("+14155550999", "STOP").await;
    let mut late = world.args.store.due_replies(3).await.unwrap().remove(2);
    late.created_at -= 13 * 3_600 * 1_000_000;
    let Fate::LeftOut(note) = world.args.send(late).await else { panic!("not left out") };
    assert_eq!(note, "too late");
    for (at, expected) in ["BALANCE_TOO_LOW", "NO_ROUTE"].into_iter().enumerate() {
        let row = world.args.store.due_replies(2).await.unwrap().remove(at);
        let Fate::LeftOut(note) = world.args.send(row).await else { panic!("not left out") };
        assert_eq!(note, expected);
    }
    assert_eq!(world.args.look().await, Looked::Done);
    assert_eq!((world.sent().await.len(), world.due().await), (0, 0));
}

#[tokio::test]
async fn what_the_switch_cannot_take_now_stays_due() {
    let world = World::new(1_000_000).await;
    world.hears(PERSON, "STOP").await;
    world.args.writer.set_low_disk(true);
    assert_eq!(world.args.look().await, Looked::Done);
    assert_eq!((world.sent().await.len(), world.due().await), (0, 1));
    world.args.writer.set_low_disk(false);
    assert_eq!(world.args.look().await, Looked::Done);
    assert_eq!((world.sent().await.len(), world.due().await), (1, 0));
}
