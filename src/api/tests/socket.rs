//! The socket side: heads that are too long or too slow, one connection too many, the end.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::api::{Handle, serve};

const HEAD: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    handle: Handle,
    running: JoinHandle<std::io::Result<()>>,
    _world: World,
}

async fn server(change: impl FnOnce(&mut crate::settings::Http)) -> Server {
    let world = World::new().await;
    let mut http = Settings::load(None, Vec::new(), Vec::new()).unwrap().http;
    change(&mut http);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Handle::new();
    let (router, mine) = (world.router.clone(), handle.clone());
    let running = tokio::spawn(async move { serve(listener, router, &http, mine).await });
    Server { address, handle, running, _world: world }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Reads until the other side closes, at most ten seconds.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // A reset after the answer is a close too.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("closes in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer that says `ok`.
async fn ok(stream: &mut TcpStream) -> bool {
    let mut text = Vec::new();
    let mut chunk = [0; 1024];
    while !text.ends_with(b"ok\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => text.extend_from_slice(&chunk[..count]),
        }
    }
    text.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = server(|_| {}).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(HEAD.as_bytes()).await.unwrap();
        assert!(ok(&mut stream).await);
    }
    stream.write_all(HEAD.repeat(2).as_bytes()).await.unwrap();
    assert!(ok(&mut stream).await);
}

#[tokio::test]
async fn a_head_of_ten_megabytes_is_cut_off() {
    let server = server(|_| {}).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nx-long: ").await.unwrap();
    let chunk = [b'x'; 64 * 1024];
    let mut written = 0;
    while written < 10 * 1024 * 1024 && stream.write_all(&chunk).await.is_ok() {
        written += chunk.len();
    }
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.100}");
    // The buffers of two sockets, and no more, were filled.
    assert!(written < 10 * 1024 * 1024);
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_cut_off() {
    let server = server(|http| http.header_timeout_s = 1).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer:.100}");
    let mut silent = server.connect().await;
    assert!(rest(&mut silent).await.is_empty());
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_live() {
    let server = server(|http| http.connections_max = 2).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(HEAD.as_bytes()).await.unwrap();
        assert!(ok(stream).await);
    }
    let mut third = server.connect().await;
    assert!(rest(&mut third).await.is_empty());
    first.write_all(HEAD.as_bytes()).await.unwrap();
    assert!(ok(&mut first).await);
    drop(second);
    // The place is free once the server has seen the close.
    let served = async {
        loop {
            let mut next = server.connect().await;
            if next.write_all(HEAD.as_bytes()).await.is_ok() && ok(&mut next).await {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap();
}

#[tokio::test]
async fn a_server_ends_when_told_and_idle_connections_do_not_hold_it() {
    let server = server(|_| {}).await;
    let mut stream = server.connect().await;
    stream.write_all(HEAD.as_bytes()).await.unwrap();
    assert!(ok(&mut stream).await);
    server.handle.graceful_shutdown(Some(Duration::from_secs(30)));
    let ended = tokio::time::timeout(Duration::from_secs(10), server.running).await;
    ended.unwrap().unwrap().unwrap();
    assert!(rest(&mut stream).await.is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_heard_out_so_that_its_refusal_is_read() {
    let server = server(|_| {}).await;
    let mut stream = server.connect().await;
    let key = &server._world.key;
    let length = 3 * 1024 * 1024;
    let head = format!(
        "POST /v1/messages/sms HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nContent-Type: \
         application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:.100}");
    assert!(answer.contains("PAYLOAD_TOO_LARGE"));
}
