//! Drives one HTTP target over many keep-alive connections from a single thread.
//!
//! Closed loop by default: a connection sends when it has its answer. With a rate it is
//! open: requests are due at fixed times and their latency counts from then, so a slow
//! target cannot hide its queue. With `retry` a request is repeated under its own number,
//! and so with the same idempotency key, until it is accepted or the time is up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::LocalSet;

use crate::client::Client;
use crate::histogram::{Histogram, Summary};
use crate::traffic::{Target, message_id};

const RETRY_AFTER: Duration = Duration::from_millis(20);
const FLUSH_EVERY: u64 = 256;
const REFUSAL_SHOWN: usize = 300;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// The number of the first request.
    pub(crate) first: u64,
    /// Without it the time alone decides.
    pub(crate) requests: Option<u64>,
    /// No request is begun later.
    pub(crate) time: Duration,
    /// Requests per second in the open loop.
    pub(crate) rate: Option<f64>,
    pub(crate) retry: bool,
    /// For one answer.
    pub(crate) patience: Duration,
    /// How long a begun request is repeated once the time is up.
    pub(crate) last_retries: Duration,
}

/// What is kept of accepted messages.
pub(crate) enum Keep {
    Nothing,
    File(BufWriter<File>),
    Memory(Vec<Accepted>),
}

#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) number: u64,
    pub(crate) id: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct LoadReport {
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) accepts_per_second: f64,
    pub(crate) latency: Summary,
    /// Answers by status, repeated requests included.
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) transport_errors: u64,
    pub(crate) retries: u64,
    /// Requests that were never accepted.
    pub(crate) given_up: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_refusal: Option<String>,
}

struct State {
    next: u64,
    histogram: Histogram,
    statuses: BTreeMap<u16, u64>,
    accepted: u64,
    transport_errors: u64,
    retries: u64,
    given_up: u64,
    first_refusal: Option<String>,
    keep: Keep,
    last_answer: Instant,
}

struct Shared {
    plan: Plan,
    target: Target,
    started: Instant,
    /// Set from outside to begin no more requests.
    stop: Rc<Cell<bool>>,
    state: RefCell<State>,
}

/// How one attempt ended.
enum Attempt {
    Accepted,
    Refused,
    /// Worth another try.
    Failed,
}

/// Runs the plan to its end, or until `stop` is set.
pub(crate) async fn run(
    plan: Plan,
    target: Target,
    keep: Keep,
    stop: Rc<Cell<bool>>,
) -> Result<(LoadReport, Keep)> {
    let clients = connect(&plan, &target).await?;
    let started = Instant::now();
    let shared = Rc::new(Shared {
        state: RefCell::new(State {
            next: plan.first,
            histogram: Histogram::new(),
            statuses: BTreeMap::new(),
            accepted: 0,
            transport_errors: 0,
            retries: 0,
            given_up: 0,
            first_refusal: None,
            keep,
            last_answer: started,
        }),
        plan,
        target,
        started,
        stop,
    });
    let workers = LocalSet::new();
    for client in clients {
        workers.spawn_local(work(Rc::clone(&shared), client));
    }
    workers.await;
    let mut state = shared.state.borrow_mut();
    if let Keep::File(file) = &mut state.keep {
        file.flush()?;
    }
    let report = state.report(&shared.plan, started);
    Ok((report, std::mem::replace(&mut state.keep, Keep::Nothing)))
}

/// Opens all connections before the clock runs: a small listen queue would cost seconds.
async fn connect(plan: &Plan, target: &Target) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let mut client = Client::new(target.address);
        let connected = client.connect().await;
        if !plan.retry {
            connected.context("the target does not listen")?;
        }
        clients.push(client);
    }
    Ok(clients)
}

impl Keep {
    fn accepted(&mut self, target: &Target, number: u64, body: &[u8], count: u64) {
        let id = || message_id(body).unwrap_or_default();
        match self {
            Self::Nothing => {}
            Self::Memory(list) => list.push(Accepted { number, id: id().to_owned() }),
            Self::File(file) => {
                let mut line = Vec::with_capacity(96);
                line.extend_from_slice(id().as_bytes());
                line.push(b'\t');
                target.recipients.write(number, &mut line);
                line.push(b'\t');
                target.recipients.write_token(number, &mut line);
                line.push(b'\n');
                let mut written = file.write_all(&line);
                if written.is_ok() && count.is_multiple_of(FLUSH_EVERY) {
                    written = file.flush();
                }
                if let Err(error) = written {
                    eprintln!("the ids cannot be written: {error}");
                }
            }
        }
    }
}

impl State {
    fn report(&self, plan: &Plan, started: Instant) -> LoadReport {
        let seconds = self.last_answer.duration_since(started).as_secs_f64();
        LoadReport {
            seconds,
            requests: self.next - plan.first,
            accepted: self.accepted,
            accepts_per_second: (self.accepted as f64 / seconds.max(0.001)).round(),
            latency: self.histogram.summary(),
            statuses: self.statuses.clone(),
            transport_errors: self.transport_errors,
            retries: self.retries,
            given_up: self.given_up,
            first_refusal: self.first_refusal.clone(),
        }
    }
}

impl Shared {
    /// The number of the next request and when it is due.
    fn next(&self) -> Option<(u64, Instant)> {
        let mut state = self.state.borrow_mut();
        let begun = state.next - self.plan.first;
        if self.stop.get() || self.plan.requests.is_some_and(|most| begun >= most) {
            return None;
        }
        let now = Instant::now();
        let due = match self.plan.rate {
            Some(rate) => self.started + Duration::from_secs_f64(begun as f64 / rate),
            None => now,
        };
        if due.max(now) >= self.started + self.plan.time {
            return None;
        }
        state.next += 1;
        Some((state.next - 1, due))
    }

    fn may_repeat(&self) -> bool {
        let end = self.started + self.plan.time + self.plan.last_retries;
        self.plan.retry && Instant::now() < end
    }
}

async fn work(shared: Rc<Shared>, mut client: Client) {
    let mut request = Vec::with_capacity(512);
    let mut body = Vec::with_capacity(512);
    while let Some((number, due)) = shared.next() {
        if shared.plan.rate.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        shared.target.write(number, &mut request, &mut body);
        loop {
            let attempt = attempt(&shared, &mut client, &request, number).await;
            if let Attempt::Accepted = attempt {
                let latency = due.elapsed().as_micros() as u64;
                shared.state.borrow_mut().histogram.record(latency);
                break;
            }
            if matches!(attempt, Attempt::Refused) || !shared.may_repeat() {
                shared.state.borrow_mut().given_up += 1;
                break;
            }
            shared.state.borrow_mut().retries += 1;
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

async fn attempt(shared: &Shared, client: &mut Client, request: &[u8], number: u64) -> Attempt {
    let sent = tokio::time::timeout(shared.plan.patience, client.send(request)).await;
    let mut state = shared.state.borrow_mut();
    let Ok(Ok(response)) = sent else {
        state.transport_errors += 1;
        drop(state);
        client.reset();
        return Attempt::Failed;
    };
    state.last_answer = Instant::now();
    *state.statuses.entry(response.status).or_default() += 1;
    match response.status {
        200..300 => {
            state.accepted += 1;
            let count = state.accepted;
            state.keep.accepted(&shared.target, number, response.body, count);
            Attempt::Accepted
        }
        status => {
            if state.first_refusal.is_none() {
                let shown = &response.body[..response.body.len().min(REFUSAL_SHOWN)];
                state.first_refusal = Some(String::from_utf8_lossy(shown).into_owned());
            }
            match status {
                409 | 429 | 500.. => Attempt::Failed,
                _ => Attempt::Refused,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::traffic::{Form, Recipients};

    fn plan(requests: u64) -> Plan {
        Plan {
            connections: 3,
            first: 0,
            requests: Some(requests),
            time: Duration::from_secs(5),
            rate: None,
            retry: true,
            patience: Duration::from_secs(5),
            last_retries: Duration::from_secs(1),
        }
    }

    /// Accepts, but answers the first `refused` requests with 503 or by closing.
    async fn serve(listener: TcpListener, refused: Rc<Cell<u32>>) {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let refused = Rc::clone(&refused);
            tokio::task::spawn_local(async move {
                let mut input = vec![0; 4096];
                while stream.read(&mut input).await.unwrap_or(0) > 0 {
                    let left = refused.get();
                    refused.set(left.saturating_sub(1));
                    let answer: &[u8] = match left {
                        0 => b"HTTP/1.1 202 A\r\nContent-Length: 13\r\n\r\n{\"id\":\"msg_1\"",
                        1 => b"HTTP/1.1 503 B\r\nContent-Length: 0\r\n\r\n",
                        _ => return,
                    };
                    stream.write_all(answer).await.expect("written");
                }
            });
        }
    }

    #[tokio::test]
    async fn each_request_is_accepted_once_though_some_fail_first() {
        let local = LocalSet::new();
        let work = async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
            let address = listener.local_addr().expect("address");
            tokio::task::spawn_local(serve(listener, Rc::new(Cell::new(3))));
            let form = Form::Orbit {
                path: "/".into(),
                key: "k".into(),
                idempotency: true,
                text: "x".into(),
            };
            let recipients = Recipients::new("+1415", 1).expect("a prefix");
            let target = Target { address, recipients, form };
            let keep = Keep::Memory(Vec::new());
            run(plan(20), target, keep, Rc::default()).await.expect("runs")
        };
        let (report, keep) = local.run_until(work).await;
        assert_eq!((report.accepted, report.given_up, report.retries), (20, 0, 3));
        assert_eq!((report.statuses[&202], report.transport_errors), (20, 2));
        let Keep::Memory(list) = keep else {
            panic!("kept in memory");
        };
        let mut numbers: Vec<u64> = list.iter().map(|accepted| accepted.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        assert!(list.iter().all(|accepted| accepted.id == "msg_1"));
    }
}
