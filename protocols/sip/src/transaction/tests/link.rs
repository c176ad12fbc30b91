//! Two tables over a network that loses, doubles and reorders, from a seed: each request has exactly
//! one end, each call is there once, and nothing is left behind.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::Method;

const CALLER: usize = 0;
const CALLEE: usize = 1;

/// What will happen, in the order of time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives {
        side: usize,
        octets: Vec<u8>,
    },
    Sends {
        mark: u32,
    },
    Cancels {
        mark: u32,
    },
    /// The callee says something to the request of that Call-ID.
    Answers {
        call: String,
        status: u16,
    },
    /// The callee's 2xx is sent again unless it was acknowledged.
    Repeats {
        call: String,
        wait: u64,
        until: u64,
    },
}

struct World {
    tables: [Transactions<Link, u32>; 2],
    chance: StdRng,
    kind: Kind,
    /// One message in a hundred, times this, is lost.
    loss: u32,
    start: Instant,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    events_made: u64,
    /// The final ends of each request of the caller.
    ends: BTreeMap<u32, Vec<String>>,
    served: BTreeMap<String, Served>,
}

struct Served {
    id: ServerId,
    request: Message,
    done: Option<u16>,
    acknowledged: bool,
    cancelled: u32,
}

impl World {
    fn new(seed: u64, kind: Kind, loss: u32) -> Self {
        let start = Instant::now();
        let table = |chance| Transactions::new(Settings::default(), start, [chance; 16]);
        Self {
            tables: [table(1), table(2)],
            chance: StdRng::seed_from_u64(seed),
            kind,
            loss,
            start,
            now: 0,
            events: BinaryHeap::new(),
            events_made: 0,
            ends: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    fn after(&mut self, millis: u64, event: Event) {
        self.events_made += 1;
        self.events.push(Reverse((self.now + millis, self.events_made, event)));
    }

    fn step(
        &mut self,
        side: usize,
        call: impl FnOnce(&mut Transactions<Link, u32>, Instant, &mut Vec<Out>),
    ) {
        let mut out = vec![];
        let now = self.start + Duration::from_millis(self.now);
        call(&mut self.tables[side], now, &mut out);
        for output in out {
            match output {
                Output::Transmit { octets, .. } => self.carry(1 - side, &octets),
                Output::Request { id, message, .. } => self.serve(id, message),
                Output::Cancelled { message, .. } => {
                    let call = call_of(&message);
                    self.served.get_mut(&call).unwrap().cancelled += 1;
                    self.after(5, Event::Answers { call, status: 487 });
                }
                Output::Ack { message, .. } => {
                    self.served.get_mut(&call_of(&message)).unwrap().acknowledged = true;
                }
                Output::Response { mark, message, .. } => self.told(mark, &message),
                Output::Failed { mark, why } => {
                    self.ends.entry(mark).or_default().push(format!("{why:?}"));
                }
                Output::AckMissing { .. } => {}
                Output::TransmitAnew { .. } | Output::Unanswered { .. } => panic!("{output:?}"),
            }
        }
    }

    fn carry(&mut self, side: usize, octets: &[u8]) {
        let copies = match self.kind {
            Kind::Udp if self.chance.random_ratio(self.loss, 100) => 0,
            Kind::Udp if self.chance.random_ratio(1, 10) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = if self.kind == Kind::Udp { self.chance.random_range(1..400) } else { 20 };
            self.after(delay, Event::Arrives { side, octets: octets.to_vec() });
        }
    }

    /// The callee has a new request.
    fn serve(&mut self, id: ServerId, request: Message) {
        let call = call_of(&request);
        let invite = request.method() == Some(&Method::Invite);
        let served = Served { id, request, done: None, acknowledged: false, cancelled: 0 };
        assert!(self.served.insert(call.clone(), served).is_none(), "{call} is served twice");
        if !invite {
            let wait = self.chance.random_range(0..1_500);
            return self.after(wait, Event::Answers { call, status: 200 });
        }
        let rings = self.chance.random_range(0..2_000);
        self.after(rings, Event::Answers { call: call.clone(), status: 180 });
        let status = [200, 200, 486, 603][self.chance.random_range(0..4)];
        let talks = rings + self.chance.random_range(0..20_000);
        self.after(talks, Event::Answers { call, status });
    }

    fn told(&mut self, mark: u32, message: &Message) {
        let status = message.status().unwrap();
        let invite = message.cseq().unwrap().method == Method::Invite;
        if !status.is_final() {
            return;
        }
        if status.is_success() && invite {
            let ack = ours("ACK").replace("c1", &call_of(message));
            self.step(CALLER, |table, _, out| {
                table.ack(there(CALLEE, Kind::Udp), &us(), ack.as_bytes(), out);
            });
        }
        let ends = self.ends.entry(mark).or_default();
        let again = ends.first().is_some_and(|first| first == "200") && status.is_success();
        if !(invite && again) {
            ends.push(status.get().to_string());
        }
    }

    fn answers(&mut self, call: &str, status: u16) {
        let served = self.served.get_mut(call).unwrap();
        if served.done.is_some() {
            return;
        }
        let invite = served.request.method() == Some(&Method::Invite);
        served.done = (status >= 200).then_some(status);
        let (id, octets) = (served.id, Bytes::from(answer(&served.request, status)));
        self.step(CALLEE, |table, now, out| table.respond(now, id, octets, out));
        if invite && status == 200 {
            let until = self.now + 32_000;
            self.after(500, Event::Repeats { call: call.to_owned(), wait: 1_000, until });
        }
    }

    fn repeats(&mut self, call: String, wait: u64, until: u64) {
        let served = &self.served[&call];
        if served.acknowledged || self.now >= until {
            return;
        }
        let (id, octets) = (served.id, Bytes::from(answer(&served.request, 200)));
        self.step(CALLEE, |table, now, out| table.respond(now, id, octets, out));
        self.after(wait, Event::Repeats { call, wait: (wait * 2).min(4_000), until });
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives { side, octets } => {
                let from = there(1 - side, self.kind);
                let message = parse(&octets);
                self.step(side, |table, now, out| table.receive(now, from, message, out));
            }
            Event::Sends { mark } => {
                let method = ["INVITE", "INVITE", "OPTIONS", "BYE"][mark as usize % 4];
                let request = ours(method).replace("c1", &format!("call-{mark}"));
                let to = there(CALLEE, self.kind);
                self.step(CALLER, |table, now, out| {
                    table.request(now, to, &us(), mark, request.as_bytes(), out);
                });
            }
            Event::Cancels { mark } => {
                self.step(CALLER, |table, now, out| table.cancel(now, mark, &[], out));
            }
            Event::Answers { call, status } => self.answers(&call, status),
            Event::Repeats { call, wait, until } => self.repeats(call, wait, until),
        }
    }

    /// Until nothing is to happen any more.
    fn run(&mut self, requests: u32) {
        for mark in 0..requests {
            let at = self.chance.random_range(0..10_000);
            self.after(at, Event::Sends { mark });
            if mark % 5 == 0 {
                let later = self.chance.random_range(0..15_000);
                self.after(at + later, Event::Cancels { mark });
            }
        }
        loop {
            let millis = |at: Instant| (at - self.start).as_millis() as u64;
            let ticks = [0, 1].map(|side| self.tables[side].deadline().map(millis));
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let Some(next) = [ticks[0], ticks[1], event].into_iter().flatten().min() else {
                break;
            };
            self.now = next;
            if event == Some(next) {
                let Some(Reverse((.., event))) = self.events.pop() else { break };
                self.happens(event);
            } else {
                let side = usize::from(ticks[0] != Some(next));
                self.step(side, |table, now, out| table.tick(now, out));
            }
        }
        for table in &self.tables {
            assert!(is_clean(table), "{table:?}");
        }
        assert_eq!(self.ends.len(), requests as usize);
        for (mark, ends) in &self.ends {
            assert_eq!(ends.len(), 1, "request {mark} ended with {ends:?}");
        }
        for (call, served) in &self.served {
            assert!(served.cancelled <= 1 && served.done.is_some(), "{call}");
        }
    }
}

/// The other side, seen from here.
fn there(side: usize, kind: Kind) -> Link {
    let peer = if side == CALLER { "198.51.100.1:5060" } else { "192.0.2.7:5060" };
    Link { peer: peer.parse().unwrap(), kind }
}

fn call_of(message: &Message) -> String {
    String::from_utf8(message.call_id().to_vec()).unwrap()
}

#[test]
fn each_request_has_one_end_whatever_the_network_loses() {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..24 {
        let mut world = World::new(seed, Kind::Udp, [0, 5, 20, 40, 60, 95][seed as usize % 6]);
        world.run(100);
        for end in world.ends.into_values().flatten() {
            *ends.entry(end).or_default() += 1;
        }
    }
    let seen: Vec<&str> = ends.keys().map(String::as_str).collect();
    assert_eq!(seen, ["200", "486", "487", "603", "TimedOut"], "all kinds of ends were seen");
}

#[test]
fn a_network_that_loses_little_loses_no_call() {
    for seed in 100..110 {
        let mut world = World::new(seed, Kind::Udp, 10);
        world.run(100);
        assert!(world.ends.values().flatten().all(|end| end != "TimedOut"), "{:?}", world.ends);
        let missing = world.tables[CALLEE].stats().ack_missing;
        assert_eq!((missing, world.served.len()), (0, 100));
    }
}

#[test]
fn over_a_connection_nothing_is_sent_twice() {
    let mut world = World::new(7, Kind::Tcp, 0);
    world.run(200);
    let stats = world.tables.map(|table| table.stats());
    assert_eq!(stats.map(|stats| stats.retransmitted), [0, 0]);
    assert_eq!(stats.map(|stats| stats.timed_out), [0, 0]);
}
