//! `orbit trunk`: telephone systems of organizations, and the operator's own way to the public network.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Common;
use super::desk::print;
use super::fields::Fields;
use crate::admin::{Request, TrunkRequest};

const FIELDS: Fields = Fields {
    lists: &["inbound_uris", "codecs"],
    texts: &["name", "outbound_uri", "username", "password"],
    example: "outbound_uri=sip:pbx.example.com",
};

#[derive(Subcommand)]
pub(crate) enum TrunkCommand {
    /// Makes a trunk of an organization.
    Add {
        /// `org_…`
        #[arg(long)]
        organization: String,
        name: String,
        /// Fields as the API names them: `outbound_uri=sip:pbx.example.com`,
        /// `inbound_uris=203.0.113.7,198.51.100.0/24`.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists an organization's trunks, or those of the settings file, and how they are.
    List {
        /// `org_…`; without it those of the settings file.
        #[arg(long)]
        organization: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Shows a trunk.
    Show {
        /// `org_…`; without it one of the settings file.
        #[arg(long)]
        organization: Option<String>,
        /// Its name, or `trk_…`.
        trunk: String,
        #[command(flatten)]
        common: Common,
    },
    /// Changes fields of a trunk.
    Set {
        #[command(flatten)]
        named: Named,
        /// As with `add`; `null` for none, `status=disabled` to have no calls by it.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
    },
    /// Removes a trunk.
    Remove(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// Its name, or `trk_…`.
    trunk: String,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: TrunkCommand) -> Result<()> {
    let (organization_id, common, request) = match command {
        TrunkCommand::Add { organization, name, fields, common } => {
            let fields = FIELDS.read(&fields)?;
            (Some(organization), common, TrunkRequest::Add { name, fields })
        }
        TrunkCommand::List { organization, common } => (organization, common, TrunkRequest::List),
        TrunkCommand::Show { organization, trunk, common } => {
            (organization, common, TrunkRequest::Show { trunk })
        }
        TrunkCommand::Set { named: Named { organization, trunk, common }, fields } => {
            let fields = FIELDS.read(&fields)?;
            (Some(organization), common, TrunkRequest::Set { trunk, fields })
        }
        TrunkCommand::Remove(Named { organization, trunk, common }) => {
            (Some(organization), common, TrunkRequest::Remove { trunk })
        }
    };
    print(&common, Request::Trunk { organization_id, request }).await
}
