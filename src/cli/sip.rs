//! `orbit sip`: what an organization's phones register and call as, and who is shut out.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Common;
use super::desk::print;
use super::fields::Fields;
use crate::admin::{Request, SipRequest};

const FIELDS: Fields = Fields {
    lists: &["allowed_destinations"],
    texts: &["label", "extension", "caller_id", "sip_username"],
    example: "extension=100",
};

#[derive(Subcommand)]
pub(crate) enum SipCommand {
    /// Makes a credential; its password is shown once.
    Add {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// What the telephone registers as; made when left out.
        #[arg(long)]
        username: Option<String>,
        /// What the organization's other telephones call it by: 2 to 8 digits.
        #[arg(long)]
        extension: Option<String>,
        /// Further fields as the API names them: `label=Desk`, `allowed_destinations=+1,+44`.
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists credentials, and where their phones are registered.
    List {
        /// `org_…`
        #[arg(long)]
        organization: String,
        #[command(flatten)]
        common: Common,
    },
    /// Shows a credential.
    Show(Named),
    /// Changes fields of a credential.
    Set {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// Its username, or `sip_…`.
        credential: String,
        /// As with `add`; `null` for none, `status=suspended` to let it in no more.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Gives a credential another password, shown once; its phones must come again.
    Rotate(Named),
    /// Drops the registrations of a credential; its phones may come again.
    Unregister(Named),
    /// Revokes a credential for good.
    Remove(Named),
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

#[derive(Args)]
pub(crate) struct Named {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// Its username, or `sip_…`.
    credential: String,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: SipCommand) -> Result<()> {
    let named = |named: Named, request: fn(String) -> SipRequest| {
        (named.organization, named.common, request(named.credential))
    };
    let (organization_id, common, request) = match command {
        SipCommand::Bans(common) => return print(&common, Request::SipBans).await,
        SipCommand::Unban { address, common } => {
            return print(&common, Request::SipUnban { address }).await;
        }
        SipCommand::Add { organization, username, extension, fields, common } => {
            let mut fields = FIELDS.read(&fields)?;
            for (name, value) in [("sip_username", username), ("extension", extension)] {
                fields.extend(value.map(|value| (name.to_owned(), json!(value))));
            }
            (organization, common, SipRequest::Add { fields })
        }
        SipCommand::List { organization, common } => (organization, common, SipRequest::List),
        SipCommand::Show(one) => named(one, |credential| SipRequest::Show { credential }),
        SipCommand::Set { organization, credential, fields, common } => {
            let fields = FIELDS.read(&fields)?;
            (organization, common, SipRequest::Set { credential, fields })
        }
        SipCommand::Rotate(one) => named(one, |credential| SipRequest::Rotate { credential }),
        SipCommand::Unregister(one) => {
            named(one, |credential| SipRequest::Unregister { credential })
        }
        SipCommand::Remove(one) => named(one, |credential| SipRequest::Remove { credential }),
    };
    print(&common, Request::Sip { organization_id, request }).await
}
