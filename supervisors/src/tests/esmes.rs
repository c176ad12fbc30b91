//! Customers that bind: real sockets, a carrier behind the switch, and everything in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::lockout::Rule;
use actors::places::{Limits, Places};
use actors::smpp::server::accounts::{Account, Accounts};
use actors::smpp::server::caller::Calls;
use actors::traffic::admission::{Admission, CarrierRoute, Routes};
use model::clock::At;
use model::id::PublicId;
use model::rates::Rates;
use proto_smpp::pdu::manage::{Ask, Cancel, Query, QueryResponse};
use proto_smpp::pdu::multi::{Destination, Multi};
use proto_smpp::receipt::State;
use proto_smpp::{
    Address, Bind, BindKind, CommandId, CommandStatus, Frames, Input, Message, Output, Role,
    Session, Settings,
};
use ractor::{Actor, ActorRef};
use store::lane::{Admin, AdminDone, Inbound, SmppChange, SmppSettings, Work};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::peer::{Act, Peer};
use super::world::{PATIENCE, World, profile, until};
use crate::esmes::{Door, EsmesArgs, EsmesMsg, EsmesSupervisor};
use crate::restart::Policy;

/// The server in front of a world.
pub(super) struct Server {
    pub(super) address: std::net::SocketAddr,
    pub(super) accounts: Accounts,
    pub(super) esmes: ActorRef<EsmesMsg>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(world: &World) -> Self {
        Self::start_as(world, |_| {}).await
    }

    /// With other settings than the usual ones.
    pub(super) async fn start_as(world: &World, change: impl FnOnce(&mut EsmesArgs)) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that who does not read is soon felt.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(100).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let s = Duration::from_secs;
        let rule = Rule { tries: 5, within: s(60), shut: s(60) };
        // Sealed as it is.
        let open = Box::new(|_: PublicId, sealed: &[u8]| String::from_utf8(sealed.to_vec()).ok());
        let accounts = Accounts::with([7; 32], rule, s(35 * 86_400), open);
        let route = CarrierRoute::new(world.carrier(0), "one");
        let rates = Rates::from_csv("prefix,price_micros,mccmnc,valid_from\n1,1000,,\n").unwrap();
        let routes = Routes { carriers: vec![route], rates, ..Routes::default() };
        let mut args = EsmesArgs {
            doors: Arc::new(vec![Door { listener, tls: None }]),
            places: Places::new(Limits {
                connections_max: 100,
                per_address_max: 100,
                unbound_per_address_max: 50,
            }),
            accounts: accounts.clone(),
            admission: Admission::new(routes),
            writer: world.writer.clone(),
            store: world.store.clone(),
            wakes: world.writer.wakes(),
            settings: Settings { response_timeout: s(30), ..Settings::default() },
            calls: Calls {
                networks: Networks::parse(&["127.0.0.0/8"]).unwrap(),
                tls: None,
                patience: PATIENCE,
                rest_min: Duration::from_millis(20),
                rest_max: Duration::from_millis(100),
            },
            write_patience: s(30),
            policy: Policy::WORKER,
            courier_rest: s(60),
        };
        change(&mut args);
        let (esmes, task) = Actor::spawn(None, EsmesSupervisor, args).await.unwrap();
        Self { address, accounts, esmes, task }
    }

    pub(super) async fn account(
        &self,
        world: &World,
        name: &str,
        change: impl FnOnce(&mut SmppSettings),
    ) {
        let mut settings = SmppSettings {
            name: String::from("test"),
            allowed_ips: String::from("[]"),
            bind_types: 7,
            max_binds: 4,
            tps: 0,
            window_size: 10,
            test: false,
            category: 1,
            default_sender: None,
            allowed_senders: String::from("[]"),
            receipt_format: 3,
            id_format: 1,
            inbound_numbers: String::from("[]"),
            ..SmppSettings::default()
        };
        change(&mut settings);
        let create = SmppChange::Create {
            id: PublicId::new(At::now()),
            organization: world.organization,
            system_id: name.to_owned(),
            password_mac: self.accounts.mac(name, "secret"),
            settings,
        };
        let done = world.writer.administer(Admin::Smpp(Box::new(create))).await.unwrap();
        assert_eq!(done, AdminDone::Smpp(true));
        let row = world.store.smpp_account_named(name).await.unwrap().unwrap();
        self.accounts.put(&row);
    }

    pub(super) fn find(&self, name: &str) -> Arc<Account> {
        self.accounts.find(name).unwrap()
    }

    pub(super) async fn end(self) {
        self.esmes.stop(None);
        self.task.await.unwrap();
    }
}

/// A customer's client.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) session: Session<u32>,
    outputs: VecDeque<Output<u32>>,
}

impl Client {
    pub(super) async fn connect(
        server: &Server,
        kind: BindKind,
        name: &str,
        password: &str,
    ) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self::over(stream, Bind::new(kind, name, password)).await
    }

    /// Binds on this connection.
    pub(super) async fn over(stream: TcpStream, bind: Bind) -> Self {
        let role = Role::Esme(bind);
        let settings = Settings { window: 1_000, ..Settings::default() };
        let session = Session::new(role, settings, now());
        let mut client = Self { stream, session, outputs: VecDeque::new() };
        client.step(Input::Connected).await;
        client
    }

    pub(super) async fn bound(server: &Server, kind: BindKind, name: &str) -> Self {
        let mut client = Self::connect(server, kind, name, "secret").await;
        assert_eq!(client.next().await, Output::Bound);
        client
    }

    pub(super) async fn step(&mut self, input: Input<'_, u32>) {
        let mut outputs = Vec::new();
        self.session.step(now(), input, &mut outputs);
        for output in outputs {
            match output {
                Output::Transmit(octets) => self.stream.write_all(&octets).await.unwrap(),
                other => self.outputs.push_back(other),
            }
        }
    }

    /// The next thing that comes of what the server sends.
    pub(super) async fn next(&mut self) -> Output<u32> {
        let mut buffer = vec![0; 64 * 1024];
        while self.outputs.is_empty() {
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer));
            let count = read.await.expect("the server says something").unwrap();
            assert!(count > 0, "the server closed the connection");
            self.step(Input::Bytes(&buffer[..count])).await;
        }
        self.outputs.pop_front().unwrap()
    }

    pub(super) async fn submit(&mut self, text: &str, tag: u32) {
        self.step(Input::Submit { message: &message(text), tag }).await;
    }

    pub(super) async fn answered(&mut self) -> (u32, CommandStatus, String) {
        loop {
            if let Output::Answered { tag, status, message_id } = self.next().await {
                return (tag, status, String::from_utf8(message_id).unwrap());
            }
        }
    }

    /// The next message that is brought, acknowledged.
    pub(super) async fn brought(&mut self) -> Message {
        let (message, sequence) = self.brought_unanswered().await;
        self.acknowledge(sequence, CommandStatus::OK).await;
        message
    }

    pub(super) async fn brought_unanswered(&mut self) -> (Message, u32) {
        loop {
            if let Output::Request { sequence, message, .. } = self.next().await {
                return (message, sequence);
            }
        }
    }

    pub(super) async fn acknowledge(&mut self, sequence: u32, status: CommandStatus) {
        let command = CommandId::DELIVER_SM;
        self.step(Input::Answer { command, sequence, status, message_id: b"" }).await;
    }
}

pub(super) fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

pub(super) fn message(text: &str) -> Message {
    let (from, to) = (Address::new(5, 0, "Orbit"), Address::new(1, 1, "14155550123"));
    let mut message = Message::new(CommandId::SUBMIT_SM, from, to);
    message.short_message = text.as_bytes().to_vec();
    message.registered_delivery = 1;
    message
}

pub(super) fn text_of(message: &Message) -> String {
    String::from_utf8_lossy(&message.short_message).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_is_answered_goes_on_as_it_came_and_its_receipt_comes_back() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    client.submit("hello", 7).await;
    let (tag, status, id) = client.answered().await;
    assert_eq!((tag, status), (7, CommandStatus::OK));
    let receipt = client.brought().await;
    let said = text_of(&receipt);
    assert!(said.starts_with(&format!("id:{id} ")), "{said}");
    assert!(said.contains("stat:DELIVRD"), "{said}");
    assert_eq!(
        (receipt.source.text(), receipt.destination.text()),
        ("14155550123".into(), "Orbit".into())
    );
    assert_eq!(peer.times("hello"), 1);
    let key: i64 = id.parse().unwrap();
    let account = server.find("acme");
    until("the cursor is stored", async || {
        let row = world.store.smpp_account_named("acme").await.unwrap().unwrap();
        row.cursor == account.cursor() && row.cursor > key
    })
    .await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_forbidden_ways_and_too_many_binds_are_refused_each_with_its_status() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server
        .account(&world, "acme", |settings| (settings.max_binds, settings.bind_types) = (1, 1))
        .await;
    server.account(&world, "away", |s| s.allowed_ips = String::from("[\"10.0.0.0/8\"]")).await;
    server.account(&world, "off", |settings| settings.disabled = true).await;
    let refused = async |name: &str, password: &str, kind| {
        let mut client = Client::connect(&server, kind, name, password).await;
        match client.next().await {
            Output::BindRefused(status) => status.0,
            other => panic!("{other:?}"),
        }
    };
    let transmitter = BindKind::Transmitter;
    assert_eq!(refused("nobody", "secret", transmitter).await, 0x0F);
    assert_eq!(refused("acme", "wrong", transmitter).await, 0x0E);
    assert_eq!(refused("acme", "secret", BindKind::Receiver).await, 0x0D);
    assert_eq!(refused("away", "secret", transmitter).await, 0x0D);
    assert_eq!(refused("off", "secret", transmitter).await, 0x407);
    let first = Client::bound(&server, transmitter, "acme").await;
    assert_eq!(refused("acme", "secret", transmitter).await, 0x05);
    drop(first);
    until("the place is free again", async || server.find("acme").binds() == 0).await;
    Client::bound(&server, transmitter, "acme").await;
    for _ in 0..5 {
        refused("acme", "wrong", transmitter).await;
    }
    assert_eq!(refused("acme", "secret", transmitter).await, 0x0D, "locked out");
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_acknowledged_waits_and_comes_by_another_bind() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut sender = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let mut receiver = Client::bound(&server, BindKind::Receiver, "acme").await;
    sender.submit("first", 1).await;
    let (_, status, id) = sender.answered().await;
    assert!(status.is_ok());
    let (receipt, _) = receiver.brought_unanswered().await;
    assert!(text_of(&receipt).contains(&id));
    drop(receiver);
    until("the receiver is gone", async || server.find("acme").binds() == 1).await;
    sender.submit("second", 2).await;
    assert!(sender.answered().await.1.is_ok());
    let mut other = Client::bound(&server, BindKind::Receiver, "acme").await;
    let again = other.brought().await;
    assert!(text_of(&again).contains(&id), "the first one again");
    assert!(text_of(&other.brought().await).contains("text:second"));
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_refused_for_now_comes_again_and_one_refused_for_good_does_not() {
    let peer = Peer::new();
    peer.answer(|_, _| Act::AckThenReceipt);
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    client.submit("now", 1).await;
    client.answered().await;
    let (_, sequence) = client.brought_unanswered().await;
    client.acknowledge(sequence, CommandStatus::X_T_APPN).await;
    let (again, sequence) = client.brought_unanswered().await;
    assert!(text_of(&again).contains("text:now"));
    client.acknowledge(sequence, CommandStatus::X_R_APPN).await;
    client.submit("next", 2).await;
    assert!(text_of(&client.brought().await).contains("text:next"));
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_pace_is_throttled_and_a_wrong_number_is_told_by_its_status() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "slow", |settings| settings.tps = 2).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "slow").await;
    for tag in 0..3 {
        client.submit("hello", tag).await;
    }
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let (tag, status, _) = client.answered().await;
        statuses.push((tag, status));
    }
    statuses.sort_unstable_by_key(|(tag, _)| *tag);
    let ok = CommandStatus::OK;
    assert_eq!(statuses, [(0, ok), (1, ok), (2, CommandStatus::THROTTLED)]);
    server.account(&world, "fast", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "fast").await;
    let mut wrong = message("hello");
    wrong.destination = Address::new(1, 1, "12");
    client.step(Input::Submit { message: &wrong, tag: 9 }).await;
    assert_eq!(client.answered().await.1, CommandStatus::INVDSTADR);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submits_and_a_goodbye_in_one_write_are_all_answered() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transceiver, "acme").await;
    let mut octets = Vec::new();
    for sequence in 2..7 {
        message("hello").encode(&mut octets, sequence).unwrap();
    }
    proto_smpp::frame::header_only(&mut octets, CommandId::UNBIND, CommandStatus::OK, 7);
    client.stream.write_all(&octets).await.unwrap();
    let mut read = Vec::new();
    let all = tokio::time::timeout(PATIENCE, client.stream.read_to_end(&mut read));
    all.await.expect("the server closes").unwrap();
    let (mut frames, mut rest, mut seen) = (Frames::new(64 * 1024), &read[..], Vec::new());
    while let Ok(Some(frame)) = frames.next(&mut rest) {
        seen.push((frame.header.command, frame.header.sequence, frame.header.status));
    }
    let submit = CommandId::SUBMIT_SM.response();
    let ok = CommandStatus::OK;
    let mut expected: Vec<_> = (2..7).map(|sequence| (submit, sequence, ok)).collect();
    expected.push((CommandId::UNBIND.response(), 7, ok));
    assert_eq!(seen, expected);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_text_to_many_is_taken_for_each_and_tells_who_was_not() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let to = |digits: &str| Destination::Address(Address::new(1, 1, digits));
    let multi = Multi {
        destinations: vec![
            to("14155550123"),
            to("12"),
            Destination::List(b"friends".to_vec()),
            to("14155550124"),
        ],
        message: Message { destination: Address::default(), ..message("to many") },
    };
    let mut octets = Vec::new();
    multi.encode(&mut octets, 50);
    client.stream.write_all(&octets).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut buffer));
    let count = read.await.expect("an answer").unwrap();
    let (id, unsuccessful) = proto_smpp::pdu::multi::parse_response(&buffer[16..count]);
    assert!(!id.is_empty());
    let statuses: Vec<_> = unsuccessful.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [CommandStatus::INVDSTADR, CommandStatus::INVDLNAME]);
    until("both go out", async || peer.times("to many") == 2).await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inbound_messages_come_to_the_account_whose_number_they_are_for() {
    let world = World::of(profile("one", &Peer::new())).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |s| s.inbound_numbers = String::from("[\"12345\"]")).await;
    let mut client = Client::bound(&server, BindKind::Receiver, "acme").await;
    for (to, n) in [("99999", 1), ("12345", 2)] {
        let inbound = Inbound {
            carrier: world.carrier(0),
            carrier_organization: Some(world.organization),
            from: String::from("+14155550123"),
            to: to.to_owned(),
            body: format!("for {to}"),
            encoding: model::message::Encoding::Gsm7,
            from_ton: 1,
            raw: Vec::new(),
            said: model::esme::Submitted::default(),
            fingerprint: [n; 32],
            session: 0,
            part: None,
        };
        world.writer.perform(Work { inbound: vec![inbound], ..Work::default() }).await.unwrap();
    }
    let brought = client.brought().await;
    assert_eq!(text_of(&brought), "for 12345");
    assert_eq!((brought.source.text(), brought.destination.ton), ("14155550123".into(), 3));
    server.end().await;
    world.end().await;
}

/// Asks about an earlier message; the status and body of the answer. A receipt may come before it.
pub(super) async fn ask(client: &mut Client, ask: Ask) -> (u32, Vec<u8>) {
    let mut octets = Vec::new();
    ask.encode(&mut octets, 70);
    client.stream.write_all(&octets).await.unwrap();
    let mut head = [0; 16];
    let reading = async {
        loop {
            client.stream.read_exact(&mut head).await.unwrap();
            let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
            let mut body = vec![0; word(0) as usize - head.len()];
            client.stream.read_exact(&mut body).await.unwrap();
            if word(4) == CommandId::DELIVER_SM.0 {
                continue;
            }
            assert_eq!((word(4), word(12)), (ask.command().0 | 0x8000_0000, 70));
            return (word(8), body);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_waits_can_be_asked_for_and_stopped_once_by_its_account_alone() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |_| {}).await;
    server.account(&world, "other", |_| {}).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let mut later = message("later");
    later.schedule = b"000000010000000R".to_vec();
    client.step(Input::Submit { message: &later, tag: 1 }).await;
    let (_, status, id) = client.answered().await;
    assert_eq!(status, CommandStatus::OK);
    let id = || id.clone().into_bytes();
    let query = || Ask::Query(Query { message_id: id(), source: later.source.clone() });
    let cancel = |to: &str| {
        let (source, destination) = (later.source.clone(), Address::new(1, 1, to));
        Ask::Cancel(Cancel { message_id: id(), source, destination, ..Cancel::default() })
    };
    let state = |body: &[u8]| QueryResponse::parse(body).unwrap().message_state;

    let mut stranger = Client::bound(&server, BindKind::Transmitter, "other").await;
    assert_eq!(ask(&mut stranger, query()).await.0, CommandStatus::INVMSGID.0);
    assert_eq!(ask(&mut stranger, cancel("")).await.0, CommandStatus::INVMSGID.0);

    let (status, body) = ask(&mut client, query()).await;
    assert_eq!((status, state(&body)), (0, State::Enroute.code()));
    assert_eq!(ask(&mut client, cancel("14155550199")).await.0, CommandStatus::INVDSTADR.0);
    assert_eq!(ask(&mut client, cancel("14155550123")).await.0, 0);
    assert_eq!(ask(&mut client, cancel("")).await.0, CommandStatus::CANCELFAIL.0);
    let (status, body) = ask(&mut client, query()).await;
    assert_eq!((status, state(&body)), (0, State::Deleted.code()));
    assert_eq!(peer.times("later"), 0);
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn octets_that_fit_no_part_and_senders_that_are_not_listed_are_refused() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |s| s.allowed_senders = String::from("[\"Orbit\"]")).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let mut refused = async |change: fn(&mut Message)| {
        let mut message = message("refused");
        change(&mut message);
        client.step(Input::Submit { message: &message, tag: 1 }).await;
        client.answered().await.1
    };
    let long = refused(|message| {
        message.data_coding = 4;
        message.short_message = vec![0xA5; 141];
    });
    assert_eq!(long.await, CommandStatus::INVMSGLEN);
    let other = refused(|message| message.source = Address::new(5, 0, "Other"));
    assert_eq!(other.await, CommandStatus::INVSRCADR);
    let none = refused(|message| message.source = Address::default());
    assert_eq!(none.await, CommandStatus::INVSRCADR);
    assert_eq!(refused(|_| {}).await, CommandStatus::OK);
    until("the last one alone goes out", async || peer.heard().len() == 1).await;
    server.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_destinations_the_first_pass_as_far_as_the_pace_lets_them() {
    let peer = Peer::new();
    let world = World::of(profile("one", &peer)).await;
    let server = Server::start(&world).await;
    server.account(&world, "acme", |settings| settings.tps = 2).await;
    let mut client = Client::bound(&server, BindKind::Transmitter, "acme").await;
    let to = |n: usize| Destination::Address(Address::new(1, 1, format!("1415555012{n}")));
    let multi = Multi {
        destinations: (0..5).map(to).collect(),
        message: Message { destination: Address::default(), ..message("to many") },
    };
    let mut octets = Vec::new();
    multi.encode(&mut octets, 50);
    client.stream.write_all(&octets).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut buffer));
    let count = read.await.expect("an answer").unwrap();
    let (id, unsuccessful) = proto_smpp::pdu::multi::parse_response(&buffer[16..count]);
    assert!(!id.is_empty());
    let statuses: Vec<_> = unsuccessful.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [CommandStatus::THROTTLED; 3]);
    until("two go out", async || peer.times("to many") == 2).await;
    server.end().await;
    world.end().await;
}
