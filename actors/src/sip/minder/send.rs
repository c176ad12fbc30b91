//! How a minder's requests are written and sent, and the tasks that wait for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::trunk::{Target, Transport};
use proto_sip::digest::{Account, Client};
use proto_sip::registration::{Parts, Settings};
use proto_sip::{Builder, Method, Name};
use rand::RngExt as _;

use super::{Errand, MinderMsg, MinderState, Task, Ways};
use crate::sip::flow::{Flow, Kind};
use crate::sip::shard::{Request, ShardMsg};
use crate::sip::srv::{self, Spot};
use crate::sip::transport::Wire;
use crate::sip::trunks::{Running, Trunk};

/// What a request may go over.
pub enum Reach {
    Is(Wire, Flow),
    /// Why not.
    Nowhere(String),
    /// SIP has no sockets now.
    Rests,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(_, flow) => flow.fmt(f),
            Self::Nowhere(why) => f.write_str(why),
            Self::Rests => f.write_str("SIP rests"),
        }
    }
}

impl MinderState {
    fn number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A way is looked for; it comes as a message.
    pub(super) fn reach(&mut self, errand: Errand) -> Task {
        let number = self.number();
        let (me, ways) = (self.me.clone(), Arc::clone(&self.ways));
        let running = Arc::clone(&self.running);
        let task = tokio::spawn(async move {
            let reach = way(&ways, &running.trunk).await;
            let _ = me.send_message(MinderMsg::Reached { errand, number, reach });
        });
        Task(number, task.abort_handle())
    }

    /// A request leaves; its answer comes as a message.
    pub(super) fn ask(
        &mut self,
        errand: Errand,
        (flow, call_id, octets): (Flow, &str, Bytes),
        patience: Duration,
    ) -> Task {
        let number = self.number();
        let expected = self.ways.own.expect();
        let mark = expected.mark();
        // Without a shard nobody answers, and it is asked again.
        if let Some(shard) = (self.ways.shard)(call_id.as_bytes()) {
            let _ = shard.send_message(ShardMsg::Request(Request { flow, mark, octets }));
        }
        let me = self.me.clone();
        let task = tokio::spawn(async move {
            let answered = expected.within(patience).await;
            let _ = me.send_message(MinderMsg::Answered { errand, number, flow, answered });
        });
        Task(number, task.abort_handle())
    }
}

/// A way to a trunk. A customer's leads neither inside, nor to us, nor to a carrier of the operator's.
async fn way(ways: &Ways, trunk: &Trunk) -> Reach {
    let Some(target) = &trunk.target else {
        return Reach::Nowhere(String::from("it has no address"));
    };
    let is_own = trunk.organization.is_none();
    if !is_own {
        ways.names.learn(&ways.trunks).await;
    }
    let found = match target.address() {
        Some(address) => [Spot::at(address)].into(),
        None => ways.names.find(&srv::wanted_of(target), trunk.organization).await,
    };
    let Some(wire) = (ways.wire)() else { return Reach::Rests };
    if found.is_empty() {
        return Reach::Nowhere(String::from("its name leads nowhere"));
    }
    let (kind, default) = match target.transport {
        Transport::Udp => (Kind::Udp, 5_060),
        Transport::Tcp => (Kind::Tcp, 5_060),
        Transport::Tls => (Kind::Tls, 5_061),
    };
    let places = ways.names.places(&found, target.port.unwrap_or(default)).into_iter();
    let may = |place: &SocketAddr| {
        let closed = || wire.is_own(*place) || ways.trunks.is_carriers(place.ip());
        ways.trunks.may_reach(trunk, place.ip()) && (is_own || !closed())
    };
    let mut allowed = places.filter(may).peekable();
    if allowed.peek().is_none() {
        return Reach::Nowhere(String::from("no calls may go to its address"));
    }
    match allowed.find_map(|place| wire.way(kind, place, ways.tls.as_ref(), &target.host)) {
        Some(flow) => Reach::Is(wire, flow),
        None => Reach::Nowhere(String::from("there is no socket for its address")),
    }
}

/// The trunk's host as it stands in an address.
fn host(target: &Target) -> String {
    if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() }
}

/// The Request-URI of what is asked of the trunk itself.
fn uri(target: &Target) -> String {
    target.to_string().replace(";transport=udp", "")
}

/// The address that we are registered as: the username, at the trunk's host if it says no other.
pub(super) fn parts(trunk: &Trunk, settings: &Settings) -> Option<Parts> {
    let (target, user) = (trunk.target.as_ref()?, trunk.username.as_deref()?);
    let (name, realm) = match user.split_once('@') {
        Some((name, realm)) => (name, realm.to_owned()),
        None => (user, host(target)),
    };
    let account = |password: &str| Account::new(realm.trim_matches(['[', ']']), name, password);
    let client = trunk.password.as_ref().map(|password| Client::new(vec![account(&password.0)]));
    Some(Parts {
        settings: settings.clone(),
        registrar: uri(target),
        aor: format!("sip:{name}@{realm}"),
        call_id: format!("{:032x}", rand::rng().random::<u128>()),
        tag: format!("{:016x}", rand::rng().random::<u64>()),
        client,
    })
}

/// `user@host:port;transport=tcp`, as a peer of this flow reaches us.
fn own_uri(user: &str, wire: &Wire, flow: Flow) -> String {
    let (host, port) = wire.own_address(flow);
    let transport = match flow.kind() {
        Kind::Udp => "",
        Kind::Tcp => ";transport=tcp",
        Kind::Tls => ";transport=tls",
        Kind::Ws | Kind::Wss => ";transport=ws",
    };
    format!("sip:{user}@{host}:{port}{transport}")
}

pub(super) fn contact(running: &Running, wire: &Wire, flow: Flow) -> String {
    own_uri(running.live.contact(), wire, flow)
}

/// Asks a trunk whether it is there: the request, and its Call-ID.
pub(super) fn options(trunk: &Trunk, wire: &Wire, flow: Flow) -> (Option<Bytes>, String) {
    let call_id = format!("{:032x}", rand::rng().random::<u128>());
    let Some(target) = &trunk.target else { return (None, call_id) };
    let uri = uri(target);
    let own = own_uri("orbit", wire, flow);
    let (host, _) = wire.own_address(flow);
    let mut builder = Builder::request(&Method::Options, uri.as_str());
    builder.header(Name::MaxForwards, "70");
    let tag = rand::rng().random::<u64>();
    builder.header(Name::From, format!("<sip:orbit@{host}>;tag={tag:016x}").as_str());
    builder.header(Name::To, format!("<{uri}>").as_str());
    builder.header(Name::CallId, call_id.as_str());
    builder.header(Name::CSeq, "1 OPTIONS");
    builder.header(Name::Contact, format!("<{own}>").as_str());
    builder.header(Name::Accept, "application/sdp");
    builder.header(Name::UserAgent, "Orbit");
    (builder.finish().ok(), call_id)
}
