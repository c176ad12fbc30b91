//! `stream`: an event stream that is cut at random and resumed by id, while messages are sent.
//!
//! The client connects, reads for a moment, drops the socket, and comes again with the last id it
//! saw. When all messages have ended, the events of the list are compared with those of the
//! stream: none may be missing. What came twice is counted, since a resume sends the last seconds
//! again.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::flow::until;
use super::http::LoadArgs;
use super::sms::orbit_target;
use crate::api::Api;
use crate::client::Client;
use crate::generator::{self, Keep, LoadReport, Plan};
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};
use crate::traffic::fresh_seed;

const CONNECTIONS: u64 = 16;
const RATE: f64 = 300.0;
const SECONDS: u64 = 15;
const BIND_TIME: Duration = Duration::from_secs(20);
/// How long a stretch of reading lasts, and the rest after it.
const STRETCH_MS: std::ops::Range<u64> = 10..1_000;
const REST_MS: std::ops::Range<u64> = 0..200;
/// Longer than a heartbeat: a stream that is silent for so long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);
const LOOK_STEP: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    cuts: u64,
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// How long to wait until all messages have ended and all events were seen.
    #[arg(long, default_value_t = 60)]
    settle_s: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Debug, Serialize)]
struct StreamReport {
    scenario: &'static str,
    passed: bool,
    store: String,
    accepted: u64,
    /// By the list.
    events: usize,
    cuts: u64,
    connections: u64,
    missed: usize,
    repeated: u64,
    resets: u64,
    /// Seen in the stream and not in the list.
    unknown: usize,
    load: LoadReport,
}

/// What the client has seen so far.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    last: String,
    repeated: u64,
    resets: u64,
    cuts: u64,
    connections: u64,
}

/// The client of the stream.
struct Reader {
    address: SocketAddr,
    key: String,
    seen: Rc<RefCell<Seen>>,
    /// Set once the first stream has begun.
    begun: Rc<Cell<bool>>,
}

pub(crate) async fn run(args: StreamArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("stream", args.switch.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.serve().await?;
    let binds = u64::from(args.switch.carrier_connections);
    if !until(&smsc, BIND_TIME, |stats| stats.binds >= binds).await {
        bail!("the carrier was not bound: {}", switch.last_words());
    }
    let report = drive(&args, &switch).await;
    switch.stop();
    Ok(Some(serde_json::to_value(report?)?))
}

async fn drive(args: &StreamArgs, switch: &Switch) -> Result<StreamReport> {
    let seen = Rc::<RefCell<Seen>>::default();
    let begun = Rc::<Cell<bool>>::default();
    let reader = Reader {
        address: switch.address,
        key: switch.key.clone(),
        seen: Rc::clone(&seen),
        begun: Rc::clone(&begun),
    };
    let random = StdRng::seed_from_u64(args.load.seed.unwrap_or_else(fresh_seed));
    let reading = tokio::task::spawn_local(reader.run(args.cuts, random));
    wait(Duration::from_secs(args.settle_s), || begun.get()).await;
    ensure!(begun.get(), "the stream did not begin: {}", switch.last_words());

    let target = orbit_target(switch, args.load.recipients()?, &args.load.body)?;
    let (load, _) = generator::run(plan(args), target, Keep::Nothing, Rc::default()).await?;
    eprintln!("stream: {} accepted in {:.2} s", load.accepted, load.seconds);
    let mut api = Api::new(switch.address, &switch.key);
    let deadline = Instant::now() + Duration::from_secs(args.settle_s);
    while api.in_flight().await?.is_some() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_STEP).await;
    }
    let listed = events(switch).await?;
    let settle = Duration::from_secs(args.settle_s);
    let all = || listed.is_subset(&seen.borrow().ids) && seen.borrow().cuts >= args.cuts;
    wait(settle, all).await;
    reading.abort();
    let seen = seen.borrow();
    let missed = listed.difference(&seen.ids).count();
    Ok(StreamReport {
        scenario: "stream",
        passed: missed == 0 && seen.cuts >= args.cuts && load.accepted > 0,
        store: args.switch.store_name(),
        accepted: load.accepted,
        events: listed.len(),
        cuts: seen.cuts,
        connections: seen.connections,
        missed,
        repeated: seen.repeated,
        resets: seen.resets,
        unknown: seen.ids.difference(&listed).count(),
        load,
    })
}

fn plan(args: &StreamArgs) -> Plan {
    let bounded = args.load.plan(CONNECTIONS);
    Plan {
        requests: args.load.requests,
        rate: bounded.rate.or(Some(RATE)),
        time: Duration::from_secs(args.load.seconds.unwrap_or(SECONDS)),
        ..bounded
    }
}

async fn wait(time: Duration, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + time;
    while !is_so() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_STEP).await;
    }
}

/// The ids of all events, by the list.
async fn events(switch: &Switch) -> Result<HashSet<String>> {
    let mut client = Client::new(switch.address);
    let mut ids = HashSet::new();
    let mut path = String::from("/api/v1/events?limit=200");
    loop {
        let (status, page) = client.get(&path, &switch.key).await?;
        ensure!(status == 200, "the list of events was answered {status}: {page}");
        for event in page["data"].as_array().into_iter().flatten() {
            ids.insert(event["id"].as_str().context("an event without an id")?.to_owned());
        }
        let Some(cursor) = page["meta"]["pagination"]["cursor"].as_str() else {
            return Ok(ids);
        };
        path = format!("/api/v1/events?limit=200&cursor={cursor}");
    }
}

impl Reader {
    /// Cuts so many times, then reads until it is aborted.
    async fn run(self, cuts: u64, mut random: StdRng) {
        loop {
            let cut = self.seen.borrow().cuts < cuts;
            // Without an id nothing can be resumed: the first cut waits for the first event.
            let time = Duration::from_millis(random.random_range(STRETCH_MS));
            let stretch = self.stretch(cut.then_some(time)).await;
            if let Err(error) = stretch {
                eprintln!("stream: {error:#}");
            }
            if cut && !self.seen.borrow().last.is_empty() {
                self.seen.borrow_mut().cuts += 1;
            }
            let rest = Duration::from_millis(random.random_range(REST_MS));
            tokio::time::sleep(rest).await;
        }
    }

    /// One connection, for so long, and until there is an id to resume by.
    async fn stretch(&self, time: Option<Duration>) -> Result<()> {
        let mut socket = TcpStream::connect(self.address).await?;
        socket.write_all(self.request().as_bytes()).await?;
        self.seen.borrow_mut().connections += 1;
        let begun = Instant::now();
        let mut text = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let known = !self.seen.borrow().last.is_empty();
            let left = match time.filter(|_| known) {
                Some(time) => time.saturating_sub(begun.elapsed()),
                None => SILENCE_MAX,
            };
            match timeout(left, socket.read(&mut chunk)).await {
                Ok(Ok(0)) => bail!("the stream was ended after {:?}", begun.elapsed()),
                Ok(count) => text.extend_from_slice(&chunk[..count?]),
                Err(_) if time.is_some() && known => return Ok(()),
                Err(_) => bail!("the stream is silent"),
            }
            self.take(&mut text)?;
        }
    }

    /// HTTP/1.0, so that the body comes without chunks.
    fn request(&self) -> String {
        let last = &self.seen.borrow().last;
        let resume = match last.as_str() {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        format!(
            "GET /api/v1/events/stream HTTP/1.0\r\nHost: {}\r\nX-API-Key: {}\r\n{resume}\r\n",
            self.address, self.key
        )
    }

    /// Takes the whole frames from what was read.
    fn take(&self, text: &mut Vec<u8>) -> Result<()> {
        let mut taken = 0;
        while let Some(length) = text[taken..].windows(2).position(|pair| pair == b"\n\n") {
            let frame = String::from_utf8_lossy(&text[taken..taken + length]).into_owned();
            taken += length + 2;
            if frame.contains("retry:") {
                ensure!(frame.lines().next().is_some_and(|line| line.contains(" 200")), "{frame}");
                self.begun.set(true);
            } else if frame.contains("event: reset") {
                eprintln!("stream: {frame}");
                self.seen.borrow_mut().resets += 1;
            } else if let Some(id) = frame.lines().find_map(|line| line.strip_prefix("id: ")) {
                let mut seen = self.seen.borrow_mut();
                id.clone_into(&mut seen.last);
                if !seen.ids.insert(id.to_owned()) {
                    seen.repeated += 1;
                }
            }
        }
        text.drain(..taken);
        Ok(())
    }
}
