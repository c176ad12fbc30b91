//! Calls as a tree: one that fails ends alone, both ends hear it, and it is billed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::Networks;
use actors::media::{Config, Media};
use actors::sip::call::{CallTable, Context, Front, FrontParts, Keeper, Limits};
use actors::sip::credentials::Credentials;
use actors::sip::dialplan::numbers::{Number, Numbers, Routing};
use actors::sip::registrar::RegistrarHandle;
use actors::sip::trunks::{Trunk, Trunks};
use model::clock::At;
use model::emergency::Emergency;
use model::id::PublicId;
use model::trunk::{Encryption, Source, Target};
use model::voice::{Bounds, VoiceRates};
use ractor::{Actor, ActorRef};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::sip;
use super::world::{CREDIT, Plan, World, until};
use crate::calls::{CallsArgs, CallsMsg, CallsSupervisor};
use crate::sip::{SipMsg, SipSupervisor, Sockets};

const PATIENCE: Duration = Duration::from_secs(10);
const RATES: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,\
    connect_fee_micros,valid_from,valid_to\n\
    1,outbound,12000,60,60,0,,\n1,inbound,4000,60,60,0,,\n";
/// What a minute costs that comes in and goes out again.
const MINUTE: i64 = 16_000;

/// A number that is forwarded: who calls it and who is called are ends of ours.
struct Calling {
    world: World,
    sip: ActorRef<SipMsg>,
    calls: ActorRef<CallsMsg>,
    table: CallTable,
    /// Where the switch is.
    at: SocketAddr,
    caller: End,
    callee: End,
}

/// A telephone of a socket.
struct End {
    socket: UdpSocket,
    kept: Mutex<Vec<String>>,
}

impl End {
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, kept: Mutex::default() }
    }

    fn at(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    async fn send(&self, to: SocketAddr, text: &str) {
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// The next message that begins so, with where it came from.
    async fn next(&self, begins: &str) -> (String, SocketAddr) {
        let mut buffer = vec![0; 4_000];
        let waiting = async {
            loop {
                let (length, from) = self.socket.recv_from(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with(begins) {
                    return (text, from);
                }
                self.kept.lock().await.push(text);
            }
        };
        match timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("no {begins}, but {:#?}", self.kept.lock().await),
        }
    }

    fn sdp(&self) -> String {
        let at = self.at();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
            ip = at.ip()
        )
    }

    async fn answer(&self, (request, from): &(String, SocketAddr), status: u16, sdp: &str) {
        let copied = |name: &str| {
            let line = request.lines().find(|line| line.starts_with(name));
            format!("{}\r\n", line.unwrap_or_default())
        };
        let to = copied("To: ");
        let to = to.trim_end();
        let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {status} Said\r\n{}{}{to}{tag}\r\n{}{}Contact: <sip:end@{}>\r\n{kind}\
             Content-Length: {}\r\n\r\n{sdp}",
            copied("Via: "),
            copied("From: "),
            copied("Call-ID: "),
            copied("CSeq: "),
            self.at(),
            sdp.len()
        );
        self.send(*from, &text).await;
    }
}

impl Calling {
    async fn start() -> Self {
        let world = Plan::of(Vec::new()).start().await;
        let (caller, callee) = (End::new().await, End::new().await);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let at = udp.local_addr().unwrap();
        let sockets = Sockets { udp: vec![udp], doors: Vec::new(), web: None };
        let table = CallTable::new(10, 5);
        let registrar = RegistrarHandle::new(100);
        let mut args = sip::args(&world, sockets, registrar.clone(), Credentials::default());
        args.calls = Arc::new(table.clone());
        let context = context(&world, &args, registrar, &callee);
        let (calls, _) =
            Actor::spawn(None, CallsSupervisor, CallsArgs { table: table.clone(), ..context })
                .await
                .unwrap();
        let (sip, _) = Actor::spawn(None, SipSupervisor, args).await.unwrap();
        Self { world, sip, calls, table, at, caller, callee }
    }

    fn request(&self, method: &str, tag: &str, sdp: &str) -> String {
        let at = self.caller.at();
        format!(
            "{method} sip:+14155550100@h SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+12125550000@h>;tag=1\r\nTo: <sip:+14155550100@h>{tag}\r\n\
             Call-ID: one\r\nCSeq: 1 {method}\r\nContact: <sip:end@{at}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    /// Calls, and it rings: the INVITE as it comes to the callee.
    async fn ring(&self) -> (String, SocketAddr) {
        let invite = self.request("INVITE", "", &self.caller.sdp());
        self.caller.send(self.at, &invite).await;
        let invite = self.callee.next("INVITE sip:+14155559999@").await;
        self.callee.answer(&invite, 180, "").await;
        self.caller.next("SIP/2.0 180").await;
        invite
    }

    /// Calls, and is answered.
    async fn talk(&self) {
        let invite = self.ring().await;
        self.callee.answer(&invite, 200, &self.callee.sdp()).await;
        let (ok, _) = self.caller.next("SIP/2.0 200").await;
        let tag = ok.lines().find_map(|line| line.strip_prefix("To: ")?.split_once(";tag="));
        let tag = format!(";tag={}", tag.unwrap().1);
        self.caller.send(self.at, &self.request("ACK", &tag, "")).await;
        self.callee.next("ACK ").await;
    }

    async fn wallet(&self) -> (i64, i64) {
        let wallet = self.world.store.wallet(self.world.organization).await.unwrap().unwrap();
        (wallet.available, wallet.held)
    }
}

fn context(
    world: &World,
    sip: &crate::sip::SipArgs,
    registrar: RegistrarHandle,
    callee: &End,
) -> CallsArgs {
    let media = Media::start(&Config {
        threads: 1,
        bind: [127, 0, 0, 1].into(),
        public_address: None,
        port_min: 20_000,
        port_max: 40_000,
        port_rest: Duration::ZERO,
        timeout: Duration::ZERO,
        networks: Networks::parse(&["127.0.0.0/8"]).unwrap_or_default(),
        orders_max: 100,
        rtcp_interval: Duration::ZERO,
        recorder_queue: 10,
        recording_longest: PATIENCE,
    });
    let number = Number {
        id: 1,
        organization: world.organization,
        e164: "+14155550100".into(),
        voice: true,
        routing: Routing::Forward { number: "+14155559999".into() },
        sandbox: false,
    };
    let trunk = |name: &str, target: Option<Target>, sources: Vec<Source>| Trunk {
        id: PublicId::new(At::now()),
        organization: None,
        name: name.into(),
        target,
        sources,
        username: None,
        password: None,
        codecs: Vec::new(),
        encryption: Encryption::None,
        register: false,
        ping: None,
        max_channels: 0,
        max_cps: 0,
        prefixes: Vec::new(),
        priority: 0,
        weight: 1,
        enabled: true,
    };
    let out = trunk("out", Target::parse(&format!("sip:{}", callee.at())), Vec::new());
    let into = trunk("in", None, vec![Source::parse("127.0.0.1").unwrap()]);
    let trunks = Trunks::new(Networks::default(), false);
    trunks.replace([(None, vec![out, into])]);
    let (said, notices) = mpsc::channel(100);
    let handle = sip.handle.clone();
    let context = Context {
        wire: Box::new(move || handle.wire()),
        front: Front::new(FrontParts {
            trunks,
            credentials: Credentials::default(),
            nonces: sip.nonces.clone(),
            algorithms: sip.algorithms.clone(),
            domain: sip.domain.clone(),
        }),
        registrar,
        numbers: Arc::new(Numbers::new(vec![number], &[])).into(),
        rates: Arc::new(VoiceRates::from_csv(RATES).unwrap()),
        bounds: Bounds::default(),
        emergency: Emergency::default(),
        tls: None,
        media: media.unwrap(),
        notices: said,
        writer: world.writer.clone(),
        keeper: Keeper::default(),
        legs: Arc::default(),
        limits: Limits {
            ring: PATIENCE,
            duration: Duration::from_secs(3_600),
            codecs: Vec::new(),
            ladder: true,
        },
    };
    CallsArgs {
        context: Arc::new(context),
        table: CallTable::new(1, 5),
        checkpoint: PATIENCE,
        notices: Arc::new(Mutex::new(notices)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_killed_ends_alone_and_both_ends_hear_it_and_it_is_billed() {
    let calling = Calling::start().await;
    calling.talk().await;
    let held = (CREDIT - 2 * MINUTE, 2 * MINUTE);
    until("two minutes are held", async || calling.wallet().await == held).await;
    let calls = calling.calls.get_cell().get_children();
    assert_eq!(calls.len(), 1);
    calls.iter().for_each(ractor::ActorCell::kill);
    for end in [&calling.callee, &calling.caller] {
        let bye = end.next("BYE ").await;
        end.answer(&bye, 200, "").await;
    }
    let billed = (CREDIT - MINUTE, 0);
    until("one minute is billed", async || calling.wallet().await == billed).await;
    until("it is gone", async || calling.table.count() == 0).await;
    calling.sip.stop(None);
    calling.calls.stop(None);
    calling.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_hung_up_when_patience_is_over() {
    let calling = Calling::start().await;
    calling.talk().await;
    let drain = |reply| CallsMsg::Drain { patience: Duration::from_millis(50), reply };
    let drained = calling.calls.call(drain, Some(PATIENCE));
    let ends = async {
        for end in [&calling.callee, &calling.caller] {
            let bye = end.next("BYE ").await;
            end.answer(&bye, 200, "").await;
        }
    };
    let (drained, ()) = tokio::join!(drained, ends);
    assert!(matches!(drained, Ok(ractor::rpc::CallResult::Success(()))));
    assert_eq!(calling.wallet().await, (CREDIT - MINUTE, 0));
    calling.sip.stop(None);
    calling.calls.stop(None);
    calling.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_killed_while_it_rings_is_given_up_and_costs_nothing() {
    let calling = Calling::start().await;
    let invite = calling.ring().await;
    let held = (CREDIT - 2 * MINUTE, 2 * MINUTE);
    until("two minutes are held", async || calling.wallet().await == held).await;
    calling.calls.get_cell().get_children().iter().for_each(ractor::ActorCell::kill);
    let cancel = calling.callee.next("CANCEL ").await;
    calling.callee.answer(&cancel, 200, "").await;
    calling.callee.answer(&invite, 487, "").await;
    calling.caller.next("SIP/2.0 500").await;
    until("nothing is billed", async || calling.wallet().await == (CREDIT, 0)).await;
    until("it is gone", async || calling.table.count() == 0).await;
    calling.sip.stop(None);
    calling.calls.stop(None);
    calling.world.end().await;
}
