//! Where packets go: `c=`, the port of `m=`, `a=rtcp` (RFC 3605), `a=rtcp-mux` (RFC 5761).
//!
//! A name in the place of an address is given as such; nobody resolves it here. Addresses of zeros,
//! and port 0, are nowhere.

use std::net::{IpAddr, SocketAddr};

use super::{Media, network};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    /// The value of `c=`: `IN IP4 192.0.2.1`, perhaps with a TTL that counts for nothing here.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (network, _, host) = (words.next()?, words.next()?, words.next()?);
        if network != "IN" {
            return None;
        }
        let host = host.split('/').next().unwrap_or_default();
        match host.parse() {
            Ok(ip) => Some(Self::Ip(ip)),
            Err(_) if is_name(host) => Some(Self::Name(host.to_owned())),
            Err(_) => None,
        }
    }

    fn with(&self, port: u16) -> Option<SocketAddr> {
        match self {
            Self::Ip(ip) if !ip.is_unspecified() && port != 0 => Some(SocketAddr::new(*ip, port)),
            _ => None,
        }
    }
}

fn is_name(host: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    (1..=255).contains(&host.len()) && host.bytes().all(allowed)
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    pub rtp: Option<SocketAddr>,
    pub rtcp: Option<SocketAddr>,
    /// Both may come to the port of RTP.
    pub mux: bool,
}

impl Transport {
    pub(super) fn of(host: Option<Host>, media: &Media) -> Self {
        let Some(host) = host else { return Self::default() };
        let rtp = host.with(media.port());
        let mux = media.section.attribute("rtcp-mux").is_some();
        let named = media.section.attribute("rtcp").and_then(|value| {
            let (port, rest) = value.split_once(' ').unwrap_or((value, ""));
            let port = port.parse().ok()?;
            if rest.trim().is_empty() { host.with(port) } else { Host::parse(rest)?.with(port) }
        });
        // An odd port of RTP is taken as it is; RTCP is beside it unless it is said.
        let beside = || rtp.and_then(|rtp| host.with(rtp.port().checked_add(1)?));
        let rtcp = if mux { rtp } else { rtp.and(named.or_else(beside)) };
        Self { rtp, rtcp, mux }
    }
}

/// The value of `c=` for an address.
pub(super) fn connection(ip: IpAddr) -> String {
    network(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(line: &str) -> Option<Host> {
        Host::parse(line)
    }

    #[test]
    fn addresses_of_both_kinds_and_names_are_read() {
        let ip = |text: &str| Some(Host::Ip(text.parse().unwrap()));
        assert_eq!(host("IN IP4 192.0.2.1"), ip("192.0.2.1"));
        assert_eq!(host("IN IP4 224.2.1.1/127/3"), ip("224.2.1.1"));
        assert_eq!(host("IN  IP6 2001:db8::1 "), ip("2001:db8::1"));
        assert_eq!(host("IN IP4 media.example.com"), Some(Host::Name("media.example.com".into())));
        for bad in ["", "IN IP4", "ATM NSAP 1.2.3.4", "IN IP4 a b", "IN IP4 <x>", "IN IP4 /1"] {
            assert!(!matches!(host(bad), Some(Host::Ip(_))), "{bad}");
        }
        assert_eq!(host("IN IP4 <x>"), None);
    }
}
