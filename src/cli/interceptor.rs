//! `orbit interceptor`: the rules on messages, and what they would do to one.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Common;
use super::desk::print;
use crate::admin::{Request, Trial};

#[derive(Subcommand)]
pub(crate) enum InterceptorCommand {
    /// Lists the operator's rules, in order, and an organization's own behind them.
    List {
        /// `org_…`
        #[arg(long)]
        organization: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Says which rules match a message and what would be done. Nothing is sent.
    Test(TestArgs),
}

#[derive(Args)]
pub(crate) struct TestArgs {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// `+` and a phone number.
    #[arg(long)]
    to: String,
    #[arg(long)]
    from: Option<String>,
    #[arg(long, default_value = "")]
    body: String,
    /// The SMPP account it comes by.
    #[arg(long)]
    account: Option<String>,
    /// `transactional`, `otp`, `service` or `marketing`.
    #[arg(long)]
    category: Option<String>,
    /// When, as 2026-01-01T23:00:00Z; now when left out.
    #[arg(long)]
    at: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: InterceptorCommand) -> Result<()> {
    match command {
        InterceptorCommand::List { organization: organization_id, common } => {
            print(&common, Request::Interceptors { organization_id }).await
        }
        InterceptorCommand::Test(args) => {
            let TestArgs { organization, to, from, body, account, category, at, common } = args;
            let organization_id = organization;
            let trial = Trial { organization_id, to, from, body, account, category, at };
            print(&common, Request::TestInterceptors { trial }).await
        }
    }
}
