//! A receiver of webhooks and callbacks that keeps what it is told, octet for octet, and answers as
//! a test says.
//!
//! Its framing is our own, so nothing of the switch's HTTP code tests itself. One request per
//! connection; it ends with its runtime.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    pub(crate) method: String,
    /// Path and query, as they came.
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The fields of the query, or of a form in the body, in UTF-8.
    pub(crate) fn fields(&self) -> BTreeMap<String, String> {
        let text = |octets| String::from_utf8(octets).unwrap_or_else(|_| panic!("{}", self.target));
        self.raw().into_iter().map(|(name, value)| (name, text(value))).collect()
    }

    /// The same in any alphabet.
    pub(crate) fn raw(&self) -> BTreeMap<String, Vec<u8>> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let form = std::str::from_utf8(&self.body).expect("a form is ASCII");
        let pairs = if self.method == "GET" { query } else { form }.split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect()
    }
}

/// Undoes the encoding of a form.
fn decoded(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        let pair = rest.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (first, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(octet)) => {
                octets.push(octet);
                rest = &rest[2..];
            }
            (b'+', _) => octets.push(b' '),
            (other, _) => octets.push(*other),
        }
    }
    octets
}

/// What is answered to the request of this number, counted from 0: a status and a body.
type Answers = fn(usize) -> (u16, &'static str);

pub(crate) struct Hook {
    pub(crate) url: String,
    heard: mpsc::Receiver<Heard>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        Self::answering(|_| (204, "")).await
    }

    pub(crate) async fn answering(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (sender, heard) = mpsc::channel(REQUESTS_AHEAD);
        tokio::spawn(async move {
            let count = Arc::new(AtomicUsize::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let answer = || answers(count.fetch_add(1, Ordering::AcqRel));
                    if let Ok(heard) = serve(stream, answer).await {
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

async fn serve(
    mut stream: TcpStream,
    answer: impl FnOnce() -> (u16, &'static str),
) -> io::Result<Heard> {
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
    let mut line = head.split(' ');
    let mut word = || line.next().map(str::to_owned).ok_or_else(bad);
    let (method, target) = (word()?, word()?);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let headers: BTreeMap<String, String> =
        fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let length = headers.get("content-length").map_or("0", String::as_str);
    let end = body_at + length.parse::<usize>().map_err(|_| bad())?;
    while input.len() < end {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(bad());
        }
    }
    let (status, body) = answer();
    let length =
        if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let answer = format!("HTTP/1.1 {status} Said\r\n{length}Connection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    Ok(Heard { method, target, headers, body: input[body_at..end].to_vec() })
}
