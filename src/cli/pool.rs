//! `orbit pool`: senders that an organization's messages go from in turn.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::desk::print;
use crate::admin::{PoolRequest, Request};

#[derive(Subcommand)]
pub(crate) enum PoolCommand {
    /// Makes a pool.
    Add {
        /// `org_…`
        #[arg(long)]
        organization: String,
        name: String,
        /// Fields as the API names them: `strategy=sticky`, `carrier_ids=a,b`; senders as JSON, or
        /// their values alone: `senders=+14155550100,+14155550101`.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Lists an organization's pools, and how often their senders were used today.
    List {
        /// `org_…`
        #[arg(long)]
        organization: String,
        #[command(flatten)]
        common: Common,
    },
    /// Shows a pool.
    Show(Named),
    /// Changes fields of a pool; `senders` are replaced whole.
    Set {
        /// `org_…`
        #[arg(long)]
        organization: String,
        /// Its name, or `spl_…`.
        pool: String,
        /// As with `add`; `null` for none.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Removes a pool that no scheduled message names.
    Remove(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// `org_…`
    #[arg(long)]
    organization: String,
    /// Its name, or `spl_…`.
    pool: String,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(command: PoolCommand) -> Result<()> {
    let (organization_id, common, request) = match command {
        PoolCommand::Add { organization, name, fields, common } => {
            (organization, common, PoolRequest::Add { name, fields: read(&fields)? })
        }
        PoolCommand::List { organization, common } => (organization, common, PoolRequest::List),
        PoolCommand::Show(Named { organization, pool, common }) => {
            (organization, common, PoolRequest::Show { pool })
        }
        PoolCommand::Set { organization, pool, fields, common } => {
            (organization, common, PoolRequest::Set { pool, fields: read(&fields)? })
        }
        PoolCommand::Remove(Named { organization, pool, common }) => {
            (organization, common, PoolRequest::Remove { pool })
        }
    };
    print(&common, Request::Pool { organization_id, request }).await
}

/// `field=value`, as JSON.
fn read(fields: &[String]) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for field in fields {
        let Some((name, value)) = field.split_once('=') else {
            bail!("{field} is not FIELD=VALUE, as strategy=sticky");
        };
        let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
        let value = match (name, value) {
            ("name", text) => json!(text),
            (_, "null") => Value::Null,
            ("senders", text) if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).context("senders are not JSON")?
            }
            ("senders", _) => items().map(|item| json!({ "value": item })).collect(),
            ("carrier_ids", _) => items().map(|item| json!(item)).collect(),
            (_, text) => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        };
        map.insert(name.to_owned(), value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_api_takes_them() {
        let given = ["name=7", "strategy=sticky", "sticky_ttl_days=10", "carrier_ids=a, b"];
        let given = given.into_iter().chain(["senders=+14155550100,Orbit"]);
        let given: Vec<String> = given.map(String::from).collect();
        let expected = json!({"name": "7", "strategy": "sticky", "sticky_ttl_days": 10,
            "carrier_ids": ["a", "b"],
            "senders": [{"value": "+14155550100"}, {"value": "Orbit"}]});
        assert_eq!(Value::Object(read(&given).unwrap()), expected);
        let whole = [String::from("senders=[{\"value\": \"Orbit\", \"daily_cap\": 5}]")];
        let expected = json!({"senders": [{"value": "Orbit", "daily_cap": 5}]});
        assert_eq!(Value::Object(read(&whole).unwrap()), expected);
        assert_eq!(read(&[String::from("carrier_ids=null")]).unwrap()["carrier_ids"], Value::Null);
        assert!(read(&[String::from("senders=[")]).is_err());
        assert!(read(&[String::from("strategy")]).is_err());
    }
}
