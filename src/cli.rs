//! The commands. Results go to standard output, everything else to standard error.

mod calls;
mod carrier;
mod desk;
mod fields;
mod interceptor;
mod listen;
mod number;
mod pool;
mod route;
mod send;
mod sender;
mod serve;
mod simulate;
mod sip;
mod smpp;
mod tail;
mod trunk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::settings::{self, Settings, SettingsError};

#[derive(Parser)]
#[command(name = "orbit", version, about = "A telecom switch and communications platform")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on this machine, offline: sandbox, an organization with credit, its key.
    Dev(serve::DevArgs),
    /// Runs the switch.
    Serve(serve::ServeArgs),
    /// Brings the database's schema up to date.
    Migrate(Common),
    /// Looks at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints the OpenAPI document of the REST API.
    Openapi,
    /// Organizations.
    #[command(subcommand)]
    Org(desk::OrgCommand),
    /// API keys.
    #[command(subcommand)]
    Key(desk::KeyCommand),
    /// Adds credit to an organization's wallet.
    Topup(desk::TopUpArgs),
    /// What customers bind as.
    #[command(subcommand)]
    Smpp(smpp::SmppCommand),
    /// What phones register and call as.
    #[command(subcommand)]
    Sip(sip::SipCommand),
    /// The stock of phone numbers, and who has which.
    #[command(subcommand)]
    Number(number::NumberCommand),
    /// Telephone systems that calls go to and come from.
    #[command(subcommand)]
    Trunk(trunk::TrunkCommand),
    /// Rules on messages: which there are, and what they would do.
    #[command(subcommand)]
    Interceptor(interceptor::InterceptorCommand),
    /// Whom we bind to.
    #[command(subcommand)]
    Carrier(carrier::CarrierCommand),
    /// Senders that an organization's messages go from in turn.
    #[command(subcommand)]
    Pool(pool::PoolCommand),
    /// Sends one message by the REST API.
    Send(send::SendArgs),
    /// Calls of an organization.
    #[command(subcommand)]
    Calls(calls::CallsCommand),
    /// What became of the legs of calls.
    Cdrs(calls::CdrArgs),
    /// Brings events to a program on this machine.
    Listen(listen::ListenArgs),
    /// Follows messages live.
    Tail(tail::TailArgs),
    /// What waits for carriers.
    #[command(subcommand)]
    Queue(desk::QueueCommand),
    /// Which carriers take which messages.
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// Receipts that matched no message.
    Orphans(desk::OrphanArgs),
    /// What was set aside because it fails whoever touches it.
    Quarantine(Common),
    /// Stand-ins for the other side, to try a profile before it goes live.
    #[command(subcommand)]
    Simulate(simulate::SimulateCommand),
    /// Registered senders: which wait, and whether they may.
    #[command(subcommand)]
    Sender(sender::SenderCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Reads the settings and says what is wrong with them.
    Check(Common),
}

/// Where the settings are, and how answers look.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Settings file; without it the defaults and ORBIT__… variables.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answers as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Common {
    pub(crate) fn settings(&self) -> Result<Settings, SettingsError> {
        self.settings_with(Vec::new())
    }

    pub(crate) fn settings_with(
        &self,
        overrides: Vec<(String, String)>,
    ) -> Result<Settings, SettingsError> {
        Settings::load(self.config.as_deref(), settings::environment(), overrides)
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Serve(_) | Command::Dev(_)) {
        crate::descriptors::make_room();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("orbit: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(Box::pin(run(cli.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orbit: {error:#}");
            ExitCode::from(if error.is::<SettingsError>() { 64 } else { 1 })
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(args) => serve::dev(args).await,
        Command::Serve(args) => serve::serve(args).await,
        Command::Migrate(common) => serve::migrate(&common).await,
        Command::Config(ConfigCommand::Check(common)) => serve::check(&common),
        Command::Openapi => {
            println!("{}", crate::api::document());
            Ok(())
        }
        Command::Org(command) => desk::org(command).await,
        Command::Key(command) => desk::key(command).await,
        Command::Topup(args) => desk::top_up(args).await,
        Command::Smpp(command) => smpp::run(command).await,
        Command::Sip(command) => sip::run(command).await,
        Command::Number(command) => number::run(command).await,
        Command::Trunk(command) => trunk::run(command).await,
        Command::Interceptor(command) => interceptor::run(command).await,
        Command::Carrier(command) => carrier::run(command).await,
        Command::Pool(command) => pool::run(command).await,
        Command::Send(args) => send::send(args).await,
        Command::Calls(command) => calls::run(command).await,
        Command::Cdrs(args) => calls::cdrs(args).await,
        Command::Listen(args) => listen::listen(args).await,
        Command::Tail(args) => tail::tail(args).await,
        Command::Queue(command) => desk::queue(command).await,
        Command::Route(command) => route::run(command).await,
        Command::Orphans(args) => desk::orphans(args).await,
        Command::Quarantine(common) => desk::quarantine(&common).await,
        Command::Simulate(command) => simulate::run(command).await,
        Command::Sender(command) => sender::run(command).await,
    }
}
