//! Our media plane alone, in a process of its own: a child that opens sessions and waits to be ended.
//!
//! Parent and child speak by lines of JSON over the child's standard input and output: the addresses
//! of the phones in, the addresses they are to send to out.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::media::{Config, Format, LegArgs, Media, RemoteMedia, SessionArgs, Side};
use anyhow::{Context, Result, ensure};
use clap::Args;
use proto_media::g711::Law;
use proto_media::latch::Policy;
use serde_json::Value;
use tokio::sync::mpsc;

/// The two phones of each call, or where they send.
type Pairs = Vec<[SocketAddr; 2]>;

#[derive(Debug, Args)]
pub(crate) struct RtpRelayArgs {
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// So many of the calls are recorded, into this folder.
    #[arg(long, default_value_t = 0)]
    recorded: usize,
    #[arg(long, default_value = "recordings")]
    folder: PathBuf,
}

/// The child: relays between the phones it is told of until its input ends.
pub(crate) async fn run(args: RtpRelayArgs) -> Result<Option<Value>> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let phones: Pairs = serde_json::from_str(&line)?;
    let media = Media::start(&config(args.threads as usize))?;
    let (notices, mut told) = mpsc::channel(1_024);
    let mut sessions = Vec::with_capacity(phones.len());
    for pair in &phones {
        let leg = LegArgs { policy: Policy::AnyProven, signalling: None };
        let session = media.open(SessionArgs { legs: [leg; 2], notices: notices.clone() })?;
        for (side, phone) in Side::BOTH.into_iter().zip(pair) {
            session.set_remote(side, remote(*phone)).await?;
        }
        if sessions.len() < args.recorded {
            let path = args.folder.join(format!("{}.wav", sessions.len()));
            let (tap, _) = session.open_tape(path).await?;
            session.record(tap).await?;
        }
        sessions.push(session);
    }
    let places: Pairs =
        sessions.iter().map(|session| Side::BOTH.map(|side| session.local(side))).collect();
    println!("{}", serde_json::to_string(&places)?);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    let drained = async { while told.recv().await.is_some() {} };
    tokio::select! {
        ended = ended => { ended??; }
        () = drained => {}
    }
    Ok(None)
}

fn config(threads: usize) -> Config {
    Config {
        threads,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        public_address: None,
        networks: Networks::parse(&["127.0.0.0/8"]).unwrap_or_default(),
        port_min: 16_384,
        port_max: 32_767,
        port_rest: Duration::ZERO,
        timeout: Duration::from_secs(60),
        rtcp_interval: Duration::from_secs(5),
        transcoded_max: 100,
        orders_max: 1_024,
        recorder_queue: 1_024,
        recording_longest: Duration::from_secs(60),
    }
}

fn remote(phone: SocketAddr) -> RemoteMedia {
    RemoteMedia {
        rtp: Some(phone),
        rtcp: None,
        rtcp_mux: false,
        receive: vec![Format::g711(Law::Mu)],
        send: vec![Format::g711(Law::Mu)],
        sends: true,
        receives: true,
        srtp: None,
        signalling: None,
        is_other_peer: false,
    }
}

/// The parent's end of it; dropping it ends the child.
pub(super) struct Relay {
    child: std::process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Relay {
    /// One that records so many calls, into this folder.
    pub(super) fn start(
        core: usize,
        log: &Path,
        (recorded, folder): &(u32, PathBuf),
    ) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .arg("rtp-relay")
            .args(["--recorded", &recorded.to_string(), "--folder"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .context("taskset is not there")?;
        let input = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn open(&mut self, phones: &Pairs) -> Result<Pairs> {
        writeln!(self.input, "{}", serde_json::to_string(phones)?)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the relay ended at start");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Both fail only when it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
