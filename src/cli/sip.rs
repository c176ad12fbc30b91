//! `orbit sip`: what telephones register as, and who is shut out.

use anyhow::Result;
use clap::Subcommand;

use super::Common;
use super::desk::print;
use crate::admin::Request;

#[derive(Subcommand)]
pub(crate) enum SipCommand {
    /// Makes a credential, or gives one another password; it is shown once.
    Add {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// What the telephone registers as: small letters, digits, `-`, `_` and `.`.
        #[arg(long)]
        username: String,
        /// What the organization's other telephones call it by: 2 to 8 digits.
        #[arg(long)]
        extension: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists who is not answered for now: users of an address after too many wrong passwords, and whole
    /// addresses.
    Bans(Common),
    /// Lets an address and its users in again.
    Unban {
        address: String,
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) async fn run(command: SipCommand) -> Result<()> {
    match command {
        SipCommand::Add { organization, username, extension, common } => {
            let organization_id = organization;
            print(&common, Request::AddSipCredential { organization_id, username, extension }).await
        }
        SipCommand::Bans(common) => print(&common, Request::SipBans).await,
        SipCommand::Unban { address, common } => {
            print(&common, Request::SipUnban { address }).await
        }
    }
}
