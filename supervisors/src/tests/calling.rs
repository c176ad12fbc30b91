//! Calls between sockets: a switch with numbers, trunks and credentials of a test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::webhook::guard::{Lookup, Networks, system_lookup};
use actors::media::{Config, Media, Notice, Sounds};
use actors::sip::call::{CallTable, Context, Front, FrontParts, Keeper, Limits, Order, Unobeyed};
use actors::sip::credentials::{self, Credentials};
use actors::sip::masks::Masks;
use actors::sip::names::{self, Names};
use actors::sip::numbers::Numbers;
use actors::sip::own::Own;
use actors::sip::recordings::{Taping, TapingParts};
use actors::sip::registrar::RegistrarHandle;
use actors::sip::srv::Services;
use actors::sip::trunks::{Trunk, Trunks};
use actors::smpp::tls::Tls;
use model::carrier::{MessageKey, OrgId};
use model::clock::At;
use model::emergency::Emergency;
use model::id::PublicId;
use model::number::{NumberStatus, Routing};
use model::trunk::{Encryption, Source, Target};
use model::voice::{Bounds, Jurisdictions, RecordingSettings, VoiceRates};
use proto_sip::digest::client::{Account, Attempt, Client, Target as Asked};
use ractor::{Actor, ActorRef};
use store::{NumberRouteRow, SipCredentialRow};
use tokio::net::UdpSocket;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::sip;
use super::world::{Plan, World};
use crate::calls::{CallsArgs, CallsMsg, CallsSupervisor};
use crate::sip::{SipHandle, SipMsg, SipSupervisor, Sockets};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Where telephones are.
pub(super) const REALM: &str = "acme.sip.test";
const RATES: &str = "prefix,direction,rate_per_min_micros,initial_s,increment_s,\
    connect_fee_micros,valid_from,valid_to\n\
    1,outbound,12000,60,60,0,,\n1,inbound,4000,60,60,0,,\n";
/// The sound that tells of a recording.
pub(super) const ANNOUNCEMENT: &str = "consent.wav";
/// What a minute costs that comes in and goes out again.
pub(super) const MINUTE: i64 = 16_000;

/// A number that is forwarded, if a test says nothing else: who calls it and who is called are ends of
/// ours.
pub(super) struct Calling {
    pub world: World,
    pub sip: ActorRef<SipMsg>,
    pub calls: ActorRef<CallsMsg>,
    pub handle: SipHandle,
    pub own: Own,
    pub context: Arc<Context>,
    pub table: CallTable,
    /// Where the switch is.
    pub at: SocketAddr,
    pub caller: End,
    pub callee: End,
}

/// What a test may have otherwise.
pub(super) struct Setup {
    pub organization: OrgId,
    pub callee: SocketAddr,
    /// The switch itself.
    pub at: SocketAddr,
    /// How long a connection may be idle, and a call without a sound.
    pub idle: Duration,
    pub silence: Duration,
    pub numbers: Vec<NumberRouteRow>,
    /// The operator's, and the organization's.
    pub trunks: Vec<Trunk>,
    pub own_trunks: Vec<Trunk>,
    pub credentials: Credentials,
    pub limits: Limits,
    pub lookup: Lookup,
    /// What names have records; none: no name is asked for its service.
    pub services: Option<Services>,
    /// How long nothing may be said of an INVITE.
    pub unanswered: Duration,
    /// What is announced: so many milliseconds of silence, by the name of `consent.wav`; none: it is not there.
    pub announcement_ms: Option<usize>,
    pub recording: RecordingSettings,
    pub tls: Option<Tls>,
}

/// A telephone of a socket.
pub(super) struct End {
    socket: UdpSocket,
    kept: Mutex<Vec<String>>,
}

impl End {
    pub(super) async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, kept: Mutex::default() }
    }

    pub(super) fn at(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(super) async fn send(&self, to: SocketAddr, text: &str) {
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// The next message that begins so, with where it came from.
    pub(super) async fn next(&self, begins: &str) -> (String, SocketAddr) {
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

    pub(super) fn sdp(&self) -> String {
        let at = self.at();
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
            ip = at.ip()
        )
    }

    pub(super) async fn answer(
        &self,
        (request, from): &(String, SocketAddr),
        status: u16,
        sdp: &str,
    ) {
        self.send(*from, &reply(request, self.at(), status, "", sdp)).await;
    }

    /// An answer that asks for credentials.
    pub(super) async fn challenge(
        &self,
        (request, from): &(String, SocketAddr),
        realm: &str,
        nonce: &str,
    ) {
        let asks = format!(
            "WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, \
             qop=\"auth\"\r\n"
        );
        self.send(*from, &reply(request, self.at(), 401, &asks, "")).await;
    }

    /// Registers a telephone that `credential` made.
    pub(super) async fn register(&self, switch: SocketAddr, username: &str) {
        let at = self.at();
        let request = |number: u32, by: &str| {
            format!(
                "REGISTER sip:{REALM} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {at};branch=z9hG4bKr{number};rport\r\n\
                 From: <sip:{username}@{REALM}>;tag=1\r\nTo: <sip:{username}@{REALM}>\r\n\
                 Call-ID: r{}\r\nCSeq: {number} REGISTER\r\n\
                 Contact: <sip:{username}@{at}>;expires=600\r\n{by}Content-Length: 0\r\n\r\n",
                at.port()
            )
        };
        self.send(switch, &request(1, "")).await;
        let (asked, _) = self.next("SIP/2.0 401").await;
        let by = authorization(&asked, ("REGISTER", &format!("sip:{REALM}")), username);
        self.send(switch, &request(2, &by)).await;
        self.next("SIP/2.0 200").await;
    }

    /// Whether something else came.
    pub(super) fn has_more(&self) -> bool {
        self.socket.try_recv_from(&mut [0; 4_000]).is_ok()
    }
}

/// The answer to a request, as whoever is at this address gives it.
pub(super) fn reply(request: &str, at: SocketAddr, status: u16, more: &str, sdp: &str) -> String {
    let copied = |name: &str| {
        let line = request.lines().find(|line| line.starts_with(name));
        format!("{}\r\n", line.unwrap_or_default())
    };
    let to = copied("To: ");
    let to = to.trim_end();
    let tag = if to.contains(";tag=") { "" } else { ";tag=callee" };
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let transport = if request.contains("SIP/2.0/TCP") { ";transport=tcp" } else { "" };
    format!(
        "SIP/2.0 {status} Said\r\n{}{}{to}{tag}\r\n{}{}Contact: <sip:end@{at}{transport}>\r\n\
         {more}{kind}Content-Length: {}\r\n\r\n{sdp}",
        copied("Via: "),
        copied("From: "),
        copied("Call-ID: "),
        copied("CSeq: "),
        sdp.len()
    )
}

/// What a challenge is answered by who has the password "secret".
pub(super) fn authorization(answer: &str, (method, uri): (&str, &str), user: &str) -> String {
    let line = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name));
    let challenge = line("WWW-Authenticate: ").expect("a challenge");
    let realm = challenge.split("realm=\"").nth(1).and_then(|rest| rest.split('"').next());
    let account = Account::new(realm.unwrap(), user, "secret");
    let asked = Asked { method, uri, cnonce: "0a4f113b" };
    let said = Client::new(vec![account]).answer(&[challenge], &asked, &mut Attempt::default());
    format!("Authorization: {}\r\n", said.unwrap())
}

impl Calling {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// On the heap: what a test awaits is small.
    pub(super) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        Box::pin(Self::changed(change)).await
    }

    async fn changed(change: impl FnOnce(&mut Setup)) -> Self {
        let world = Plan::of(Vec::new()).start().await;
        let (caller, callee) = (End::new().await, End::new().await);
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let at = udp.local_addr().unwrap();
        let sockets = Sockets { udp: vec![udp], doors: Vec::new(), web: None };
        let table = CallTable::new(10, 5);
        let registrar = RegistrarHandle::new(100);
        let mut setup = Setup::new(world.organization, callee.at(), at);
        change(&mut setup);
        let mut args = sip::args(&world, sockets, registrar.clone(), setup.credentials.clone());
        args.calls = Arc::new(table.clone());
        args.limits.idle = setup.idle;
        args.settings.unanswered_max = setup.unanswered;
        let (handle, own) = (args.handle.clone(), args.own.clone());
        let (context, notices) = context(&world, &args, registrar, setup);
        let context = Arc::new(context);
        let notices = Arc::new(Mutex::new(notices));
        let calls = CallsArgs {
            context: Arc::clone(&context),
            table: table.clone(),
            checkpoint: PATIENCE,
            notices,
        };
        let (calls, _) = Actor::spawn(None, CallsSupervisor, calls).await.unwrap();
        let (sip, _) = Actor::spawn(None, SipSupervisor, args).await.unwrap();
        Self { world, sip, calls, handle, own, context, table, at, caller, callee }
    }

    pub(super) async fn end(self) {
        self.sip.stop(None);
        self.calls.stop(None);
        self.world.end().await;
    }

    pub(super) fn request(&self, method: &str, tag: &str, sdp: &str) -> String {
        self.request_of((method, 1), "+12125550000@h", ("+14155550100@h", tag), "", sdp)
    }

    pub(super) fn request_of(
        &self,
        (method, number): (&str, u32),
        from: &str,
        (to, tag): (&str, &str),
        more: &str,
        sdp: &str,
    ) -> String {
        let at = self.caller.at();
        let hops = if more.contains("Max-Forwards") { "" } else { "Max-Forwards: 70\r\n" };
        format!(
            "{method} sip:{to} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {at};branch=z9hG4bK{method}{number};rport\r\n\
             {hops}{more}From: <sip:{from}>;tag=1\r\nTo: <sip:{to}>{tag}\r\n\
             Call-ID: one{}\r\nCSeq: {number} {method}\r\nContact: <sip:end@{at}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            // Within a call it is that of its first request.
            if tag.is_empty() { number } else { 1 },
            sdp.len()
        )
    }

    /// Calls, and it rings: the INVITE as it comes to the callee.
    pub(super) async fn ring(&self) -> (String, SocketAddr) {
        let invite = self.request("INVITE", "", &self.caller.sdp());
        self.caller.send(self.at, &invite).await;
        let invite = self.callee.next("INVITE sip:+14155559999@").await;
        self.callee.answer(&invite, 180, "").await;
        self.caller.next("SIP/2.0 180").await;
        invite
    }

    /// Calls, and is answered.
    pub(super) async fn talk(&self) {
        let invite = self.ring().await;
        self.answered(&invite).await;
    }

    /// It is answered: what marks the switch's end of the call.
    pub(super) async fn answered(&self, invite: &(String, SocketAddr)) -> String {
        self.callee.answer(invite, 200, &self.callee.sdp()).await;
        let tag = self.acknowledges().await;
        self.callee.next("ACK ").await;
        tag
    }

    /// The caller hears that it is answered: what marks the switch's end of the call.
    pub(super) async fn acknowledges(&self) -> String {
        let (ok, _) = self.caller.next("SIP/2.0 200").await;
        let tag = ok.lines().find_map(|line| line.strip_prefix("To: ")?.split_once(";tag="));
        let tag = format!(";tag={}", tag.unwrap().1);
        self.caller.send(self.at, &self.request("ACK", &tag, "")).await;
        tag
    }

    /// Calls that are answered, in the order in which they began.
    pub(super) fn answered_calls(&self) -> Vec<MessageKey> {
        let now = tokio::time::Instant::now().into_std();
        let all = self.context.keeper.answered(now);
        let mut all: Vec<MessageKey> = all.into_iter().map(|(key, _)| key).collect();
        all.sort_unstable();
        all
    }

    /// Orders the first of them to do something.
    pub(super) async fn order(&self, order: Order) -> Result<(), Unobeyed> {
        self.context.keeper.order(self.answered_calls()[0], order).await
    }

    pub(super) fn sip_connections(&self) -> usize {
        (self.context.wire)().map_or(0, |wire| wire.connections())
    }

    pub(super) async fn wallet(&self) -> (i64, i64) {
        let wallet = self.world.store.wallet(self.world.organization).await.unwrap().unwrap();
        (wallet.available, wallet.held)
    }
}

pub(super) fn number(
    organization: OrgId,
    id: i64,
    e164: &str,
    routing: Option<Routing>,
) -> NumberRouteRow {
    NumberRouteRow {
        id,
        public_id: vec![u8::try_from(id).unwrap(); 16],
        organization_id: organization.0,
        e164: e164.to_owned(),
        capabilities: String::from("[\"voice\"]"),
        status: NumberStatus::Active.code(),
        routing: routing.map(|routing| routing.text()),
        record: 0,
        routing_password: None,
        assigned_at: Some(id),
        updated_at: 1,
        is_sandbox: 0,
    }
}

pub(super) fn trunk(name: &str, target: Option<Target>, sources: &[&str]) -> Trunk {
    Trunk {
        id: PublicId::new(At::now()),
        organization: None,
        name: name.into(),
        target,
        sources: sources.iter().filter_map(|text| Source::parse(text)).collect(),
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
    }
}

/// A telephone of an organization, with the password "secret" and the extension 99 and its number.
pub(super) fn credential(organization: OrgId, id: i64, username: &str) -> SipCredentialRow {
    let hashes = credentials::hashes(REALM, username, "secret");
    SipCredentialRow {
        id,
        public_id: vec![u8::try_from(id).unwrap(); 16],
        organization_id: organization.0,
        realm: REALM.to_owned(),
        username: username.to_owned(),
        ha1_md5: hashes.md5,
        ha1_sha256: hashes.sha256,
        extension: Some((99 + id).to_string()),
        allowed_outbound: 1,
        allowed_destinations: String::from("[]"),
        caller_id: None,
        max_contacts: 5,
        status: 1,
        updated_at: 10,
        suspended_at: None,
        is_sandbox: 0,
    }
}

impl Setup {
    fn new(organization: OrgId, callee: SocketAddr, at: SocketAddr) -> Self {
        let routing = Routing::Forward { number: "+14155559999".into() };
        Self {
            organization,
            callee,
            at,
            idle: Duration::from_secs(60),
            silence: Duration::ZERO,
            numbers: vec![number(organization, 1, "+14155550100", Some(routing))],
            trunks: vec![
                trunk("out", Target::parse(&format!("sip:{callee}")), &[]),
                trunk("in", None, &["127.0.0.1"]),
            ],
            own_trunks: Vec::new(),
            credentials: Credentials::default(),
            limits: Limits {
                ring: PATIENCE,
                ring_all: PATIENCE * 6,
                remind: PATIENCE * 6,
                duration: Duration::from_secs(3_600),
                codecs: Vec::new(),
                spoken: Vec::new(),
                ladder: true,
                trusts_caller_ids: false,
            },
            lookup: system_lookup(),
            services: None,
            unanswered: PATIENCE * 6,
            announcement_ms: None,
            recording: RecordingSettings::default(),
            tls: None,
        }
    }
}

/// A WAV file of so many samples of silence.
fn silence(samples: usize) -> Vec<u8> {
    let octets = u32::try_from(samples * 2).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((octets + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(octets.to_le_bytes());
    file.resize(file.len() + samples * 2, 0);
    file
}

fn context(
    world: &World,
    sip: &crate::sip::SipArgs,
    registrar: RegistrarHandle,
    setup: Setup,
) -> (Context, mpsc::Receiver<Notice>) {
    let sounds = Sounds::new(Some(world.folder().to_owned()), 1_000_000);
    if let Some(millis) = setup.announcement_ms {
        std::fs::write(world.folder().join(ANNOUNCEMENT), silence(millis * 8)).unwrap();
        sounds.refresh();
    }
    let taping = Taping::new(TapingParts {
        jurisdictions: Jurisdictions::default(),
        sounds,
        folder: world.folder().to_owned(),
        hold_music: None,
    });
    taping.want(setup.organization, setup.recording);
    let loopback = || Networks::parse(&["127.0.0.0/8"]).unwrap_or_default();
    let media = Media::start(&Config {
        threads: 1,
        bind: [127, 0, 0, 1].into(),
        public_address: None,
        port_min: 20_000,
        port_max: 40_000,
        port_rest: Duration::ZERO,
        timeout: setup.silence,
        networks: loopback(),
        orders_max: 100,
        rtcp_interval: Duration::ZERO,
        transcoded_max: 100,
        recorder_queue: 10,
        recording_longest: PATIENCE,
    });
    let trunks = Trunks::new(loopback(), false);
    trunks.replace([(None, setup.trunks), (Some(setup.organization), setup.own_trunks)]);
    let (said, notices) = mpsc::channel(100);
    let numbers = Numbers::new(Box::new(|_, _| None));
    numbers.fill(&setup.numbers);
    let handle = sip.handle.clone();
    let context = Context {
        wire: Box::new(move || handle.wire()),
        front: Front::new(FrontParts {
            trunks,
            credentials: setup.credentials,
            nonces: sip.nonces.clone(),
            algorithms: sip.algorithms.clone(),
            domain: sip.domain.clone(),
        }),
        registrar,
        numbers,
        masks: Masks::default(),
        rates: Arc::new(VoiceRates::from_csv(RATES).unwrap()),
        bounds: Bounds::default(),
        emergency: Emergency::default(),
        names: Names::serving(
            setup.lookup,
            setup.services,
            names::Limits {
                names_max: 10,
                asks_max: 10,
                asks_each_max: 10,
                patience: PATIENCE,
                keep: PATIENCE,
            },
        ),
        tls: setup.tls,
        media: media.unwrap(),
        notices: said,
        writer: world.writer.clone(),
        keeper: Keeper::default(),
        legs: Arc::default(),
        limits: setup.limits,
        taping,
    };
    (context, notices)
}
