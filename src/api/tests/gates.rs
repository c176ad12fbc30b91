//! Policies, lists, previews and senders over the API, and what they do to sends.

use std::time::Duration;

use actors::smpp::server::accounts::Accounts;
use model::refusal::Code;

use super::*;
use crate::admin::{self, Desk};

const SMS: &str = "/api/v1/messages/sms";
const POLICIES: &str = "/api/v1/compliance/policies";
const SENDERS: &str = "/api/v1/compliance/sender-id-registrations";

impl World {
    async fn set(&self, policy: Value) {
        let answer = self.ask("PUT", POLICIES, &policy).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
}

#[tokio::test]
async fn everything_is_off_until_a_policy_is_put() {
    let world = World::new().await;
    let answer = world.get(POLICIES).await;
    assert_eq!(answer.status, 200);
    let data = answer.data();
    for section in ["quiet_hours", "dnc", "rnd"] {
        assert_eq!(data[section]["enabled"], false, "{section}");
    }
    assert_eq!(data["unknown_consent"]["sms"], "allow");
    assert_eq!(data["sender_ids"]["require_approved"], false);
    assert_eq!(data["updated_at"], Value::Null);
    assert_eq!(data["quiet_hours"]["windows"]["sms"], json!({"start": "08:00", "end": "21:00"}));

    world.set(json!({"dnc": {"enabled": true}, "unknown_consent": {"voice": "refuse"}})).await;
    let data = world.get(POLICIES).await.data().clone();
    assert_eq!(
        (&data["dnc"]["enabled"], &data["unknown_consent"]["voice"]),
        (&json!(true), &json!("refuse"))
    );
    assert!(data["updated_at"].is_string());
    // It is replaced whole.
    world.set(json!({"rnd": {"enabled": true}, "surprise": 1})).await;
    let data = world.get(POLICIES).await.data().clone();
    assert_eq!((&data["dnc"]["enabled"], &data["rnd"]["enabled"]), (&json!(false), &json!(true)));
    let stranger = world.stranger(false).await;
    let theirs = world.get_as(&stranger, POLICIES).await;
    assert_eq!(theirs.data()["rnd"]["enabled"], false);
}

#[tokio::test]
async fn a_policy_with_faults_is_refused_by_path_and_changes_nothing() {
    let world = World::new().await;
    world.set(json!({"dnc": {"enabled": true}})).await;
    let bad = json!({
        "dnc": {"enabled": "yes"},
        "quiet_hours": {"windows": {"sms": {"start": "9", "end": "21:00"}}},
    });
    let answer = world.ask("PUT", POLICIES, &bad).await;
    assert_eq!((answer.status, answer.code()), (422, "VALIDATION_ERROR"));
    let errors = answer.body["error"]["details"]["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, ["quiet_hours.windows.sms", "dnc.enabled"]);
    let answer = world.ask("PUT", POLICIES, &json!({"rnd": 5})).await;
    assert_eq!(answer.body["error"]["details"]["field"], "rnd");
    assert_eq!(world.ask("PUT", POLICIES, &json!([])).await.status, 422);
    assert_eq!(world.get(POLICIES).await.data()["dnc"]["enabled"], true);
    let reader = world.key(Mode::Live, "compliance:read").await;
    assert_eq!(world.get_as(&reader, POLICIES).await.status, 200);
    let request = Request::put(POLICIES)
        .header("x-api-key", &reader)
        .header("content-type", "application/json")
        .body(Body::from("{}"));
    assert_eq!(world.call(request.unwrap()).await.code(), "INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn the_preview_reads_the_clock_of_a_number() {
    let world = World::new().await;
    let path = "/api/v1/compliance/quiet-hours/preview";
    // Iceland keeps UTC all year.
    let now = At::now();
    let opens = now.plus(Duration::from_secs(2 * 60 * 60));
    let closes = now.plus(Duration::from_secs(3 * 60 * 60));
    let window = json!({"start": &opens.iso()[11..16], "end": &closes.iso()[11..16]});
    world.set(json!({"quiet_hours": {"windows": {"sms": window}}})).await;
    let answer = world.get(&format!("{path}?phone=%2B3546112345")).await;
    let data = answer.data();
    assert_eq!(answer.status, 200);
    assert_eq!(data["allowed_now"], false);
    assert_eq!(data["reason"], "outside_window");
    assert_eq!(data["local_timezone"], "Atlantic/Reykjavik");
    assert_eq!(data["next_allowed_at"].as_str().unwrap()[..16], opens.iso()[..16]);
    assert_eq!(data["window_start_local"], window["start"]);
    assert_eq!((&data["channel"], &data["enforced"]), (&json!("sms"), &json!(false)));
    // A plus that was not escaped, another channel, a zone in the place of the number's.
    let answer = world.get(&format!("{path}?phone=+3546112345&channel=email")).await;
    assert_eq!(answer.data()["reason"], "exempt_channel");
    assert_eq!(answer.data()["allowed_now"], true);
    assert_eq!(answer.data()["window_start_local"], Value::Null);
    let moved = format!("{path}?phone=3546112345&timezone_override=Asia/Tokyo");
    assert_eq!(world.get(&moved).await.data()["local_timezone"], "Asia/Tokyo");
    for (query, status, code) in [
        ("", 422, "INVALID_PHONE_NUMBER"),
        ("?phone=12", 422, "INVALID_PHONE_NUMBER"),
        ("?phone=3546112345&channel=pigeon", 422, "INVALID_CHANNEL"),
        ("?phone=3546112345&timezone_override=Mars/Base", 400, "VALIDATION_ERROR"),
    ] {
        let answer = world.get(&format!("{path}{query}")).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn a_send_in_quiet_hours_is_refused_or_put_off() {
    let world = World::new().await;
    let opens = At::now().plus(Duration::from_secs(2 * 60 * 60));
    let closes = opens.plus(Duration::from_secs(60 * 60));
    // Arizona keeps its clock all year, seven hours behind.
    let local = |at: At| At(at.0 - 7 * 3_600_000_000).iso()[11..16].to_owned();
    let window = json!({"start": local(opens), "end": local(closes)});
    let policy = |policy: &str| {
        json!({"quiet_hours": {"enabled": true, "policy": policy,
        "countries": {"US": window}}})
    };
    let sms = json!({"to": "+14805550123", "body": "hello"});
    world.set(policy("reject")).await;
    let answer = world.post(SMS, &sms).await;
    assert_eq!((answer.status, answer.code()), (422, "QUIET_HOURS_BLOCKED"));
    let details = &answer.body["error"]["details"];
    assert_eq!(details["next_allowed_at"].as_str().unwrap()[..16], opens.iso()[..16]);
    assert_eq!(details["field"], "to");

    world.set(policy("defer")).await;
    let (before, key) = (world.balance().await, [("idempotency-key", "put-off-1")]);
    let answer = world.post_with(SMS, sms.to_string(), &key).await;
    assert_eq!((answer.status, &answer.data()["status"]), (202, &json!("scheduled")));
    assert_eq!(answer.data()["scheduled_at"].as_str().unwrap()[..16], opens.iso()[..16]);
    assert_eq!(world.balance().await, before);
    let again = world.post_with(SMS, sms.to_string(), &key).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data(), answer.data());
    let id = answer.data()["id"].as_str().unwrap();
    let stored = world.get(&format!("/v1/messages/{id}")).await;
    assert_eq!(stored.data()["status"], "scheduled");
}

#[tokio::test]
async fn the_list_of_the_unwanted_is_kept_asked_and_obeyed() {
    let world = World::new().await;
    let path = "/api/v1/compliance/dnc";
    let check = format!("{path}/check?phone=%2B14155550123");
    let off = world.get(&check).await;
    assert_eq!((off.status, off.code()), (403, "DNC_SYNC_NOT_ENABLED"));
    world.set(json!({"dnc": {"enabled": true}})).await;
    let data = world.get(&check).await.data().clone();
    assert_eq!(data["on_dnc"], false);
    assert_eq!((&data["source"], &data["federal_feeds_synced"]), (&Value::Null, &json!(false)));

    let one = json!({"phone": "+14155550123", "reason": "asked by telephone"});
    assert_eq!(world.post(path, &one).await.data()["count"], 1);
    let many: Vec<Value> = (0..3).map(|n| json!({"phone": format!("+1415555010{n}")})).collect();
    assert_eq!(world.post(path, &json!({"entries": many})).await.data()["count"], 3);
    let national = format!("{path}/check?phone=(415)%20555-0123&country=US");
    assert_eq!(world.get(&national).await.data()["source"], "org_list");
    let refused = world.post(SMS, &sms()).await;
    assert_eq!((refused.status, refused.code()), (422, "RECIPIENT_ON_DNC"));
    assert_eq!(refused.body["error"]["details"]["source"], "org_list");

    let page = world.get(&format!("{path}?limit=3")).await;
    assert_eq!(page.data().as_array().unwrap().len(), 3);
    let cursor = page.body["meta"]["pagination"]["cursor"].as_str().unwrap();
    let rest = world.get(&format!("{path}?limit=3&cursor={cursor}")).await;
    assert_eq!(rest.data()[0]["phone"], "+14155550123");
    assert_eq!(rest.data()[0]["reason"], "asked by telephone");
    assert_eq!(rest.body["meta"]["pagination"]["has_more"], false);
    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, path).await.data(), &json!([]));

    let removed = world.ask("DELETE", &format!("{path}?phone=%2B14155550123"), None).await;
    assert_eq!(removed.data()["count"], 1);
    assert_eq!(world.post(SMS, &sms()).await.status, 202);
    let phones = json!({"phones": ["+14155550100", "+14155550101", "+14155559999"]});
    assert_eq!(world.ask("DELETE", path, &phones).await.data()["count"], 2);
}

#[tokio::test]
async fn entries_with_faults_are_named_and_none_is_stored() {
    let world = World::new().await;
    let path = "/api/v1/compliance/dnc";
    let entries = json!({"entries": [
        {"phone": "+14155550123"}, {"phone": "12"}, {"phone": "+14155550124", "reason": 5}, 7,
    ]});
    let answer = world.post(path, &entries).await;
    assert_eq!(answer.status, 422);
    let errors = answer.body["error"]["details"]["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, ["entries[1].phone", "entries[2].reason", "entries[3].phone"]);
    assert_eq!(world.get(path).await.data(), &json!([]));
    assert_eq!(world.post(path, &json!({})).await.code(), "MISSING_REQUIRED_FIELD");
    for bad in [json!({"entries": []}), json!({"entries": vec![json!({}); 1_001]})] {
        let answer = world.post(path, &bad).await;
        assert_eq!(answer.body["error"]["details"]["field"], "entries");
    }
    let null = json!({"phone": "+14155550123", "reason": "a\0b"});
    assert_eq!(world.post(path, &null).await.status, 422);
}

#[tokio::test]
async fn a_number_given_back_is_told_by_the_day_of_consent() {
    let world = World::new().await;
    let path = "/api/v1/compliance/rnd";
    let check = |day: &str| format!("{path}/check?phone=%2B14155550123&consent_date={day}");
    let off = world.get(&check("2026-01-01")).await;
    assert_eq!((off.status, off.code()), (403, "RND_SCRUB_NOT_ENABLED"));
    assert_eq!(world.get(&check("yesterday")).await.status, 400);
    world.set(json!({"rnd": {"enabled": true}})).await;
    assert_eq!(world.get(&check("2026-01-01")).await.data()["status"], "no_data");
    let entry = json!({"phone": "+14155550123", "disconnected_on": "2026-01-31"});
    let import = format!("{path}/import");
    assert_eq!(world.post(&import, &json!({"entries": [entry]})).await.data()["count"], 1);
    for (day, status) in [
        ("2026-01-01", "permanently_disconnected"),
        ("2026-01-31", "permanently_disconnected"),
        ("2026-02-01", "active"),
    ] {
        assert_eq!(world.get(&check(day)).await.data()["status"], status, "{day}");
    }
    let refused = world.post(SMS, &sms()).await;
    assert_eq!(refused.code(), "RECIPIENT_ON_DNC");
    assert_eq!(refused.body["error"]["details"]["source"], "rnd");
    let gone = json!({"entries": [{"phone": "+14155550123", "disconnected_on": null}]});
    assert_eq!(world.post(&import, &gone).await.data()["count"], 1);
    assert_eq!(world.post(SMS, &sms()).await.status, 202);
    let bad = json!({"entries": [{"phone": "+14155550123", "disconnected_on": "2026-02-30"}]});
    let answer = world.post(&import, &bad).await;
    assert_eq!(answer.body["error"]["details"]["field"], "entries[0].disconnected_on");
}

#[tokio::test]
async fn a_sender_is_registered_approved_used_and_withdrawn() {
    let world = World::new().await;
    world.set(json!({"sender_ids": {"require_approved": true}})).await;
    let blocked = world.post(SMS, &sms()).await;
    assert_eq!((blocked.status, blocked.code()), (422, "SENDER_ID_NOT_APPROVED"));
    assert_eq!(blocked.body["error"]["details"]["country"], "US");
    let registration = json!({"sender_id": "Orbit", "use_case": "news", "countries": [
        {"country": "US", "document_refs": ["doc-1"], "notes": "trade mark"}, {"country": "GB"},
    ]});
    let made = world.post(SENDERS, &registration).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let data = made.data();
    let id = data["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sir_"));
    assert_eq!(data["countries"][0]["country"], "GB");
    assert_eq!(data["countries"][1]["status"], "pending");
    assert_eq!(data["countries"][1]["document_refs"], json!(["doc-1"]));
    let taken = world.post(SENDERS, &registration).await;
    assert_eq!((taken.status, taken.code()), (409, "CONFLICT"));
    assert_eq!(taken.body["error"]["details"]["countries"], json!(["US", "GB"]));

    let accounts = Accounts::new([7; 32], NEVER_SHUT);
    let (store, handle) = (world.store.clone(), world.handle.clone());
    let desk = Desk::new(store, handle, None, Default::default(), accounts);
    let waiting = desk.answer(admin::Request::Senders).await.unwrap();
    assert_eq!(waiting.as_array().unwrap().len(), 2);
    assert_eq!((&waiting[1]["id"], &waiting[1]["country"]), (&json!(id), &json!("US")));
    assert_eq!(waiting[1]["document_refs"], json!(["doc-1"]));
    let decide = |country: &str| admin::Request::DecideSender {
        id: id.clone(),
        country: country.to_owned(),
        approved: true,
        reason: Some(String::from("seen")),
    };
    assert_eq!(desk.answer(decide("US")).await.unwrap()["status"], "approved");
    assert_eq!(desk.answer(decide("FR")).await.unwrap_err().code, Code::NotFound);
    assert_eq!(desk.answer(decide("us")).await.unwrap_err().code, Code::ValidationError);
    assert_eq!(desk.answer(admin::Request::Senders).await.unwrap().as_array().unwrap().len(), 1);
    let one = world.get(&format!("{SENDERS}/{id}")).await;
    assert_eq!(one.data()["countries"][1]["status"], "approved");
    assert_eq!(one.data()["countries"][1]["reason"], "seen");
    assert_eq!(world.get(SENDERS).await.data()[0], *one.data());
    assert_eq!(world.post(SMS, &sms()).await.status, 202);

    let stranger = world.stranger(false).await;
    assert_eq!(world.get_as(&stranger, &format!("{SENDERS}/{id}")).await.status, 404);
    assert_eq!(world.get_as(&stranger, SENDERS).await.data(), &json!([]));
    let foreign = Request::delete(format!("{SENDERS}/{id}")).header("x-api-key", &stranger);
    assert_eq!(world.call(foreign.body(Body::empty()).unwrap()).await.status, 404);
    let gone = world.ask("DELETE", &format!("{SENDERS}/{id}"), None).await;
    assert_eq!((gone.status, &gone.data()["id"]), (200, &json!(id)));
    assert_eq!(world.post(SMS, &sms()).await.code(), "SENDER_ID_NOT_APPROVED");
    assert_eq!(world.get(&format!("{SENDERS}/{id}")).await.status, 404);
    assert_eq!(world.get(&format!("{SENDERS}/none")).await.status, 404);
}

#[tokio::test]
async fn a_registration_with_faults_is_refused_by_path() {
    let world = World::new().await;
    let bad = json!({"sender_id": "12345", "use_case": "x".repeat(501), "countries": [
        {"country": "gb"}, {"country": "DE"}, {"country": "DE"},
        {"country": "FR", "document_refs": "doc"}, {"country": "IT", "document_refs": [1]},
    ]});
    let answer = world.post(SENDERS, &bad).await;
    assert_eq!(answer.status, 422);
    let errors = answer.body["error"]["details"]["errors"].as_array().unwrap().clone();
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(
        fields,
        [
            "sender_id",
            "use_case",
            "countries[0].country",
            "countries[2].country",
            "countries[3].document_refs",
            "countries[4].document_refs[0]",
        ]
    );
    let none = world.post(SENDERS, &json!({"sender_id": "Orbit", "countries": []})).await;
    assert_eq!(none.body["error"]["details"]["field"], "countries");
    assert_eq!(world.get(SENDERS).await.data(), &json!([]));
}
