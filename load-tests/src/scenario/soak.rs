//! `soak`: minutes of transit with the sweeps of retention running, and whether memory stays flat.
//!
//! Bodies are taken out as soon as their messages have ended. The slope is that of a line through
//! the samples of the second half, when all caches are filled.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bench::Bench;
use super::flow::tenths;
use super::storm::settle;
use crate::esme::{self, AREA, Load, Notes};
use crate::peer::smsc::SmscOptions;
use crate::process;
use crate::switch::SwitchArgs;

const STEP: Duration = Duration::from_secs(10);
const MESSAGES_MAX: u32 = 30_000_000;
const RETENTION: &str = "[retention]\nredact_bodies = \"after_final\"\nsweep_s = 5\n";
/// What may be added each minute: of megabytes, or of the whole.
const SLOPE_MAX_MB: f64 = 2.0;
const SLOPE_MAX_SHARE: f64 = 0.02;

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Submits a second; 0: as fast as the windows let.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    client_window: u32,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: SoakArgs) -> Result<Option<Value>> {
    let mut bench = Bench::start("soak", &args.switch, &args.smsc, ("", RETENTION)).await?;
    let settings = json!({"max_binds": args.connections, "window_size": args.client_window});
    let door = bench.account(&bench.switch.key, "soak", &settings).await?;
    let (window, rate) = (args.client_window, args.rate);
    let load = Load { messages: MESSAGES_MAX, window, rate, area: AREA };
    let notes = Rc::new(RefCell::new(Notes::new(load)));
    let started = Instant::now();
    let mut links = JoinSet::new();
    for _ in 0..args.connections {
        links.spawn_local(esme::drive(door.clone(), Rc::clone(&notes)));
    }
    let end = started + Duration::from_secs_f64(args.minutes * 60.0);
    let mut samples: Vec<(f64, f64)> = Vec::new();
    let mut rates = Vec::new();
    let mut before = 0;
    while Instant::now() < end {
        tokio::time::sleep(STEP.min(end.saturating_duration_since(Instant::now()))).await;
        let at = started.elapsed().as_secs_f64();
        let memory = process::memory_kb(bench.switch.id()) as f64 / 1024.0;
        let receipts = notes.borrow().receipts;
        let rate = tenths((receipts - before) as f64 / STEP.as_secs_f64());
        before = receipts;
        eprintln!("soak: {at:.0} s, {} MB, {receipts} receipts, {rate}/s", tenths(memory));
        samples.push((at / 60.0, memory));
        rates.push(rate);
    }
    notes.borrow_mut().cut();
    let settled = settle(&notes).await;
    let seconds = started.elapsed().as_secs_f64();
    notes.borrow_mut().over = true;
    while let Some(ended) = links.join_next().await {
        ended??;
    }
    let stats = bench.smsc.stats();
    bench.switch.stop();
    let notes = notes.borrow();
    let half = &samples[samples.len() / 2..];
    let (slope, mean) = (slope(half), mean(half.iter().map(|(_, memory)| *memory)));
    let flat = slope <= SLOPE_MAX_MB.max(SLOPE_MAX_SHARE * mean);
    let whole = settled
        && notes.refused.is_empty()
        && notes.receipts_twice + notes.receipts_wrong + notes.receipts_unknown() == 0
        && stats.duplicates == 0;
    Ok(Some(json!({
        "scenario": "soak",
        "passed": flat && whole,
        "store": args.switch.store_name(),
        "seconds": tenths(seconds),
        "messages": notes.answered,
        "receipts": notes.receipts,
        "messages_per_second": tenths(notes.receipts as f64 / seconds),
        "messages_per_second_each_10_s": rates,
        "memory_mb": samples.iter().map(|(_, memory)| tenths(*memory)).collect::<Vec<_>>(),
        "slope_mb_per_minute": tenths(slope),
        "submit_to_answer": notes.answer_latency.summary(),
        "submit_to_receipt": notes.receipt_latency.summary(),
        "doubled_at_carrier": stats.duplicates,
    })))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// Of the line with the least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let x = mean(samples.iter().map(|(x, _)| *x));
    let y = mean(samples.iter().map(|(_, y)| *y));
    let over: f64 = samples.iter().map(|(a, b)| (a - x) * (b - y)).sum();
    let under: f64 = samples.iter().map(|(a, _)| (a - x) * (a - x)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_slope_is_that_of_a_line() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), 2.0);
        assert_eq!(slope(&[(0.0, 7.0), (1.0, 7.0)]), 0.0);
        assert_eq!(slope(&[]), 0.0);
    }
}
