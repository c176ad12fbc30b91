//! The same habits in customers' systems: what our own side of the wire makes of them.

use std::net::SocketAddr;

use load_tests::peer::smsc::wire::{
    self, Address, BIND_TRANSCEIVER, Deliver, Delivery, ENQUIRE_LINK, GENERIC_NACK, RESPONSE,
    SUBMIT_SM,
};
use serde_json::{Value, json};

use super::OURS;
use crate::esme::{self, Esme};
use crate::http::Http;
use crate::scripted::{Polite, Scripted};
use crate::world::World;

const ACCOUNTS: &str = "/api/v1/smpp/accounts";

struct Desk {
    world: World,
    carrier: Scripted,
    http: Http,
    password: String,
}

impl Desk {
    async fn start(name: &str) -> Self {
        let mut polite = Polite::default();
        let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
        let mut world = World::new(name);
        world.set("smpp.bind", "\"127.0.0.1:0\"");
        let org = world.org(name, "10").await;
        world.carrier("main", carrier.address, &format!("organization = \"{}\"", org.id));
        world.serve().await;
        world.bound("main", 1).await;
        let mut http = world.http(&org.key);
        let made = http.post(ACCOUNTS, &json!({"system_id": "odd"})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let password = made.data()["password"].as_str().expect("a password").to_owned();
        Self { world, carrier, http, password }
    }

    fn door(&self) -> SocketAddr {
        self.world.door()
    }

    async fn connect(&self) -> Esme {
        Esme::connect(self.door()).await
    }

    async fn bound(&self) -> Esme {
        Esme::bound(self.door(), "odd", &self.password).await
    }
}

fn bind(name: &str, password: &str, version: u8) -> Vec<u8> {
    esme::bind(BIND_TRANSCEIVER, name, password, version)
}

fn submit(sequence: u32, text: &str, registered: u8) -> Vec<u8> {
    esme::Submit { text: text.as_bytes(), registered, ..esme::Submit::default() }.octets(sequence)
}

#[tokio::test]
async fn garbage_at_the_door_is_nacked_and_shut_out_and_no_other_bind_notices() {
    let desk = Desk::start("odd-garbage").await;
    let mut good = desk.bound().await;
    let length = |length: u32| {
        let mut out = Vec::new();
        wire::put(&mut out, ENQUIRE_LINK, wire::OK, 7, |_| {});
        out[..4].copy_from_slice(&length.to_be_bytes());
        out
    };
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on".to_vec(),
        length(0),
        length(15),
        length(1 << 31),
    ] {
        let mut esme = desk.connect().await;
        esme.write(&garbage).await;
        let (nack, _) = esme.next().await.expect("a nack");
        assert_eq!((nack.command, nack.status), (GENERIC_NACK, wire::INVALID_LENGTH));
        assert!(esme.next().await.is_none(), "{garbage:?}");
        good.answers_enquire_link().await;
    }
    // The end of a line before the bind is no garbage.
    let mut greeting = b"\r\n".to_vec();
    greeting.extend(bind("odd", &desk.password, 0x34));
    let mut esme = desk.connect().await;
    esme.write(&greeting).await;
    let (header, _) = esme.next().await.expect("an answer");
    assert_eq!(header.status, wire::OK);
}

#[tokio::test]
async fn a_bind_and_its_traffic_may_share_a_segment_or_have_one_for_each_octet() {
    let mut desk = Desk::start("odd-segments").await;
    for one_by_one in [false, true] {
        let mut stream = bind("odd", &desk.password, 0x34);
        stream.extend(submit(0, "first", 0));
        stream.extend(submit(0x7FFF_FFFF, "second", 0));
        stream.extend(submit(0x8000_0000, "third", 0));
        stream.extend(submit(u32::MAX, "fourth", 0));
        stream.extend(submit(u32::MAX, "fifth", 0));
        let mut esme = desk.connect().await;
        if one_by_one {
            for octet in &stream {
                esme.write(&[*octet]).await;
            }
        } else {
            esme.write(&stream).await;
        }
        let mut answered = Vec::new();
        while answered.len() < 6 {
            let (header, _) = esme.next().await.expect("an answer");
            assert_eq!(header.status, wire::OK, "{header:?}");
            answered.push(header.sequence);
        }
        answered[1..].sort_unstable();
        assert_eq!(answered, [1, 0, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, u32::MAX]);
    }
    assert_eq!(desk.http.count("direction=outbound").await, 10, "each was taken once");
}

#[tokio::test]
async fn names_and_versions_of_all_kinds_are_told_apart() {
    let desk = Desk::start("odd-names").await;
    let long = "x".repeat(40);
    for (name, password, version, status) in [
        (long.as_str(), desk.password.as_str(), 0x34, wire::INVALID_SYSTEM_ID),
        ("odd", long.as_str(), 0x34, wire::INVALID_PASSWORD),
        ("", "", 0x34, wire::INVALID_SYSTEM_ID),
        ("odd", desk.password.as_str(), 0x00, wire::OK),
        ("odd", desk.password.as_str(), 0x33, wire::OK),
        ("odd", desk.password.as_str(), 0x50, wire::OK),
        ("odd", desk.password.as_str(), 0xFF, wire::OK),
    ] {
        let mut esme = desk.connect().await;
        esme.write(&bind(name, password, version)).await;
        let (header, body) = esme.next().await.expect("an answer");
        assert_eq!(header.status, status, "{name} {version:#x}");
        let told = body.windows(2).any(|pair| pair == [0x02, 0x10]);
        assert_eq!(told, status == wire::OK && version >= 0x34, "{version:#x}: {body:?}");
    }
}

#[tokio::test]
async fn a_receipt_that_the_carrier_sent_unasked_is_not_passed_on() {
    let mut desk = Desk::start("odd-unasked").await;
    let mut esme = desk.bound().await;
    esme.write(&submit(2, "no receipt please", 0)).await;
    let (header, _) = esme.next().await.expect("an answer");
    assert_eq!((header.command, header.status), (SUBMIT_SM | RESPONSE, wire::OK));
    let listed = desk.http.get("/api/v1/messages").await;
    let id = listed.data()[0]["id"].as_str().expect("an id").to_owned();
    desk.http.becomes(&id, "delivered").await;
    // One that is asked for comes behind it, and it is the first.
    esme.write(&submit(3, "a receipt please", 1)).await;
    let (_, body) = esme.brought().await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("a receipt please"), "{text}");
}

#[tokio::test]
async fn an_esme_that_reads_nothing_delays_no_other() {
    let mut desk = Desk::start("odd-deaf").await;
    let made = desk.http.post(ACCOUNTS, &json!({"system_id": "deaf"})).await;
    let password = made.data()["password"].as_str().expect("a password").to_owned();
    let mut deaf = desk.connect().await;
    deaf.write(&bind("deaf", &password, 0x34)).await;
    for sequence in 2..300 {
        deaf.write(&submit(sequence, "I do not listen", 1)).await;
    }
    let mut esme = desk.bound().await;
    for sequence in 2..22 {
        esme.write(&submit(sequence, "I do", 1)).await;
    }
    for _ in 0..20 {
        let (_, body) = esme.brought().await;
        assert!(String::from_utf8_lossy(&body).contains("stat:DELIVRD"));
    }
    drop(deaf);
    esme.answers_enquire_link().await;
}

/// The parts of an inbound message, as its customer is brought them.
fn text_of(body: &[u8]) -> (u8, Vec<u8>) {
    let submit = crate::scripted::Submit::parse(body);
    let header = if submit.esm_class & 0x40 == 0 { 0 } else { 1 + usize::from(submit.octets[0]) };
    (submit.esm_class, submit.octets[header..].to_vec())
}

#[tokio::test]
async fn inbound_messages_go_on_whole_however_long_and_octets_as_they_came() {
    let mut desk = Desk::start("odd-inbound").await;
    let mut esme = desk.bound().await;
    let to = Address { ton: 1, npi: 1, digits: OURS.as_bytes() };
    let from = Address { ton: 1, npi: 1, digits: b"14155550123" };
    let deliver = |text, tlvs| Deliver { source: from, destination: to, esm_class: 0, text, tlvs };
    let long: Vec<u8> = b"forty parts and more ".iter().copied().cycle().take(153 * 40).collect();
    let mut out = Vec::new();
    let payload = Delivery { payload: true, ..deliver(&long[..], &[][..]).into() };
    wire::put_delivery(&mut out, 900, &payload);
    desk.carrier.inject(&out);
    let mut parts = Vec::new();
    for _ in 0..40 {
        let (_, body) = esme.brought().await;
        let submit = crate::scripted::Submit::parse(&body);
        parts.push((submit.udh()[4], text_of(&body).1));
    }
    parts.sort();
    let joined: Vec<u8> = parts.into_iter().flat_map(|(_, text)| text).collect();
    assert_eq!(joined, long);

    let mut out = Vec::new();
    let tlvs: &[(u16, &[u8])] = &[(0x1401, b"vendor")];
    let mut binary: Delivery<'_> = deliver(&b"\0\x01\xfe\xff"[..], tlvs).into();
    binary.data_coding = 4;
    wire::put_delivery(&mut out, 901, &binary);
    desk.carrier.inject(&out);
    let (_, body) = esme.brought().await;
    let came = crate::scripted::Submit::parse(&body);
    assert_eq!((came.data_coding, &came.octets[..]), (4, &b"\0\x01\xfe\xff"[..]));
    assert_eq!(came.tlv(0x1401), Some(&b"vendor"[..]));
    let listed = desk.http.get("/api/v1/messages?direction=inbound").await;
    assert_eq!(listed.data()[0]["body"], Value::Null, "{}", listed.text);
}
