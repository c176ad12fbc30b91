//! `neighbours`: one carrier that flaps each second, one that never answers, and a customer who never
//! reads; what a customer of a good carrier feels of them.
//!
//! Each disturbance is compared with its sound twin, so that what is measured is the fault and not
//! the traffic: the same submits to two sound carriers stand before those to the bad ones, and the
//! same bursts by a customer who reads before those of one who does not. Beside a fault the customer
//! must have its throughput, and less than twice the p99 that it had beside the twin; the switch's
//! memory is bounded.

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

const SOUND_AREAS: [u64; 2] = [1213, 1313];
const BAD_AREAS: [u64; 2] = [1212, 1312];
const WARM_UP: Duration = Duration::from_secs(2);
/// What is submitted at once, and again after twice this time.
const BURST: u32 = 5_000;
const BURST_TIME: Duration = Duration::from_secs(2);

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
    let sound = [Smsc::start(any(), args.smsc.clone())?, Smsc::start(any(), args.smsc.clone())?];
    let carriers = carrier("flapping", BAD_AREAS[0], &flapping, &args.smsc)
        + &carrier("silent", BAD_AREAS[1], &silent, &args.smsc)
        + &carrier("sound", SOUND_AREAS[0], &sound[0], &args.smsc)
        + &carrier("too", SOUND_AREAS[1], &sound[1], &args.smsc);
    let smpp = "response_timeout_s = 2\nreconnect_max_s = 1";
    let mut bench = Bench::start("neighbours", &args.switch, &args.smsc, (smpp, &carriers)).await?;
    let wide = json!({"window_size": 500});
    let steady = bench.account(&bench.switch.key, "steady", &wide).await?;
    let noisy = bench.switch.organization("noisy", "10000")?;
    let mut doors = Vec::new();
    for name in ["one", "other", "bursts", "mute"] {
        doors.push(bench.account(&noisy, name, &wide).await?);
    }
    let length = Duration::from_secs(args.seconds.into());
    let notes = Rc::new(RefCell::new(Notes::new(load(&args, AREA))));
    let driven = tokio::task::spawn_local(esme::drive(steady, Rc::clone(&notes)));
    tokio::time::sleep(WARM_UP).await;
    let alone = measure(&notes, length).await;
    let noise = Noise::start(&args, &doors, SOUND_AREAS);
    let beside_sound = measure(&notes, length).await;
    noise.stop().await?;
    let noise = Noise::start(&args, &doors, BAD_AREAS);
    let beside_bad = measure(&notes, length).await;
    noise.stop().await?;
    let reading = tokio::task::spawn_local(burst(doors[2].clone(), true));
    let beside_bursts = measure(&notes, length).await;
    reading.abort();
    let mute = tokio::task::spawn_local(burst(doors[3].clone(), false));
    let beside_mute = measure(&notes, length).await;
    mute.abort();
    notes.borrow_mut().cut();
    let settled = settle(&notes).await;
    notes.borrow_mut().over = true;
    driven.await??;
    let memory = tenths(process::peak_memory_kb(bench.switch.id()) as f64 / 1024.0);
    bench.switch.kill();
    let notes = notes.borrow();
    let unharmed = settled
        && notes.refused.is_empty()
        && notes.unanswered == 0
        && notes.receipts_twice + notes.receipts_wrong == 0;
    let passed = unharmed
        && memory <= args.memory_max_mb
        && bears(&beside_bad, &beside_sound)
        && bears(&beside_mute, &beside_bursts);
    Ok(Some(json!({
        "scenario": "neighbours",
        "passed": passed,
        "store": args.switch.store_name(),
        "alone": alone,
        "beside_sound_carriers": beside_sound,
        "beside_bad_carriers": beside_bad,
        "beside_bursts": beside_bursts,
        "beside_bursts_of_one_who_never_reads": beside_mute,
        "flaps": flapping.stats().flaps,
        "submits_to_the_flapping": flapping.stats().submits,
        "submits_to_the_silent": silent.stats().submits,
        "peak_memory_mb": memory,
        "lost_answers": notes.unanswered,
        "receipts_missing": notes.without_receipt(),
    })))
}

/// Nearly the throughput of the twin, and less than twice its 99th percentile.
fn bears(fault: &Value, twin: &Value) -> bool {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::MAX);
    let p99 = |phase: &Value| number(&phase["submit_to_receipt"]["p99_ms"]);
    let throughput = |phase: &Value| number(&phase["receipts_per_second"]);
    throughput(fault) >= 0.95 * throughput(twin) && p99(fault) < 2.0 * p99(twin)
}

fn load(args: &NeighboursArgs, area: u64) -> Load {
    let messages = args.rate * (5 * args.seconds + 600);
    Load { messages, window: 500, rate: args.rate, area }
}

/// The traffic to two other carriers.
struct Noise {
    notes: Vec<Rc<RefCell<Notes>>>,
    driven: JoinSet<Result<()>>,
}

impl Noise {
    fn start(args: &NeighboursArgs, doors: &[Door], areas: [u64; 2]) -> Self {
        let mut noise = Self { notes: Vec::new(), driven: JoinSet::new() };
        for (door, area) in doors.iter().zip(areas) {
            let notes = Rc::new(RefCell::new(Notes::new(load(args, area))));
            noise.driven.spawn_local(esme::drive(door.clone(), Rc::clone(&notes)));
            noise.notes.push(notes);
        }
        noise
    }

    async fn stop(mut self) -> Result<()> {
        self.notes.iter().for_each(|notes| notes.borrow_mut().over = true);
        while let Some(ended) = self.driven.join_next().await {
            ended??;
        }
        Ok(())
    }
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

/// Binds and submits many at once, and after a rest again; reads all, or no answer and no receipt.
/// Comes again when it is thrown out.
async fn burst(door: Door, reads: bool) {
    loop {
        if let Ok(Told::Bound(mut esme)) = door.bind().await {
            for number in 0..BURST {
                put(&mut esme.out, SUBMIT_SM, 0, number + 1, |out| {
                    esme::submit(AREA, number, out);
                });
            }
            let rest = tokio::time::sleep(2 * BURST_TIME);
            if reads {
                let _ = tokio::time::timeout(2 * BURST_TIME, esme.swallow()).await;
            } else {
                let _ = tokio::time::timeout(BURST_TIME, esme.flush()).await;
            }
            rest.await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
