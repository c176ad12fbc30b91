//! SIP trunks: another telephone system, or a carrier, and how calls go to it and come from it.
//!
//! One model for both kinds. A customer's trunk is a row whose fields are JSON; those of the operator
//! stand in the settings file, and only they lead to the public network.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::message::coded;
use crate::network::Network;

coded! {
    /// How signalling travels.
    Transport {
        Udp = 1 "udp",
        Tcp = 2 "tcp",
        Tls = 3 "tls",
    }
}

coded! {
    /// What of a call is kept from who listens on the way.
    Encryption {
        None = 1 "none",
        /// Signalling alone.
        Tls = 2 "tls",
        /// Signalling, and media with keys from the session description.
        TlsSrtp = 3 "tls_srtp",
    }
}

/// Trunks of one organization.
pub const TRUNKS_MAX: i64 = 100;
/// Addresses that one trunk calls from.
pub const SOURCES_MAX: usize = 20;
pub const NAME_CHARS_MAX: usize = 100;
pub const CHANNELS: i64 = 30;
pub const CHANNELS_MAX: i64 = 10_000;
pub const PING_S: i64 = 30;
pub const PING_S_MAX: i64 = 3_600;
/// The codecs that media is relayed in, as session descriptions name them.
pub const CODECS: &[&str] = &["PCMU", "PCMA", "G722", "opus"];
/// Those of a trunk that says nothing.
pub const CODECS_USUAL: &[&str] = &["PCMU", "PCMA"];
/// Bits of the widest network that a customer's trunk may call from: IPv4, IPv6.
const WIDEST: (u8, u8) = (24, 48);
const HOST_MAX: usize = 253;
const USER_MAX: usize = 64;

/// Where calls of a trunk are sent: `sip:pbx.example.com:5060;transport=tcp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// None: 5060, over TLS 5061.
    pub port: Option<u16>,
    pub transport: Transport,
}

impl Target {
    /// `sip:` and `sips:` addresses of a host, without a user, headers or parameters but `transport`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let secure = scheme.eq_ignore_ascii_case("sips");
        if !secure && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let said = match parameters {
            "" => None,
            one => {
                let (name, value) = one.split_once('=')?;
                let named = name.eq_ignore_ascii_case("transport");
                Some(Transport::parse(&value.to_ascii_lowercase()).filter(|_| named)?)
            }
        };
        let transport = match (secure, said) {
            (true, None | Some(Transport::Tls | Transport::Tcp)) => Transport::Tls,
            (true, Some(Transport::Udp)) => return None,
            (false, said) => said.unwrap_or(Transport::Udp),
        };
        let (host, port) = host_and_port(place)?;
        Some(Self { host, port, transport })
    }

    /// The address, if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "sip:[{}]", self.host)?,
            false => write!(f, "sip:{}", self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, ";transport={}", self.transport.as_str())
    }
}

fn host_and_port(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
            (host.to_owned(), port)
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            (host.to_ascii_lowercase(), if is_host(host) { port } else { return None })
        }
    };
    match port {
        None => Some((host, None)),
        Some(digits) => {
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            let port = digits.parse().ok().filter(|port: &u16| plain && *port > 0)?;
            Some((host, Some(port)))
        }
    }
}

/// A name or an IPv4 address: labels of letters, digits and dashes.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= HOST_MAX && text.split('.').all(label)
}

/// Who calls in from a trunk: an address, a network, or a name whose addresses count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Network(Network),
    Host(String),
}

impl Source {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(network) = Network::parse(text) {
            return Some(Self::Network(network));
        }
        // What looks like an address and is none is no name either.
        let numeric = text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.is_empty() || last.bytes().all(|b| b.is_ascii_digit()));
        (is_host(text) && !numeric).then(|| Self::Host(text.to_ascii_lowercase()))
    }

    /// Whether a customer may say so: not a network of half the world.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        match self {
            Self::Host(_) => true,
            Self::Network(network) if network.is_ipv4() => network.bits() >= WIDEST.0,
            Self::Network(network) => network.bits() >= WIDEST.1,
        }
    }
}

/// A name to authenticate as.
#[must_use]
pub fn is_username(text: &str) -> bool {
    (1..=USER_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b':'))
}

/// All that a customer's trunk is beside its name and password; stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkSettings {
    /// None: calls come in by it, and none go out.
    pub outbound_uri: Option<String>,
    pub inbound_uris: Vec<String>,
    pub username: Option<String>,
    /// As they are preferred.
    pub codecs: Vec<String>,
    pub encryption: String,
    /// We register there, so that it knows where we are.
    pub register: bool,
    pub options_ping_seconds: i64,
    pub max_channels: i64,
}

impl Default for TrunkSettings {
    fn default() -> Self {
        Self {
            outbound_uri: None,
            inbound_uris: Vec::new(),
            username: None,
            codecs: CODECS_USUAL.iter().map(|codec| (*codec).to_owned()).collect(),
            encryption: String::from(Encryption::None.as_str()),
            register: false,
            options_ping_seconds: PING_S,
            max_channels: CHANNELS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_a_port_and_a_transport() {
        let table = [
            ("sip:pbx.example.com", "pbx.example.com", None, Transport::Udp),
            ("SIP:PBX.example.com:5080", "pbx.example.com", Some(5080), Transport::Udp),
            ("sip:192.0.2.1;transport=TCP", "192.0.2.1", None, Transport::Tcp),
            ("sip:[2001:db8::1]:5061;transport=tls", "2001:db8::1", Some(5061), Transport::Tls),
            ("sips:pbx.example.com", "pbx.example.com", None, Transport::Tls),
            ("sips:pbx.example.com;transport=tcp", "pbx.example.com", None, Transport::Tls),
        ];
        for (text, host, port, transport) in table {
            let target = Target::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((&*target.host, target.port, target.transport), (host, port, transport));
            assert_eq!(Target::parse(&target.to_string()), Some(target), "{text}");
        }
        for bad in [
            "",
            "pbx.example.com",
            "tel:+1",
            "sip:",
            "sip:a@b",
            "sip:a b",
            "sip:a:0",
            "sip:a:x",
            "sip:a:70000",
            "sip:a;lr",
            "sip:a;transport=sctp",
            "sip:a;transport=tcp;lr",
            "sips:a;transport=udp",
            "sip:[::1",
            "sip:[x]",
            "sip:[::1]x",
            "sip:a?b=c",
            "sip:a:+5",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_source_is_a_network_or_a_name() {
        for (text, narrow) in [
            ("192.0.2.1", true),
            ("192.0.2.0/24", true),
            ("192.0.0.0/16", false),
            ("2001:db8::/48", true),
            ("2001:db8::/32", false),
            ("0.0.0.0/0", false),
            ("pbx.example.com", true),
        ] {
            assert_eq!(Source::parse(text).unwrap().is_narrow(), narrow, "{text}");
        }
        for bad in ["", "192.0.2", "192.0.2.256", "192.0.2.1/33", "a b", "a..b", "5060"] {
            assert_eq!(Source::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn settings_are_read_as_they_were_written() {
        let settings = TrunkSettings {
            outbound_uri: Some(String::from("sip:pbx.example.com")),
            ..TrunkSettings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<TrunkSettings>(&text).unwrap(), settings);
    }
}
