//! What guards an organization, over the API: read, set, obeyed, told.

use model::event::EventKind;

use super::*;

const PROTECTION: &str = "/api/v1/compliance/protection";
const SMS: &str = "/api/v1/messages/sms";

fn to(number: &str) -> Value {
    json!({"to": number, "body": "hello"})
}

#[tokio::test]
async fn settings_are_the_operators_until_an_organization_has_its_own() {
    let world = World::new().await;
    let shown = world.get(PROTECTION).await;
    assert_eq!(shown.data()["effective"]["blocked_prefixes"], json!(["881"]));
    assert_eq!(shown.data()["own"]["blocked_prefixes"], Value::Null);
    let own = json!({"allowed_countries": ["US"], "daily_spend_micros": 10_000});
    let put = world.ask("PUT", PROTECTION, &own).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(put.data()["effective"]["allowed_countries"], json!(["US"]));
    assert_eq!(put.data()["effective"]["blocked_prefixes"], json!(["881"]));
    assert_eq!(put.data()["own"]["daily_spend_micros"], 10_000);
    let stranger = world.stranger(false).await;
    let theirs = world.get_as(&stranger, PROTECTION).await;
    assert_eq!(theirs.data()["effective"]["daily_spend_micros"], 0);

    assert_eq!(world.post(SMS, &to("+14155550123")).await.status, 202);
    assert_eq!(world.get(PROTECTION).await.data()["spent_today_micros"], 7_900);
    let reached = world.post(SMS, &to("+14155550123")).await;
    assert_eq!((reached.status, reached.code()), (422, "SPEND_LIMIT_REACHED"));
    let details = &reached.body["error"]["details"];
    assert_eq!(details["limit_micros"], 10_000);
    assert!(At::parse(details["resets_at"].as_str().unwrap()).is_some());
    world.ask("PUT", PROTECTION, &json!({})).await;
    assert_eq!(world.post(SMS, &to("+14155550123")).await.status, 202);
}

#[tokio::test]
async fn bad_settings_are_refused_by_field() {
    let world = World::new().await;
    let bad = json!({"allowed_countries": ["usa"], "blocked_prefixes": ["+1"],
        "daily_spend_micros": -1, "otp_velocity_per_minute": 10_000_001});
    let answer = world.ask("PUT", PROTECTION, &bad).await;
    assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"));
    let errors = answer.body["error"]["details"]["errors"].as_array().unwrap().len();
    assert_eq!(errors, 4, "{}", answer.body);
    for wrong in [json!({"velocity_per_minute": "9"}), json!({"allowed_countries": [1]})] {
        assert_eq!(world.ask("PUT", PROTECTION, &wrong).await.status, 422);
    }
    let reader = world.key(Mode::Live, "compliance:read").await;
    let request = Request::put(PROTECTION).header("x-api-key", reader);
    let request = request.header("content-type", "application/json");
    let answer = world.call(request.body("{}".into()).unwrap()).await;
    assert_eq!(answer.code(), "INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn a_destination_that_is_not_allowed_is_refused_and_told_once() {
    let world = World::new().await;
    world.ask("PUT", PROTECTION, &json!({"allowed_countries": ["US"]})).await;
    let satellite = world.post(SMS, &to("+881612345678")).await;
    assert_eq!((satellite.status, satellite.code()), (422, "DESTINATION_NOT_ALLOWED"));
    assert_eq!(satellite.body["error"]["details"]["prefix"], "881");
    for _ in 0..20 {
        let canada = world.post(SMS, &to("+14165550123")).await;
        assert_eq!(canada.code(), "DESTINATION_NOT_ALLOWED");
        assert_eq!(canada.body["error"]["details"]["country"], "CA");
    }
    let test = world.key(Mode::Test, "*").await;
    let headers = [("x-api-key", test.as_str())];
    let tested = world.post_with(SMS, to("+14165550123").to_string(), &headers).await;
    assert_eq!(tested.status, 202);
    let sent = world.post(SMS, &to("+14155550123")).await;
    let id = sent.data()["id"].as_str().unwrap();
    let shown = world.get(&format!("/api/v1/messages/{id}")).await;
    assert_eq!(shown.data()["country"], "US");
    // The alert went to the writer before the sends it has committed since.
    let rows = world.store.log_of(world.organization, 0, 1_000).await.unwrap();
    let kind = EventKind::DestinationRefused.code();
    let alerts = rows.iter().filter(|row| row.kind == kind).count();
    assert!((1..=2).contains(&alerts), "one, or two about the hour: {alerts}");
}

#[tokio::test]
async fn codes_to_one_range_have_a_pace() {
    let world = World::new().await;
    world.ask("PUT", PROTECTION, &json!({"otp_velocity_per_minute": 3})).await;
    let recipients: Vec<Value> =
        (0..10).map(|n| json!({"to": format!("+141555501{n:02}")})).collect();
    let batch = json!({"body": "code 1", "category": "otp", "recipients": recipients});
    let answer = world.post("/api/v1/messages/batch", &batch).await;
    assert_eq!(answer.data()["accepted"], 3, "{}", answer.body);
    let error = &answer.data()["results"][3]["error"];
    assert_eq!(error["code"], "VELOCITY_EXCEEDED");
    assert!(At::parse(error["retry_at"].as_str().unwrap()).is_some());
    let other = json!({"to": "+14155550123", "body": "hello"});
    assert_eq!(world.post(SMS, &other).await.status, 202);
}
