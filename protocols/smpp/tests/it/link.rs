//! Two of our own machines across a link, in virtual time.
//!
//! The link delays, cuts bytes into chunks of any size, and may go dead. The owners above answer
//! late, out of order, twice, or never. What must hold: each message has exactly one end, an answer
//! belongs to its message, the window is kept, and both sides come to rest.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use proto_smpp::{
    Address, Bind, BindKind, CloseReason, CommandId, CommandStatus, Input, Message, Output, Role,
    Session, Settings,
};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::tools::rng;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const ESME: usize = 0;
const SMSC: usize = 1;

/// How the link and the owners above it behave.
#[derive(Clone, Copy)]
struct Weather {
    /// Octets per chunk, at most.
    chunk: usize,
    /// Delay of a chunk, at most.
    delay: Duration,
    /// Time an owner takes to answer, at most: answers overtake each other.
    thinking: Duration,
    /// Percent of requests never answered.
    forgotten: u32,
    /// Percent of requests answered twice.
    repeated: u32,
    /// From then on nothing arrives.
    dead_from: Option<Duration>,
}

const FAIR: Weather = Weather {
    chunk: 4096,
    delay: Duration::from_millis(20),
    thinking: Duration::from_millis(50),
    forgotten: 0,
    repeated: 0,
    dead_from: None,
};

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Chunk(Vec<u8>),
    Answer { command: CommandId, sequence: u32, id: Vec<u8> },
}

/// What became of one side.
#[derive(Default)]
struct Seen {
    /// Tag to the id answered, or `None` for a time-out.
    ends: HashMap<u64, Option<Vec<u8>>>,
    refused: usize,
    requests: usize,
    bound: bool,
    closed: Option<CloseReason>,
}

struct World {
    start: Instant,
    now: Instant,
    weather: Weather,
    rng: StdRng,
    sides: [Session<u64>; 2],
    seen: [Seen; 2],
    /// When the last chunk to each side arrives: a stream keeps its order.
    arrival: [Instant; 2],
    events: BinaryHeap<Reverse<(Instant, u64, usize, Event)>>,
    counter: u64,
}

impl World {
    fn new(seed: u64, weather: Weather, window: usize) -> Self {
        let start = Instant::now();
        let settings = Settings { window, response_timeout: 5 * S, ..Settings::default() };
        let bind = Bind::new(BindKind::Transceiver, "orbit", "secret");
        let esme = Session::new(Role::Esme(bind), settings.clone(), start);
        let smsc = Session::new(Role::Smsc, settings, start).with_sequence(0x7FFF_FFF0);
        let mut world = Self {
            start,
            now: start,
            weather,
            rng: rng(seed),
            sides: [esme, smsc],
            seen: [Seen::default(), Seen::default()],
            arrival: [start; 2],
            events: BinaryHeap::new(),
            counter: 0,
        };
        world.step(SMSC, Input::Connected);
        world.step(ESME, Input::Connected);
        world
    }

    fn step(&mut self, side: usize, input: Input<'_, u64>) {
        let mut out = Vec::new();
        self.sides[side].step(self.now, input, &mut out);
        for output in out {
            self.obey(side, output);
        }
    }

    fn obey(&mut self, side: usize, output: Output<u64>) {
        match output {
            Output::Bound => self.seen[side].bound = true,
            Output::BindRefused(status) => panic!("refused: {status}"),
            Output::BindRequested(bind) => {
                assert_eq!((bind.system_id.as_str(), bind.password.as_str()), ("orbit", "secret"));
                self.step(side, Input::Accept);
            }
            Output::Answered { tag, status, message_id } => {
                assert_eq!(status, CommandStatus::OK);
                let again = self.seen[side].ends.insert(tag, Some(message_id));
                assert_eq!(again, None, "{tag} ended twice");
            }
            Output::TimedOut { tag } => {
                assert_eq!(self.seen[side].ends.insert(tag, None), None, "{tag} ended twice");
            }
            Output::Refused { .. } => self.seen[side].refused += 1,
            Output::Request { command, sequence, message } => {
                self.seen[side].requests += 1;
                self.think(side, command, sequence, message);
            }
            Output::RequestMulti { .. } | Output::Asked { .. } | Output::Noticed(_) => {
                panic!("nobody asked that");
            }
            Output::Transmit(bytes) => self.send(1 - side, &bytes),
            Output::Close(reason) => self.seen[side].closed = Some(reason),
        }
    }

    /// The owner's answer: later, once, twice or never. The id is the message's own text.
    fn think(&mut self, side: usize, command: CommandId, sequence: u32, message: Message) {
        let answers = match self.rng.random_range(0..100) {
            n if n < self.weather.forgotten => 0,
            n if n < self.weather.forgotten + self.weather.repeated => 2,
            _ => 1,
        };
        for _ in 0..answers {
            let at = self.now + self.weather.thinking.mul_f64(self.rng.random());
            let id = message.short_message.clone();
            self.plan(at, side, Event::Answer { command, sequence, id });
        }
    }

    fn send(&mut self, to: usize, bytes: &[u8]) {
        if self.weather.dead_from.is_some_and(|dead| self.now >= self.start + dead) {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = self.rng.random_range(1..=self.weather.chunk.min(rest.len()));
            let (chunk, after) = rest.split_at(size);
            rest = after;
            let at = self.now + self.weather.delay.mul_f64(self.rng.random());
            self.arrival[to] = self.arrival[to].max(at);
            self.plan(self.arrival[to], to, Event::Chunk(chunk.to_vec()));
        }
    }

    fn plan(&mut self, at: Instant, side: usize, event: Event) {
        self.counter += 1;
        self.events.push(Reverse((at, self.counter, side, event)));
    }

    /// Lets one event or one deadline pass; `false` when neither comes before `until`.
    fn advance(&mut self, until: Instant) -> bool {
        let event = self.events.peek().map(|Reverse((at, ..))| *at);
        let open = |side: usize| !self.sides[side].is_closed();
        let deadline = [ESME, SMSC].into_iter().filter(|&side| open(side));
        let deadline = deadline.map(|side| (self.sides[side].deadline(), side)).min();
        match (event, deadline) {
            (Some(at), tick) if at <= until && tick.is_none_or(|(due, _)| at <= due) => {
                let Some(Reverse((at, _, side, event))) = self.events.pop() else {
                    return false;
                };
                self.now = self.now.max(at);
                match event {
                    Event::Chunk(bytes) => self.step(side, Input::Bytes(&bytes)),
                    Event::Answer { command, sequence, id } => {
                        let status = CommandStatus::OK;
                        let message_id = &id[..];
                        let answer = Input::Answer { command, sequence, status, message_id };
                        self.step(side, answer);
                    }
                }
                true
            }
            (_, Some((due, side))) if due <= until => {
                self.now = self.now.max(due);
                self.step(side, Input::Tick);
                assert!(self.sides[side].deadline() > self.now, "a tick clears its deadline");
                true
            }
            _ => false,
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.advance(until) {}
        self.now = until;
    }

    /// Sends `count` messages from a side as its window allows.
    fn submit_all(&mut self, side: usize, count: u64) {
        let command = if side == ESME { CommandId::SUBMIT_SM } else { CommandId::DELIVER_SM };
        let mut tag = 0;
        while tag < count {
            while tag < count && self.sides[side].room() > 0 {
                let mut message = Message::new(command, Address::default(), Address::default());
                message.short_message = format!("message-{tag}").into_bytes();
                self.step(side, Input::Submit { message: &message, tag });
                tag += 1;
            }
            if !self.advance(self.now + 60 * S) {
                break;
            }
        }
    }

    fn ends(&self, side: usize) -> (usize, usize) {
        let ends = &self.seen[side].ends;
        let answered = ends.values().filter(|end| end.is_some()).count();
        (answered, ends.len() - answered)
    }
}

fn bound(seed: u64, weather: Weather, window: usize) -> World {
    let mut world = World::new(seed, weather, window);
    world.run(S);
    assert!(world.seen[ESME].bound && world.seen[SMSC].bound);
    world
}

#[test]
fn every_message_is_answered_with_its_own_id() {
    for seed in 0..5 {
        let mut world = bound(seed, FAIR, 10);
        world.submit_all(ESME, 500);
        world.run(10 * S);
        assert_eq!(world.ends(ESME), (500, 0));
        for (tag, id) in &world.seen[ESME].ends {
            assert_eq!(id.as_deref(), Some(format!("message-{tag}").as_bytes()));
        }
        assert_eq!((world.seen[ESME].refused, world.seen[SMSC].requests), (0, 500));
        assert_eq!((world.sides[ESME].in_flight(), world.sides[SMSC].owed()), (0, 0));
    }
}

#[test]
fn one_octet_at_a_time_changes_nothing() {
    let mut world = bound(1, Weather { chunk: 1, ..FAIR }, 5);
    world.submit_all(ESME, 60);
    world.submit_all(SMSC, 60);
    world.run(20 * S);
    assert_eq!((world.ends(ESME), world.ends(SMSC)), ((60, 0), (60, 0)));
}

#[test]
fn the_smsc_side_delivers_across_the_wrap_of_its_numbers() {
    let mut world = bound(2, FAIR, 50);
    world.submit_all(SMSC, 300);
    world.run(10 * S);
    assert_eq!(world.ends(SMSC), (300, 0));
    assert_eq!(world.seen[ESME].requests, 300);
}

#[test]
fn forgotten_answers_time_out_and_the_rest_arrive() {
    let weather = Weather { forgotten: 20, repeated: 20, ..FAIR };
    for seed in 0..5 {
        let mut world = bound(seed, weather, 20);
        world.submit_all(ESME, 400);
        world.run(20 * S);
        let (answered, timed_out) = world.ends(ESME);
        assert_eq!(answered + timed_out, 400);
        assert!(timed_out > 40 && answered > 280, "{answered} answered");
        assert!(world.sides[ESME].stats().unknown_responses > 30, "repeated answers are counted");
        assert!(world.sides[ESME].is_bound());
    }
}

#[test]
fn answers_later_than_the_time_out_are_counted_not_believed() {
    let mut world = bound(3, Weather { thinking: 12 * S, ..FAIR }, 10);
    world.submit_all(ESME, 100);
    world.run(60 * S);
    let (answered, timed_out) = world.ends(ESME);
    assert_eq!(answered + timed_out, 100);
    assert_eq!(world.sides[ESME].stats().unknown_responses, timed_out as u64);
}

#[test]
fn a_dead_link_is_found_by_both_sides_and_gives_the_tags_back() {
    let weather = Weather { dead_from: Some(3 * S), thinking: 4 * S, ..FAIR };
    let mut world = bound(4, weather, 10);
    world.run(S);
    for tag in 0..10 {
        let message = Message::default();
        world.step(ESME, Input::Submit { message: &message, tag });
    }
    world.run(300 * S);
    for side in [ESME, SMSC] {
        assert_eq!(world.seen[side].closed, Some(CloseReason::EnquireTimeout));
    }
    let [esme, _] = world.sides;
    assert_eq!(world.seen[ESME].ends.len() + esme.into_unanswered().len(), 10);
}

#[test]
fn an_idle_link_lives_by_enquire_link() {
    let mut world = bound(5, FAIR, 10);
    world.run(Duration::from_secs(24 * 3600));
    assert!(world.sides.iter().all(Session::is_bound));
    let sent = world.sides[ESME].stats().pdus_sent;
    assert!(sent > 1000 && sent < 10_000, "{sent} in a day");
}

#[test]
fn unbind_from_either_side_ends_both_in_good_order() {
    for from in [ESME, SMSC] {
        let mut world = bound(6, FAIR, 10);
        world.submit_all(ESME, 20);
        world.run(5 * S);
        world.step(from, Input::Unbind);
        world.run(5 * S);
        assert_eq!(world.seen[from].closed, Some(CloseReason::Unbound));
        assert_eq!(world.seen[1 - from].closed, Some(CloseReason::PeerUnbound));
        assert_eq!(world.ends(ESME), (20, 0));
    }
}

#[test]
fn both_sides_unbinding_at_once_ends_both() {
    let mut world = bound(7, FAIR, 10);
    world.step(ESME, Input::Unbind);
    world.step(SMSC, Input::Unbind);
    world.run(20 * S);
    assert!(world.sides.iter().all(Session::is_closed));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let weather = Weather { forgotten: 10, repeated: 10, chunk: 7, ..FAIR };
        let mut world = bound(seed, weather, 8);
        world.submit_all(ESME, 100);
        world.run(30 * MS * 1000);
        (world.ends(ESME), world.counter, world.now - world.start)
    };
    assert_eq!(run(9), run(9));
}
