//! `orbit route simulate`: where a message would go now, and what became of every carrier.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Common;
use super::desk::print;
use crate::admin::Request;

#[derive(Subcommand)]
pub(crate) enum RouteCommand {
    /// Tells where a live message would go; nothing is sent. Asks the running switch.
    Simulate(SimulateArgs),
}

#[derive(Args)]
pub(crate) struct SimulateArgs {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// E.164, as in +14155550123.
    #[arg(long)]
    to: String,
    /// Left out: the carrier's default, or the switch's.
    #[arg(long)]
    from: Option<String>,
    /// `transactional`, `otp`, `service` or `marketing`.
    #[arg(long)]
    category: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: RouteCommand) -> Result<()> {
    let RouteCommand::Simulate(SimulateArgs { organization, to, from, category, common }) = command;
    let request = Request::SimulateRoute { organization_id: organization, to, from, category };
    print(&common, request).await
}
