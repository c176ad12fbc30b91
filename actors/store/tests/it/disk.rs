//! What SQLite may not have on its disk is told to nobody, and a disk that failed is not trusted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store::lane::Work;
use store::{Filter, Flush, StoreError};

use crate::world::{World, flushed_by, readings};

fn accepts(world: &World) -> Work {
    let accepts = vec![world.submission(vec![world.message("+14155550123")])];
    Work { accepts, ..Work::default() }
}

async fn messages(world: &World) -> Result<usize, StoreError> {
    let rows = world.store.messages(world.organization, &Filter::default(), i64::MAX, 10).await?;
    Ok(rows.len())
}

#[tokio::test]
async fn readers_wait_until_what_they_found_is_on_the_disk() {
    let mut world = flushed_by(Flush::default()).await;
    let early = Duration::from_millis(100);
    world.lane.commit_ahead(&accepts(&world)).await.unwrap();
    assert!(tokio::time::timeout(early, messages(&world)).await.is_err());
    assert!(tokio::time::timeout(early, world.store.wallet(world.organization)).await.is_err());
    assert!(tokio::time::timeout(early, world.store.newest_event()).await.is_err());
    world.lane.disk().reach().unwrap();
    assert_eq!(messages(&world).await.unwrap(), 1);
    assert_eq!(world.wallet().await, (999_000, 1_000));
}

#[tokio::test]
async fn after_a_disk_that_failed_a_lane_begins_with_all_of_the_log_copied() {
    let failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let mut world = flushed_by(Flush::new(move |file| {
        if fails.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        file.sync_data()
    }))
    .await;
    failing.store(true, Ordering::Relaxed);
    let answer = world.lane.commit(&accepts(&world)).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert!(messages(&world).await.is_err(), "it is not known to be on the disk");
    failing.store(false, Ordering::Relaxed);
    let again = world.lane.commit(&accepts(&world)).await;
    assert!(matches!(again, Err(StoreError::Unknown(_))), "the disk was asked once: {again:?}");

    world.lane = world.store.lane(readings, true).await.unwrap();
    assert_eq!(messages(&world).await.unwrap(), 2);
    world.lane.commit(&accepts(&world)).await.unwrap();
    assert_eq!(messages(&world).await.unwrap(), 3);
    world.assert_books().await;
}
