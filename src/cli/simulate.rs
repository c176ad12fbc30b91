//! `orbit simulate`: the other side of the wire, to try a profile before it goes live.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::simulate::quirk::{CATALOG, Chosen};
use crate::simulate::smsc::{self, Counters, Receipts, SmscOptions, Stats};

#[derive(Subcommand)]
pub(crate) enum SimulateCommand {
    /// An SMSC that any ESME can bind to, with the habits of real carriers.
    Carrier(Box<CarrierArgs>),
    /// The habits it can have: the values of `--quirk`.
    List(ListArgs),
}

#[derive(Args)]
pub(crate) struct CarrierArgs {
    /// Where it listens; 0 is any free port.
    #[arg(long, default_value_t = 2776)]
    port: u16,
    /// Of which address.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Who may bind; without it everyone may.
    #[arg(long, default_value = "")]
    system_id: String,
    /// Asked for with `--system-id` alone.
    #[arg(long, default_value = "")]
    password: String,
    /// A habit of `orbit simulate list`; may be given many times.
    #[arg(long = "quirk", value_name = "NAME[=VALUE]")]
    quirks: Vec<Chosen>,
    /// For the choices left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Submits a second, over all binds; what is over it is throttled. 0 is no limit.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Wait before each response.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Which submits get a receipt: all, none, or a percentage.
    #[arg(long, default_value = "all", value_parser = percent)]
    receipts: u32,
    /// From a response to its receipt.
    #[arg(long, default_value_t = 0)]
    receipt_delay_ms: u64,
    /// Percentage of submits that are refused with `--error-status`.
    #[arg(long, default_value = "none", value_parser = percent)]
    errors: u32,
    #[arg(long, default_value = "0x08", value_parser = smsc::parse_status)]
    error_status: u32,
    /// Inbound messages a second, as `5` or `5/s`.
    #[arg(long, default_value = "0", value_parser = per_second)]
    mo: u64,
    /// Inbound messages in all; 0 is no limit.
    #[arg(long, default_value_t = 0)]
    mo_count: u64,
    /// Whom they are for.
    #[arg(long, default_value = "14155550100")]
    mo_to: String,
    /// Deliveries of one bind that may be unanswered.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,
    /// Ends by itself after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Appends a line for each submit.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: SimulateCommand) -> Result<()> {
    match command {
        SimulateCommand::List(args) => {
            print!("{}", list(&args));
            Ok(())
        }
        SimulateCommand::Carrier(args) => {
            let summary = LocalSet::new().run_until(carrier(*args)).await?;
            println!("{summary}");
            Ok(())
        }
    }
}

fn list(args: &ListArgs) -> String {
    if args.json {
        return format!("{}\n", json!(CATALOG.as_slice()));
    }
    let line = |quirk: &crate::simulate::quirk::Quirk| {
        let mut name = quirk.name.to_owned();
        let others = (!quirk.others.is_empty()).then_some(quirk.others);
        let values: Vec<&str> = quirk.values.iter().copied().chain(others).collect();
        if !values.is_empty() {
            name = format!("{name}={}", values.join("|"));
        }
        format!("{:>2}  {name}\n    {}\n    seen: {}\n", quirk.number, quirk.what, quirk.seen)
    };
    CATALOG.iter().map(line).collect()
}

async fn carrier(args: CarrierArgs) -> Result<Value> {
    let bind = SocketAddr::new(args.address, args.port);
    let seconds = args.seconds;
    let options = options(args);
    let quirks: Vec<String> = options.quirks.iter().map(name_of).collect();
    let counters = Arc::new(Counters::default());
    let watched = Arc::clone(&counters);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let begun = Instant::now();
    let ready = |address| {
        println!("listening {address}");
        // Whoever reads this through a pipe waits for the line.
        let _ = std::io::stdout().flush();
    };
    let until = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = for_seconds(seconds) => {}
            () = watch(&watched) => {}
        }
    };
    smsc::run(bind, options, Arc::clone(&counters), ready, until).await?;
    let stats = counters.snapshot();
    let lasted = stats.last_submit_us.saturating_sub(stats.first_submit_us);
    let per_second = (stats.submits * 1_000_000).checked_div(lasted).unwrap_or(stats.submits);
    Ok(json!({
        "seconds": begun.elapsed().as_secs(),
        "quirks": quirks,
        "submits_per_second": per_second,
        "saw": stats,
    }))
}

fn options(args: CarrierArgs) -> SmscOptions {
    SmscOptions {
        system_id: args.system_id,
        password: args.password,
        quirks: args.quirks,
        smsc_seed: args.seed,
        pace: args.rate,
        answer_delay_ms: args.delay_ms,
        receipts: match (args.receipts, args.receipt_delay_ms) {
            (0, _) => Receipts::Off,
            (_, 0) => Receipts::On,
            _ => Receipts::Late,
        },
        receipts_percent: args.receipts,
        receipt_delay_ms: args.receipt_delay_ms,
        error_percent: args.errors,
        error_status: args.error_status,
        mo_rate: args.mo,
        mo_count: args.mo_count,
        mo_to: args.mo_to,
        unacked_window: args.window,
        log: args.log,
        ..SmscOptions::default()
    }
}

fn name_of(chosen: &Chosen) -> String {
    let name = CATALOG.get(chosen.number.wrapping_sub(1)).map_or("", |quirk| quirk.name);
    if chosen.value.is_empty() { name.to_owned() } else { format!("{name}={}", chosen.value) }
}

/// Says each second in which something came what it was.
async fn watch(counters: &Counters) {
    let mut before = Stats::default();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = counters.snapshot();
        let new = |field: fn(&Stats) -> u64| field(&now) - field(&before);
        let line = format!(
            "connections {} binds {} (refused {}) unbinds {} submits {}/s (refused {}) \
             receipts {} (acknowledged {}) inbound {}",
            new(|s| s.connections),
            new(|s| s.binds),
            new(|s| s.binds_refused),
            new(|s| s.unbinds),
            new(|s| s.submits),
            new(|s| s.refused),
            new(|s| s.receipts_sent),
            new(|s| s.receipts_acked),
            new(|s| s.mo_acked),
        );
        if line.bytes().any(|b| (b'1'..=b'9').contains(&b)) {
            eprintln!("{line}");
        }
        before = now;
    }
}

async fn for_seconds(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

fn percent(text: &str) -> Result<u32, String> {
    let number = match text {
        "all" => 100,
        "none" => 0,
        _ => text.trim_end_matches('%').parse().map_err(|_| wrong(text))?,
    };
    if number <= 100 { Ok(number) } else { Err(wrong(text)) }
}

fn wrong(text: &str) -> String {
    format!("{text} is neither all, none, nor 0 to 100")
}

fn per_second(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse();
    number.ok().filter(|n| *n <= 100_000).ok_or_else(|| format!("{text} is not 0 to 100000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_are_read_as_people_write_them() {
        assert_eq!((percent("all"), percent("none")), (Ok(100), Ok(0)));
        assert_eq!((percent("40"), percent("7%")), (Ok(40), Ok(7)));
        assert!(percent("101").is_err() && percent("some").is_err());
        assert_eq!((per_second("5/s"), per_second("0")), (Ok(5), Ok(0)));
        assert!(per_second("-1").is_err());
    }

    #[test]
    fn every_habit_is_listed_once_in_both_forms() {
        let text = list(&ListArgs { json: false });
        let rows: Value = serde_json::from_str(&list(&ListArgs { json: true })).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 50);
        for row in rows.as_array().unwrap() {
            let line = format!("{:>2}  {}", row["number"], row["name"].as_str().unwrap());
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
    }
}
