//! What a carrier's socket can say: the bind survives or comes back, and traffic flows.

use load_tests::peer::smsc::wire::{self, BIND_TRANSCEIVER, GENERIC_NACK};
use load_tests::process::peak_memory_kb;

use crate::http::Http;
use crate::scripted::{Next, Pdu, Polite, Scripted};
use crate::world::{World, wait_until};

async fn world(name: &str, carrier: &Scripted) -> (World, Http) {
    let mut world = World::new(name);
    world.carrier("main", carrier.address, "");
    let org = world.org(name, "10").await;
    world.serve().await;
    world.bound("main", 1).await;
    let http = world.http(&org.key);
    (world, http)
}

/// Says each thing once, and sends a message after each.
async fn survives(name: &str, cases: Vec<(&str, Vec<u8>)>) {
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let (mut world, mut http) = world(name, &carrier).await;
    let before = peak_memory_kb(world.pid());
    for (at, (what, octets)) in cases.iter().enumerate() {
        let (nacks, binds) =
            (carrier.seen(GENERIC_NACK).len(), carrier.seen(BIND_TRANSCEIVER).len());
        carrier.inject(octets);
        let answered = wait_until(async || {
            carrier.seen(GENERIC_NACK).len() > nacks
                || carrier.seen(BIND_TRANSCEIVER).len() > binds
                || carrier
                    .seen(wire::DELIVER_SM | wire::RESPONSE)
                    .iter()
                    .any(|pdu| pdu.header.sequence == SEQUENCE + u32::try_from(at).expect("few"))
        });
        assert!(answered.await, "{what}: neither a nack nor a new bind\n{}", world.last_words());
        assert!(world.is_running(), "{what}: {}", world.last_words());
        let id = http.text("+14155550123", what).await;
        http.becomes(&id, "delivered").await;
    }
    let grown = peak_memory_kb(world.pid()).saturating_sub(before);
    assert!(grown < 50 * 1024, "grown by {grown} kB");
}

/// Of the first delivery; cases count up from it.
const SEQUENCE: u32 = 900;

fn header(length: u32, command: u32, sequence: u32) -> Vec<u8> {
    [length, command, 0, sequence].iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[tokio::test]
async fn lengths_that_no_pdu_has_end_in_a_nack_or_a_new_bind() {
    survives(
        "lengths",
        vec![
            ("4 GiB", header(u32::MAX, wire::DELIVER_SM, 900)),
            ("2 GiB", header(1 << 31, wire::DELIVER_SM, 901)),
            ("15", header(15, wire::ENQUIRE_LINK, 902)),
            ("0", header(0, wire::ENQUIRE_LINK, 903)),
        ],
    )
    .await;
}

#[tokio::test]
async fn other_protocols_on_the_bind_end_in_a_new_one() {
    survives(
        "protocols",
        vec![
            ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage garbage".to_vec()),
            ("ones", vec![0xFF; 4096]),
            ("a line", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n".to_vec()),
        ],
    )
    .await;
}

#[tokio::test]
async fn odd_pdus_are_answered_and_the_bind_lives() {
    let deliver = |sequence: u32, body: &[u8]| {
        let mut out = Vec::new();
        wire::put(&mut out, wire::DELIVER_SM, 0, sequence, |out| out.extend_from_slice(body));
        out
    };
    // service_type, two addresses, esm_class … sm_default_msg_id, sm_length.
    let head = [&b"\0\x01\x0114155550123\0\x01\x01Orbit\0"[..], &[0; 8]].concat();
    let with = |tail: &[u8]| [&head[..], tail].concat();
    survives(
        "odd",
        vec![
            ("an unknown command", header(16, 0x0000_0BAD, 900)),
            ("a TLV past the end", deliver(901, &with(b"\x02hi\x04\x24\xFF\xFFx"))),
            ("half a TLV's head", deliver(902, &with(b"\x02hi\x04\x24"))),
            ("a text past the end", deliver(903, &with(b"\xFEhi"))),
            ("no body", deliver(904, b"")),
            ("no NUL anywhere", deliver(905, &[b'x'; 300])),
            ("garbage", deliver(906, &(0..=255).collect::<Vec<u8>>())),
            (
                "a receipt of nothing",
                deliver(907, &{
                    let mut body = with(b"\0");
                    body[22] = 0x04;
                    body
                }),
            ),
        ],
    )
    .await;
}

/// A carrier whose first answers to a bind are these octets.
async fn binds_after(name: &str, octets: &'static [u8]) {
    let mut polite = Polite::default();
    let mut bad_binds = 2;
    let carrier = Scripted::start(move |pdu: &Pdu, out: &mut Vec<u8>| {
        if pdu.header.command == BIND_TRANSCEIVER && bad_binds > 0 {
            bad_binds -= 1;
            out.extend_from_slice(octets);
            return Next::Close;
        }
        polite.does(pdu, out)
    });
    let (_world, mut http) = world(name, &carrier).await;
    let id = http.text("+14155550123", "at last").await;
    http.becomes(&id, "delivered").await;
    assert_eq!(carrier.seen(BIND_TRANSCEIVER).len(), 3);
}

#[tokio::test]
async fn a_web_server_in_the_carriers_place_is_tried_again() {
    binds_after("web", b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>").await;
}

#[tokio::test]
async fn a_bind_answered_with_a_nack_is_tried_again() {
    binds_after("nacked", b"\0\0\0\x10\x80\0\0\0\0\0\0\x03\0\0\0\0").await;
}

#[tokio::test]
async fn octets_that_come_one_by_one_are_one_pdu() {
    let mut polite = Polite::default();
    let carrier = Scripted::start(move |pdu, out| polite.does(pdu, out));
    let (_world, mut http) = world("dribble", &carrier).await;
    let id = http.text("+14155550123", "first").await;
    http.becomes(&id, "delivered").await;
    let mut out = Vec::new();
    wire::put(&mut out, wire::ENQUIRE_LINK, 0, 77, |_| {});
    for octet in &out {
        carrier.inject(&[*octet]);
    }
    let answers = carrier.sees(wire::ENQUIRE_LINK | wire::RESPONSE, 1).await;
    assert_eq!((answers[0].header.sequence, answers[0].connection), (77, 0));
}
