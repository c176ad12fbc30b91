//! `transit`: SMPP in, durable, SMPP out, and the receipt back to the client, by id.
//!
//! The client and the SMSC are ours and share nothing with the switch but the book. Nothing may be
//! lost or doubled, and each receipt must name the id of the answer and the message's recipient.
//! With `--kills` the switch is killed on the way: then what was answered ok must still get its
//! receipt, receipts may come twice, and the carrier may see two windows a kill twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::flow::{Meters, Wallet, tenths};
use crate::api::{Api, Balance};
use crate::esme::{self, AREA, Door, Load, Notes};
use crate::histogram::Summary;
use crate::peer::smsc::{Smsc, SmscOptions, Stats};
use crate::switch::{Switch, SwitchArgs};

const LOOK: Duration = Duration::from_millis(2);
/// Requests of the switch's HTTP side that tell whether all is over.
const LOOK_SLOW: Duration = Duration::from_millis(200);
/// In doubt after a kill is decided after this, so that a run ends.
const IN_DOUBT: &str = "[in_doubt]\nwait_s = 1\n";

#[derive(Debug, Args)]
pub(crate) struct TransitArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    messages: u32,
    /// Binds of the client.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Unanswered submits of each, and receipts the switch may have unanswered there.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    client_window: u32,
    /// Submits a second; 0: as fast as the windows let.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// `kill -9` so often while it runs.
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// How long to wait until the last receipt is there.
    #[arg(long, default_value_t = 180)]
    settle_s: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Debug, Serialize)]
struct TransitReport {
    scenario: &'static str,
    passed: bool,
    store: String,
    connections: u32,
    client_window: u32,
    carrier_window: u32,
    kills: u32,
    /// Submits answered ok.
    accepted: u64,
    /// Submits whose connection was lost before their answer.
    unanswered: u64,
    receipts: u64,
    receipts_missing: u64,
    receipts_twice: u64,
    receipts_wrong: u64,
    /// Receipts of submits whose answer was lost.
    receipts_unknown: u64,
    doubled_at_carrier: u64,
    seconds: f64,
    messages_per_second: f64,
    submit_to_answer: Summary,
    submit_to_receipt: Summary,
    cpu_us_per_message: BTreeMap<String, f64>,
    /// The switch's, by the names of its threads; empty after a kill.
    switch_threads_us_per_message: BTreeMap<String, f64>,
    peak_memory_mb: BTreeMap<String, f64>,
    wallet: Wallet,
    carrier: Stats,
    problems: Vec<String>,
}

pub(crate) async fn run(args: TransitArgs) -> Result<Option<Value>> {
    let more = if args.kills > 0 { IN_DOUBT } else { "" };
    let smpp = ("response_timeout_s = 5", more);
    let mut bench = Bench::start("transit", &args.switch, &args.smsc, smpp).await?;
    let settings = json!({"max_binds": args.connections, "window_size": args.client_window});
    let door = bench.account(&bench.switch.key, "transit", &settings).await?;
    let report = drive(&args, &mut bench.switch, &bench.smsc, door).await;
    bench.switch.stop();
    Ok(Some(serde_json::to_value(report?)?))
}

async fn drive(
    args: &TransitArgs,
    switch: &mut Switch,
    smsc: &Smsc,
    door: Door,
) -> Result<TransitReport> {
    let before = Api::new(switch.address, &switch.key).balance().await?;
    let (messages, window, rate) = (args.messages, args.client_window, args.rate);
    let load = Load { messages, window, rate, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let processes = vec![("orbit", switch.id())];
    let postgres = args.switch.uses_postgres();
    let meters = Meters { processes, carrier: smsc.thread.clone(), postgres };
    let (mark, threads) = (meters.mark(), Meters::threads(switch.id()));
    let started = Instant::now();
    let mut links = JoinSet::new();
    for _ in 0..args.connections {
        links.spawn_local(esme::drive(door.clone(), Rc::clone(&notes)));
    }
    kill(args, switch, &notes, started).await?;
    let settled = settle(args, &notes, &mut links).await?;
    let seconds = started.elapsed().as_secs_f64();
    let messages = u64::from(args.messages);
    let cpu = meters.since(&mark, messages);
    let threads = match args.kills {
        0 => Meters::threads(switch.id()).since(&threads, messages),
        _ => BTreeMap::new(),
    };
    let memory = meters.peak_memory_mb();
    notes.borrow_mut().over = true;
    while let Some(ended) = links.join_next().await {
        ended??;
    }
    let accepted = notes.borrow().answered;
    let wallet = wallet(args, switch, before, smsc, accepted).await?;
    let notes = notes.borrow();
    let carrier = smsc.stats();
    let mut report = TransitReport {
        scenario: "transit",
        passed: false,
        store: args.switch.store_name(),
        connections: args.connections,
        client_window: args.client_window,
        carrier_window: args.switch.window * args.switch.carrier_connections,
        kills: args.kills,
        accepted: notes.answered,
        unanswered: notes.unanswered,
        receipts: notes.receipts,
        receipts_missing: notes.without_receipt(),
        receipts_twice: notes.receipts_twice,
        receipts_wrong: notes.receipts_wrong,
        receipts_unknown: notes.receipts_unknown(),
        doubled_at_carrier: carrier.duplicates,
        seconds,
        messages_per_second: tenths(notes.receipts as f64 / seconds),
        submit_to_answer: notes.answer_latency.summary(),
        submit_to_receipt: notes.receipt_latency.summary(),
        cpu_us_per_message: cpu,
        switch_threads_us_per_message: threads,
        peak_memory_mb: memory,
        wallet,
        carrier,
        problems: Vec::new(),
    };
    report.judge(args, &notes, settled);
    Ok(report)
}

/// Kills the switch so often, spread over the messages.
async fn kill(
    args: &TransitArgs,
    switch: &mut Switch,
    notes: &RefCell<Notes>,
    started: Instant,
) -> Result<()> {
    let patience = Duration::from_secs(args.settle_s) * (args.kills + 1);
    for kill in 1..=args.kills {
        let share = u64::from(args.messages) * u64::from(kill) / u64::from(args.kills + 1);
        while notes.borrow().settled() < share {
            if started.elapsed() > patience {
                bail!("{} submits have an end after {patience:?}", notes.borrow().settled());
            }
            tokio::time::sleep(LOOK).await;
        }
        let chance = rand::rng().random_range(0..20);
        tokio::time::sleep(Duration::from_millis(chance)).await;
        switch.kill();
        let back = switch.serve().await?;
        eprintln!("transit: kill {kill}, ready again after {} ms", back.as_millis());
    }
    Ok(())
}

/// Waits for the last answer and the last receipt; false when they did not come in time.
async fn settle(
    args: &TransitArgs,
    notes: &RefCell<Notes>,
    links: &mut JoinSet<Result<()>>,
) -> Result<bool> {
    let patience = Duration::from_secs(args.settle_s);
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        {
            let notes = notes.borrow();
            if notes.is_settled() {
                return Ok(true);
            }
            let now = notes.settled() + notes.receipts;
            if now > last {
                (last, moved) = (now, Instant::now());
            }
        }
        if moved.elapsed() > patience {
            return Ok(false);
        }
        tokio::select! {
            Some(ended) = links.join_next() => ended??,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What the wallet lost is the price of all that the carrier took.
async fn wallet(
    args: &TransitArgs,
    switch: &Switch,
    before: Balance,
    smsc: &Smsc,
    accepted: u64,
) -> Result<Wallet> {
    let mut api = Api::new(switch.address, &switch.key);
    let deadline = Instant::now() + Duration::from_secs(args.settle_s.min(60));
    while api.in_flight().await?.is_some() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_SLOW).await;
    }
    let after = api.balance().await?;
    let price = api.price_of_one().await?;
    let spent = before.available_micros - after.available_micros - after.held_micros;
    let stats = smsc.stats();
    let carried = i64::try_from(stats.submits - stats.duplicates).unwrap_or(i64::MAX);
    let known = i64::try_from(accepted).unwrap_or(i64::MAX);
    let expected = price * carried;
    Ok(Wallet {
        spent_micros: spent,
        held_micros: after.held_micros,
        expected_micros: expected,
        agrees: spent == expected && after.held_micros == 0 && carried >= known,
    })
}

impl TransitReport {
    fn judge(&mut self, args: &TransitArgs, notes: &Notes, settled: bool) {
        let mut problems = Vec::new();
        let mut problem = |wrong: bool, text: String| {
            if wrong {
                problems.push(text);
            }
        };
        let messages = u64::from(args.messages);
        problem(!settled, "not all answers and receipts came".to_owned());
        problem(self.receipts_missing > 0, format!("{} without receipt", self.receipts_missing));
        problem(self.receipts_wrong > 0, format!("{} receipts wrong", self.receipts_wrong));
        problem(notes.ids_twice > 0, format!("{} ids told twice, or none", notes.ids_twice));
        problem(!notes.refused.is_empty(), format!("refused: {:?}", notes.refused));
        problem(!self.wallet.agrees, format!("the wallet differs: {:?}", self.wallet));
        let window = u64::from(self.carrier_window);
        let most = 2 * window * u64::from(args.kills);
        problem(self.doubled_at_carrier > most, format!("{} doubled", self.doubled_at_carrier));
        let in_flight = self.carrier.max_in_flight;
        problem(in_flight > u64::from(args.switch.window), format!("{in_flight} in flight"));
        if args.kills == 0 {
            problem(self.accepted != messages, format!("{} accepted", self.accepted));
            problem(self.receipts_twice > 0, format!("{} receipts twice", self.receipts_twice));
            let unknown = self.receipts_unknown;
            problem(unknown > 0, format!("{unknown} receipts for ids never told"));
            problem(self.carrier.submits != messages, format!("{} carried", self.carrier.submits));
        }
        self.passed = problems.is_empty();
        self.problems = problems;
    }
}
