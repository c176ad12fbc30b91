//! `/events`: the list, one event, and the stream with all the ways it can end and go on.

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::sync::Mutex;

use http_body_util::BodyExt as _;
use store::testing::Outsider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::api::{Handle, serve};

const PATIENCE: Duration = Duration::from_secs(30);
const STREAM: &str = "/v1/events/stream";

/// One event of a stream.
#[derive(Clone, Debug)]
struct Told {
    id: String,
    event: String,
    data: Value,
}

/// A stream as its client reads it.
struct Stream {
    body: Body,
    text: String,
    /// Comments met so far.
    comments: usize,
    /// What the server asked for by `retry`.
    retry: Option<u64>,
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(told) = self.understood(&frame) {
                    return Some(told);
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("in time");
        let Some(frame) = frame else { return false };
        let data = frame.unwrap().into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        true
    }

    fn understood(&mut self, frame: &str) -> Option<Told> {
        let field = |name: &str| {
            let line = frame.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.trim().to_owned())
        };
        if frame.starts_with(':') {
            self.comments += 1;
        }
        if let Some(retry) = field("retry:") {
            self.retry = retry.parse().ok();
        }
        let data = serde_json::from_str(&field("data:")?).unwrap();
        Some(Told { id: field("id:")?, event: field("event:")?, data })
    }
}

impl World {
    async fn send(&self, body: &str) -> String {
        let body = json!({"to": "+14155550123", "body": body});
        self.post("/v1/messages/sms", &body).await.data()["id"].as_str().unwrap().to_owned()
    }

    async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<Stream, Answer> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.unwrap().into_parts();
        if parts.status != 200 {
            let bytes = to_bytes(body, 1_000_000).await.unwrap();
            let (status, headers) = (parts.status.as_u16(), parts.headers);
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            return Err(Answer { status, headers, body });
        }
        assert_eq!(parts.headers["content-type"], "text/event-stream");
        Ok(Stream { body, text: String::new(), comments: 0, retry: None })
    }

    async fn stream(&self, headers: &[(&str, &str)]) -> Stream {
        let key = [("x-api-key", self.key.as_str())];
        let opened = self.open(STREAM, &[&key, headers].concat()).await;
        opened.unwrap_or_else(|answer| panic!("{}", answer.body))
    }

    async fn outsider(&self) -> Outsider {
        let path = self._folder.0.join("orbit.db");
        Outsider::connect(&format!("sqlite://{}", path.display())).await.unwrap()
    }

    /// The ids of all events, oldest first.
    async fn all_events(&self) -> Vec<String> {
        let (mut ids, mut path) = (Vec::new(), String::from("/v1/events?limit=200"));
        loop {
            let page = self.get(&path).await;
            for event in page.data().as_array().unwrap() {
                ids.push(event["id"].as_str().unwrap().to_owned());
            }
            let Some(cursor) = page.body["meta"]["pagination"]["cursor"].as_str() else { break };
            path = format!("/v1/events?limit=200&cursor={cursor}");
        }
        ids.reverse();
        ids
    }
}

#[tokio::test]
async fn a_list_is_walked_newest_first_and_narrowed() {
    let world = World::new().await;
    let mut messages = Vec::new();
    for n in 0..5 {
        messages.push(world.send(&format!("text {n}")).await);
    }
    let page = world.get("/v1/events?limit=2").await;
    let shown: Vec<_> = page.data().as_array().unwrap().to_vec();
    assert_eq!(shown[0]["type"], "message.created");
    assert_eq!(shown[0]["data"]["message_id"], json!(messages[4]));
    assert_eq!(shown[0]["data"]["body"], "text 4");
    assert_eq!(shown[0]["sequence"], 1);
    assert_eq!(world.all_events().await.len(), 5);

    let count = async |query: &str| {
        let answer = world.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.data().as_array().unwrap().len()
    };
    assert_eq!(count(&format!("resource_id={}", messages[2])).await, 1);
    assert_eq!(count("resource_id=msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00").await, 0);
    assert_eq!(count("type=message.*").await, 5);
    assert_eq!(count("type=message.sent,contact.*").await, 0);
    assert_eq!(count("types=message.sent,%20message.created").await, 5);
    assert_eq!(count("after=2020-01-01T00:00:00Z").await, 5);
    assert_eq!(count("before=2020-01-01T00:00:00Z").await, 0);
    let first = shown[1]["created_at"].as_str().unwrap();
    assert!(count(&format!("after={first}")).await >= 1);
    let many = format!("type={}", ["message.sent"; 60].join(","));
    let bad = ["type=mess*", "type=", "resource_id=x", "after=soon", "limit=0", "cursor=x", &many];
    for bad in bad {
        assert_eq!(world.get(&format!("/v1/events?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_id_and_by_its_owner_alone() {
    let world = World::new().await;
    world.send("x").await;
    let id = world.all_events().await.remove(0);
    let shown = world.get(&format!("/v1/events/{id}")).await;
    assert_eq!((shown.status, &shown.data()["id"]), (200, &json!(id)));
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &format!("/v1/events/{id}")).await.status, 404);
    let theirs = world.get_as(&stranger, "/v1/events").await;
    assert_eq!(theirs.data().as_array().unwrap().len(), 0);
    // The same number with another time is another id.
    let forged = format!("evt_0190{}", &id[8..]);
    for odd in [forged.as_str(), "evt_1", "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"] {
        assert_eq!(world.get(&format!("/v1/events/{odd}")).await.status, 404, "{odd}");
    }
    let reader = world.key(Mode::Live, "messages:read").await;
    let answer = world.get_as(&reader, "/v1/events").await;
    assert_eq!((answer.status, answer.code()), (403, "INSUFFICIENT_PERMISSIONS"));
}

#[tokio::test]
async fn history_ends_where_the_settings_say() {
    let world = World::new().await;
    world.send("x").await;
    let id = world.all_events().await.remove(0);
    let month = 31 * 24 * 3_600 * 1_000_000_i64;
    let at = At::now().micros() - month;
    world.outsider().await.run(&format!("update events set at = {at}")).await.unwrap();
    assert_eq!(world.all_events().await, Vec::<String>::new());
    let old = PublicId::of_row(
        At(at),
        PublicId::parse(model::id::Kind::Event, &id).unwrap().row_number(),
    );
    let path = format!("/v1/events/{}", old.show(model::id::Kind::Event));
    assert_eq!(world.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_stream_tells_what_happens_to_its_own_organization() {
    let world = World::new().await;
    world.send("before").await;
    let mut stream = world.stream(&[]).await;
    let id = world.send("after\nit began").await;
    let told = stream.next().await.unwrap();
    assert_eq!(stream.retry, Some(3_000));
    assert_eq!(told.event, "message.created");
    assert_eq!(told.data["id"], json!(told.id));
    assert_eq!(told.data["type"], "message.created");
    assert_eq!(told.data["data"]["message_id"], json!(id));
    assert_eq!(told.data["data"]["body"], "after\nit began");
    assert_eq!(told.data, *world.get(&format!("/v1/events/{}", told.id)).await.data());
    let stranger = world.stranger(false).await;
    let mut theirs = world.open(STREAM, &[("x-api-key", &stranger)]).await.ok().unwrap();
    world.send("mine").await;
    let body = json!({"to": "+14155550123", "body": "theirs"}).to_string();
    world.post_with("/v1/messages/sms", body, &[("x-api-key", &stranger)]).await;
    assert_eq!(theirs.next().await.unwrap().data["data"]["body"], "theirs");
}

#[tokio::test]
async fn a_stream_is_narrowed_by_type_and_message() {
    let world = World::new().await;
    let key = [("x-api-key", world.key.as_str())];
    let first = world.send("first").await;
    let first_event = world.all_events().await.remove(0);
    world.send("second").await;
    let headers = [key[0], ("last-event-id", first_event.as_str())];
    let path = format!("{STREAM}?resource_id={first}");
    let mut one = world.open(&path, &headers).await.ok().unwrap();
    assert_eq!(one.next().await.unwrap().data["data"]["body"], "first");
    let mut none = world.open(&format!("{STREAM}?type=message.sent"), &headers).await.ok().unwrap();
    let mut all = world.open(&format!("{STREAM}?type=message.*"), &headers).await.ok().unwrap();
    assert_eq!(all.next().await.unwrap().id, first_event);
    assert_eq!(all.next().await.unwrap().data["data"]["body"], "second");
    world.app.end_streams();
    assert!(none.next().await.is_none());
    for bad in ["type=x", "resource_id=1"] {
        let answer = world.open(&format!("{STREAM}?{bad}"), &key).await.err().unwrap();
        assert_eq!(answer.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_stream_goes_on_before_the_last_event_that_was_seen() {
    let world = World::new().await;
    for n in 0..4 {
        world.send(&format!("{n}")).await;
    }
    let ids = world.all_events().await;
    let mut by_header = world.stream(&[("last-event-id", &ids[2])]).await;
    let path = format!("{STREAM}?last_event_id={}&token={}", ids[3], world.key);
    let mut by_query = world.open(&path, &[]).await.ok().unwrap();
    // The header is younger than a query that was written once.
    let mut by_both = world.open(&path, &[("last-event-id", &ids[0])]).await.ok().unwrap();
    // All four are younger than five seconds, so they come again.
    for stream in [&mut by_header, &mut by_query] {
        for id in &ids {
            assert_eq!(stream.next().await.unwrap().id, *id);
        }
    }
    assert_eq!(by_both.next().await.unwrap().id, ids[0]);

    // What is older than five seconds before it does not.
    let old = At::now().micros() - 6_000_000;
    let seq = |id: &str| PublicId::parse(model::id::Kind::Event, id).unwrap().row_number();
    let sql = format!("update events set at = {old} where seq <= {}", seq(&ids[1]));
    world.outsider().await.run(&sql).await.unwrap();
    let mut later = world.stream(&[("last-event-id", &ids[3])]).await;
    assert_eq!(later.next().await.unwrap().id, ids[2]);
}

#[tokio::test]
async fn an_id_that_leads_nowhere_begins_anew() {
    let world = World::with_settings(Profile::Open, |s| s.events.replay_events_max = 2).await;
    for _ in 0..4 {
        world.send("x").await;
    }
    let ids = world.all_events().await;
    let reason = async |id: &str| {
        let mut stream = world.stream(&[("last-event-id", id)]).await;
        let told = stream.next().await.unwrap();
        assert!(told.event != "reset" || told.id.is_empty());
        (told.event == "reset").then(|| told.data["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(reason("evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00").await.unwrap(), "unknown_id");
    assert_eq!(reason("nonsense").await.unwrap(), "unknown_id");
    assert_eq!(reason(&ids[0]).await.unwrap(), "too_far_behind");
    assert_eq!(reason(&ids[1]).await, None);
    let stranger = world.stranger(false).await;
    let headers = [("x-api-key", stranger.as_str()), ("last-event-id", &ids[3])];
    let mut foreign = world.open(STREAM, &headers).await.ok().unwrap();
    assert_eq!(foreign.next().await.unwrap().data["reason"], "unknown_id");

    let at = At::now().micros() - 25 * 3_600 * 1_000_000;
    world.outsider().await.run(&format!("update events set at = {at}")).await.unwrap();
    let number = PublicId::parse(model::id::Kind::Event, &ids[3]).unwrap().row_number();
    let old = PublicId::of_row(At(at), number).show(model::id::Kind::Event);
    let mut stream = world.stream(&[("last-event-id", &old)]).await;
    assert_eq!(stream.next().await.unwrap().data["reason"], "too_old");
    world.send("live").await;
    assert_eq!(stream.next().await.unwrap().data["data"]["body"], "live");
}

#[tokio::test]
async fn silence_is_broken_by_a_comment() {
    let world = World::with_settings(Profile::Open, |s| s.events.heartbeat_s = 1).await;
    let mut stream = world.stream(&[]).await;
    while !stream.text.contains("\n\n:") {
        assert!(stream.more().await);
    }
    world.send("x").await;
    assert_eq!(stream.next().await.unwrap().event, "message.created");
    assert!(stream.comments >= 1);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let world = World::with_settings(Profile::Open, |s| {
        (s.events.streams_per_key_max, s.events.streams_max) = (10, 11);
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(world.stream(&[]).await);
    }
    let key = [("x-api-key", world.key.as_str())];
    let refused = world.open(STREAM, &key).await.err().unwrap();
    assert_eq!((refused.status, refused.code()), (429, "RATE_LIMITED"));
    assert!(!refused.header("retry-after").is_empty());
    let other = world.key(Mode::Live, "events:read").await;
    open.push(world.open(STREAM, &[("x-api-key", &other)]).await.ok().unwrap());
    let full = world.open(STREAM, &[("x-api-key", &other)]).await.err().unwrap();
    assert_eq!((full.status, full.code()), (503, "SERVICE_UNAVAILABLE"));
    open.clear();
    let again = async { while world.open(STREAM, &key).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_cut_off_and_goes_on_by_id() {
    let world = World::with_settings(Profile::Open, |s| s.events.buffer_events = 3).await;
    let mut stream = world.stream(&[]).await;
    for _ in 0..12 {
        world.send("x").await;
    }
    let ids = world.all_events().await;
    let mut seen = Vec::new();
    // Nothing was read until now: the stream ends after what fitted.
    while let Some(told) = stream.next().await {
        seen.push(told.id);
        if seen.len() == 12 {
            break;
        }
    }
    assert!((1..12).contains(&seen.len()), "{}", seen.len());
    assert_eq!(seen, ids[..seen.len()]);
    // What it has asked for by id it may take at its own pace.
    let mut stream = world.stream(&[("last-event-id", seen.last().unwrap())]).await;
    while seen.len() < 12 {
        let id = stream.next().await.expect("not cut off again").id;
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams() {
    let world = World::new().await;
    let (text, key) = new_key(Mode::Live, "events:read");
    let (id, organization) = (key.id, world.organization);
    world.handle.administer(Admin::CreateKey { organization, key }).await.unwrap();
    let mut stream = world.open(STREAM, &[("x-api-key", &text)]).await.ok().unwrap();
    let mut other = world.stream(&[]).await;
    world.handle.administer(Admin::RevokeKey { id }).await.unwrap();
    assert!(stream.next().await.is_none());
    world.send("x").await;
    assert!(other.next().await.is_some());
}

/// Where a test's log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_by_the_stream_alone_and_told_to_nobody() {
    let lines = Lines::default();
    let (made, level) = (lines.clone(), tracing::Level::TRACE);
    let logs = tracing_subscriber::fmt().with_max_level(level).with_writer(move || made.clone());
    let logs = tracing::subscriber::set_default(logs.finish());
    tracing::info!("the log is read");
    let world = World::new().await;
    let key = world.key.clone();
    let by_token = world.open(&format!("{STREAM}?token={key}"), &[]).await;
    let mut stream = by_token.ok().unwrap();
    world.send("x").await;
    assert!(stream.next().await.is_some());
    let short = world.open(&format!("/api/v1/events/stream/?token={key}"), &[]).await;
    assert!(short.is_ok(), "under every name of the path");
    for path in ["/v1/events", "/v1/messages", "/v1/billing/balance", "/v1/events/evt_1"] {
        let answer = world.open(&format!("{path}?token={key}"), &[]).await.err().unwrap();
        assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{path}");
        assert!(!answer.body.to_string().contains(&key));
    }
    for (token, code) in [("x", "INVALID_API_KEY"), ("", "INVALID_API_KEY")] {
        let answer = world.open(&format!("{STREAM}?token={token}"), &[]).await.err().unwrap();
        assert_eq!((answer.status, answer.code()), (401, code), "{token}");
    }
    let answer = world.open(STREAM, &[]).await.err().unwrap();
    assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"));
    let bad = world.open(&format!("{STREAM}?type=x&token={key}"), &[]).await.err().unwrap();
    assert!(!bad.body.to_string().contains(&key), "{}", bad.body);
    drop(logs);
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the log is read"));
    assert!(!logged.contains(&key), "{logged}");
}

#[tokio::test]
async fn a_client_that_is_cut_again_and_again_misses_nothing() {
    const COUNT: usize = 80;
    let world = World::new().await;
    let mut stream = world.stream(&[]).await;
    let writing = async {
        for n in 0..COUNT {
            world.send(&format!("{n}")).await;
        }
    };
    let reading = async {
        let (mut seen, mut last, mut repeated) = (BTreeSet::new(), String::new(), 0);
        let mut cut_after = 1;
        while seen.len() < COUNT {
            for _ in 0..cut_after {
                let told = stream.next().await.expect("it lives");
                assert_eq!(told.event, "message.created");
                repeated += usize::from(!seen.insert(told.id.clone()));
                last = told.id;
                if seen.len() == COUNT {
                    break;
                }
            }
            // The overlap is sent again, so a client must be let through it.
            cut_after = seen.len() + 1 + cut_after % 7;
            stream = world.stream(&[("last-event-id", &last)]).await;
        }
        (seen, repeated)
    };
    let both = async { tokio::join!(writing, reading) };
    let ((), (seen, repeated)) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let all: BTreeSet<String> = world.all_events().await.into_iter().collect();
    assert_eq!(seen, all);
    assert!(repeated > 0, "cuts were made");
}

#[tokio::test]
async fn many_streams_of_one_organization_see_the_same() {
    let world = World::new().await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(world.stream(&[]).await);
    }
    for n in 0..20 {
        world.send(&format!("{n}")).await;
    }
    let all = world.all_events().await;
    for stream in &mut streams {
        let mut seen = Vec::new();
        while seen.len() < 20 {
            seen.push(stream.next().await.unwrap().id);
        }
        assert_eq!(seen, all);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 20);
    }
}

#[tokio::test]
async fn streams_do_not_hold_a_server_that_ends() {
    let world = World::new().await;
    let http = Settings::load(None, Vec::new(), Vec::new()).unwrap().http;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Handle::new();
    let (router, mine) = (world.router.clone(), handle.clone());
    let running = tokio::spawn(async move { serve(listener, router, &http, mine).await });
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {STREAM}?token={} HTTP/1.1\r\nHost: x\r\n\r\n", world.key);
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while !text.contains("retry:") {
        let count = socket.read(&mut chunk).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
    world.send("over a socket").await;
    while !text.contains("over a socket") {
        let count = socket.read(&mut chunk).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
    world.app.end_streams();
    handle.graceful_shutdown(Some(PATIENCE * 10));
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
    let refused = world.open(STREAM, &[("x-api-key", &world.key)]).await.err().unwrap();
    assert_eq!(refused.status, 503);
}
