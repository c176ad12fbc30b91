//! Accounts that change while others run: one is touched, the others are not.

use actors::series::Series;
use actors::smpp::profile::{BindMode, Profile};
use metrics::NoopRecorder;
use model::carrier::CarrierId;
use model::message::{Category, Status};

use super::peer::{Act, Peer};
use super::world::{Plan, World, profile, until};

/// The same account, said otherwise.
fn another(profile: &Profile, mark: u8) -> Profile {
    Profile { made_of: [mark; 32], ..profile.clone() }
}

async fn two(first: &Profile, second: &Profile) -> World {
    Plan::of(vec![first.clone(), second.clone()]).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_account_binds_anew_and_its_neighbour_stays_bound() {
    let (one, two_) = (Peer::new(), Peer::new());
    let (first, second) = (profile("one", &one), profile("two", &two_));
    let world = two(&first, &second).await;
    until("both are bound", async || one.bound() == 1 && two_.bound() == 1).await;
    let changed = Profile { window: 3, connections: 2, ..another(&first, 1) };
    world.replan(vec![changed.clone(), second.clone()]);
    until("the first binds twice", async || one.bound() == 2).await;
    assert_eq!((one.unbinds(), one.opened()), (1, 3), "it said goodbye before");
    assert_eq!((two_.unbinds(), two_.opened(), two_.bound()), (0, 1, 1));
    let view = world.views.find("one").unwrap();
    until("it is seen", async || view.status() == "bound").await;
    assert_eq!(view.connections, 2);

    // The same said again changes nothing.
    world.replan(vec![another(&changed, 1), second]);
    let keys = world.send_many(Category::Transactional, 20).await;
    for key in keys {
        until("it is sent", async || world.status(key).await == Status::Sent).await;
    }
    assert_eq!((one.opened(), two_.opened()), (3, 1));
    assert!(one.most_open() <= 3, "{}", one.most_open());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_when_an_account_changes_is_finished_once() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::Keep);
    let first = Profile { window: 5, ..profile("one", &peer) };
    let world = World::of(first.clone()).await;
    let keys = world.send_many(Category::Transactional, 12).await;
    until("a window is out", async || peer.heard().len() == 5).await;
    world.replan(vec![another(&first, 1)]);
    // A second change while the first is under way: the last one holds.
    world.replan(vec![Profile { window: 7, ..another(&first, 2) }]);
    peer.release();
    for key in &keys {
        until("it is sent", async || world.status(*key).await == Status::Sent).await;
    }
    let heard: Vec<String> = peer.heard().into_iter().map(|heard| heard.text).collect();
    for text in &heard {
        assert_eq!(peer.times(text), 1, "{text}");
    }
    assert_eq!(heard.len(), 12);
    assert!(peer.unbinds() >= 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_binds_keeps_what_waits_and_one_that_is_gone_is_forgotten() {
    let (one, two_) = (Peer::new(), Peer::new());
    let (first, second) = (profile("one", &one), profile("two", &two_));
    let world = two(&first, &second).await;
    until("both are bound", async || one.bound() == 1 && two_.bound() == 1).await;
    let parked = Profile { connections: 0, ..another(&first, 1) };
    world.replan(vec![parked, second.clone()]);
    until("it is off", async || {
        world.views.find("one").is_some_and(|view| view.status() == "disabled")
    })
    .await;
    assert_eq!((one.unbinds(), one.bound()), (1, 0));
    let key = world.send_many(Category::Transactional, 1).await[0];
    let view = world.views.find("one").unwrap();
    until("it waits", async || view.waiting() == 1).await;
    world.replan(vec![another(&first, 2), second.clone()]);
    until("it is sent", async || world.status(key).await == Status::Sent).await;

    world.replan(vec![second]);
    until("it is gone", async || world.views.find("one").is_none()).await;
    assert_eq!((one.unbinds(), one.bound()), (2, 0));
    assert_eq!((two_.unbinds(), two_.opened(), two_.bound()), (0, 1, 1));
    world.replan(vec![first.clone()]);
    until("it is back, and the other gone", async || one.bound() == 1 && two_.bound() == 0).await;
    world.end().await;
}

/// On one thread: so that the recorder of this test is the one that everything measures by.
#[tokio::test]
async fn a_thousand_accounts_that_came_and_went_leave_nothing() {
    let series = Series::default();
    let recorder = series.clone().beside(NoopRecorder);
    let _measured = metrics::set_default_local_recorder(&recorder);
    let (stays, passing) = (Peer::new(), Peer::new());
    let first = profile("stays", &stays);
    let plan = Plan { series: series.clone(), ..Plan::of(vec![first.clone()]) };
    let world = plan.start().await;
    until("it is bound", async || stays.bound() == 1).await;
    let remembered = world.admission.router().remembers();
    for round in 0..10 {
        let name = |at: usize| format!("passing {round} {at}");
        let more = (0..100).map(|at| profile(&name(at), &passing));
        world.replan(more.chain([first.clone()]).collect());
        until("they are bound", async || passing.bound() == 100).await;
        assert_eq!(series.carriers().len(), 102, "one each, and what is nobody's");
        world.replan(vec![first.clone()]);
        until("they are gone", async || world.views.all().len() == 1).await;
    }
    assert_eq!(series.carriers(), ["", "stays"]);
    // What the last of them held goes with their actors.
    let owned = |id: &i64| world.directory.find(CarrierId(*id)).is_some();
    until("their owners are gone", async || (1..2_000).filter(owned).count() == 1).await;
    until("nothing is remembered", async || {
        world.admission.replace(world.routes());
        world.admission.router().remembers() == remembered
    })
    .await;
    assert_eq!(series.carriers(), ["", "stays"]);
    assert_eq!((stays.opened(), stays.bound()), (1, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_submits_by_one_bind_and_half_of_it_is_degraded() {
    let peer = Peer::new();
    let mut pair = profile("one", &peer);
    pair.link.mode = BindMode::TransmitterReceiver;
    let world = World::of(pair).await;
    until("both halves are bound", async || peer.bound() == 2).await;
    let view = world.views.find("one").unwrap();
    until("it is seen", async || view.status() == "bound").await;
    let keys = world.send_many(Category::Transactional, 10).await;
    for key in keys {
        until("it is sent", async || world.status(key).await == Status::Sent).await;
    }
    let by: std::collections::HashSet<usize> =
        peer.heard().into_iter().map(|heard| heard.connection).collect();
    assert_eq!(by.len(), 1, "submits go by the transmitter alone");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_name_is_failed_and_gets_right_when_the_carrier_says_so() {
    let peer = Peer::new();
    peer.set_door(super::peer::Door::Refusing);
    let world = World::of(profile("one", &peer)).await;
    until("it is failed", async || {
        world.views.find("one").is_some_and(|view| view.status() == "failed")
    })
    .await;
    let view = world.views.find("one").unwrap();
    assert!(view.last_error().contains("BINDFAIL"), "{}", view.last_error());
    assert!(view.binds[0].last_error().contains("bind refused"));
    peer.set_door(super::peer::Door::Open);
    until("it is bound", async || view.status() == "bound").await;
    world.end().await;
}
