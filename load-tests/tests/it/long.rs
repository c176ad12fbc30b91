//! Long messages as a carrier sees them, in each of the four ways to mark their parts.

use load_tests::peer::smsc::wire::SUBMIT_SM;
use serde_json::{Value, json};

use crate::carriers::RATE;
use crate::http::Http;
use crate::scripted::{Polite, Scripted, Submit};
use crate::world::World;

fn polite() -> Scripted {
    let mut polite = Polite::default();
    Scripted::start(move |pdu, out| polite.does(pdu, out))
}

/// Sends a text by the carrier of a prefix and waits for its end.
async fn deliver(http: &mut Http, carrier: &Scripted, prefix: &str, body: &str) -> Sent {
    let before = carrier.submits().len();
    let to = format!("{prefix}5550123");
    let id = http.send(&json!({"to": to, "from": "Orbit", "body": body})).await;
    let message = http.becomes(&id, "delivered").await;
    let story = http.story(&id).await;
    let delivered = story.iter().filter(|(_, status)| status == "delivered").count();
    assert_eq!(delivered, 1, "one status for all parts: {story:?}");
    let parts = carrier.submits().split_off(before);
    assert!(parts.iter().all(|part| part.registered & 1 == 1), "a receipt is asked for");
    Sent { message, parts }
}

struct Sent {
    message: Value,
    parts: Vec<Submit>,
}

#[tokio::test]
async fn parts_carry_the_mark_their_carrier_wants() {
    let carriers = [polite(), polite(), polite(), polite()];
    let modes = ["udh8", "udh16", "sar_tlv", "message_payload"];
    let mut world = World::new("long");
    for (at, (carrier, mode)) in carriers.iter().zip(modes).enumerate() {
        let more = format!("prefixes = [\"1{at}\"]\nconcat = \"{mode}\"");
        world.carrier(mode, carrier.address, &more);
    }
    let org = world.org("Long", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let body = "0123456789".repeat(16) + "!";

    let sent = deliver(&mut http, &carriers[0], "+1020", &body).await;
    assert_eq!(sent.message["segments"], 2);
    assert_eq!(sent.parts.len(), 2);
    for (at, part) in (1_u8..).zip(&sent.parts) {
        let udh = part.udh();
        assert_eq!((udh.len(), &udh[..2]), (5, &[0x00, 0x03][..]), "{udh:?}");
        assert_eq!(udh[3..], [2, at], "two in all, and its number");
        assert_eq!(udh[2], sent.parts[0].udh()[2], "one reference");
        assert_eq!(part.data_coding, 0);
    }
    assert_eq!(sent.parts[0].text().len(), 153);
    assert_eq!(sent.parts[0].text() + &sent.parts[1].text(), body);

    let sent = deliver(&mut http, &carriers[1], "+1120", &body).await;
    assert_eq!((sent.message["segments"].clone(), sent.parts.len()), (json!(2), 2));
    for (at, part) in (1_u8..).zip(&sent.parts) {
        let udh = part.udh();
        assert_eq!((udh.len(), &udh[..2]), (6, &[0x08, 0x04][..]), "{udh:?}");
        assert_eq!(udh[4..], [2, at]);
        assert_eq!(udh[2..4], sent.parts[0].udh()[2..4]);
    }
    assert_eq!(sent.parts[0].text() + &sent.parts[1].text(), body);

    let sent = deliver(&mut http, &carriers[2], "+1220", &body).await;
    assert_eq!((sent.message["segments"].clone(), sent.parts.len()), (json!(2), 2));
    for (at, part) in (1_u8..).zip(&sent.parts) {
        assert!(part.udh().is_empty(), "{part:?}");
        assert_eq!(part.tlv(0x020C), sent.parts[0].tlv(0x020C));
        assert_eq!(part.tlv(0x020C).map(<[u8]>::len), Some(2));
        assert_eq!(part.tlv(0x020E), Some(&[2][..]));
        assert_eq!(part.tlv(0x020F), Some(&[at][..]));
    }
    assert_eq!(sent.parts[0].text() + &sent.parts[1].text(), body);

    let sent = deliver(&mut http, &carriers[3], "+1320", &body).await;
    assert_eq!((sent.message["segments"].clone(), sent.parts.len()), (json!(2), 1));
    assert!(sent.parts[0].udh().is_empty() && sent.parts[0].octets.is_empty());
    assert_eq!(sent.parts[0].text(), body);
    assert_eq!(http.balance().await, (10_000_000 - 8 * RATE, 0), "two parts each, however sent");
}

#[tokio::test]
async fn alphabets_and_their_borders_are_counted_right() {
    let carrier = polite();
    let mut world = World::new("alphabets");
    world.carrier("main", carrier.address, "");
    let org = world.org("Alphabets", "10").await;
    world.serve().await;
    let mut http = world.http(&org.key);
    let cases = [
        ("x".repeat(160), 1, 0),
        (format!("{}€", "x".repeat(158)), 1, 0),
        (format!("{}€", "x".repeat(159)), 2, 0),
        (format!("{}€{}", "x".repeat(152), "y".repeat(20)), 2, 0),
        ("ж".repeat(70), 1, 8),
        ("ж".repeat(71), 2, 8),
        (String::from("hello 👋"), 1, 8),
        (format!("{}👋{}", "ж".repeat(66), "ж".repeat(10)), 2, 8),
    ];
    let mut parts_in_all = 0;
    for (body, segments, data_coding) in cases {
        let sent = deliver(&mut http, &carrier, "+1415", &body).await;
        parts_in_all += i64::from(segments);
        assert_eq!(sent.message["segments"], segments, "{body}");
        assert_eq!(sent.parts.len(), usize::try_from(segments).expect("few"), "{body}");
        assert_eq!(sent.message["body"], body);
        assert!(sent.parts.iter().all(|part| part.data_coding == data_coding), "{body}");
        if data_coding == 8 {
            // Each part is whole UTF-16 by itself: no pair is cut.
            let texts: String = sent.parts.iter().map(Submit::text).collect();
            assert_eq!(texts, body);
        }
        for part in &sent.parts {
            let ends_in_escape = data_coding == 0 && part.octets.last() == Some(&0x1B);
            assert!(!ends_in_escape, "an escape is cut from its character: {body}");
        }
    }
    assert_eq!(carrier.seen(SUBMIT_SM).len(), usize::try_from(parts_in_all).expect("few"));
    assert_eq!(http.balance().await, (10_000_000 - parts_in_all * RATE, 0));
}
