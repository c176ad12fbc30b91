//! Followers of a real log.

use super::*;
use crate::customer::testing::{PATIENCE, World};

async fn gather(follower: &mut Follower, count: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    let gathering = async {
        while seen.len() < count {
            seen.extend(follower.next().await.unwrap().iter().map(|line| line.seq));
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, gathering).await;
    assert!(outcome.is_ok(), "{} lines of {count}", seen.len());
    seen
}

async fn log(world: &World) -> Vec<i64> {
    let lines = world.store.log_of(world.organization, 0, 10_000).await.unwrap();
    lines.iter().map(|line| line.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_follower_gets_every_line_once_and_in_order_wherever_it_begins() {
    let world = World::new().await;
    let feed = Feed::new(world.store.clone(), world.writer.wakes());
    world.accepted(450, None).await;
    let early = log(&world).await;
    let mut old = feed.follow(world.organization, 0);
    let mut new = feed.follow(world.organization, *early.last().unwrap());
    assert_eq!(gather(&mut old, 450).await, early);
    let mut idle = feed.follow(world.organization, 0);
    for _ in 0..30 {
        world.accepted(10, None).await;
    }
    let all = log(&world).await;
    assert_eq!(gather(&mut old, 300).await, all[450..]);
    assert_eq!(gather(&mut new, 300).await, all[450..]);
    // It missed more batches than are kept, and reads the store itself.
    for _ in 0..40 {
        let keys = world.accepted(5, None).await;
        assert_eq!(gather(&mut new, 5).await.len(), keys.len());
    }
    assert_eq!(gather(&mut idle, 950).await, log(&world).await);
    assert_eq!(idle.cursor(), *log(&world).await.last().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_nobody_follows_ends_and_the_next_follower_starts_another() {
    let world = World::new().await;
    let feed = Feed::new(world.store.clone(), world.writer.wakes());
    drop(feed.follow(world.organization, 0));
    world.accepted(1, None).await;
    let forgotten = async {
        while !feed.readers().is_empty() {
            world.accepted(1, None).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
    let mut follower = feed.follow(world.organization, 0);
    let known = log(&world).await;
    assert_eq!(gather(&mut follower, known.len()).await, known);
    world.accepted(1, None).await;
    assert_eq!(gather(&mut follower, 1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_goes_on_behind_another_writer() {
    let mut world = World::new().await;
    let feed = Feed::new(world.store.clone(), world.writer.wakes());
    let mut follower = feed.follow(world.organization, 0);
    world.accepted(1, None).await;
    gather(&mut follower, 1).await;
    world.another_writer().await;
    world.accepted(2, None).await;
    gather(&mut follower, 2).await;
}

#[test]
fn who_is_told_what_is_owed_is_forgotten_when_he_goes() {
    let wakes = Arc::new(Wakes::default());
    let owed = Owed { organization: OrgId(1), after: None, to: 1, rows: None };
    let count = Arc::new(AtomicU64::new(0));
    let tell = |organization| {
        let count = Arc::clone(&count);
        let heard = move |_: Option<&Owed>| count.fetch_add(1, Ordering::Relaxed) < u64::MAX;
        wakes.tell(organization, Box::new(heard))
    };
    let (first, second) = (tell(OrgId(1)), tell(OrgId(1)));
    let _other = tell(OrgId(2));
    wakes.owed(std::slice::from_ref(&owed));
    assert_eq!(count.load(Ordering::Relaxed), 2);
    drop(first);
    wakes.owed(std::slice::from_ref(&owed));
    assert_eq!(count.load(Ordering::Relaxed), 3, "the second alone");
    drop(second);
    wakes.owed(&[owed]);
    assert_eq!(count.load(Ordering::Relaxed), 3, "nobody");
    assert_eq!(wakes.creditors.read().unwrap().len(), 1, "and nothing is kept of them");
}
