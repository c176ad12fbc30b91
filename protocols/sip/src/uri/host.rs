//! Hosts: names, and addresses of IPv4 and IPv6, the latter in brackets.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;

use crate::grammar::{self, Cursor, ValueError};

/// Where a message goes or comes from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name as it came; its case does not matter.
    Name(Bytes),
    Ip(IpAddr),
}

impl Host {
    /// A name, or an address; one of IPv6 with or without its brackets.
    pub fn parse(text: &Bytes) -> Option<Self> {
        match &**text {
            [b'[', inner @ .., b']'] => ipv6(inner).map(Self::Ip),
            inner if inner.contains(&b':') => ipv6(inner).map(Self::Ip),
            name => {
                let ends = name.first().zip(name.last());
                let (first, last) = ends?;
                if !name.iter().all(|octet| is_name_octet(*octet))
                    || [*first, *last].contains(&b'-')
                {
                    return None;
                }
                if !first.is_ascii_digit() {
                    return Some(Self::Name(text.clone()));
                }
                let ip = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                Some(ip.map_or_else(|| Self::Name(text.clone()), Self::Ip))
            }
        }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// The same host: a name in any case, with or without the dot at its end.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ip(one), Self::Ip(two)) => one == two,
            (Self::Name(one), Self::Name(two)) => {
                let bare = |name: &Bytes| name.strip_suffix(b".").map_or(name.len(), <[u8]>::len);
                one[..bare(one)].eq_ignore_ascii_case(&two[..bare(two)])
            }
            _ => false,
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Name(name) => out.extend_from_slice(name),
            Self::Ip(ip) => out.extend_from_slice(bracketed(*ip).as_bytes()),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&String::from_utf8_lossy(name)),
            Self::Ip(ip) => f.write_str(&bracketed(*ip)),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A host at the cursor, and its port if a colon follows.
pub(crate) fn host_port(
    cursor: &mut Cursor<'_>,
    text: &Bytes,
    spaced: bool,
) -> Result<(Host, Option<u16>), ValueError> {
    let start = cursor.at();
    if cursor.peek() == Some(b'[') {
        cursor.while_(|octet| octet != b']');
        cursor.eat(b']');
    } else {
        cursor.while_(is_name_octet);
    }
    let host = Host::parse(&text.slice(start..cursor.at()));
    let host = host.ok_or_else(|| cursor.error("no host"))?;
    let end = cursor.at();
    if spaced {
        cursor.spaces();
    }
    if !cursor.eat(b':') {
        cursor.jump(end);
        return Ok((host, None));
    }
    if spaced {
        cursor.spaces();
    }
    let digits = cursor.while_(|octet| octet.is_ascii_digit());
    let port = grammar::number(digits.of(text)).filter(|port| *port > 0);
    let port = port.ok_or_else(|| cursor.error("no port"))?;
    Ok((host, Some(port)))
}

/// Letters, digits, hyphens and dots, and the underscore that some networks have in theirs.
fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_')
}

/// An address of IPv6. The grammar of RFC 3261 let a third colon stand before a trailing IPv4
/// address (RFC 5118 §4.10): it is read as two.
fn ipv6(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let read: Option<Ipv6Addr> = text.parse().ok();
    let read = read.or_else(|| match text.split_once(":::") {
        Some((before, after)) if after.contains('.') => format!("{before}::{after}").parse().ok(),
        _ => None,
    });
    read.map(IpAddr::V6)
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
