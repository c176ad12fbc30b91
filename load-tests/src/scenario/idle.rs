//! `idle`: thousands of binds that do nothing but answer `enquire_link`, and the memory they cost.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::flow::tenths;
use crate::esme::{Door, Esme, Told};
use crate::peer::smsc::SmscOptions;
use crate::process;
use crate::switch::SwitchArgs;

const PER_ACCOUNT: u32 = 1_000;
/// Binds under way at once: below what one address may have unbound.
const AT_ONCE: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    binds: u32,
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Of the switch.
    #[arg(long, default_value_t = 10)]
    enquire_link_s: u64,
    #[arg(long, default_value_t = 250.0)]
    memory_max_mb: f64,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Default)]
struct Seen {
    asked: u64,
    never_asked: u64,
    lost: u64,
    over: bool,
}

pub(crate) async fn run(args: IdleArgs) -> Result<Option<Value>> {
    let smpp = format!("enquire_link_s = {}", args.enquire_link_s);
    let mut bench = Bench::start("idle", &args.switch, &args.smsc, (&smpp, "")).await?;
    let key = bench.switch.key.clone();
    let mut doors = Vec::new();
    for number in 0..args.binds.div_ceil(PER_ACCOUNT) {
        let settings = json!({"max_binds": PER_ACCOUNT});
        doors.push(bench.account(&key, &format!("idle{number}"), &settings).await?);
    }
    let memory = |bench: &Bench| tenths(process::memory_kb(bench.switch.id()) as f64 / 1024.0);
    let before = memory(&bench);
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut idle = JoinSet::new();
    let mut binding = JoinSet::new();
    for number in 0..args.binds {
        let door = doors[(number / PER_ACCOUNT) as usize].clone();
        binding.spawn_local(enter(door));
        if binding.len() >= AT_ONCE
            && let Some(bound) = binding.join_next().await
        {
            idle.spawn_local(rest(bound??, Rc::clone(&seen)));
        }
    }
    while let Some(bound) = binding.join_next().await {
        idle.spawn_local(rest(bound??, Rc::clone(&seen)));
    }
    eprintln!("idle: {} bound, {} MB", args.binds, memory(&bench));
    let pid = bench.switch.id();
    let cpu = process::cpu_micros(pid);
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let cpu = process::cpu_micros(pid) - cpu;
    let after = memory(&bench);
    seen.borrow_mut().over = true;
    while let Some(ended) = idle.join_next().await {
        ended?;
    }
    bench.switch.stop();
    let seen = seen.borrow();
    let due = args.seconds > 2 * args.enquire_link_s;
    let passed = after <= args.memory_max_mb && seen.lost == 0 && (seen.never_asked == 0 || !due);
    Ok(Some(json!({
        "scenario": "idle",
        "passed": passed,
        "binds": args.binds,
        "seconds": args.seconds,
        "memory_before_mb": before,
        "memory_mb": after,
        "kilobytes_per_bind": tenths((after - before) * 1024.0 / f64::from(args.binds)),
        "cpu_percent": tenths(cpu as f64 / 10_000.0 / args.seconds as f64),
        "enquire_links": seen.asked,
        "never_asked": seen.never_asked,
        "lost": seen.lost,
    })))
}

async fn enter(door: Door) -> Result<Esme> {
    match door.bind().await? {
        Told::Bound(esme) => Ok(esme),
        Told::Refused(status) => bail!("the bind was refused with {status:#x}"),
    }
}

/// Answers `enquire_link`, and nothing else.
async fn rest(mut esme: Esme, seen: Rc<RefCell<Seen>>) {
    while !seen.borrow().over {
        let filled = tokio::time::timeout(Duration::from_secs(1), esme.fill()).await;
        let lost = filled.is_ok_and(|filled| filled.is_err());
        if lost || esme.take(|_, _, _| {}).is_err() || esme.flush().await.is_err() {
            seen.borrow_mut().lost += 1;
            return;
        }
    }
    let mut seen = seen.borrow_mut();
    seen.asked += esme.asked;
    seen.never_asked += u64::from(esme.asked == 0);
}
