//! The end of the process, unasked and asked: nothing accepted is lost, nothing is paid twice.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use load_tests::peer::smsc::SmscOptions;
use load_tests::process::Scratch;
use serde_json::{Value, json};

use crate::carriers::smsc;
use crate::world::{World, program, signal, wait_until};

/// The crash scenario in its short form: three kills.
pub(crate) fn survives(store: &str) {
    let scratch = Scratch::new("crash-settings", false).expect("a folder");
    let more = scratch.file("more.toml");
    fs::write(&more, "[in_doubt]\nwait_s = 1\n[smpp]\nresponse_timeout_s = 2\n").expect("a file");
    let (more, program) = (more.display().to_string(), program().display().to_string());
    let words = ["crash", "--kills", "3", "--seed", "7", "--rate", "200", "--connections", "16"];
    let files = ["--orbit", &program, "--store", store, "--more-settings", &more];
    let bounds = ["--settle-s", "30", "--window", "50"];
    let result = load_tests::run_words(&[&words[..], &files, &bounds].concat());
    let report = result.expect("the scenario runs").expect("it has results");
    assert_eq!(report["passed"], true, "{report:#}");
    for none in ["lost", "charged_twice", "stuck", "created_twice", "mixed_up", "holds_open"] {
        assert_eq!(report[none], 0, "{none}: {report:#}");
    }
    let back = report["back_in_service_max_ms"].as_f64();
    assert!(back.is_some_and(|millis| millis < 5_000.0), "{report:#}");
    assert!(report["accepted"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn kills_under_load_lose_nothing() {
    survives("sqlite");
}

#[tokio::test]
async fn a_polite_end_under_load_leaves_nothing_in_doubt() {
    let carrier = smsc(SmscOptions { answer_delay_ms: 20, ..SmscOptions::default() });
    let mut world = World::new("sigterm");
    world.carrier("main", carrier.address, "window_size = 20");
    let org = world.org("Term", "1000").await;
    world.serve().await;
    world.bound("main", 1).await;
    let ended = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let (mut http, ended) = (world.http(&org.key), Arc::clone(&ended));
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for at in 0..20_000 {
                let to = format!("+14{task:02}{at:07}");
                let body = json!({"to": to, "from": "Orbit", "body": format!("s{task}-{at}")});
                let request =
                    http.request("POST", "/api/v1/messages/sms", &[], body.to_string().as_bytes());
                match http.raw(&request).await {
                    Ok(reply) if reply.status == 202 => ids.push(reply.id()),
                    Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.text),
                    Err(_) if ended.load(Ordering::Acquire) => return ids,
                    Err(_) => {}
                }
            }
            ids
        });
    }
    let busy = wait_until(async || carrier.stats().submits > 100).await;
    assert!(busy, "{:?}", carrier.stats());
    signal(world.pid());
    let code = world.ended().await;
    ended.store(true, Ordering::Release);
    assert_eq!(code, Some(0), "{}", world.last_words());
    let ids = tasks.join_all().await.concat();
    assert!(ids.len() >= 100, "{}", ids.len());
    assert_eq!(carrier.stats().unbinds, 1, "it says goodbye");
    assert!(!world.log().contains("the grace time ran out"), "{}", world.last_words());

    world.serve().await;
    let mut http = world.http(&org.key);
    for id in &ids {
        http.becomes(id, "delivered").await;
    }
    let stats = carrier.stats();
    assert_eq!(stats.duplicates, 0, "{stats:?}");
    assert!(stats.submits >= ids.len() as u64, "{stats:?}");
    assert_eq!(world.metric("orbit_in_doubt_total", "").await, 0.0);
    let listed = http.all("/api/v1/messages").await;
    let doubted = |message: &Value| message["attempts"].as_i64() != Some(0);
    let again: Vec<_> = listed.iter().filter(|message| doubted(message)).collect();
    assert!(again.is_empty(), "tried again: {again:?}");
}
