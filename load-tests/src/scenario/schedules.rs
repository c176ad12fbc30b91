//! `schedules`: many messages for one second, and how late each one fires.
//!
//! Lateness is what the switch's history says: from the time asked for to the moment at which a
//! message was queued. With `--kill` the switch is killed while they fire and started again. Then
//! every message must have fired once, be paid for once and be at the carrier; the books must agree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::api::{Api, Balance, Transaction};
use crate::histogram::{Histogram, Summary};
use crate::peer::smsc::{Smsc, SmscOptions, Stats};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};

const BATCH: u64 = 1_000;
const STEP: Duration = Duration::from_millis(200);
/// What the switch of this scenario asks of a schedule, so that nobody waits a minute.
const LEAD: &str = "\n[schedules]\nlead_min_s = 1\n";

#[derive(Debug, Args)]
pub(crate) struct SchedulesArgs {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// Kill the switch while they fire, and start it again.
    #[arg(long)]
    kill: bool,
    /// From their time to the kill.
    #[arg(long, default_value_t = 150)]
    kill_after_ms: u64,
    /// From the first request to the time they are for; all must be stored by then.
    #[arg(long, default_value_t = 20)]
    ahead_s: u64,
    #[command(flatten)]
    switch: SwitchArgs,
    /// How long to wait until no message is in flight.
    #[arg(long, default_value_t = 120)]
    settle_s: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

#[derive(Debug, Serialize)]
struct SchedulesReport {
    scenario: &'static str,
    passed: bool,
    store: String,
    messages: u64,
    killed: bool,
    back_in_service_ms: f64,
    never_fired: usize,
    fired_twice: usize,
    fired_early: usize,
    late: Summary,
    doubled_at_carrier: u64,
    ledger_agrees: bool,
    statuses: BTreeMap<String, usize>,
    carrier: Stats,
    problems: Vec<String>,
}

pub(crate) async fn run(args: SchedulesArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("schedules", args.switch.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.add_settings(LEAD)?;
    switch.serve().await?;
    let mut api = Api::new(switch.address, &switch.key);
    let opening = api.balance().await?;

    let due_ms = now_ms() + args.ahead_s * 1_000;
    schedule(&mut api, args.messages, due_ms).await?;
    ensure!(now_ms() < due_ms, "not stored in time: take a longer --ahead-s");
    eprintln!("schedules: {} stored {} ms before their time", args.messages, due_ms - now_ms());
    sleep_until(due_ms).await;
    let mut back_ms = 0.0;
    if args.kill {
        sleep_until(due_ms + args.kill_after_ms).await;
        switch.kill();
        back_ms = switch.serve().await?.as_secs_f64() * 1_000.0;
        eprintln!("schedules: killed, back after {back_ms:.0} ms");
        api = Api::new(switch.address, &switch.key);
    }
    settle(&mut api, Duration::from_secs(args.settle_s)).await?;

    let mut report = SchedulesReport {
        scenario: "schedules",
        passed: false,
        store: args.switch.store_name(),
        messages: args.messages,
        killed: args.kill,
        back_in_service_ms: back_ms,
        never_fired: 0,
        fired_twice: 0,
        fired_early: 0,
        late: Histogram::new().summary(),
        doubled_at_carrier: smsc.stats().duplicates,
        ledger_agrees: false,
        statuses: BTreeMap::new(),
        carrier: smsc.stats(),
        problems: Vec::new(),
    };
    report.count_fires(&mut api, due_ms).await?;
    let sum = api.transactions().await?.iter().filter_map(Transaction::effect).sum::<Balance>();
    let closing = api.balance().await?;
    report.ledger_agrees = sum == closing && closing.held_micros == 0 && opening.held_micros == 0;
    let window = u64::from(args.switch.window * args.switch.carrier_connections);
    report.judge(if args.kill { 2 * window } else { 0 });
    switch.stop();
    Ok(Some(serde_json::to_value(report)?))
}

/// Batches of a thousand recipients, all for one moment.
async fn schedule(api: &mut Api, messages: u64, due_ms: u64) -> Result<()> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(due_ms)?)?;
    let mut first = 0;
    while first < messages {
        let count = BATCH.min(messages - first);
        let mut recipients = String::new();
        for number in first..first + count {
            let comma = if number == first { "" } else { "," };
            write!(recipients, "{comma}{{\"to\":\"+1415{number:07}\"}}")?;
        }
        let body = format!(
            "{{\"from\":\"Orbit\",\"body\":\"s-{first} hello\",\"scheduled_at\":\"{at}\",\
             \"recipients\":[{recipients}]}}"
        );
        let answer = api.post("/api/v1/messages/batch", &body).await?;
        ensure!(answer["data"]["accepted"] == count, "not all accepted: {}", answer["data"]);
        first += count;
    }
    Ok(())
}

async fn settle(api: &mut Api, time: Duration) -> Result<()> {
    let deadline = Instant::now() + time;
    while let Some(status) = api.in_flight().await? {
        if Instant::now() > deadline {
            eprintln!("schedules: some are still {status}");
            return Ok(());
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

impl SchedulesReport {
    async fn count_fires(&mut self, api: &mut Api, due_ms: u64) -> Result<()> {
        let due_us = i64::try_from(due_ms)? * 1_000;
        let mut late = Histogram::new();
        let messages = api.messages().await?;
        self.never_fired = usize::try_from(self.messages)?.saturating_sub(messages.len());
        for message in messages {
            *self.statuses.entry(message.status.clone()).or_default() += 1;
            let fires = api.queued_at(&message.id).await?;
            self.never_fired += usize::from(fires.is_empty());
            self.fired_twice += usize::from(fires.len() > 1);
            for at in fires {
                self.fired_early += usize::from(at < due_us);
                late.record(u64::try_from(at - due_us).unwrap_or(0));
            }
        }
        self.late = late.summary();
        Ok(())
    }

    fn judge(&mut self, doubled_max: u64) {
        let mut problem = |wrong: bool, text: String| {
            if wrong {
                self.problems.push(text);
            }
        };
        problem(self.never_fired > 0, format!("{} never fired", self.never_fired));
        problem(self.fired_twice > 0, format!("{} fired twice", self.fired_twice));
        problem(self.fired_early > 0, format!("{} fired early", self.fired_early));
        problem(!self.ledger_agrees, "the books do not agree".to_owned());
        let doubled = self.doubled_at_carrier;
        problem(doubled > doubled_max, format!("{doubled} doubled, {doubled_max} allowed"));
        let sent = self.carrier.submits.saturating_sub(doubled);
        problem(sent != self.messages, format!("{sent} at the carrier"));
        self.passed = self.problems.is_empty();
    }
}

async fn sleep_until(moment_ms: u64) {
    tokio::time::sleep(Duration::from_millis(moment_ms.saturating_sub(now_ms()))).await;
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    elapsed.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
