//! The transactions of one shard, RFC 3261 §17 as RFC 6026 corrects it: what is sent again until it
//! is answered, what is answered again when it comes again, and which answer belongs to what.
//!
//! orders      settings, flows, what comes out
//! client      requests of ours: INVITE (timers A, B, C, D, M) and others (E, F, K); CANCEL, ACK
//! server      requests of peers: INVITE (100, G, H, I, L) and others (J); CANCEL, ACK
//! stateless   answers that keep nothing: bad requests, no room
//! arrived     what identifies a request that came in
//! hop         octets of our hop: Via, branch, ACK and CANCEL
//! timers, slab, flows, keyed    the structures below
//!
//! The owner feeds it with messages, wishes and the time, obeys the outputs in their order, and
//! comes with `tick` at `deadline`. Each request of ours ends in exactly one final response or
//! `Failed`. The retransmission of a 2xx to INVITE is the user's, by `respond` with the same octets.
//! Nothing a peer sends panics, and what peers can make it keep has the bound of the settings.

mod arrived;
mod client;
mod flows;
mod hop;
mod keyed;
mod orders;
mod server;
mod slab;
mod stateless;
mod timers;

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::Bytes;

use client::Client;
use flows::Flows;
use keyed::{ByHash, Keyed, Parts};
pub use orders::{Failure, Flow, Output, SentBy, ServerId, Settings, Stats};
use server::Server;
use slab::{Id, Slab};
use timers::{Timers, Wait};

use crate::Message;

/// The table. `F` is where octets go, `U` the user's own mark of a request.
#[derive(Debug)]
pub struct Transactions<F, U> {
    settings: Settings,
    keyed: Keyed,
    parts: Parts,
    table: Slab<Entry<F, U>>,
    timers: Timers,
    flows: Flows<F>,
    /// Server transactions by what identifies them.
    served: ByHash<u32>,
    /// The same by what a request has in common with its copies on other ways.
    merges: ByHash<u32>,
    /// INVITEs of ours that have no final response.
    marks: HashMap<U, Id>,
    /// CANCELs of ours by the secret of their INVITE.
    cancels: ByHash<u32>,
    stats: Stats,
}

/// One transaction.
#[derive(Debug)]
struct Entry<F, U> {
    flow: F,
    /// What is sent again: the request, the ACK, or the last response; of a peer's INVITE that has
    /// no answer yet, the INVITE.
    octets: Bytes,
    state: State,
    /// How often it was sent by a timer.
    repeats: u8,
    side: Side<U>,
}

#[derive(Debug)]
enum Side<U> {
    Client(Client<U>),
    Server(Server),
}

/// Who may fill the table how far.
enum Share {
    /// A request outside dialogs.
    Begins,
    /// One that says it is inside a dialog.
    Inside,
    /// A request of ours.
    Ours,
}

/// The states of all four machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Calling, Trying: nothing was answered.
    Fresh,
    Proceeding,
    Completed,
    /// Server INVITE: the ACK came.
    Confirmed,
    /// INVITE with a 2xx.
    Accepted,
}

/// 64 times T1: timers B, F, H, J, L, M.
const LONG: Wait = Wait(6);
const T2: Wait = Wait(7);
const T4: Wait = Wait(8);
const TIMER_C: Wait = Wait(9);
const TIMER_D: Wait = Wait(10);
const TRYING: Wait = Wait(11);
const UNANSWERED: Wait = Wait(12);

/// T1 and its doubles: timer A.
fn doubled(repeats: u8) -> Wait {
    Wait(repeats.min(LONG.0))
}

/// The hook of what is sent again.
fn again(place: u32) -> u32 {
    place * 2
}

/// The hook of the end of a state.
fn end(place: u32) -> u32 {
    place * 2 + 1
}

impl<F: Flow, U: Copy + Eq + Hash> Transactions<F, U> {
    /// An empty table. Chance makes branches and tags that nobody guesses.
    pub fn new(settings: Settings, now: Instant, chance: [u8; 16]) -> Self {
        let t1 = settings.t1.max(Duration::from_millis(1));
        let mut waits: Vec<Duration> = (0..=LONG.0).map(|double| t1 * (1 << double)).collect();
        let timer_d = (64 * t1).max(Duration::from_secs(32));
        waits.extend([settings.t2.max(t1), settings.t4, settings.timer_c, timer_d]);
        waits.extend([settings.trying_after, settings.unanswered_max]);
        Self {
            settings,
            keyed: Keyed::new(chance),
            parts: Parts::default(),
            table: Slab::default(),
            timers: Timers::new(now, &waits),
            flows: Flows::new(),
            served: ByHash::default(),
            merges: ByHash::default(),
            marks: HashMap::new(),
            cancels: ByHash::default(),
            stats: Stats::default(),
        }
    }

    /// A message that came in, as `Message::parse` reads it: its values are checked here.
    pub fn receive(
        &mut self,
        now: Instant,
        flow: F,
        message: Message,
        out: &mut Vec<Output<F, U>>,
    ) {
        self.timers.advance(now);
        if message.is_request() {
            self.request_came(flow, message, out);
        } else {
            self.response_came(flow, message, out);
        }
    }

    /// The flow is gone. Requests of ours that were not answered at all fail; those with a
    /// provisional response wait, since the final one may come by a new connection, but not over a
    /// WebSocket. Responses that are owed go anew.
    pub fn flow_lost(&mut self, now: Instant, flow: F, out: &mut Vec<Output<F, U>>) {
        self.timers.advance(now);
        for place in self.flows.on(flow) {
            let Some(entry) = self.table.at(place) else { continue };
            match &mut entry.side {
                Side::Client(_) => self.client_flow_lost(place, out),
                Side::Server(server) => server.lost = true,
            }
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Output<F, U>>) {
        self.timers.advance(now);
        while let Some(hook) = self.timers.due() {
            let (place, ends) = (hook / 2, hook % 2 == 1);
            let Some(entry) = self.table.at(place) else { continue };
            match (&entry.side, ends) {
                (Side::Client(_), false) => self.client_again(place, out),
                (Side::Client(_), true) => self.client_end(place, out),
                (Side::Server(_), false) => self.server_again(place, out),
                (Side::Server(_), true) => self.server_end(place, out),
            }
        }
    }

    /// When `tick` has something to do; `None` when nothing waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Transactions that are there, those that only absorb what comes again among them.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// T1 and its doubles up to T2: timers E and G.
    fn capped(&self, repeats: u8) -> Wait {
        let wait = self.settings.t1.checked_mul(1 << repeats.min(LONG.0));
        if wait.is_some_and(|wait| wait < self.settings.t2) { doubled(repeats) } else { T2 }
    }

    fn insert(&mut self, entry: Entry<F, U>) -> Id {
        let flow = entry.flow;
        let id = self.table.insert(entry);
        self.flows.add(flow, id.place);
        id
    }

    fn remove(&mut self, place: u32) {
        let Some(id) = self.table.id(place) else { return };
        let Some(entry) = self.table.remove(place) else { return };
        self.timers.clear(again(place));
        self.timers.clear(end(place));
        self.flows.remove(entry.flow, place);
        match entry.side {
            Side::Client(client) => self.forget_client(id, &client),
            Side::Server(server) => self.forget_server(place, &server),
        }
    }

    /// Room for one more. Whatever peers send, the last share is ours: a BYE must get out.
    fn has_room(&self, of: Share) -> bool {
        let shares = match of {
            Share::Begins => 1,
            Share::Inside => 2,
            Share::Ours => 3,
        };
        self.len() < self.settings.transactions_max.saturating_mul(shares)
    }
}

/// Sends the octets of an entry again.
fn transmit<F: Copy, U>(entry: &Entry<F, U>, out: &mut Vec<Output<F, U>>) {
    out.push(Output::Transmit { flow: entry.flow, octets: entry.octets.clone() });
}

#[cfg(test)]
mod tests;
