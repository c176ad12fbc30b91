//! A webhook receiver that keeps what it is told, octet for octet, and takes all of it.
//!
//! Its framing is our own, so nothing of the switch's HTTP code tests itself. One request per
//! connection; it ends with its runtime.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use load_tests::client::find;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(15);
const REQUESTS_AHEAD: usize = 100;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub(crate) struct Hook {
    pub(crate) url: String,
    heard: mpsc::Receiver<Heard>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (sender, heard) = mpsc::channel(REQUESTS_AHEAD);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Ok(heard) = serve(stream).await {
                        // The test may have what it wants, and be over.
                        let _ = sender.send(heard).await;
                    }
                });
            }
        });
        Self { url, heard }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.ok().flatten().expect("a request in time")
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<Heard> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut input = Vec::new();
    let body_at = loop {
        if let Some(end) = find(&input, b"\r\n\r\n") {
            break end + 4;
        }
        if input.len() > HEAD_BYTES_MAX || stream.read_buf(&mut input).await? == 0 {
            return Err(bad());
        }
    };
    let head = std::str::from_utf8(&input[..body_at]).map_err(|_| bad())?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<String, String> =
        fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let length = headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
    let end = body_at + length.ok_or_else(bad)?;
    while input.len() < end {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(bad());
        }
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
    Ok(Heard { headers, body: input[body_at..end].to_vec() })
}
