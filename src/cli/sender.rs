//! `orbit sender`: the operator looks at registered senders, and approves or rejects them.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Common;
use super::desk::print;
use crate::admin::Request;

#[derive(Subcommand)]
pub(crate) enum SenderCommand {
    /// Lists senders that wait for approval, with the country of each.
    List(Common),
    /// Lets a sender go to a country, where approval is asked for.
    Approve(DecideArgs),
    /// Refuses a sender for a country; an approval given before ends.
    Reject(DecideArgs),
}

#[derive(Args)]
pub(crate) struct DecideArgs {
    /// `sir_…`
    id: String,
    /// Two letters, as in GB.
    #[arg(long)]
    country: String,
    /// Told to the organization.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: SenderCommand) -> Result<()> {
    let (args, approved) = match command {
        SenderCommand::List(common) => return print(&common, Request::Senders).await,
        SenderCommand::Approve(args) => (args, true),
        SenderCommand::Reject(args) => (args, false),
    };
    let DecideArgs { id, country, reason, common } = args;
    print(&common, Request::DecideSender { id, country, approved, reason }).await
}
