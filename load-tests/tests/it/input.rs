//! What strangers send to the HTTP port: refusals with a code, never a panic.

use load_tests::peer::smsc::SmscOptions;
use load_tests::process::peak_memory_kb;
use serde_json::json;

use crate::carriers::smsc;
use crate::http::{Http, Reply};
use crate::world::World;

const PATH: &str = "/api/v1/messages/sms";
const GROWTH_MAX_KB: u64 = 50 * 1024;

/// It is an error in its envelope, with this code.
fn refused(what: &str, reply: &Reply, status: u16, code: &str) {
    let error = &reply.json["error"];
    assert_eq!((reply.status, reply.code()), (status, code), "{what}: {}", reply.text);
    assert_eq!(error["status"], status, "{what}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
    assert!(error["details"].is_object(), "{what}: {}", reply.text);
    let meta = &reply.json["meta"];
    let id = meta["request_id"].as_str();
    assert!(id.is_some() && id == reply.header("x-request-id"), "{what}: {}", reply.text);
    let page = meta["docs_url"].as_str().is_some_and(|url| url.ends_with(code));
    assert!(page, "{what}: {}", reply.text);
}

async fn world(name: &str) -> (World, Http) {
    let mut world = World::new(name);
    let carrier = smsc(SmscOptions::default());
    world.carrier("main", carrier.address, "");
    let org = world.org(name, "10").await;
    world.serve().await;
    let http = world.http(&org.key);
    (world, http)
}

#[tokio::test]
async fn bad_bodies_are_refused_by_code() {
    let (mut world, mut http) = world("bodies").await;
    let before = peak_memory_kb(world.pid());
    let good = r#""to":"+14155550123","from":"Orbit""#;
    let texts: [(&str, String, u16, &str); 18] = [
        ("nothing", String::new(), 400, "VALIDATION_ERROR"),
        ("broken", String::from("{\"to\":"), 400, "VALIDATION_ERROR"),
        ("no JSON", String::from("to=+14155550123"), 400, "VALIDATION_ERROR"),
        ("a list", String::from("[]"), 422, "VALIDATION_ERROR"),
        ("null", String::from("null"), 422, "VALIDATION_ERROR"),
        ("deep", "[".repeat(10_000), 400, "VALIDATION_ERROR"),
        (
            "deep within",
            format!("{{{good},\"body\":{}", "[".repeat(10_000)),
            400,
            "VALIDATION_ERROR",
        ),
        ("missing", format!("{{{good}}}"), 422, "MISSING_REQUIRED_FIELD"),
        ("a number", format!("{{{good},\"body\":7}}"), 422, "VALIDATION_ERROR"),
        ("an object", format!("{{{good},\"body\":{{}}}}"), 422, "VALIDATION_ERROR"),
        ("null text", format!("{{{good},\"body\":null}}"), 422, "MISSING_REQUIRED_FIELD"),
        ("U+0000", format!("{{{good},\"body\":\"a\\u0000b\"}}"), 422, "VALIDATION_ERROR"),
        ("half a pair", format!("{{{good},\"body\":\"\\ud800\"}}"), 400, "VALIDATION_ERROR"),
        ("empty", format!("{{{good},\"body\":\"\"}}"), 422, "MISSING_REQUIRED_FIELD"),
        (
            "too long",
            format!("{{{good},\"body\":\"{}\"}}", "x".repeat(1601)),
            422,
            "MESSAGE_TOO_LONG",
        ),
        (
            "category",
            format!("{{{good},\"body\":\"x\",\"category\":\"spam\"}}"),
            422,
            "VALIDATION_ERROR",
        ),
        (
            "no number",
            String::from(r#"{"to":"pizza","from":"Orbit","body":"x"}"#),
            422,
            "INVALID_PHONE_NUMBER",
        ),
        (
            "no sender",
            String::from(r#"{"to":"+14155550123","from":"!","body":"x"}"#),
            422,
            "INVALID_SENDER",
        ),
    ];
    for (what, body, status, code) in &texts {
        let headers = [("Content-Type", "application/json")];
        let reply = http.post_with(PATH, &headers, body.as_bytes()).await;
        refused(what, &reply, *status, code);
    }
    let octets = [b"{\"to\":\"".as_slice(), &[0xFF, 0xFE], b"\"}"].concat();
    refused("no UTF-8", &http.post_with(PATH, &[], &octets).await, 400, "VALIDATION_ERROR");
    let big = format!("{{{good},\"body\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let reply = http.post_with(PATH, &[], big.as_bytes()).await;
    refused("2 MiB", &reply, 413, "PAYLOAD_TOO_LARGE");
    let grown = peak_memory_kb(world.pid()).saturating_sub(before);
    assert!(grown < GROWTH_MAX_KB, "grown by {grown} kB");
    assert!(world.is_running());
    let lived = json!({"to": "+14155550123", "from": "Orbit", "body": "still here"});
    let id = http.send(&lived).await;
    assert_eq!(http.count("").await, 1, "{id} is the only one stored");
}

#[tokio::test]
async fn bad_heads_and_queries_are_refused_by_code() {
    let (mut world, mut http) = world("heads").await;
    let before = peak_memory_kb(world.pid());
    let body = br#"{"to":"+14155550123","from":"Orbit","body":"x"}"#;
    let text = http.post_with(PATH, &[("Content-Type", "text/plain")], body).await;
    refused("text", &text, 415, "UNSUPPORTED_MEDIA");
    let key = http.post_with(PATH, &[("Idempotency-Key", "short")], body).await;
    refused("a short key", &key, 400, "IDEMPOTENCY_KEY_INVALID");
    let nobody = http.post_with(PATH, &[("X-API-Key", "dv_live_sk_nobody")], body).await;
    refused("nobody's key", &nobody, 401, "INVALID_API_KEY");
    refused("no path", &http.get("/api/v1/nothing").await, 404, "NOT_FOUND");
    refused("no message", &http.get("/api/v1/messages/msg_1").await, 404, "NOT_FOUND");
    let request = http.request("DELETE", "/api/v1/messages", &[], b"");
    let reply = http.raw(&request).await.expect("an answer");
    refused("no method", &reply, 405, "METHOD_NOT_ALLOWED");
    assert!(reply.header("Allow").is_some_and(|list| list.contains("GET")), "{}", reply.head);
    for (query, code) in [
        ("limit=-1", "VALIDATION_ERROR"),
        ("limit=0", "VALIDATION_ERROR"),
        ("limit=201", "VALIDATION_ERROR"),
        ("limit=99999999999999999999", "VALIDATION_ERROR"),
        ("cursor=nonsense", "INVALID_CURSOR"),
        ("cursor=%00", "VALIDATION_ERROR"),
        ("cursor=%ff%fe", "INVALID_CURSOR"),
        ("status=happy", "VALIDATION_ERROR"),
        ("created_after=yesterday", "VALIDATION_ERROR"),
    ] {
        refused(query, &http.get(&format!("/api/v1/messages?{query}")).await, 400, code);
    }
    let id = "x".repeat(8_000);
    let reply = http.get(&format!("/api/v1/messages/{id}")).await;
    refused("a long path", &reply, 404, "NOT_FOUND");

    let over = http.request("GET", "/api/v1/messages", &[("X-Long", &"x".repeat(40_000))], b"");
    let reply = http.raw(&over).await.expect("an answer");
    refused("40 kB of head", &reply, 431, "HEADERS_TOO_LARGE");
    let most = "x".repeat(10 * 1024 * 1024);
    let over = http.request("GET", "/api/v1/messages", &[("X-Long", &most)], b"");
    if let Ok(reply) = http.raw(&over).await {
        assert_eq!(reply.status, 431, "{}", reply.text);
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\0\0\0\r\n\r\n",
        b"POST /api/v1/messages/sms HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/messages/sms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        if let Ok(reply) = world.http("").raw(garbage).await {
            assert!((400..506).contains(&reply.status), "{reply:?}");
        }
    }
    let grown = peak_memory_kb(world.pid()).saturating_sub(before);
    assert!(grown < GROWTH_MAX_KB, "grown by {grown} kB");
    assert!(world.is_running());
    http.text("+14155550123", "still here").await;
}
