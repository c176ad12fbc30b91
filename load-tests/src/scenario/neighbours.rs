//! `neighbours`: one carrier that flaps each second, one that never answers, and a customer who never
//! reads; what a customer of a good carrier feels of them.
//!
//! Beside the bad carriers, whose traffic is twice its own, it must have its throughput, and its
//! latency of the calm before, twofold at most where that is more than a calm switch's goal. One who
//! never reads submits in bursts besides, to the same carrier: they are traffic like any, so a receipt
//! may wait for a burst, but no longer; and the switch's memory is bounded.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bench::Bench;
use super::flow::tenths;
use super::storm::settle;
use crate::esme::{self, AREA, Door, Load, Notes, Told};
use crate::peer::smsc::wire::{SUBMIT_SM, put};
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process;
use crate::switch::SwitchArgs;

const FLAPPING_AREA: u64 = 1212;
const SILENT_AREA: u64 = 1312;
const WARM_UP: Duration = Duration::from_secs(2);
/// What one who never reads submits on one bind before it only waits.
const BLIND: u32 = 5_000;
const BLIND_TIME: Duration = Duration::from_secs(2);
/// A 99th percentile below this is calm: there a commit more or less is twofold.
const CALM_MS: f64 = 20.0;
/// What a receipt may wait for another customer's burst, at the 99th percentile.
const BURST_MAX_MS: f64 = 100.0;

#[derive(Debug, Args)]
pub(crate) struct NeighboursArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Of the calm, and of each disturbance.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Submits a second to each carrier.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    rate: u32,
    #[arg(long, default_value_t = 300.0)]
    memory_max_mb: f64,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: NeighboursArgs) -> Result<Option<Value>> {
    let any = || ([127, 0, 0, 1], 0).into();
    let flapping = Smsc::start(any(), SmscOptions { flap_s: 1, down_s: 1, ..args.smsc.clone() })?;
    let silent = Smsc::start(any(), SmscOptions { never_answer: true, ..args.smsc.clone() })?;
    let carriers = carrier("flapping", FLAPPING_AREA, &flapping, &args.smsc)
        + &carrier("silent", SILENT_AREA, &silent, &args.smsc);
    let smpp = "response_timeout_s = 2\nreconnect_max_s = 1";
    let mut bench = Bench::start("neighbours", &args.switch, &args.smsc, (smpp, &carriers)).await?;
    let wide = json!({"window_size": 500});
    let steady = bench.account(&bench.switch.key, "steady", &wide).await?;
    let noisy = bench.switch.organization("noisy", "10000")?;
    let mut doors = Vec::new();
    for name in ["flapped", "unheard", "mute"] {
        doors.push(bench.account(&noisy, name, &wide).await?);
    }
    let length = Duration::from_secs(args.seconds.into());
    let load = |area| {
        let messages = args.rate * (3 * args.seconds + 600);
        Load { messages, window: 500, rate: args.rate, area }
    };
    let notes = Rc::new(RefCell::new(Notes::new(load(AREA))));
    let driven = tokio::task::spawn_local(esme::drive(steady, Rc::clone(&notes)));
    tokio::time::sleep(WARM_UP).await;
    let calm = measure(&notes, length).await;
    let mut disturbing = JoinSet::new();
    let mut noises = Vec::new();
    for (door, area) in doors.iter().zip([FLAPPING_AREA, SILENT_AREA]) {
        let noise = Rc::new(RefCell::new(Notes::new(load(area))));
        disturbing.spawn_local(esme::drive(door.clone(), Rc::clone(&noise)));
        noises.push(noise);
    }
    let beside_carriers = measure(&notes, length).await;
    let mute = tokio::task::spawn_local(never_read(doors[2].clone()));
    let beside_bursts = measure(&notes, length).await;
    mute.abort();
    notes.borrow_mut().cut();
    let settled = settle(&notes).await;
    notes.borrow_mut().over = true;
    driven.await??;
    noises.iter().for_each(|noise| noise.borrow_mut().over = true);
    while let Some(ended) = disturbing.join_next().await {
        ended??;
    }
    let memory = tenths(process::peak_memory_kb(bench.switch.id()) as f64 / 1024.0);
    bench.switch.kill();
    let notes = notes.borrow();
    let unharmed = settled
        && notes.refused.is_empty()
        && notes.unanswered == 0
        && notes.receipts_twice + notes.receipts_wrong == 0;
    let number = |value: &Value| value.as_f64().unwrap_or(f64::MAX);
    let p99 = |phase: &Value| number(&phase["submit_to_receipt"]["p99_ms"]);
    let throughput = |phase: &Value| number(&phase["receipts_per_second"]);
    let passed = unharmed
        && memory <= args.memory_max_mb
        && [&beside_carriers, &beside_bursts]
            .iter()
            .all(|phase| throughput(phase) >= 0.95 * throughput(&calm))
        && p99(&beside_carriers) < CALM_MS.max(2.0 * p99(&calm))
        && p99(&beside_bursts) < BURST_MAX_MS.max(2.0 * p99(&calm));
    Ok(Some(json!({
        "scenario": "neighbours",
        "passed": passed,
        "store": args.switch.store_name(),
        "calm": calm,
        "beside_bad_carriers": beside_carriers,
        "beside_them_and_one_who_never_reads": beside_bursts,
        "flaps": flapping.stats().flaps,
        "submits_to_the_flapping": flapping.stats().submits,
        "submits_to_the_silent": silent.stats().submits,
        "peak_memory_mb": memory,
        "lost_answers": notes.unanswered,
        "receipts_missing": notes.without_receipt(),
    })))
}

fn carrier(name: &str, area: u64, smsc: &Smsc, options: &SmscOptions) -> String {
    format!(
        "[[carriers]]\nname = \"{name}\"\nhost = \"{}\"\nport = {}\nsystem_id = \"{}\"\n\
         password = \"{}\"\nprefixes = [\"{area}\"]\n",
        smsc.address.ip(),
        smsc.address.port(),
        options.system_id,
        options.password,
    )
}

async fn measure(notes: &RefCell<Notes>, length: Duration) -> Value {
    let before = {
        let mut notes = notes.borrow_mut();
        notes.take_latencies();
        notes.receipts
    };
    tokio::time::sleep(length).await;
    let mut notes = notes.borrow_mut();
    let (answer, receipt) = notes.take_latencies();
    let count = (notes.receipts - before) as f64;
    json!({
        "receipts_per_second": tenths(count / length.as_secs_f64()),
        "submit_to_answer": answer.summary(),
        "submit_to_receipt": receipt.summary(),
    })
}

/// Binds and submits, but reads no answer and no receipt; comes again when it is thrown out.
async fn never_read(door: Door) {
    loop {
        if let Ok(Told::Bound(mut esme)) = door.bind().await {
            for number in 0..BLIND {
                put(&mut esme.out, SUBMIT_SM, 0, number + 1, |out| {
                    esme::submit(AREA, number, out);
                });
            }
            let _ = tokio::time::timeout(BLIND_TIME, esme.flush()).await;
            tokio::time::sleep(BLIND_TIME).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
