//! Webhook receivers of every temper, on one thread and one loopback port.
//!
//! The path says which receiver is meant: `/hook/7`. A receiver that answers keeps what it was
//! told: each event once, how often it came again, whether a message's events came in order, and
//! how long after its moment each arrived. Framing is our own, so nothing of the switch's HTTP
//! code tests itself. The thread ends with the last handle.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::client::find;
use crate::histogram::{Histogram, Summary};

const CONNECTIONS_MAX: usize = 4_096;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// What a receiver that hangs waits: longer than any sender's patience.
const HANG: Duration = Duration::from_secs(40);

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    Answers,
    /// Takes the request and says nothing for longer than a sender waits.
    Hangs,
    /// 500, always.
    Fails,
    /// 302 to somewhere else.
    Redirects,
    /// Closes the connection instead of an answer.
    Resets,
    /// 410: it wants no more.
    Gone,
}

/// Ends its thread when dropped.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    books: Arc<Mutex<Books>>,
    _life: watch::Sender<()>,
}

/// What came to all receivers that answer.
struct Books {
    tempers: Vec<Temper>,
    /// Event ids, by receiver.
    seen: Vec<HashSet<String>>,
    /// The highest sequence of each message, by receiver.
    sequences: HashMap<(usize, String), i64>,
    /// How many of the three events of a life came of each message.
    lives: HashMap<String, u8>,
    lag: Histogram,
    repeated: u64,
    disordered: u64,
    unreadable: u64,
    requests_to_bad: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SinkReport {
    pub(crate) events: usize,
    pub(crate) repeated: u64,
    /// Events that came before an earlier one of their message, the first time they came.
    pub(crate) disordered: u64,
    pub(crate) unreadable: u64,
    pub(crate) requests_to_bad_receivers: u64,
    /// From the event's moment to the request at its receiver.
    pub(crate) lag: Summary,
}

impl Sink {
    /// Listens on a free port, with a receiver per temper.
    pub(crate) fn start(tempers: Vec<Temper>) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen = vec![HashSet::new(); tempers.len()];
        let books = Books {
            tempers,
            seen,
            lag: Histogram::new(),
            sequences: HashMap::new(),
            lives: HashMap::new(),
            repeated: 0,
            disordered: 0,
            unreadable: 0,
            requests_to_bad: 0,
        };
        let books = Arc::new(Mutex::new(books));
        let (life, ended) = watch::channel(());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&books);
        std::thread::Builder::new().name(String::from("sink")).spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    accept(listener, shared, ended).await;
                }
            });
        })?;
        Ok(Self { address, books, _life: life })
    }

    pub(crate) fn url(&self, receiver: usize) -> String {
        format!("http://{}/hook/{receiver}", self.address)
    }

    pub(crate) fn report(&self) -> SinkReport {
        let books = lock(&self.books);
        SinkReport {
            events: books.seen.iter().map(HashSet::len).sum(),
            repeated: books.repeated,
            disordered: books.disordered,
            unreadable: books.unreadable,
            requests_to_bad_receivers: books.requests_to_bad,
            lag: books.lag.summary(),
        }
    }

    /// How many events of good receivers there are so far.
    pub(crate) fn events(&self) -> usize {
        lock(&self.books).seen.iter().map(HashSet::len).sum()
    }

    /// How many of these messages had all three events of their life: created, sent, delivered.
    pub(crate) fn whole_lives<'a>(&self, ids: impl Iterator<Item = &'a str>) -> u64 {
        let books = lock(&self.books);
        ids.filter(|id| books.lives.get(*id).copied() == Some(0b111)).count() as u64
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, books: Arc<Mutex<Books>>, mut ended: watch::Receiver<()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let books = Arc::clone(&books);
                tokio::spawn(async move {
                    let _permit = permit;
                    // A sender that goes away is its own affair.
                    let _ = serve(stream, &books).await;
                });
            }
            _ = ended.changed() => return,
        }
    }
}

/// One connection: requests one after the other, each answered as its receiver does.
async fn serve(mut stream: TcpStream, books: &Mutex<Books>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    while let Some((receiver, body)) = request(&mut stream, &mut input).await? {
        let temper = lock(books).tempers.get(receiver).copied().unwrap_or(Temper::Gone);
        let answer: &[u8] = match temper {
            Temper::Answers => {
                note(books, receiver, &body);
                b"HTTP/1.1 204 No Content\r\n\r\n"
            }
            bad => {
                lock(books).requests_to_bad += 1;
                match bad {
                    Temper::Hangs => {
                        tokio::time::sleep(HANG).await;
                        return Ok(());
                    }
                    Temper::Resets => return Ok(()),
                    Temper::Redirects => {
                        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
                    }
                    Temper::Gone => b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
                    _ => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
                }
            }
        };
        stream.write_all(answer).await?;
    }
    Ok(())
}

/// The next request: its receiver and body. `None` when the sender is done.
async fn request(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
) -> std::io::Result<Option<(usize, Vec<u8>)>> {
    let bad = || std::io::Error::from(ErrorKind::InvalidData);
    let head_end = loop {
        if let Some(end) = find(input, b"\r\n\r\n") {
            break end + 4;
        }
        if input.len() > HEAD_BYTES_MAX {
            return Err(bad());
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    let head = std::str::from_utf8(&input[..head_end]).map_err(|_| bad())?;
    let target = head.split(' ').nth(1).ok_or_else(bad)?;
    let receiver = target.rsplit('/').next().and_then(|n| n.parse().ok()).ok_or_else(bad)?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, n)| n.trim().parse().ok()).unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(bad());
    }
    while input.len() < head_end + length {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    let body = input[head_end..head_end + length].to_vec();
    input.drain(..head_end + length);
    Ok(Some((receiver, body)))
}

fn note(books: &Mutex<Books>, receiver: usize, body: &[u8]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut books = lock(books);
    let (Some(id), Some(kind)) = (event["id"].as_str(), event["type"].as_str()) else {
        books.unreadable += 1;
        return;
    };
    if !books.seen[receiver].insert(id.to_owned()) {
        books.repeated += 1;
        return;
    }
    if let Some(at) = event["created_at"].as_str().and_then(micros_of) {
        books.lag.record((now.as_micros() as u64).saturating_sub(at));
    }
    let Some(message) = event["data"]["message_id"].as_str().map(str::to_owned) else {
        return;
    };
    let bit = match kind {
        "message.created" => 1,
        "message.sent" => 2,
        "message.delivered" => 4,
        _ => 0,
    };
    *books.lives.entry(message.clone()).or_default() |= bit;
    let sequence = event["sequence"].as_i64().unwrap_or(0);
    let last = books.sequences.entry((receiver, message)).or_default();
    let late = sequence <= *last;
    *last = (*last).max(sequence);
    books.disordered += u64::from(late);
}

/// The moment of an RFC 3339 text in microseconds of the epoch.
fn micros_of(text: &str) -> Option<u64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;

    fn event(id: &str, kind: &str, message: &str, sequence: i64) -> Vec<u8> {
        let body = format!(
            "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"created_at\":\"2026-01-01T00:00:00Z\",\
             \"sequence\":{sequence},\"data\":{{\"message_id\":\"{message}\"}}}}"
        );
        let head = format!("POST /hook/0 HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body.into_bytes()].concat()
    }

    #[tokio::test]
    async fn events_are_counted_once_and_their_order_is_judged() {
        let sink = Sink::start(vec![Temper::Answers, Temper::Fails]).expect("a port");
        let mut client = Client::new(sink.address);
        for (id, kind, sequence) in [
            ("evt_1", "message.created", 1),
            ("evt_3", "message.delivered", 3),
            ("evt_2", "message.sent", 2),
            ("evt_2", "message.sent", 2),
        ] {
            let request = event(id, kind, "msg_a", sequence);
            assert_eq!(client.send(&request).await.expect("answer").status, 204);
        }
        let report = sink.report();
        assert_eq!((report.events, report.repeated, report.disordered), (3, 1, 1));
        assert_eq!(sink.whole_lives(["msg_a", "msg_b"].into_iter()), 1);
        let request = b"POST /hook/1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(client.send(request).await.expect("answer").status, 500);
        assert_eq!(sink.report().requests_to_bad_receivers, 1);
    }
}
