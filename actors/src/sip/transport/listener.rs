//! Doors for TCP and TLS, and connections that we open.
//!
//! A task for each door and each connection; they end with their wire. Past the places a connection is closed
//! at once, and so is one from an address that is not heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Wire;
use super::connections::{Entry, State};
use super::stream::{Opened, ReadHalf, WriteHalf, run, serve};
use crate::places::{Place, Unbound};
use crate::sip::flow::{Flow, Kind};
use crate::smpp::tls::Tls;

/// After the system cannot accept: out of file descriptors, most likely.
const REST: Duration = Duration::from_millis(100);

/// Accepts connections as long as the wire lives.
pub async fn listen(wire: Wire, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a SIP connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Some(places) = wire.let_in(peer) else { continue };
        let tls = tls.clone();
        let serving = accept(wire.clone(), stream, peer, (tls, places));
        wire.task(serving);
    }
}

async fn accept(
    wire: Wire,
    stream: TcpStream,
    peer: SocketAddr,
    (tls, places): (Option<TlsAcceptor>, (Place, Unbound)),
) {
    let kind = if tls.is_some() { Kind::Tls } else { Kind::Tcp };
    let patience = wire.limits().handshake_patience;
    match timeout(patience, open(stream, tls)).await {
        Ok(Some(halves)) => serve(wire, Opened { kind, peer, halves, places: Some(places) }).await,
        Ok(None) => tracing::debug!(%peer, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

async fn open(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<(ReadHalf, WriteHalf)> {
    stream.set_nodelay(true).ok()?;
    let Some(tls) = tls else { return Some(split(stream)) };
    let (read, write) = tokio::io::split(tls.accept(stream).await.ok()?);
    Some((Box::new(read), Box::new(write)))
}

fn split(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}

impl Wire {
    /// The places of a connection from this peer, if it may have some.
    #[must_use]
    pub fn let_in(&self, peer: SocketAddr) -> Option<(Place, Unbound)> {
        let now = tokio::time::Instant::now().into_std();
        let heard = !self.shield().is_deaf_to(peer, now);
        let places = heard.then(|| self.places().take(peer.ip().to_canonical())).flatten();
        if places.is_none() {
            counter!("orbit_sip_connections_refused_total").increment(1);
        }
        places
    }

    /// A way to a peer: over UDP, or by a connection that is there or is opened now. `name`: what its
    /// certificate must have.
    #[must_use]
    pub fn way(&self, kind: Kind, peer: SocketAddr, tls: Option<&Tls>, name: &str) -> Option<Flow> {
        match kind {
            Kind::Tcp => Some(self.connect(peer, None)),
            Kind::Tls => Some(self.connect(peer, Some((tls?.clone(), name.to_owned())))),
            Kind::Udp | Kind::Ws | Kind::Wss => self.find(kind, peer),
        }
    }

    /// Opens a connection, or finds one. What is sent to the flow before it is open waits in its queue; when
    /// it cannot be opened the flow is lost like any other. `tls`: with the name that the peer's certificate
    /// must have.
    #[must_use]
    pub fn connect(&self, peer: SocketAddr, tls: Option<(Tls, String)>) -> Flow {
        let kind = if tls.is_some() { Kind::Tls } else { Kind::Tcp };
        let name = tls.as_ref().map(|(_, name)| name.clone());
        // Over TLS only one whose peer has shown a certificate of this name: whoever comes from its address
        // may say that requests to it go over the connection it has opened.
        let known = match &name {
            Some(name) => self.0.connections.find_named(peer, name),
            None => self.find(kind, peer),
        };
        if let Some(flow) = known {
            return flow;
        }
        let (queue, octets) = mpsc::channel(self.limits().queue_max);
        let state = Arc::new(State::default());
        let flow = self.attach(Entry { kind, peer, name, queue, state: state.clone() });
        let wire = self.clone();
        self.task(async move {
            let patience = wire.limits().handshake_patience;
            match timeout(patience, dial(peer, tls)).await {
                Ok(Ok(halves)) => run(&wire, flow, halves, octets, &state).await,
                Ok(Err(error)) => tracing::debug!(%peer, error, "no connection"),
                Err(_) => tracing::debug!(%peer, "no connection in time"),
            }
            wire.detach(flow);
        });
        flow
    }
}

async fn dial(
    peer: SocketAddr,
    tls: Option<(Tls, String)>,
) -> Result<(ReadHalf, WriteHalf), String> {
    let stream = TcpStream::connect(peer).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let Some((tls, name)) = tls else { return Ok(split(stream)) };
    let (read, write) = tokio::io::split(tls.open(&name, stream).await?);
    Ok((Box::new(read), Box::new(write)))
}
