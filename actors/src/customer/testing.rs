//! For tests of what faces the customer: a store, a writer, an organization, and an HTTP server
//! that says what the test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::carrier::{CarrierId, MessageKey, OrgId};
use model::message::Category;
use model::money::Micros;
use model::submission::{Credential, NewMessage, SendOptions, Submission};
use ractor::ActorRef;
use serde_json::Value;
use store::lane::{Accepted, Claim, HandoffResult, OutboxRef, Outcome, PartId, Work};
use store::{Options, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::testing::{self, Folder};
use crate::writer::{Limits, Shared, WriterHandle, WriterMsg};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) writer: WriterHandle,
    pub(crate) organization: OrgId,
    key: i64,
    carrier: (CarrierId, i64),
    shared: Arc<Shared>,
    actor: ActorRef<WriterMsg>,
    _folder: Folder,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = Folder::new(&format!("orbit-customer-{:032x}", rand::random::<u128>()));
        let url = folder.database();
        let store = Store::open(Options::new(&url)).await.unwrap();
        let limits = Limits { accepts_max: 10_000, backlog_per_organization_max: 10_000 };
        let shared = Arc::new(Shared::new(limits));
        let actor = testing::start_writer(&store, &shared).await;
        let writer = WriterHandle::new(shared.clone());
        let (organization, key) = testing::tenant(&writer, Micros(1_000_000_000)).await;
        let carrier = testing::carrier(&writer, "main").await;
        Self { store, writer, organization, key, carrier, shared, actor, _folder: folder }
    }

    /// Ends the writer and starts another.
    pub(crate) async fn another_writer(&mut self) {
        self.actor.kill_and_wait(Some(PATIENCE)).await.unwrap();
        self.actor = testing::start_writer(&self.store, &self.shared).await;
    }

    /// Accepts messages: one event each.
    pub(crate) async fn accepted(
        &self,
        count: usize,
        webhook_url: Option<&str>,
    ) -> Vec<MessageKey> {
        let message = |_| NewMessage {
            options: SendOptions {
                webhook_url: webhook_url.map(str::to_owned),
                ..SendOptions::default()
            },
            ..testing::message(self.carrier.0)
        };
        let submission = Submission {
            organization: self.organization,
            credential: Credential::ApiKey(self.key),
            idempotency: None,
            batch: None,
            messages: (0..count).map(message).collect(),
        };
        let accepted = self.writer.submit(submission).await.unwrap();
        let Accepted::Fresh { first, .. } = accepted else { panic!("replayed") };
        (first.0..).take(count).map(MessageKey).collect()
    }

    /// Claims and settles accepted messages: one more event each.
    pub(crate) async fn sent(&self, keys: &[MessageKey]) {
        let (carrier, epoch) = self.carrier;
        let row = |key: &MessageKey| OutboxRef {
            carrier,
            class: 1,
            organization: self.organization,
            key: *key,
        };
        let claims = keys.iter().map(|key| Claim { row: row(key), epoch }).collect();
        self.writer.perform(Work { claims, ..Work::default() }).await.unwrap();
        let result = |key: &MessageKey| HandoffResult {
            row: row(key),
            epoch,
            category: Category::Transactional,
            segments: 1,
            unit_price: Micros(1_000),
            outcome: Outcome::Sent {
                parts: vec![PartId { part: 1, id: key.0.to_string() }],
                external_id: key.0.to_string(),
            },
        };
        let results = keys.iter().map(result).collect();
        self.writer.perform(Work { results, ..Work::default() }).await.unwrap();
    }
}

/// What a server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// This status, with these further header lines.
    Answer(u16, &'static str),
    /// Nothing, and the connection stays open.
    Hang,
    /// The connection is cut.
    Reset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

type Rule = Box<dyn Fn(&Heard) -> Act + Send>;

/// An HTTP server on this machine.
pub(crate) struct Server {
    pub(crate) url: String,
    heard: watch::Receiver<Vec<Heard>>,
    rule: Arc<Mutex<Rule>>,
}

impl Server {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (requests, heard) = watch::channel(Vec::new());
        let rule: Rule = Box::new(|_| Act::Answer(200, ""));
        let rule = Arc::new(Mutex::new(rule));
        let (requests, shared) = (Arc::new(requests), rule.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, requests.clone(), shared.clone()));
            }
        });
        Self { url, heard, rule }
    }

    /// From now on.
    pub(crate) fn does(&self, rule: impl Fn(&Heard) -> Act + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }

    /// Waits until what was heard is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let mut heard = self.heard.clone();
        let waiting = heard.wait_for(|heard| wanted(heard));
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        let Ok(Ok(heard)) = outcome else { panic!("heard only {:#?}", self.heard()) };
        heard.clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<watch::Sender<Vec<Heard>>>,
    rule: Arc<Mutex<Rule>>,
) {
    let mut bytes = Vec::new();
    loop {
        let Some(heard) = request(&mut stream, &mut bytes).await else { return };
        let act = rule.lock().unwrap()(&heard);
        requests.send_modify(|all| all.push(heard));
        match act {
            Act::Answer(status, headers) => {
                let answer =
                    format!("HTTP/1.1 {status} Said\r\nContent-Length: 2\r\n{headers}\r\nok");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Hang => std::future::pending().await,
            Act::Reset => return,
        }
    }
}

/// Reads one request with a body of a known length.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Heard> {
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    while bytes.len() < end + length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let rest = bytes.split_off(end + length);
    let text = String::from_utf8_lossy(&bytes[end..]).into_owned();
    *bytes = rest;
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Heard { path, headers, text, body })
}
