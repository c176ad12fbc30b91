//! `carrier`: the SMSC alone, for a switch that somebody else started.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::peer::smsc::{self, Counters, SmscOptions};

#[derive(Debug, Args)]
pub(crate) struct CarrierArgs {
    /// A loopback address; port 0 is any.
    #[arg(long, default_value = "127.0.0.1:2776")]
    bind: SocketAddr,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Print what was counted when stopping, also on SIGTERM.
    #[arg(long)]
    stats: bool,
    #[command(flatten)]
    smsc: SmscOptions,
}

pub(crate) async fn run(args: CarrierArgs) -> Result<Option<Value>> {
    ensure!(args.bind.ip().is_loopback(), "loopback addresses only");
    let counters = Arc::new(Counters::default());
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let until = async {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = tokio::time::sleep(Duration::from_secs(args.seconds)) => {}
        }
    };
    let ready = |address| {
        println!("listening {address}");
        // Whoever reads this through a pipe waits for the line.
        let _ = std::io::stdout().flush();
    };
    smsc::run(args.bind, args.smsc, Arc::clone(&counters), ready, until).await?;
    let stats = args.stats.then(|| serde_json::to_value(counters.snapshot()));
    Ok(stats.transpose()?)
}
