//! Customers that do not read, do not answer, do not bind or do not go: what they may hold, for
//! how long, and that nobody else and nothing they are owed suffers from it.

use std::time::Duration;

use actors::places::{Limits, Places};
use actors::smpp::server::courier::CourierMsg;
use actors::smpp::server::esme::EsmeMsg;
use model::event::EventKind;
use proto_smpp::{Bind, BindKind, CommandId, CommandStatus, Output, frame};
use ractor::{ActorRef, Message as Mail};
use store::LogFilter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::esmes::{Client, Server, message, text_of};
use super::esmes_coming::change;
use super::peer::{Act, Peer};
use super::world::{PATIENCE, QUICK, World, profile, until};

const MS: fn(u64) -> Duration = Duration::from_millis;

async fn delivering() -> (Peer, World) {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    (peer, world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_who_reads_no_receipts_few_are_in_memory_and_all_come_later() {
    const ALL: usize = 3_500;
    let (peer, world) = delivering().await;
    let server = Server::start(&world).await;
    server.account(&world, "deaf", |_| {}).await;
    let mut deaf = Client::bound(&server, BindKind::Transceiver, "deaf").await;
    for tag in 0..ALL {
        deaf.submit("one of many", u32::try_from(tag).unwrap()).await;
        if tag % 10 == 9 {
            for _ in 0..10 {
                assert_eq!(deaf.answered().await.1, CommandStatus::OK);
            }
        }
    }
    until("all of it is sent", async || peer.heard().len() == ALL).await;
    let delivered = model::message::Status::Delivered.code();
    until("all of it has its receipt", async || {
        let most = i64::MAX;
        let count = world.store.count_messages(world.organization, Some(delivered), most).await;
        count.unwrap() == i64::try_from(ALL).unwrap()
    })
    .await;
    // A page that is read, or a commit that is told, may still come on top.
    let held = server.find("deaf").held();
    assert!((2_000..3_000).contains(&held), "{held}");
    let mut came = 0;
    // Those that came between the answers to submits were passed over unacknowledged.
    drop(deaf);
    let mut client = Client::bound(&server, BindKind::Receiver, "deaf").await;
    while came < ALL {
        assert_eq!(quoted(&client.brought().await), "one of many");
        came += 1;
    }
    until("nothing is held", async || server.find("deaf").held() == 0).await;
    server.end().await;
    world.end().await;
}

/// The text that a receipt quotes.
fn quoted(receipt: &proto_smpp::Message) -> String {
    let said = text_of(receipt);
    said.split_once("text:").map_or(said.clone(), |(_, text)| text.to_owned())
}

/// The server's children of this kind.
fn children<M: Mail>(server: &Server) -> Vec<ActorRef<M>> {
    let all = server.esmes.get_cell().get_children().into_iter();
    all.filter(|child| child.is_message_type_of::<M>() == Some(true)).map(ActorRef::from).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_no_receipts_holds_nobody_up_and_gets_all_of_them_in_order_later() {
    let (peer, world) = delivering().await;
    let server = Server::start(&world).await;
    server.account(&world, "deaf", |_| {}).await;
    server.account(&world, "acme", |_| {}).await;
    let mut deaf = Client::bound(&server, BindKind::Transceiver, "deaf").await;
    let texts: Vec<String> = (0..60).map(|n| format!("deaf {n:02}")).collect();
    for (tag, text) in (0..).zip(&texts) {
        deaf.submit(text, tag).await;
    }
    until("all of it is sent", async || peer.heard().len() == 60).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    for tag in 0..20 {
        client.submit("quick", tag).await;
    }
    for _ in 0..20 {
        assert_eq!(quoted(&client.brought().await), "quick");
    }
    // A window of deliveries came, and not one more before these are acknowledged.
    let (mut came, mut sequences) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let (receipt, sequence) = deaf.brought_unanswered().await;
        came.push(quoted(&receipt));
        sequences.push(sequence);
    }
    let mut buffer = [0; 16];
    let more = tokio::time::timeout(MS(50), deaf.stream.peek(&mut buffer)).await;
    assert!(more.is_err(), "{came:?}");
    for sequence in sequences {
        deaf.acknowledge(sequence, CommandStatus::OK).await;
    }
    while came.len() < texts.len() {
        came.push(quoted(&deaf.brought().await));
    }
    assert_eq!(came, texts);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_without_an_answer_come_again_in_their_order() {
    let (_peer, world) = delivering().await;
    let server = Server::start_as(&world, |args| args.settings.response_timeout = MS(300)).await;
    server.account(&world, "slow", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "slow").await;
    for tag in 0..8 {
        client.submit(&format!("text {tag}"), tag).await;
    }
    let mut came = Vec::new();
    for _ in 0..8 {
        came.push(quoted(&client.brought_unanswered().await.0));
    }
    let mut again = Vec::new();
    for _ in 0..8 {
        again.push(quoted(&client.brought().await));
    }
    assert_eq!(again, came);
    client.submit("last", 9).await;
    assert_eq!(quoted(&client.brought().await), "last");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_courier_that_failed_too_often_rests_and_then_brings_all_that_is_owed() {
    let rest = MS(600);
    let (_peer, world) = delivering().await;
    let server = Server::start_as(&world, |args| {
        args.policy.restarts_max = 2;
        args.policy.rest_min = QUICK.rest_min;
        args.courier_rest = rest;
    })
    .await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    client.submit("first", 1).await;
    let (receipt, sequence) = client.brought_unanswered().await;
    assert_eq!(quoted(&receipt), "first");
    let couriers = || children::<CourierMsg>(&server);
    for _ in 0..2 {
        let courier = couriers().pop().expect("a courier");
        courier.kill();
        let id = courier.get_id();
        let another = || couriers().iter().any(|courier| courier.get_id() != id);
        until("another one is there", async || another()).await;
    }
    let died = Instant::now();
    couriers().pop().expect("a courier").kill();
    until("none is there", async || couriers().is_empty()).await;
    client.submit("second", 2).await;
    // Each courier brought what its predecessor had no answer for.
    let mut brought = Vec::new();
    while !brought.contains(&String::from("second")) {
        brought.push(quoted(&client.brought().await));
    }
    assert!(died.elapsed() >= rest, "{:?}", died.elapsed());
    assert!(brought.contains(&String::from("first")), "{brought:?}");
    // An answer that comes late is for a number that nobody waits for.
    client.acknowledge(sequence, CommandStatus::OK).await;
    let account = server.find("acme");
    until("the cursor is stored", async || {
        let row = world.store.smpp_account_named("acme").await.unwrap().unwrap();
        couriers().len() == 1 && row.cursor == account.cursor()
    })
    .await;
    client.submit("third", 3).await;
    assert_eq!(quoted(&client.brought().await), "third");
    server.end().await;
    world.end().await;
}

/// Two places for connections, and short patience with those that do not bind.
async fn narrow(world: &World, write_patience: Duration) -> Server {
    Server::start_as(world, |args| {
        args.places = Places::new(Limits {
            connections_max: 2,
            per_address_max: 2,
            unbound_per_address_max: 2,
        });
        args.settings.bind_timeout = MS(700);
        args.settings.response_timeout = MS(300);
        args.write_patience = write_patience;
    })
    .await
}

/// A connection, unless it is closed before it says anything.
async fn let_in(server: &Server) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut buffer = [0; 16];
    let read = tokio::time::timeout(MS(200), stream.read(&mut buffer)).await;
    read.is_err().then_some(stream)
}

async fn is_turned_away(server: &Server) -> bool {
    let_in(server).await.is_none()
}

/// A connection whose owner takes next to nothing from it.
async fn deaf(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// Asks for far more answers than its own socket takes, and reads none of them.
async fn ask_and_not_read(stream: &mut TcpStream) {
    let mut octets = Vec::new();
    for sequence in 100..20_100 {
        let command = CommandId::ENQUIRE_LINK;
        frame::header_only(&mut octets, command, CommandStatus::OK, sequence);
    }
    // The server may have had enough before the end.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&octets)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_binds_keeps_its_place_until_its_socket_is_closed() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = narrow(&world, Duration::from_secs(3)).await;
    // One that leaves, and one that is told to: each gives its place back.
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let second = TcpStream::connect(server.address).await.unwrap();
    assert!(is_turned_away(&server).await, "two are all");
    drop(second);
    until("the place of who left is free", async || !is_turned_away(&server).await).await;
    let mut buffer = [0; 16];
    let closed = tokio::time::timeout(PATIENCE, first.read(&mut buffer)).await;
    assert_eq!(closed.expect("it is closed").unwrap(), 0);
    until("nobody is there", async || children::<EsmeMsg>(&server).is_empty()).await;

    // Its actor is gone, but not its socket: there is something left to write.
    let mut stuck = deaf(&server).await;
    let _other = TcpStream::connect(server.address).await.unwrap();
    ask_and_not_read(&mut stuck).await;
    until("both actors are gone", async || children::<EsmeMsg>(&server).is_empty()).await;
    let one = tokio::sync::Mutex::new(None);
    until("there is one place", async || {
        *one.lock().await = let_in(&server).await;
        one.lock().await.is_some()
    })
    .await;
    assert!(is_turned_away(&server).await, "the first one's socket is open");
    until("it is closed", async || !is_turned_away(&server).await).await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bind_that_is_over_counts_until_its_socket_is_closed() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = narrow(&world, Duration::from_secs(5)).await;
    server.account(&world, "acme", |settings| settings.max_binds = 1).await;
    let bind = || Bind::new(BindKind::Transmitter, "acme", "secret");
    let mut client = Client::over(deaf(&server).await, bind()).await;
    assert_eq!(client.next().await, Output::Bound);
    ask_and_not_read(&mut client.stream).await;
    change(&world, &server, |settings| settings.tps = 5).await;
    let system_id = String::from("acme");
    server.esmes.send_message(crate::esmes::EsmesMsg::Changed { system_id }).unwrap();
    until("its actor is gone", async || children::<EsmeMsg>(&server).is_empty()).await;
    assert_eq!(server.find("acme").binds(), 1, "its socket is open");
    let mut other = Client::connect(&server, BindKind::Transmitter, "acme", "secret").await;
    assert_eq!(other.next().await, Output::BindRefused(CommandStatus::ALYBND));
    until("the socket is closed", async || server.find("acme").binds() == 0).await;
    Client::bound(&server, BindKind::Transmitter, "acme").await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_nothing_of_what_it_is_owed_is_disconnected() {
    let world = World::of(profile("one", &Peer::new())).await;
    let patience = MS(800);
    let server = Server::start_as(&world, |args| args.write_patience = patience).await;
    server.account(&world, "acme", |_| {}).await;
    let bind = Bind::new(BindKind::Transceiver, "acme", "secret");
    let mut client = Client::over(deaf(&server).await, bind).await;
    assert_eq!(client.next().await, Output::Bound);
    let begun = Instant::now();
    ask_and_not_read(&mut client.stream).await;
    until("it is disconnected", async || server.find("acme").binds() == 0).await;
    assert!(begun.elapsed() >= patience, "{:?}", begun.elapsed());
    let filter = LogFilter::new(&[EventKind::BindDown]);
    let told = async || {
        let rows = world.store.log_page(world.organization, &filter, i64::MAX, 10).await.unwrap();
        rows.into_iter().find_map(|row| row.detail)
    };
    until("its end is told", async || told().await.is_some()).await;
    let said = told().await.unwrap_or_default();
    assert!(said.contains("the peer reads nothing"), "{said}");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_too_far_ahead_is_refused_as_the_settings_say() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    // A relative month is thirty days.
    for (time, status) in [
        ("000104000000000R", CommandStatus::OK),
        ("000106000000000R", CommandStatus::INVSCHED),
        ("990101000000000+", CommandStatus::INVSCHED),
    ] {
        let mut later = message("later");
        later.schedule = time.as_bytes().to_vec();
        client.step(proto_smpp::Input::Submit { message: &later, tag: 1 }).await;
        assert_eq!(client.answered().await.1, status, "{time}");
    }
    server.end().await;
    world.end().await;
}
