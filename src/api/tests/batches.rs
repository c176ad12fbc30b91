//! Batches: a text for each recipient, how far they have come, and what they would cost.

use super::*;

const BATCH: &str = "/api/v1/messages/batch";

async fn bodies(world: &World, batch: &Answer) -> Vec<String> {
    let path = format!("/v1/messages?batch_id={}", batch.data()["batch_id"].as_str().unwrap());
    let listed = world.get(&path).await;
    let rows = listed.data().as_array().unwrap().iter().rev();
    rows.map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_recipient_gets_a_text_of_its_own() {
    let world = World::new().await;
    let template = json!({"name": "t", "body": "Hi {{name|you}}, {{shop}}: {{n}}"});
    let id = world.post("/v1/messages/templates", &template).await.data()["id"].clone();
    let body = json!({"template_id": id, "variables": {"shop": "Orbit", "n": 0}, "recipients": [
        {"to": "+14155550121", "variables": {"name": "Ada", "n": 1}},
        {"to": "+14155550122", "variables": {"n": null}},
        {"to": "+14155550123", "variables": {"n": []}},
        {"to": "+14155550124"},
    ]});
    let key = [("idempotency-key", "batch-0001")];
    let sent = world.post_with(BATCH, body.to_string(), &key).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    assert_eq!(sent.data()["results"][2]["error"]["field"], "variables");
    let expected = ["Hi Ada, Orbit: 1", "Hi you, Orbit: 0", "Hi you, Orbit: 0"];
    assert_eq!(bodies(&world, &sent).await, expected);
    let again = world.post_with(BATCH, body.to_string(), &key).await;
    assert_eq!((again.header("idempotent-replayed"), again.data()), ("true", sent.data()));
    let first = sent.data()["results"][0]["message_id"].as_str().unwrap();
    let message = world.get(&format!("/v1/messages/{first}")).await;
    assert_eq!(message.data()["template_id"], id);
}

#[tokio::test]
async fn a_recipient_without_its_values_is_refused_alone() {
    let world = World::new().await;
    let body = json!({"body": "Hi {{name}}", "recipients": [
        {"to": "+14155550121", "variables": {"name": "Ada"}}, {"to": "+14155550122"},
    ]});
    let sent = world.post(BATCH, &body).await;
    let error = &sent.data()["results"][1]["error"];
    assert_eq!((&error["code"], &error["missing"]), (&json!("INVALID_TEMPLATE"), &json!(["name"])));
    assert_eq!(bodies(&world, &sent).await, ["Hi Ada"]);
    // Without any values a body is no template.
    let body = json!({"body": "Hi {{name}}", "recipients": [{"to": "+14155550121"}]});
    let sent = world.post(BATCH, &body).await;
    assert_eq!(bodies(&world, &sent).await, ["Hi {{name}}"]);
    for body in [
        json!({"recipients": [{"to": "+14155550121"}]}),
        json!({"body": "x", "template_id": "tpl_x", "recipients": [{"to": "+14155550121"}]}),
    ] {
        assert_eq!(world.post(BATCH, &body).await.status, 422);
    }
}

#[tokio::test]
async fn a_batch_is_followed_by_its_id() {
    let world = World::new().await;
    let body = json!({"body": "x".repeat(161), "recipients": [
        {"to": "+14155550121"}, {"to": "bad"}, {"to": "+14155550122"},
    ]});
    let sent = world.post(BATCH, &body).await;
    let path = format!("/v1/messages/batches/{}", sent.data()["batch_id"].as_str().unwrap());
    let shown = world.get(&path).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let data = shown.data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(2), &json!(1)));
    assert_eq!((&data["statuses"], &data["segments"]), (&json!({"queued": 2}), &json!(4)));
    assert_eq!(data["cost"], json!({"held": "0.031600", "settled": "0.000000", "currency": "USD"}));
    assert_eq!((&data["done"], &data["template_id"]), (&json!(false), &Value::Null));
    assert_eq!(data["errors"], json!([sent.data()["results"][1]]));
    assert_eq!(data["created_at"], sent.data()["created_at"]);

    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &path).await.code(), "NOT_FOUND");
    assert_eq!(world.get("/v1/messages/batches/bat_x").await.status, 404);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_and_leaves_nothing() {
    let world = World::new().await;
    let body = json!({"body": "x", "dry_run": true, "recipients": [
        {"to": "+14155550121"}, {"to": "+14165550122"}, {"to": "bad"}, {"to": "+33612345678"},
    ]});
    let key = [("idempotency-key", "batch-0001")];
    let dry = world.post_with(BATCH, body.to_string(), &key).await;
    assert_eq!(dry.status, 200, "{}", dry.body);
    let data = dry.data();
    let counts = ["accepted", "rejected", "blocked", "scheduled", "segments"];
    assert_eq!(counts.map(|name| data[name].as_i64().unwrap()), [2, 2, 0, 0, 2]);
    assert_eq!((&data["total_price"], &data["balance_covers"]), (&json!("0.015800"), &json!(true)));
    let countries = json!([
        {"country": "CA", "messages": 1, "segments": 1, "total_price": "0.007900"},
        {"country": "US", "messages": 1, "segments": 1, "total_price": "0.007900"},
    ]);
    assert_eq!(data["by_country"], countries);
    assert_eq!(
        (&data["errors"][0]["index"], &data["errors"][1]["error"]["code"]),
        (&json!(2), &json!("NO_ROUTE"))
    );
    assert_eq!(world.get("/v1/messages").await.body["meta"]["pagination"]["total"], 0);
    assert_eq!(world.balance().await, (10_000_000, 0));

    // The key of a dry run is as good as new, and what it told is what happens.
    let mut real = body;
    real["dry_run"] = json!(false);
    let sent = world.post_with(BATCH, real.to_string(), &key).await;
    assert_eq!((sent.status, &sent.data()["accepted"]), (202, &json!(2)));
    assert_eq!(world.balance().await.1, 15_800);
}

#[tokio::test]
async fn a_dry_run_of_nothing_good_or_too_dear_is_an_answer_too() {
    let world = World::new().await;
    let bad = json!({"body": "x", "dry_run": true, "recipients": [{"to": "1"}]});
    let answer = world.post(BATCH, &bad).await;
    assert_eq!((answer.status, &answer.data()["accepted"]), (200, &json!(0)));
    let recipients: Vec<Value> =
        (0..1_000).map(|n| json!({"to": format!("+1415555{n:04}")})).collect();
    let dear = json!({"body": "x".repeat(300), "dry_run": true, "recipients": recipients});
    let answer = world.post(BATCH, &dear).await;
    assert_eq!(answer.data()["total_price"], "15.800000");
    assert_eq!(answer.data()["balance_covers"], false);
}
