//! Load, peers and crashes for the switch, a subcommand per scenario.
//!
//! Each prints one line of JSON with its results on standard output and its progress on
//! standard error. All traffic stays on loopback addresses, and every scenario is bounded
//! in count and in time. The end-to-end tests use the same peers and clients.

#![expect(clippy::disallowed_methods, reason = "a load test measures time by the clock")]

mod api;
pub mod client;
mod esme;
mod generator;
mod histogram;
pub mod peer;
pub mod process;
mod scenario;
mod switch;
mod traffic;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::Value;
use tokio::task::LocalSet;

use scenario::{
    bare, calls, caps, carrier, crash, fair, http, idle, kannel, neighbours, pace, register, rtp,
    schedules, sms, soak, store as store_lane, storm, stream, transit, voice, webhooks,
};

#[derive(Parser)]
#[command(name = "load-tests", about = "Load, peers and crashes for the switch")]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// A fast SMSC with the quirks of real carriers.
    Carrier(carrier::CarrierArgs),
    /// Submits straight into the SMSC: the ceiling of the carrier.
    Bare(bare::BareArgs),
    /// Sends by REST to a switch that is running.
    Http(http::HttpArgs),
    /// REST send, carrier, receipt and `delivered`, through the switch.
    Sms(sms::SmsArgs),
    /// SMPP in, carrier, and the receipt back to the one who submitted.
    Transit(transit::TransitArgs),
    /// Minutes of transit, and whether memory stays flat.
    Soak(soak::SoakArgs),
    /// Thousands of binds within seconds, half of them with a wrong password.
    Storm(storm::StormArgs),
    /// Telephones that register over UDP, by rate and by memory.
    Register(register::RegisterArgs),
    /// Thousands of binds that do nothing, and the memory they cost.
    Idle(idle::IdleArgs),
    /// A carrier that flaps, one that never answers, a customer who never reads.
    Neighbours(neighbours::NeighboursArgs),
    /// What a carrier sees of its limits while more waits than they let through.
    Pace(pace::PaceArgs),
    /// One tenant's backlog, and what another's single messages feel of it.
    Fair(fair::FairArgs),
    /// Sends, carrier and receipts through Kannel.
    Kannel(kannel::KannelArgs),
    /// Kills the switch under load and counts what is lost or doubled.
    Crash(crash::CrashArgs),
    /// Frequency caps: exact at one recipient, and what they cost.
    Caps(caps::CapsArgs),
    /// Many messages scheduled for one second: how late each fires, killed or not.
    Schedules(schedules::SchedulesArgs),
    /// The store alone: accepts, and whole message lives.
    Store(store_lane::StoreArgs),
    /// Events to many receivers, some of which behave badly.
    Webhooks(webhooks::WebhooksArgs),
    /// Two-way calls through our relay and, where it is installed, through rtpengine.
    Rtp(rtp::RtpArgs),
    /// Calls to the public network through us and, where it is installed, through Kamailio.
    Calls(calls::CallsArgs),
    /// Kills the switch while calls are up, and counts what that cost.
    CallsKilled(calls::killed::CallsKilledArgs),
    /// The figures of telephony in one run: sound, calls, memory, registrations.
    Voice(voice::VoiceArgs),
    /// Attacks of many kinds while calls go on.
    Siege(calls::siege::SiegeArgs),
    /// The relay that `rtp` starts.
    #[command(hide = true)]
    RtpRelay(rtp::relay::RtpRelayArgs),
    /// Cuts and resumes an event stream under load, and counts what it missed.
    Stream(stream::StreamArgs),
}

/// Runs the scenario of this process's command line; 1 when it did not pass, 2 when it broke.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.scenario) {
        Ok(result) => {
            if let Some(value) = &result {
                println!("{value}");
            }
            let failed = result.is_some_and(|value| value["passed"] == Value::Bool(false));
            ExitCode::from(u8::from(failed))
        }
        Err(error) => {
            eprintln!("load-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command line, without the program's name before it; the scenario's results.
pub fn run_words(words: &[&str]) -> Result<Option<Value>> {
    let words = std::iter::once("load-tests").chain(words.iter().copied());
    run(Cli::try_parse_from(words)?.scenario)
}

fn run(scenario: Scenario) -> Result<Option<Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        match scenario {
            Scenario::Carrier(args) => carrier::run(args).await,
            Scenario::Bare(args) => bare::run(args).await,
            Scenario::Http(args) => http::run(args).await,
            Scenario::Sms(args) => sms::run(args).await,
            Scenario::Transit(args) => transit::run(args).await,
            Scenario::Soak(args) => soak::run(args).await,
            Scenario::Storm(args) => storm::run(args).await,
            Scenario::Register(args) => register::run(args).await,
            Scenario::Idle(args) => idle::run(args).await,
            Scenario::Neighbours(args) => neighbours::run(args).await,
            Scenario::Pace(args) => pace::run(args).await,
            Scenario::Fair(args) => fair::run(args).await,
            Scenario::Kannel(args) => kannel::run(args).await,
            Scenario::Crash(args) => crash::run(args).await,
            Scenario::Caps(args) => caps::run(args).await,
            Scenario::Schedules(args) => schedules::run(args).await,
            Scenario::Store(args) => store_lane::run(args).await,
            Scenario::Webhooks(args) => webhooks::run(args).await,
            Scenario::Rtp(args) => rtp::run(args).await,
            Scenario::Calls(args) => calls::run(args).await,
            Scenario::CallsKilled(args) => calls::killed::run(args).await,
            Scenario::Voice(args) => voice::run(args).await,
            Scenario::Siege(args) => calls::siege::run(args).await,
            Scenario::RtpRelay(args) => rtp::relay::run(args).await,
            Scenario::Stream(args) => stream::run(args).await,
        }
    }))
}
