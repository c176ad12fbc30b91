//! STOP from a handset: confirmed, in force, and for good; and long messages, part by part.

use std::time::Duration;

use load_tests::peer::smsc::wire::{self, DELIVER_SM, Deliver};
use model::clock::At;
use serde_json::json;

use crate::scripted::{Polite, Scripted, inbound};
use crate::world::{World, wait_until};

const OURS: &str = "14155550100";
const PERSON: &str = "14155550123";
const ANSWER: u32 = DELIVER_SM | wire::RESPONSE;

fn polite() -> Scripted {
    let mut polite = Polite::default();
    Scripted::start(move |pdu, out| polite.does(pdu, out))
}

fn says(carrier: &Scripted, sequence: u32, text: &str) {
    let mut out = Vec::new();
    inbound(&mut out, sequence, PERSON, OURS, text.as_bytes());
    carrier.inject(&out);
}

#[tokio::test]
async fn stop_is_confirmed_by_the_number_written_to_and_holds_until_start() {
    let carrier = polite();
    let mut world = World::new("stop");
    world.set("schedules.lead_min_s", "1");
    world.carrier("main", carrier.address, "");
    let org = world.org("Sender", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let offer = json!({"to": format!("+{PERSON}"), "from": format!("+{OURS}"), "body": "Offer"});
    let id = http.send(&offer).await;
    http.becomes(&id, "delivered").await;
    let mut later = offer.clone();
    later["scheduled_at"] = json!(At::now().plus(Duration::from_secs(3)).iso());
    let later = http.send(&later).await;

    says(&carrier, 500, "Stop!");
    carrier.sees(wire::SUBMIT_SM, 2).await;
    let confirmation = carrier.submits().pop().expect("a submit");
    let addresses = (confirmation.source.as_str(), confirmation.destination.as_str());
    assert_eq!(addresses, (OURS, PERSON));
    assert!(confirmation.text().contains("START"), "{}", confirmation.text());
    let refused = http.post("/api/v1/messages/sms", &offer).await;
    assert_eq!((refused.status, refused.code()), (422, "RECIPIENT_OPTED_OUT"));
    let batch = json!({"from": offer["from"], "body": "Offer", "recipients": [
        {"to": offer["to"]}, {"to": "+14155550188"}]});
    let sent = http.post("/api/v1/messages/batch", &batch).await;
    let results = &sent.data()["results"];
    assert_eq!(results[0]["error"]["code"], "RECIPIENT_OPTED_OUT", "{results}");
    carrier.sees(wire::SUBMIT_SM, 3).await;
    let shown = http.becomes(&later, "blocked").await;
    assert_eq!(shown["error_code"], "RECIPIENT_OPTED_OUT", "{shown}");

    world.kill();
    world.serve().await;
    world.bound("main", 1).await;
    let mut http = world.http(&org.key);
    let refused = http.post("/api/v1/messages/sms", &offer).await;
    assert_eq!(refused.code(), "RECIPIENT_OPTED_OUT", "a crash changes nothing");

    let answers = carrier.seen(ANSWER).len();
    says(&carrier, 501, "STOP");
    carrier.sees(ANSWER, answers + 1).await;
    says(&carrier, 502, "start");
    carrier.sees(wire::SUBMIT_SM, 4).await;
    let welcome = carrier.submits().pop().expect("a submit");
    assert!(welcome.text().contains("subscribed again"), "STOP is confirmed once: {welcome:?}");
    let id = http.send(&offer).await;
    http.becomes(&id, "delivered").await;
    assert_eq!(carrier.submits().len(), 5);
}

fn part(carrier: &Scripted, sequence: u32, (reference, total, number): (u8, u8, u8), text: &str) {
    let mut octets = vec![5, 0, 3, reference, total, number];
    octets.extend_from_slice(text.as_bytes());
    let address =
        |digits: &'static str| wire::Address { ton: 1, npi: 1, digits: digits.as_bytes() };
    let deliver = Deliver {
        source: address(PERSON),
        destination: address(OURS),
        esm_class: 0x40,
        text: &octets,
        tlvs: &[],
    };
    let mut out = Vec::new();
    wire::put_deliver(&mut out, sequence, &deliver);
    carrier.inject(&out);
}

#[tokio::test]
async fn parts_are_joined_across_a_crash_and_given_up_after_the_time_that_is_set() {
    let carrier = polite();
    let mut world = World::new("parts");
    let org = world.org("Reader", "10").await;
    world.carrier("main", carrier.address, &format!("organization = \"{}\"", org.id));
    world.serve().await;
    world.bound("main", 1).await;
    part(&carrier, 500, (7, 2, 2), "a crash");
    carrier.sees(ANSWER, 1).await;
    world.kill();
    world.serve().await;
    world.bound("main", 1).await;
    let mut http = world.http(&org.key);
    assert_eq!(http.count("direction=inbound").await, 0);
    let answers = carrier.seen(ANSWER).len();
    part(&carrier, 501, (7, 2, 1), "across ");
    carrier.sees(ANSWER, answers + 1).await;
    let rows = http.all("/api/v1/messages").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["body"], &rows[0]["segments"]), (&json!("across a crash"), &json!(2)));

    assert_eq!(world.terminate().await, Some(0));
    world.set("inbound.join_parts_s", "1");
    world.serve().await;
    world.bound("main", 1).await;
    part(&carrier, 502, (8, 3, 2), "alone");
    let mut http = world.http(&org.key);
    let came = wait_until(async || http.count("direction=inbound").await == 2).await;
    assert!(came, "what there is of it is delivered");
}
