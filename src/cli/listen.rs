//! `orbit listen`: brings an organization's events to a program on this machine.
//!
//! Follows the stream of events and posts each to a local URL, signed as a webhook would be, with
//! a secret that is printed at the start. A lost stream is opened again behind the last event. It
//! keeps nothing: what is not delivered is shown as a line, and not tried again.

use std::time::Duration;

use actors::customer::webhook::sign;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use model::clock::At;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::Common;

const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);
/// A stream says at least that it lives this often; the documented beat is 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const FORWARD_PATIENCE: Duration = Duration::from_secs(30);
/// An event longer than this is none of ours.
const EVENT_MAX: usize = 4 * 1024 * 1024;

#[derive(Args)]
pub(crate) struct ListenArgs {
    /// Where events go, as in `http://localhost:3000/hook`.
    #[arg(long, value_name = "URL")]
    forward: String,
    /// Only these: names, groups such as `message.*`, or `*`; may be given several times.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    events: Vec<String>,
    /// With what requests are signed; made when left out.
    #[arg(long, value_name = "whsec_…")]
    secret: Option<String>,
    /// API key; better in ORBIT_API_KEY, where no process list shows it. In a development folder
    /// the key of `orbit dev` is taken.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The switch, as in `http://127.0.0.1:8080`; without it that of the settings.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Who listens, and for what.
struct Listener {
    client: Client,
    stream: Url,
    key: String,
    forward: Url,
    events: Vec<String>,
    secret: String,
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    id: String,
    event: String,
    data: String,
}

/// Takes a stream apart, as it comes.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
    told: Told,
}

/// How a stream ended.
enum Ended {
    /// It is worth another try.
    Lost(String),
    /// It is not.
    Refused(String),
}

pub(crate) async fn listen(args: ListenArgs) -> Result<()> {
    let settings = args.common.settings()?;
    let scheme = if settings.http.tls_cert.is_some() { "https" } else { "http" };
    let server = args.server.unwrap_or_else(|| format!("{scheme}://{}", settings.http.bind));
    let server = if server.contains("://") { server } else { format!("http://{server}") };
    let stream = format!("{}/api/v1/events/stream", server.trim_end_matches('/'));
    let secret = args.secret.unwrap_or_else(|| sign::secret(rand::random()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut listener = Listener {
        client: Client::builder().redirect(reqwest::redirect::Policy::none()).build()?,
        stream: Url::parse(&stream).with_context(|| format!("--server {server}"))?,
        key: super::send::key(&settings, args.key)?,
        forward: Url::parse(&args.forward)
            .with_context(|| format!("--forward {}", args.forward))?,
        events: args.events,
        secret,
    };
    println!("listening at {stream}, forwarding to {}", listener.forward);
    println!("requests are signed with {}", listener.secret);
    listener.run(|line| println!("{line}")).await
}

impl Listener {
    /// Until the server refuses.
    async fn run(&mut self, mut show: impl FnMut(String)) -> Result<()> {
        let (mut last, mut rest) = (String::new(), REST_MIN);
        loop {
            let before = last.clone();
            match self.follow(&mut last, &mut show).await {
                Ended::Refused(why) => bail!("{why}"),
                Ended::Lost(why) => show(format!("{why}; trying again")),
            }
            rest = if last == before { (rest * 2).min(REST_MAX) } else { REST_MIN };
            tokio::time::sleep(rest).await;
        }
    }

    async fn follow(&self, last: &mut String, show: &mut impl FnMut(String)) -> Ended {
        let mut request = self
            .client
            .get(self.stream.clone())
            .header("x-api-key", &self.key)
            .header("accept", "text/event-stream");
        if !last.is_empty() {
            request = request.header("last-event-id", last.as_str());
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ended::Lost(format!("no stream: {error}")),
        };
        let status = response.status();
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            let body = response.text().await.unwrap_or_default();
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let message = body["error"]["message"].as_str().unwrap_or("no reason given");
            return Ended::Refused(format!("the server refuses the stream ({status}): {message}"));
        }
        if !status.is_success() {
            return Ended::Lost(format!("no stream: {status}"));
        }
        let mut parser = Parser::default();
        loop {
            let chunk = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ended::Lost(String::from("the stream ended")),
                Ok(Err(error)) => return Ended::Lost(format!("the stream broke off: {error}")),
                Err(_) => return Ended::Lost(String::from("the stream fell silent")),
            };
            for told in parser.take(&chunk) {
                if !told.id.is_empty() {
                    last.clone_from(&told.id);
                }
                if told.event == "reset" {
                    show(String::from("events were missed: they are too old to be streamed"));
                } else if !told.data.is_empty() && self.wants(&told) {
                    show(self.forward(&told).await);
                }
            }
            if parser.bytes.len() + parser.told.data.len() > EVENT_MAX {
                return Ended::Lost(String::from("the stream sent an endless event"));
            }
        }
    }

    fn wants(&self, told: &Told) -> bool {
        self.events.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(group) => told.event.starts_with(group),
            None => told.event == *pattern,
        })
    }

    /// Posts one event; answers the line that says how it went.
    async fn forward(&self, told: &Told) -> String {
        let started = tokio::time::Instant::now();
        let at_s = At::now().micros() / 1_000_000;
        let secrets = [self.secret.as_str()];
        let body = told.data.as_bytes();
        let posting = self
            .client
            .post(self.forward.clone())
            .timeout(FORWARD_PATIENCE)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Devotel-Webhooks/1.0")
            .header("x-devotel-event-id", &told.id)
            .header("x-devotel-event-type", &told.event)
            .header("x-devotel-attempt", "1")
            .header("x-devotel-signature", sign::devotel(&secrets, at_s, body))
            .header("webhook-id", &told.id)
            .header("webhook-timestamp", at_s.to_string())
            .header("webhook-signature", sign::standard(&secrets, &told.id, at_s, body))
            .body(told.data.clone())
            .send();
        let outcome = match posting.await {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) if error.is_connect() => String::from("nobody listens there"),
            Err(error) => error.to_string(),
        };
        let time = At::now().iso();
        let time = time.get(11..23).unwrap_or_default().to_owned();
        let took = started.elapsed().as_millis();
        format!("{time}  {}  {:<20} {outcome}  {took} ms", told.id, told.event)
    }
}

impl Parser {
    /// The events that are whole now.
    fn take(&mut self, chunk: &[u8]) -> Vec<Told> {
        self.bytes.extend_from_slice(chunk);
        let mut whole = Vec::new();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let told = std::mem::take(&mut self.told);
                if told != Told::default() {
                    whole.push(told);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => self.told.id = value.to_owned(),
                "event" => self.told.event = value.to_owned(),
                "data" => {
                    if !self.told.data.is_empty() {
                        self.told.data.push('\n');
                    }
                    self.told.data.push_str(value);
                }
                _ => {}
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::routing::{get, post};
    use tokio::sync::mpsc;

    use super::*;

    fn told(id: &str, event: &str, data: &str) -> Told {
        Told { id: id.to_owned(), event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn a_stream_is_taken_apart_however_it_is_cut() {
        let stream = ": hello\n\nid: evt_1\r\nevent: message.sent\r\ndata: {\"é\":1}\r\n\r\n\
            id:evt_2\nevent:x\ndata:a\ndata:b\n\nretry: 5\n\n: beat\n\nevent: reset\ndata: {}\n\n";
        let expected = [
            told("evt_1", "message.sent", "{\"é\":1}"),
            told("evt_2", "x", "a\nb"),
            told("", "reset", "{}"),
        ];
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let pieces = stream.as_bytes().chunks(size);
            let all: Vec<Told> = pieces.flat_map(|piece| parser.take(piece)).collect();
            assert_eq!(all, expected, "in pieces of {size}");
        }
    }

    type Seen = Arc<Mutex<Vec<Option<String>>>>;

    /// The first connection gets two events, the second one more, and the third is refused.
    async fn stream(State(seen): State<Seen>, headers: HeaderMap) -> (StatusCode, String) {
        let last = headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned());
        let mut seen = seen.lock().unwrap();
        seen.push(last);
        let event =
            |id: &str, kind| format!("id: {id}\nevent: {kind}\ndata: {{\"id\":\"{id}\"}}\n\n");
        match seen.len() {
            1 => {
                let body = event("evt_1", "message.sent") + &event("evt_2", "contact.opted_out");
                (StatusCode::OK, body)
            }
            2 => (StatusCode::OK, event("evt_3", "message.delivered")),
            _ => {
                let body = r#"{"error":{"message":"the API key is revoked"}}"#;
                (StatusCode::UNAUTHORIZED, body.to_owned())
            }
        }
    }

    #[tokio::test]
    async fn events_are_forwarded_signed_and_a_lost_stream_goes_on_behind_the_last() {
        let (sender, mut heard) = mpsc::channel::<(HeaderMap, String)>(10);
        let hear = move |headers: HeaderMap, body: String| {
            let sender = sender.clone();
            async move { sender.send((headers, body)).await.unwrap() }
        };
        let seen = Seen::default();
        let router = Router::new()
            .route("/api/v1/events/stream", get(stream))
            .route("/hook", post(hear))
            .with_state(seen.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, router).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = sign::secret([1; 32]);
        let mut listener = Listener {
            client: Client::new(),
            stream: Url::parse(&format!("{base}/api/v1/events/stream")).unwrap(),
            key: String::from("k"),
            forward: Url::parse(&format!("{base}/hook")).unwrap(),
            events: vec![String::from("message.*")],
            secret: secret.clone(),
        };
        let mut lines = Vec::new();
        let refused = listener.run(|line| lines.push(line)).await.unwrap_err();
        assert!(refused.to_string().contains("the API key is revoked"), "{refused}");
        let last = |id: &str| Some(id.to_owned());
        assert_eq!(*seen.lock().unwrap(), [None, last("evt_2"), last("evt_3")]);
        for id in ["evt_1", "evt_3"] {
            let (headers, body) = heard.try_recv().unwrap();
            assert_eq!(body, format!("{{\"id\":\"{id}\"}}"));
            let at = headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
            let signature = sign::devotel(&[&secret], at, body.as_bytes());
            assert_eq!(headers["x-devotel-signature"].to_str().unwrap(), signature);
            assert!(
                lines.iter().any(|line| line.contains(id) && line.contains("200")),
                "{lines:?}"
            );
        }
        assert!(heard.try_recv().is_err());
    }
}
