//! `serve`, `dev`, and what is done before them: logs, signals, the way down.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Common;
use crate::boot::{self, SandboxLive, Switch};
use crate::settings::{LogFormat, Settings};
use crate::{dev, home};

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Address of the REST API, over what the settings say.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct DevArgs {
    /// Address of the REST API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    bind: String,
    /// Where SMPP customers bind; any free port when this one is taken.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2775")]
    smpp_bind: String,
    /// Where telephones register; any free port when this one is taken.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5060")]
    sip_bind: String,
    /// Where the data is kept.
    #[arg(long, value_name = "FOLDER", default_value = "./orbit-data")]
    data: String,
    /// Settings to try, such as a carrier's; what is said here goes before them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Shows what the switch logs, too.
    #[arg(long)]
    verbose: bool,
}

pub(crate) async fn serve(args: ServeArgs) -> Result<()> {
    let overrides = args.bind.map(|bind| (String::from("http.bind"), bind));
    let settings = args.common.settings_with(overrides.into_iter().collect())?;
    start_logs(&settings)?;
    let switch = start(settings, SandboxLive::No).await?;
    for (smpp, tls) in [(switch.smpp, false), (switch.smpp_tls, true)] {
        if let Some(smpp) = smpp {
            tracing::info!(%smpp, tls, "customers bind here");
        }
    }
    for (sip, tls) in [(switch.sip.plain, false), (switch.sip.tls, true)] {
        if let Some(sip) = sip {
            tracing::info!(%sip, tls, "telephones register here");
        }
    }
    tracing::info!(http = %switch.http, "ready");
    until_told(switch).await
}

pub(crate) async fn dev(args: DevArgs) -> Result<()> {
    let level = if args.verbose { "info" } else { "error" };
    let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let overrides = vec![
        set("http.bind", &args.bind),
        set("data.dir", &args.data),
        set("log.level", level),
        set("sandbox.enabled", "true"),
        set("smpp.bind", &free_or_any(&args.smpp_bind)),
        set("sip.bind", &free_or_any(&args.sip_bind)),
    ];
    let config = args.config.as_deref();
    let mut settings = Settings::load(config, crate::settings::environment(), overrides)?;
    settings.media.reach_this_machine();
    let alone = settings.carriers.is_empty();
    start_logs(&settings)?;
    let data = home::Home::open(&settings.data.dir)?;
    let sip = settings.sip.clone();
    let switch = start(settings, SandboxLive::Default).await?;
    let key = dev::key(&data, &switch).await?;
    let account = dev::account(&data, &switch).await?;
    let phone = dev::phone(&data, &switch, &sip).await?;
    let (key, account, phone) = (key.as_str(), &account, &phone);
    dev::welcome(&switch, &dev::Welcome { data: &args.data, alone, key, account, phone });
    let journey = tokio::spawn(dev::follow(switch.store.clone()));
    let ended = until_told(switch).await;
    journey.abort();
    ended
}

/// This address, or its host with any port when its own is taken: the first minute should not end
/// at a port that some other program has.
fn free_or_any(address: &str) -> String {
    let taken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    let tried = std::net::TcpListener::bind(address);
    match tried.and_then(|_| std::net::UdpSocket::bind(address)) {
        Err(error) if taken(&error) => match address.rsplit_once(':') {
            Some((host, _)) => format!("{host}:0"),
            None => address.to_owned(),
        },
        _ => address.to_owned(),
    }
}

pub(crate) async fn migrate(common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let data = home::Home::open(&settings.data.dir)?;
    let Some(lock) = data.try_lock()? else {
        bail!("a switch serves {}; its schema is up to date", settings.data.dir.display());
    };
    boot::open_store(&settings).await?.close().await;
    drop(lock);
    println!("the schema is up to date");
    Ok(())
}

pub(crate) fn check(common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let rates = settings.read_rates()?;
    if rates.is_empty() {
        bail!("rates.file: no rates in it");
    }
    if settings.read_voice_rates()?.is_empty() {
        bail!("voice.rates_file: no rates in it");
    }
    if common.json {
        println!("{}", serde_json::to_string(&settings)?);
    } else {
        println!("the settings are good: {} carriers", settings.carriers.len());
    }
    Ok(())
}

async fn start(settings: Settings, live: SandboxLive) -> Result<Switch> {
    // TLS takes the process's provider; a second start in one process finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = boot::install_metrics()?;
    Box::pin(boot::boot(settings, live, metrics)).await
}

fn start_logs(settings: &Settings) -> Result<()> {
    // Actors are spans of theirs at level info, entered for each message: only for who asks for them.
    let level = format!("ractor=warn,{}", settings.log.level);
    let filter = EnvFilter::try_new(level).context("log.level")?;
    let ansi = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log.format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.with_ansi(ansi).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logs: {error}"))
}

/// Runs until SIGTERM, SIGINT, or the death of a part that nothing works without.
async fn until_told(mut switch: Switch) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        why = switch.failed() => Some(why),
    };
    if let Some(why) = failed {
        bail!("{why}; what was accepted is stored, start again");
    }
    tracing::info!("draining");
    if !Box::pin(switch.shut_down()).await {
        tracing::warn!("the grace time ran out; what was under way is in doubt at the next start");
    }
    Ok(())
}
