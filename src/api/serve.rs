//! The socket side of the API: how many connections, how long a head may take, TLS, the end.
//!
//! Started by boot with a bound listener. Ends when its handle says so: no new connections, open
//! requests finish within the grace time, the rest is cut.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::Http;

/// More heads than this in one request are refused by the parser.
const HEADERS_MAX: usize = 100;

/// Ends a server: `graceful_shutdown(Some(grace))`.
pub type Handle = axum_server::Handle<SocketAddr>;

/// PEM files of a server.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    /// The files the settings name, if they do.
    #[must_use]
    pub fn of(http: &Http) -> Option<Self> {
        Some(Self {
            cert: PathBuf::from(http.tls_cert.as_ref()?),
            key: PathBuf::from(http.tls_key.as_ref()?),
        })
    }
}

/// Serves until the handle ends it. TLS needs a process-wide rustls provider.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    http: &Http,
    handle: Handle,
) -> io::Result<()> {
    let doors = Doors(Arc::new(Semaphore::new(http.connections_max)));
    let head_time = Duration::from_secs(http.header_timeout_s);
    let mut server =
        axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(head_time);
    // The server's own way to speak HTTP/1 alone serves no upgrades.
    let builder = server.http_builder();
    *builder = builder.clone().http1_only();
    // The parser's buffer is the bound of memory; our own limit, with its envelope, lies below.
    let buffer = http.header_limit_bytes.saturating_mul(2);
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(buffer)
        .pipeline_flush(true);
    // Who asks is known to those whose accounts have addresses.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match TlsFiles::of(http) {
        None => server.acceptor(doors).serve(service).await,
        Some(files) => {
            let config = RustlsConfig::from_pem_chain_file(files.cert, files.key).await?;
            config.reload_from_config(Arc::new(offering_http1(&config.get_inner())));
            let tls = RustlsAcceptor::new(config).handshake_timeout(head_time);
            server.acceptor(tls.acceptor(doors)).serve(service).await
        }
    }
}

/// What a client may choose by ALPN must be what is spoken: the library would offer HTTP/2 too.
fn offering_http1(config: &ServerConfig) -> ServerConfig {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Lets in as many connections as there are permits, and closes one more at once.
#[derive(Clone)]
struct Doors(Arc<Semaphore>);

impl<S> Accept<TcpStream, S> for Doors {
    type Stream = Held;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Held, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let held = || {
            let full = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "connections_max");
            let permit = Arc::clone(&self.0).try_acquire_owned().map_err(full)?;
            stream.set_nodelay(true)?;
            Ok((Held { stream, _permit: permit }, service))
        };
        std::future::ready(held())
    }
}

/// A connection and its permit.
struct Held {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_offers_only_the_http_that_is_spoken() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let nobody = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(nobody);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        assert_eq!(offering_http1(&config).alpn_protocols, [b"http/1.1"]);
    }
}
