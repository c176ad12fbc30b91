//! `caps`: frequency caps under load, with the switch as a process.
//!
//! First all connections write to one recipient, as often as they can: exactly as many are
//! accepted as the rule allows. Then accepts are counted without rules and with three rules that
//! cover every message, in turns, since such machines drift; the carrier's work is waited for
//! between turns. The rules name `transactional`, which is what the generator sends.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::flow::{tenths, until};
use super::http::LoadArgs;
use super::sms::orbit_target;
use crate::api::Api;
use crate::client::Client;
use crate::generator::{self, Keep, Plan};
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::Scratch;
use crate::switch::{Switch, SwitchArgs};

const CONNECTIONS: u64 = 64;
const RULES: usize = 3;
const BIND_TIME: Duration = Duration::from_secs(20);
const SETTLE_TIME: Duration = Duration::from_secs(120);
const LOOK_STEP: Duration = Duration::from_millis(20);
const CAPS: &str = "/api/v1/frequency-caps";
const RECIPIENT: &str = "+14155550123";

#[derive(Debug, Args)]
pub(crate) struct CapsArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Messages the one recipient may get.
    #[arg(long, default_value_t = 3)]
    cap: u64,
    /// Attempts of each connection at the one recipient.
    #[arg(long, default_value_t = 20)]
    attempts: u64,
    /// Turns without rules, and as many with them.
    #[arg(long, default_value_t = 2)]
    turns: u64,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: CapsArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("caps", args.switch.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.serve().await?;
    let binds = u64::from(args.switch.carrier_connections);
    if !until(&smsc, BIND_TIME, |stats| stats.binds >= binds).await {
        bail!("the carrier was not bound: {}", switch.last_words());
    }
    let result = drive(&args, &switch).await;
    switch.stop();
    result.map(Some)
}

async fn drive(args: &CapsArgs, switch: &Switch) -> Result<Value> {
    let mut client = Client::new(switch.address);
    let rule = |limit: u64| {
        json!({"name": "load", "category": "transactional",
        "limit": limit, "window_seconds": 86_400})
    };
    let narrow = create(&mut client, switch, &rule(args.cap)).await?;
    let (accepted, refused, other) = crowd(args, switch).await?;
    eprintln!("caps: {accepted} accepted of {}, {other} odd", accepted + refused + other);
    change(&mut client, switch, &narrow, &json!({"enabled": false})).await?;

    let mut rules = Vec::new();
    for _ in 0..RULES {
        rules.push(create(&mut client, switch, &rule(10_000)).await?);
    }
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..args.turns * 2 {
        let enabled = turn % 2 == 1;
        for id in &rules {
            change(&mut client, switch, id, &json!({"enabled": enabled})).await?;
        }
        let first = (turn + 1) << 36;
        let plan = Plan { first, ..args.load.plan(CONNECTIONS) };
        let target = orbit_target(switch, args.load.recipients()?, &args.load.body)?;
        let (load, _) = generator::run(plan, target, Keep::Nothing, Rc::default()).await?;
        ensure!(load.given_up == 0, "not all were accepted: {load:?}");
        eprintln!("caps: {} accepts/s, rules: {enabled}", load.accepts_per_second);
        rates[usize::from(enabled)].push(load.accepts_per_second);
        settle(switch).await?;
    }
    let [without, with] = rates.map(|list| list.iter().sum::<f64>() / list.len().max(1) as f64);
    Ok(json!({
        "scenario": "caps",
        "passed": accepted == args.cap && other == 0,
        "store": args.switch.store_name(),
        "cap": args.cap,
        "accepted": accepted,
        "refused": refused,
        "odd_answers": other,
        "accepts_per_second_without_rules": tenths(without),
        "accepts_per_second_with_three_rules": tenths(with),
        "ratio": (with / without.max(1.0) * 100.0).round() / 100.0,
    }))
}

/// All connections at one recipient: accepted, refused by the cap, and answered otherwise.
async fn crowd(args: &CapsArgs, switch: &Switch) -> Result<(u64, u64, u64)> {
    let body = json!({"to": RECIPIENT, "from": "Orbit", "body": "hello"});
    let request = Rc::new(request("POST", "/api/v1/messages/sms", switch, &body));
    let counts = Rc::new(std::cell::Cell::new((0, 0, 0)));
    let crowd = LocalSet::new();
    for _ in 0..args.load.connections.unwrap_or(CONNECTIONS) {
        let (request, counts, attempts) = (Rc::clone(&request), Rc::clone(&counts), args.attempts);
        let mut client = Client::new(switch.address);
        crowd.spawn_local(async move {
            for _ in 0..attempts {
                let answer = client.send(request.as_bytes()).await;
                let capped = b"FREQUENCY_CAP_EXCEEDED";
                let (accepted, refused, other) = counts.get();
                counts.set(match answer {
                    Ok(answer) if answer.status == 202 => (accepted + 1, refused, other),
                    Ok(answer) if crate::client::find(answer.body, capped).is_some() => {
                        (accepted, refused + 1, other)
                    }
                    _ => (accepted, refused, other + 1),
                });
            }
        });
    }
    crowd.await;
    Ok(counts.get())
}

fn request(method: &str, path: &str, switch: &Switch, body: &Value) -> String {
    let (address, key, body) = (switch.address, &switch.key, body.to_string());
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Makes a rule; its id.
async fn create(client: &mut Client, switch: &Switch, rule: &Value) -> Result<String> {
    let request = request("POST", CAPS, switch, rule);
    let answer = client.send(request.as_bytes()).await?;
    ensure!(answer.status == 201, "a rule: {}", String::from_utf8_lossy(answer.body));
    let body: Value = serde_json::from_slice(answer.body)?;
    body["data"]["id"].as_str().map(str::to_owned).context("a rule without id")
}

async fn change(client: &mut Client, switch: &Switch, id: &str, to: &Value) -> Result<()> {
    let request = request("PATCH", &format!("{CAPS}/{id}"), switch, to);
    let answer = client.send(request.as_bytes()).await?;
    ensure!(answer.status == 200, "a change: {}", String::from_utf8_lossy(answer.body));
    Ok(())
}

/// Waits until no message is on its way.
async fn settle(switch: &Switch) -> Result<()> {
    let mut api = Api::new(switch.address, &switch.key);
    let deadline = Instant::now() + SETTLE_TIME;
    while let Some(status) = api.in_flight().await? {
        ensure!(Instant::now() < deadline, "some are still {status}");
        tokio::time::sleep(LOOK_STEP).await;
    }
    Ok(())
}
