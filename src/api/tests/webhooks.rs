//! Webhooks through the API: what is refused, what is shown to whom, and a delivery end to end.

use std::sync::Arc;

use actors::customer::feed::Feed;
use actors::customer::webhook::guard::system_lookup;
use actors::customer::webhook::sender::Sender;
use actors::customer::webhook::{Plan, Tools, sign};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use ractor::Actor as _;
use supervisors::customers::{CustomersArgs, CustomersSupervisor};
use supervisors::restart::Policy;
use tokio::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn hook() -> Value {
    json!({"url": "https://example.com/hook", "events": ["message.*"]})
}

impl World {
    /// Starts what delivers.
    async fn deliver(&self) -> ActorRef<supervisors::customers::CustomersMsg> {
        let networks = webhook_settings().networks();
        let tools = Tools {
            store: self.store.clone(),
            writer: self.handle.clone(),
            feed: Feed::new(self.store.clone(), self.handle.wakes()),
            sender: Sender::new(networks, system_lookup(), PATIENCE).unwrap(),
            plan: Arc::new(Plan { delays: vec![Duration::from_millis(20)], ..Plan::default() }),
        };
        let handle = self.customers.clone();
        let args = CustomersArgs { tools, handle, keep: PATIENCE, policy: Policy::BRANCH };
        CustomersSupervisor::spawn(None, CustomersSupervisor, args).await.unwrap().0
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if wanted(answer.data()) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap()
    }
}

struct Heard {
    headers: HeaderMap,
    body: String,
}

impl Heard {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A server on this machine that answers with these statuses in turn, and 200 after that.
async fn receiver(statuses: &[u16]) -> (String, mpsc::Receiver<Heard>) {
    type Shared = Arc<(mpsc::Sender<Heard>, std::sync::Mutex<Vec<u16>>)>;
    async fn hear(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let body = String::from_utf8(body.to_vec()).unwrap();
        shared.0.send(Heard { headers, body }).await.unwrap();
        let mut statuses = shared.1.lock().unwrap();
        let status = if statuses.is_empty() { 200 } else { statuses.remove(0) };
        StatusCode::from_u16(status).unwrap()
    }
    let (sender, heard) = mpsc::channel(100);
    let shared: Shared = Arc::new((sender, std::sync::Mutex::new(statuses.to_vec())));
    let router = Router::new().route("/hook", post(hear)).with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, heard)
}

async fn next(heard: &mut mpsc::Receiver<Heard>) -> Heard {
    tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let made = world.post("/v1/webhooks", &hook()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("wh_"));
    assert!(sign::is_secret(made.data()["signing_secret"].as_str().unwrap()));
    let path = format!("/v1/webhooks/{id}");
    let shown = world.get(&path).await;
    assert!(shown.data().get("signing_secret").is_none(), "a secret is shown once");
    assert_eq!(shown.data()["active"], true);
    let patch = json!({"events": ["*", "*"], "active": false, "description": "mine"});
    let changed = world.ask("PUT", &path, Some(&patch)).await;
    let data = changed.data();
    assert_eq!((&data["events"], &data["active"]), (&json!(["*"]), &json!(false)));
    assert_eq!((&data["url"], &data["description"]), (&hook()["url"], &json!("mine")));
    assert_eq!(data["disabled_reason"], "owner");
    assert_eq!(world.ask("POST", &format!("{path}/test"), None).await.code(), "CONFLICT");
    let resumed = world.ask("PUT", &path, Some(&json!({"active": true}))).await;
    assert_eq!(
        (&resumed.data()["active"], &resumed.data()["events"]),
        (&json!(true), &json!(["*"]))
    );
    assert_eq!(world.get("/v1/webhooks").await.data().as_array().unwrap().len(), 1);
    let gone = world.ask("DELETE", &path, None).await;
    assert_eq!((gone.status, &gone.body), (204, &json!("")));
    assert_eq!(world.get(&path).await.code(), "WEBHOOK_NOT_FOUND");
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
}

#[tokio::test]
async fn bad_urls_events_and_secrets_are_refused_by_field() {
    let world = World::new().await;
    for url in [
        "",
        "example.com",
        "ftp://example.com",
        "http://example.com\0",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/",
        "https://a:b@example.com/",
    ] {
        let body = json!({"url": url, "events": ["*"]});
        let refused = world.post("/v1/webhooks", &body).await;
        assert_eq!((refused.status, refused.code()), (422, "INVALID_WEBHOOK_URL"), "{url}");
        assert_eq!(refused.body["error"]["details"]["field"], "url");
        let message = json!({"to": "+14155550123", "body": "x", "webhook_url": url});
        let refused = world.post("/v1/messages/sms", &message).await;
        assert_eq!(refused.code(), "INVALID_WEBHOOK_URL", "{url}");
        assert_eq!(refused.body["error"]["details"]["field"], "webhook_url");
    }
    for events in [json!([]), json!(["message.lost"]), json!(["mess*"]), json!([5]), json!(["a\0"])]
    {
        let body = json!({"url": "https://example.com/", "events": events});
        let refused = world.post("/v1/webhooks", &body).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{body}");
        assert_eq!(refused.body["error"]["details"]["field"], "events");
    }
    for (field, value) in [
        ("secret", json!("hunter2")),
        ("description", json!("x".repeat(501))),
        ("description", json!("\0")),
    ] {
        let mut body = hook();
        body[field] = value;
        let refused = world.post("/v1/webhooks", &body).await;
        assert_eq!(refused.body["error"]["details"]["field"], field);
    }
    assert_eq!(world.post("/v1/webhooks", &json!({})).await.code(), "VALIDATION_ERROR");
    let own = sign::secret([9; 32]);
    let mut body = hook();
    body["secret"] = json!(own);
    assert_eq!(world.post("/v1/webhooks", &body).await.data()["signing_secret"], own);
}

#[tokio::test]
async fn an_organization_has_a_limit_and_its_list_has_pages() {
    let world = World::new().await;
    let most = webhook_settings().endpoints_max as usize;
    for _ in 0..most {
        assert_eq!(world.post("/v1/webhooks", &hook()).await.status, 201);
    }
    let refused = world.post("/v1/webhooks", &hook()).await;
    assert_eq!((refused.status, refused.code()), (409, "CONFLICT"));
    assert_eq!(refused.body["error"]["details"]["limit"], most);
    let page = world.get("/v1/webhooks?limit=2").await;
    assert_eq!(page.data().as_array().unwrap().len(), 2);
    let cursor = page.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("/v1/webhooks?cursor={cursor}")).await;
    assert_eq!(rest.data().as_array().unwrap().len(), most - 2);
}

#[tokio::test]
async fn strangers_find_nothing_and_scopes_hold() {
    let world = World::new().await;
    let made = world.post("/v1/webhooks", &hook()).await;
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let stranger = world.stranger(false).await;
    for path in [format!("/v1/webhooks/{id}"), format!("/v1/webhooks/{id}/deliveries")] {
        let answer = world.get_as(&stranger, &path).await;
        assert_eq!((answer.status, answer.code()), (404, "WEBHOOK_NOT_FOUND"));
    }
    for path in ["/v1/webhooks", "/v1/webhooks/dead-letters"] {
        assert_eq!(world.get_as(&stranger, path).await.data(), &json!([]));
    }
    let reader = world.key(Mode::Live, "webhooks:read").await;
    assert_eq!(world.get_as(&reader, "/v1/webhooks").await.status, 200);
    let secret = world.get_as(&reader, "/v1/webhooks/callbacks").await;
    assert_eq!(secret.code(), "INSUFFICIENT_PERMISSIONS", "a secret is not for readers");
    for odd in ["wh_1", "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00", "%00", "secret"] {
        assert_eq!(world.get(&format!("/v1/webhooks/{odd}")).await.status, 404, "{odd}");
    }
    for path in ["/v1/webhooks/deliveries/x/replay", "/v1/webhooks/dead-letters/dlv_1/replay"] {
        assert_eq!(world.ask("POST", path, None).await.code(), "WEBHOOK_NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_told_to_its_endpoint_and_what_was_sent_can_be_read() {
    let world = World::new().await;
    let delivering = world.deliver().await;
    let (url, mut heard) = receiver(&[500]).await;
    let body = json!({"url": url, "events": ["message.created"]});
    let made = world.post("/v1/webhooks", &body).await;
    let secret = made.data()["signing_secret"].as_str().unwrap().to_owned();
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let message = world.post("/v1/messages/sms", &sms()).await;
    next(&mut heard).await;
    let second = next(&mut heard).await;
    assert_eq!(second.json()["data"]["message_id"], message.data()["id"]);
    assert_eq!(second.header("x-devotel-attempt"), "2");
    let at = second.header("webhook-timestamp").parse().unwrap();
    let signature = sign::devotel(&[&secret], at, second.body.as_bytes());
    assert_eq!(second.header("x-devotel-signature"), signature);
    let path = format!("/v1/webhooks/{id}/deliveries");
    let list = world.until(&format!("{path}?outcome=delivered"), |data| data[0].is_object()).await;
    let delivery = &list.data()[0];
    assert_eq!(delivery["event_id"], second.json()["id"]);
    assert_eq!(delivery["message_id"], message.data()["id"]);
    assert_eq!(
        (&delivery["retries"], &delivery["event_type"]),
        (&json!(1), &json!("message.created"))
    );
    let attempts = delivery["attempts"].as_array().unwrap();
    assert_eq!(
        (&attempts[0]["http_status"], &attempts[1]["http_status"]),
        (&json!(500), &json!(200))
    );
    assert_eq!(attempts[1]["request_headers"]["x-devotel-attempt"], "2");
    assert!(attempts[1]["response_headers"]["content-length"].is_string());
    let uuid = second.header("x-devotel-delivery-id").replace('-', "");
    assert_eq!(delivery["id"], format!("dlv_{uuid}"));
    assert_eq!(world.get(&format!("{path}?outcome=lost")).await.status, 400);

    let replay = format!("/v1/webhooks/deliveries/{}/replay", delivery["id"].as_str().unwrap());
    assert_eq!(world.ask("POST", &replay, None).await.data()["replayed"], 1);
    let third = next(&mut heard).await;
    assert_eq!(third.body, second.body);
    let not_dead = replay.replace("deliveries", "dead-letters");
    assert_eq!(world.ask("POST", &not_dead, None).await.status, 404);
    assert_eq!(world.ask("POST", &format!("/v1/webhooks/{id}/test"), None).await.status, 202);
    let test = next(&mut heard).await.json();
    assert_eq!((&test["type"], &test["data"]["webhook_id"]), (&json!("webhook.test"), &json!(id)));
    let rotated = world.ask("POST", &format!("/v1/webhooks/{id}/rotate-secret"), None).await;
    assert_ne!(rotated.data()["signing_secret"], json!(secret));
    delivering.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_range_or_by_name_are_sent_again() {
    let world = World::new().await;
    let delivering = world.deliver().await;
    world.post("/v1/messages/sms", &sms()).await;
    let (url, mut heard) = receiver(&[]).await;
    let body = json!({"url": url, "events": ["message.created"]});
    let made = world.post("/v1/webhooks", &body).await;
    let id = made.data()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/webhooks/{id}/replay");
    let replay = world.post(&path, &json!({"from": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(replay.data(), &json!({"replayed": 1, "next_from": null}), "{}", replay.body);
    let event = next(&mut heard).await.json();
    assert_eq!((&event["type"], &event["sequence"]), (&json!("message.created"), &json!(1)));
    let again = world.post(&path, &json!({"event_ids": [event["id"], event["id"]]})).await;
    assert_eq!(again.data()["replayed"], 1);
    assert_eq!(next(&mut heard).await.json(), event);
    for bad in [
        json!({}),
        json!({"from": "yesterday"}),
        json!({"event_ids": []}),
        json!({"event_ids": ["evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"]}),
        json!({"event_ids": [5]}),
    ] {
        assert_eq!(world.post(&path, &bad).await.status, 422, "{bad}");
    }
    delivering.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_messages_own_url_is_told_of_it_signed_with_the_callback_secret() {
    let world = World::new().await;
    let delivering = world.deliver().await;
    let (url, mut heard) = receiver(&[]).await;
    let mut message = sms();
    message["webhook_url"] = json!(url);
    let sent = world.post("/v1/messages/sms", &message).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    let first = next(&mut heard).await;
    assert_eq!(first.json()["data"]["message_id"], sent.data()["id"]);
    let secret = world.get("/v1/webhooks/callbacks").await;
    let secret = secret.data()["signing_secret"].as_str().unwrap().to_owned();
    let at = first.header("webhook-timestamp").parse().unwrap();
    let signature = sign::devotel(&[&secret], at, first.body.as_bytes());
    assert_eq!(first.header("x-devotel-signature"), signature);
    let batch = json!({"body": "x", "webhook_url": url,
        "recipients": [{"to": "+14155550124"}, {"to": "+14155550125"}]});
    assert_eq!(world.post("/v1/messages/batch", &batch).await.data()["accepted"], 2);
    next(&mut heard).await;
    next(&mut heard).await;
    let list = "/v1/webhooks/callbacks/deliveries";
    let list = world.until(list, |data| data.as_array().is_some_and(|d| d.len() == 3)).await;
    assert_eq!(list.data()[0]["webhook_id"], Value::Null);
    assert_eq!(world.get("/v1/webhooks").await.data(), &json!([]), "it is no endpoint of theirs");
    delivering.stop_and_wait(None, Some(PATIENCE)).await.unwrap();
}
