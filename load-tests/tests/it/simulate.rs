//! The carrier that ships in the program: a command line, a summary, and a switch bound to it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::world::{PASSWORD, World, run, signal, spawn, wait_until};

#[tokio::test]
async fn a_profile_is_tried_against_the_simulator_and_it_says_what_it_saw() {
    let mut world = World::new("simulate");
    let folder = world.scratch.path().to_owned();
    let words = ["simulate", "carrier", "--port", "0", "--system-id", "orbit", "--password"];
    let more = [PASSWORD, "--quirk", "id-zeros=padded", "--quirk", "11", "--mo", "50/s"];
    let last = ["--mo-count", "2", "--receipts", "all", "--seconds", "120"];
    let simulator = spawn(&folder, &[&words[..], &more, &last].concat(), "carrier");
    let said = || std::fs::read_to_string(folder.join("carrier.out")).unwrap_or_default();
    let mut address: Option<SocketAddr> = None;
    let up = wait_until(async || {
        address = said().lines().find_map(|line| line.strip_prefix("listening ")?.parse().ok());
        address.is_some()
    });
    assert!(up.await, "it does not listen: {}", said());
    let org = world.org("Tries", "10").await;
    let more = format!("organization = \"{}\"", org.id);
    world.carrier("main", address.expect("it listens"), &more);
    world.serve().await;
    let mut http = world.http(&org.key);
    for at in 0..3 {
        let id = http.text(&format!("+1415555010{at}"), "does it work").await;
        http.becomes(&id, "delivered").await;
    }
    let came = wait_until(async || http.count("direction=inbound").await == 2).await;
    assert!(came, "{}", said());
    // It says how it goes every half second, and the switch may be quicker.
    let log = || std::fs::read_to_string(folder.join("carrier.err")).unwrap_or_default();
    let spoke = wait_until(async || log().contains("binds 1") && log().contains("submits"));
    assert!(spoke.await, "{}", log());
    signal(simulator.0.id());
    let mut summary = Value::Null;
    let ended = wait_until(async || {
        summary =
            said().lines().last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or(Value::Null);
        summary.is_object()
    });
    assert!(ended.await, "no summary: {}", said());
    assert_eq!(summary["quirks"], json!(["id-zeros=padded", "no-counts"]), "{summary}");
    let saw = |name: &str| summary["saw"][name].as_u64();
    assert_eq!((saw("binds"), saw("submits"), saw("receipts_acked")), (Some(1), Some(3), Some(3)));
    assert_eq!((saw("mo_acked"), saw("malformed")), (Some(2), Some(0)), "{summary}");
}

#[tokio::test]
async fn the_development_switch_tries_a_carrier_of_a_settings_file() {
    let carrier = crate::carriers::smsc(load_tests::peer::smsc::SmscOptions::default());
    let mut world = World::new("dev-carrier");
    world.carrier("trial", carrier.address, "");
    let folder = world.scratch.path().to_owned();
    let config = folder.join("trial.toml");
    std::fs::write(&config, world.carriers()).expect("a file");
    let config = config.display().to_string();
    let free = "127.0.0.1:0";
    let words =
        ["dev", "--bind", free, "--smpp-bind", free, "--sip-bind", free, "--config", &config];
    let dev = spawn(&folder, &words, "dev");
    let said = || std::fs::read_to_string(folder.join("dev.out")).unwrap_or_default();
    let up = wait_until(async || said().contains("Messages show here")).await;
    assert!(up, "{}", said());
    assert!(!said().contains("offline"), "{}", said());
    let value = |name: &str| {
        let said = said();
        let line = said.lines().find_map(|line| line.trim().strip_prefix(name).map(str::to_owned));
        line.expect("it is said").trim().to_owned()
    };
    let at = value("REST").trim_start_matches("http://").replace("/api/v1", "");
    let mut http = crate::http::Http::new(at.parse().expect("an address"), &value("key "));
    let id = http.text("+14155550123", "through the carrier").await;
    let message = http.becomes(&id, "delivered").await;
    assert_eq!(message["carrier_id"], "trial", "{message}");
    assert_eq!(carrier.stats().submits, 1);
    drop(dev);
}

#[tokio::test]
async fn the_simulator_lists_its_habits_and_knows_no_others() {
    let world = World::new("habits");
    let listed = run(world.scratch.path(), &["simulate", "list", "--json"]).await.json();
    let numbers: Vec<u64> =
        listed.as_array().into_iter().flatten().filter_map(|row| row["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=50).collect::<Vec<u64>>());
    for wrong in ["nonsense", "id-zeros=wrong", "51"] {
        let words = ["simulate", "carrier", "--quirk", wrong, "--seconds", "1"];
        let said = run(world.scratch.path(), &words).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:?}");
        assert!(said.err.contains("simulate list") || said.err.contains("takes"), "{}", said.err);
    }
    let words = ["simulate", "carrier", "--port", "0", "--seconds", "1"];
    let said = run(world.scratch.path(), &words).await;
    let last = said.out.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    assert_eq!(last.map(|summary| summary["saw"]["submits"].clone()), Some(json!(0)), "{said:?}");
}
