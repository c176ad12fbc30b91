//! `http`: sends to a switch that somebody else started.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::client::parse_url;
use crate::generator::{self, Keep, Plan};
use crate::process;
use crate::traffic::{Form, Recipients, Target, fresh_seed};

const CONNECTIONS: u64 = 32;
/// Without `--seconds` a scenario may last this long.
const SECONDS_MAX: u64 = 3600;

#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) connections: Option<u64>,
    /// How many; 20000 when no time is given either.
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    pub(crate) seconds: Option<u64>,
    /// Requests per second, whatever the target's answers take.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// How long to wait for one answer.
    #[arg(long, default_value_t = 30)]
    pub(crate) patience_s: u64,
    /// Of all recipients.
    #[arg(long, default_value = "+1415")]
    pub(crate) to_prefix: String,
    /// What follows the token in each text.
    #[arg(long, default_value = "hello from the load test")]
    pub(crate) body: String,
    /// Makes recipients and tokens; taken from the clock by default.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct HttpArgs {
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The API key.
    #[arg(long)]
    key: String,
    #[command(flatten)]
    load: LoadArgs,
    /// An `Idempotency-Key` with each request.
    #[arg(long)]
    idempotency: bool,
    /// Repeat what was not answered, or answered with 409, 429 or 5xx.
    #[arg(long)]
    retry: bool,
    /// Write id, recipient and token of each accepted message.
    #[arg(long)]
    ids: Option<PathBuf>,
}

impl LoadArgs {
    /// With so many connections unless the command line says otherwise.
    pub(crate) fn plan(&self, connections: u64) -> Plan {
        let unbounded = self.requests.is_none() && self.seconds.is_none();
        Plan {
            connections: self.connections.unwrap_or(connections) as usize,
            first: 0,
            requests: self.requests.or(unbounded.then_some(20_000)),
            time: Duration::from_secs(self.seconds.unwrap_or(SECONDS_MAX)),
            rate: self.rate.filter(|rate| *rate > 0.0),
            retry: false,
            patience: Duration::from_secs(self.patience_s),
            last_retries: Duration::ZERO,
        }
    }

    pub(crate) fn recipients(&self) -> Result<Recipients> {
        Recipients::new(&self.to_prefix, self.seed.unwrap_or_else(fresh_seed))
    }
}

pub(crate) async fn run(args: HttpArgs) -> Result<Option<Value>> {
    let (address, path) = parse_url(&args.url)?;
    let plan = Plan {
        retry: args.retry,
        last_retries: Duration::from_secs(if args.retry { 30 } else { 0 }),
        ..args.load.plan(CONNECTIONS)
    };
    let target = Target {
        address,
        recipients: args.load.recipients()?,
        form: Form::Orbit {
            path: format!("{path}/api/v1/messages/sms"),
            key: args.key,
            idempotency: args.idempotency,
            text: args.load.body.clone(),
        },
    };
    let keep = match &args.ids {
        None => Keep::Nothing,
        Some(path) => {
            let file = File::create(path).with_context(|| path.display().to_string())?;
            Keep::File(BufWriter::new(file))
        }
    };
    let cpu_before = process::cpu_micros(std::process::id());
    let (report, _) = generator::run(plan, target, keep, Rc::default()).await?;
    let cpu = process::cpu_micros(std::process::id()) - cpu_before;
    let passed = report.given_up == 0 && report.accepted > 0;
    let mut result = json!({
        "scenario": "http",
        "passed": passed,
        "generator_cpu_us_per_request": cpu / report.requests.max(1),
    });
    merge(&mut result, serde_json::to_value(&report)?);
    Ok(Some(result))
}

/// Adds the fields of `more`.
pub(crate) fn merge(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}
