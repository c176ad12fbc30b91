//! Sending: one, many, again.

use super::*;

const SMS: &str = "/api/v1/messages/sms";
const BATCH: &str = "/api/v1/messages/batch";

#[tokio::test]
async fn a_send_is_stored_and_its_price_held_before_the_answer() {
    let world = World::new().await;
    let answer = world.post(SMS, &sms()).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let data = answer.data();
    assert_eq!(data["id"], data["message_id"]);
    assert_eq!(data["status"], "queued");
    assert_eq!((&data["channel"], &data["from"]), (&json!("sms"), &json!("Orbit")));
    assert_eq!(data["segments"], 1);
    assert!(At::parse(data["created_at"].as_str().unwrap()).is_some());
    assert!(answer.body["meta"]["request_id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(world.balance().await, (10_000_000 - 7_900, 7_900));
    assert_eq!(answer.header("x-orbit-env"), "");
}

#[tokio::test]
async fn both_prefixes_and_a_slash_at_the_end_lead_to_the_same_place() {
    let world = World::new().await;
    for path in ["/v1/messages/sms", "/v1/messages/sms/", "/api/v1/messages/sms/"] {
        assert_eq!(world.post(path, &sms()).await.status, 202, "{path}");
    }
    let listed = world.get("/v1/messages/?limit=2").await;
    assert_eq!(listed.data().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_unified_path_needs_a_channel_that_we_have() {
    let world = World::new().await;
    let path = "/api/v1/messages";
    let with = |channel: &str| {
        let mut body = sms();
        body["channel"] = json!(channel);
        body
    };
    assert_eq!(world.post(path, &with("sms")).await.status, 202);
    let other = world.post(path, &with("whatsapp")).await;
    assert_eq!((other.status, other.code()), (422, "INVALID_CHANNEL"));
    assert_eq!(world.post(path, &sms()).await.code(), "MISSING_REQUIRED_FIELD");
}

#[tokio::test]
async fn what_is_wrong_with_a_send_is_told_by_field_and_nothing_is_stored() {
    let world = World::new().await;
    let cases = [
        (json!({"to": "123", "body": "x"}), "INVALID_PHONE_NUMBER", "to"),
        (json!({"to": "+14155550123", "body": ""}), "MISSING_REQUIRED_FIELD", "body"),
        (json!({"to": "+14155550123"}), "MISSING_REQUIRED_FIELD", "body"),
        (json!({"to": "+14155550123", "body": "x", "from": "!"}), "INVALID_SENDER", "from"),
        (json!({"to": "+14155550123", "body": "x".repeat(1601)}), "MESSAGE_TOO_LONG", "body"),
        (json!({"to": "+447911123456", "body": "x"}), "NO_PRICE", "to"),
        (json!({"to": "+33612345678", "body": "x"}), "NO_ROUTE", "to"),
        (json!({"to": 5, "body": "x"}), "VALIDATION_ERROR", "to"),
    ];
    for (body, code, field) in cases {
        let answer = world.post(SMS, &body).await;
        assert_eq!((answer.status, answer.code()), (422, code), "{}", answer.body);
        assert_eq!(answer.body["error"]["details"]["field"], field);
        let docs = answer.body["meta"]["docs_url"].as_str().unwrap();
        assert_eq!(docs, format!("/docs/errors/{code}"));
    }
    let listed = world.get("/api/v1/messages").await;
    assert_eq!(listed.body["meta"]["pagination"]["total"], 0);
    assert_eq!(world.balance().await, (10_000_000, 0));
}

#[tokio::test]
async fn an_empty_wallet_refuses_with_402() {
    let world = World::new().await;
    let long = json!({"to": "+14155550123", "body": "x".repeat(1530)});
    let mut status = 202;
    for _ in 0..130 {
        status = world.post(SMS, &long).await.status;
    }
    assert_eq!(status, 402);
    assert_eq!(world.post(SMS, &long).await.code(), "BALANCE_TOO_LOW");
}

#[tokio::test]
async fn a_test_key_costs_nothing_and_says_so() {
    let world = World::new().await;
    let key = world.key(Mode::Test, "messages:write").await;
    let body = json!({"to": "+15005550002", "body": "x"}).to_string();
    let answer = world.post_with(SMS, body, &[("x-api-key", &key)]).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.header("x-orbit-env"), "sandbox");
    assert_eq!(answer.data()["test_mode"], true);
    assert_eq!(world.balance().await, (10_000_000, 0));
}

#[tokio::test]
async fn a_repeated_key_is_one_message_and_the_same_answer() {
    let world = World::new().await;
    let key = [("idempotency-key", "order-0001")];
    let first = world.post_with(SMS, sms().to_string(), &key).await;
    let second = world.post_with(SMS, sms().to_string(), &key).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.data(), second.data());
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_ne!(first.body["meta"]["request_id"], second.body["meta"]["request_id"]);
    assert_eq!(world.balance().await.1, 7_900);

    let other = json!({"to": "+14155550123", "body": "other"}).to_string();
    let reused = world.post_with(SMS, other, &key).await;
    assert_eq!((reused.status, reused.code()), (422, "IDEMPOTENCY_KEY_REUSED"));
    // The same key on another path, and of another organization, is another request.
    let mut body = sms();
    body["channel"] = json!("sms");
    let elsewhere = world.post_with("/v1/messages", body.to_string(), &key).await;
    assert_eq!(elsewhere.header("idempotent-replayed"), "");
    let stranger = world.stranger(false).await;
    let headers = [key[0], ("x-api-key", stranger.as_str())];
    let theirs = world.post_with(SMS, sms().to_string(), &headers).await;
    assert_eq!(theirs.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn the_alias_is_the_same_route_for_a_key() {
    let world = World::new().await;
    let key = [("idempotency-key", "order-0001")];
    let first = world.post_with(SMS, sms().to_string(), &key).await;
    let second = world.post_with("/v1/messages/sms/", sms().to_string(), &key).await;
    assert_eq!(first.data(), second.data());
}

#[tokio::test]
async fn fifty_twins_at_once_are_one_message() {
    let world = World::new().await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let request = Request::post(SMS)
            .header("x-api-key", &world.key)
            .header("content-type", "application/json")
            .header("idempotency-key", "order-0001")
            .body(Body::from(sms().to_string()))
            .unwrap();
        running.spawn(world.router.clone().oneshot(request));
    }
    let mut replayed = 0;
    while let Some(response) = running.join_next().await {
        let response = response.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        replayed += usize::from(response.headers().contains_key("idempotent-replayed"));
    }
    assert_eq!(replayed, 49);
    assert_eq!(world.balance().await.1, 7_900);
}

#[tokio::test]
async fn a_refused_send_does_not_use_up_its_key() {
    let world = World::new().await;
    let key = [("idempotency-key", "order-0001")];
    let bad = json!({"to": "+33612345678", "body": "x"}).to_string();
    assert_eq!(world.post_with(SMS, bad, &key).await.code(), "NO_ROUTE");
    assert_eq!(world.post_with(SMS, sms().to_string(), &key).await.status, 202);
}

#[tokio::test]
async fn a_batch_tells_what_became_of_each_recipient() {
    let world = World::new().await;
    let body = json!({"channel": "sms", "body": "hi", "recipients": [
        {"to": "+14155550123", "metadata": {"n": 1}}, {"to": "bad"}, {"to": "+14155550124"}, 5,
        {"to": "+14155550123"},
    ]});
    let key = [("idempotency-key", "batch-0001")];
    let first = world.post_with(BATCH, body.to_string(), &key).await;
    assert_eq!(first.status, 202, "{}", first.body);
    let data = first.data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(3), &json!(2)));
    assert_eq!(data["results"][1]["error"]["code"], "INVALID_PHONE_NUMBER");
    assert_eq!(data["results"][3]["error"]["code"], "VALIDATION_ERROR");
    assert_eq!(world.balance().await.1, 3 * 7_900);

    let second = world.post_with(BATCH, body.to_string(), &key).await;
    assert_eq!(second.header("idempotent-replayed"), "true");
    assert_eq!(second.data(), data);

    let path = format!("/v1/messages?batch_id={}", data["batch_id"].as_str().unwrap());
    let listed = world.get(&path).await;
    assert_eq!(listed.data().as_array().unwrap().len(), 3);
    assert_eq!(listed.data()[2]["metadata"], json!({"n": 1}));
}

#[tokio::test]
async fn a_batch_is_paid_for_whole_or_not_at_all() {
    let world = World::new().await;
    let recipients: Vec<Value> =
        (0..1_000).map(|n| json!({"to": format!("+1415555{n:04}")})).collect();
    let long = "x".repeat(300);
    let body = json!({"body": long, "recipients": recipients});
    let answer = world.post(BATCH, &body).await;
    assert_eq!((answer.status, answer.code()), (402, "BALANCE_TOO_LOW"));
    assert_eq!(world.balance().await, (10_000_000, 0));
    let body = json!({"body": "x", "recipients": recipients});
    assert_eq!(world.post(BATCH, &body).await.data()["accepted"], 1_000);
    assert_eq!(world.balance().await.1, 7_900_000);
}

#[tokio::test]
async fn a_batch_of_none_too_many_or_only_bad_ones_is_refused() {
    let world = World::new().await;
    let many: Vec<Value> = (0..1_001).map(|_| json!({"to": "+14155550123"})).collect();
    for recipients in [json!([]), json!(many), json!({}), Value::Null] {
        let answer = world.post(BATCH, &json!({"body": "x", "recipients": recipients})).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.body["error"]["details"]["field"], "recipients");
    }
    let bad = json!({"body": "x", "recipients": [{"to": "1"}, {}]});
    let answer = world.post(BATCH, &bad).await;
    assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"));
    let errors = &answer.body["error"]["details"]["errors"];
    assert_eq!(errors[1]["index"], 1);
    assert_eq!(errors[1]["code"], "MISSING_REQUIRED_FIELD");
}

#[tokio::test]
async fn the_documented_limits_are_told_in_headers_and_kept() {
    let world = World::with(Profile::Documented).await;
    let mut answer = world.post(SMS, &sms()).await;
    assert_eq!(answer.header("x-ratelimit-limit"), "100");
    assert_eq!(answer.header("x-ratelimit-remaining"), "99");
    // A place comes free every 0.6 s, so a slow machine gets some more than a hundred through.
    for _ in 0..1_000 {
        if answer.status == 429 {
            break;
        }
        answer = world.post(SMS, &sms()).await;
    }
    assert_eq!((answer.status, answer.code()), (429, "RATE_LIMITED"));
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert_eq!(answer.body["error"]["details"]["alias"], "RATE_LIMIT_EXCEEDED");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    assert_eq!(world.get("/v1/messages").await.status, 200);
}
