//! Scheduled sends, and second thoughts: cancel, edit, retry.

use model::carrier::MessageKey;
use model::id::Kind;
use model::message::Status;
use model::refusal::MessageError;
use store::lane::{Claim, HandoffResult, OutboxRef, Outcome, Work};

use super::*;

const SMS: &str = "/api/v1/messages/sms";
const BATCH: &str = "/api/v1/messages/batch";

fn ahead(seconds: u64) -> String {
    At::now().plus(Duration::from_secs(seconds)).iso()
}

fn later() -> Value {
    json!({"to": "+14155550123", "body": "hello", "scheduled_at": ahead(3_600)})
}

impl World {
    /// The same switch with another least time ahead.
    fn restart(&mut self, lead_min_s: u64) {
        let mut settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
        settings.schedules.lead_min_s = lead_min_s;
        let app = app(
            &self.store,
            &self.handle,
            &self.admission,
            Profile::Open,
            &self.customers,
            settings,
        );
        self.router = router(app);
    }

    /// A POST without a body.
    async fn tell(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(path).header("x-api-key", &self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(Body::empty()).unwrap()).await
    }

    async fn accepted(&self, body: &Value) -> String {
        let answer = self.post(SMS, body).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.data()["id"].as_str().unwrap().to_owned()
    }

    async fn shown(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/messages/{id}")).await.data().clone()
    }

    async fn row_of(&self, id: &str) -> (OutboxRef, i64) {
        let id = PublicId::parse(Kind::Message, id).unwrap();
        let row = self.store.changeable(self.organization, id).await.unwrap().unwrap();
        let name = String::from("main");
        let done = self.handle.administer(Admin::NameCarrier { name }).await.unwrap();
        let AdminDone::Carrier { id: carrier, epoch, .. } = done else { panic!("{done:?}") };
        let (organization, key) = (self.organization, MessageKey(row.key));
        (OutboxRef { carrier, class: 1, organization, key }, epoch)
    }

    async fn claim(&self, id: &str) {
        let (row, epoch) = self.row_of(id).await;
        let work = Work { claims: vec![Claim { row, epoch }], ..Work::default() };
        assert_eq!(self.handle.perform(work).await.unwrap().claims, [true]);
    }

    /// The carrier takes it or does not.
    async fn ends(&self, id: &str, status: Status) {
        self.claim(id).await;
        let (row, epoch) = self.row_of(id).await;
        let outcome = Outcome::Ended {
            status,
            reason: None,
            error: Some(MessageError::CarrierRejected),
            carrier_error: None,
            submitted: 0,
            parts: Vec::new(),
        };
        let result = HandoffResult {
            row,
            epoch,
            category: model::message::Category::Transactional,
            segments: 1,
            unit_price: Micros(7_900),
            outcome,
        };
        self.handle.perform(Work { results: vec![result], ..Work::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn a_scheduled_send_is_stored_and_costs_nothing_yet() {
    let world = World::new().await;
    let mut body = later();
    body["validity_seconds"] = json!(300);
    let answer = world.post(SMS, &body).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let data = answer.data();
    assert_eq!(data["status"], "scheduled");
    assert_eq!(data["scheduled_at"], body["scheduled_at"]);
    assert_eq!(world.balance().await, (10_000_000, 0));
    let shown = world.shown(data["id"].as_str().unwrap()).await;
    assert_eq!(shown["status"], "scheduled");
    assert_eq!(shown["scheduled_at"], body["scheduled_at"]);
    assert_eq!(shown["validity_seconds"], 300);
    let listed = world.get("/api/v1/messages?status=scheduled").await;
    assert_eq!(listed.data().as_array().unwrap().len(), 1);
    assert!(world.post(SMS, &sms()).await.data().get("scheduled_at").is_none());
}

#[tokio::test]
async fn a_time_that_cannot_be_is_refused_by_name() {
    let world = World::new().await;
    let local = At::now().plus(Duration::from_secs(86_400)).iso().replace('Z', "");
    let cases = [
        (json!({"scheduled_at": ahead(50)}), "INVALID_SCHEDULE", "scheduled_at"),
        (json!({"scheduled_at": ahead(36 * 86_400)}), "INVALID_SCHEDULE", "scheduled_at"),
        (json!({"scheduled_at": "tomorrow"}), "INVALID_SCHEDULE", "scheduled_at"),
        (json!({"scheduled_at": local}), "INVALID_SCHEDULE", "scheduled_at"),
        (json!({"scheduled_at": local, "timezone": "Mars"}), "INVALID_SCHEDULE", "timezone"),
        (json!({"scheduled_at": local, "timezone": "recipient"}), "INVALID_SCHEDULE", "timezone"),
        (json!({"scheduled_at": 5}), "VALIDATION_ERROR", "scheduled_at"),
        (json!({"validity_seconds": 59}), "VALIDATION_ERROR", "validity_seconds"),
        (json!({"validity_seconds": "60"}), "VALIDATION_ERROR", "validity_seconds"),
    ];
    for (more, code, field) in cases {
        let mut body = sms();
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = world.post(SMS, &body).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{}", answer.body);
        assert_eq!(answer.body["error"]["details"]["field"], field, "{}", answer.body);
    }
    let body = json!({"to": "+14155550123", "body": "x", "scheduled_at": local,
        "timezone": "America/Los_Angeles"});
    assert_eq!(world.post(SMS, &body).await.data()["status"], "scheduled");
}

#[tokio::test]
async fn a_replayed_schedule_has_the_same_answer() {
    let world = World::new().await;
    let (body, key) = (later().to_string(), [("idempotency-key", "order-0001")]);
    let first = world.post_with(SMS, body.clone(), &key).await;
    let second = world.post_with(SMS, body, &key).await;
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(first.data(), second.data());
}

#[tokio::test]
async fn a_replay_is_answered_after_the_time_has_become_too_near() {
    let mut world = World::new().await;
    let batch = json!({"body": "x", "scheduled_at": ahead(3_600),
        "recipients": [{"to": "+14155550123"}, {"to": "nobody"}]});
    for (path, body) in [(SMS, later()), (BATCH, batch)] {
        let (body, key) = (body.to_string(), [("idempotency-key", "order-0001")]);
        world.restart(60);
        let first = world.post_with(path, body.clone(), &key).await;
        assert_eq!(first.status, 202, "{}", first.body);
        world.restart(7_200);
        let second = world.post_with(path, body.clone(), &key).await;
        assert_eq!(second.header("idempotent-replayed"), "true", "{}", second.body);
        assert_eq!(first.data()["id"], second.data()["id"]);
        assert_eq!(first.data()["batch_id"], second.data()["batch_id"]);
        assert_eq!(first.data()["results"][0], second.data()["results"][0]);
        let fresh = world.post_with(path, body, &[("idempotency-key", "order-0002")]).await;
        assert_eq!(fresh.code(), "INVALID_SCHEDULE");
    }
}

#[tokio::test]
async fn a_scheduled_and_a_queued_message_are_cancelled_once() {
    let world = World::new().await;
    for body in [later(), sms()] {
        let id = world.accepted(&body).await;
        let path = format!("/api/v1/messages/{id}/cancel");
        let answer = world.tell(&path, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            (&answer.data()["id"], &answer.data()["status"]),
            (&json!(id), &json!("cancelled"))
        );
        let again = world.tell(&path, &[]).await;
        assert_eq!((again.status, again.code()), (409, "MESSAGE_NOT_CANCELLABLE"));
        assert_eq!(again.body["error"]["details"]["status"], "cancelled");
        assert_eq!(world.balance().await, (10_000_000, 0));
    }
    let id = world.accepted(&sms()).await;
    world.claim(&id).await;
    let late = world.tell(&format!("/v1/messages/{id}/cancel"), &[]).await;
    assert_eq!((late.status, late.code()), (409, "MESSAGE_NOT_CANCELLABLE"));
    assert_eq!(late.body["error"]["details"]["status"], "sending");
}

#[tokio::test]
async fn what_is_not_mine_or_not_of_my_mode_is_not_changed() {
    let world = World::new().await;
    let id = world.accepted(&later()).await;
    let (stranger, test) = (world.stranger(false).await, world.key(Mode::Test, "*").await);
    for (path, method) in [("/cancel", "POST"), ("/retry", "POST"), ("", "PATCH")] {
        for (key, status) in [(&stranger, 404), (&test, 403)] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/api/v1/messages/{id}{path}"))
                .header("x-api-key", key)
                .header("content-type", "application/json");
            let answer = world.call(request.body(Body::from("{}")).unwrap()).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
    }
    for path in ["messages/msg_1/cancel", "messages/batches/bat_1/cancel"] {
        assert_eq!(world.tell(&format!("/api/v1/{path}"), &[]).await.status, 404);
    }
    assert_eq!(world.shown(&id).await["status"], "scheduled");
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_meets_all_checks() {
    let world = World::new().await;
    let mut body = later();
    body["metadata"] = json!({"order": 7});
    let id = world.accepted(&body).await;
    let path = format!("/api/v1/messages/{id}");
    let time = ahead(7_200);
    let text = "x".repeat(200);
    let change = json!({"body": text, "scheduled_at": time, "from": "Other", "metadata": {"a": 1}});
    let answer = world.ask("PATCH", &path, &change).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let data = answer.data();
    assert_eq!((&data["body"], &data["segments"]), (&json!(text), &json!(2)));
    assert_eq!((&data["from"], &data["scheduled_at"]), (&json!("Other"), &json!(time)));
    assert_eq!(data["metadata"], json!({"a": 1}));
    let kept = world.ask("PATCH", &path, &json!({"validity_seconds": 600, "body": null})).await;
    assert_eq!(kept.data()["body"], json!(text));
    assert_eq!(kept.data()["validity_seconds"], 600);
    for (change, code) in [
        (json!({"scheduled_at": ahead(1)}), "INVALID_SCHEDULE"),
        (json!({"body": ""}), "MISSING_REQUIRED_FIELD"),
        (json!({"from": "!"}), "INVALID_SENDER"),
        (json!({"body": 5}), "VALIDATION_ERROR"),
    ] {
        let answer = world.ask("PATCH", &path, &change).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{}", answer.body);
    }
    let events = world.get(&format!("{path}/events")).await;
    let kinds: Vec<_> =
        events.data().as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["message.created", "message.edited", "message.edited"]);
    world.tell(&format!("{path}/cancel"), &[]).await;
    let late = world.ask("PATCH", &path, &json!({"body": "x"})).await;
    assert_eq!((late.status, late.code()), (409, "MESSAGE_NOT_EDITABLE"));
    assert_eq!(late.body["error"]["details"]["status"], "cancelled");
}

#[tokio::test]
async fn a_failed_message_is_sent_again_as_a_child_of_the_first() {
    let world = World::new().await;
    let body = json!({"to": "+14155550123", "body": "hello", "from": "Shop", "category": "service",
        "metadata": {"order": 7}});
    let id = world.accepted(&body).await;
    let path = format!("/api/v1/messages/{id}/retry");
    let early = world.tell(&path, &[]).await;
    assert_eq!((early.status, early.code()), (409, "MESSAGE_NOT_RETRYABLE"));
    world.ends(&id, Status::Rejected).await;
    assert_eq!(world.balance().await, (10_000_000, 0));
    let key = [("idempotency-key", "again-0001")];
    let answer = world.tell(&path, &key).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let child = answer.data()["id"].as_str().unwrap().to_owned();
    assert_ne!(child, id);
    let shown = world.shown(&child).await;
    assert_eq!(shown["parent_message_id"], json!(id));
    for name in ["to", "body", "from", "category", "metadata"] {
        assert_eq!(shown[name], body[name], "{name}");
    }
    assert_eq!(world.balance().await, (10_000_000 - 7_900, 7_900));
    let replay = world.tell(&path, &key).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.data()["id"], json!(child));
    // The same key for another message is another request.
    world.ends(&child, Status::Failed).await;
    let other = world.tell(&format!("/api/v1/messages/{child}/retry"), &key).await;
    assert_eq!((other.status, other.code()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(world.shown(&id).await["status"], "rejected");
}

#[tokio::test]
async fn a_batch_is_scheduled_and_cancelled_whole() {
    let world = World::new().await;
    let recipients: Vec<_> = (0..20).map(|n| json!({"to": format!("+141555501{n:02}")})).collect();
    let body = json!({"body": "hello", "scheduled_at": ahead(600), "recipients": recipients});
    let answer = world.post(BATCH, &body).await;
    assert_eq!(answer.data()["accepted"], 20, "{}", answer.body);
    let batch = answer.data()["batch_id"].as_str().unwrap().to_owned();
    let listed = world.get(&format!("/api/v1/messages?batch_id={batch}&status=scheduled")).await;
    assert_eq!(listed.data().as_array().unwrap().len(), 20);
    let one = listed.data()[0]["id"].as_str().unwrap();
    world.tell(&format!("/api/v1/messages/{one}/cancel"), &[]).await;
    let path = format!("/api/v1/messages/batches/{batch}/cancel");
    let answer = world.tell(&path, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.data()["batch_id"], json!(batch));
    assert_eq!(
        (&answer.data()["cancelled"], &answer.data()["not_cancelled"]),
        (&json!(19), &json!(1))
    );
    assert_eq!(world.tell(&path, &[]).await.data()["cancelled"], 0);

    let bad = json!({"body": "x", "scheduled_at": ahead(1), "recipients": recipients});
    let refused = world.post(BATCH, &bad).await;
    assert_eq!((refused.status, refused.code()), (422, "INVALID_SCHEDULE"), "{}", refused.body);
}
