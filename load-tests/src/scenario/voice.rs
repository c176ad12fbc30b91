//! `voice`: the figures of telephony, one scenario after the other in one run: sound through us and through
//! rtpengine, calls through us and through Kamailio with the memory they take, and registrations.
//!
//! Each is a process of its own: some bind themselves to a core.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

const RTP: &[&str] = &["rtp", "--calls", "1100", "--seconds", "8"];
const CALLS: &[&str] = &["calls"];
const REGISTER: &[&str] = &["register", "--bindings", "100000"];

#[derive(Debug, Args)]
pub(crate) struct VoiceArgs {
    /// How often sound and calls are measured, in turn.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
}

pub(crate) async fn run(args: VoiceArgs) -> Result<Option<Value>> {
    let rounds = args.rounds.to_string();
    let rounds = ["--rounds", rounds.as_str()];
    let rtp = scenario(&[RTP, &rounds].concat())?;
    let calls = scenario(&[CALLS, &rounds].concat())?;
    let register = scenario(REGISTER)?;
    let passed = [&rtp, &calls, &register].iter().all(|one| one["passed"] == true);
    Ok(Some(json!({
        "scenario": "voice",
        "passed": passed,
        "rtp": rtp,
        "calls": calls,
        "register": register,
    })))
}

/// The results of a scenario that ran; whether it passed is in them.
fn scenario(words: &[&str]) -> Result<Value> {
    let own = std::env::current_exe()?;
    let output = Command::new(own).args(words).stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    ensure!(output.status.code().is_some_and(|code| code < 2), "{words:?} broke: {last}");
    serde_json::from_str(last).with_context(|| format!("{words:?} said {last}"))
}
