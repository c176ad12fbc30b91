//! `/messaging/sender-pools`: made, changed, in force at once; and what sends by them are answered.

use super::*;

const POOLS: &str = "/api/v1/messaging/sender-pools";
const SMS: &str = "/api/v1/messages/sms";
const BATCH: &str = "/api/v1/messages/batch";
const US: &str = "+14155550123";

async fn make(world: &World, pool: Value) -> String {
    let made = world.post(POOLS, &pool).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.data()["id"].as_str().unwrap().to_owned()
}

fn two() -> Value {
    json!({"name": "two", "senders": [{"value": "One"}, {"value": "+14155550100"}]})
}

fn by(pool: &str) -> Value {
    json!({"to": US, "body": "hello", "sender_pool_id": pool})
}

impl World {
    async fn from(&self, body: &Value) -> Value {
        let sent = self.post(SMS, body).await;
        assert_eq!(sent.status, 202, "{}", sent.body);
        sent.data()["from"].clone()
    }

    async fn message(&self, id: &Value) -> Value {
        let shown = self.get(&format!("/api/v1/messages/{}", id.as_str().unwrap())).await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        shown.data().clone()
    }
}

#[tokio::test]
async fn a_pool_is_made_shown_changed_and_taken_away() {
    let world = World::new().await;
    assert_eq!(world.get(POOLS).await.data(), &json!([]));
    let pool = json!({"name": "support", "strategy": "sticky", "sticky_ttl_days": 7,
        "carrier_ids": ["main"], "senders": [
            {"value": "Orbit", "weight": 3, "countries": ["US", "FR"], "daily_cap": 2},
            {"value": "+14155550100", "type": "international"}]});
    let id = make(&world, pool.clone()).await;
    assert!(id.starts_with("spl_"), "{id}");
    let path = format!("{POOLS}/{id}");
    assert_eq!(world.from(&by(&id)).await, "Orbit");
    let shown = world.get(&path).await.data().clone();
    let senders = json!([
        {"value": "Orbit", "type": "alphanumeric", "weight": 3, "countries": ["US", "FR"],
            "daily_cap": 2, "used_today": 1},
        {"value": "+14155550100", "type": "international", "weight": 1, "countries": [],
            "daily_cap": null, "used_today": 0}]);
    assert_eq!(shown["senders"], senders);
    for field in ["name", "strategy", "sticky_ttl_days", "carrier_ids"] {
        assert_eq!(shown[field], pool[field], "{field}");
    }
    assert_eq!(world.get(POOLS).await.data(), &json!([shown]));
    let taken = world.post(POOLS, &pool).await;
    assert_eq!((taken.status, taken.code()), (409, "CONFLICT"), "{}", taken.body);

    let patch = json!({"strategy": "least_used", "senders": [{"value": "12345"}]});
    let changed = world.ask("PATCH", &path, &patch).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let data = changed.data();
    assert_eq!((&data["name"], &data["carrier_ids"]), (&json!("support"), &json!(["main"])));
    assert_eq!(data["strategy"], "least_used");
    assert_eq!(world.from(&by(&id)).await, "12345", "from the next message on");

    let bad = json!({"senders": [{"value": "!"}], "carrier_ids": ["nobodys"]});
    let refused = world.ask("PATCH", &path, &bad).await;
    assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"));
    let text = refused.body.to_string();
    assert!(text.contains("senders[0].value") && text.contains("carrier_ids[0]"), "{text}");
    for wrong in [json!({}), json!([]), json!({"name": "x", "senders": []}), json!({"name": "x"})] {
        assert_eq!(world.post(POOLS, &wrong).await.status, 422, "{wrong}");
    }
    assert_eq!(world.get(&path).await.data()["senders"][0]["value"], "12345", "nothing changed");

    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(world.get(&path).await.status, 404);
    let gone = world.post(SMS, &by(&id)).await;
    assert_eq!((gone.status, gone.code()), (422, "VALIDATION_ERROR"), "{}", gone.body);
    assert_eq!(gone.body["error"]["details"]["field"], "sender_pool_id", "{}", gone.body);
}

#[tokio::test]
async fn pools_are_ones_own_and_changed_with_a_live_key_of_their_scope() {
    let world = World::new().await;
    let id = make(&world, two()).await;
    let path = format!("{POOLS}/{id}");
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, POOLS).await.data(), &json!([]));
    assert_eq!(world.get_as(&stranger, &path).await.status, 404);
    let as_stranger = [("x-api-key", stranger.as_str())];
    let theirs = world.post_with(SMS, by(&id).to_string(), &as_stranger).await;
    assert_eq!((theirs.status, theirs.code()), (422, "VALIDATION_ERROR"), "{}", theirs.body);
    let ask = async |key: &str, method: &str| {
        let request = Request::builder().method(method).uri(&path).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        world.call(request.body("{\"name\":\"mine\"}".into()).unwrap()).await
    };
    for method in ["PATCH", "DELETE"] {
        assert_eq!(ask(&stranger, method).await.status, 404);
        let test = world.key(Mode::Test, "*").await;
        assert_eq!(ask(&test, method).await.code(), "WRONG_KEY_MODE");
        let reader = world.key(Mode::Live, "smpp:read").await;
        assert_eq!(ask(&reader, method).await.code(), "INSUFFICIENT_PERMISSIONS");
    }
    assert_eq!(world.get(&path).await.data()["name"], "two");
    let sender = world.key(Mode::Live, "messages:write").await;
    let sent = world.post_with(SMS, by(&id).to_string(), &[("x-api-key", &sender)]).await;
    assert_eq!(sent.status, 202, "{}", sent.body);
    // A test key sends by them, and is counted apart.
    let test = world.key(Mode::Test, "*").await;
    let sent = world.post_with(SMS, by(&id).to_string(), &[("x-api-key", &test)]).await;
    assert_eq!((sent.status, &sent.data()["from"]), (202, &json!("One")), "{}", sent.body);
    assert_eq!(world.get(&path).await.data()["senders"][0]["used_today"], 1);
}

#[tokio::test]
async fn a_send_names_a_pool_or_a_sender_and_a_repeat_is_answered_alike() {
    let world = World::new().await;
    let id = make(&world, two()).await;
    let both = json!({"to": US, "body": "x", "from": "Orbit", "sender_pool_id": id});
    for path in [SMS, "/api/v1/messages/estimate", BATCH] {
        let mut both = both.clone();
        if path == BATCH {
            both["recipients"] = json!([{"to": US}]);
        }
        let refused = world.post(path, &both).await;
        assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{path}");
        for none in ["spl_", "two", "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00"] {
            let mut unknown = both.clone();
            unknown["from"] = Value::Null;
            unknown["sender_pool_id"] = json!(none);
            let refused = world.post(path, &unknown).await;
            assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"), "{none}");
        }
    }
    let headers = [("idempotency-key", "the-same-one")];
    let first = world.post_with(SMS, by(&id).to_string(), &headers).await;
    assert_eq!((first.status, &first.data()["from"]), (202, &json!("One")), "{}", first.body);
    assert_eq!(first.data()["sender_pool_id"], id);
    let again = world.post_with(SMS, by(&id).to_string(), &headers).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data(), first.data());
    let message = world.message(&first.data()["id"]).await;
    assert_eq!((&message["from"], &message["sender_pool_id"]), (&json!("One"), &json!(id)));
    assert_eq!(world.from(&by(&id)).await, "+14155550100", "the repeat took no turn");
    let plain = world.post(SMS, &sms()).await;
    assert_eq!(plain.data().get("sender_pool_id"), None);
    // A pool that has no sender for the country any more, or is gone, was there when it was asked.
    let patch = json!({"senders": [{"value": "One", "countries": ["FR"]}]});
    world.ask("PATCH", &format!("{POOLS}/{id}"), &patch).await;
    let uncovered = world.post(SMS, &by(&id)).await;
    assert_eq!((uncovered.status, uncovered.code()), (422, "SENDER_POOL_UNCOVERED"));
    assert_eq!(uncovered.body["error"]["details"]["country"], "US", "{}", uncovered.body);
    let again = world.post_with(SMS, by(&id).to_string(), &headers).await;
    assert_eq!(again.data(), first.data(), "{}", again.body);
    assert_eq!(world.ask("DELETE", &format!("{POOLS}/{id}"), None).await.status, 204);
    let again = world.post_with(SMS, by(&id).to_string(), &headers).await;
    assert_eq!((again.status, &again.data()["from"]), (202, &json!("One")), "{}", again.body);
}

#[tokio::test]
async fn no_cap_is_passed_when_sends_come_at_once() {
    let world = World::new().await;
    let pool = json!({"name": "capped", "strategy": "weighted", "senders": [
        {"value": "One", "daily_cap": 7}, {"value": "Two", "weight": 5, "daily_cap": 20}]});
    let id = make(&world, pool).await;
    let body = by(&id);
    let world = Arc::new(world);
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (world, body) = (Arc::clone(&world), body.clone());
        sends.spawn(async move { world.post(SMS, &body).await });
    }
    let mut from: std::collections::HashMap<String, usize> = Default::default();
    for answer in sends.join_all().await {
        if answer.status == 202 {
            *from.entry(answer.data()["from"].as_str().unwrap().to_owned()).or_default() += 1;
        } else {
            assert_eq!((answer.status, answer.code()), (422, "SENDER_POOL_EXHAUSTED"));
            let details = &answer.body["error"]["details"];
            assert!(details["resets_at"].as_str().unwrap().ends_with("T00:00:00.000Z"));
        }
    }
    assert_eq!((from["One"], from["Two"]), (7, 20));
    let shown = world.get(&format!("{POOLS}/{id}")).await.data().clone();
    assert_eq!(shown["senders"][1]["used_today"], 20);
    // One that is cancelled makes room.
    let listed = world.get("/api/v1/messages?from=One&limit=1").await;
    let first = listed.data()[0]["id"].as_str().unwrap().to_owned();
    let cancelled = world.ask("POST", &format!("/api/v1/messages/{first}/cancel"), None).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    assert_eq!(world.from(&body).await, "One");
    assert_eq!(world.post(SMS, &body).await.code(), "SENDER_POOL_EXHAUSTED");
}

#[tokio::test]
async fn a_batch_has_a_sender_for_each_and_refuses_one_by_one() {
    let world = World::new().await;
    let pool = json!({"name": "b", "senders": [
        {"value": "One", "daily_cap": 1}, {"value": "Two", "daily_cap": 1}]});
    let id = make(&world, pool).await;
    let recipients: Vec<_> = (0..3).map(|n| json!({"to": format!("+1415555012{n}")})).collect();
    let mut batch = json!({"sender_pool_id": id, "body": "hello", "recipients": recipients});
    batch["dry_run"] = json!(true);
    let dry = world.post(BATCH, &batch).await;
    let data = dry.data();
    assert_eq!((&data["accepted"], &data["blocked"]), (&json!(2), &json!(1)), "{}", dry.body);
    batch["dry_run"] = json!(false);
    let sent = world.post(BATCH, &batch).await;
    let data = sent.data();
    assert_eq!((&data["accepted"], &data["rejected"]), (&json!(2), &json!(1)), "{}", sent.body);
    assert_eq!(data["results"][2]["error"]["code"], "SENDER_POOL_EXHAUSTED");
    let listed = world.get("/api/v1/messages").await;
    let from: Vec<_> = listed.data().as_array().unwrap().iter().map(|m| &m["from"]).collect();
    assert_eq!(from, ["Two", "One"]);
}

#[tokio::test]
async fn a_scheduled_send_is_given_its_sender_later() {
    let world = World::new().await;
    let id = make(&world, two()).await;
    let path = format!("{POOLS}/{id}");
    let mut later = by(&id);
    later["scheduled_at"] = json!(At::now().plus(Duration::from_secs(3_600)).iso());
    let headers = [("idempotency-key", "some-time-later")];
    let sent = world.post_with(SMS, later.to_string(), &headers).await;
    assert_eq!((sent.status, &sent.data()["from"]), (202, &Value::Null), "{}", sent.body);
    let again = world.post_with(SMS, later.to_string(), &headers).await;
    assert_eq!(again.data(), sent.data());
    let message = world.message(&sent.data()["id"]).await;
    assert_eq!((&message["from"], &message["sender_pool_id"]), (&Value::Null, &json!(id)));
    assert_eq!(world.get(&path).await.data()["senders"][0]["used_today"], 0);
    let kept = world.ask("DELETE", &path, None).await;
    assert_eq!((kept.status, kept.code()), (409, "RESOURCE_IN_USE"), "{}", kept.body);

    let of_it = format!("/api/v1/messages/{}", sent.data()["id"].as_str().unwrap());
    let edited = world.ask("PATCH", &of_it, &json!({"body": "other"})).await;
    assert_eq!(edited.status, 200, "{}", edited.body);
    assert_eq!(edited.data()["sender_pool_id"], id, "what is not named stays");
    let edited = world.ask("PATCH", &of_it, &json!({"from": "Orbit"})).await;
    let data = edited.data();
    assert_eq!((&data["from"], &data["sender_pool_id"]), (&json!("Orbit"), &Value::Null));
    let edited = world.ask("PATCH", &of_it, &json!({"sender_pool_id": id})).await;
    let data = edited.data();
    assert_eq!((&data["from"], &data["sender_pool_id"]), (&Value::Null, &json!(id)));
    let both = json!({"from": "Orbit", "sender_pool_id": id});
    assert_eq!(world.ask("PATCH", &of_it, &both).await.status, 422);
    world.ask("POST", &format!("{of_it}/cancel"), None).await;
    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn a_pool_is_weighed_and_tried_out_and_goes_by_its_carriers_alone() {
    let world = World::new().await;
    let id = make(&world, two()).await;
    let estimate = world.post("/api/v1/messages/estimate", &by(&id)).await;
    assert_eq!(estimate.status, 200, "{}", estimate.body);
    assert_eq!((&estimate.data()["from"], &estimate.data()["segments"]), (&Value::Null, &json!(1)));
    let simulate = "/api/v1/messaging/routing/simulate";
    let tried = world.post(simulate, &json!({"to": US, "sender_pool_id": id})).await;
    assert_eq!(tried.data()["carrier"], "main", "{}", tried.body);

    // The platform's two carriers, of which the pool names the one that goes second.
    let second = own(&world.handle, "second").await;
    let table = |names: &[&str]| {
        let main = CarrierRoute { priority: 9, ..CarrierRoute::new(CarrierId(1), "main") };
        let all = [main, CarrierRoute::new(second, "second")];
        let carriers = all.into_iter().filter(|carrier| names.contains(&&*carrier.name)).collect();
        let rates = Rates::from_csv(RATES).unwrap();
        world.admission.replace(Routes { carriers, rates, ..Routes::default() });
    };
    table(&["main", "second"]);
    let path = format!("{POOLS}/{id}");
    let patch = json!({"carrier_ids": ["second"]});
    let changed = world.ask("PATCH", &path, &patch).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let tried = world.post(simulate, &json!({"to": US, "sender_pool_id": id})).await;
    assert_eq!(tried.data()["carrier"], "second", "{}", tried.body);
    assert_eq!(tried.data()["candidates"][0]["verdict"], "not_in_pool");
    let sent = world.post(SMS, &by(&id)).await;
    let message = world.message(&sent.data()["id"]).await;
    assert_eq!((&message["carrier_id"], &message["from"]), (&json!("second"), &json!("One")));
    let sent = world.post(SMS, &json!({"to": US, "from": "One", "body": "x"})).await;
    assert_eq!(world.message(&sent.data()["id"]).await["carrier_id"], "main");
    // A carrier that is removed is passed over, and nobody takes its place.
    table(&["main"]);
    let refused = world.post(SMS, &by(&id)).await;
    assert_eq!((refused.status, refused.code()), (422, "NO_ROUTE"), "{}", refused.body);
    assert_eq!(refused.body["error"]["details"]["field"], "sender_pool_id");
    world.ask("PATCH", &path, &json!({"carrier_ids": []})).await;
    assert_eq!(world.from(&by(&id)).await, "+14155550100");
}

#[tokio::test]
async fn a_rule_that_sets_the_sender_goes_before_a_pool() {
    let world = World::new().await;
    let id = make(&world, two()).await;
    let rule = json!({"name": "as Acme", "text_contains": ["acme"], "sender": "Acme"});
    let made = world.post("/api/v1/messaging/interceptors", &rule).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mut body = by(&id);
    body["body"] = json!("by acme");
    let sent = world.post(SMS, &body).await;
    assert_eq!((sent.status, &sent.data()["from"]), (202, &json!("Acme")), "{}", sent.body);
    assert_eq!(sent.data().get("sender_pool_id"), None);
    assert_eq!(world.from(&by(&id)).await, "One");
}
