//! `orbit carrier`: the platform's carriers, changed while the switch runs.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::desk::print;
use crate::admin::{CarrierRequest, Request};

#[derive(Subcommand)]
pub(crate) enum CarrierCommand {
    /// Makes a carrier; a running switch binds at once.
    Add(AddArgs),
    /// Changes settings of a carrier; only its own binds are made anew, and only if they must be.
    Set(SetArgs),
    /// Lists the platform's carriers, and those of the settings file.
    List(Common),
    /// Shows a carrier: its settings, and how each bind stands.
    Show(NameArgs),
    /// Takes messages again.
    Enable(NameArgs),
    /// Takes no more messages: finishes what is under way, and unbinds.
    Disable(NameArgs),
    /// Removes a carrier and what it binds as.
    Remove(NameArgs),
    /// Sends a message through a carrier, on an organization's account.
    Test(TestArgs),
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Unique; 1 to 64 letters, digits, - _ .
    name: String,
    #[arg(long)]
    host: String,
    /// 2775, or 3550 with TLS.
    #[arg(long)]
    port: Option<u16>,
    #[arg(long)]
    system_id: String,
    #[arg(long)]
    password: String,
    /// Any other setting of `[[carriers]]`, as tps=50 or prefixes=["44"]. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct SetArgs {
    name: String,
    /// As tps=50 or prefixes=["44"]; KEY=null is the default.
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct NameArgs {
    name: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(crate) struct TestArgs {
    name: String,
    /// Whose message it is: `org_…`
    #[arg(long)]
    organization: String,
    #[arg(long)]
    to: String,
    #[arg(long)]
    from: Option<String>,
    #[arg(long)]
    body: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: CarrierCommand) -> Result<()> {
    let (common, request) = match command {
        CarrierCommand::Add(args) => {
            let AddArgs { name, host, port, system_id, password, settings, common } = args;
            let mut settings = pairs(&settings)?;
            settings.insert(String::from("host"), json!(host));
            settings.insert(String::from("system_id"), json!(system_id));
            settings.insert(String::from("password"), json!(password));
            settings.extend(port.map(|port| (String::from("port"), json!(port))));
            (common, CarrierRequest::Add { name, settings })
        }
        CarrierCommand::Set(SetArgs { name, settings, common }) => {
            (common, CarrierRequest::Set { name, settings: pairs(&settings)? })
        }
        CarrierCommand::List(common) => (common, CarrierRequest::List),
        CarrierCommand::Show(NameArgs { name, common }) => (common, CarrierRequest::Show { name }),
        CarrierCommand::Enable(NameArgs { name, common }) => {
            (common, CarrierRequest::Enable { name, enabled: true })
        }
        CarrierCommand::Disable(NameArgs { name, common }) => {
            (common, CarrierRequest::Enable { name, enabled: false })
        }
        CarrierCommand::Remove(NameArgs { name, common }) => {
            (common, CarrierRequest::Remove { name })
        }
        CarrierCommand::Test(TestArgs { name, organization, to, from, body, common }) => {
            let organization_id = organization;
            (common, CarrierRequest::Test { name, organization_id, to, from, body })
        }
    };
    print(&common, Request::Carrier { request }).await
}

/// A value is JSON where it can be read so, else a text.
fn pairs(settings: &[String]) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for pair in settings {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("{pair} is not KEY=VALUE");
        };
        let value = match key {
            // A name of digits is a text all the same.
            "host" | "system_id" | "system_type" | "password" | "interface_version"
            | "default_sender" | "tls_ca_file" => json!(value),
            _ => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        };
        fields.insert(key.to_owned(), value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_by_their_kind() {
        let given = ["tps=50", "prefixes=[\"44\"]", "system_type=1", "tls=true", "concat=udh16"];
        let read = pairs(&given.map(String::from)).unwrap();
        let expected = json!({
            "tps": 50, "prefixes": ["44"], "system_type": "1", "tls": true, "concat": "udh16",
        });
        assert_eq!(Value::Object(read), expected);
        assert!(pairs(&[String::from("tps")]).is_err());
    }
}
