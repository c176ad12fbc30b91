//! A switch whose telephone calls a carrier of its own, and what its books say afterwards.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::agents::{Agents, Way, Who};
use crate::api::{Api, Balance};
use crate::client::Client;
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::{self, Scratch, free_port};
use crate::switch::{Switch, SwitchArgs};

/// What is called, and what a minute there costs: in steps of a second, so that each second shows.
const CALLED: &str = "+14155559999";
pub(super) const MINUTE_MICROS: i64 = 60_000;
const RATES: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,connect_fee_micros,\
valid_from,valid_to\n1,outbound,60000,1,1,0,,\n";
/// Money that is put aside is free again within this time.
const SETTLED: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);

pub(super) struct Bench {
    pub(super) switch: Switch,
    opening: Balance,
    postgres: bool,
    _smsc: Smsc,
    _scratch: Scratch,
}

/// Where the carrier is.
pub(super) fn callee() -> Result<UdpSocket> {
    Ok(UdpSocket::bind(("127.0.0.1", free_port()?))?)
}

pub(super) fn uri(host: &str) -> String {
    format!("sip:{CALLED}@{host}")
}

impl Bench {
    /// Starts the switch and gives it a telephone, with callers who are it and a callee who is its carrier.
    /// `voice` is added to the settings of that name.
    pub(super) async fn start(
        name: &str,
        (args, smsc): (&SwitchArgs, &SmscOptions),
        core: Option<usize>,
        voice: &str,
    ) -> Result<(Self, Agents)> {
        let callee = callee()?;
        let scratch = Scratch::new(name, args.keep_files)?;
        let sip = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let rates = scratch.file("rates.csv");
        std::fs::write(&rates, RATES)?;
        let settings = format!(
            "\n[sip]\nbind = \"{sip}\"\n\n[media]\nbind = \"127.0.0.1\"\nnetworks = [\"127.0.0.0/8\"]\n\
             port_min = 16384\nport_max = 60000\nport_rest_s = 1\n\n\
             [voice]\ntrust_caller_ids = true\nrates_file = \"{}\"\n{voice}\n\
             [[egress.trunks]]\nname = \"carrier\"\nhost = \"127.0.0.1\"\nport = {}\n",
            rates.display(),
            callee.local_addr()?.port(),
        );
        let carrier = Smsc::start(([127, 0, 0, 1], 0).into(), smsc.clone())?;
        let mut switch = Switch::prepare(args, scratch.path(), &carrier, smsc)?;
        switch.add_settings(&settings)?;
        switch.core = core;
        switch.serve().await?;
        let who = telephone(&switch).await?;
        let way = Way { uri: uri(&who.realm), to: sip, who: Some(who) };
        let agents = Agents::new(callee, way)?;
        let opening = Api::new(switch.address, &switch.key).balance().await?;
        let postgres = args.uses_postgres();
        Ok((Self { switch, opening, postgres, _smsc: carrier, _scratch: scratch }, agents))
    }

    /// Reads the time that the switch, and a database server beside it, have used.
    pub(super) fn cpu(&self) -> impl Fn() -> u64 + use<> {
        let (id, postgres) = (self.switch.id(), self.postgres);
        move || {
            let server = if postgres { process::cpu_micros_of_all("postgres").0 } else { 0 };
            process::cpu_micros(id) + server
        }
    }

    /// From here on it is asked what calls cost.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        self.opening = self.settled().await?;
        Ok(())
    }

    /// Waits until nothing is put aside; what is wrong with the money of so many calls of a second each.
    pub(super) async fn books(&mut self, answered: u64) -> Result<Vec<String>> {
        let closing = self.settled().await?;
        let mut problems = Vec::new();
        if closing.held_micros != 0 {
            problems.push(format!("{} micros are still held", closing.held_micros));
        }
        let spent = self.opening.available_micros - closing.available_micros;
        let price = answered as i64 * MINUTE_MICROS / 60;
        if spent != price {
            problems.push(format!("{answered} calls cost {spent} micros, not {price}"));
        }
        Ok(problems)
    }

    /// The balance once nothing is put aside any more, or as it is when the time is up.
    pub(super) async fn settled(&mut self) -> Result<Balance> {
        let mut api = Api::new(self.switch.address, &self.switch.key);
        let deadline = Instant::now() + SETTLED;
        loop {
            let balance = api.balance().await?;
            if balance.held_micros == 0 || Instant::now() > deadline {
                return Ok(balance);
            }
            tokio::time::sleep(STEP).await;
        }
    }

    pub(super) fn spent(&self, closing: Balance) -> i64 {
        self.opening.available_micros - closing.available_micros
    }
}

/// A credential that may call from a number.
async fn telephone(switch: &Switch) -> Result<Who> {
    let body = r#"{"label":"load","allowed_outbound":true,"caller_id":"+14155550100"}"#;
    let mut client = Client::new(switch.address);
    let (status, made) = client.post("/api/v1/sip-credentials", &switch.key, body).await?;
    ensure!(status == 201, "{status} {made}");
    let field = |name: &str| {
        let value: Option<&str> = made["data"][name].as_str();
        value.map(str::to_owned).with_context(|| format!("{name} in {made}"))
    };
    Ok(Who {
        user: field("sip_username")?,
        realm: field("sip_server")?,
        password: field("sip_password")?,
    })
}
