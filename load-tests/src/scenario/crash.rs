//! `crash`: kills the switch under load again and again, then counts what that cost.
//!
//! Clients repeat unanswered requests with the same idempotency key, and the SMSC keeps
//! receipts until they are acknowledged, as in production. Afterwards every accepted message
//! must exist, have reached one final state and be paid for once; what the carrier saw twice
//! is bounded by the window that was open at each kill.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::Value;

use super::http::LoadArgs;
use super::sms::orbit_target;
use crate::api::{Api, Balance, Message, Transaction};
use crate::generator::{self, Accepted, Keep, LoadReport, Plan};
use crate::histogram::Histogram;
use crate::peer::smsc::{Smsc, SmscOptions, Stats};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};
use crate::traffic::fresh_seed;

const CONNECTIONS: u64 = 32;
const RATE: f64 = 1000.0;
const LIFE_MS: std::ops::Range<u64> = 300..3000;
const SETTLE_STEP: Duration = Duration::from_secs(1);
/// A life, a start and their slack; the generator ends at the latest after all of them.
const SECONDS_PER_KILL: u64 = 60;

#[derive(Debug, Args)]
pub(crate) struct CrashArgs {
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    kills: u64,
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// How long to wait until no message is in flight.
    #[arg(long, default_value_t = 180)]
    settle_s: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Debug, Serialize)]
struct CrashReport {
    scenario: &'static str,
    passed: bool,
    store: String,
    kills: u64,
    accepted: u64,
    listed: usize,
    lost: usize,
    /// Accepted under one key, but holding the text of another.
    mixed_up: usize,
    /// Accepted once by the client, but there twice.
    created_twice: usize,
    charged_twice: usize,
    /// Messages whose hold was not closed, or closed for another amount.
    holds_open: usize,
    stuck: usize,
    doubled_at_carrier: u64,
    doubled_max_per_kill: u64,
    doubled_limit_per_kill: u64,
    back_in_service_p50_ms: f64,
    back_in_service_max_ms: f64,
    ledger_agrees: bool,
    balance_available_micros: i64,
    balance_held_micros: i64,
    statuses: BTreeMap<String, usize>,
    load: LoadReport,
    carrier: Stats,
    problems: Vec<String>,
}

/// What the kills gave.
#[derive(Default)]
struct Kills {
    /// Milliseconds of the epoch.
    at: Vec<u64>,
    problems: Vec<String>,
}

pub(crate) async fn run(args: CrashArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("crash", args.switch.keep_files)?;
    let mut options = args.smsc.clone();
    let log = options.log.get_or_insert_with(|| scratch.file("carrier.log")).clone();
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), options)?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.serve().await?;
    let opening = Api::new(switch.address, &switch.key).balance().await?;

    let stop = Rc::new(Cell::new(false));
    let target = orbit_target(&switch, args.load.recipients()?, &args.load.body)?;
    let keep = Keep::Memory(Vec::new());
    let plan = plan(&args);
    let loading = tokio::task::spawn_local(generator::run(plan, target, keep, Rc::clone(&stop)));
    let mut back = Histogram::new();
    let kills = kill_often(&args, &mut switch, &mut back).await;
    stop.set(true);
    let kills = kills?;
    let (load, keep) = loading.await??;
    let Keep::Memory(accepted) = keep else {
        bail!("accepted messages were not kept");
    };
    eprintln!("crash: {} accepted; settling", accepted.len());
    let mut api = Api::new(switch.address, &switch.key);
    settle(&mut api, &smsc, Duration::from_secs(args.settle_s)).await?;

    let messages = api.messages().await?;
    let balance = api.balance().await?;
    let transactions = api.transactions().await?;
    switch.stop();
    let carrier = smsc.stats();
    drop(smsc); // flushes the log
    let doubled = doubled_per_kill(&log, &kills.at)?;
    let mut report = report(&args, &accepted, &messages, load, carrier);
    report.judge_money(&transactions, opening, balance);
    report.back_in_service_p50_ms = back.summary().p50_ms;
    report.back_in_service_max_ms = back.summary().max_ms;
    report.doubled_max_per_kill = doubled.iter().copied().max().unwrap_or(0);
    report.problems.extend(kills.problems);
    report.judge();
    Ok(Some(serde_json::to_value(report)?))
}

fn plan(args: &CrashArgs) -> Plan {
    let bounded = args.load.plan(CONNECTIONS);
    Plan {
        requests: args.load.requests,
        time: Duration::from_secs(args.load.seconds.unwrap_or(args.kills * SECONDS_PER_KILL)),
        rate: bounded.rate.or(Some(RATE)),
        retry: true,
        last_retries: Duration::from_secs(60),
        ..bounded
    }
}

async fn kill_often(args: &CrashArgs, switch: &mut Switch, back: &mut Histogram) -> Result<Kills> {
    let mut chance = StdRng::seed_from_u64(args.load.seed.unwrap_or_else(fresh_seed));
    let mut kills = Kills::default();
    for number in 1..=args.kills {
        let life = Duration::from_millis(chance.random_range(LIFE_MS));
        tokio::time::sleep(life).await;
        if !switch.is_running() {
            let words = switch.last_words();
            kills.problems.push(format!("ended by itself before kill {number}: {words}"));
        }
        kills.at.push(now_ms());
        switch.kill();
        let took = switch.serve().await.with_context(|| format!("after kill {number}"))?;
        back.record(took.as_micros() as u64);
        eprintln!("crash: kill {number}, back after {} ms", took.as_millis());
    }
    Ok(kills)
}

/// Waits until nothing is in flight, or the time is up.
async fn settle(api: &mut Api, smsc: &Smsc, time: Duration) -> Result<()> {
    let deadline = Instant::now() + time;
    loop {
        let Some(status) = api.in_flight().await? else {
            return Ok(());
        };
        if Instant::now() > deadline {
            return Ok(());
        }
        let acked = smsc.stats().receipts_acked;
        eprintln!("crash: some are {status}, {acked} receipts acknowledged");
        tokio::time::sleep(SETTLE_STEP).await;
    }
}

fn report(
    args: &CrashArgs,
    accepted: &[Accepted],
    messages: &[Message],
    load: LoadReport,
    carrier: Stats,
) -> CrashReport {
    let by_id = messages.iter().map(|message| (message.id.as_str(), message.token.as_str()));
    let texts: HashMap<&str, &str> = by_id.collect();
    let text_of = |one: &Accepted| texts.get(one.id.as_str());
    let is_other = |one: &&Accepted| {
        text_of(one).is_some_and(|token| !token.ends_with(&format!("-{}", one.number)))
    };
    let tokens: HashSet<&str> = messages.iter().map(|message| message.token.as_str()).collect();
    let mut statuses = BTreeMap::<String, usize>::new();
    for message in messages {
        *statuses.entry(message.status.clone()).or_default() += 1;
    }
    CrashReport {
        scenario: "crash",
        passed: false,
        store: args.switch.store_name(),
        kills: args.kills,
        accepted: accepted.len() as u64,
        listed: messages.len(),
        lost: accepted.iter().filter(|one| text_of(one).is_none()).count(),
        mixed_up: accepted.iter().filter(is_other).count(),
        created_twice: messages.len() - tokens.len(),
        charged_twice: 0,
        holds_open: 0,
        stuck: messages.iter().filter(|one| !one.is_final()).count(),
        doubled_at_carrier: carrier.duplicates,
        doubled_max_per_kill: 0,
        doubled_limit_per_kill: 2 * u64::from(args.switch.window * args.switch.carrier_connections),
        back_in_service_p50_ms: 0.0,
        back_in_service_max_ms: 0.0,
        ledger_agrees: false,
        balance_available_micros: 0,
        balance_held_micros: 0,
        statuses,
        load,
        carrier,
        problems: Vec::new(),
    }
}

impl CrashReport {
    /// One transaction of each kind per message, each hold closed in full, and their sum is
    /// what the balance became.
    fn judge_money(&mut self, transactions: &[Transaction], opening: Balance, closing: Balance) {
        let mut kinds = HashMap::<(&str, &str), usize>::new();
        let mut open = HashMap::<&str, i64>::new();
        for transaction in transactions {
            if let Some(id) = &transaction.message_id {
                *kinds.entry((id, &transaction.kind)).or_default() += 1;
                let held = transaction.effect().map_or(0, |effect| effect.held_micros);
                *open.entry(id).or_default() += held;
            }
        }
        self.charged_twice = kinds.values().filter(|&&count| count > 1).count();
        self.holds_open = open.values().filter(|&&held| held != 0).count();
        let credited = transactions.iter().any(|one| one.kind == "top_up");
        let start = if credited { Balance::default() } else { opening };
        let effects = transactions.iter().filter_map(Transaction::effect);
        let sum: Balance = effects.chain([start]).sum();
        self.ledger_agrees = sum == closing;
        self.balance_available_micros = closing.available_micros;
        self.balance_held_micros = closing.held_micros;
    }

    fn judge(&mut self) {
        let mut problem = |wrong: bool, text: String| {
            if wrong {
                self.problems.push(text);
            }
        };
        problem(self.lost > 0, format!("{} lost", self.lost));
        problem(self.mixed_up > 0, format!("{} mixed up", self.mixed_up));
        problem(self.created_twice > 0, format!("{} created twice", self.created_twice));
        problem(self.charged_twice > 0, format!("{} charged twice", self.charged_twice));
        problem(self.holds_open > 0, format!("{} holds open", self.holds_open));
        problem(self.stuck > 0, format!("{} stuck", self.stuck));
        problem(!self.ledger_agrees, "the ledger's sum is not the balance".to_owned());
        problem(self.balance_held_micros != 0, "something is still held".to_owned());
        problem(self.accepted == 0, "nothing was accepted".to_owned());
        let limit = self.doubled_limit_per_kill;
        let most = self.doubled_max_per_kill;
        problem(most > limit, format!("{most} doubled at one kill, {limit} allowed"));
        self.passed = self.problems.is_empty();
    }
}

/// How many submits were repeats between each kill and the next.
fn doubled_per_kill(log: &Path, kills: &[u64]) -> Result<Vec<u64>> {
    let file = File::open(log).with_context(|| log.display().to_string())?;
    let mut doubled = vec![0; kills.len() + 1];
    for line in BufReader::new(file).lines() {
        if let Some(at) = repeated_at(&line?) {
            doubled[kills.partition_point(|&kill| kill <= at)] += 1;
        }
    }
    Ok(doubled)
}

/// When this line's submit came, if it was not the first of its kind.
fn repeated_at(line: &str) -> Option<u64> {
    let mut fields = line.split('\t');
    let submit = fields.next()? == "S";
    let at = fields.next()?.parse().ok()?;
    (submit && fields.next_back()? == "1").then_some(at)
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_read_from_the_log() {
        let line = "S\t1700\tOrbit\t14155550123\t0/1.1\tt1-2\t00ff\t0x0\t17\t1";
        assert_eq!(repeated_at(line), Some(1700));
        assert_eq!(repeated_at("S\t1700\ta\tb\t0/1.1\tt\t00\t0x0\t17\t0"), None);
        assert_eq!(repeated_at("A\t1700\t5\t1"), None);
    }
}
