//! From a URI to a way: what a request to it goes over.
//!
//! Addresses go at once; names are asked for, no longer than two seconds. Addresses of private networks
//! are nowhere unless the operator says otherwise, so that no customer's route leads into our own network.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proto_sip::Uri;
use proto_sip::header::Transport;
use proto_sip::uri::{Host, Scheme};

use super::super::flow::{Flow, Kind};
use super::super::transport::Wire;
use crate::customer::webhook::guard::is_public;
use crate::smpp::tls::Tls;

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn kind_of(uri: &Uri) -> Option<Kind> {
    let secure = uri.scheme() == Scheme::Sips;
    match uri.transport() {
        None | Some(Transport::Udp) if !secure => Some(Kind::Udp),
        Some(Transport::Tcp) if !secure => Some(Kind::Tcp),
        None | Some(Transport::Tls | Transport::Tcp) => Some(Kind::Tls),
        _ => None,
    }
}

/// The address that stands in a URI, for who is spoken to over this flow already: the other end's word
/// counts for another host of the public network, and for another port of the same host.
#[must_use]
pub(super) fn literal(uri: &Bytes, flow: Flow) -> Option<SocketAddr> {
    let uri = Uri::parse(uri).ok()?;
    let address = SocketAddr::new(uri.host()?.ip()?, uri.port().unwrap_or(5_060));
    let same_host = address.ip() == flow.peer().ip();
    let fits = flow.is_udp() && kind_of(&uri) == Some(Kind::Udp) && address != flow.peer();
    (fits && (same_host || is_public(address.ip()))).then_some(address)
}

/// A way to what a URI names: over UDP, or a connection that is there or is opened now.
pub(super) async fn resolve(
    wire: &Wire,
    uri: &Bytes,
    tls: Option<&Tls>,
    may_reach: impl Fn(IpAddr) -> bool,
) -> Option<Flow> {
    let uri = Uri::parse(uri).ok()?;
    let kind = kind_of(&uri)?;
    let port = uri.port().unwrap_or(if kind == Kind::Tls { 5_061 } else { 5_060 });
    let host = uri.host()?;
    let address = match host {
        Host::Ip(ip) => SocketAddr::new(*ip, port),
        Host::Name(name) => {
            let name = std::str::from_utf8(name).ok()?;
            let asked = tokio::net::lookup_host((name, port));
            let mut found = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
            found.find(|address| may_reach(address.ip()))?
        }
    };
    if !may_reach(address.ip()) {
        return None;
    }
    match kind {
        Kind::Tcp => Some(wire.connect(address, None)),
        Kind::Tls => {
            let name = host.to_string().trim_matches(['[', ']']).to_owned();
            Some(wire.connect(address, Some((tls?.clone(), name))))
        }
        other => wire.find(other, address),
    }
}
