//! Frequency caps over the API: made, changed, obeyed, shown by recipient.

use super::*;

const CAPS: &str = "/api/v1/frequency-caps";
const SMS: &str = "/api/v1/messages/sms";

fn rule() -> Value {
    json!({"name": "Three a day", "channel": "sms", "category": "marketing", "limit": 3,
        "window_seconds": 86_400})
}

fn marketing() -> Value {
    json!({"to": "+14155550123", "body": "hello", "category": "marketing"})
}

#[tokio::test]
async fn a_rule_is_made_changed_listed_and_deleted() {
    let world = World::new().await;
    let made = world.post(CAPS, &rule()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.data()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("fcr_"), "{id}");
    for (name, value) in rule().as_object().unwrap() {
        assert_eq!(made.data()[name], *value);
    }
    assert_eq!(made.data()["enabled"], true);
    let path = format!("{CAPS}/{id}");
    assert_eq!(world.get(&path).await.data(), made.data());

    let changes = json!({"limit": 5, "channel": null, "enabled": false});
    let changed = world.ask("PATCH", &path, &changes).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.data()["limit"], 5);
    assert_eq!(changed.data()["channel"], Value::Null);
    assert_eq!(changed.data()["category"], "marketing");
    assert_eq!(changed.data()["enabled"], false);
    let bad = world.ask("PATCH", &path, &json!({"window_seconds": 0})).await;
    assert_eq!((bad.status, bad.code()), (422, "VALIDATION_ERROR"));

    world.post(CAPS, &rule()).await;
    let page = world.get(&format!("{CAPS}?limit=1")).await;
    assert_eq!(page.body["meta"]["pagination"]["has_more"], true);
    let cursor = page.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("{CAPS}?limit=1&cursor={cursor}")).await;
    assert_eq!(rest.data()[0]["id"], json!(id));

    assert_eq!(world.ask("DELETE", &path, None).await.data()["deleted"], true);
    for method in ["GET", "PATCH", "DELETE"] {
        let gone = world.ask(method, &path, &json!({"limit": 1})).await;
        assert_eq!((gone.status, gone.code()), (404, "NOT_FOUND"), "{method}");
    }
}

#[tokio::test]
async fn a_rule_is_nobody_elses() {
    let world = World::new().await;
    let made = world.post(CAPS, &rule()).await;
    let path = format!("{CAPS}/{}", made.data()["id"].as_str().unwrap());
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
    assert_eq!(world.get_as(&stranger, CAPS).await.data(), &json!([]));
    for method in ["PATCH", "DELETE"] {
        let request = Request::builder().method(method).uri(&path).header("x-api-key", &stranger);
        let request = request.header("content-type", "application/json");
        let answer = world.call(request.body(Body::from("{\"limit\":9}")).unwrap()).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    let reader = world.key(Mode::Live, "messages:write").await;
    assert_eq!(world.get_as(&reader, CAPS).await.code(), "INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn sixty_four_at_once_send_exactly_what_the_rule_allows() {
    let world = Arc::new(World::new().await);
    world.post(CAPS, &rule()).await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let world = Arc::clone(&world);
        senders.spawn(async move { world.post(SMS, &marketing()).await });
    }
    let answers = senders.join_all().await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 3);
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((refused.status, refused.code()), (422, "FREQUENCY_CAP_EXCEEDED"));
        let details = &refused.body["error"]["details"];
        assert_eq!((&details["limit"], &details["field"]), (&json!(3), &json!("to")));
        assert!(details["rule_id"].as_str().unwrap().starts_with("fcr_"));
        assert!(At::parse(details["retry_at"].as_str().unwrap()).is_some());
    }
    assert_eq!(world.balance().await, (10_000_000 - 3 * 7_900, 3 * 7_900));
}

#[tokio::test]
async fn a_recipients_standing_is_shown_by_channel() {
    let world = World::new().await;
    world.post(CAPS, &rule()).await;
    world.post(CAPS, &json!({"name": "any", "limit": 1, "window_seconds": 60})).await;
    assert_eq!(world.post(SMS, &marketing()).await.status, 202);
    let standing = world.get("/api/v1/contacts/+14155550123/frequency-caps").await;
    assert_eq!(standing.status, 200, "{}", standing.body);
    let data = standing.data();
    let of_sms = &data["grouped_by_channel"]["sms"][0];
    assert_eq!((&of_sms["current_count"], &of_sms["remaining"]), (&json!(1), &json!(2)));
    assert_eq!(of_sms["next_available_at"], Value::Null);
    let of_all = &data["global_caps"][0];
    assert_eq!((&of_all["name"], &of_all["remaining"]), (&json!("any"), &json!(0)));
    assert!(At::parse(of_all["next_available_at"].as_str().unwrap()).is_some());
    let test = world.key(Mode::Test, "*").await;
    let path = "/api/v1/contacts/%2B14155550123/frequency-caps";
    let of_test = world.get_as(&test, path).await;
    assert_eq!(of_test.data()["global_caps"][0]["current_count"], 0);
    assert_eq!(world.get("/api/v1/contacts/nobody/frequency-caps").await.status, 404);
}

#[tokio::test]
async fn a_batch_tells_the_cap_by_recipient() {
    let world = World::new().await;
    world.post(CAPS, &json!({"name": "one", "limit": 1, "window_seconds": 60})).await;
    let to = ["+14155550123", "+14155550124", "+14155550123"];
    let recipients: Vec<Value> = to.iter().map(|to| json!({"to": to})).collect();
    let batch = json!({"body": "hi", "category": "service", "recipients": recipients});
    let answer = world.post("/api/v1/messages/batch", &batch).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.data()["accepted"], 2);
    assert_eq!(answer.data()["results"][2]["error"]["code"], "FREQUENCY_CAP_EXCEEDED");
}
