//! Scheduled messages through the whole tree: each reaches its carrier once, whoever dies; and what
//! expires or is cancelled reaches none.

use std::time::Duration;

use actors::traffic::admission::Routes;
use actors::traffic::interceptors::Ready;
use actors::traffic::scheduler::{Passed, SchedulerMsg};
use model::carrier::MessageKey;
use model::clock::At;
use model::interceptor::Rule;
use model::message::{Category, Status};
use model::submission::NewMessage;
use store::TransferKind;
use store::lane::{Accepted, Admin, AdminDone, CancelFate};

use super::peer::{Door, Peer};
use super::world::{CREDIT, World, profile, until};

impl World {
    async fn submit(&self, messages: Vec<NewMessage>) -> Vec<MessageKey> {
        let count = i64::try_from(messages.len()).unwrap();
        let accepted = self.writer.submit(self.submission(messages)).await.unwrap();
        let Accepted::Fresh { first, .. } = accepted else { panic!("replayed") };
        (0..count).map(|n| MessageKey(first.0 + n)).collect()
    }

    async fn schedule(&self, count: usize, at: At) -> Vec<MessageKey> {
        let message = |n| {
            let text = format!("text {n}");
            let mut message = self.message(0, Category::Transactional, &text);
            message.options.scheduled_at = Some(at);
            message
        };
        self.submit((0..count).map(message).collect()).await
    }

    /// One message that is valid for so long.
    async fn send_valid_for(&self, seconds: u32) -> MessageKey {
        let mut message = self.message(0, Category::Transactional, "short-lived");
        message.options.validity_s = Some(seconds);
        self.submit(vec![message]).await[0]
    }

    async fn cancel(&self, messages: Vec<MessageKey>) -> Vec<CancelFate> {
        let organization = self.organization;
        match self.writer.administer(Admin::Cancel { organization, messages }).await.unwrap() {
            AdminDone::Cancelled(fates) => fates,
            other => panic!("{other:?}"),
        }
    }

    fn waiting(&self) -> i64 {
        self.views.all()[0].waiting()
    }

    async fn transfers(&self, key: MessageKey) -> Vec<TransferKind> {
        let transfers = self.store.transfers_of(key).await.unwrap();
        transfers.iter().map(|(kind, ..)| *kind).collect()
    }

    async fn wallet(&self) -> (i64, i64) {
        let wallet = self.store.wallet(self.organization).await.unwrap().unwrap();
        (wallet.available, wallet.held)
    }
}

fn soon() -> At {
    At::now().plus(Duration::from_millis(50))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_message_reaches_its_carrier_once_though_later_ones_went_before() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let scheduled = world.schedule(3, soon()).await;
    let newer = world.send("newer").await;
    world.all(&[newer], Status::Sent).await;
    world.all(&scheduled, Status::Sent).await;
    for n in 0..3 {
        assert_eq!(peer.times(&format!("text {n}")), 1);
    }
    world.assert_charged_once(&scheduled).await;
    until("nothing waits", async || world.waiting() == 0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_scheduler_fires_what_is_left_and_nothing_twice() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let keys = world.schedule(350, soon()).await;
    let scheduler = world.find::<SchedulerMsg>().unwrap();
    until("it has begun", async || world.status(keys[0]).await != Status::Scheduled).await;
    scheduler.kill();
    let next = world.successor(&scheduler).await;
    next.send_message(SchedulerMsg::Passed(Passed::Lost)).unwrap();
    world.successor(&next).await;
    world.all(&keys, Status::Sent).await;
    assert!((0..350).all(|n| peer.times(&format!("text {n}")) == 1));
    world.assert_charged_once(&keys).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_finds_fired_messages_in_their_place() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    world.pause("one", true).await;
    let scheduled = world.schedule(20, soon()).await;
    let newer = world.send("newer").await;
    world.all(&scheduled, Status::Queued).await;
    let owner = world.owner(0).await;
    owner.kill();
    until("there is another", async || world.owner(0).await.get_id() != owner.get_id()).await;
    until("it has read its rows", async || world.waiting() == 21).await;
    world.pause("one", false).await;
    world.all(&scheduled, Status::Sent).await;
    world.all(&[newer], Status::Sent).await;
    assert_eq!(peer.heard().len(), 21);
    world.assert_charged_once(&scheduled).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_carrier_is_gone_goes_by_another_or_is_blocked() {
    let (one, other) = (Peer::new(), Peer::new());
    let profiles = vec![profile("one", &one), profile("other", &other)];
    let world = super::world::Plan::of(profiles).start().await;
    let mut message = world.message(1, Category::Transactional, "rerouted");
    message.options.scheduled_at = Some(soon());
    let keys = world.submit(vec![message]).await;
    world.all(&keys, Status::Sent).await;
    assert_eq!((one.times("rerouted"), other.times("rerouted")), (1, 0));
    world.admission.replace(Routes::default());
    let stranded = world.schedule(1, soon()).await;
    world.all(&stranded, Status::Blocked).await;
    assert_eq!(world.row(stranded[0]).await.error_code.as_deref(), Some("NO_ROUTE"));
    assert!(world.transfers(stranded[0]).await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_message_is_never_sent_and_counts_as_waiting_no_more() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    world.pause("one", true).await;
    let queued = world.send_many(Category::Transactional, 5).await;
    let scheduled = world.schedule(1, At::now().plus(Duration::from_secs(3_600))).await;
    until("they wait", async || world.waiting() == 5).await;
    let fates = world.cancel(vec![queued[1], queued[3], scheduled[0]]).await;
    assert!(fates.iter().all(|fate| matches!(fate, CancelFate::Cancelled { .. })), "{fates:?}");
    until("three are left", async || world.waiting() == 3).await;
    world.pause("one", false).await;
    let sent = [queued[0], queued[2], queued[4]];
    world.all(&sent, Status::Sent).await;
    assert_eq!(peer.heard().len(), 3);
    assert_eq!((peer.times("text 1"), peer.times("text 3")), (0, 0));
    world.all(&[queued[1], queued[3], scheduled[0]], Status::Cancelled).await;
    until("nothing waits", async || world.waiting() == 0).await;
    world.assert_charged_once(&sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancels_against_a_busy_carrier_end_in_one_of_the_two() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let keys = world.send_many(Category::Transactional, 200).await;
    let mut cancelled = Vec::new();
    for chunk in keys.chunks(20) {
        let fates = world.cancel(chunk.to_vec()).await;
        let stopped = chunk.iter().zip(fates);
        let stopped = stopped.filter(|(_, fate)| matches!(fate, CancelFate::Cancelled { .. }));
        cancelled.extend(stopped.map(|(key, _)| *key));
    }
    let sent: Vec<_> = keys.iter().copied().filter(|key| !cancelled.contains(key)).collect();
    world.all(&sent, Status::Sent).await;
    world.all(&cancelled, Status::Cancelled).await;
    assert_eq!(peer.heard().len(), sent.len());
    for key in &cancelled {
        let released = [TransferKind::Hold, TransferKind::Release];
        assert_eq!(world.transfers(*key).await, released);
    }
    until("nothing waits", async || world.waiting() == 0).await;
    world.assert_charged_once(&sent).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_expires_while_its_carrier_is_away_or_paused() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    until("it is bound", async || peer.bound() == 1).await;
    peer.set_door(Door::Away);
    peer.hang_up();
    until("it is away", async || world.views.all()[0].bound() == 0).await;
    let away = world.send_valid_for(1).await;
    world.all(&[away], Status::Expired).await;
    assert_eq!(world.row(away).await.error_code.as_deref(), Some("EXPIRED"));
    world.pause("one", true).await;
    peer.set_door(Door::Open);
    let paused = world.send_valid_for(1).await;
    let valid = world.send_valid_for(600).await;
    world.all(&[paused], Status::Expired).await;
    assert_eq!(world.wallet().await, (CREDIT - super::world::PRICE, super::world::PRICE));
    world.pause("one", false).await;
    world.all(&[valid], Status::Sent).await;
    assert_eq!(peer.heard().len(), 1);
    assert_eq!(world.transfers(away).await, [TransferKind::Hold, TransferKind::Release]);
    until("nothing waits", async || world.waiting() == 0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_made_later_does_not_change_the_sender_that_was_answered() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let name = String::from("named");
    let rule = Rule { name, sender: String::from("Acme"), ..Rule::default() };
    world.admission.interceptors().set_operators(vec![Ready::new(rule, Vec::new()).unwrap()]);
    let scheduled = world.schedule(1, soon()).await;
    world.all(&scheduled, Status::Sent).await;
    let heard = peer.heard();
    assert_eq!(heard.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(), ["Orbit"]);
    world.end().await;
}
