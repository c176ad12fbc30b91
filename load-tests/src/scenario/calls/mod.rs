//! `calls`: calls to the public network through the switch, with records and money, beside Kamailio as a
//! mere proxy and beside nothing, one after the other.
//!
//! Callers and callees are on one core, what carries the calls is on another and is measured by the kernel's
//! count of its time. A run in which the callers were late, or said anything again, is void. Nothing
//! stands between both in the last run: what time a call's set-up takes there is theirs.

mod agents;
pub(crate) mod bench;
pub(crate) mod killed;
pub(crate) mod siege;
mod sound;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::flow::tenths;
use crate::peer::kamailio::{self, Kamailio};
use crate::peer::smsc::SmscOptions;
use crate::process;
use crate::switch::SwitchArgs;
use agents::{Agents, Tally, Way};
use bench::{Bench, callee};

/// What is not measured, before.
const WARM: Duration = Duration::from_secs(2);
/// Calls end within this time.
const TAIL: Duration = Duration::from_secs(10);
/// Calls a second at which the time of a set-up is measured.
const CALM: f64 = 500.0;
/// Calls a second that begin, of those that are to be held.
const HELD_RATE: f64 = 500.0;
/// Processes of Kamailio's that read the socket.
const CHILDREN: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct CallsArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Calls a second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How long a call is up.
    #[arg(long, default_value_t = 100)]
    hold_ms: u64,
    /// Calls that are up at once when memory is read.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=8_000))]
    held: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// The core of callers and callees, and that of what carries the calls.
    #[arg(long, default_value_t = 0)]
    agents_core: usize,
    #[arg(long, default_value_t = 1)]
    switch_core: usize,
    /// CPU time of a call.
    #[arg(long, default_value_t = 300.0)]
    cpu_max_us: f64,
    /// What the switch adds to a set-up at 500 calls a second, p99.
    #[arg(long, default_value_t = 2.0)]
    added_max_ms: f64,
    /// Of a call whose sound is relayed.
    #[arg(long, default_value_t = 60.0)]
    memory_max_kb: f64,
    /// Leave Kamailio out, as when it is not installed.
    #[arg(long)]
    without_kamailio: bool,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// What was seen of calls at one rate.
struct Stretch {
    tally: Tally,
    /// Of a call; 0 when nothing carried it.
    cpu_us: f64,
}

/// At the rate of the run, and at a calm one.
struct Round {
    fast: Stretch,
    calm: Stretch,
}

pub(crate) async fn run(args: CallsArgs) -> Result<Option<Value>> {
    process::pin(args.agents_core)?;
    let version = kamailio::version().filter(|_| !args.without_kamailio);
    let mut rounds: BTreeMap<&str, Vec<Round>> = BTreeMap::new();
    let mut held = Vec::new();
    let mut problems = Vec::new();
    for round in 0..args.rounds {
        let (measured, kilobytes) = orbit(&args, &mut problems).await?;
        rounds.entry("orbit").or_default().push(measured);
        held.push(kilobytes);
        if version.is_some() {
            rounds.entry("kamailio").or_default().push(proxied(&args)?);
        }
        rounds.entry("nothing").or_default().push(direct(&args)?);
        eprintln!("calls: round {} of {}", round + 1, args.rounds);
    }
    Ok(Some(results(&args, &rounds, &held, (problems, version))))
}

async fn orbit(args: &CallsArgs, problems: &mut Vec<String>) -> Result<(Round, f64)> {
    let (mut bench, mut agents) =
        Bench::start("calls", (&args.switch, &args.smsc), Some(args.switch_core), "").await?;
    let before = process::memory_kb(bench.switch.id());
    let held = f64::from(args.held);
    agents.run(HELD_RATE, Duration::from_secs_f64(held / HELD_RATE), None)?;
    agents.drain(Duration::from_secs(1), None)?;
    let after = process::memory_kb(bench.switch.id());
    ensure!(agents.up() > 0, "no call is up: {:?}", agents.tally.failed);
    let kilobytes = after.saturating_sub(before) as f64 / agents.up() as f64;
    agents.hang_up()?;
    agents.drain(TAIL, None)?;
    agents.tally = Tally::default();
    // What they cost depends on how long they were up.
    bench.reopen().await?;
    let cpu = bench.cpu();
    let round = both(args, &mut agents, &cpu)?;
    let answered = round.fast.tally.answered + round.calm.tally.answered;
    problems.extend(bench.books(answered).await?);
    bench.switch.stop();
    Ok((round, kilobytes))
}

fn proxied(args: &CallsArgs) -> Result<Round> {
    let callee = callee()?;
    let kamailio = Kamailio::start(args.switch_core, CHILDREN, callee.local_addr()?)?;
    let way = Way { uri: bench::uri("127.0.0.1"), to: kamailio.at, who: None };
    let mut agents = Agents::new(callee, way)?;
    both(args, &mut agents, &Kamailio::cpu_micros)
}

/// Callers that know where the callee is.
fn direct(args: &CallsArgs) -> Result<Round> {
    let callee = callee()?;
    let to = callee.local_addr()?;
    let way = Way { uri: bench::uri("127.0.0.1"), to, who: None };
    both(args, &mut Agents::new(callee, way)?, &|| 0)
}

fn both(args: &CallsArgs, agents: &mut Agents, cpu: &dyn Fn() -> u64) -> Result<Round> {
    let calm = stretch(args, agents, (CALM.min(args.rate), cpu))?;
    let fast = stretch(args, agents, (args.rate, cpu))?;
    Ok(Round { fast, calm })
}

fn stretch(args: &CallsArgs, agents: &mut Agents, how: (f64, &dyn Fn() -> u64)) -> Result<Stretch> {
    let (rate, cpu) = how;
    let hold = Some(Duration::from_millis(args.hold_ms));
    agents.run(rate, WARM, hold)?;
    let warm = std::mem::take(&mut agents.tally);
    let before = cpu();
    agents.run(rate, Duration::from_secs(args.seconds), hold)?;
    let used = cpu().saturating_sub(before);
    let completed = agents.tally.completed;
    agents.drain(TAIL, hold)?;
    let mut tally = std::mem::take(&mut agents.tally);
    // Whether each was paid is asked of all of them.
    tally.answered += warm.answered;
    Ok(Stretch { tally, cpu_us: used as f64 / completed.max(1) as f64 })
}

impl Stretch {
    /// The callers did not keep their rate, or something was lost on the way.
    fn is_void(&self) -> bool {
        self.tally.late * 100 > self.tally.begun
    }

    fn is_whole(&self) -> bool {
        let Tally { failed, cut, sent_again, heard_again, .. } = &self.tally;
        failed.is_empty() && (*cut, *sent_again, *heard_again) == (0, 0, 0)
    }

    fn shown(&self) -> Value {
        let Tally { begun, late, completed, cut, failed, challenges, .. } = &self.tally;
        json!({
            "begun": begun,
            "begun_late": late,
            "completed": completed,
            "cut": cut,
            "failed": failed,
            "challenges": challenges,
            "sent_again": self.tally.sent_again,
            "heard_again": self.tally.heard_again,
            "setup": self.tally.setup.summary(),
            "cpu_us_a_call": tenths(self.cpu_us),
        })
    }
}

fn results(
    args: &CallsArgs,
    rounds: &BTreeMap<&str, Vec<Round>>,
    held: &[f64],
    others: (Vec<String>, Option<String>),
) -> Value {
    let (mut problems, version) = others;
    let of = |name: &str| rounds.get(name).map(Vec::as_slice).unwrap_or_default();
    let least = |name: &str, value: fn(&Round) -> f64| {
        of(name).iter().map(value).min_by(f64::total_cmp).unwrap_or_default()
    };
    let p99 = |round: &Round| round.calm.tally.setup.summary().p99_ms;
    let cpu = |round: &Round| round.fast.cpu_us;
    let added = (least("orbit", p99) - least("nothing", p99)).max(0.0);
    let ours = least("orbit", cpu);
    let kilobytes = held.iter().copied().min_by(f64::total_cmp).unwrap_or_default();
    let void = rounds.values().flatten().any(|round| round.fast.is_void() || round.calm.is_void());
    let mut judge = |wrong: bool, text: String| {
        if wrong {
            problems.push(text);
        }
    };
    let whole = of("orbit").iter().all(|round| round.fast.is_whole() && round.calm.is_whole());
    judge(void, "void: the callers did not keep their rate".to_owned());
    judge(!whole, "calls failed, were cut, or something was said again".to_owned());
    judge(ours > args.cpu_max_us, format!("{ours:.0} µs CPU a call"));
    judge(added > args.added_max_ms, format!("{added:.1} ms are added to a set-up"));
    judge(kilobytes > args.memory_max_kb, format!("{kilobytes:.0} KB a call"));
    let shown = |name: &str| -> Vec<Value> {
        let one = |round: &Round| json!({"calm": round.calm.shown(), "fast": round.fast.shown()});
        of(name).iter().map(one).collect()
    };
    json!({
        "scenario": "calls",
        "passed": problems.is_empty(),
        "problems": problems,
        "store": args.switch.store_name(),
        "rate": args.rate,
        "cpu_us_a_call": tenths(ours),
        "calls_a_second_and_core": tenths(1e6 / ours.max(1.0)),
        "cpu_us_a_call_kamailio": tenths(least("kamailio", cpu)),
        "kamailio_version": version,
        "added_setup_p99_ms": tenths(added),
        "kilobytes_a_call": tenths(kilobytes),
        "held": args.held,
        "orbit": shown("orbit"),
        "kamailio": shown("kamailio"),
        "nothing": shown("nothing"),
    })
}
