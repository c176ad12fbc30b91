//! `siege`: a switch that is attacked from many sides while its calls go on.
//!
//! The calls come from one address, and the attackers from others of this machine: scanners, a flood of
//! INVITEs that prove nothing, guessed passwords, credentials that were overheard, BYEs for calls that are up,
//! connections that say an octet at a time or promise gigabytes, and RTP for ports that carry sound. Judged is what
//! the calls feel: none fails, none is cut, and what is heard is what was said. That the machine is shared
//! with the attackers is seen in the time of a set-up, which is shown and not judged.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::agents::Tally;
use super::bench::Bench;
use super::sound::{Ends, Sound};
use crate::client::Client;
use crate::peer::smsc::SmscOptions;
use crate::process;
use crate::scenario::flow::tenths;
use crate::switch::SwitchArgs;

const TAIL: Duration = Duration::from_secs(10);
/// Datagrams sent before the clock is looked at.
const BURST: u64 = 20;
/// An octet of each slow connection.
const DRIP: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct SiegeArgs {
    #[command(flatten)]
    switch: SwitchArgs,
    /// Before the attack, and during it.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Calls a second that go on.
    #[arg(long, default_value_t = 20.0)]
    calls: f64,
    /// Datagrams a second of each attacker.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Connections that say an octet at a time, and that promise what they never send.
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// What the memory may grow by.
    #[arg(long, default_value_t = 64.0)]
    memory_max_mb: f64,
    #[command(flatten)]
    smsc: SmscOptions,
}

/// One kind of attack, from an address of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attack {
    Scan,
    Flood,
    Guess,
    Replay,
    Bye,
    Inject,
}

const ATTACKS: [(Attack, &str); 6] = [
    (Attack::Scan, "scanner"),
    (Attack::Flood, "invite_flood"),
    (Attack::Guess, "guessed_passwords"),
    (Attack::Replay, "replayed_credentials"),
    (Attack::Bye, "forged_bye"),
    (Attack::Inject, "rtp_injection"),
];

/// What attackers know.
#[derive(Clone)]
struct Known {
    sip: SocketAddr,
    realm: String,
    user: String,
    /// Credentials that were overheard.
    overheard: String,
    /// A call that is up.
    call: String,
    /// Where its sound is taken.
    sound: Vec<SocketAddr>,
    rate: u64,
}

pub(crate) async fn run(args: SiegeArgs) -> Result<Option<Value>> {
    let parts = (&args.switch, &args.smsc);
    let (mut bench, mut agents) = Bench::start("siege", parts, None, "").await?;
    let hold = Some(Duration::from_millis(500));
    let time = Duration::from_secs(args.seconds);
    let ends = Ends::bind()?;
    let nowhere = std::mem::replace(&mut agents.sound, ends.addresses()?);
    // One call that is up all the time, with sound.
    agents.run(1.0, Duration::from_secs(1), None)?;
    let told = agents.told;
    agents.sound = nowhere;
    let call = agents.spoken().into_keys().next().context("no call is up")?;
    let told = [told[0].context("no place for sound")?, told[1].context("no place for sound")?];
    let sound = Sound::start(ends, told);
    std::mem::take(&mut agents.tally);
    agents.run(args.calls, time, hold)?;
    let calm = std::mem::take(&mut agents.tally);
    let calm_sound = sound.heard();
    let before = process::memory_kb(bench.switch.id());
    let known = Known {
        sip: agents.peer(),
        realm: agents.who().context("a telephone")?.realm.clone(),
        user: agents.who().context("a telephone")?.user.clone(),
        overheard: agents.proof().context("a nonce")?,
        call,
        sound: told.to_vec(),
        rate: args.rate,
    };
    let attackers = Attackers::start(&known, args.connections);
    agents.run(args.calls, time, hold)?;
    let (sent, slow) = attackers.stop();
    let after = process::memory_kb(bench.switch.id());
    let besieged_sound = sound.stop();
    agents.drain(Duration::from_secs(2), hold)?;
    agents.hang_up()?;
    agents.drain(TAIL, hold)?;
    let besieged = std::mem::take(&mut agents.tally);
    let metrics = metrics(bench.switch.address).await?;
    let held = bench.settled().await?.held_micros;
    bench.switch.stop();
    let grown = after.saturating_sub(before) as f64 / 1024.0;
    let mut problems = Vec::new();
    let mut judge = |wrong: bool, text: &str| {
        if wrong {
            problems.push(text.to_owned());
        }
    };
    judge(!besieged.failed.is_empty(), "calls failed");
    judge(besieged.cut > 0, "calls were cut");
    judge(besieged_sound.foreign > 0, "sound of strangers was heard");
    judge(besieged_sound.lost() * 1_000 > besieged_sound.sent, "sound was lost");
    judge(held != 0, "money is still held");
    judge(grown > args.memory_max_mb, "memory grew");
    let banned = metrics.get("orbit_sip_bans_total").copied().unwrap_or_default();
    judge(banned < 1.0, "nobody was banned");
    Ok(Some(json!({
        "scenario": "siege",
        "passed": problems.is_empty(),
        "problems": problems,
        "seconds": args.seconds,
        "attacks_a_second": sent.iter().map(|(name, sent)| {
            ((*name).to_owned(), json!(sent / args.seconds))
        }).collect::<serde_json::Map<_, _>>(),
        "slow_connections_closed_on_us": slow,
        "calm": shown(&calm),
        "besieged": shown(&besieged),
        "sound_lost": [calm_sound.lost(), besieged_sound.lost()],
        "sound_sent": besieged_sound.sent,
        "sound_of_strangers": besieged_sound.foreign,
        "memory_grown_mb": tenths(grown),
        "switch": metrics,
    })))
}

fn shown(tally: &Tally) -> Value {
    json!({
        "begun": tally.begun,
        "completed": tally.completed,
        "failed": tally.failed,
        "cut": tally.cut,
        "sent_again": tally.sent_again,
        "setup": tally.setup.summary(),
    })
}

/// What the switch counts of strangers.
async fn metrics(address: SocketAddr) -> Result<std::collections::BTreeMap<String, f64>> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut client = Client::new(address);
    let answer = client.send(request.as_bytes()).await?;
    let text = String::from_utf8_lossy(answer.body).into_owned();
    let names = ["bans", "bans_total", "dropped_total", "refused_total", "malformed_total"];
    let of = |name: &str| {
        let name = format!("orbit_sip_{name}");
        let line = text.lines().filter(|line| !line.starts_with('#'));
        let values = line.filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let key = key.split('{').next()?;
            (key == name).then(|| value.parse::<f64>().ok()).flatten()
        });
        let sum = values.sum();
        (name.clone(), sum)
    };
    Ok(names.iter().map(|name| of(name)).collect())
}

struct Attackers {
    stop: Arc<AtomicBool>,
    sent: Vec<(&'static str, Arc<AtomicU64>)>,
    threads: Vec<JoinHandle<()>>,
    slow: JoinHandle<u64>,
}

impl Attackers {
    fn start(known: &Known, connections: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut sent = Vec::new();
        let mut threads = Vec::new();
        for (at, (attack, name)) in ATTACKS.into_iter().enumerate() {
            let (known, stop, count) = (known.clone(), Arc::clone(&stop), Arc::default());
            sent.push((name, Arc::clone(&count)));
            let from = Ipv4Addr::new(127, 0, 0, 10 + at as u8);
            // A thread that cannot bind sends nothing, and its count says so.
            threads.push(std::thread::spawn(move || {
                let _ = attacks(attack, from, &known, (&stop, &count));
            }));
        }
        let (known, halt) = (known.clone(), Arc::clone(&stop));
        let slow = std::thread::spawn(move || slowly(&known, connections, &halt).unwrap_or(0));
        Self { stop, sent, threads, slow }
    }

    fn stop(self) -> (Vec<(&'static str, u64)>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // One that panicked has sent what its count says.
            let _ = thread.join();
        }
        let sent = self.sent.iter().map(|(name, count)| (*name, count.load(Ordering::Relaxed)));
        (sent.collect(), self.slow.join().unwrap_or(0))
    }
}

fn attacks(
    attack: Attack,
    from: Ipv4Addr,
    known: &Known,
    (stop, sent): (&AtomicBool, &AtomicU64),
) -> Result<()> {
    let socket = UdpSocket::bind((from, 0))?;
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?;
    let begun = Instant::now();
    let mut number = 0_u64;
    let mut heard = [0; 2_048];
    let mut challenge = String::new();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            number += 1;
            let (octets, to) = said(attack, local, known, (number, &challenge));
            if socket.send_to(&octets, to).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        while let Ok((length, _)) = socket.recv_from(&mut heard) {
            let text = String::from_utf8_lossy(&heard[..length]);
            let line = text.lines().find_map(|line| line.strip_prefix("WWW-Authenticate: "));
            if let Some(line) = line {
                line.clone_into(&mut challenge);
            }
        }
        let due = begun + Duration::from_secs_f64(number as f64 / known.rate.max(1) as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// What one attacker says next, and to whom.
fn said(
    attack: Attack,
    local: SocketAddr,
    known: &Known,
    (number, challenge): (u64, &str),
) -> (Vec<u8>, SocketAddr) {
    let Known { sip, realm, user, overheard, call, sound, .. } = known;
    if attack == Attack::Inject {
        let mut packet = vec![0x55; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0xba, 0xad, 0, 0]);
        packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        return (packet, sound[number as usize % sound.len()]);
    }
    let (method, more) = match attack {
        Attack::Scan => ("OPTIONS", String::from("User-Agent: friendly-scanner\r\n")),
        Attack::Guess => ("REGISTER", guess(user, realm, challenge)),
        Attack::Replay => ("INVITE", format!("Authorization: {overheard}\r\n")),
        Attack::Bye => ("BYE", String::new()),
        _ => ("INVITE", String::new()),
    };
    let (id, tag) = match attack {
        Attack::Bye => (call.clone(), format!(";tag={number}")),
        _ => (format!("{}-{number}", local.port()), String::new()),
    };
    let text = format!(
        "{method} sip:+14155559999@{realm} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@{realm}>;tag={number}\r\nTo: <sip:{user}@{realm}>{tag}\r\n\
         Call-ID: {id}\r\nCSeq: {number} {method}\r\nContact: <sip:x@{local}>\r\n{more}Content-Length: 0\r\n\r\n"
    );
    (text.into_bytes(), *sip)
}

/// A response that is wrong, to a challenge that was heard.
fn guess(user: &str, realm: &str, challenge: &str) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
    nonce.map_or(String::new(), |nonce| {
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", \
             uri=\"sip:{realm}\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5, \
             qop=auth, nc=00000001, cnonce=\"c\"\r\n"
        )
    })
}

/// Connections that say an octet at a time, every other one with a body of gigabytes; how many were closed
/// on us.
fn slowly(known: &Known, connections: usize, stop: &AtomicBool) -> Result<u64> {
    let texts = [
        format!("OPTIONS sip:{} SIP/2.0\r\nX-Slow: {}", known.realm, "a".repeat(2_000)),
        format!(
            "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.20\r\nContent-Length: 4000000000\r\n\r\n{}",
            known.realm,
            "b".repeat(2_000)
        ),
    ];
    let mut open: Vec<(TcpStream, usize)> = Vec::new();
    let mut closed = 0;
    while !stop.load(Ordering::Relaxed) {
        while open.len() < connections {
            let Ok(stream) = TcpStream::connect_timeout(&known.sip, DRIP) else { break };
            stream.set_nonblocking(true)?;
            open.push((stream, 0));
        }
        let before = open.len();
        let mut number = 0;
        open.retain_mut(|(stream, said)| {
            number += 1;
            let text = texts[number % 2].as_bytes();
            let octet = text[*said % text.len()];
            *said += 1;
            stream.write_all(&[octet]).is_ok()
        });
        closed += (before - open.len()) as u64;
        std::thread::sleep(DRIP);
    }
    Ok(closed)
}
