//! `fair`: one tenant's backlog, and what another's single messages feel of it.
//!
//! The carrier is slow, so that the backlog stays. A single message must be receipted within a
//! second, and a one-time code sooner than the others.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bench::Bench;
use super::flow::tenths;
use super::storm::settle;
use crate::esme::{self, AREA, Door, Load, Notes};
use crate::histogram::Summary;
use crate::peer::smsc::SmscOptions;
use crate::process;
use crate::switch::SwitchArgs;

const FILL_BINDS: u32 = 2;
const SECOND_MS: f64 = 1_000.0;

#[derive(Debug, Args)]
pub(crate) struct FairArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Messages of the one tenant that wait.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    rows: u32,
    /// What the carrier takes a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    slow_tps: u32,
    /// Messages of the other tenant, of each kind.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    singles: u32,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: FairArgs) -> Result<Option<Value>> {
    let mut switch = args.switch.clone();
    switch.tps = args.slow_tps;
    let gates = format!("[gates]\nbacklog_per_organization_max = {}\n", 2 * args.rows);
    let mut bench = Bench::start("fair", &switch, &args.smsc, ("", &gates)).await?;
    let wide = json!({"window_size": 1_000});
    let bulk = bench.account(&bench.switch.key, "bulk", &wide).await?;
    let other = bench.switch.organization("other", "1000")?;
    let single = bench.account(&other, "single", &json!({})).await?;
    let code = bench.account(&other, "code", &json!({"category": "otp"})).await?;
    let filled = fill(bulk, args.rows).await?;
    eprintln!("fair: {} accepted in {filled:.1} s", args.rows);
    let waited = |bench: &Bench| u64::from(args.rows).saturating_sub(bench.smsc.stats().submits);
    let waiting = waited(&bench);
    let singles = probe(single, args.singles).await?;
    let codes = probe(code, args.singles).await?;
    let left = waited(&bench);
    let memory = tenths(process::peak_memory_kb(bench.switch.id()) as f64 / 1024.0);
    bench.switch.kill();
    let passed = left > 0
        && singles.max_ms < SECOND_MS
        && codes.max_ms < SECOND_MS
        && codes.p50_ms < singles.p50_ms;
    Ok(Some(json!({
        "scenario": "fair",
        "passed": passed,
        "store": args.switch.store_name(),
        "backlog_before": waiting,
        "backlog_after": left,
        "carrier_tps": args.slow_tps,
        "submit_to_receipt": singles,
        "submit_to_receipt_otp": codes,
        "peak_memory_mb": memory,
    })))
}

/// Has so many accepted; how long that took.
async fn fill(door: Door, messages: u32) -> Result<f64> {
    let load = Load { messages, window: 1_000, rate: 0, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let started = Instant::now();
    let mut links = JoinSet::new();
    for _ in 0..FILL_BINDS {
        links.spawn_local(esme::drive(door.clone(), Rc::clone(&notes)));
    }
    while notes.borrow().settled() < u64::from(messages) {
        ensure!(started.elapsed() < Duration::from_secs(3_600), "the backlog does not fill");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = started.elapsed().as_secs_f64();
    notes.borrow_mut().over = true;
    while let Some(ended) = links.join_next().await {
        ended??;
    }
    let notes = notes.borrow();
    ensure!(notes.answered == u64::from(messages), "refused: {:?}", notes.refused);
    Ok(took)
}

/// Sends single messages, a few a second; what their receipts took.
async fn probe(door: Door, messages: u32) -> Result<Summary> {
    let load = Load { messages, window: 10, rate: 5, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let driven = tokio::task::spawn_local(esme::drive(door, Rc::clone(&notes)));
    let settled = settle(&notes).await;
    notes.borrow_mut().over = true;
    driven.await??;
    let notes = notes.borrow();
    ensure!(settled, "{} of {messages} receipts came", notes.receipts);
    Ok(notes.receipt_latency.summary())
}
