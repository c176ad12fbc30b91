//! Real sockets: what comes in, what goes out, and what closes a connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::lockout::Rule;
use crate::places;
use crate::sip::inbox::Inbound;

const PATIENCE: Duration = Duration::from_secs(10);

fn limits() -> Limits {
    Limits {
        message: proto_sip::Limits::default(),
        message_patience: PATIENCE,
        write_patience: PATIENCE,
        idle: Duration::from_secs(60),
        handshake_patience: PATIENCE,
        queue_max: 64,
    }
}

/// A wire with one UDP socket and one door, and what it hands over.
struct World {
    wire: Wire,
    udp: SocketAddr,
    tcp: SocketAddr,
    inbound: mpsc::Receiver<Inbound>,
    /// Whose shard takes nothing: what it is sent stays here.
    held: Vec<Inbound>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.wire.close_all();
    }
}

impl World {
    async fn new(limits: Limits, messages_max: usize) -> Self {
        let (sender, inbound) = mpsc::channel(1_000);
        let inbox = Inbox::new(1, messages_max, 5);
        inbox.attach(0, Some(Box::new(move |inbound| sender.try_send(inbound).is_ok())));
        let minute = Duration::from_secs(60);
        let rule = Rule { tries: 2, within: minute, shut: minute };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let wire = Wire::new(Parts {
            sockets: vec![UdpSocket::bind("127.0.0.1:0").await.unwrap()],
            listening: vec![(Kind::Tcp, tcp)],
            inbox,
            shield: Shield::new(rule, &["friendly-scanner".to_owned()]),
            places: Places::new(places::Limits {
                connections_max: 10,
                per_address_max: 5,
                unbound_per_address_max: 3,
            }),
            limits,
            names: Names { public: None },
        });
        let wire = wire.unwrap();
        let udp = wire.0.sockets[0].address;
        wire.start();
        wire.task(listener::listen(wire.clone(), listener, None));
        Self { wire, udp, tcp, inbound, held: Vec::new() }
    }

    async fn next(&mut self) -> Inbound {
        timeout(PATIENCE, self.inbound.recv()).await.unwrap().unwrap()
    }

    /// The next message, and where it came from.
    async fn message(&mut self) -> Received {
        loop {
            if let Inbound::Messages(mut batch, permit) = self.next().await {
                assert_eq!(batch.len(), 1, "{batch:?}");
                drop(permit);
                return batch.remove(0);
            }
        }
    }
}

fn options(call_id: &str, more: &str) -> String {
    format!(
        "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1;rport\r\n\
         From: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n{more}\
         Content-Length: 0\r\n\r\n"
    )
}

async fn caller(world: &World) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.udp).await.unwrap();
    socket
}

async fn heard(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 2_000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 2_000];
    let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap_or_default();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_datagram_comes_in_and_its_answer_goes_to_where_it_came_from() {
    let mut world = World::new(limits(), 100).await;
    let socket = caller(&world).await;
    for keep_alive in [&b"\r\n\r\n"[..], b"\0\0\0\0", b"noise", &[0x80; 40]] {
        socket.send(keep_alive).await.unwrap();
    }
    socket.send(options("one", "").as_bytes()).await.unwrap();
    let received = world.message().await;
    assert_eq!(received.message.call_id(), "one");
    assert_eq!(received.flow.peer(), socket.local_addr().unwrap());
    world.wire.send(received.flow, Bytes::from_static(b"answer")).unwrap();
    assert_eq!(heard(&socket).await, "answer");
    assert!(world.wire.is_open(received.flow));
    assert_eq!(world.wire.find(Kind::Udp, received.flow.peer()), Some(received.flow));
}

#[tokio::test]
async fn bad_messages_are_answered_scanners_and_the_banned_are_not() {
    let mut world = World::new(limits(), 100).await;
    let socket = caller(&world).await;
    let scanner = options("scan", "User-Agent: friendly-scanner\r\n");
    socket.send(scanner.as_bytes()).await.unwrap();
    let bad = options("bad", "").replace("CSeq: 1 OPTIONS\r\n", "");
    socket.send(bad.as_bytes()).await.unwrap();
    assert!(heard(&socket).await.starts_with("SIP/2.0 400 "), "the first to be answered");
    let now = tokio::time::Instant::now().into_std();
    for name in 0..8 {
        world.wire.shield().failed(&name.to_string(), socket.local_addr().unwrap(), now);
    }
    socket.send(options("banned", "").as_bytes()).await.unwrap();
    let other = caller(&world).await;
    world.wire.shield().registered_at(other.local_addr().unwrap());
    other.send(options("registered", "").as_bytes()).await.unwrap();
    assert_eq!(world.message().await.message.call_id(), "registered");
    assert_eq!(world.wire.shield().counts().0, 2);
}

#[tokio::test]
async fn what_finds_no_room_is_told_when_to_come_again() {
    let mut world = World::new(limits(), 10).await;
    let socket = caller(&world).await;
    for n in 0..9 {
        socket.send(options(&n.to_string(), "").as_bytes()).await.unwrap();
    }
    while world.held.len() < 9 {
        let next = world.next().await;
        let Inbound::Messages(batch, _) = &next else { continue };
        let more = batch.len() - 1;
        world.held.push(next);
        world
            .held
            .extend((0..more).map(|_| Inbound::Lost(Flow::udp(0, socket.local_addr().unwrap()))));
    }
    socket.send(options("late", "").as_bytes()).await.unwrap();
    let answer = heard(&socket).await;
    assert!(answer.starts_with("SIP/2.0 503 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n") && answer.contains(";rport="), "{answer}");
    assert_eq!(world.wire.inbox().refused(), 1);
    world.held.clear();
    socket.send(options("again", "").as_bytes()).await.unwrap();
    assert_eq!(world.message().await.message.call_id(), "again");
}

#[tokio::test]
async fn a_stream_brings_messages_pings_and_an_alias() {
    let mut world = World::new(limits(), 100).await;
    let mut stream = TcpStream::connect(world.tcp).await.unwrap();
    let first = options("one", "").replace("UDP 127.0.0.1:9", "TCP 127.0.0.1:9;alias");
    let two = format!("\r\n\r\n{first}{}", options("two", ""));
    let (head, tail) = two.split_at(100);
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_some(&mut stream).await, "\r\n", "the answer to a ping");
    stream.write_all(tail.as_bytes()).await.unwrap();
    let Inbound::Messages(batch, _permit) = world.next().await else { panic!("no messages") };
    let ids: Vec<_> = batch.iter().map(|received| received.message.call_id()).collect();
    assert_eq!(ids, ["one", "two"]);
    let flow = batch[0].flow;
    let listens = SocketAddr::new(flow.peer().ip(), 9);
    assert_eq!(world.wire.find(Kind::Tcp, listens), Some(flow));
    world.wire.send(flow, Bytes::from_static(b"answer")).unwrap();
    assert_eq!(read_some(&mut stream).await, "answer");
    drop(stream);
    let Inbound::Lost(lost) = world.next().await else { panic!("not told") };
    assert_eq!((lost, world.wire.is_open(flow)), (flow, false));
    assert_eq!(world.wire.find(Kind::Tcp, listens), None);
}

#[tokio::test]
async fn a_stream_out_of_step_is_answered_and_closed() {
    let world = World::new(limits(), 100).await;
    for bad in ["-1", "99999999999999999999", "0\r\nContent-Length: 5"] {
        let mut stream = TcpStream::connect(world.tcp).await.unwrap();
        let text = options("x", "").replace("Content-Length: 0", &format!("Content-Length: {bad}"));
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut all = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut all)).await;
        assert!(read.is_ok_and(|read| read.is_ok()), "closed: {bad}");
        assert!(all.starts_with("SIP/2.0 4"), "{bad}: {all}");
    }
}

#[tokio::test]
async fn a_message_that_does_not_end_and_a_connection_that_says_nothing_are_closed() {
    let brief = Duration::from_millis(100);
    let world = World::new(Limits { message_patience: brief, ..limits() }, 100).await;
    let mut slow = TcpStream::connect(world.tcp).await.unwrap();
    slow.write_all(b"OPTIONS sip:a@b SIP/2.0\r\n").await.unwrap();
    assert_eq!(read_some(&mut slow).await, "");
    let mut world = World::new(Limits { idle: brief, ..limits() }, 100).await;
    let mut held = TcpStream::connect(world.tcp).await.unwrap();
    held.write_all(options("one", "").as_bytes()).await.unwrap();
    let flow = world.message().await.flow;
    world.wire.hold(flow);
    let mut idle = TcpStream::connect(world.tcp).await.unwrap();
    assert_eq!(read_some(&mut idle).await, "");
    assert!(world.wire.is_open(flow), "who is registered may be silent");
    world.wire.release(flow);
    assert_eq!(read_some(&mut held).await, "");
}

#[tokio::test]
async fn places_are_for_strangers_and_for_those_who_are_registered() {
    let mut world = World::new(limits(), 100).await;
    let mut open = Vec::new();
    for n in 0..3 {
        let mut stream = TcpStream::connect(world.tcp).await.unwrap();
        stream.write_all(options(&n.to_string(), "").as_bytes()).await.unwrap();
        let flow = world.message().await.flow;
        open.push((stream, flow));
    }
    let mut fourth = TcpStream::connect(world.tcp).await.unwrap();
    assert_eq!(read_some(&mut fourth).await, "", "three strangers are enough");
    world.wire.hold(open[0].1);
    let mut fifth = TcpStream::connect(world.tcp).await.unwrap();
    fifth.write_all(options("five", "").as_bytes()).await.unwrap();
    assert_eq!(world.message().await.message.call_id(), "five");
    assert_eq!(world.wire.connections(), 4);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_gone() {
    let mut world = World::new(Limits { queue_max: 4, ..limits() }, 100).await;
    let mut stream = TcpStream::connect(world.tcp).await.unwrap();
    stream.write_all(options("one", "").as_bytes()).await.unwrap();
    let flow = world.message().await.flow;
    let much = Bytes::from(vec![b'x'; 1_000_000]);
    let mut sent = 0;
    while world.wire.send(flow, much.clone()).is_ok() {
        sent += 1;
        assert!(sent < 1_000);
        tokio::task::yield_now().await;
    }
    let Inbound::Lost(lost) = world.next().await else { panic!("not told") };
    assert_eq!(lost, flow);
}

#[tokio::test]
async fn we_connect_where_no_connection_is() {
    let world = World::new(limits(), 100).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let flow = world.wire.connect(peer, None);
    world.wire.send(flow, Bytes::from_static(b"request")).unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    assert_eq!(read_some(&mut accepted).await, "request");
    assert_eq!(world.wire.connect(peer, None), flow, "the same again");
}

#[tokio::test]
async fn a_websocket_brings_one_message_a_frame() {
    let mut world = World::new(limits(), 100).await;
    let peer = ([127, 0, 0, 1], 9).into();
    let places = world.wire.let_in(peer).unwrap();
    let mut web = web::Web::open(&world.wire, peer, true, places);
    web.heard(Bytes::from_static(b"\r\n\r\n"));
    assert_eq!(web.next().await.unwrap(), "\r\n");
    web.heard(Bytes::from(options("one", "")));
    let received = world.message().await;
    assert_eq!(received.flow.kind(), Kind::Wss);
    world.wire.send(received.flow, Bytes::from_static(b"answer")).unwrap();
    assert_eq!(web.next().await.unwrap(), "answer");
    world.wire.close(received.flow);
    assert_eq!(web.next().await, None);
    drop(web);
    assert!(matches!(world.next().await, Inbound::Lost(_)));
}

#[test]
fn packets_leave_from_the_address_that_leads_to_the_peer() {
    for peer in ["127.0.0.1:5060", "[::ffff:127.0.0.1]:5060"] {
        assert_eq!(way_out(peer.parse().unwrap()), Some([127, 0, 0, 1].into()), "{peer}");
    }
}
