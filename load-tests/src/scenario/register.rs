//! `register`: telephones that register over UDP as fast as they are answered, with a challenge each or with
//! the nonce that they know, and the memory that many bindings take.
//!
//! Credentials are stored before the switch starts; each has some contacts. All register with a challenge, then
//! memory is read, once the transactions are over, of which each lasts half a minute; then all refresh with their
//! nonce, some times. CPU is the switch's own, so the figures per core hold whatever else the machine does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use model::carrier::OrgId;
use model::clock::At;
use model::id::PublicId;
use proto_sip::digest::client::{Account, Attempt, Client, Target};
use proto_sip::digest::{Algorithm, Ha1};
use serde_json::{Value, json};
use store::lane::{Admin, SipChange, SipHashes, SipSettings, Work};
use store::{Options, Store};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::flow::tenths;
use crate::peer::smsc::{Smsc, SmscOptions};
use crate::process::{self, Scratch, free_port};
use crate::switch::{Switch, SwitchArgs};

/// Credentials that one transaction stores.
const CHUNK: usize = 500;
const PASSWORD: &str = "loadload";
/// Without an answer for so long a telephone sends again.
const AGAIN: Duration = Duration::from_millis(500);
/// Sent again so often without an answer, the switch is broken.
const TRIES: u32 = 20;
/// Refused so often for want of room, it is too slow for so many at once.
const REFUSALS: u32 = 120;
/// Between two looks for what has waited too long.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Bindings in all.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    bindings: u32,
    /// Contacts of each credential.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    contacts: u32,
    /// REGISTERs under way at once.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    at_once: u32,
    /// Turns of refreshes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    turns: u32,
    /// Between the registrations and the reading of memory: transactions last 32 seconds.
    #[arg(long, default_value_t = 36, value_parser = clap::value_parser!(u64).range(0..=600))]
    rest_s: u64,
    /// Registrations a second and core, with a nonce that is known.
    #[arg(long, default_value_t = 5_000.0)]
    rate_min: f64,
    /// Of 100,000 bindings.
    #[arg(long, default_value_t = 150.0)]
    memory_max_mb: f64,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// One telephone.
struct Phone {
    number: usize,
    user: String,
    realm: String,
    client: Client,
    attempt: Attempt,
    cseq: u32,
    sent: Instant,
    tries: u32,
    request: Vec<u8>,
    waits: bool,
    /// It was refused for want of room, and begins anew.
    refused: bool,
    refusals: u32,
}

/// What a turn was.
#[derive(Default)]
struct Turn {
    seconds: f64,
    cpu_micros: u64,
    granted: u64,
    challenges: u64,
    again: u64,
    refused: u64,
}

pub(crate) async fn run(args: RegisterArgs) -> Result<Option<Value>> {
    let sip = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let credentials = args.bindings.div_ceil(args.contacts);
    let more = format!(
        "\n[sip]\nbind = \"{sip}\"\ncredentials_per_organization_max = {credentials}\n\
         digest_algorithms = [\"SHA-256\"]\n"
    );
    let scratch = Scratch::new("register", args.switch.keep_files)?;
    let smsc = Smsc::start(([127, 0, 0, 1], 0).into(), args.smsc.clone())?;
    let mut switch = Switch::prepare(&args.switch, scratch.path(), &smsc, &args.smsc)?;
    switch.add_settings(&more)?;
    let url = match args.switch.uses_postgres() {
        true => args.switch.store.clone(),
        false => format!("sqlite://{}", scratch.path().join("data/orbit.db").display()),
    };
    let mut phones = phones(&url, &args, credentials as usize).await?;
    switch.serve().await?;
    let before = memory(&switch);
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(sip).await?;
    let first = turn(&switch, &socket, &mut phones, args.at_once).await?;
    tokio::time::sleep(Duration::from_secs(args.rest_s)).await;
    let after = memory(&switch);
    let mut refreshed = Turn::default();
    for _ in 0..args.turns {
        let one = turn(&switch, &socket, &mut phones, args.at_once).await?;
        refreshed.seconds += one.seconds;
        refreshed.cpu_micros += one.cpu_micros;
        refreshed.granted += one.granted;
        refreshed.challenges += one.challenges;
        refreshed.again += one.again;
        refreshed.refused += one.refused;
    }
    let peak = tenths(process::peak_memory_kb(switch.id()) as f64 / 1024.0);
    switch.stop();
    let per_core = per_core(&refreshed);
    let bytes = (after - before) * 1024.0 * 1024.0 / f64::from(args.bindings);
    let per_100k = tenths(bytes * 100_000.0 / 1024.0 / 1024.0);
    Ok(Some(json!({
        "scenario": "register",
        "passed": per_core >= args.rate_min && per_100k <= args.memory_max_mb,
        "store": args.switch.store_name(),
        "bindings": args.bindings,
        "per_second": tenths(refreshed.granted as f64 / refreshed.seconds),
        "per_second_and_core": tenths(per_core),
        "cpu_micros": tenths(refreshed.cpu_micros as f64 / refreshed.granted.max(1) as f64),
        "challenged_per_second": tenths(first.granted as f64 / first.seconds),
        "challenged_per_second_and_core": tenths(self::per_core(&first)),
        "challenged_cpu_micros": tenths(first.cpu_micros as f64 / first.granted.max(1) as f64),
        "challenges_when_refreshed": refreshed.challenges,
        "sent_again": first.again + refreshed.again,
        "refused": first.refused + refreshed.refused,
        "memory_before_mb": before,
        "memory_mb": after,
        "memory_peak_mb": peak,
        "bytes_per_binding": tenths(bytes),
        "memory_per_100000_mb": per_100k,
    })))
}

fn memory(switch: &Switch) -> f64 {
    tenths(process::memory_kb(switch.id()) as f64 / 1024.0)
}

fn per_core(turn: &Turn) -> f64 {
    turn.granted as f64 * 1_000_000.0 / turn.cpu_micros.max(1) as f64
}

/// Stores the credentials, and gives each its telephones.
async fn phones(url: &str, args: &RegisterArgs, credentials: usize) -> Result<Vec<Phone>> {
    let store = Store::open(Options::new(url)).await.context("opening the store")?;
    let organizations = store.organizations(1).await?;
    let organization = organizations.first().context("an organization")?;
    let slug = organization.slug.clone().context("a slug")?;
    let (organization, realm) = (OrgId(organization.id), format!("{slug}.sip.localhost"));
    let mut lane = store.lane(|_| Vec::new(), true).await?;
    let users: Vec<String> = (0..credentials).map(|number| format!("load{number}")).collect();
    for chunk in users.chunks(CHUNK) {
        let create = |user: &String| {
            let hash = |algorithm| Ha1::new(algorithm, user, &realm, PASSWORD).to_hex();
            let change = SipChange::Create {
                organization,
                id: PublicId::new(At::now()),
                realm: realm.clone(),
                username: user.clone(),
                hashes: SipHashes { md5: hash(Algorithm::Md5), sha256: hash(Algorithm::Sha256) },
                settings: SipSettings {
                    label: user.clone(),
                    extension: None,
                    allowed_outbound: false,
                    allowed_destinations: String::from("[]"),
                    caller_id: None,
                    max_contacts: i64::from(args.contacts),
                    suspended: false,
                },
                most: i64::MAX,
            };
            Admin::Sip(Box::new(change))
        };
        let admin = chunk.iter().map(create).collect();
        lane.commit(&Work { admin, ..Work::default() }).await?;
    }
    drop(lane);
    store.close().await;
    let phone = |number: usize| {
        let user = users[number / args.contacts as usize].clone();
        Phone {
            number,
            client: Client::new(vec![Account::new(&realm, &user, PASSWORD)]),
            user,
            realm: realm.clone(),
            attempt: Attempt::default(),
            cseq: 0,
            sent: Instant::now(),
            tries: 0,
            request: Vec::new(),
            waits: false,
            refused: false,
            refusals: 0,
        }
    };
    Ok((0..args.bindings as usize).map(phone).collect())
}

impl Phone {
    fn register(&mut self, authorization: Option<&str>, from: SocketAddr) {
        self.cseq += 1;
        let (user, realm, number, cseq) = (&self.user, &self.realm, self.number, self.cseq);
        let authorization =
            authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        self.request = format!(
            "REGISTER sip:{realm} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number}.{cseq};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@{realm}>;tag={number}\r\nTo: <sip:{user}@{realm}>\r\n\
             Call-ID: {number}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}-{number}@{from}>\r\n\
             Expires: 3600\r\nUser-Agent: orbit-load\r\n{authorization}Content-Length: 0\r\n\r\n"
        )
        .into_bytes();
        self.tries = 0;
        (self.waits, self.refused) = (true, false);
    }

    fn uri(&self) -> String {
        format!("sip:{}", self.realm)
    }

    /// Begins a registration, with the nonce of the last one if there was one.
    fn begin(&mut self, from: SocketAddr) {
        self.attempt = Attempt::default();
        let uri = self.uri();
        let realm = self.realm.clone();
        let target = Target { method: "REGISTER", uri: &uri, cnonce: "c0ffee" };
        let known = self.client.again(&realm, &target);
        self.register(known.as_deref(), from);
    }

    fn answer(&mut self, text: &str, from: SocketAddr) -> Result<()> {
        let challenges = text.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
        let challenges: Vec<&str> = challenges.collect();
        let uri = self.uri();
        let target = Target { method: "REGISTER", uri: &uri, cnonce: "c0ffee" };
        let value = self.client.answer(&challenges, &target, &mut self.attempt);
        let value = value.with_context(|| format!("{challenges:?}"))?;
        self.register(Some(&value), from);
        Ok(())
    }
}

/// Every telephone registers once.
async fn turn(
    switch: &Switch,
    socket: &UdpSocket,
    phones: &mut [Phone],
    window: u32,
) -> Result<Turn> {
    let from = socket.local_addr()?;
    let (begun, cpu) = (Instant::now(), process::cpu_micros(switch.id()));
    let mut turn = Turn::default();
    let mut next = 0;
    let mut waiting: Vec<usize> = Vec::new();
    let mut buffer = vec![0; 4_096];
    let mut looked = begun;
    while turn.granted < phones.len() as u64 {
        while waiting.len() < window as usize && next < phones.len() {
            phones[next].begin(from);
            send(socket, &mut phones[next]).await?;
            waiting.push(next);
            next += 1;
        }
        if let Ok(length) = timeout(LOOK, socket.recv(&mut buffer)).await {
            let text = String::from_utf8_lossy(&buffer[..length?]).into_owned();
            heard(socket, phones, &text, &mut turn).await?;
        }
        // Others are answered meanwhile: what was lost waits for nobody.
        if looked.elapsed() >= LOOK {
            again(socket, phones, &waiting, &mut turn).await?;
            looked = Instant::now();
        }
        waiting.retain(|number| phones[*number].waits);
    }
    turn.seconds = begun.elapsed().as_secs_f64();
    turn.cpu_micros = process::cpu_micros(switch.id()) - cpu;
    Ok(turn)
}

async fn send(socket: &UdpSocket, phone: &mut Phone) -> Result<()> {
    phone.sent = Instant::now();
    phone.tries += 1;
    ensure!(phone.tries < TRIES, "no answer to {}", String::from_utf8_lossy(&phone.request));
    socket.send(&phone.request).await?;
    Ok(())
}

async fn heard(
    socket: &UdpSocket,
    phones: &mut [Phone],
    text: &str,
    turn: &mut Turn,
) -> Result<()> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let number: usize = field("Call-ID: ").context("a Call-ID")?.parse()?;
    let phone = phones.get_mut(number).context("a telephone")?;
    let cseq = field("CSeq: ").and_then(|value| value.split(' ').next()?.parse::<u32>().ok());
    if cseq != Some(phone.cseq) || !phone.waits {
        return Ok(());
    }
    match text.get(8..11) {
        Some("200") => {
            phone.waits = false;
            turn.granted += 1;
        }
        Some("401") => {
            turn.challenges += 1;
            phone.answer(text, socket.local_addr()?)?;
            send(socket, phone).await?;
        }
        Some("503") => {
            // Its transaction may answer what is sent again with the same words.
            (phone.refused, phone.sent) = (true, Instant::now());
            phone.refusals += 1;
            turn.refused += 1;
            ensure!(phone.refusals < REFUSALS, "refused {REFUSALS} times: {text}");
        }
        _ => anyhow::bail!("{text}"),
    }
    Ok(())
}

/// Sends again what has waited too long.
async fn again(
    socket: &UdpSocket,
    phones: &mut [Phone],
    waiting: &[usize],
    turn: &mut Turn,
) -> Result<()> {
    for number in waiting {
        let phone = &mut phones[*number];
        if phone.waits && phone.sent.elapsed() >= AGAIN {
            if phone.refused {
                phone.begin(socket.local_addr()?);
            } else {
                turn.again += 1;
            }
            send(socket, phone).await?;
        }
    }
    Ok(())
}
