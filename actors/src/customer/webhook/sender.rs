//! One request to a customer's endpoint: sent, timed, and its answer kept within bounds.
//!
//! Owned by whoever delivers webhooks; holds connection pools and nothing else. No redirects, no
//! proxies, no cookies; addresses as the guard allows them, one client for each scheme since
//! plain HTTP goes to named networks only.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use model::clock::At;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::Instant;

use super::guard::{Blocked, Lookup, Networks, Resolver};
use super::schedule;

/// Of an answer's body so much is kept.
const BODY_KEPT: usize = 4 * 1024;
/// Of an answer's headers so many octets are kept.
const HEADERS_KEPT: usize = 8 * 1024;
/// What is kept of a body must come within this.
const BODY_PATIENCE: Duration = Duration::from_secs(2);
/// Idle connections kept to one host, and how long.
const IDLE_MAX: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Sends; a clone is the same one.
#[derive(Clone)]
pub struct Sender {
    https: Client,
    http: Client,
    networks: Networks,
    timeout: Duration,
}

#[derive(Debug, Error)]
#[error("webhooks: {0}")]
pub struct Unusable(reqwest::Error);

/// What came of one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `None`: there was no answer; `error` says why.
    pub status: Option<u16>,
    pub error: Option<String>,
    /// Until the answer's head.
    pub elapsed: Duration,
    pub retry_after: Option<Duration>,
    /// A JSON object.
    pub headers: Option<String>,
    pub body: Option<String>,
}

impl Sender {
    pub fn new(networks: Networks, lookup: Lookup, timeout: Duration) -> Result<Self, Unusable> {
        // Whoever came first has decided which cryptography this process uses.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |encrypted| {
            let (networks, lookup) = (networks.clone(), Arc::clone(&lookup));
            let resolver = Resolver { networks, encrypted, lookup };
            Client::builder()
                .dns_resolver(Arc::new(resolver))
                .redirect(Policy::none())
                .no_proxy()
                .pool_max_idle_per_host(IDLE_MAX)
                .pool_idle_timeout(IDLE_FOR)
                .build()
                .map_err(Unusable)
        };
        Ok(Self { https: client(true)?, http: client(false)?, networks, timeout })
    }

    #[must_use]
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Posts a body, or without one gets what is there; never takes longer than the timeout and a
    /// moment.
    pub async fn send(&self, url: &str, headers: HeaderMap, body: Option<String>) -> Answer {
        let started = Instant::now();
        // The guard's list may have become shorter since the URL was stored.
        let url = match self.networks.check(url) {
            Ok(url) => url,
            Err(forbidden) => return Answer::none(started, forbidden.to_string()),
        };
        let client = if url.scheme() == "https" { &self.https } else { &self.http };
        let asking = match body {
            Some(body) => client.post(url).headers(headers).body(body).send(),
            None => client.get(url).headers(headers).send(),
        };
        match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(response)) => Answer::of(response, started).await,
            Ok(Err(error)) => Answer::none(started, in_words(&error)),
            Err(_) => {
                let seconds = self.timeout.as_secs_f32();
                Answer::none(started, format!("no answer within {seconds} s"))
            }
        }
    }
}

impl Answer {
    fn none(started: Instant, error: String) -> Self {
        Self {
            status: None,
            error: Some(storable(error)),
            elapsed: started.elapsed(),
            retry_after: None,
            headers: None,
            body: None,
        }
    }

    async fn of(mut response: Response, started: Instant) -> Self {
        let elapsed = started.elapsed();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked.and_then(|text| schedule::retry_after(text, At::now()));
        let headers = Some(headers_text(response.headers()));
        let status = Some(response.status().as_u16());
        let mut kept = Vec::new();
        let reading = async {
            while kept.len() < BODY_KEPT
                && let Ok(Some(chunk)) = response.chunk().await
            {
                kept.extend_from_slice(&chunk[..chunk.len().min(BODY_KEPT - kept.len())]);
            }
        };
        // The answer is there; whether its body ever ends does not change what it said.
        let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
        let body = Some(storable(String::from_utf8_lossy(&kept).into_owned()));
        Self { status, error: None, elapsed, retry_after, headers, body }
    }

    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Headers as a JSON object, within bounds; of a repeated name the values are joined.
#[must_use]
pub fn headers_text(headers: &HeaderMap) -> String {
    let mut object = Map::new();
    let mut length = 0;
    for (name, value) in headers {
        let value = storable(String::from_utf8_lossy(value.as_bytes()).into_owned());
        length += name.as_str().len() + value.len();
        if length > HEADERS_KEPT {
            object.insert(String::from("_truncated"), json!(true));
            break;
        }
        match object.get_mut(name.as_str()) {
            Some(Value::String(known)) => known.push_str(&format!(", {value}")),
            _ => {
                object.insert(name.as_str().to_owned(), Value::String(value));
            }
        }
    }
    Value::Object(object).to_string()
}

/// U+0000 cannot be stored.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The innermost reason: the outer ones say only that a request failed.
fn in_words(error: &reqwest::Error) -> String {
    let mut reason = error.source();
    let mut words = if error.is_connect() { "no connection" } else { "broken off" }.to_owned();
    while let Some(inner) = reason {
        if inner.is::<Blocked>() {
            return inner.to_string();
        }
        if inner.source().is_none() {
            words = format!("{words}: {inner}");
        }
        reason = inner.source();
    }
    words
}
