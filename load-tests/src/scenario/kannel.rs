//! `kannel`: the work of `sms` done by Kannel, on the same machine in the same minute.
//!
//! smsbox takes the sends, bearerbox keeps them and speaks to our SMSC with a wide window.
//! A receipt counts when bearerbox has acknowledged it to the SMSC. Configuration, queue
//! and logs are in a folder of their own; ports are free ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::flow::{FlowReport, Meters, tenths, until};
use super::http::LoadArgs;
use crate::generator::{self, Keep, Plan};
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::{Child, Scratch, free_port};
use crate::traffic::{Form, Target};

const CONNECTIONS: u64 = 256;
const START_TIME: Duration = Duration::from_secs(20);
/// Warm-up requests have numbers of their own.
const WARM_UP_FIRST: u64 = 1 << 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KannelStore {
    /// One file per message.
    Spool,
    /// One log, written over and over.
    File,
    Memory,
}

#[derive(Debug, Args)]
pub(crate) struct KannelArgs {
    #[arg(long, value_enum, default_value = "spool")]
    store: KannelStore,
    #[command(flatten)]
    load: LoadArgs,
    /// Unanswered submits of one bind.
    #[arg(long, default_value_t = 1000)]
    window: u32,
    /// Binds to the carrier.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    carrier_connections: u32,
    /// Let smsbox report each receipt by HTTP to a sink here.
    #[arg(long)]
    report_receipts: bool,
    /// Requests before those that count.
    #[arg(long, default_value_t = 500)]
    warm_up: u64,
    /// How long to wait for the last receipt.
    #[arg(long, default_value_t = 120)]
    settle_s: u64,
    #[arg(long, default_value = "/usr/sbin")]
    kannel_folder: PathBuf,
    /// Do not remove configuration, queue and logs.
    #[arg(long)]
    keep_files: bool,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// Both boxes, running.
struct Kannel {
    bearerbox: Child,
    smsbox: Child,
    sends: std::net::SocketAddr,
}

pub(crate) async fn run(args: KannelArgs) -> Result<Option<Value>> {
    let scratch = Scratch::new("kannel", args.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let kannel = start(&args, &smsc, &scratch).await?;
    let sink = TcpListener::bind("127.0.0.1:0").await?;
    let sink_port = sink.local_addr()?.port();
    let sinking = tokio::task::spawn_local(take_reports(sink));
    let report = drive(&args, &smsc, &kannel, sink_port).await;
    sinking.abort();
    let mut kannel = kannel;
    kannel.smsbox.stop(Duration::from_secs(2));
    kannel.bearerbox.stop(Duration::from_secs(2));
    Ok(Some(serde_json::to_value(report?)?))
}

async fn drive(
    args: &KannelArgs,
    smsc: &Smsc,
    kannel: &Kannel,
    sink_port: u16,
) -> Result<FlowReport> {
    let target = || -> Result<Target> {
        Ok(Target {
            address: kannel.sends,
            recipients: args.load.recipients()?,
            form: Form::Kannel {
                dlr_url: match args.report_receipts {
                    true => format!("http%3A%2F%2F127.0.0.1%3A{sink_port}%2Fr%3Ft%3D%25d"),
                    false => String::new(),
                },
                text: args.load.body.clone(),
            },
        })
    };
    let settle = Duration::from_secs(args.settle_s);
    let warm_up = Plan {
        first: WARM_UP_FIRST,
        requests: Some(args.warm_up),
        rate: None,
        ..args.load.plan(CONNECTIONS)
    };
    let (warmed, _) = generator::run(warm_up, target()?, Keep::Nothing, Rc::default()).await?;
    ensure!(warmed.accepted == args.warm_up, "warm-up failed: {warmed:?}");
    if !until(smsc, settle, |stats| stats.receipts_acked >= warmed.accepted).await {
        bail!("no receipts for the warm-up: {:?}", smsc.stats());
    }
    eprintln!("kannel: warm, {} messages", warmed.accepted);

    let meters = Meters {
        processes: vec![("bearerbox", kannel.bearerbox.id()), ("smsbox", kannel.smsbox.id())],
        carrier: smsc.thread.clone(),
        postgres: false,
    };
    let mark = meters.mark();
    let started = Instant::now();
    let plan = args.load.plan(CONNECTIONS);
    let connections = plan.connections;
    let (load, _) = generator::run(plan, target()?, Keep::Nothing, Rc::default()).await?;
    eprintln!("kannel: {} accepted in {:.2} s", load.accepted, load.seconds);
    let wanted = warmed.accepted + load.accepted;
    let complete = until(smsc, settle, |stats| stats.receipts_acked >= wanted).await;
    let seconds = started.elapsed().as_secs_f64();
    let carrier = smsc.stats();
    let handled = carrier.receipts_acked - warmed.accepted;
    let mut problems = Vec::new();
    if !complete {
        problems.push(format!("{handled} receipts for {} accepted", load.accepted));
    }
    if load.given_up > 0 {
        problems.push(format!("{} requests not accepted", load.given_up));
    }
    Ok(FlowReport {
        scenario: "kannel",
        passed: problems.is_empty(),
        store: format!("{:?}", args.store).to_lowercase(),
        connections,
        accepted: load.accepted,
        accepts_per_second: load.accepts_per_second,
        seconds,
        messages_per_second: tenths(handled as f64 / seconds),
        accept: load.latency.clone(),
        delivery: None,
        cpu_us_per_message: meters.since(&mark, load.accepted),
        peak_memory_mb: meters.peak_memory_mb(),
        wallet: None,
        load,
        carrier,
        problems,
    })
}

async fn start(args: &KannelArgs, smsc: &Smsc, scratch: &Scratch) -> Result<Kannel> {
    let [admin, boxes, sends] = [free_port()?, free_port()?, free_port()?];
    let file = scratch.file("kannel.conf");
    let mut text = bearer_settings(args, smsc, scratch.path(), admin, boxes)?;
    text.push_str(&sms_settings(boxes, sends));
    fs::write(&file, text)?;
    let log = scratch.file("boxes.out");
    // Panics only: smsbox would log an error for each receipt that it need not report.
    let launch = |name: &str| {
        let program = args.kannel_folder.join(name);
        let file = file.to_string_lossy();
        Child::start(&program, &["-v", "4", &file], &log)
    };
    let mut bearerbox = launch("bearerbox")?;
    let binds = u64::from(args.carrier_connections);
    if !until(smsc, START_TIME, |stats| stats.binds >= binds).await {
        bail!("bearerbox did not bind: {}", fs::read_to_string(&log)?);
    }
    let mut smsbox = launch("smsbox")?;
    let sends = ([127, 0, 0, 1], sends).into();
    let deadline = Instant::now() + START_TIME;
    while TcpStream::connect(sends).await.is_err() {
        let alive = bearerbox.is_running() && smsbox.is_running();
        if !alive || Instant::now() > deadline {
            bail!("smsbox does not listen: {}", fs::read_to_string(&log)?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Kannel { bearerbox, smsbox, sends })
}

fn bearer_settings(
    args: &KannelArgs,
    smsc: &Smsc,
    folder: &Path,
    admin: u16,
    boxes: u16,
) -> Result<String> {
    let store = match args.store {
        KannelStore::Spool => {
            let spool = folder.join("spool");
            fs::create_dir_all(&spool)?;
            format!("store-type = spool\nstore-location = \"{}\"\n", spool.display())
        }
        KannelStore::File => {
            let file = folder.join("store.log");
            format!("store-type = file\nstore-location = \"{}\"\n", file.display())
        }
        KannelStore::Memory => String::new(),
    };
    let port = smsc.address.port();
    let SmscOptions { system_id, password, .. } = &args.smsc;
    let mut text = format!(
        "group = core\nadmin-port = {admin}\nadmin-interface = \"127.0.0.1\"\n\
         admin-password = load\nsmsbox-port = {boxes}\nsmsbox-interface = \"127.0.0.1\"\n\
         box-allow-ip = \"127.0.0.1\"\ndlr-storage = internal\n\
         sms-outgoing-queue-limit = 1000000\nsms-incoming-queue-limit = 1000000\n{store}"
    );
    for number in 0..args.carrier_connections {
        text.push_str(&format!(
            "\ngroup = smsc\nsmsc = smpp\nsmsc-id = load{number}\nhost = 127.0.0.1\n\
             port = {port}\ntransceiver-mode = true\nsmsc-username = \"{system_id}\"\n\
             smsc-password = \"{password}\"\nsystem-type = \"\"\nsource-addr-autodetect = true\n\
             dest-addr-ton = 1\ndest-addr-npi = 1\nmax-pending-submits = {}\n\
             enquire-link-interval = 30\n",
            args.window
        ));
    }
    Ok(text)
}

fn sms_settings(boxes: u16, sends: u16) -> String {
    format!(
        "\ngroup = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {boxes}\n\
         sendsms-port = {sends}\nsendsms-interface = \"127.0.0.1\"\nglobal-sender = Orbit\n\
         http-request-retry = 0\n\n\
         group = sendsms-user\nusername = load\npassword = load\nmax-messages = 10\n\
         concatenation = true\n\n\
         group = sms-service\nkeyword = default\ntext = \"\"\nmax-messages = 0\n"
    )
}

/// Answers every request with an empty 200.
async fn take_reports(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let mut input = vec![0; 4096];
            let mut held = Vec::new();
            while let Ok(count @ 1..) = stream.read(&mut input).await {
                held.extend_from_slice(&input[..count]);
                let whole = held.windows(4).filter(|part| part == b"\r\n\r\n").count();
                if let Some(end) = held.windows(4).rposition(|part| part == b"\r\n\r\n") {
                    held.drain(..end + 4);
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(whole);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        });
    }
}
