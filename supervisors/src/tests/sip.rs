//! SIP as a tree: what dies comes back, with what is stored and over what is still open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::lockout::Rule;
use actors::places::{Limits as Places, Places as Connections};
use actors::sip::calls::NoCalls;
use actors::sip::credentials::{Credentials, hashes};
use actors::sip::inbox::Inbox;
use actors::sip::own::Own;
use actors::sip::registrar::{RegistrarHandle, RegistrarMsg};
use actors::sip::shield::Shield;
use actors::sip::transport::{Limits, Names};
use model::clock::At;
use model::id::PublicId;
use proto_sip::binding::Policy as Bindings;
use proto_sip::digest::client::{Account, Attempt, Client, Target};
use proto_sip::digest::{Algorithm, Nonces};
use proto_sip::transaction::Settings;
use ractor::{Actor, ActorRef};
use store::lane::{Admin, SipChange, SipSettings};
use store::testing::Outsider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::world::{Plan, World, until};
use crate::restart::Policy;
use crate::sip::{SipArgs, SipHandle, SipMsg, SipSupervisor, Sockets};

const REALM: &str = "test.sip.localhost";
const PATIENCE: Duration = Duration::from_secs(10);

/// A tree with a writer, and SIP beside it.
struct Phones {
    world: World,
    sip: ActorRef<SipMsg>,
    registrar: RegistrarHandle,
    credentials: Credentials,
    /// The stored number of the credential.
    number: i64,
    at: SocketAddr,
}

impl Phones {
    async fn start() -> Self {
        let world = Plan::of(Vec::new()).start().await;
        let credentials = Credentials::default();
        let id = PublicId::new(At::now());
        let create = SipChange::Create {
            organization: world.organization,
            id,
            realm: REALM.to_owned(),
            username: String::from("desk"),
            hashes: hashes(REALM, "desk", "secret"),
            settings: SipSettings {
                label: String::from("Desk"),
                extension: None,
                allowed_outbound: false,
                allowed_destinations: String::from("[]"),
                caller_id: None,
                max_contacts: 5,
                suspended: false,
            },
            most: 10,
        };
        world.writer.administer(Admin::Sip(Box::new(create))).await.unwrap();
        let row = world.store.sip_credential(id).await.unwrap().unwrap();
        credentials.put(&row);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let udp = std::net::UdpSocket::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let registrar = RegistrarHandle::new(100);
        let void = registrar.clone();
        credentials.listen(move |of| void.tell(RegistrarMsg::Void(of)));
        let sockets = Sockets { udp: vec![udp], doors: vec![(listener, None)], web: None };
        let args = args(&world, sockets, registrar.clone(), credentials.clone());
        let (sip, _) = Actor::spawn(None, SipSupervisor, args).await.unwrap();
        Self { world, sip, registrar, credentials, number: row.id, at }
    }

    async fn reached(&self) -> usize {
        self.registrar.find(self.number).await.len()
    }
}

pub(super) fn args(
    world: &World,
    sockets: Sockets,
    registrar: RegistrarHandle,
    credentials: Credentials,
) -> SipArgs {
    let minute = Duration::from_secs(60);
    SipArgs {
        sockets: Arc::new(sockets),
        handle: SipHandle::default(),
        inbox: Inbox::new(2, 100, 5),
        shield: Shield::new(Rule { tries: 10, within: minute, shut: minute }, &[]),
        places: Connections::new(Places {
            connections_max: 10,
            per_address_max: 10,
            unbound_per_address_max: 10,
        }),
        limits: Limits {
            message: proto_sip::Limits::default(),
            message_patience: PATIENCE,
            write_patience: PATIENCE,
            idle: minute,
            handshake_patience: PATIENCE,
            queue_max: 10,
        },
        names: Names { public: None },
        registrar,
        calls: Arc::new(NoCalls),
        own: Own::default(),
        store: world.store.clone(),
        writer: world.writer.clone(),
        credentials,
        bindings: Bindings {
            expires_min_s: 1,
            expires_max_s: 3_600,
            expires_default_s: 3_600,
            contacts_max: 1,
            path_max: 100,
        },
        nonces: Nonces::new(&[7; 32], minute, false),
        algorithms: vec![Algorithm::Sha256],
        domain: Arc::from("sip.localhost"),
        settings: Settings::default(),
        retry_after_s: 5,
        policy: Policy::WORKER,
    }
}

enum Line {
    Udp(UdpSocket),
    Tcp(Mutex<TcpStream>),
}

impl Line {
    async fn ask(&self, text: &str) -> String {
        let mut buffer = vec![0; 4_000];
        let asking = async {
            match self {
                Self::Udp(socket) => {
                    socket.send(text.as_bytes()).await.unwrap();
                    socket.recv(&mut buffer).await
                }
                Self::Tcp(stream) => {
                    let mut stream = stream.lock().await;
                    stream.write_all(text.as_bytes()).await.unwrap();
                    stream.read(&mut buffer).await
                }
            }
        };
        match timeout(Duration::from_millis(500), asking).await {
            Ok(Ok(length)) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
            _ => String::new(),
        }
    }

    /// Registers once; the status, or nothing when nobody answers.
    async fn register(&self, contact: &str, expires: u32) -> String {
        let mut client = Client::new(vec![Account::new(REALM, "desk", "secret")]);
        let uri = format!("sip:{REALM}");
        let call_id =
            PublicId::new(At::now()).as_bytes().map(|octet| format!("{octet:02x}")).concat();
        let request = |cseq: u32, by: &str| {
            format!(
                "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{call_id}{cseq};rport\r\n\
                 From: <sip:desk@{REALM}>;tag=1\r\nTo: <sip:desk@{REALM}>\r\nCall-ID: {call_id}\r\n\
                 CSeq: {cseq} REGISTER\r\nContact: <{contact}>;expires={expires}\r\n{by}\
                 Content-Length: 0\r\n\r\n"
            )
        };
        let challenge = self.ask(&request(1, "")).await;
        let values = challenge.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
        let values: Vec<&str> = values.collect();
        let target = Target { method: "REGISTER", uri: &uri, cnonce: "c0ffee" };
        let Ok(value) = client.answer(&values, &target, &mut Attempt::default()) else {
            return challenge;
        };
        let said = self.ask(&request(2, &format!("Authorization: {value}\r\n"))).await;
        said.get(8..11).unwrap_or_default().to_owned()
    }
}

async fn both(phones: &Phones) -> (Line, Line) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect(phones.at).await.unwrap();
    (Line::Udp(udp), Line::Tcp(Mutex::new(TcpStream::connect(phones.at).await.unwrap())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrar_that_is_killed_comes_back_with_all_that_is_still_reached() {
    let phones = Phones::start().await;
    let (udp, tcp) = both(&phones).await;
    until("it registers", async || udp.register("sip:udp@h", 600).await == "200").await;
    assert_eq!(tcp.register("sip:tcp@h;transport=tcp", 600).await, "200");
    assert_eq!(phones.reached().await, 2);
    let before = phones.registrar.current().unwrap();
    before.kill();
    let another = async || {
        let now = phones.registrar.current();
        now.is_some_and(|now| now.get_id() != before.get_id()) && phones.reached().await == 2
    };
    until("another has both", another).await;
    drop(tcp);
    until("the connection's is gone", async || phones.reached().await == 1).await;
    phones.registrar.current().unwrap().kill();
    until("and stays gone", async || phones.reached().await == 1).await;
    assert_eq!(udp.register("sip:udp@h", 0).await, "200");
    assert_eq!(phones.reached().await, 0);
    phones.sip.stop(None);
    phones.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_are_killed_come_back_and_serve() {
    let phones = Phones::start().await;
    let (udp, _tcp) = both(&phones).await;
    until("it registers", async || udp.register("sip:udp@h", 600).await == "200").await;
    let registrar = phones.registrar.current().unwrap().get_id();
    for child in phones.sip.get_cell().get_children() {
        if child.get_id() != registrar {
            child.kill();
        }
    }
    until("it registers again", async || udp.register("sip:udp@h", 600).await == "200").await;
    assert_eq!(phones.registrar.current().unwrap().get_id(), registrar);
    phones.sip.stop(None);
    phones.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_end_with_their_time_and_with_their_credential() {
    let phones = Phones::start().await;
    let (udp, _tcp) = both(&phones).await;
    until("it registers", async || udp.register("sip:brief@h", 1).await == "200").await;
    until("it is over", async || phones.reached().await == 0).await;
    let rows = async || phones.world.store.sip_bindings((0, ""), 10).await.unwrap();
    until("the row too", async || rows().await.is_empty()).await;
    assert_eq!(udp.register("sip:long@h", 600).await, "200");
    let credential = phones.credentials.by_number(phones.number).unwrap();
    phones.credentials.unregister(credential.of);
    until("it is void", async || phones.reached().await == 0).await;
    phones.sip.stop(None);
    phones.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_the_database_refuses_is_500_and_bound_nowhere() {
    let phones = Phones::start().await;
    let (udp, tcp) = both(&phones).await;
    until("it registers", async || udp.register("sip:good@h", 600).await == "200").await;
    let mut outsider = Outsider::connect(&phones.world.url).await.unwrap();
    let refuse = "create trigger refuse before insert on sip_bindings
        when new.contact like '%poison%' begin select raise(abort, 'no'); end";
    outsider.run(refuse).await.unwrap();
    assert_eq!(tcp.register("sip:poison@h;transport=tcp", 600).await, "500");
    until("one is bound", async || phones.reached().await == 1).await;
    assert_eq!(tcp.register("sip:fine@h;transport=tcp", 600).await, "200");
    assert_eq!(phones.reached().await, 2);
    // What was bound before does not count either, when it cannot be stored anew.
    outsider.run(&refuse.replace("poison", "good").replace("refuse", "refuse_more")).await.unwrap();
    assert_eq!(udp.register("sip:good@h", 600).await, "500");
    until("the other is bound", async || phones.reached().await == 1).await;
    let rows = async || phones.world.store.sip_bindings((0, ""), 10).await.unwrap();
    until("and is a row", async || rows().await.len() == 1).await;
    assert!(rows().await[0].contact.contains("fine"));
    phones.sip.stop(None);
    phones.world.end().await;
}
