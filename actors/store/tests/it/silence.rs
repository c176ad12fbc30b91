//! A database server that vanishes without a word: nothing is refused, reset or answered.

use std::time::Duration;

use store::lane::Work;
use store::{Options, Store, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::{each, readings};

const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Passes octets on until it falls silent, and keeps its connections open then.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut octets = vec![0; 64 * 1024];
    loop {
        let count = tokio::select! {
            biased;
            () = falls(&mut silent) => return std::future::pending().await,
            count = from.read(&mut octets) => count.unwrap_or(0),
        };
        if count == 0 || to.write_all(&octets[..count]).await.is_err() {
            return;
        }
    }
}

async fn falls(silent: &mut watch::Receiver<bool>) {
    drop(silent.wait_for(|silent| *silent).await);
}

/// The same database by way of a proxy, and what makes that fall silent.
async fn by_proxy(url: &str) -> (String, watch::Sender<bool>) {
    let (head, name) = url.rsplit_once('/').unwrap();
    let (user, server) = head.rsplit_once('@').unwrap();
    let (server, listener) = (server.to_owned(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let (silence, silent) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&server).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pump(near_in, far_out, silent.clone()));
            tokio::spawn(pump(far_in, near_out, silent.clone()));
        }
    });
    (format!("{user}@127.0.0.1:{port}/{name}"), silence)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_waits_for_a_silent_server_but_not_for_ever() {
    each(async |world| {
        if !world.store.is_postgres() {
            return;
        }
        let (url, silence) = by_proxy(&world.url).await;
        let options = Options { answer_wait: ANSWER_WAIT, ..Options::new(&url) };
        let store = Store::open(options).await.unwrap();
        let mut lane = store.lane(readings, false).await.unwrap();
        let work = |to: &str| Work {
            accepts: vec![world.submission(vec![world.message(to)])],
            ..Work::default()
        };
        assert!(lane.commit(&work("+14155550123")).await.unwrap().accepts[0].is_ok());
        silence.send(true).unwrap();
        let work = work("+14155550124");
        let late = tokio::time::timeout(PATIENCE, lane.commit(&work)).await;
        let error = late.expect("an answer, or an end of waiting").unwrap_err();
        assert!(matches!(error, StoreError::Unknown(_)) && error.is_outage(), "{error}");
        drop(lane);
        let late = tokio::time::timeout(PATIENCE, store.lane(readings, false)).await;
        let error = late.expect("nor does a new one").err().unwrap();
        assert!(error.is_outage(), "{error}");
        // The server itself is well: it takes the lane that comes by another way.
        assert!(world.store.lane(readings, false).await.is_ok());
    })
    .await;
}
