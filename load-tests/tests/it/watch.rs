//! What an operator's machines see: readiness, a nearly full disk, the numbers.

use load_tests::peer::smsc::SmscOptions;
use serde_json::json;

use crate::carriers::{number, smsc};
use crate::scripted::{Next, Polite, Scripted};
use crate::world::{World, wait_until};

#[tokio::test]
async fn a_nearly_full_disk_refuses_sends_and_says_so() {
    let mut world = World::new("disk");
    let carrier = smsc(SmscOptions::default());
    world.carrier("main", carrier.address, "");
    world.set("data.low_disk_bytes", "9000000000000000000");
    let org = world.org("Disk", "1").await;
    world.start().await;
    let mut http = world.http(&org.key);
    let ready = wait_until(async || http.get("/readyz").await.text.contains("disk")).await;
    let reply = http.get("/readyz").await;
    assert!(ready, "{}", reply.text);
    assert_eq!((reply.status, &reply.json["ready"]), (503, &json!(false)), "{}", reply.text);
    let named = reply.json["not_ready"].as_array().expect("a list");
    assert!(!named.is_empty(), "{}", reply.text);
    let body = json!({"to": "+14155550123", "from": "Orbit", "body": "x"});
    let refused = http.post("/api/v1/messages/sms", &body).await;
    assert_eq!((refused.status, refused.code()), (503, "SERVICE_UNAVAILABLE"), "{}", refused.text);
    let wait = refused.header("Retry-After").and_then(|text| text.parse::<u32>().ok());
    assert!(wait.is_some_and(|seconds| seconds > 0), "{}", refused.head);
    assert_eq!(http.get("/livez").await.status, 200, "it lives");
    assert_eq!(http.count("").await, 0, "and is read");
}

#[tokio::test]
async fn the_numbers_are_there_by_name_and_by_carrier() {
    let mut polite = Polite::default();
    let mut silent = 1;
    let carrier = Scripted::start(move |pdu, out| {
        if pdu.header.command == load_tests::peer::smsc::wire::SUBMIT_SM && silent > 0 {
            silent -= 1;
            return Next::Go;
        }
        polite.does(pdu, out)
    });
    let mut world = World::new("numbers");
    world.carrier("main", carrier.address, "connections = 2");
    let org = world.org("Numbers", "1").await;
    world.serve().await;
    world.bound("main", 2).await;
    let mut http = world.http(&org.key);
    let first = http.text(&number(0), "lost at first").await;
    for at in 1..10 {
        let id = http.text(&number(at), "counted").await;
        http.becomes(&id, "delivered").await;
    }
    http.becomes(&first, "delivered").await;
    let bad = json!({"to": "pizza", "from": "Orbit", "body": "x"});
    http.post("/api/v1/messages/sms", &bad).await;
    let text = http.get("/metrics").await.text;
    for family in [
        "orbit_accepted_total",
        "orbit_accept_seconds",
        "orbit_refusals_total",
        "orbit_commit_seconds",
        "orbit_commit_items",
        "orbit_sync_seconds",
        "orbit_accept_permits_in_use",
        "orbit_binds_bound",
        "orbit_binds_configured",
        "orbit_bind_up",
        "orbit_window_in_use",
        "orbit_submits_total",
        "orbit_submit_responses_total",
        "orbit_receipts_total",
        "orbit_queue_depth",
        "orbit_queue_age_seconds",
        "orbit_in_flight",
        "orbit_in_doubt",
        "orbit_in_doubt_total",
        "orbit_restarts_total",
        "orbit_disk_free_bytes",
        "orbit_http_requests_total",
    ] {
        let line = format!("# TYPE {family} ");
        assert!(text.contains(&line), "no {family} in\n{text}");
    }
    let main = "carrier=\"main\"";
    let at_least = [
        ("orbit_accepted_total", "", 10.0),
        ("orbit_refusals_total", "code=\"INVALID_PHONE_NUMBER\"", 1.0),
        ("orbit_submits_total", main, 11.0),
        ("orbit_binds_bound", main, 1.0),
        ("orbit_binds_configured", main, 2.0),
        ("orbit_receipts_total", "", 10.0),
        ("orbit_in_doubt_total", "", 1.0),
        ("orbit_commit_seconds_count", "", 10.0),
    ];
    for (name, label, least) in at_least {
        let value = world.metric(name, label).await;
        assert!(value >= least, "{name}{{{label}}} is {value}");
    }
    let idle = wait_until(async || world.metric("orbit_queue_depth", main).await == 0.0).await;
    assert!(idle, "{}", world.metric("orbit_queue_depth", main).await);
    assert!(text.contains("orbit_queue_depth{carrier=\"main\"}"), "{text}");
    assert!(!text.contains(&org.key) && !text.contains(&org.id), "no tenant in a metric");
}

#[tokio::test]
async fn readiness_names_each_carrier_and_what_is_bound() {
    let mut world = World::new("ready");
    let carrier = smsc(SmscOptions::default());
    world.carrier("here", carrier.address, "prefixes = [\"1\"]");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = nobody.local_addr().expect("an address");
    drop(nobody);
    world.carrier("gone", gone, "prefixes = [\"44\"]");
    world.serve().await;
    world.bound("here", 1).await;
    let reply = world.http("").get("/readyz").await;
    assert_eq!(reply.status, 200, "a carrier that is away stops no accept: {}", reply.text);
    let parts = reply.json["parts"].as_array().expect("parts").clone();
    let detail = |name: &str| {
        let found = parts.iter().find(|part| part["name"] == name);
        found.and_then(|part| part["detail"].as_str()).unwrap_or_default().to_owned()
    };
    assert_eq!(detail("carrier here"), "1 of 1 bound");
    assert_eq!(detail("carrier gone"), "0 of 1 bound");
}
