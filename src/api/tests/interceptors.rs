//! `/messaging/interceptors`: rules made, tried, in force at once, and taken away.

use super::*;

const PATH: &str = "/api/v1/messaging/interceptors";
const SEND: &str = "/api/v1/messages/sms";

async fn make(world: &World, rule: Value) -> String {
    let made = world.post(PATH, &rule).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.data()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rule_holds_for_the_next_message_until_it_is_gone() {
    let world = World::new().await;
    let casino = json!({"to": "+14155550123", "from": "Orbit", "body": "Win at the CASINO"});
    assert_eq!(world.post(SEND, &casino).await.status, 202);
    let block = json!({"name": "no gambling", "text_contains": ["casino"], "block": "not here"});
    let id = make(&world, block).await;
    let refused = world.post(SEND, &casino).await;
    assert_eq!((refused.status, refused.code()), (422, "BLOCKED_BY_RULE"));
    let error = &refused.body["error"];
    assert_eq!(
        (&error["message"], &error["details"]["rule"]),
        (&json!("not here"), &json!("no gambling"))
    );
    assert_eq!(world.post(SEND, &sms()).await.status, 202);
    let batch = json!({"from": "Orbit", "body": "casino", "recipients": [{"to": "+14155550123"}]});
    let batch = world.post("/api/v1/messages/batch", &batch).await;
    assert!(batch.body.to_string().contains("BLOCKED_BY_RULE"), "{}", batch.body);

    let path = format!("{PATH}/{id}");
    let rule = json!({"name": "as Acme", "sources": ["Orb*"], "sender": "Acme", "tags": ["acme"]});
    let replaced = world.ask("PUT", &path, &rule).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert_eq!(
        (&replaced.data()["block"], &replaced.data()["sender"]),
        (&json!(""), &json!("Acme"))
    );
    let sent = world.post(SEND, &casino).await;
    assert_eq!((sent.status, &sent.data()["from"]), (202, &json!("Acme")));
    let message =
        world.get(&format!("/api/v1/messages/{}", sent.data()["id"].as_str().unwrap())).await;
    assert_eq!(message.data()["metadata"], json!({"tags": ["acme"]}));

    let gone = world.ask("DELETE", &path, None).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 404);
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(world.post(SEND, &casino).await.data()["from"], "Orbit");
}

#[tokio::test]
async fn rules_are_listed_in_order_and_are_nobody_elses() {
    let world = World::new().await;
    for (name, position) in [("last", 9), ("first", 1), ("second", 1)] {
        make(&world, json!({"name": name, "position": position, "tags": [name]})).await;
    }
    let listed = world.get(PATH).await;
    let names = |answer: &Answer| -> Vec<Value> {
        answer.data().as_array().unwrap().iter().map(|rule| rule["name"].clone()).collect()
    };
    assert_eq!(names(&listed), ["first", "second", "last"]);
    let id = listed.data()[0]["id"].as_str().unwrap().to_owned();
    let stranger = world.stranger(false).await;
    assert!(names(&world.get_as(&stranger, PATH).await).is_empty());
    assert_eq!(world.get_as(&stranger, &format!("{PATH}/{id}")).await.status, 404);
    let reader = world.key(Mode::Live, "messages:read").await;
    assert_eq!(world.get_as(&reader, PATH).await.status, 200);
    let headers = [("x-api-key", reader.as_str())];
    let body = json!({"name": "x", "tags": ["x"]}).to_string();
    let refused = world.post_with(PATH, body.clone(), &headers).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    for _ in 3..100 {
        assert_eq!(world.post_with(PATH, body.clone(), &[]).await.status, 201);
    }
    let full = world.post_with(PATH, body, &[]).await;
    assert_eq!((full.status, full.code()), (409, "CONFLICT"));
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_told_field_by_field() {
    let world = World::new().await;
    let bad = json!({"name": "", "text_regex": "(", "destinations": ["+44"], "hours": "night",
        "position": -1});
    let refused = world.post(PATH, &bad).await;
    assert_eq!((refused.status, refused.code()), (422, "VALIDATION_ERROR"));
    let said = refused.body.to_string();
    for field in ["position", "name", "destinations", "hours", "block", "text_regex"] {
        assert!(said.contains(&format!("\"{field}\"")), "{field}: {said}");
    }
    for wrong in [json!({}), json!({"name": 5}), json!({"name": "x", "tags": "x"}), json!([])] {
        let refused = world.post(PATH, &wrong).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.body);
    }
    let nul = json!({"name": "x", "text_contains": ["\u{0}"], "tags": ["x"]});
    assert_eq!(world.post(PATH, &nul).await.status, 422);
    assert!(world.get(PATH).await.data().as_array().unwrap().is_empty(), "nothing was kept");
}

#[tokio::test]
async fn a_trial_says_what_all_rules_would_do_and_sends_nothing() {
    let world = World::new().await;
    make(&world, json!({"name": "night", "hours": "22:00-06:00", "tags": ["night"]})).await;
    make(&world, json!({"name": "acme", "accounts": ["acme"], "sender": "Acme", "route": "main"}))
        .await;
    make(&world, json!({"name": "block", "countries": ["GB"], "block": "not there"})).await;
    let path = format!("{PATH}/test");
    let trial = json!({"to": "+14155550123", "body": "hi", "account": "acme",
        "at": "2026-01-01T23:00:00Z"});
    let answer = world.post(&path, &trial).await;
    let wanted = json!({"matched": ["night", "acme"], "blocked": null, "from": "Acme",
        "route": "main", "tags": ["night"]});
    assert_eq!((answer.status, answer.data()), (200, &wanted));
    let trial = json!({"to": "+447700900123", "from": "Orbit", "body": "hi",
        "at": "2026-01-01T12:00:00Z"});
    let answer = world.post(&path, &trial).await;
    let wanted = json!({"matched": ["block"], "from": "Orbit", "route": null, "tags": [],
        "blocked": {"rule": "block", "reason": "not there"}});
    assert_eq!((answer.status, answer.data()), (200, &wanted));
    for wrong in
        [json!({"to": "me", "body": "x"}), json!({"to": "+14155550123", "body": "x", "at": "noon"})]
    {
        assert_eq!(world.post(&path, &wrong).await.status, 422, "{wrong}");
    }
    let listed = world.get("/api/v1/messages").await;
    assert!(listed.data().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn all_expressions_together_are_bounded() {
    let world = World::new().await;
    let rule =
        |n: usize| json!({"name": format!("r{n}"), "text_regex": r"\bwin\s+\w+\b", "tags": ["x"]});
    let mut ids = Vec::new();
    let refused = loop {
        let made = world.post(PATH, &rule(ids.len())).await;
        if made.status != 201 {
            break made;
        }
        ids.push(made.data()["id"].as_str().unwrap().to_owned());
    };
    assert_eq!((refused.status, refused.code()), (409, "CONFLICT"), "{}", refused.body);
    assert!((2..100).contains(&ids.len()), "{}", ids.len());
    let kept = world.get(PATH).await.data().as_array().unwrap().len();
    assert_eq!(kept, ids.len());
    // One in the place of another counts alone.
    let path = format!("{PATH}/{}", ids[0]);
    assert_eq!(world.ask("PUT", &path, &rule(0)).await.status, 200);
    let small = json!({"name": "small", "text_regex": "casino", "tags": ["x"]});
    assert_eq!(world.ask("PUT", &path, &small).await.status, 200);
    let large = json!({"name": "large", "text_regex": r"\w{1,20}", "tags": ["x"]});
    let large = world.ask("PUT", &path, &large).await;
    assert_eq!((large.status, large.code()), (422, "VALIDATION_ERROR"));
    assert_eq!(world.ask("PUT", &path, &rule(0)).await.status, 200);
    assert_eq!(world.ask("DELETE", &path, None).await.status, 204);
    make(&world, rule(0)).await;
}
