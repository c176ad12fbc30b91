//! `webhooks`: events told to many receivers, some of which behave badly.
//!
//! Each receiver is the endpoint of an organization of its own. Messages are sent to all
//! organizations in turn at a fixed rate, go through carrier and receipt, and each makes three
//! events. Bad receivers hang, fail, redirect, reset or are gone: the others must not feel it.
//! With `--kills` the switch is killed again and again meanwhile. Afterwards every accepted
//! message of a good organization must have had all its events, in order.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::flow::{tenths, until};
use crate::client::Client;
use crate::generator::{self, Accepted, Keep, Plan};
use crate::peer::sink::{Sink, SinkReport, Temper};
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};
use crate::traffic::{Form, Recipients, Target, fresh_seed};

const BAD: [Temper; 5] =
    [Temper::Hangs, Temper::Fails, Temper::Redirects, Temper::Resets, Temper::Gone];
const EVENTS_PER_MESSAGE: f64 = 3.0;
const LIFE: Duration = Duration::from_secs(3);
const LOOK_STEP: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    smsc: SmscOptions,
    /// Receivers in all; the first five behave badly.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(6..=500))]
    endpoints: u64,
    /// Events a second, of all organizations together.
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Kills of the switch while messages are sent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    kills: u64,
    /// How long to wait until all events have come.
    #[arg(long, default_value_t = 60)]
    settle_s: u64,
}

#[derive(Debug, Serialize)]
struct WebhooksReport {
    scenario: &'static str,
    passed: bool,
    store: String,
    endpoints: u64,
    kills: u64,
    accepted: u64,
    /// Accepted messages of organizations whose receiver answers.
    owed: u64,
    /// Of these, without all three events.
    lost: u64,
    events_per_second: f64,
    sink: SinkReport,
    problems: Vec<String>,
}

pub(crate) async fn run(mut args: WebhooksArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("webhooks", args.switch.keep_files)?;
    let settings = scratch.file("webhooks.toml");
    std::fs::write(&settings, "[webhooks]\nallowed_networks = [\"127.0.0.0/8\"]\n")?;
    args.switch.more_settings = Some(settings);
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.serve().await?;
    ensure!(until(&smsc, LIFE, |stats| stats.binds > 0).await, "the carrier was not bound");

    let good = args.endpoints as usize - BAD.len();
    let tempers: Vec<Temper> = BAD.into_iter().chain(vec![Temper::Answers; good]).collect();
    let sink = Sink::start(tempers)?;
    let mut keys = Vec::new();
    for number in 0..args.endpoints as usize {
        let key = switch.organization(&format!("webhooks-{number}"), "10000")?;
        subscribe(&switch, &key, &sink.url(number)).await?;
        keys.push(key);
    }
    eprintln!("webhooks: {} endpoints", keys.len());
    let started = Instant::now();
    let accepted = drive(&args, &mut switch, &keys).await?;
    let owed: Vec<&str> =
        accepted[BAD.len()..].iter().flatten().map(|one| one.id.as_str()).collect();
    let wanted = owed.len() * 3;
    let events_during = sink.events();
    let during = started.elapsed().as_secs_f64();
    let deadline = Instant::now() + Duration::from_secs(args.settle_s);
    while sink.events() < wanted && Instant::now() < deadline {
        tokio::time::sleep(LOOK_STEP).await;
    }
    let whole = sink.whole_lives(owed.iter().copied());
    switch.stop();
    let mut report = WebhooksReport {
        scenario: "webhooks",
        passed: false,
        store: args.switch.store_name(),
        endpoints: args.endpoints,
        kills: args.kills,
        accepted: accepted.iter().map(Vec::len).sum::<usize>() as u64,
        owed: owed.len() as u64,
        lost: owed.len() as u64 - whole,
        events_per_second: tenths(events_during as f64 / during),
        sink: sink.report(),
        problems: Vec::new(),
    };
    report.judge();
    Ok(Some(serde_json::to_value(report)?))
}

/// Sends to all organizations at once, each at its share of the rate; what each had accepted.
async fn drive(
    args: &WebhooksArgs,
    switch: &mut Switch,
    keys: &[String],
) -> Result<Vec<Vec<Accepted>>> {
    let stop = Rc::new(Cell::new(false));
    let seed = fresh_seed();
    let share = args.rate / EVENTS_PER_MESSAGE / keys.len() as f64;
    let mut loads = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let target = Target {
            address: switch.address,
            recipients: Recipients::new("+1415", seed + number as u64)?,
            form: Form::Orbit {
                path: String::from("/api/v1/messages/sms"),
                key: key.clone(),
                idempotency: true,
                text: String::from("hello"),
            },
        };
        let plan = Plan {
            connections: 2,
            first: 0,
            requests: None,
            time: Duration::from_secs(args.seconds),
            rate: Some(share),
            retry: true,
            patience: Duration::from_secs(30),
            last_retries: Duration::from_secs(30),
        };
        let keep = Keep::Memory(Vec::new());
        loads.push(tokio::task::spawn_local(generator::run(plan, target, keep, stop.clone())));
    }
    for number in 1..=args.kills {
        tokio::time::sleep(Duration::from_secs(args.seconds) / (args.kills as u32 + 1)).await;
        switch.kill();
        let took = switch.serve().await.with_context(|| format!("after kill {number}"))?;
        eprintln!("webhooks: kill {number}, back after {} ms", took.as_millis());
    }
    let mut accepted = Vec::new();
    for load in loads {
        let (_, keep) = load.await??;
        match keep {
            Keep::Memory(ids) => accepted.push(ids),
            Keep::Nothing | Keep::File(_) => bail!("accepted messages were not kept"),
        }
    }
    Ok(accepted)
}

async fn subscribe(switch: &Switch, key: &str, url: &str) -> Result<()> {
    let body = json!({"url": url, "events": ["message.*"]}).to_string();
    let request = format!(
        "POST /api/v1/webhooks HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        switch.address,
        body.len()
    );
    let mut client = Client::new(switch.address);
    let answer = client.send(request.as_bytes()).await?;
    let said = String::from_utf8_lossy(answer.body);
    ensure!(answer.status == 201, "no endpoint: {} {said}", answer.status);
    Ok(())
}

impl WebhooksReport {
    fn judge(&mut self) {
        let mut problem = |wrong: bool, text: String| {
            if wrong {
                self.problems.push(text);
            }
        };
        problem(self.owed == 0, String::from("nothing was accepted"));
        problem(self.lost > 0, format!("{} messages without all events", self.lost));
        problem(self.sink.disordered > 0, format!("{} events out of order", self.sink.disordered));
        problem(self.sink.unreadable > 0, format!("{} unreadable", self.sink.unreadable));
        let repeated = self.sink.repeated;
        problem(self.kills == 0 && repeated > 0, format!("{repeated} repeated without a kill"));
        self.passed = self.problems.is_empty();
    }
}
