//! An organization's rules of routing over the API, routes tried out, and what a message tells.

use super::*;

const ROUTING: &str = "/api/v1/messaging/routing";
const SIMULATE: &str = "/api/v1/messaging/routing/simulate";
const SMS: &str = "/api/v1/messages/sms";

#[tokio::test]
async fn rules_are_kept_hold_at_once_and_are_ones_own() {
    let world = World::new().await;
    assert_eq!(world.get(ROUTING).await.data()["rules"], json!([]));
    let rules = json!({"rules": [{"countries": ["US"], "carriers": ["main"], "strategy": "cost"}]});
    let put = world.ask("PUT", ROUTING, &rules).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let kept = world.get(ROUTING).await.data()["rules"][0].clone();
    assert_eq!((&kept["countries"], &kept["strategy"]), (&json!(["US"]), &json!("cost")));
    assert_eq!(kept["prefixes"], json!([]));
    let told = world.post(SIMULATE, &json!({"to": "+14155550123"})).await;
    assert_eq!(told.data()["reason"], "organization_rule", "{}", told.body);
    assert_eq!(told.data()["rule"], 0);
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, ROUTING).await.data()["rules"], json!([]));
    let sent = world.post(SMS, &json!({"to": "+14155550123", "body": "hello"})).await;
    let id = sent.data()["id"].as_str().unwrap().to_owned();
    let route = world.get(&format!("/api/v1/messages/{id}")).await.data()["route"].clone();
    assert_eq!(route["reason"], "organization_rule");
    assert_eq!((&route["carrier"], &route["failovers"]), (&Value::Null, &json!([])));
    world.ask("PUT", ROUTING, &json!({"rules": []})).await;
    let told = world.post(SIMULATE, &json!({"to": "+14155550123"})).await;
    assert_eq!(told.data()["reason"], "platform_carrier_prefix");
    assert_eq!(told.data()["rule"], Value::Null);
}

#[tokio::test]
async fn bad_rules_are_refused_by_entry_and_change_nothing() {
    let world = World::new().await;
    let bad = json!({"rules": [
        {"carriers": ["main"]},
        {"carriers": ["main", "nobodys"], "countries": ["usa"], "categories": ["bulk"]},
        {"carriers": []},
        {"carriers": ["main"], "strategy": "luck"},
    ]});
    let answer = world.ask("PUT", ROUTING, &bad).await;
    assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"));
    let errors = answer.body["error"]["details"]["errors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    let expected = [
        "rules[1].countries[0]",
        "rules[1].categories[0]",
        "rules[1].carriers[1]",
        "rules[2].carriers",
        "rules[3]",
    ];
    assert_eq!(fields, expected);
    assert_eq!(world.get(ROUTING).await.data()["rules"], json!([]));
    let many = json!({"rules": vec![json!({"carriers": ["main"]}); 101]});
    for wrong in [json!({}), json!({"rules": {}}), json!({"rules": ["x"]}), many] {
        assert_eq!(world.ask("PUT", ROUTING, &wrong).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_route_is_tried_out_with_all_its_candidates() {
    let world = World::new().await;
    let asked = json!({"to": "+14155550123", "from": "Orbit", "category": "otp",
        "at": "2026-01-01T00:00:00Z"});
    let told = world.post(SIMULATE, &asked).await;
    assert_eq!(told.status, 200, "{}", told.body);
    let data = told.data();
    assert_eq!((&data["carrier"], &data["alternates"]), (&json!("main"), &json!([])));
    assert_eq!((&data["country"], &data["mccmnc"]), (&json!("US"), &json!("310260")));
    assert_eq!(data["mccmnc_source"], "numbering_plan");
    let expected = json!([{"carrier": "main", "scope": "platform", "verdict": "chosen",
        "state": "unbound"}]);
    assert_eq!(data["candidates"], expected);
    let nowhere = world.post(SIMULATE, &json!({"to": "+33612345678"})).await;
    assert_eq!(nowhere.data()["carrier"], Value::Null);
    assert_eq!(nowhere.data()["candidates"][0]["verdict"], "not_covered");
    for (field, value) in
        [("to", "14155550123"), ("from", "!"), ("category", "bulk"), ("at", "soon")]
    {
        let mut asked = asked.clone();
        asked[field] = json!(value);
        let answer = world.post(SIMULATE, &asked).await;
        assert_eq!(answer.status, 422, "{field}: {}", answer.body);
    }
}

#[tokio::test]
async fn routing_is_changed_with_a_live_key_of_its_scope() {
    let world = World::new().await;
    let put = async |key: &str| {
        let request = Request::put(ROUTING).header("x-api-key", key);
        let request = request.header("content-type", "application/json");
        world.call(request.body("{\"rules\":[]}".into()).unwrap()).await
    };
    let reader = world.key(Mode::Live, "smpp:read").await;
    assert_eq!(put(&reader).await.code(), "INSUFFICIENT_PERMISSIONS");
    let test = world.key(Mode::Test, "*").await;
    assert_eq!(put(&test).await.code(), "WRONG_KEY_MODE");
    let writer = world.key(Mode::Live, "smpp:write").await;
    assert_eq!(put(&writer).await.status, 200);
}

#[tokio::test]
async fn a_change_of_rules_waits_until_the_one_before_is_stored_and_in_memory() {
    let world = World::new().await;
    let interceptors = "/api/v1/messaging/interceptors";
    let turn = world.app.rules_changing.lock().await;
    let rules = json!({"rules": [{"carriers": ["main"]}]});
    let rule = json!({"name": "tagged", "tags": ["x"]});
    let look = async {
        for _ in 0..20 {
            assert_eq!(world.get(ROUTING).await.data()["rules"], json!([]));
            assert_eq!(world.get(interceptors).await.data(), &json!([]));
        }
        drop(turn);
    };
    let put = world.ask("PUT", ROUTING, &rules);
    let (put, made, ()) = tokio::join!(put, world.post(interceptors, &rule), look);
    assert_eq!((put.status, made.status), (200, 201), "{} {}", put.body, made.body);
    let told = world.post(SIMULATE, &json!({"to": "+14155550123"})).await;
    assert_eq!(told.data()["reason"], "organization_rule", "{}", told.body);
    assert_eq!(world.get(interceptors).await.data()[0]["name"], "tagged");
}
