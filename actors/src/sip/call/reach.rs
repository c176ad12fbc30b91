//! From a URI to a way: what a request to it goes over.
//!
//! Nothing here waits. Addresses go at once, and so do names of which it is known where they are; for any
//! other `seek` asks, in a task that tells the call. Addresses of private networks are nowhere unless the
//! operator says otherwise, so that no customer's route leads into our own network. Nor does one lead back to
//! us, where a call would go in circles, or to a carrier of the operator's, who knows us by our address and
//! would have the operator pay.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use proto_sip::Uri;
use proto_sip::header::Transport;
use proto_sip::uri::{Host, Scheme};

use super::super::flow::{Flow, Kind};
use super::super::names::{Found, Names};
use super::super::srv::{self, Spot};
use super::super::transport::Wire;
use super::front::Front;
use super::state::now;
use crate::customer::webhook::guard::is_public;
use crate::smpp::tls::Tls;

/// What is known of the way to a URI.
pub(super) enum Way {
    Is(Flow),
    /// It leads nowhere, or where nobody may go.
    Nowhere,
    /// That has to be asked for first, of this name if it is one.
    Unknown(Option<String>),
}

/// What a way is found with.
pub(super) struct Guide<'a> {
    pub wire: &'a Wire,
    pub names: &'a Names,
    pub tls: Option<&'a Tls>,
    /// For what a customer routes.
    pub closed: Option<Closed<'a>>,
}

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

    /// Whether it is known where the operator's carriers are.
    fn is_known(self) -> bool {
        self.front.trunks.names_to_ask(now()).is_empty()
    }

    /// Whether who is spoken to at one place may send us on to another.
    fn lets(self, from: SocketAddr, to: SocketAddr) -> bool {
        !self.is_at(to) && (to.ip() == from.ip() || self.is_known())
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
/// counts for another host of the public network, and for another port of the same host, where that is not
/// closed to it.
#[must_use]
pub(super) fn literal(uri: &Bytes, flow: Flow, closed: Option<Closed<'_>>) -> Option<SocketAddr> {
    let uri = Uri::parse(uri).ok()?;
    let address = SocketAddr::new(uri.host()?.ip()?, uri.port().unwrap_or(5_060));
    let same_host = address.ip() == flow.peer().ip();
    let fits = flow.is_udp() && kind_of(&uri) == Some(Kind::Udp) && address != flow.peer();
    let is_open = closed.is_none_or(|closed| closed.lets(flow.peer(), address));
    (fits && is_open && (same_host || is_public(address.ip()))).then_some(address)
}

/// A connection in the place of one that is gone: to where we had called, or to what the other end says of
/// itself, if that is on the same host or in the public network, and not closed to it.
#[must_use]
pub(super) fn anew(
    wire: &Wire,
    uri: &Bytes,
    (gone, name): (Flow, Option<&str>),
    (tls, closed): (Option<&Tls>, Option<Closed<'_>>),
) -> Option<Flow> {
    let uri = Uri::parse(uri).ok()?;
    let default = if gone.kind() == Kind::Tls { 5_061 } else { 5_060 };
    let said = uri.host()?.ip().map(|ip| SocketAddr::new(ip, uri.port().unwrap_or(default)));
    let said = said.filter(|at| at.ip() == gone.peer().ip() || is_public(at.ip()));
    let said = said.filter(|at| closed.is_none_or(|closed| closed.lets(gone.peer(), *at)));
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

/// A way to what a URI names: over UDP, or a connection that is there or is opened now. `asked`: where its
/// name was found to be, for who has asked.
pub(super) fn resolve(
    guide: &Guide<'_>,
    uri: &Bytes,
    may_reach: impl Fn(IpAddr) -> bool,
    asked: Option<&Found>,
) -> Way {
    let Some((uri, kind)) = Uri::parse(uri).ok().and_then(|uri| kind_of(&uri).map(|k| (uri, k)))
    else {
        return Way::Nowhere;
    };
    let Some(host) = uri.host().filter(|host| !guide.closed.is_some_and(|closed| closed.has(host)))
    else {
        return Way::Nowhere;
    };
    let name = match host {
        Host::Ip(_) => None,
        Host::Name(_) => Some(srv::wanted(&host.to_string(), kind, uri.port())),
    };
    let known = match (host, &name) {
        (Host::Ip(ip), _) => Some(Found::from([Spot::at(*ip)])),
        (_, Some(name)) => asked.cloned().or_else(|| guide.names.known(name)),
        _ => None,
    };
    // A carrier that nobody has found may be anywhere: what was asked for says nothing of it.
    let is_closed_known = guide.closed.is_none_or(Closed::is_known);
    let Some(known) = known.filter(|_| is_closed_known) else { return Way::Unknown(name) };
    let port = uri.port().unwrap_or(if kind == Kind::Tls { 5_061 } else { 5_060 });
    let may_reach = |place: &SocketAddr| {
        may_reach(place.ip()) && !guide.closed.is_some_and(|closed| closed.is_at(*place))
    };
    let mut places = guide.names.places(&known, port).into_iter().filter(may_reach);
    let host = host.to_string();
    let way = |place| guide.wire.way(kind, place, guide.tls, host.trim_matches(['[', ']']));
    places.find_map(way).map_or(Way::Nowhere, Way::Is)
}
