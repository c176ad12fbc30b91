//! `orbit smpp`: what customers bind as.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::Common;
use super::desk::print;
use super::fields::Fields;
use crate::admin::Request;

const FIELDS: Fields = Fields {
    lists: &["allowed_ips", "bind_types", "allowed_senders", "inbound_numbers"],
    texts: &["name", "default_sender", "default_sender_pool_id"],
    example: "tps=50",
};

#[derive(Subcommand)]
pub(crate) enum SmppCommand {
    /// Makes an account; its password is shown once.
    Add {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// What the ESME binds as: 1 to 15 characters.
        #[arg(long)]
        system_id: String,
        /// 4 to 64 characters; made when left out.
        #[arg(long)]
        password: Option<String>,
        /// `live` or `test`.
        #[arg(long, default_value = "live")]
        mode: String,
        /// Fields as the API names them: `tps=50`, `allowed_ips=10.0.0.0/8,192.0.2.1`.
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists accounts.
    List(Common),
    /// Shows an account.
    Show(Named),
    /// Changes fields of an account; its binds are asked to come again.
    Set {
        system_id: String,
        /// As the API names them: `tps=50`, `allowed_ips=10.0.0.0/8,192.0.2.1`, `outbind={"host":…}`;
        /// `null` for none.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Gives an account another password, shown once.
    Rotate(Named),
    /// Lets an account in no more; what it is owed waits.
    Disable(Named),
    /// Lets a disabled account in again.
    Enable(Named),
    /// Removes an account for good; what it is owed is not delivered.
    Remove(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    system_id: String,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: SmppCommand) -> Result<()> {
    let status = |named: Named, status: &str| {
        let fields = Map::from_iter([(String::from("status"), json!(status))]);
        (named.common, Request::SetSmppAccount { system_id: named.system_id, fields })
    };
    let (common, request) = match command {
        SmppCommand::Add { organization, system_id, password, mode, fields, common } => {
            let (organization_id, fields) = (organization, FIELDS.read(&fields)?);
            let request =
                Request::AddSmppAccount { organization_id, system_id, password, mode, fields };
            (common, request)
        }
        SmppCommand::List(common) => (common, Request::ListSmppAccounts),
        SmppCommand::Show(Named { system_id, common }) => {
            (common, Request::ShowSmppAccount { system_id })
        }
        SmppCommand::Set { system_id, fields, common } => {
            (common, Request::SetSmppAccount { system_id, fields: FIELDS.read(&fields)? })
        }
        SmppCommand::Rotate(Named { system_id, common }) => {
            (common, Request::RotateSmppPassword { system_id })
        }
        SmppCommand::Disable(named) => status(named, "disabled"),
        SmppCommand::Enable(named) => status(named, "enabled"),
        SmppCommand::Remove(Named { system_id, common }) => {
            (common, Request::RemoveSmppAccount { system_id })
        }
    };
    print(&common, request).await
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn fields_are_read_as_the_api_takes_them() {
        let given = ["tps=50", "allowed_ips=10.0.0.0/8,192.0.2.1", "bind_types=", "name=7"];
        let given = given.into_iter().chain(["default_sender=null", "once_by_reference=true"]);
        let given: Vec<String> = given.chain(["id_format=hex"]).map(String::from).collect();
        let expected = json!({
            "tps": 50, "allowed_ips": ["10.0.0.0/8", "192.0.2.1"], "bind_types": [], "name": "7",
            "default_sender": null, "once_by_reference": true, "id_format": "hex",
        });
        assert_eq!(Value::Object(FIELDS.read(&given).unwrap()), expected);
        let object =
            FIELDS.read(&[String::from("outbind={\"host\": \"a\", \"port\": 1}")]).unwrap();
        assert_eq!(object["outbind"], json!({"host": "a", "port": 1}));
        assert!(FIELDS.read(&[String::from("tps")]).is_err());
        assert!(FIELDS.read(&[String::from("outbind={")]).is_err());
    }
}
