//! SIP as the settings want it: sockets opened, credentials listened to, what nobody is told by.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use actors::lockout::Rule;
use actors::places::{self, Places};
use actors::sip::calls::Calls;
use actors::sip::credentials::Credentials;
use actors::sip::flow::Kind;
use actors::sip::inbox::Inbox;
use actors::sip::own::Own;
use actors::sip::registrar::{RegistrarHandle, RegistrarMsg};
use actors::sip::shield::Shield;
use actors::sip::transport::{Limits, Names};
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use metrics::{Counter, Gauge, counter, gauge};
use proto_sip::binding::Policy as Bindings;
use proto_sip::digest::Nonces;
use proto_sip::transaction::Settings as Transactions;
use proto_sip::uri::Host;
use store::Store;
use supervisors::restart::Policy;
use supervisors::sip::{SipArgs, SipHandle, Sockets};

use super::esmes::acceptor;
use crate::settings::{Settings, Sip};

/// The file of the data folder whose key nonces are sealed with: a telephone's is good over a restart.
pub(super) const NONCE_KEY: &str = "sip-nonce-key";
/// Credentials read at once.
const PAGE: i64 = 500;
/// Octets of all Paths of a binding.
const PATH_MAX: usize = 1_024;
/// Messages that may wait for one connection.
const QUEUE_MAX: usize = 64;

/// SIP's parts, and where it listens.
pub(super) struct Server {
    pub(super) args: Option<SipArgs>,
    pub(super) places: SipAddresses,
}

impl Server {
    /// For who is outside of the tree; one of a switch without SIP leads nowhere.
    pub(super) fn handle(&self) -> SipHandle {
        self.args.as_ref().map(|args| args.handle.clone()).unwrap_or_default()
    }
}

/// Credentials as they are stored.
pub(super) async fn credentials(store: &Store) -> Result<Credentials> {
    let credentials = Credentials::default();
    let mut after = 0;
    loop {
        let rows = store.sip_credentials(after, PAGE).await?;
        rows.iter().for_each(|row| credentials.put(row));
        match rows.last() {
            Some(last) => after = last.id,
            None => return Ok(credentials),
        }
    }
}

/// Where telephones reach the switch.
#[derive(Clone, Copy, Debug, Default)]
pub struct SipAddresses {
    /// UDP and TCP.
    pub plain: Option<SocketAddr>,
    pub tls: Option<SocketAddr>,
}

pub(super) fn server(
    settings: &Settings,
    nonce_key: &[u8; 32],
    credentials: &Credentials,
    store: &Store,
    writer: &WriterHandle,
    calls: Arc<dyn Calls>,
) -> Result<Server> {
    let sip = &settings.sip;
    let (sockets, places) = open(settings)?;
    if sip.bind.is_none() && sip.tls_bind.is_none() {
        return Ok(Server { args: None, places });
    }
    let registrar = RegistrarHandle::new(sip.registers_max);
    let void = registrar.clone();
    credentials.listen(move |of| void.tell(RegistrarMsg::Void(of)));
    let rule = Rule {
        tries: sip.lockout_tries,
        within: Duration::from_secs(sip.lockout_within_s),
        shut: Duration::from_secs(sip.lockout_s),
    };
    let retry_after_s = u64::from(sip.retry_after_s);
    let args = SipArgs {
        sockets: Arc::new(sockets),
        handle: SipHandle::default(),
        inbox: Inbox::new(sip.shards, sip.messages_max, retry_after_s),
        shield: Shield::new(rule, &sip.scanners),
        places: Places::new(places::Limits {
            connections_max: sip.connections_max,
            per_address_max: sip.per_address_max,
            unbound_per_address_max: sip.unbound_per_address_max,
        }),
        limits: limits(sip),
        names: Names { public: public(sip)? },
        registrar,
        calls,
        own: Own::default(),
        store: store.clone(),
        writer: writer.clone(),
        credentials: credentials.clone(),
        bindings: Bindings {
            expires_min_s: sip.expires_min_s,
            expires_max_s: sip.expires_max_s,
            expires_default_s: sip.expires_default_s,
            contacts_max: 1,
            path_max: PATH_MAX,
        },
        nonces: Nonces::new(
            nonce_key,
            Duration::from_secs(sip.nonce_life_s),
            sip.digest_without_qop,
        ),
        algorithms: sip.algorithms(),
        domain: Arc::from(sip.domain.as_str()),
        settings: Transactions {
            transactions_max: sip.transactions_max / sip.shards.max(1),
            retry_after_s: sip.retry_after_s,
            extensions: Some(
                ["path", "outbound", "replaces", "timer", "100rel"].map(Box::from).into(),
            ),
            ..Transactions::default()
        },
        retry_after_s,
        policy: Policy::WORKER,
    };
    Ok(Server { args: Some(args), places })
}

fn limits(sip: &Sip) -> Limits {
    let message = proto_sip::Limits {
        message: sip.message_max_bytes,
        head: sip.message_max_bytes.min(proto_sip::Limits::default().head),
        body: sip.message_max_bytes,
        ..proto_sip::Limits::default()
    };
    Limits {
        message,
        message_patience: Duration::from_secs(sip.message_timeout_s),
        write_patience: Duration::from_secs(sip.write_timeout_s),
        idle: Duration::from_secs(sip.idle_timeout_s),
        handshake_patience: Duration::from_secs(sip.message_timeout_s),
        queue_max: QUEUE_MAX,
    }
}

fn public(sip: &Sip) -> Result<Option<Host>> {
    let Some(name) = &sip.public_address else { return Ok(None) };
    let host = Host::parse(&Bytes::copy_from_slice(name.as_bytes()));
    Ok(Some(host.with_context(|| format!("sip.public_address {name}: a host or an address"))?))
}

fn open(settings: &Settings) -> Result<(Sockets, SipAddresses)> {
    let sip = &settings.sip;
    let (mut sockets, mut at) = (Sockets::default(), SipAddresses::default());
    if let Some(address) = sip.bind {
        let taken = || format!("sip.bind {address}: choose another in the settings");
        let listener = TcpListener::bind(address).with_context(taken)?;
        // Any free port is the same one for both.
        let address = listener.local_addr()?;
        let udp = UdpSocket::bind(address).with_context(taken)?;
        listener.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        sockets.doors.push((listener, None));
        sockets.udp.push(udp);
        at.plain = Some(address);
    }
    if let Some(address) = sip.tls_bind {
        let taken = || format!("sip.tls_bind {address}: choose another in the settings");
        let listener = TcpListener::bind(address).with_context(taken)?;
        listener.set_nonblocking(true)?;
        at.tls = Some(listener.local_addr()?);
        let files = (sip.tls_cert.as_deref(), sip.tls_key.as_deref());
        sockets.doors.push((listener, Some(acceptor("sip", files)?)));
    }
    let secure = settings.http.tls_cert.is_some();
    let kind = if secure { Kind::Wss } else { Kind::Ws };
    sockets.web = Some((kind, settings.http.bind));
    Ok((sockets, at))
}

/// What is read of SIP when somebody asks for metrics.
pub(super) struct Gauges {
    handle: SipHandle,
    messages: Vec<(Kind, Counter, Counter)>,
    connections: Gauge,
    waiting: Gauge,
    banned: Gauge,
    dropped: Counter,
    bans: Counter,
    malformed: Counter,
    unsent: Counter,
    refused: Counter,
}

impl Gauges {
    pub(super) fn new(handle: SipHandle) -> Self {
        let messages = |way: &'static str, kind: Kind| counter!("orbit_sip_messages_total", "way" => way, "transport" => kind.as_str());
        Self {
            handle,
            messages: Kind::ALL
                .map(|kind| (kind, messages("in", kind), messages("out", kind)))
                .into(),
            connections: gauge!("orbit_sip_connections"),
            waiting: gauge!("orbit_sip_messages_waiting"),
            banned: gauge!("orbit_sip_bans"),
            dropped: counter!("orbit_sip_dropped_total"),
            bans: counter!("orbit_sip_bans_total"),
            malformed: counter!("orbit_sip_malformed_total"),
            unsent: counter!("orbit_sip_unsent_total"),
            refused: counter!("orbit_sip_refused_total"),
        }
    }

    pub(super) fn publish(&self) {
        let Some(wire) = self.handle.wire() else { return };
        let meters = wire.meters();
        for (kind, received, sent) in &self.messages {
            received.absolute(meters.received(*kind));
            sent.absolute(meters.sent(*kind));
        }
        self.connections.set(wire.connections() as f64);
        self.waiting.set(wire.inbox().waiting() as f64);
        let now = tokio::time::Instant::now().into_std();
        self.banned.set(wire.shield().bans(now).len() as f64);
        let (dropped, bans) = wire.shield().counts();
        self.dropped.absolute(dropped);
        self.bans.absolute(bans);
        self.malformed.absolute(meters.malformed());
        self.unsent.absolute(meters.unsent());
        self.refused.absolute(wire.inbox().refused());
    }
}
