//! Carriers over TLS: real sockets, real handshakes, and whose certificate is taken.

use std::path::PathBuf;
use std::sync::Arc;

use actors::customer::webhook::guard::Networks;
use actors::smpp::profile::{Endpoint, Profile};
use actors::smpp::tls::{Tls, Trust};
use model::message::{Category, Status};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::Peer;
use super::world::{World, profile, until};

/// Valid for localhost and 127.0.0.1, of an authority that no machine knows.
pub(super) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

pub(super) fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A door with TLS before what `open` opens; its port.
pub(super) async fn door_before<S, F>(open: impl Fn() -> F + Clone + Send + 'static) -> u16
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Future<Output = Option<S>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, open) = (acceptor.clone(), open.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let Some(mut inside) = open().await else { return };
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

async fn door(peer: &Peer) -> u16 {
    let peer = peer.clone();
    door_before(move || std::future::ready(peer.connect())).await
}

fn behind(peer: &Peer, host: &str, port: u16, trust: Trust<'_>) -> Profile {
    let endpoint = Endpoint::Tcp {
        host: host.to_owned(),
        port,
        tls: Some(Tls::new(trust).unwrap()),
        only: None,
    };
    Profile { endpoint, ..profile("one", peer) }
}

async fn delivers(profile: Profile) {
    let world = World::of(profile).await;
    for key in world.send_many(Category::Transactional, 30).await {
        until("it is sent", async || world.status(key).await == Status::Sent).await;
    }
    world.end().await;
}

/// What is said while it cannot be bound.
async fn fails(profile: Profile, peer: &Peer) -> String {
    let world = World::of(profile).await;
    let said = async || world.views.find("one").map(|view| view.last_error()).unwrap_or_default();
    until("it says why not", async || !said().await.is_empty()).await;
    let said = said().await;
    assert_eq!(peer.opened(), 0, "not an octet of ours reached it");
    world.end().await;
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_by_tls_to_a_host_whose_authority_is_trusted() {
    let peer = Peer::new();
    let port = door(&peer).await;
    let authority = file("ca.pem");
    delivers(behind(&peer, "localhost", port, Trust::File(&authority))).await;
    delivers(behind(&peer, "127.0.0.1", port, Trust::File(&authority))).await;
    delivers(behind(&peer, "127.0.0.1", port, Trust::Anyone)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_or_a_plain_host_is_not_told_our_password() {
    let peer = Peer::new();
    let port = door(&peer).await;
    let said = fails(behind(&peer, "localhost", port, Trust::Machine), &peer).await;
    assert!(said.contains("TLS"), "{said}");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            drop(stream);
        }
    });
    let authority = file("ca.pem");
    let said = fails(behind(&peer, "localhost", port, Trust::File(&authority)), &peer).await;
    assert!(said.contains("TLS"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let peer = Peer::new();
    let port = door(&peer).await;
    let guarded = |networks: &[&str]| {
        let mut profile = behind(&peer, "localhost", port, Trust::Anyone);
        if let Endpoint::Tcp { only, .. } = &mut profile.endpoint {
            *only = Some(Networks::parse(networks).unwrap());
        }
        profile
    };
    let said = fails(guarded(&[]), &peer).await;
    assert!(said.contains("no address that is allowed"), "{said}");
    delivers(guarded(&["127.0.0.0/8"])).await;
}

#[test]
fn a_file_without_certificates_is_refused_by_its_name() {
    let wrong = file("server.key");
    let said = Tls::new(Trust::File(&wrong)).map(|_| ()).unwrap_err();
    assert!(said.contains("server.key"), "{said}");
    let missing = file("nothing.pem");
    assert!(Tls::new(Trust::File(&missing)).is_err());
}
