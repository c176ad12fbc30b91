//! Two legs, each over its own transactions, across a network that loses, doubles and reorders; and
//! users who want anything at any time.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::header::Transport;
use crate::transaction::{self, Flow, SentBy, ServerId, Transactions};
use crate::uri::Host;

/// The way to the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wire(SocketAddr);

impl Flow for Wire {
    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn peer(&self) -> SocketAddr {
        self.0
    }

    fn to_port(self, _: u16) -> Self {
        self
    }
}

/// What the network does to one message, in hundredths.
#[derive(Clone, Copy)]
struct Weather {
    lost: u32,
    doubled: u32,
    jitter_ms: u64,
}

const CALM: Weather = Weather { lost: 0, doubled: 0, jitter_ms: 0 };
const STORM: Weather = Weather { lost: 20, doubled: 10, jitter_ms: 300 };

struct End {
    leg: Option<Leg<ServerId>>,
    table: Transactions<Wire, Tag>,
    wire: Wire,
    sent_by: SentBy,
    told: Vec<Told>,
    /// A version for each description of this end.
    version: u32,
    /// Whether the user answers what it is asked.
    is_awake: bool,
}

type Wanted = (usize, Command);

struct World {
    now: Instant,
    start: Instant,
    ends: [End; 2],
    flying: BTreeMap<(Instant, u64), (usize, Bytes)>,
    number: u64,
    chance: StdRng,
    weather: Weather,
    wanted: Vec<Wanted>,
    sent: usize,
}

fn body(version: u32, end: usize) -> Body {
    let text = format!(
        "v=0\r\no=- {end} {version} IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    );
    Body::new(Bytes::from(text))
}

impl World {
    /// A call from end 0 to end 1.
    fn new(seed: u64, weather: Weather, has_offer: bool) -> Self {
        let now = Instant::now();
        let end = |at: u8| {
            let address: SocketAddr = format!("192.0.2.{}:5060", 2 - at).parse().unwrap();
            let host = Host::Ip(format!("192.0.2.{}", 1 + at).parse().unwrap());
            End {
                leg: None,
                table: Transactions::new(transaction::Settings::default(), now, [at; 16]),
                wire: Wire(address),
                sent_by: SentBy::new(&host, Some(5_060)),
                told: Vec::new(),
                version: 1,
                is_awake: true,
            }
        };
        let mut world = Self {
            now,
            start: now,
            ends: [end(0), end(1)],
            flying: BTreeMap::new(),
            number: 0,
            chance: StdRng::seed_from_u64(seed),
            weather,
            wanted: Vec::new(),
            sent: 0,
        };
        let mut out = Vec::new();
        let outgoing = Outgoing {
            settings: world.settings(),
            call_id: format!("call-{seed}"),
            tag: "a".to_owned(),
            contact: "<sip:a@192.0.2.1:5060>".to_owned(),
            seed,
            uri: "sip:b@192.0.2.2".to_owned(),
            from: "<sip:a@192.0.2.1>".to_owned(),
            to: "<sip:b@192.0.2.2>".to_owned(),
            routes: Vec::new(),
            max_forwards: 70,
            sdp: has_offer.then(|| body(1, 0)),
            extra: Extra::default(),
        };
        let leg = Leg::outgoing(now, outgoing, &mut out);
        world.ends[0].leg = Some(leg);
        world.obey(0, out);
        world
    }

    fn settings(&mut self) -> Arc<Settings> {
        let session_s = if self.chance.random_bool(0.5) { 90 } else { 0 };
        Arc::new(Settings { session_s, ..Settings::default() })
    }

    fn fresh(&mut self, at: usize) -> Body {
        self.ends[at].version += 1;
        body(self.ends[at].version, at)
    }

    fn step(&mut self, at: usize, input: Input<ServerId>) {
        let mut out = Vec::new();
        if let Some(leg) = &mut self.ends[at].leg {
            leg.step(self.now, input, &mut out);
        }
        self.obey(at, out);
    }

    fn command(&mut self, at: usize, command: Command) {
        self.step(at, Input::Command(command));
    }

    fn obey(&mut self, at: usize, orders: Vec<Output<ServerId>>) {
        let mut out = Vec::new();
        for order in orders {
            let End { table, wire, sent_by, .. } = &mut self.ends[at];
            match order {
                Output::Request { tag, octets, target } => {
                    assert!(target.starts_with(b"sip:"));
                    table.request(self.now, *wire, sent_by, tag, &octets, &mut out);
                }
                Output::Ack { octets, .. } => table.ack(*wire, sent_by, &octets, &mut out),
                Output::Cancel { tag, cause } => {
                    table.cancel(self.now, tag, &cause.reasons(), &mut out);
                }
                Output::Respond { id, octets } => table.respond(self.now, id, octets, &mut out),
                Output::Told(told) => self.told(at, told),
            }
        }
        self.carried(at, out);
        if self.ends[at].leg.as_ref().is_some_and(Leg::is_over) {
            self.ends[at].leg = None;
        }
    }

    /// The user hears something, and answers what it is asked.
    fn told(&mut self, at: usize, told: Told) {
        let end = &mut self.ends[at];
        assert!(!end.told.last().is_some_and(Told::is_last), "{told:?} after the last");
        let is_awake = end.is_awake;
        match &told {
            Told::Offered { .. } | Told::Answered { is_offer: true, .. } if is_awake => {
                let command = if self.chance.random_bool(0.8) {
                    Command::AnswerOffer { sdp: self.fresh(at) }
                } else {
                    Command::RefuseOffer { status: StatusCode::NOT_ACCEPTABLE_HERE }
                };
                self.wanted.push((at, command));
            }
            Told::Referred(_) if is_awake => {
                let status = if self.chance.random_bool(0.7) { 202 } else { 603 };
                let status = StatusCode::new(status).unwrap();
                self.wanted.push((at, Command::AnswerRefer { status }));
            }
            _ => {}
        }
        self.ends[at].told.push(told);
    }

    fn carried(&mut self, at: usize, out: Vec<transaction::Output<Wire, Tag>>) {
        for order in out {
            match order {
                transaction::Output::Transmit { octets, .. } => self.transmit(1 - at, &octets),
                transaction::Output::Request { id, message, .. } => self.request(at, id, message),
                transaction::Output::Cancelled { invite, message, .. } => {
                    let cause = Cause::of(&message);
                    self.step(at, Input::Cancelled { invite, cause });
                }
                transaction::Output::Ack { message, .. } => self.step(at, Input::Ack(message)),
                transaction::Output::Response { mark, message, .. } => {
                    self.response(at, mark, message);
                }
                transaction::Output::Failed { mark, why } => {
                    self.step(at, Input::Failed { tag: mark, why: why.into() });
                }
                transaction::Output::Unanswered { id } => {
                    let cause = Cause::default();
                    self.step(at, Input::Cancelled { invite: id, cause });
                }
                transaction::Output::AckMissing { .. }
                | transaction::Output::TransmitAnew { .. } => {}
            }
        }
    }

    fn transmit(&mut self, to: usize, octets: &Bytes) {
        let Weather { lost, doubled, jitter_ms } = self.weather;
        self.sent += 1;
        assert!(self.sent < 5_000, "the ends never stop talking");
        let copies = 1 + usize::from(self.chance.random_range(0..100) < doubled);
        for _ in 0..copies {
            if self.chance.random_range(0..100) < lost {
                continue;
            }
            let delay = 10 + self.chance.random_range(0..=jitter_ms);
            self.number += 1;
            let at = (self.now + Duration::from_millis(delay), self.number);
            self.flying.insert(at, (to, octets.clone()));
        }
    }

    fn request(&mut self, at: usize, id: ServerId, message: Message) {
        let is_first = at == 1
            && self.ends[1].leg.is_none()
            && self.ends[1].told.is_empty()
            && message.method() == Some(&Method::Invite);
        if is_first {
            let mut out = Vec::new();
            let incoming = Incoming {
                settings: self.settings(),
                id,
                invite: message,
                tag: "b".to_owned(),
                contact: "<sip:b@192.0.2.2:5060>".to_owned(),
                seed: self.number,
            };
            self.ends[1].leg = Some(Leg::incoming(self.now, incoming, &mut out));
            self.obey(1, out);
        } else if self.ends[at].leg.is_some() {
            self.step(at, Input::Request { id, message });
        } else {
            let status = StatusCode::CALL_DOES_NOT_EXIST;
            let answer = Answer { tag: Some("none"), ..Answer::default() };
            let octets = Builder::answer(&message, status, answer).finish().unwrap();
            self.obey(at, vec![Output::Respond { id, octets }]);
        }
    }

    fn response(&mut self, at: usize, tag: Tag, message: Message) {
        if self.ends[at].leg.is_some() {
            self.step(at, Input::Response { tag, message });
        } else if let Some(stray) = stray(&message) {
            self.obey(at, vec![Output::Ack { octets: stray.ack, target: stray.target }]);
        }
    }

    fn next(&self) -> Option<Instant> {
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        let ends = self
            .ends
            .iter()
            .flat_map(|end| [end.table.deadline(), end.leg.as_ref().and_then(Leg::deadline)]);
        ends.flatten().chain(flying).min()
    }

    /// All that happens within a time.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        let mut rounds = 0;
        while let Some(at) = self.next().filter(|at| *at <= until) {
            rounds += 1;
            assert!(rounds < 50_000, "a deadline stays in the past: {:?}", self.ends[0].leg);
            self.now = self.now.max(at);
            while let Some(entry) = self.flying.first_entry().filter(|e| e.key().0 <= self.now) {
                let (to, octets) = entry.remove();
                let message = parse(&octets);
                let mut out = Vec::new();
                let End { table, wire, .. } = &mut self.ends[to];
                table.receive(self.now, *wire, message, &mut out);
                self.carried(to, out);
                self.answer_questions();
            }
            for end in 0..2 {
                let mut out = Vec::new();
                self.ends[end].table.tick(self.now, &mut out);
                self.carried(end, out);
                let due = self.ends[end].leg.as_ref().and_then(Leg::deadline);
                if due.is_some_and(|due| due <= self.now) {
                    self.step(end, Input::Tick);
                }
                self.answer_questions();
            }
        }
        self.now = until;
    }

    fn answer_questions(&mut self) {
        for (at, command) in std::mem::take(&mut self.wanted) {
            self.command(at, command);
        }
    }

    fn words(&self, at: usize) -> Vec<String> {
        self.ends[at].told.iter().map(short).collect()
    }

    fn is_ended(&self, at: usize) -> bool {
        self.ends[at].told.last().is_some_and(Told::is_last)
    }

    /// Each side was told the end, once, and nothing is left anywhere.
    fn assert_quiet(&self, seed: u64) {
        for at in 0..2 {
            let end = &self.ends[at];
            let words = self.words(at);
            assert!(end.leg.is_none(), "seed {seed}, end {at}: {:?}\n{words:?}", end.leg);
            assert!(end.table.is_empty(), "seed {seed}, end {at}");
            assert!(end.told.is_empty() || self.is_ended(at), "seed {seed}, end {at}: {words:?}");
        }
        assert!(self.flying.is_empty());
    }

    /// Both ends are up and see the same agreement.
    fn assert_agreed(&self, seed: u64) {
        let agreed = |at: usize| self.ends[at].leg.as_ref().and_then(Leg::agreed);
        let (Some((a_ours, a_theirs)), Some((b_ours, b_theirs))) = (agreed(0), agreed(1)) else {
            return;
        };
        if self.is_ended(0) || self.is_ended(1) {
            return;
        }
        let (a, b) = (self.words(0), self.words(1));
        let same = a_ours == b_theirs && a_theirs == b_ours;
        assert!(same, "seed {seed}: {a_ours:?} {a_theirs:?}\n{a:?}\n{b:?}");
    }
}

fn end(cause: u16) -> Command {
    Command::End { cause: Cause::q850(cause) }
}

fn answer(sdp: Body) -> Command {
    Command::Answer { sdp: Some(sdp), extra: Extra::default() }
}

#[test]
fn a_call_goes_from_one_end_to_the_other() {
    let mut world = World::new(1, CALM, true);
    world.run(Duration::from_secs(1));
    let ring = Command::Ring {
        status: StatusCode::RINGING,
        sdp: None,
        reliable: true,
        extra: Extra::default(),
    };
    world.command(1, ring);
    world.run(Duration::from_secs(1));
    let sdp = world.fresh(1);
    world.command(1, answer(sdp));
    world.run(Duration::from_secs(1));
    let offer = world.fresh(0);
    world.command(0, Command::Offer { sdp: offer });
    world.run(Duration::from_secs(1));
    world.assert_agreed(1);
    world.command(1, end(16));
    world.run(Duration::from_secs(70));
    assert_eq!(world.words(0)[..2], ["ringing 0 180 -", "answered 0 2"]);
    assert_eq!(world.words(0).last().unwrap(), "ended Them q850=16");
    assert_eq!(world.words(1)[..3], ["invited 1", "acknowledged", "offered 2"]);
    world.assert_quiet(1);
}

#[test]
fn offers_that_cross_on_the_wire_are_both_made_in_the_end() {
    for seed in 0..20 {
        let mut world = World::new(seed, CALM, true);
        world.run(Duration::from_secs(1));
        let sdp = world.fresh(1);
        world.command(1, answer(sdp));
        world.run(Duration::from_secs(1));
        for at in 0..2 {
            let sdp = world.fresh(at);
            world.command(at, Command::Offer { sdp });
        }
        world.run(Duration::from_secs(20));
        for at in 0..2 {
            let ends = |word: &&String| {
                word.starts_with("offer answered") || word.starts_with("offer refused 488")
            };
            let words = world.words(at);
            assert_eq!(words.iter().filter(ends).count(), 1, "seed {seed}: {words:?}");
        }
        world.assert_agreed(seed);
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_leaves_nothing() {
    for late_ms in 0..25 {
        let mut world = World::new(late_ms, CALM, true);
        world.run(Duration::from_secs(1));
        let sdp = world.fresh(1);
        world.command(1, answer(sdp));
        world.run(Duration::from_millis(late_ms));
        world.command(0, end(16));
        world.run(Duration::from_secs(80));
        world.assert_quiet(late_ms);
        assert!(world.is_ended(0) && world.is_ended(1));
    }
}

#[test]
fn a_peer_that_is_gone_is_given_up() {
    for has_answered in [false, true] {
        let mut world = World::new(5, CALM, true);
        world.run(Duration::from_secs(1));
        if has_answered {
            let sdp = world.fresh(1);
            world.command(1, answer(sdp));
            world.run(Duration::from_secs(1));
        }
        world.weather.lost = 100;
        world.command(0, end(16));
        world.command(1, end(16));
        world.run(Duration::from_secs(150));
        world.assert_quiet(5);
    }
}

fn any_command(world: &mut World, at: usize) -> Command {
    let extra = Extra::default();
    let reliable = world.chance.random_bool(0.5);
    let sdp = world.fresh(at);
    match world.chance.random_range(0..40) {
        0..6 => Command::Ring { status: StatusCode::RINGING, sdp: None, reliable, extra },
        6..10 => {
            Command::Ring { status: StatusCode::SESSION_PROGRESS, sdp: Some(sdp), reliable, extra }
        }
        10..18 => answer(sdp),
        18..28 => Command::Offer { sdp },
        28 => end(16),
        29 => {
            let cause = Cause::q850(17);
            Command::Reject { status: StatusCode::BUSY_HERE, cause, extra }
        }
        30..33 => Command::Info {
            content_type: "application/dtmf-relay".to_owned(),
            body: Bytes::from_static(b"Signal=1\r\n"),
        },
        33..35 => Command::Refer(Box::new(Refer {
            to: "<sip:c@192.0.2.3>".to_owned(),
            by: None,
            reports: reliable,
        })),
        35..38 => Command::NotifyRefer { status: StatusCode::RINGING },
        38 => Command::NotifyRefer { status: StatusCode::OK },
        _ => Command::RefuseOffer { status: StatusCode::NOT_ACCEPTABLE_HERE },
    }
}

/// Anything at any time, then silence, then the end.
fn any_call(seed: u64, weather: Weather) -> World {
    let mut world = World::new(seed, weather, !seed.is_multiple_of(5));
    for _ in 0..world.chance.random_range(0..40) {
        let pause = world.chance.random_range(0..3_000);
        world.run(Duration::from_millis(pause));
        let at = world.chance.random_range(0..2);
        world.ends[at].is_awake = world.chance.random_bool(0.95);
        let command = any_command(&mut world, at);
        world.command(at, command);
    }
    world.ends[0].is_awake = true;
    world.ends[1].is_awake = true;
    world.run(Duration::from_secs(75));
    world.assert_agreed(seed);
    let first = world.chance.random_range(0..2);
    world.command(first, end(16));
    world.run(Duration::from_millis(u64::from(world.number as u32 % 50)));
    world.command(1 - first, end(16));
    // Long enough for a 2xx without ACK, a BYE without answer, and what absorbs what comes again.
    world.run(Duration::from_secs(240));
    world.assert_quiet(seed);
    world
}

#[test]
fn any_call_on_a_calm_network_ends_and_leaves_nothing() {
    let answered = (0..400).filter(|seed| {
        let world = any_call(*seed, CALM);
        world.words(0).iter().any(|word| word.starts_with("answered"))
    });
    assert!(answered.count() > 150);
}

#[test]
fn any_call_on_a_stormy_network_ends_and_leaves_nothing() {
    let mut acknowledged = 0;
    for seed in 1_000..1_400 {
        let world = any_call(seed, STORM);
        acknowledged += usize::from(world.words(1).contains(&"acknowledged".to_owned()));
        assert!(world.now > world.start);
    }
    assert!(acknowledged > 100);
}
