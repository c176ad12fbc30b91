//! Callers and callees by the thousand on one thread that never sleeps: it has its core for itself.
//!
//! A caller begins by the clock, is answered at once, talks as long as it was told, and hangs up. What is not
//! answered is said again after half a second, and counted. A call whose time came and that was begun late
//! counts against the callers, not against what carries the calls.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use proto_sip::digest::client::{Account, Attempt, Client, Target};

use super::wire::{Heard, Request, answer};
use crate::histogram::Histogram;

/// Sockets of callers, so that the buffer of none runs over.
const SOCKETS: usize = 4;
/// Without an answer for so long a request is said again (RFC 3261 T1).
const AGAIN: Duration = Duration::from_millis(500);
/// Said so often without an answer, a request has failed.
const TRIES: u32 = 12;
/// A call begun so long after its time was begun late.
const LATE: Duration = Duration::from_millis(10);
/// The port of sound that nobody sends.
const NOWHERE: u16 = 40_000;
/// Messages taken before it is looked for what else is due.
const BURST: usize = 64;

/// Who calls, where it is asked for a proof.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) realm: String,
    pub(super) password: String,
}

/// Where calls go and by whom.
pub(super) struct Way {
    /// What is called, as the Request-URI.
    pub(super) uri: String,
    /// Where the requests are sent.
    pub(super) to: SocketAddr,
    pub(super) who: Option<Who>,
}

/// What was seen since it was last asked.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) begun: u64,
    pub(super) late: u64,
    pub(super) answered: u64,
    pub(super) completed: u64,
    /// Hung up by the other side.
    pub(super) cut: u64,
    /// By status; 0: no answer at all.
    pub(super) failed: BTreeMap<u16, u64>,
    pub(super) challenges: u64,
    /// Said again by us, and heard again.
    pub(super) sent_again: u64,
    pub(super) heard_again: u64,
    /// From the INVITE to its 200, in microseconds.
    pub(super) setup: Histogram,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum State {
    Inviting,
    Up,
    Ending,
}

struct Call {
    state: State,
    cseq: u32,
    begun: Instant,
    answered: Instant,
    tries: u32,
    /// Something was answered: it is not said again.
    heard: bool,
    attempt: Attempt,
    request: Vec<u8>,
    to: String,
    target: String,
    routes: Vec<String>,
}

/// The callee's half of a call.
struct Leg {
    acknowledged: bool,
    answer: Vec<u8>,
    peer: SocketAddr,
}

pub(super) struct Agents {
    way: Way,
    from: String,
    client: Option<Client>,
    callers: Vec<UdpSocket>,
    callee: UdpSocket,
    /// Where callers and callees take sound.
    pub(super) sound: [SocketAddr; 2],
    /// Where they were told to send it, in the call that was answered last.
    pub(super) told: [Option<SocketAddr>; 2],
    calls: HashMap<u64, Call>,
    legs: HashMap<String, Leg>,
    next: u64,
    /// When calls end, where their time is bounded.
    ends: VecDeque<(Instant, u64)>,
    /// What is looked at again, whether it was answered.
    waits: VecDeque<(Instant, u64, u32)>,
    leg_waits: VecDeque<(Instant, String, u32)>,
    pub(super) tally: Tally,
}

impl Agents {
    pub(super) fn new(callee: UdpSocket, way: Way) -> Result<Self> {
        callee.set_nonblocking(true)?;
        let caller = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let callers = (0..SOCKETS).map(caller).collect::<Result<_>>()?;
        let account = |who: &Who| Account::new(&who.realm, &who.user, &who.password);
        let client = way.who.as_ref().map(|who| Client::new(vec![account(who)]));
        let from = match &way.who {
            Some(who) => format!("<sip:{}@{}>", who.user, who.realm),
            None => "<sip:+14155550100@127.0.0.1>".to_owned(),
        };
        Ok(Self {
            way,
            from,
            client,
            callers,
            callee,
            sound: [SocketAddr::from(([127, 0, 0, 1], NOWHERE)); 2],
            told: [None; 2],
            calls: HashMap::new(),
            legs: HashMap::new(),
            next: u64::from(std::process::id()) << 32,
            ends: VecDeque::new(),
            waits: VecDeque::new(),
            leg_waits: VecDeque::new(),
            tally: Tally::default(),
        })
    }

    pub(super) fn up(&self) -> usize {
        self.calls.values().filter(|call| call.state == State::Up).count()
    }

    /// The switch.
    pub(super) fn peer(&self) -> SocketAddr {
        self.way.to
    }

    /// The telephone that calls, if there is one.
    pub(super) fn who(&self) -> Option<&Who> {
        self.way.who.as_ref()
    }

    /// Credentials for one more call, which is not made.
    pub(super) fn proof(&mut self) -> Option<String> {
        let realm = &self.way.who.as_ref()?.realm;
        self.client.as_mut()?.again(realm, &target(&self.way.uri))
    }

    /// Of each call that is up, its Call-ID and since when.
    pub(super) fn spoken(&self) -> HashMap<String, Duration> {
        let up = self.calls.iter().filter(|(_, call)| call.state == State::Up);
        up.map(|(id, call)| (id.to_string(), call.answered.elapsed())).collect()
    }

    /// So many calls a second, for so long; each talks for `hold`, or until it is hung up.
    pub(super) fn run(&mut self, rate: f64, time: Duration, hold: Option<Duration>) -> Result<()> {
        let begun = Instant::now();
        let count = (rate * time.as_secs_f64()) as u64;
        let mut next = 0;
        while begun.elapsed() < time || next < count {
            while next < count {
                let due = begun + Duration::from_secs_f64(next as f64 / rate);
                let late = Instant::now().checked_duration_since(due);
                let Some(late) = late else { break };
                self.tally.late += u64::from(late > LATE);
                self.begin()?;
                next += 1;
            }
            self.turn(hold)?;
        }
        Ok(())
    }

    /// Goes on without new calls until none is left, or the time is up.
    pub(super) fn drain(&mut self, time: Duration, hold: Option<Duration>) -> Result<()> {
        let begun = Instant::now();
        while !self.calls.is_empty() && begun.elapsed() < time {
            self.turn(hold)?;
        }
        Ok(())
    }

    /// Every call that is up is hung up by its caller.
    pub(super) fn hang_up(&mut self) -> Result<()> {
        let up = self.calls.iter().filter(|(_, call)| call.state == State::Up);
        let up: Vec<u64> = up.map(|(id, _)| *id).collect();
        for id in up {
            self.bye(id)?;
        }
        Ok(())
    }

    /// Nobody knows of any call any more.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
        self.legs.clear();
        self.ends.clear();
        self.waits.clear();
        self.leg_waits.clear();
    }

    fn socket(&self, id: u64) -> &UdpSocket {
        &self.callers[id as usize % SOCKETS]
    }

    fn begin(&mut self) -> Result<()> {
        self.next += 1;
        let now = Instant::now();
        let call = Call {
            state: State::Inviting,
            cseq: 0,
            begun: now,
            answered: now,
            tries: 0,
            heard: false,
            attempt: Attempt::default(),
            request: Vec::new(),
            to: format!("<{}>", self.way.uri),
            target: self.way.uri.clone(),
            routes: Vec::new(),
        };
        self.calls.insert(self.next, call);
        self.tally.begun += 1;
        let known = match (&mut self.client, &self.way.who) {
            (Some(client), Some(who)) => client.again(&who.realm, &target(&self.way.uri)),
            _ => None,
        };
        self.invite(self.next, known.as_deref())
    }

    fn invite(&mut self, id: u64, proof: Option<&str>) -> Result<()> {
        let more = proof.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        self.request(id, "INVITE", &more)
    }

    fn bye(&mut self, id: u64) -> Result<()> {
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        call.state = State::Ending;
        self.request(id, "BYE", "")
    }

    /// A request that is answered, or said again.
    fn request(&mut self, id: u64, method: &str, more: &str) -> Result<()> {
        let local = self.socket(id).local_addr()?;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        call.cseq += 1;
        call.tries = 1;
        call.heard = false;
        call.request = Request {
            method,
            uri: &call.target,
            local,
            branch: &format!("{id}.{}", call.cseq),
            from: &self.from,
            to: &call.to,
            call: id,
            cseq: call.cseq,
            routes: &call.routes,
            more,
            sound: Some(self.sound[0]).filter(|_| method == "INVITE"),
        }
        .write();
        self.waits.push_back((Instant::now() + AGAIN, id, call.cseq));
        self.send(id)
    }

    fn send(&self, id: u64) -> Result<()> {
        if let Some(call) = self.calls.get(&id) {
            post(self.socket(id), &call.request, self.way.to)?;
        }
        Ok(())
    }

    /// Takes what came, and does what is due.
    fn turn(&mut self, hold: Option<Duration>) -> Result<()> {
        let mut buffer = [0; 8_192];
        for at in 0..SOCKETS {
            for _ in 0..BURST {
                let Some((length, _)) = take(&self.callers[at], &mut buffer)? else { break };
                if let Some(heard) = Heard::new(&buffer[..length]) {
                    self.answered(heard, hold)?;
                }
            }
        }
        for _ in 0..BURST {
            let Some((length, peer)) = take(&self.callee, &mut buffer)? else { break };
            if let Some(heard) = Heard::new(&buffer[..length]) {
                self.called(heard, peer)?;
            }
        }
        self.due()
    }

    fn due(&mut self) -> Result<()> {
        let now = Instant::now();
        while self.ends.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.ends.pop_front() else { break };
            if self.calls.get(&id).is_some_and(|call| call.state == State::Up) {
                self.bye(id)?;
            }
        }
        while self.waits.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, id, cseq)) = self.waits.pop_front() else { break };
            let waits = |call: &Call| call.cseq == cseq && call.state != State::Up && !call.heard;
            let Some(call) = self.calls.get_mut(&id).filter(|call| waits(call)) else { continue };
            call.tries += 1;
            if call.tries > TRIES {
                self.fail(id, 0);
                continue;
            }
            self.tally.sent_again += 1;
            self.waits.push_back((now + AGAIN, id, cseq));
            self.send(id)?;
        }
        while self.leg_waits.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, id, tries)) = self.leg_waits.pop_front() else { break };
            let Some(leg) = self.legs.get(&id).filter(|leg| !leg.acknowledged) else { continue };
            if tries > TRIES {
                self.legs.remove(&id);
                continue;
            }
            self.tally.sent_again += 1;
            post(&self.callee, &leg.answer, leg.peer)?;
            self.leg_waits.push_back((now + AGAIN, id, tries + 1));
        }
        Ok(())
    }

    fn fail(&mut self, id: u64, status: u16) {
        if self.calls.remove(&id).is_some() {
            *self.tally.failed.entry(status).or_default() += 1;
        }
    }

    /// What a caller hears.
    fn answered(&mut self, heard: Heard<'_>, hold: Option<Duration>) -> Result<()> {
        let id = heard.header("Call-ID").and_then(|id| id.parse::<u64>().ok());
        let Some(id) = id else { return Ok(()) };
        let Some(status) = heard.status() else {
            return self.asked(id, heard);
        };
        let Some((cseq, method)) = heard.cseq() else { return Ok(()) };
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        match (method, status) {
            (_, ..200) => call.heard = true,
            ("INVITE", 200) if call.state == State::Inviting && call.cseq == cseq => {
                call.state = State::Up;
                call.answered = Instant::now();
                call.to = heard.header("To").unwrap_or_default().to_owned();
                call.target = heard.contact().unwrap_or_default().to_owned();
                call.routes = heard.headers("Record-Route").map(str::to_owned).collect();
                call.routes.reverse();
                self.tally.answered += 1;
                self.told[0] = heard.sound();
                self.tally.setup.record(call.begun.elapsed().as_micros() as u64);
                if let Some(hold) = hold {
                    self.ends.push_back((call.answered + hold, id));
                }
                self.acknowledge(id, cseq, false)?;
            }
            ("INVITE", 200) => {
                self.tally.heard_again += 1;
                self.acknowledge(id, cseq, false)?;
            }
            ("INVITE", _) => self.refused(id, (cseq, status), heard)?,
            ("BYE", _) if call.state == State::Ending => {
                self.calls.remove(&id);
                self.tally.completed += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn refused(&mut self, id: u64, said: (u32, u16), heard: Heard<'_>) -> Result<()> {
        let (cseq, status) = said;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        if call.state != State::Inviting || call.cseq != cseq {
            return Ok(());
        }
        let to = heard.header("To").unwrap_or_default().to_owned();
        let before = std::mem::replace(&mut call.to, to);
        self.acknowledge(id, cseq, true)?;
        let Some(call) = self.calls.get_mut(&id) else { return Ok(()) };
        call.to = before;
        match (&mut self.client, status) {
            (Some(client), 401) => {
                self.tally.challenges += 1;
                let challenges: Vec<&str> = heard.headers("WWW-Authenticate").collect();
                let target = target(&self.way.uri);
                let proof = client.answer(&challenges, &target, &mut call.attempt);
                let proof = proof.with_context(|| format!("{challenges:?}"))?;
                self.invite(id, Some(&proof))
            }
            _ => {
                self.fail(id, status);
                Ok(())
            }
        }
    }

    /// ACK: of a refusal it belongs to the INVITE, else it is a request of its own.
    fn acknowledge(&mut self, id: u64, cseq: u32, refusal: bool) -> Result<()> {
        let local = self.socket(id).local_addr()?;
        let Some(call) = self.calls.get(&id) else { return Ok(()) };
        let own = if refusal { "" } else { ".ack" };
        let ack = Request {
            method: "ACK",
            uri: if refusal { &self.way.uri } else { &call.target },
            local,
            branch: &format!("{id}.{cseq}{own}"),
            from: &self.from,
            to: &call.to,
            call: id,
            cseq,
            routes: if refusal { &[] } else { &call.routes },
            more: "",
            sound: None,
        }
        .write();
        post(self.socket(id), &ack, self.way.to)
    }

    /// A request that comes to a caller: the other side hung up.
    fn asked(&mut self, id: u64, heard: Heard<'_>) -> Result<()> {
        let socket = self.socket(id);
        let said = answer(heard, "200 OK", socket.local_addr()?, None);
        post(socket, &said, self.way.to)?;
        if heard.method() == "BYE" && self.calls.remove(&id).is_some() {
            self.tally.cut += 1;
        }
        Ok(())
    }

    /// What the callee hears.
    fn called(&mut self, heard: Heard<'_>, peer: SocketAddr) -> Result<()> {
        let local = self.callee.local_addr()?;
        let Some(id) = heard.header("Call-ID").map(str::to_owned) else { return Ok(()) };
        match heard.method() {
            "INVITE" => {
                if let Some(leg) = self.legs.get(&id) {
                    self.tally.heard_again += 1;
                    return post(&self.callee, &leg.answer, peer);
                }
                post(&self.callee, &answer(heard, "180 Ringing", local, None), peer)?;
                self.told[1] = heard.sound();
                let answer = answer(heard, "200 OK", local, Some(self.sound[1]));
                post(&self.callee, &answer, peer)?;
                self.legs.insert(id.clone(), Leg { acknowledged: false, answer, peer });
                self.leg_waits.push_back((Instant::now() + AGAIN, id, 1));
                Ok(())
            }
            "ACK" => {
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.acknowledged = true;
                    leg.answer = Vec::new();
                }
                Ok(())
            }
            "SIP/2.0" => Ok(()),
            method => {
                if method == "BYE" && self.legs.remove(&id).is_none() {
                    self.tally.heard_again += 1;
                }
                post(&self.callee, &answer(heard, "200 OK", local, None), peer)
            }
        }
    }
}

fn target(uri: &str) -> Target<'_> {
    Target { method: "INVITE", uri, cnonce: "c0ffee" }
}

fn take(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>> {
    match socket.recv_from(buffer) {
        Ok(taken) => Ok(Some(taken)),
        // A port that nobody listens at is told by the next read; the timers know what to do.
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn post(socket: &UdpSocket, octets: &[u8], to: SocketAddr) -> Result<()> {
    match socket.send_to(octets, to) {
        Ok(_) => Ok(()),
        Err(error) if is_nothing(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_nothing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionRefused | Interrupted)
}
