//! The operator's own trunks, the only way to the public network: `[egress] [[egress.trunks]]`.

use std::collections::HashSet;

use model::trunk::{CODECS, Encryption, Source, Transport, is_host, is_username};
use serde::{Deserialize, Serialize};

use super::carrier::Secret;
use super::{Faults, some_text};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    pub allow_tenant_trunks: bool,
    pub trunks: Vec<EgressTrunk>,
}

/// What calls do on a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Both,
    Outbound,
    Inbound,
}

/// One of them; docs/trunks.md.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EgressTrunk {
    pub name: String,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default, deserialize_with = "some_text")]
    pub host: Option<String>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default = "udp")]
    pub transport: String,
    #[serde(default = "none")]
    pub encryption: String,
    #[serde(default, deserialize_with = "some_text")]
    pub username: Option<String>,
    #[serde(default = "empty")]
    pub password: Secret,
    #[serde(default)]
    pub register: bool,
    #[serde(default)]
    pub inbound: Vec<String>,
    #[serde(default)]
    pub prefixes: Vec<String>,
    #[serde(default)]
    pub priority: i64,
    #[serde(default = "one")]
    pub weight: u32,
    #[serde(default)]
    pub max_cps: u32,
    #[serde(default)]
    pub max_channels: u32,
    #[serde(default = "usual_codecs")]
    pub codecs: Vec<String>,
    #[serde(default = "half_a_minute")]
    pub options_ping_s: u64,
}

fn udp() -> String {
    String::from(Transport::Udp.as_str())
}

fn none() -> String {
    String::from(Encryption::None.as_str())
}

fn empty() -> Secret {
    Secret::from(String::new())
}

fn one() -> u32 {
    1
}

fn half_a_minute() -> u64 {
    30
}

fn usual_codecs() -> Vec<String> {
    model::trunk::CODECS_USUAL.iter().map(|codec| (*codec).to_owned()).collect()
}

impl Egress {
    pub(super) fn check(&self, faults: &mut Faults) {
        let mut names = HashSet::new();
        for (at, trunk) in self.trunks.iter().enumerate() {
            let key = format!("egress.trunks[{at}]");
            trunk.check(&key, faults);
            let fresh = names.insert(trunk.name.to_lowercase());
            let expected = format!("unique; \"{}\" is there already", trunk.name);
            faults.unless(fresh, &key, "name", &expected);
        }
    }
}

impl EgressTrunk {
    fn check(&self, key: &str, faults: &mut Faults) {
        let named = (1..=100).contains(&self.name.chars().count());
        faults.unless(named, key, "name", "1 to 100 characters");
        let host = self.host.as_deref();
        let goes = self.direction != Direction::Inbound;
        let fits =
            host.is_none_or(|host| is_host(host) || host.parse::<std::net::Ipv6Addr>().is_ok());
        faults.unless(fits, key, "host", "a host name or address");
        let expected = "a host name or address, unless the direction is inbound";
        faults.unless(!goes || host.is_some(), key, "host", expected);
        faults.unless(self.port != Some(0), key, "port", "1 to 65535");
        let transport = Transport::parse(&self.transport);
        faults.unless(transport.is_some(), key, "transport", "udp, tcp or tls");
        let encryption = Encryption::parse(&self.encryption);
        faults.unless(encryption.is_some(), key, "encryption", "none, tls or tls_srtp");
        let sealed = encryption == Some(Encryption::None) || transport == Some(Transport::Tls);
        faults.unless(sealed || !goes, key, "transport", "tls, as the encryption asks for");
        let user = self.username.as_deref();
        faults.unless(user.is_none_or(is_username), key, "username", "1 to 64 visible characters");
        let registers = !self.register || (goes && user.is_some());
        faults.unless(registers, key, "register", "false, unless there are a host and a username");
        let bad = self.inbound.iter().find(|text| Source::parse(text).is_none());
        if let Some(bad) = bad {
            let expected = format!("addresses, networks and host names, not \"{bad}\"");
            faults.unless(false, key, "inbound", &expected);
        }
        let digits = |prefix: &String| {
            (1..=15).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_digit())
        };
        let fits = self.prefixes.iter().all(digits);
        faults.unless(fits, key, "prefixes", "first digits of numbers, without +");
        let fits =
            !self.codecs.is_empty() && self.codecs.iter().all(|c| CODECS.contains(&c.as_str()));
        faults.unless(fits, key, "codecs", &format!("some of {}", CODECS.join(", ")));
        faults.range(u64::from(self.weight), 1..=1_000, key, "weight");
        faults.range(u64::from(self.max_cps), 0..=100_000, key, "max_cps");
        faults.range(u64::from(self.max_channels), 0..=1_000_000, key, "max_channels");
        faults.range(self.options_ping_s, 0..=3_600, key, "options_ping_s");
    }
}
