//! `sms`: REST send, carrier, receipt, `delivered`, with the switch as a process.
//!
//! The carrier is the SMSC on a thread of ours, the generator the main thread, so that the
//! time of each on a processor is known. The clock stops when all receipts are acknowledged
//! and the switch lists no message in flight; then every message is read back and the wallet
//! is compared.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::flow::{FlowReport, Meters, Wallet, tenths, until};
use super::http::LoadArgs;
use crate::api::{Api, Balance};
use crate::generator::{self, Accepted, Keep, LoadReport, Plan};
use crate::histogram::Histogram;
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};
use crate::traffic::{Form, Recipients, Target};

const CONNECTIONS: u64 = 256;
const BIND_TIME: Duration = Duration::from_secs(20);
const WARM_UP_FIRST: u64 = 1 << 40;
/// Looking is work for the switch too.
const LOOK_STEP: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct SmsArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Requests before those that count.
    #[arg(long, default_value_t = 500)]
    warm_up: u64,
    /// How long to wait until all are delivered.
    #[arg(long, default_value_t = 120)]
    settle_s: u64,
    /// Leave out reading every message back.
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// A run in progress.
struct Run<'a> {
    args: &'a SmsArgs,
    smsc: &'a Smsc,
    switch: &'a Switch,
    api: Api,
    problems: Vec<String>,
}

pub(crate) async fn run(args: SmsArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("sms", args.switch.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    let ready = switch.serve().await?;
    let binds = u64::from(args.switch.carrier_connections);
    if !until(&smsc, BIND_TIME, |stats| stats.binds >= binds).await {
        bail!("the carrier was not bound: {}", switch.last_words());
    }
    eprintln!("sms: ready after {} ms", ready.as_millis());
    let run = Run {
        args: &args,
        smsc: &smsc,
        switch: &switch,
        api: Api::new(switch.address, &switch.key),
        problems: Vec::new(),
    };
    let report = run.drive().await;
    switch.stop();
    Ok(Some(serde_json::to_value(report?)?))
}

impl Run<'_> {
    async fn drive(mut self) -> Result<FlowReport> {
        let before = self.api.balance().await?;
        let warmed = self.warm_up().await?;
        let meters = Meters {
            processes: vec![("orbit", self.switch.id())],
            carrier: self.smsc.thread.clone(),
            postgres: self.args.switch.uses_postgres(),
        };
        let mark = meters.mark();
        let started = Instant::now();
        let plan = self.args.load.plan(CONNECTIONS);
        let connections = plan.connections;
        let keep = Keep::Memory(Vec::new());
        let (load, keep) = generator::run(plan, self.target()?, keep, Rc::default()).await?;
        eprintln!("sms: {} accepted in {:.2} s", load.accepted, load.seconds);
        let delivered = self.delivered(warmed + load.accepted).await?;
        let seconds = started.elapsed().as_secs_f64();
        let handled = delivered.saturating_sub(warmed);
        // Before the verification, which is work too.
        let cpu = meters.since(&mark, load.accepted);
        let memory = meters.peak_memory_mb();
        self.check_load(&load, handled);
        let Keep::Memory(accepted) = keep else {
            bail!("accepted messages were not kept");
        };
        let (delivery, wallet) = match self.args.no_verify {
            true => (None, None),
            false => self.verify(&accepted, before).await?,
        };
        Ok(FlowReport {
            scenario: "sms",
            passed: self.problems.is_empty(),
            store: self.args.switch.store_name(),
            connections,
            accepted: load.accepted,
            accepts_per_second: load.accepts_per_second,
            seconds,
            messages_per_second: tenths(handled as f64 / seconds),
            accept: load.latency.clone(),
            delivery: delivery.map(|histogram| histogram.summary()),
            cpu_us_per_message: cpu,
            peak_memory_mb: memory,
            wallet,
            load,
            carrier: self.smsc.stats(),
            problems: self.problems,
        })
    }

    async fn warm_up(&mut self) -> Result<u64> {
        let plan = Plan {
            first: WARM_UP_FIRST,
            requests: Some(self.args.warm_up),
            rate: None,
            ..self.args.load.plan(CONNECTIONS)
        };
        let (load, _) = generator::run(plan, self.target()?, Keep::Nothing, Rc::default()).await?;
        ensure!(load.accepted == self.args.warm_up, "warm-up failed: {load:?}");
        let delivered = self.delivered(load.accepted).await?;
        ensure!(delivered == load.accepted, "warm-up: {delivered} delivered");
        eprintln!("sms: warm, {delivered} messages");
        Ok(delivered)
    }

    fn target(&self) -> Result<Target> {
        orbit_target(self.switch, self.args.load.recipients()?, &self.args.load.body)
    }

    /// Waits until so many receipts are acknowledged and the switch has no message in flight;
    /// gives how many are done.
    async fn delivered(&mut self, wanted: u64) -> Result<u64> {
        let deadline = Instant::now() + Duration::from_secs(self.args.settle_s);
        let time = Duration::from_secs(self.args.settle_s);
        until(self.smsc, time, |stats| stats.receipts_acked >= wanted).await;
        loop {
            let open = self.api.in_flight().await?;
            let acked = self.smsc.stats().receipts_acked;
            match open {
                None if acked >= wanted => return Ok(wanted),
                None => return Ok(acked),
                Some(status) if Instant::now() > deadline => {
                    self.problems.push(format!("some are still {status}"));
                    return Ok(acked.min(wanted));
                }
                Some(_) => tokio::time::sleep(LOOK_STEP).await,
            }
        }
    }

    fn check_load(&mut self, load: &LoadReport, handled: u64) {
        if handled != load.accepted {
            self.problems.push(format!("{handled} delivered of {}", load.accepted));
        }
        if load.given_up > 0 {
            self.problems.push(format!("{} requests not accepted", load.given_up));
        }
        let stats = self.smsc.stats();
        if stats.duplicates > 0 {
            self.problems.push(format!("{} submits came twice", stats.duplicates));
        }
        if stats.max_in_flight > u64::from(self.args.switch.window) {
            self.problems.push(format!("{} submits in flight", stats.max_in_flight));
        }
    }

    /// Reads every message: all accepted ones exist and are delivered, and their prices are
    /// what the wallet lost.
    async fn verify(
        &mut self,
        accepted: &[Accepted],
        before: Balance,
    ) -> Result<(Option<Histogram>, Option<Wallet>)> {
        let messages = self.api.messages().await?;
        eprintln!("sms: {} messages read back", messages.len());
        let tokens: HashSet<&str> = messages.iter().map(|m| m.token.as_str()).collect();
        if tokens.len() != messages.len() {
            self.problems.push(format!("{} texts twice", messages.len() - tokens.len()));
        }
        let ids: HashSet<&str> = messages.iter().map(|m| m.id.as_str()).collect();
        let missing = accepted.iter().filter(|a| !ids.contains(a.id.as_str())).count();
        if missing > 0 {
            self.problems.push(format!("{missing} accepted messages are not listed"));
        }
        let mut delivery = Histogram::new();
        let mut expected = 0;
        for message in &messages {
            expected += message.price_micros;
            match message.delivery_micros {
                Some(micros) if message.status == "delivered" => delivery.record(micros),
                _ => self.problems.push(format!("{} is {}", message.id, message.status)),
            }
        }
        self.problems.truncate(20);
        let after = self.api.balance().await?;
        let spent = before.available_micros - after.available_micros - after.held_micros;
        let wallet = Wallet {
            spent_micros: spent,
            held_micros: after.held_micros,
            expected_micros: expected,
            agrees: spent == expected && after.held_micros == 0,
        };
        if !wallet.agrees {
            self.problems.push(format!("the wallet differs: {wallet:?}"));
        }
        Ok((Some(delivery), Some(wallet)))
    }
}

/// The REST send of a switch, with an idempotency key per message.
pub(crate) fn orbit_target(switch: &Switch, recipients: Recipients, text: &str) -> Result<Target> {
    Ok(Target {
        address: switch.address,
        recipients,
        form: Form::Orbit {
            path: "/api/v1/messages/sms".into(),
            key: switch.key.clone(),
            idempotency: true,
            text: text.to_owned(),
        },
    })
}
