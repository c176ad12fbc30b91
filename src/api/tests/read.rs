//! Reading: pages, filters, one message and its story, money, and other people's rows.

use super::*;

async fn sent(world: &World, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let body = json!({"to": format!("+1415555{n:04}"), "body": "x", "from": "Shop"});
        let answer = world.post("/v1/messages/sms", &body).await;
        ids.push(answer.data()["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn a_list_is_walked_by_cursor_newest_first_without_gaps() {
    let world = World::new().await;
    let mut expected = sent(&world, 7).await;
    expected.reverse();
    let (mut seen, mut path) = (Vec::new(), String::from("/v1/messages?limit=3"));
    loop {
        let page = world.get(&path).await;
        assert_eq!(page.body["meta"]["pagination"]["total"], 7);
        for message in page.data().as_array().unwrap() {
            seen.push(message["id"].as_str().unwrap().to_owned());
        }
        let pagination = &page.body["meta"]["pagination"];
        let Some(cursor) = pagination["cursor"].as_str() else {
            assert_eq!(pagination["has_more"], false);
            break;
        };
        assert_eq!(pagination["has_more"], true);
        path = format!("/v1/messages?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_owner_and_list_only() {
    let world = World::new().await;
    sent(&world, 2).await;
    let page = world.get("/v1/messages?limit=1").await;
    let cursor = page.body["meta"]["pagination"]["cursor"].as_str().unwrap().to_owned();
    let stranger = world.stranger(false).await;
    let stolen = world.get_as(&stranger, &format!("/v1/messages?cursor={cursor}")).await;
    assert_eq!((stolen.status, stolen.code()), (400, "INVALID_CURSOR"));
    let misused = world.get(&format!("/v1/billing/transactions?cursor={cursor}")).await;
    assert_eq!(misused.code(), "INVALID_CURSOR");
    assert_eq!(world.get("/v1/messages?cursor=x").await.code(), "INVALID_CURSOR");
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let world = World::new().await;
    sent(&world, 3).await;
    let count = async |query: &str| {
        let answer = world.get(&format!("/v1/messages?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.data().as_array().unwrap().len()
    };
    assert_eq!(count("to=%2B14155550001").await, 1);
    assert_eq!(count("from=Shop&status=queued&direction=outbound&channel=sms").await, 3);
    assert_eq!(count("direction=inbound").await, 0);
    assert_eq!(count("status=delivered").await, 0);
    assert_eq!(count("status=sending").await, 0);
    assert_eq!(count("channel=whatsapp").await, 0);
    assert_eq!(count("created_after=2020-01-01T00:00:00Z").await, 3);
    assert_eq!(count("created_before=2020-01-01T00:00:00Z").await, 0);
    assert_eq!(count("unknown=1").await, 3);
    for bad in [
        "status=lost",
        "direction=up",
        "channel=pigeon",
        "created_after=soon",
        "batch_id=1",
        "limit=0",
        "limit=201",
        "to=%00",
    ] {
        let answer = world.get(&format!("/v1/messages?{bad}")).await;
        assert_eq!((answer.status, answer.code()), (400, "VALIDATION_ERROR"), "{bad}");
    }
}

#[tokio::test]
async fn a_message_is_shown_whole_and_with_its_story() {
    let world = World::new().await;
    let body = json!({"to": "+14155550123", "body": "héllo €", "category": "otp",
        "metadata": {"order": "7"}});
    let id = world.post("/v1/messages/sms", &body).await.data()["id"].clone();
    let id = id.as_str().unwrap();
    let shown = world.get(&format!("/v1/messages/{id}")).await;
    let message = shown.data();
    assert_eq!(message["body"], "héllo €");
    assert_eq!(message["metadata"], json!({"order": "7"}));
    assert_eq!((&message["category"], &message["encoding"]), (&json!("otp"), &json!("gsm7")));
    assert_eq!(message["price"], json!({"amount": "0.007900", "currency": "USD"}));
    assert_eq!((&message["mccmnc"], &message["carrier_id"]), (&json!("310260"), &json!("main")));
    assert_eq!(message["message_id"], id);
    for absent in ["external_id", "provider_id", "sent_at", "delivered_at", "batch_id"] {
        assert!(message[absent].is_null() && message.get(absent).is_some(), "{absent}");
    }
    let story = world.get(&format!("/v1/messages/{id}/events")).await;
    assert_eq!(story.data()[0]["type"], "message.created");
    assert_eq!(story.data()[0]["route"], "platform_carrier_prefix");
    assert_eq!(story.data()[0]["source"], "api");
}

#[tokio::test]
async fn money_is_shown_in_cents_and_micros_and_every_movement_listed() {
    let world = World::new().await;
    let ids = sent(&world, 2).await;
    let balance = world.get("/v1/billing/balance").await;
    assert_eq!(
        *balance.data(),
        json!({"balance": 998, "balance_micros": 9_984_200, "held": 1, "held_micros": 15_800,
            "currency": "USD", "outbound_paused": false})
    );
    let list = world.get("/v1/billing/transactions?limit=2").await;
    assert_eq!(list.data()[0]["type"], "hold");
    assert_eq!(list.data()[0]["message_id"], json!(ids[1]));
    assert_eq!(list.data()[0]["balance_change_micros"], -7_900);
    let cursor = list.body["meta"]["pagination"]["cursor"].as_str().unwrap().to_owned();
    let rest = world.get(&format!("/v1/billing/transactions?cursor={cursor}")).await;
    assert_eq!(rest.data()[0]["type"], "top_up");
    assert_eq!(rest.body["meta"]["pagination"]["has_more"], false);
}

#[tokio::test]
async fn a_stranger_finds_nothing_of_mine() {
    let world = World::new().await;
    let id = sent(&world, 1).await.remove(0);
    let stranger = world.stranger(false).await;
    for path in [format!("/v1/messages/{id}"), format!("/v1/messages/{id}/events")] {
        let answer = world.get_as(&stranger, &path).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"));
    }
    let list = world.get_as(&stranger, "/v1/messages").await;
    assert_eq!(list.body["meta"]["pagination"]["total"], 0);
    let balance = world.get_as(&stranger, "/v1/billing/balance").await;
    assert_eq!(balance.data()["held_micros"], 0);
    for odd in ["msg_1", "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00", "%00", "..%2f"] {
        assert_eq!(world.get(&format!("/v1/messages/{odd}")).await.status, 404, "{odd}");
    }
}

#[tokio::test]
async fn operators_read_without_a_key() {
    let world = World::new().await;
    let open = async |path: &str| world.call(Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(open("/livez").await.status, 200);
    let ready = open("/readyz").await;
    assert_eq!((ready.status, &ready.body["ready"]), (200, &json!(true)));
    assert_eq!(open("/metrics").await.body, json!("orbit_up 1\n"));
    assert_eq!(open("/openapi.json").await.body["openapi"], "3.1.0");
    let docs = open("/docs").await;
    assert!(docs.header("content-security-policy").contains("default-src 'none'"));
    let page = open("/docs/errors/NO_ROUTE").await;
    assert!(page.body.as_str().unwrap().starts_with("# NO_ROUTE"));
    assert_eq!(open("/docs/errors/NOPE").await.status, 404);
    world.handle.drain();
    let ready = open("/readyz").await;
    assert_eq!((ready.status, &ready.body["not_ready"]), (503, &json!(["writer"])));
    assert_eq!(world.post("/v1/messages/sms", &sms()).await.code(), "SERVICE_UNAVAILABLE");
    world.store.close().await;
}
