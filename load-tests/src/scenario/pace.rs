//! `pace`: what a carrier sees of its limits while more waits than they let through.
//!
//! The account has two binds. No second that slides over the arrivals at the carrier may hold more
//! than the agreed submits, a hundredth aside, and no bind more than its window unanswered.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::flow::{tenths, until};
use crate::esme::{self, AREA, Load, Notes};
use crate::peer::smsc::SmscOptions;
use crate::switch::SwitchArgs;

const BINDS: u32 = 2;
/// A hundredth more is not told apart from the clock's and the network's play.
const PLAY: f64 = 1.01;

#[derive(Debug, Args)]
pub(crate) struct PaceArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Submits a second, one run each.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1_000, 5_000])]
    rates: Vec<u32>,
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: PaceArgs) -> Result<Option<Value>> {
    let mut passed = true;
    let mut runs = Vec::new();
    for rate in &args.rates {
        let run = at(&args, *rate).await?;
        eprintln!("pace: {run}");
        passed &= run["passed"] == Value::Bool(true);
        runs.push(run);
    }
    Ok(Some(json!({"scenario": "pace", "passed": passed, "runs": runs})))
}

async fn at(args: &PaceArgs, rate: u32) -> Result<Value> {
    let mut switch = args.switch.clone();
    (switch.tps, switch.carrier_connections) = (rate, BINDS);
    let mut bench = Bench::start("pace", &switch, &args.smsc, ("", "")).await?;
    let settings = json!({"max_binds": 2, "window_size": 1_000});
    let door = bench.account(&bench.switch.key, "pace", &settings).await?;
    let messages = rate * args.seconds;
    let load = Load { messages, window: 1_000, rate: 0, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let mut links = JoinSet::new();
    for _ in 0..2 {
        links.spawn_local(esme::drive(door.clone(), Rc::clone(&notes)));
    }
    let patience = Duration::from_secs(u64::from(args.seconds) * 2 + 30);
    let wanted = u64::from(messages);
    let all = until(&bench.smsc, patience, |stats| stats.submits >= wanted).await;
    notes.borrow_mut().over = true;
    while let Some(ended) = links.join_next().await {
        ended??;
    }
    let stats = bench.smsc.stats();
    bench.switch.kill();
    let seconds = stats.last_submit_us.saturating_sub(stats.first_submit_us) as f64 / 1e6;
    let mean = stats.submits as f64 / seconds.max(0.001);
    let most = (f64::from(rate) * PLAY).ceil() as u64;
    let window = u64::from(switch.window);
    let passed = all
        && stats.max_submits_per_second <= most
        && stats.max_in_flight <= window
        && mean >= 0.9 * f64::from(rate).min(wanted as f64);
    Ok(json!({
        "passed": passed,
        "tps": rate,
        "messages": messages,
        "seconds": tenths(seconds),
        "mean_per_second": tenths(mean),
        "most_in_a_second": stats.max_submits_per_second,
        "most_in_flight_on_a_bind": stats.max_in_flight,
        "window": window,
    }))
}
