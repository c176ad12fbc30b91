//! Any inputs in any order, and octets that are no messages: nothing panics, everything drains, and
//! each request of ours has exactly one end.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const FLOWS: [Link; 3] = [UDP, TCP, WS];
const METHODS: [&str; 6] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "FANCY"];
const STATUSES: [u16; 7] = [100, 180, 183, 200, 202, 401, 603];

/// One input, its parts chosen by numbers.
#[derive(Clone, Debug)]
enum Order {
    Passes { millis: u64 },
    Receives { flow: usize, method: usize, branch: u8, tag: bool },
    Answered { flow: usize, request: usize, status: usize },
    Responds { id: usize, status: usize },
    Sends { flow: usize, method: usize },
    Cancels { mark: u32 },
    Loses { flow: usize },
}

fn order() -> impl Strategy<Value = Order> {
    let flow = || 0..FLOWS.len();
    prop_oneof![
        (0u64..5_000).prop_map(|millis| Order::Passes { millis }),
        (0u64..300_000).prop_map(|millis| Order::Passes { millis }),
        (flow(), 0..METHODS.len(), 0u8..4, any::<bool>())
            .prop_map(|(flow, method, branch, tag)| Order::Receives { flow, method, branch, tag }),
        (flow(), 0usize..8, 0..STATUSES.len())
            .prop_map(|(flow, request, status)| Order::Answered { flow, request, status }),
        (0usize..8, 0..STATUSES.len()).prop_map(|(id, status)| Order::Responds { id, status }),
        (flow(), 0..METHODS.len()).prop_map(|(flow, method)| Order::Sends { flow, method }),
        (0u32..8).prop_map(|mark| Order::Cancels { mark }),
        flow().prop_map(|flow| Order::Loses { flow }),
    ]
}

/// A table with what it sent and was asked.
struct Run {
    stage: Stage,
    millis: u64,
    sent: Vec<Bytes>,
    marks: u32,
}

impl Run {
    fn new() -> Self {
        let settings = Settings { transactions_max: 6, ..Settings::default() };
        Self { stage: Stage::with(settings), millis: 0, sent: vec![], marks: 0 }
    }

    fn obey(&mut self, order: Order) {
        let before = self.stage.out.len();
        match order {
            Order::Passes { millis } => {
                self.millis += millis;
                self.stage.until(self.millis);
            }
            Order::Receives { flow, method, branch, tag } => {
                let text = theirs(METHODS[method], &format!(";branch=z9hG4bK{branch}"));
                let to = if tag { "<sip:us@u>;tag=x" } else { "<sip:us@u>" };
                self.stage.receive(FLOWS[flow], &text.replace("<sip:us@u>", to));
            }
            Order::Answered { flow, request, status } => {
                let back = self.sent.len().checked_sub(1 + request);
                if let Some(request) = back.map(|at| parse(&self.sent[at])) {
                    self.stage.receive(FLOWS[flow], &answer(&request, STATUSES[status]));
                }
            }
            Order::Responds { id, status } => self.respond(id, STATUSES[status]),
            Order::Sends { flow, method } if METHODS[method] != "ACK" => {
                let text = ours(METHODS[method]);
                self.stage.request(FLOWS[flow], self.marks, &text);
                self.marks += 1;
            }
            Order::Sends { flow, .. } => {
                let text = ours("ACK");
                self.stage
                    .step(|table, _, out| table.ack(FLOWS[flow], &us(), text.as_bytes(), out));
            }
            Order::Cancels { mark } => {
                let mark = self.marks.saturating_sub(mark);
                self.stage.step(|table, now, out| table.cancel(now, mark, &[], out));
            }
            Order::Loses { flow } => {
                self.stage.step(|table, now, out| table.flow_lost(now, FLOWS[flow], out));
            }
        }
        for output in &self.stage.out[before..] {
            if let Output::Transmit { octets, .. } = output
                && !octets.starts_with(b"SIP/2.0")
            {
                self.sent.push(octets.clone());
            }
        }
        // What begins, what says it is inside, and ours: a share each.
        assert!(self.stage.table.len() <= 18 + self.stage.table.cancels.len());
    }

    fn respond(&mut self, back: usize, status: u16) {
        let Some(at) = self.stage.ids.len().checked_sub(1 + back) else { return };
        let id = self.stage.ids[at];
        let octets = Bytes::from(answer(&parse(invite().as_bytes()), status));
        self.stage.step(|table, now, out| table.respond(now, id, octets, out));
    }

    fn drain(mut self) {
        self.stage.until(self.millis + 2_000_000);
        assert!(self.stage.is_clean(), "{:?}", self.stage.table);
        let mut ends: BTreeMap<u32, u32> = (0..self.marks).map(|mark| (mark, 0)).collect();
        let mut over = BTreeMap::new();
        for output in &self.stage.out {
            let (mark, repeats) = match output {
                Output::Failed { mark, .. } => (mark, false),
                Output::Response { mark, message, .. } => {
                    let status = message.status().unwrap();
                    assert!(status.is_final() || !over.contains_key(mark), "late {status}");
                    if !status.is_final() {
                        continue;
                    }
                    (mark, status.is_success() && over.contains_key(mark))
                }
                _ => continue,
            };
            over.insert(*mark, ());
            if !repeats {
                *ends.get_mut(mark).unwrap() += 1;
            }
        }
        assert!(ends.values().all(|count| *count == 1), "{ends:?}");
    }
}

proptest! {
    #[test]
    fn any_inputs_in_any_order_drain(orders in prop::collection::vec(order(), 0..120)) {
        let mut run = Run::new();
        for order in orders {
            run.obey(order);
        }
        run.drain();
    }
}

#[test]
fn garbage_is_survived() {
    let mut chance = StdRng::seed_from_u64(11);
    let mut stage = Stage::new();
    stage.request(UDP, 1, &ours("INVITE")).request(TCP, 2, &ours("BYE"));
    let mut seeds: Vec<Vec<u8>> =
        METHODS.iter().map(|method| theirs(method, ";branch=z9hG4bKb1").into_bytes()).collect();
    for method in ["INVITE", "BYE"] {
        let request = parse(stage.sent(method));
        seeds.extend([100, 200, 486].map(|status| answer(&request, status).into_bytes()));
    }
    for round in 0..20_000u64 {
        let mut octets = seeds[chance.random_range(0..seeds.len())].clone();
        for _ in 0..chance.random_range(0..4) {
            let at = chance.random_range(0..octets.len());
            match chance.random_range(0..4) {
                0 => octets[at] = chance.random(),
                1 if octets.len() > 1 => drop(octets.remove(at)),
                2 => octets.insert(at, b";:,<>\"\r\n\0 z9"[chance.random_range(0..12)]),
                _ => octets.truncate(at.max(1)),
            }
        }
        let flow = FLOWS[round as usize % 3];
        match Message::parse(Bytes::from(octets), &Limits::default()) {
            Ok(message) => {
                stage.step(|table, now, out| table.receive(now, flow, message, out));
            }
            Err(refused) => {
                stage.step(|table, _, out| table.refuse(flow, &refused, out));
            }
        }
        if round % 3 == 0 && !stage.ids.is_empty() {
            let id = stage.ids[chance.random_range(0..stage.ids.len())];
            let octets = Bytes::from(answer(&parse(invite().as_bytes()), 486));
            stage.step(|table, now, out| table.respond(now, id, octets, out));
        }
        if round % 100 == 0 {
            stage.until(round * 20);
            stage.heard();
            stage.out.clear();
        }
    }
    stage.until(2_000_000);
    assert!(stage.is_clean());
}
