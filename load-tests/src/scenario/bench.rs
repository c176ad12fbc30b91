//! What the scenarios of SMPP customers begin with: a carrier, a switch that lets customers bind,
//! and accounts to bind as.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::flow::until;
use crate::api::Api;
use crate::esme::Door;
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::{Scratch, free_port};
use crate::switch::{Switch, SwitchArgs};

const BIND_TIME: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) smsc: Smsc,
    pub(crate) switch: Switch,
    /// Where customers bind.
    address: SocketAddr,
    _scratch: Scratch,
}

impl Bench {
    /// Starts carrier and switch; `smpp` are lines of that section of the settings, `more` follows
    /// behind it.
    pub(crate) async fn start(
        name: &str,
        args: &SwitchArgs,
        options: &SmscOptions,
        (smpp, more): (&str, &str),
    ) -> Result<Self> {
        let scratch = Scratch::new(name, args.keep_files)?;
        let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), options.clone())?;
        let mut switch = Switch::prepare(args, scratch.path(), &smsc, options)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        switch.add_settings(&format!("\n[smpp]\nbind = \"{address}\"\n{smpp}\n{more}"))?;
        switch.serve().await?;
        let binds = u64::from(args.carrier_connections);
        if !until(&smsc, BIND_TIME, |stats| stats.binds >= binds).await {
            bail!("the carrier was not bound: {}", switch.last_words());
        }
        Ok(Self { smsc, switch, address, _scratch: scratch })
    }

    /// An account of the organization of `key`, with what `settings` says of it.
    pub(crate) async fn account(
        &self,
        key: &str,
        system_id: &str,
        settings: &Value,
    ) -> Result<Door> {
        let password = "secret-4";
        let mut account = json!({"system_id": system_id, "password": password});
        if let (Some(account), Some(settings)) = (account.as_object_mut(), settings.as_object()) {
            account.extend(settings.clone());
        }
        let mut api = Api::new(self.switch.address, key);
        api.create("/api/v1/smpp/accounts", &account.to_string()).await?;
        Ok(Door::new(self.address, system_id, password))
    }
}
