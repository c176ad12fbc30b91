//! `/voice`: calls, records and ladders as their organization reads them, and nobody else.

use model::carrier::MessageKey;
use model::message::Direction;
use model::submission::Credential;
use model::voice::{
    CallStatus, EndReason, Facts, HangupBy, LadderMessage, Leg, LegKind, Quality, Rated, Tariff,
    pack,
};
use store::lane::{CallChange, CallDone, Closing, NewCall, Opened, Progress};

use super::*;

const TARIFF: Tariff =
    Tariff { per_minute: 12_000, initial_s: 60, increment_s: 60, connect_fee: 0 };
const SECOND: i64 = 1_000_000;

fn text(id: PublicId) -> String {
    id.show(model::id::Kind::Call)
}

impl World {
    async fn opened(&self, organization: OrgId, to: &str) -> (PublicId, MessageKey) {
        let id = PublicId::new(At::now());
        let call = NewCall {
            id,
            organization,
            credential: Credential::Switch,
            idempotency: None,
            direction: Direction::Outbound,
            from: Some(String::from("+14155550100")),
            to: to.to_owned(),
            dials: Vec::new(),
            test: false,
            rated: Rated { prefix: String::from("1"), tariff: TARIFF },
            transport: None,
            facts: Facts { agent_id: Some(String::from("agt_1")), ..Facts::default() },
            mask: None,
            legs: Vec::new(),
            metadata: Some(String::from("{\"order\":\"7\"}")),
        };
        match self.handle.open_call(call).await.unwrap() {
            Opened::Fresh { key, .. } => (id, key),
            other @ Opened::Replayed { .. } => panic!("{other:?}"),
        }
    }

    /// A call that was answered; its leg.
    pub(super) async fn answered(&self, to: &str) -> (PublicId, MessageKey, Leg) {
        let (id, key) = self.opened(self.organization, to).await;
        let at = At::now();
        let leg = Leg::new(PublicId::new(at), LegKind::Pstn, Direction::Outbound, to, at);
        let quality = Quality { mos: 441, jitter_us: 1_500, loss_ppm: 2_500, rtt_us: 40_000 };
        let leg = Leg {
            from: Some(String::from("=+14155550100")),
            prefix: String::from("1"),
            tariff: TARIFF,
            codec: Some(String::from("PCMU")),
            answered_at: Some(at),
            quality: Some(quality),
            ..leg
        };
        let progress = Progress {
            key,
            at,
            status: Some(CallStatus::InProgress),
            legs: Some(vec![leg.clone()]),
            transport: Some(model::voice::Transport::Sbc),
            facts: None,
        };
        let done = self.handle.change_call(CallChange::Progress(Box::new(progress))).await;
        assert_eq!(done.unwrap(), CallDone::Noted(true));
        (id, key, leg)
    }

    async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.post_with(path, body.to_string(), &[("x-api-key", key)]).await
    }

    async fn ended(&self, key: MessageKey, leg: Leg, seconds: i64) {
        let at = At(leg.answered_at.unwrap().0 + seconds * SECOND);
        let message = |inbound, line: &str| LadderMessage {
            at,
            inbound,
            flow: String::from("udp 192.0.2.7:5060"),
            octets: format!("{line}\r\nCSeq: 1 INVITE\r\n\r\n").into_bytes(),
            cut: false,
        };
        let ladder = [message(true, "INVITE sip:a@b SIP/2.0"), message(false, "SIP/2.0 200 OK")];
        let closing = Closing {
            key,
            at,
            reason: EndReason::Normal,
            sip_code: None,
            q850: None,
            by: HangupBy::Callee,
            legs: vec![leg],
            facts: None,
            ladder: Some(pack(&ladder)),
        };
        let done = self.handle.change_call(CallChange::Close(Box::new(closing))).await.unwrap();
        assert!(matches!(done, CallDone::Closed(Some(_))), "{done:?}");
    }
}

#[tokio::test]
async fn a_call_is_shown_as_it_goes_on() {
    let world = World::new().await;
    let (id, key, leg) = world.answered("+14155550123").await;
    let path = format!("/v1/voice/calls/{}", text(id));
    let live = world.get(&path).await;
    let data = live.data();
    assert_eq!((live.status, &data["status"]), (200, &json!("in_progress")));
    assert_eq!((&data["cost"], &data["held_micros"]), (&Value::Null, &json!(24_000)));
    assert_eq!(data["legs"][0]["status"], "in_progress");
    assert_eq!((&data["quality"]["mos"], &data["agent_id"]), (&json!(4.41), &json!("agt_1")));
    assert_eq!((&data["metadata"]["order"], &data["transport"]), (&json!("7"), &json!("sbc")));
    world.ended(key, leg, 61).await;
    let over = world.get(&path).await;
    let data = over.data();
    assert_eq!((&data["status"], &data["hangup_by"]), (&json!("completed"), &json!("callee")));
    assert_eq!((&data["cost"], &data["cost_micros"]), (&json!("0.024000"), &json!(24_000)));
    assert_eq!((&data["duration_seconds"], &data["billable_seconds"]), (&json!(61), &json!(120)));
    assert_eq!((&data["end_reason"], &data["q850_cause"]), (&json!("normal"), &json!(16)));
    assert_eq!(
        (&data["legs"][0]["codec"], &data["legs"][0]["status"]),
        (&json!("PCMU"), &json!("completed"))
    );
    let events = world.get(&format!("{path}/events")).await;
    let kinds: Vec<&str> =
        events.data().as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(kinds, ["call.initiated", "call.answered", "call.completed"]);
    assert_eq!(events.data()[2]["data"]["cost"], "0.024000");
    let by_resource = world.get(&format!("/v1/events?resource_id={}", text(id))).await;
    assert_eq!(by_resource.data().as_array().unwrap().len(), 3);
    assert_eq!(by_resource.data()[0]["sequence"], 3);
    let moved = world.get("/v1/billing/transactions").await;
    assert_eq!(moved.data()[0]["call_id"], json!(text(id)));
}

#[tokio::test]
async fn lists_are_narrowed_and_continued() {
    let world = World::new().await;
    for n in 0..5 {
        world.opened(world.organization, &format!("+1415555010{n}")).await;
    }
    let (_, key, leg) = world.answered("+14155550123").await;
    world.ended(key, leg, 1).await;
    let count = async |query: &str| {
        let answer = world.get(&format!("/v1/voice/calls{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.data().as_array().unwrap().len()
    };
    assert_eq!(count("").await, 6);
    assert_eq!(count("?status=initiating").await, 5);
    assert_eq!(count("?status=completed&direction=outbound").await, 1);
    assert_eq!(count("?direction=inbound").await, 0);
    assert_eq!(count("?to=%2B14155550102").await, 1);
    assert_eq!(count("?from=%2B14155550100").await, 6);
    assert_eq!(count("?created_before=2020-01-01T00:00:00Z").await, 0);
    assert_eq!(count("?created_after=2020-01-01T00:00:00Z").await, 6);
    for bad in ["?status=lost", "?direction=up", "?created_after=soon", "?cursor=x", "?limit=0"] {
        assert_eq!(world.get(&format!("/v1/voice/calls{bad}")).await.status, 400, "{bad}");
    }
    let mut seen = Vec::new();
    let mut path = String::from("/v1/voice/calls?limit=4");
    loop {
        let page = world.get(&path).await;
        seen.extend(page.data().as_array().unwrap().iter().map(|call| call["id"].clone()));
        let Some(cursor) = page.body["meta"]["pagination"]["cursor"].as_str() else { break };
        path = format!("/v1/voice/calls?limit=4&cursor={cursor}");
    }
    let distinct: std::collections::HashSet<String> = seen.iter().map(Value::to_string).collect();
    assert_eq!((seen.len(), distinct.len()), (6, 6));
}

#[tokio::test]
async fn records_are_listed_and_filed() {
    let world = World::new().await;
    for n in 0..3 {
        let (_, key, leg) = world.answered(&format!("+1415555012{n}")).await;
        world.ended(key, leg, 61).await;
    }
    let list = world.get("/v1/voice/cdrs?limit=2").await;
    assert_eq!(list.data().as_array().unwrap().len(), 2);
    let record = &list.data()[0];
    assert_eq!((&record["to"], &record["cost"]), (&json!("+14155550122"), &json!("0.024000")));
    assert_eq!((&record["increments"], &record["country"]), (&json!("60/60"), &json!("US")));
    assert_eq!((&record["mos"], &record["agent_id"]), (&json!(4.41), &json!("agt_1")));
    let call = record["call_id"].as_str().unwrap();
    let own = world.get(&format!("/v1/voice/cdrs?call_id={call}")).await;
    assert_eq!(own.data().as_array().unwrap().len(), 1);
    let file = world.get("/v1/voice/cdrs/export?ended_before=2100-01-01T00:00:00Z&ended_after=2099-12-20T00:00:00Z").await;
    assert_eq!((file.status, file.header("x-row-count")), (200, "0"));
    let soon = At(At::now().0 + 3_600 * SECOND).iso();
    let file = world.get(&format!("/v1/voice/cdrs/export?ended_before={soon}")).await;
    assert_eq!((file.header("x-row-count"), file.header("x-truncated")), ("3", "false"));
    assert_eq!(file.header("x-truncated-at"), "");
    assert!(file.header("content-disposition").contains("cdrs-20"));
    let text = file.body.as_str().unwrap();
    assert_eq!(text.lines().count(), 4);
    assert!(text.starts_with("cdr_id,call_id,leg_id,direction,"), "{text}");
    assert!(text.contains("'=+14155550100") && text.contains(",+14155550122,"), "{text}");
    let long =
        "/v1/voice/cdrs/export?ended_after=2020-01-01T00:00:00Z&ended_before=2020-02-02T00:00:00Z";
    assert_eq!(world.get(long).await.status, 400);
    assert_eq!(world.get("/v1/voice/cdrs?call_id=call_1").await.status, 400);
}

#[tokio::test]
async fn a_ladder_is_json_text_or_a_picture() {
    let world = World::new().await;
    let (id, key, leg) = world.answered("+14155550123").await;
    let path = format!("/v1/voice/calls/{}/ladder", text(id));
    assert_eq!(world.get(&path).await.data()["messages"], json!([]));
    world.ended(key, leg, 1).await;
    let ladder = world.get(&path).await;
    let messages = ladder.data()["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["title"]), (2, &json!("INVITE")));
    assert_eq!(
        (&messages[1]["direction"], &messages[1]["cseq"]),
        (&json!("out"), &json!("1 INVITE"))
    );
    let picture = world.get(&format!("{path}?format=svg")).await;
    assert_eq!(picture.header("content-type"), "image/svg+xml");
    assert!(picture.header("content-security-policy").contains("default-src 'none'"));
    assert!(picture.body.as_str().unwrap().contains(">200 OK<"));
    let request =
        Request::get(&path).header("x-api-key", &world.key).header("accept", "text/plain");
    let answer = world.call(request.body(Body::empty()).unwrap()).await;
    assert!(answer.body.as_str().unwrap().contains("<- udp 192.0.2.7:5060\nINVITE sip:a@b"));
    assert_eq!(world.get(&format!("{path}?format=png")).await.status, 400);
}

#[tokio::test]
async fn calls_are_nobody_elses_and_need_their_scope() {
    let world = World::new().await;
    let (id, key, leg) = world.answered("+14155550123").await;
    world.ended(key, leg, 1).await;
    let stranger = world.stranger(false).await;
    let path = format!("/v1/voice/calls/{}", text(id));
    for path in [path.clone(), format!("{path}/events"), format!("{path}/ladder?format=svg")] {
        assert_eq!(world.get_as(&stranger, &path).await.status, 404, "{path}");
    }
    let lists =
        ["/v1/voice/calls", "/v1/voice/cdrs", &format!("/v1/voice/cdrs?call_id={}", text(id))];
    for path in lists {
        assert_eq!(world.get_as(&stranger, path).await.data(), &json!([]), "{path}");
    }
    let soon = At(At::now().0 + 3_600 * SECOND).iso();
    let file = format!("/v1/voice/cdrs/export?ended_before={soon}");
    assert_eq!(world.get_as(&stranger, &file).await.header("x-row-count"), "0");
    assert_eq!(
        world.get_as(&world.key(Mode::Live, "voice:read").await, &file).await.header("x-row-count"),
        "1"
    );
    let events = world.get_as(&stranger, &format!("/v1/events?resource_id={}", text(id))).await;
    assert_eq!(events.data(), &json!([]));
    let other = world.key(Mode::Live, "messages:read").await;
    for path in ["/v1/voice/calls", "/v1/voice/cdrs", "/v1/voice/cdrs/export", &path] {
        assert_eq!(world.get_as(&other, path).await.status, 403, "{path}");
    }
    assert_eq!(world.get("/v1/voice/calls/call_1").await.status, 404);
}

#[tokio::test]
async fn who_may_not_and_what_is_over_changes_no_call() {
    let world = World::new().await;
    let (id, key, leg) = world.answered("+14155550123").await;
    let path = |what: &str| format!("/v1/voice/calls/{}/{what}", text(id));
    let readers = world.key(Mode::Live, "voice:read").await;
    let testers = world.key(Mode::Test, "voice:write").await;
    let stranger = world.stranger(false).await;
    let none = Value::Null;
    for (who, status) in [(&readers, 403), (&testers, 403), (&stranger, 404)] {
        assert_eq!(world.post_as(who, &path("hangup"), &none).await.status, status);
        assert_eq!(world.post_as(who, &path("mute"), &json!({})).await.status, status);
        let digits = json!({"digits": "1"});
        assert_eq!(world.post_as(who, &path("dtmf"), &digits).await.status, status);
    }
    // Nobody holds it here.
    let tell = async |what: &str, body: Value| world.post(&path(what), &body).await;
    assert_eq!(tell("hangup", json!({})).await.status, 503);
    assert_eq!(tell("dtmf", json!({"digits": "1"})).await.status, 409);
    for bad in [
        json!({}),
        json!({"digits": ""}),
        json!({"digits": "12x"}),
        json!({"digits": "1".repeat(65)}),
        json!({"digits": "1", "duration_ms": 1}),
        json!({"digits": "1", "leg": "c"}),
    ] {
        let refused = tell("dtmf", bad.clone()).await;
        assert_eq!(refused.status, 422, "{bad}");
        assert!(!refused.body.to_string().contains("12x"));
    }
    world.ended(key, leg, 1).await;
    let over = tell("hangup", json!({})).await;
    assert_eq!((over.status, &over.data()["status"]), (200, &json!("completed")));
    assert_eq!(tell("mute", json!({})).await.status, 409);
    assert_eq!(tell("unmute", json!({"leg": "b"})).await.status, 409);
    assert_eq!(world.post("/v1/voice/calls/call_1/hangup", &none).await.status, 404);
}
