//! The door: accepts connections, with TLS if asked, and hands them over with their places.
//!
//! A task of the server's supervisor, not an actor: it waits for the network. Every connection
//! takes a place among all, and one among the unbound of its address until it binds, so that
//! strangers who connect and say nothing neither fill the switch nor keep others out. Past the
//! places a connection is closed at once.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::caller::Called;
use crate::places::{Place, Places, Unbound};
use crate::smpp::wire::{ReadHalf, WriteHalf};

/// How long a TLS handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// After the system cannot accept: out of file descriptors, most likely.
const REST: Duration = Duration::from_millis(100);

/// A connection that was let in, or opened by us.
pub struct Accepted {
    pub halves: (ReadHalf, WriteHalf),
    pub address: IpAddr,
    pub place: Place,
    pub unbound: Unbound,
    /// We opened it.
    pub called: Option<Called>,
}

/// Accepts until `on_accept` wants no more.
pub async fn listen(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    places: Places,
    on_accept: impl Fn(Accepted) -> bool + Clone + Send + Sync + 'static,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an SMPP connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let Some((place, unbound)) = places.take(address) else {
            counter!("orbit_esme_connections_refused_total").increment(1);
            continue;
        };
        let (tls, on_accept) = (tls.clone(), on_accept.clone());
        let opened = open(stream, peer, tls);
        tokio::spawn(async move {
            if let Some(halves) = opened.await {
                let called = None;
                let _ = on_accept(Accepted { halves, address, place, unbound, called });
            }
        });
    }
}

async fn open(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> Option<(ReadHalf, WriteHalf)> {
    stream.set_nodelay(true).ok()?;
    let Some(tls) = tls else {
        let (read, write) = stream.into_split();
        return Some((Box::new(read), Box::new(write)));
    };
    match tokio::time::timeout(HANDSHAKE_PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let (read, write) = tokio::io::split(stream);
            Some((Box::new(read), Box::new(write)))
        }
        Ok(Err(error)) => {
            tracing::info!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
