//! Via: the way back of an answer, RFC 3261 §18.2 and §20.42, RFC 3581.
//!
//! Branches without the magic cookie are those of RFC 2543: they identify nothing by themselves.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Params, Value};
use crate::grammar::{self, Cursor, Span, ValueError};
use crate::uri::{Host, host_port};

/// What every branch of RFC 3261 begins with.
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// How a message travels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Sctp,
    Ws,
    Wss,
    Other(Bytes),
}

impl Transport {
    /// Reads a token in any case.
    pub fn parse(text: &Bytes) -> Self {
        let known = [Self::Udp, Self::Tcp, Self::Tls, Self::Sctp, Self::Ws, Self::Wss];
        let found = known.into_iter().find(|one| one.as_bytes().eq_ignore_ascii_case(text));
        found.unwrap_or_else(|| Self::Other(text.clone()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Udp => b"UDP",
            Self::Tcp => b"TCP",
            Self::Tls => b"TLS",
            Self::Sctp => b"SCTP",
            Self::Ws => b"WS",
            Self::Wss => b"WSS",
            Self::Other(text) => text,
        }
    }

    /// A connection carries it, so it is not sent again and again until an answer comes.
    pub fn is_reliable(&self) -> bool {
        !matches!(self, Self::Udp | Self::Other(_))
    }

    /// The port when none is named.
    pub fn default_port(&self) -> u16 {
        match self {
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
            _ => 5060,
        }
    }
}

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    pub transport: Transport,
    /// Who sent it, by its own word.
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

/// What a Via says of rport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rport {
    Absent,
    /// The sender asks to be answered where it sent from.
    Asked,
    Port(u16),
}

impl Via {
    /// A Via of our own, that asks for rport.
    pub fn new(transport: Transport, host: Host, port: Option<u16>, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("branch", Some(branch.as_bytes()));
        params.set("rport", None);
        Self { transport, host, port, params }
    }

    /// The branch as it stands, of either RFC.
    pub fn branch(&self) -> Option<&[u8]> {
        self.params.get("branch")
    }

    /// The branch if it identifies a transaction: the magic cookie (in any case) and more.
    pub fn unique_branch(&self) -> Option<&[u8]> {
        self.branch().filter(|branch| {
            let (cookie, rest) = branch.split_at(branch.len().min(MAGIC_COOKIE.len()));
            cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty()
        })
    }

    /// Where it came from, as the receiver wrote.
    pub fn received(&self) -> Option<IpAddr> {
        Host::parse(&self.params.slice("received")?)?.ip()
    }

    pub fn rport(&self) -> Rport {
        match self.params.find("rport") {
            None => Rport::Absent,
            Some(value) => value.and_then(grammar::number).map_or(Rport::Asked, Rport::Port),
        }
    }

    pub fn maddr(&self) -> Option<Host> {
        Host::parse(&self.params.slice("maddr")?)
    }

    pub fn ttl(&self) -> Option<u8> {
        self.params.get("ttl").and_then(grammar::number)
    }

    /// Notes where the request really came from, RFC 3261 §18.2.1 and RFC 3581 §4: `received`
    /// when it differs from what the sender says or rport is asked for, and then the port.
    pub fn note_source(&mut self, address: IpAddr, port: u16) {
        let asked = self.rport() != Rport::Absent;
        if asked {
            self.params.set("rport", Some(port.to_string().as_bytes()));
        }
        if asked || self.host.ip() != Some(address) {
            self.params.set("received", Some(address.to_string().as_bytes()));
        } else {
            self.params.remove("received");
        }
    }
}

impl Value for Via {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("Via", text);
        cursor.spaces();
        let mut parts = [Span::default(); 3];
        for (at, part) in parts.iter_mut().enumerate() {
            *part = cursor.token("no protocol, version and transport")?;
            if at < 2 {
                cursor.spaces();
                if !cursor.eat(b'/') {
                    return Err(cursor.error("no protocol, version and transport"));
                }
                cursor.spaces();
            }
        }
        let [protocol, _version, transport] = parts;
        if !protocol.of(text).eq_ignore_ascii_case(b"SIP") {
            return Err(cursor.error("another protocol"));
        }
        let gap = cursor.at();
        cursor.spaces();
        if cursor.at() == gap {
            return Err(cursor.error("no white space before the sender"));
        }
        let (host, port) = host_port(&mut cursor, text, true)?;
        let params = Params::parse("Via", text, cursor.at())?;
        let transport = Transport::parse(&text.slice(transport.range()));
        Ok(Self { transport, host, port, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SIP/2.0/");
        out.extend_from_slice(self.transport.as_bytes());
        out.push(b' ');
        self.host.write(out);
        if let Some(port) = self.port {
            out.push(b':');
            out.extend_from_slice(port.to_string().as_bytes());
        }
        self.params.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Via, ValueError> {
        Via::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_via_with_everything() {
        let via = parse(
            "SIP / 2.0  /  udp [2001:db8::9:1] : 5070 ; branch = z9hG4bKx;rport=9;received=192.0.2.1;maddr=e.org;ttl=16",
        )
        .unwrap();
        assert_eq!((&via.transport, via.port), (&Transport::Udp, Some(5070)));
        assert_eq!(via.host.to_string(), "[2001:db8::9:1]");
        assert_eq!(via.unique_branch(), Some(&b"z9hG4bKx"[..]));
        assert_eq!((via.rport(), via.ttl()), (Rport::Port(9), Some(16)));
        assert_eq!(via.received(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(via.maddr().unwrap().to_string(), "e.org");
        assert_eq!(Via::parse(&via.to_bytes()), Ok(via));
    }

    #[test]
    fn old_and_empty_branches_identify_nothing() {
        for text in [
            "SIP/2.0/UDP a.example",
            "SIP/2.0/UDP a.example;branch=390skdjuw",
            "SIP/2.0/UDP a.example;branch=z9hG4bK",
        ] {
            assert_eq!(parse(text).unwrap().unique_branch(), None);
        }
        assert!(parse("SIP/2.0/UDP a;branch=Z9HG4BKx").unwrap().unique_branch().is_some());
    }

    #[test]
    fn the_source_is_noted_where_it_is_news_or_asked_for() {
        let mut via = parse("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa").unwrap();
        via.note_source("192.0.2.1".parse().unwrap(), 5060);
        assert_eq!(via.to_bytes(), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa");
        via.note_source("2001:db8::1".parse().unwrap(), 5060);
        assert_eq!(via.to_bytes(), "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;received=2001:db8::1");
        assert_eq!(via.received(), Some("2001:db8::1".parse().unwrap()));
        let mut via = parse("SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bKa").unwrap();
        via.note_source("192.0.2.1".parse().unwrap(), 40_000);
        let written = "SIP/2.0/UDP 192.0.2.1;rport=40000;branch=z9hG4bKa;received=192.0.2.1";
        assert_eq!(via.to_bytes(), written);
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for bad in [
            "",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "HTTP/1.1/TCP a",
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/2.0/UDP a:0x",
            "SIP/2.0/UDP a:65536",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP a b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
