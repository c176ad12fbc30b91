//! From a URI to a way: what a request to it goes over.
//!
//! Addresses go at once; names are asked for, no longer than two seconds. Addresses of private networks
//! are nowhere unless the operator says otherwise, so that no customer's route leads into our own network.
//! Nor does one lead back to us, where a call would go in circles, or to a carrier of the operator's, who
//! knows us by our address and would have the operator pay.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use proto_sip::Uri;
use proto_sip::header::Transport;
use proto_sip::uri::{Host, Scheme};

use super::super::flow::{Flow, Kind};
use super::super::transport::Wire;
use super::front::Front;
use super::state::now;
use crate::customer::webhook::guard::is_public;
use crate::smpp::tls::Tls;

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where no customer's route leads.
#[derive(Clone, Copy)]
pub(super) struct Closed<'a> {
    pub wire: &'a Wire,
    pub front: &'a Front,
}

impl Closed<'_> {
    /// By its name alone.
    fn has(self, host: &Host) -> bool {
        let (domain, name) = (&*self.front.domain, host.to_string().to_ascii_lowercase());
        let name = name.trim_end_matches('.');
        let is_under =
            name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        is_under || self.front.credentials.knows_realm(name) || self.wire.is_own_name(host)
    }

    fn is_at(self, place: SocketAddr) -> bool {
        self.wire.is_own(place) || self.front.trunks.is_carriers(place.ip())
    }

    /// Asks where the operator's carriers are that are known by name.
    async fn learn(self) {
        for name in self.front.trunks.names_to_ask(now()) {
            let asked =
                tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.clone(), 0))).await;
            let found = asked.ok().and_then(Result::ok).into_iter().flatten();
            let found = found.map(|at| at.ip()).collect();
            self.front.trunks.learned(name, found, now());
        }
    }
}

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

/// A connection in the place of one that is gone: to where we had called, or to what the other end says of
/// itself, if that is on the same host or in the public network.
#[must_use]
pub(super) fn anew(
    wire: &Wire,
    uri: &Bytes,
    (gone, name): (Flow, Option<&str>),
    tls: Option<&Tls>,
) -> Option<Flow> {
    let uri = Uri::parse(uri).ok()?;
    let default = if gone.kind() == Kind::Tls { 5_061 } else { 5_060 };
    let said = uri.host()?.ip().map(|ip| SocketAddr::new(ip, uri.port().unwrap_or(default)));
    let said = said.filter(|at| at.ip() == gone.peer().ip() || is_public(at.ip()));
    let address = if name.is_some() { gone.peer() } else { said? };
    match gone.kind() {
        Kind::Tcp => Some(wire.connect(address, None)),
        Kind::Tls => {
            let name =
                name.map_or_else(|| uri.host().map(ToString::to_string), |n| Some(n.to_owned()));
            Some(wire.connect(address, Some((tls?.clone(), name?))))
        }
        Kind::Udp | Kind::Ws | Kind::Wss => None,
    }
}

/// A way to what a URI names: over UDP, or a connection that is there or is opened now.
pub(super) async fn resolve(
    wire: &Wire,
    uri: &Bytes,
    tls: Option<&Tls>,
    may_reach: impl Fn(IpAddr) -> bool,
    closed: Option<Closed<'_>>,
) -> Option<Flow> {
    let uri = Uri::parse(uri).ok()?;
    if let Some(closed) = closed {
        if uri.host().is_none_or(|host| closed.has(host)) {
            return None;
        }
        closed.learn().await;
    }
    let may_reach = |place: SocketAddr| {
        may_reach(place.ip()) && !closed.is_some_and(|closed| closed.is_at(place))
    };
    let kind = kind_of(&uri)?;
    let port = uri.port().unwrap_or(if kind == Kind::Tls { 5_061 } else { 5_060 });
    let host = uri.host()?;
    let address = match host {
        Host::Ip(ip) => SocketAddr::new(*ip, port),
        Host::Name(name) => {
            let name = std::str::from_utf8(name).ok()?;
            let asked = tokio::net::lookup_host((name, port));
            let mut found = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
            found.find(|address| may_reach(*address))?
        }
    };
    if !may_reach(address) {
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
