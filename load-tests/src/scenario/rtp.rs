//! `rtp`: two-way calls through our relay, through rtpengine, and through nothing, one after the other.
//!
//! Each phone sends 172 octets of RTP each 20 ms. The phones are on one core, what carries the calls is
//! on another, and is measured by the kernel's own count of its threads' time. A run in which the phones
//! were late is void. Nothing stands between the phones in the last run: what delay it shows is theirs.

mod phones;
pub(crate) mod relay;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::flow::tenths;
use crate::peer::rtpengine::{self, Rtpengine};
use crate::process::{self, Scratch};
use phones::{Measured, Phones};
use relay::Relay;

/// What is forwarded for a two-way call in a second.
const PACKETS_A_CALL: f64 = 100.0;

#[derive(Debug, Args)]
pub(crate) struct RtpArgs {
    /// Two-way calls.
    #[arg(long, default_value_t = 1_100, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    calls: u32,
    /// What is measured, after two seconds that are not.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How often each is measured, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// The core of the phones, and that of what carries the calls.
    #[arg(long, default_value_t = 0)]
    phones_core: usize,
    #[arg(long, default_value_t = 1)]
    relay_core: usize,
    /// Worker threads of rtpengine.
    #[arg(long, default_value_t = 1)]
    rtpengine_threads: usize,
    /// Measure our relay once more in each round, with so many of the calls recorded.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=4_000))]
    recorded: u32,
    /// Leave rtpengine out, as when it is not installed.
    #[arg(long)]
    without_rtpengine: bool,
    /// Do not remove logs.
    #[arg(long)]
    keep_files: bool,
}

/// What carried the calls, and how well.
struct Round {
    measured: Measured,
    /// Of a packet; `None`: nothing carried it.
    cpu_us: Option<f64>,
    memory_kb: u64,
}

pub(crate) async fn run(args: RtpArgs) -> Result<Option<Value>> {
    process::pin(args.phones_core)?;
    let scratch = Scratch::new("rtp", args.keep_files)?;
    let version = rtpengine::version().filter(|_| !args.without_rtpengine);
    let mut rounds: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
    for round in 0..args.rounds {
        rounds.entry("orbit").or_default().push(orbit(&args, &scratch, 0)?);
        if args.recorded > 0 {
            let recording = orbit(&args, &scratch, args.recorded)?;
            rounds.entry("recording").or_default().push(recording);
        }
        if version.is_some() {
            rounds.entry("rtpengine").or_default().push(rtpengine(&args, &scratch)?);
        }
        if round == 0 {
            rounds.entry("nothing").or_default().push(nothing(&args)?);
        }
        eprintln!("rtp: round {} of {}", round + 1, args.rounds);
    }
    Ok(Some(results(&args, &rounds, version)))
}

fn results(args: &RtpArgs, rounds: &BTreeMap<&str, Vec<Round>>, version: Option<String>) -> Value {
    let ours = best(rounds, "orbit");
    let theirs = best(rounds, "rtpengine");
    let ratio = ours.zip(theirs).map(|(ours, theirs)| hundredths(theirs / ours));
    let of = |name: &str| rounds.get(name).map(Vec::as_slice).unwrap_or_default();
    let void = rounds.values().flatten().any(|round| round.measured.is_void());
    let whole = of("orbit").iter().any(|round| round.measured.loss() <= 0.001);
    let shown = |name: &str| -> Vec<Value> { of(name).iter().map(Round::shown).collect() };
    json!({
        "scenario": "rtp",
        "passed": !void && whole && ratio.is_none_or(|ratio| ratio >= 1.25),
        "void": void,
        "calls": args.calls,
        "calls_a_core": ours.map(calls_a_core),
        "calls_a_core_rtpengine": theirs.map(calls_a_core),
        "times_rtpengine": ratio,
        "rtpengine_version": version,
        "recorded": args.recorded,
        "orbit": shown("orbit"),
        "recording": shown("recording"),
        "rtpengine": shown("rtpengine"),
        "nothing": shown("nothing"),
    })
}

/// The least CPU time of a packet over the rounds.
fn best(rounds: &BTreeMap<&str, Vec<Round>>, name: &str) -> Option<f64> {
    let times = rounds.get(name)?.iter().filter_map(|round| round.cpu_us);
    times.min_by(f64::total_cmp)
}

fn calls_a_core(cpu_us: f64) -> u64 {
    (1e6 / cpu_us / PACKETS_A_CALL) as u64
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Round {
    fn shown(&self) -> Value {
        let Measured { sent, received, late, delay, .. } = &self.measured;
        json!({
            "sent": sent,
            "received": received,
            "loss_percent": (self.measured.loss() * 1e5).round() / 1e3,
            "sent_late": late,
            "delay": delay.summary(),
            "cpu_us_a_packet": self.cpu_us.map(hundredths),
            "calls_a_core": self.cpu_us.map(calls_a_core),
            "memory_mb": tenths(self.memory_kb as f64 / 1024.0),
        })
    }
}

/// Our relay, with so many calls recorded.
fn orbit(args: &RtpArgs, scratch: &Scratch, recorded: u32) -> Result<Round> {
    let phones = Phones::new(args.calls as usize)?;
    let tapes = (recorded, scratch.file("recordings"));
    let mut relay = Relay::start(args.relay_core, &scratch.file("relay.log"), &tapes)?;
    let places = relay.open(&phones.addresses())?;
    measure(args, phones, &places, Some(relay.id()))
}

fn rtpengine(args: &RtpArgs, scratch: &Scratch) -> Result<Round> {
    let phones = Phones::new(args.calls as usize)?;
    let log = scratch.file("rtpengine.log");
    let mut engine = Rtpengine::start(args.relay_core, args.rtpengine_threads, &log)?;
    let places = phones.addresses().into_iter().enumerate();
    let places = places.map(|(number, phones)| engine.call(number, phones));
    let places = places.collect::<Result<Vec<_>>>()?;
    measure(args, phones, &places, Some(engine.id()))
}

/// Each phone sends to the other one.
fn nothing(args: &RtpArgs) -> Result<Round> {
    let phones = Phones::new(args.calls as usize)?;
    let places: Vec<_> = phones.addresses().into_iter().map(|[a, b]| [b, a]).collect();
    measure(args, phones, &places, None)
}

fn measure(
    args: &RtpArgs,
    mut phones: Phones,
    places: &[[SocketAddr; 2]],
    process: Option<u32>,
) -> Result<Round> {
    let cpu = || process.map(|id| process::cpu_micros_by_thread(id).values().sum::<u64>());
    phones.talk(places, Duration::from_secs(2))?;
    let before = cpu();
    let measured = phones.talk(places, Duration::from_secs(args.seconds))?;
    let used = cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
    let packets = measured.received.max(1) as f64;
    let memory_kb = process.map_or(0, process::memory_kb);
    Ok(Round { measured, cpu_us: used.map(|micros| micros as f64 / packets), memory_kb })
}
