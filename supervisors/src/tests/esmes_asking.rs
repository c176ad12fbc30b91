//! What ESMEs ask about what they sent: changed before its time, stopped by addresses, and what a
//! bind of SMPP 5.0 is told.

use proto_smpp::pdu::bind::BindResponse;
use proto_smpp::pdu::manage::{Ask, Cancel, Query, QueryResponse, Replace};
use proto_smpp::{Address, Bind, BindKind, CommandId, CommandStatus, Input, Message, tlv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::esmes::{Client, Server, ask, message};
use super::peer::{Act, Peer};
use super::world::{PATIENCE, World, profile, until};

/// Scheduled for a day later; its id.
async fn submitted(client: &mut Client, message: &Message) -> Vec<u8> {
    client.step(Input::Submit { message, tag: 1 }).await;
    let (_, status, id) = client.answered().await;
    assert_eq!(status, CommandStatus::OK);
    id.into_bytes()
}

fn later(text: &str) -> Message {
    let mut later = message(text);
    later.schedule = b"000001000000000R".to_vec();
    later
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_message_gets_other_words_and_another_time() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    server.account(&world, "other", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    let id = submitted(&mut client, &later("first")).await;
    let replace = |text: &str| Replace {
        message_id: id.clone(),
        source: Address::new(5, 0, "Orbit"),
        registered_delivery: 1,
        short_message: text.as_bytes().to_vec(),
        ..Replace::default()
    };
    let mut stranger = Client::bound(&server, BindKind::Transmitter, "other").await;
    let asked = Ask::Replace(replace("stolen"));
    assert_eq!(ask(&mut stranger, asked).await.0, CommandStatus::INVMSGID.0);
    let cases: [(Replace, CommandStatus); 7] = [
        (Replace { source: Address::new(5, 0, "Else"), ..replace("x") }, CommandStatus::INVSRCADR),
        (Replace { message_id: b"77".to_vec(), ..replace("x") }, CommandStatus::INVMSGID),
        (Replace { schedule: b"soon".to_vec(), ..replace("x") }, CommandStatus::INVSCHED),
        (
            Replace { schedule: b"000106000000000R".to_vec(), ..replace("x") },
            CommandStatus::INVSCHED,
        ),
        (
            Replace { validity: b"000000000001000R".to_vec(), ..replace("x") },
            CommandStatus::INVEXPIRY,
        ),
        (Replace { default_message_id: 1, ..replace("x") }, CommandStatus::INVDFTMSGID),
        (replace(""), CommandStatus::OK),
    ];
    for (asked, status) in cases {
        assert_eq!(ask(&mut client, Ask::Replace(asked)).await.0, status.0, "{status:?}");
    }
    assert_eq!(ask(&mut client, Ask::Replace(replace("second"))).await.0, 0);
    // Its time is past: it goes now, with the last words.
    let now = Replace { schedule: b"200101000000000+".to_vec(), ..replace("third") };
    assert_eq!(ask(&mut client, Ask::Replace(now)).await.0, 0);
    until("it goes", async || peer.times("third") == 1).await;
    let gone = ask(&mut client, Ask::Replace(replace("late"))).await.0;
    assert_eq!(gone, CommandStatus::REPLACEFAIL.0);
    assert_eq!((peer.times("first"), peer.times("second"), peer.heard().len()), (0, 0, 1));
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_from_one_address_to_another_are_stopped_and_nothing_else() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    server.account(&world, "other", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let mut stranger = Client::bound(&server, BindKind::Transmitter, "other").await;
    world.pause("one", true).await;
    let mut waits = vec![
        submitted(&mut client, &later("one")).await,
        submitted(&mut client, &message("two")).await,
    ];
    let service = Message { service_type: b"CMT".to_vec(), ..later("three") };
    waits.push(submitted(&mut client, &service).await);
    let elsewhere = Message { destination: Address::new(1, 1, "14155550124"), ..later("kept") };
    let kept = submitted(&mut client, &elsewhere).await;
    submitted(&mut stranger, &later("not theirs")).await;
    let cancel = |service: &[u8], to: &str| {
        let (source, destination) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, to));
        let service_type = service.to_vec();
        Ask::Cancel(Cancel { service_type, source, destination, ..Cancel::default() })
    };
    let state = async |client: &mut Client, id: &[u8]| {
        let query = Query { message_id: id.to_vec(), source: Address::default() };
        let (status, body) = ask(client, Ask::Query(query)).await;
        (status, QueryResponse::parse(&body).unwrap().message_state)
    };
    let asked = async |client: &mut Client, ask_for| ask(client, ask_for).await.0;
    let fail = CommandStatus::CANCELFAIL.0;
    assert_eq!(asked(&mut client, cancel(b"VMA", "14155550123")).await, fail, "no such service");
    assert_eq!(asked(&mut client, cancel(b"CMT", "14155550123")).await, 0);
    assert_eq!(state(&mut client, &waits[2]).await, (0, 4), "deleted");
    assert_eq!(state(&mut client, &waits[0]).await.1, 1, "still waits");
    assert_eq!(asked(&mut client, cancel(b"", "14155550123")).await, 0);
    for id in &waits {
        assert_eq!(state(&mut client, id).await, (0, 4), "deleted");
    }
    assert_eq!(state(&mut client, &kept).await.1, 1);
    assert_eq!(asked(&mut client, cancel(b"", "14155550123")).await, fail, "none is left");
    assert_eq!(asked(&mut client, cancel(b"", "abc")).await, CommandStatus::INVDSTADR.0);
    let theirs = async || stranger_waits(&world).await;
    until("theirs waits", async || theirs().await == 1).await;
    server.end().await;
    world.end().await;
}

/// Scheduled messages of the account `other`.
async fn stranger_waits(world: &World) -> usize {
    let account = world.store.smpp_account_named("other").await.unwrap().unwrap();
    let who = (account.id, world.organization);
    let between = ("Orbit", "+14155550123");
    world.store.waiting_between(who, between, 0, 100, 100).await.unwrap().len()
}

/// Binds with a version; the rest of the bind's answer behind its header.
async fn bound_as(server: &Server, name: &str, version: u8) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let bind =
        Bind { interface_version: version, ..Bind::new(BindKind::Transceiver, name, "secret") };
    let mut octets = Vec::new();
    bind.encode(&mut octets, 1);
    stream.write_all(&octets).await.unwrap();
    let (status, body) = pdu(&mut stream).await;
    assert_eq!(status, 0);
    (stream, body)
}

async fn pdu(stream: &mut TcpStream) -> (u32, Vec<u8>) {
    let mut head = [0; 16];
    let reading = async {
        stream.read_exact(&mut head).await.unwrap();
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let mut body = vec![0; word(0) as usize - head.len()];
        stream.read_exact(&mut body).await.unwrap();
        (word(8), body)
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("a pdu")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_of_five_is_spoken_to_as_five_and_told_how_busy_it_is() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |settings| settings.congestion_state = true).await;
    server.account(&world, "quiet", |_| {}).await;
    let told = async |name: &str, version: u8| {
        let (mut stream, body) = bound_as(&server, name, version).await;
        let ours = BindResponse::parse(&body).interface_version();
        let mut octets = Vec::new();
        later("later").encode(&mut octets, 2).unwrap();
        stream.write_all(&octets).await.unwrap();
        let (status, body) = pdu(&mut stream).await;
        let end = body.iter().position(|octet| *octet == 0).unwrap();
        let congestion = tlv::find(&body[end + 1..], tlv::CONGESTION_STATE).map(<[u8]>::to_vec);
        let mut octets = Vec::new();
        let query = Query { message_id: body[..end].to_vec(), source: Address::default() };
        Ask::Query(query).encode(&mut octets, 3);
        stream.write_all(&octets).await.unwrap();
        let (_, answer) = pdu(&mut stream).await;
        let state = QueryResponse::parse(&answer).unwrap().message_state;
        (status, ours, congestion, state)
    };
    assert_eq!(told("acme", 0x50).await, (0, Some(0x50), Some(vec![0]), 0), "scheduled");
    assert_eq!(told("acme", 0x34).await, (0, Some(0x34), None, 1), "enroute");
    assert_eq!(told("quiet", 0x50).await, (0, Some(0x50), None, 0), "it did not ask");
    assert_eq!(told("acme", 0x33).await, (0, None, None, 1), "no parameters before 3.4");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_serves_is_refused_by_generic_nack() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let (mut stream, _) = bound_as(&server, "acme", 0x50).await;
    // broadcast_sm, an unknown response, and a submit that is cut.
    let mut octets = Vec::new();
    let ok = CommandStatus::OK;
    proto_smpp::frame::header_only(&mut octets, CommandId(0x111), ok, 7);
    proto_smpp::frame::header_only(&mut octets, CommandId(0x8000_0111), ok, 8);
    proto_smpp::frame::header_only(&mut octets, CommandId::SUBMIT_SM, ok, 9);
    stream.write_all(&octets).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let mut head = [0; 16];
        let reading = stream.read_exact(&mut head);
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer").unwrap();
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        answers.push((word(0), word(4), word(8), word(12)));
    }
    let nack = CommandId::GENERIC_NACK.0;
    let cut = (16, CommandId::SUBMIT_SM.response().0, CommandStatus::INVMSGLEN.0, 9);
    assert_eq!(answers, [(16, nack, CommandStatus::INVCMDID.0, 7), cut]);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_count_in_the_pace_of_their_account() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |settings| settings.tps = 1).await;
    let (mut stream, _) = bound_as(&server, "acme", 0x34).await;
    let mut octets = Vec::new();
    for sequence in [7, 8] {
        let query = Query { message_id: b"1".to_vec(), source: Address::default() };
        Ask::Query(query).encode(&mut octets, sequence);
    }
    stream.write_all(&octets).await.unwrap();
    let mut statuses = [pdu(&mut stream).await.0, pdu(&mut stream).await.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [CommandStatus::INVMSGID.0, CommandStatus::THROTTLED.0]);
    server.end().await;
    world.end().await;
}
