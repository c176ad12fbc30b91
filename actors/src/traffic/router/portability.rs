//! Which network a number is of now, asked over HTTP and remembered: numbers move between networks.
//!
//! A GET of the operator's URL with the number in it; the answer is JSON, `{"mccmnc": "310260"}`, or
//! 404 for a number that was never ported. Never asked where anything waits for it but a request of
//! the API: whoever cannot wait takes what is remembered, has the rest asked in the background, and
//! goes by the numbering plan meanwhile. Everything is bounded: requests at once, the time of each,
//! and what is remembered. A failure is remembered for a few seconds, so that a hook that is away
//! costs each number one time-out at most.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, counter};
use model::clock::At;
use model::route::is_network;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Semaphore;

/// Of an answer's body so much is read.
const ANSWER_MAX: usize = 4 * 1024;
/// How long a failure holds.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What stands for the number's digits in the URL.
pub const NUMBER: &str = "{number}";

/// How it is asked.
#[derive(Clone, Debug)]
pub struct Hook {
    /// With [`NUMBER`] in it.
    pub url: String,
    pub token: Option<String>,
    pub timeout: Duration,
    pub ttl: Duration,
    pub cache_max: usize,
    pub in_flight_max: usize,
}

#[derive(Debug, Error)]
#[error("portability: {0}")]
pub struct Unusable(#[from] reqwest::Error);

/// What is known of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is of this network.
    Network(Arc<str>),
    /// It was never ported.
    NotPorted,
    /// It was asked for in vain.
    Failed,
    /// It was never asked for.
    Nothing,
}

/// The hook; a clone is the same one.
#[derive(Clone)]
pub struct Portability(Arc<Inner>);

struct Inner {
    hook: Hook,
    client: Client,
    cache: RwLock<HashMap<u64, (Known, At)>>,
    asking: Semaphore,
    answered: Counter,
    failed: Counter,
}

#[derive(Deserialize)]
struct Answer {
    mccmnc: Option<String>,
}

impl Portability {
    pub fn new(hook: Hook) -> Result<Self, Unusable> {
        // Whoever came first has decided which cryptography this process uses.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(hook.timeout)
            .pool_max_idle_per_host(hook.in_flight_max)
            .build()?;
        Ok(Self(Arc::new(Inner {
            asking: Semaphore::new(hook.in_flight_max),
            cache: RwLock::default(),
            client,
            answered: counter!("orbit_portability_total", "outcome" => "answered"),
            failed: counter!("orbit_portability_total", "outcome" => "failed"),
            hook,
        })))
    }

    /// What is remembered of a number.
    #[must_use]
    pub fn known(&self, digits: &str, now: At) -> Known {
        let Ok(number) = digits.parse::<u64>() else { return Known::NotPorted };
        let cache = self.0.cache.read().unwrap_or_else(PoisonError::into_inner);
        let found = cache.get(&number).filter(|(_, until)| *until > now);
        found.map_or(Known::Nothing, |(known, _)| known.clone())
    }

    /// Asks for what is not remembered, and waits for it: at most twice the time-out.
    pub async fn learn(&self, digits: &str, now: At) {
        if self.known(digits, now) != Known::Nothing {
            return;
        }
        let turn = tokio::time::timeout(self.0.hook.timeout, self.0.asking.acquire()).await;
        let known = match turn {
            Ok(Ok(_turn)) => self.ask(digits).await,
            _ => Known::Failed,
        };
        self.keep(digits, known, now);
    }

    /// Asks in the background, if there is room for one more.
    pub fn begin(&self, digits: &str, now: At) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.0.asking.available_permits() == 0 {
            return;
        }
        // One request for each number: the next that ask find it failed until it is answered.
        self.keep(digits, Known::Failed, now);
        let (own, digits) = (self.clone(), digits.to_owned());
        runtime.spawn(async move {
            let Ok(_turn) = own.0.asking.try_acquire() else { return };
            let known = own.ask(&digits).await;
            own.keep(&digits, known, At::now());
        });
    }

    async fn ask(&self, digits: &str) -> Known {
        let hook = &self.0.hook;
        let mut request = self.0.client.get(hook.url.replace(NUMBER, digits));
        if let Some(token) = &hook.token {
            request = request.bearer_auth(token);
        }
        let asked = async {
            let mut response = request.send().await.ok()?;
            if response.status() == reqwest::StatusCode::NOT_FOUND {
                return Some(Known::NotPorted);
            }
            if response.status() != reqwest::StatusCode::OK {
                return None;
            }
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.ok()? {
                body.extend_from_slice(&piece);
                if body.len() > ANSWER_MAX {
                    return None;
                }
            }
            let answer: Answer = serde_json::from_slice(&body).ok()?;
            match answer.mccmnc {
                None => Some(Known::NotPorted),
                Some(network) => is_network(&network).then(|| Known::Network(Arc::from(network))),
            }
        };
        let known = tokio::time::timeout(hook.timeout, asked).await.ok().flatten();
        if known.is_some() { &self.0.answered } else { &self.0.failed }.increment(1);
        known.unwrap_or(Known::Failed)
    }

    fn keep(&self, digits: &str, known: Known, now: At) {
        let Ok(number) = digits.parse::<u64>() else { return };
        let life = if known == Known::Failed { FAILED_FOR } else { self.0.hook.ttl };
        let mut cache = self.0.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= self.0.hook.cache_max && !cache.contains_key(&number) {
            cache.retain(|_, (_, until)| *until > now);
            if cache.len() >= self.0.hook.cache_max {
                cache.clear();
            }
        }
        cache.insert(number, (known, now.plus(life)));
    }
}

#[cfg(test)]
pub(in crate::traffic) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const NOW: At = At(1_800_000_000_000_000);

    /// A hook that answers by the last digit of the number, and how often it was asked.
    pub(in crate::traffic) async fn hook() -> (Hook, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/lookup?n={NUMBER}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let length = socket.read(&mut head).await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    assert!(head.to_ascii_lowercase().contains("authorization: bearer sesame"));
                    let number = head.split(['=', ' ']).nth(2).unwrap().to_owned();
                    let (status, body) = match number.chars().last() {
                        Some('1') => ("200 OK", String::from("{\"mccmnc\":\"310260\"}")),
                        Some('2') => ("404 Not Found", String::new()),
                        Some('3') => ("500 Oops", String::new()),
                        Some('4') => ("200 OK", String::from("{\"mccmnc\":\"soon\"}")),
                        Some('5') => ("200 OK", "x".repeat(10_000)),
                        // It never answers.
                        _ => return std::future::pending().await,
                    };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                    );
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        let hook = Hook {
            url,
            token: Some(String::from("sesame")),
            timeout: Duration::from_secs(2),
            ttl: Duration::from_secs(60),
            cache_max: 10,
            in_flight_max: 2,
        };
        (hook, asked)
    }

    fn number(last: u32) -> String {
        format!("1415555012{last}")
    }

    #[tokio::test]
    async fn an_answer_is_remembered_and_a_failure_too_but_shortly() {
        let (hook, asked) = hook().await;
        let hook = Hook { timeout: Duration::from_secs(20), ..hook };
        let portability = Portability::new(hook).unwrap();
        let expected = [
            (1, Known::Network(Arc::from("310260"))),
            (2, Known::NotPorted),
            (3, Known::Failed),
            (4, Known::Failed),
            (5, Known::Failed),
        ];
        for (last, known) in &expected {
            assert_eq!(portability.known(&number(*last), NOW), Known::Nothing);
            portability.learn(&number(*last), NOW).await;
            assert_eq!(portability.known(&number(*last), NOW), *known, "{last}");
            portability.learn(&number(*last), NOW).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 5, "each once");
        let later = |seconds| NOW.plus(Duration::from_secs(seconds));
        assert_eq!(portability.known(&number(3), later(5)), Known::Nothing);
        assert_eq!(portability.known(&number(1), later(59)), expected[0].1);
        assert_eq!(portability.known(&number(1), later(60)), Known::Nothing);
    }

    #[tokio::test]
    async fn a_hook_that_never_answers_costs_its_time_out_once() {
        let (hook, asked) = hook().await;
        let hook = Hook { timeout: Duration::from_millis(50), ..hook };
        let portability = Portability::new(hook).unwrap();
        for _ in 0..3 {
            portability.learn(&number(9), NOW).await;
            assert_eq!(portability.known(&number(9), NOW), Known::Failed);
        }
        assert!(asked.load(Ordering::Relaxed) <= 1);
    }

    #[tokio::test]
    async fn who_cannot_wait_finds_it_later() {
        let (hook, asked) = hook().await;
        let portability =
            Portability::new(Hook { timeout: Duration::from_secs(20), ..hook }).unwrap();
        for _ in 0..3 {
            if portability.known(&number(1), NOW) == Known::Nothing {
                portability.begin(&number(1), NOW);
            }
        }
        assert_eq!(portability.known(&number(1), NOW), Known::Failed, "not answered yet");
        while portability.known(&number(1), At::now()) != Known::Network(Arc::from("310260")) {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (hook, _) = hook().await;
        let portability = Portability::new(hook).unwrap();
        for n in 0..100 {
            portability.keep(&format!("1415555{n:04}"), Known::NotPorted, NOW);
        }
        let kept = portability.0.cache.read().unwrap().len();
        assert!(kept <= 10, "{kept}");
        assert_eq!(portability.known("14155550099", NOW), Known::NotPorted, "the last is there");
    }
}
