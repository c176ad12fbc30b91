//! The SMPP server as the settings want it: sockets opened, accounts read.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actors::lockout::Rule;
use actors::places::{Limits, Places};
use actors::smpp::server::accounts::Accounts;
use actors::smpp::server::caller::Calls;
use actors::smpp::tls::{Tls, Trust};
use actors::traffic::admission::Admission;
use actors::writer::WriterHandle;
use anyhow::{Context as _, Result};
use proto_smpp::Settings as Session;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::Store;
use supervisors::esmes::{Door, EsmesArgs};
use supervisors::restart::Policy;
use tokio_rustls::TlsAcceptor;

use crate::settings::Settings;
use crate::vault::Vault;

/// Accounts read at once.
const PAGE: i64 = 500;
/// A courier that failed too often rests for so long.
const COURIER_REST: Duration = Duration::from_secs(60);
/// An ESME's PDU: a text of message_payload and what stands around it.
const PDU_MAX: usize = 8 * 1024;

/// The server's parts, and where it listens.
pub(super) struct Server {
    pub(super) args: EsmesArgs,
    pub(super) plain: Option<SocketAddr>,
    pub(super) tls: Option<SocketAddr>,
}

/// Accounts as they are stored, under this data folder's key.
pub(crate) async fn accounts(
    settings: &Settings,
    key: [u8; 32],
    vault: Vault,
    store: &Store,
) -> Result<Accounts> {
    let smpp = &settings.smpp;
    let rule = Rule {
        tries: smpp.lockout_tries,
        within: Duration::from_secs(smpp.lockout_within_s),
        shut: Duration::from_secs(smpp.lockout_s),
    };
    let ahead_max = Duration::from_secs(settings.schedules.ahead_max_days * 86_400);
    let open = Box::new(move |id, sealed: &[u8]| vault.open(id, sealed));
    let accounts = Accounts::with(key, rule, ahead_max, open);
    let mut after = 0;
    loop {
        let rows = store.all_smpp_accounts(after, PAGE).await?;
        rows.iter().for_each(|row| accounts.put(row));
        match rows.last() {
            Some(last) => after = last.id,
            None => return Ok(accounts),
        }
    }
}

pub(super) fn server(
    settings: &Settings,
    accounts: Accounts,
    admission: Admission,
    store: Store,
    writer: WriterHandle,
) -> Result<Server> {
    let smpp = &settings.smpp;
    let mut doors = Vec::new();
    let plain = match smpp.bind {
        Some(address) => Some(open(address, "smpp.bind", None, &mut doors)?),
        None => None,
    };
    let tls = match smpp.tls_bind {
        Some(address) => {
            let files = (smpp.tls_cert.as_deref(), smpp.tls_key.as_deref());
            let acceptor = acceptor("smpp", files)?;
            Some(open(address, "smpp.tls_bind", Some(acceptor), &mut doors)?)
        }
        None => None,
    };
    let args = EsmesArgs {
        doors: Arc::new(doors),
        places: Places::new(Limits {
            connections_max: smpp.connections_max,
            per_address_max: smpp.per_address_max,
            unbound_per_address_max: smpp.unbound_per_address_max,
        }),
        accounts,
        admission,
        wakes: writer.wakes(),
        writer,
        store,
        settings: Session {
            window: 1,
            response_timeout: Duration::from_secs(smpp.response_timeout_s),
            enquire_link: Duration::from_secs(smpp.enquire_link_s),
            inactivity: Duration::ZERO,
            bind_timeout: Duration::from_secs(smpp.bind_timeout_s),
            max_pdu: PDU_MAX,
        },
        calls: Calls {
            networks: smpp.networks(),
            tls: Tls::new(Trust::Machine).map_err(no_authorities).ok(),
            patience: Duration::from_secs(smpp.bind_timeout_s),
            rest_min: Duration::from_secs(smpp.reconnect_min_s),
            rest_max: Duration::from_secs(smpp.reconnect_max_s),
        },
        write_patience: Duration::from_secs(smpp.write_timeout_s),
        policy: Policy::WORKER,
        courier_rest: COURIER_REST,
    };
    Ok(Server { args, plain, tls })
}

fn no_authorities(error: String) {
    tracing::warn!(%error, "ESMEs that want TLS cannot be called");
}

fn open(
    address: SocketAddr,
    key: &str,
    tls: Option<TlsAcceptor>,
    doors: &mut Vec<Door>,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("{key} {address}: choose another in the settings"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    doors.push(Door { listener, tls });
    Ok(address)
}

/// Of the certificate and key that this section names.
pub(super) fn acceptor(
    section: &str,
    (cert, key): (Option<&str>, Option<&str>),
) -> Result<TlsAcceptor> {
    let (cert, key) = (cert.unwrap_or_default(), key.unwrap_or_default());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("{section}.tls_cert {cert}"));
    let key =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("{section}.tls_key {key}"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain?, key);
    Ok(TlsAcceptor::from(Arc::new(
        config.with_context(|| format!("{section}.tls_cert and {section}.tls_key"))?,
    )))
}
