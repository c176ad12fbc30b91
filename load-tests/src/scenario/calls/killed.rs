//! `calls-killed`: calls are up when the switch is killed, and what its books say of them afterwards.
//!
//! Each call that was answered must be there when the switch is back, over, and paid up to where it was last
//! seen: at most a checkpoint before the kill, and never past it. The balance is what it was, less the sum of
//! all calls; nothing stays put aside, each call has a record of each leg, and the next calls are made as
//! if nothing had been.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::bench::{Bench, MINUTE_MICROS};
use crate::api::{Api, Balance, Transaction};
use crate::peer::smsc::SmscOptions;
use crate::switch::SwitchArgs;
use crate::traffic::fresh_seed;

/// Calls a second that begin.
const RATE: f64 = 100.0;
/// How late a checkpoint may be written, on a machine that is busy.
const SLACK_S: i64 = 3;
/// Calls after the last kill, a second each.
const AFTER: f64 = 20.0;

#[derive(Debug, Args)]
pub(crate) struct CallsKilledArgs {
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    kills: u64,
    /// That are up at each kill.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    calls: u32,
    /// How often the switch stores how far calls are.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    checkpoint_s: u32,
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// What the callers know, and what was found wrong.
#[derive(Default)]
struct Found {
    /// By Call-ID, how long the call had been up.
    spoken: HashMap<String, Duration>,
    back_ms: Vec<u128>,
    problems: Vec<String>,
}

pub(crate) async fn run(args: CallsKilledArgs) -> Result<Option<Value>> {
    let voice = format!("checkpoint_s = {}", args.checkpoint_s);
    let parts = (&args.switch, &args.smsc);
    let (mut bench, mut agents) = Bench::start("calls-killed", parts, None, &voice).await?;
    let mut chance = StdRng::seed_from_u64(args.seed.unwrap_or_else(fresh_seed));
    let mut found = Found::default();
    for kill in 1..=args.kills {
        let time = Duration::from_secs_f64(f64::from(args.calls) / RATE);
        agents.run(RATE, time, None)?;
        // Some are seen once by then, some twice, some never.
        let life = chance.random_range(1_000..1_000 + 2_000 * u64::from(args.checkpoint_s));
        let life = Duration::from_millis(life);
        agents.drain(life, None)?;
        let up = agents.up();
        if up != args.calls as usize {
            let failed = &agents.tally.failed;
            found.problems.push(format!("{up} of {} calls were up: {failed:?}", args.calls));
        }
        found.spoken.extend(agents.spoken());
        bench.switch.kill();
        agents.forget();
        let took = bench.switch.serve().await?;
        found.back_ms.push(took.as_millis());
        eprintln!("calls-killed: kill {kill}, {up} up, back after {} ms", took.as_millis());
    }
    agents.run(AFTER, Duration::from_secs(1), Some(Duration::from_secs(1)))?;
    agents.drain(Duration::from_secs(10), Some(Duration::from_secs(1)))?;
    let after = agents.tally.completed;
    if after != AFTER as u64 {
        found.problems.push(format!("{after} of {AFTER} calls were made after the last kill"));
    }
    let closing = bench.settled().await?;
    let mut api = Api::new(bench.switch.address, &bench.switch.key);
    let calls = api.list("/api/v1/voice/calls?").await?;
    let records = api.list("/api/v1/voice/cdrs?").await?;
    let transactions = api.transactions().await?;
    let spent = bench.spent(closing);
    bench.switch.stop();
    let lost = lives(&args, &mut found, &calls);
    recorded(&mut found.problems, &calls, &records);
    money(&mut found.problems, (&calls, &transactions), (closing, spent));
    Ok(Some(json!({
        "scenario": "calls-killed",
        "passed": found.problems.is_empty(),
        "problems": found.problems,
        "store": args.switch.store_name(),
        "kills": args.kills,
        "calls_up_at_kills": found.spoken.len(),
        "calls_listed": calls.len(),
        "records": records.len(),
        "seconds_not_billed_max": lost.iter().copied().max(),
        "seconds_not_billed_mean": lost.iter().sum::<i64>() as f64 / lost.len().max(1) as f64,
        "back_in_service_ms": found.back_ms,
        "spent_micros": spent,
        "held_micros": closing.held_micros,
    })))
}

/// Each call that was up is there, and was paid for what was seen of it; the seconds that were not.
fn lives(args: &CallsKilledArgs, found: &mut Found, calls: &[Value]) -> Vec<i64> {
    let by_id = calls.iter().filter_map(|call| Some((call["sip_call_id"].as_str()?, call)));
    let by_id: HashMap<&str, &Value> = by_id.collect();
    let mut lost = Vec::new();
    for (id, spoken) in &found.spoken {
        let Some(call) = by_id.get(id.as_str()) else {
            found.problems.push(format!("call {id} is not there"));
            continue;
        };
        let billed = call["billable_seconds"].as_i64().unwrap_or(-1);
        let spoken = spoken.as_secs_f64();
        // The first second is paid as a whole, and each further one that has begun.
        let most = spoken.ceil() as i64 + 1;
        let least = (spoken.floor() as i64 - i64::from(args.checkpoint_s) - SLACK_S).max(1);
        if (call["status"].as_str(), call["end_reason"].as_str())
            != (Some("completed"), Some("node_lost"))
        {
            found.problems.push(format!("not ended by the kill: {call}"));
        }
        if !(least..=most).contains(&billed) {
            found.problems.push(format!("{spoken:.1} s were spoken, {billed} billed: {call}"));
        }
        lost.push(spoken.ceil() as i64 - billed);
    }
    found.problems.truncate(20);
    lost
}

/// Each call has a record of each of its two legs, and none twice.
fn recorded(problems: &mut Vec<String>, calls: &[Value], records: &[Value]) {
    let mut legs: HashMap<&str, HashSet<&str>> = HashMap::new();
    for record in records {
        let (call, leg) = (record["call_id"].as_str(), record["leg_id"].as_str());
        if let (Some(call), Some(leg)) = (call, leg)
            && !legs.entry(call).or_default().insert(leg)
        {
            problems.push(format!("two records of {leg}"));
        }
    }
    let missing = calls.iter().filter_map(|call| call["id"].as_str());
    let missing = missing.filter(|id| legs.get(id).is_none_or(|legs| legs.len() != 2)).count();
    if missing > 0 {
        problems.push(format!("{missing} calls have not two records"));
    }
}

fn money(
    problems: &mut Vec<String>,
    (calls, transactions): (&[Value], &[Transaction]),
    (closing, spent): (Balance, i64),
) {
    let cost = |call: &Value| call["cost_micros"].as_i64().unwrap_or_default();
    let sum: i64 = calls.iter().map(cost).sum();
    if sum != spent {
        problems.push(format!("calls cost {sum} micros, the balance says {spent}"));
    }
    let seconds = |call: &Value| call["billable_seconds"].as_i64().unwrap_or_default();
    let dear = calls.iter().filter(|call| cost(call) != seconds(call) * MINUTE_MICROS / 60);
    if dear.clone().count() > 0 {
        problems.push(format!("{} calls cost another price than their time", dear.count()));
    }
    let ledger: Balance = transactions.iter().filter_map(Transaction::effect).sum();
    if ledger != closing {
        problems.push(format!("the ledger's sum is {ledger:?}, the balance {closing:?}"));
    }
    if closing.held_micros != 0 {
        problems.push(format!("{} micros are still held", closing.held_micros));
    }
}
