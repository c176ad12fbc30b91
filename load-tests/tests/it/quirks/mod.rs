//! Each habit of `orbit simulate list` against the real program: what its customer must see.
//!
//! A ward is one switch with many carriers, each a simulator with a habit of its own and a prefix
//! of its own. `ids` has quirks 1 to 8, `receipts` 9 to 25, `parsing` 26 to 37, `session` 38 to 50;
//! `esme` has those that customers' systems have too.

mod esme;
mod ids;
mod parsing;
mod receipts;
mod session;

use load_tests::peer::smsc::{Smsc, SmscOptions, Stats};
use serde_json::{Value, json};

use crate::carriers::{RATE, smsc};
use crate::http::Http;
use crate::world::{World, wait_until};

const CREDIT_USD: &str = "100";
const CREDIT: i64 = 100_000_000;
/// The number that inbound messages are for.
const OURS: &str = "14155550100";

/// A carrier with habits.
pub(crate) struct Case {
    /// As on the command line, blanks between them.
    pub(crate) quirks: &'static str,
    /// Further lines of its block in the settings.
    pub(crate) more: &'static str,
    pub(crate) options: SmscOptions,
}

pub(crate) struct Patient {
    pub(crate) quirks: &'static str,
    pub(crate) carrier: Smsc,
    prefix: String,
    sent: usize,
}

pub(crate) struct Ward {
    pub(crate) world: World,
    pub(crate) http: Http,
    pub(crate) patients: Vec<Patient>,
}

/// A carrier with these habits and no other wish.
pub(crate) fn case(quirks: &'static str) -> Case {
    Case { quirks, more: "", options: SmscOptions::default() }
}

/// One that brings a message from a handset.
pub(crate) fn inbound(quirks: &'static str) -> Case {
    let options =
        SmscOptions { mo_rate: 20, mo_count: 1, mo_to: OURS.into(), ..SmscOptions::default() };
    Case { quirks, more: "", options }
}

impl Ward {
    /// Starts a switch with these carriers, in which each is bound.
    pub(crate) async fn start(name: &str, cases: Vec<Case>, set: &[(&str, &str)]) -> Self {
        let mut world = World::new(name);
        for (key, value) in set {
            world.set(key, value);
        }
        let org = world.org(name, CREDIT_USD).await;
        let mut patients = Vec::new();
        for (at, Case { quirks, more, options }) in cases.into_iter().enumerate() {
            let chosen = quirks.split_whitespace().map(|quirk| quirk.parse().expect("a quirk"));
            let carrier = smsc(SmscOptions { quirks: chosen.collect(), ..options });
            let prefix = format!("1{:03}", 200 + at);
            let id = &org.id;
            let block = format!("prefixes = [\"{prefix}\"]\norganization = \"{id}\"\n{more}");
            world.carrier(&format!("c{at}"), carrier.address, &block);
            patients.push(Patient { quirks, carrier, prefix, sent: 0 });
        }
        world.serve().await;
        let http = world.http(&org.key);
        Self { world, http, patients }
    }

    pub(crate) fn patient(&self, quirks: &str) -> &Patient {
        let found = self.patients.iter().find(|patient| patient.quirks == quirks);
        found.unwrap_or_else(|| panic!("no carrier has {quirks}"))
    }

    pub(crate) fn stats(&self, quirks: &str) -> Stats {
        self.patient(quirks).carrier.stats()
    }

    /// Sends so many texts by the carrier with these habits, each to a number of its own.
    pub(crate) async fn send(&mut self, quirks: &str, count: usize, body: &str) -> Vec<String> {
        let at = self.patients.iter().position(|patient| patient.quirks == quirks);
        let patient = &mut self.patients[at.unwrap_or_else(|| panic!("no carrier has {quirks}"))];
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            patient.sent += 1;
            let to = format!("+{}555{:04}", patient.prefix, patient.sent);
            let message = json!({"to": to, "from": "Orbit", "body": body});
            ids.push(self.http.send(&message).await);
        }
        ids
    }

    /// The message, once it has this status; says whose fault it is when it has not.
    pub(crate) async fn becomes(&mut self, quirks: &str, id: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let mut patience = 4;
        while patience > 0 {
            let http = &mut self.http;
            let came = wait_until(async || {
                last = http.message(id).await;
                last["status"] == status
            });
            if came.await {
                return last;
            }
            patience -= 1;
        }
        panic!(
            "{quirks}: not {status}: {last}\n{:?}\n{}",
            self.stats(quirks),
            self.world.last_words()
        );
    }

    /// Sends so many texts by every carrier, and waits until all are delivered.
    pub(crate) async fn all_deliver(&mut self, count: usize) {
        let quirks: Vec<&'static str> = self.patients.iter().map(|one| one.quirks).collect();
        let mut sent = Vec::new();
        for quirks in &quirks {
            sent.push((*quirks, self.send(quirks, count, "How do you do?").await));
        }
        for (quirks, ids) in sent {
            for id in ids {
                self.becomes(quirks, &id, "delivered").await;
            }
        }
    }

    /// Each carrier's first connection is its only one, and all that it delivered is acknowledged.
    pub(crate) async fn all_binds_live(&self) {
        for Patient { quirks, carrier, .. } in &self.patients {
            let acked = wait_until(async || {
                let stats = carrier.stats();
                stats.receipts_acked == stats.receipts_sent && stats.mo_acked == stats.mo_sent
            });
            let acked = acked.await;
            let stats = carrier.stats();
            assert!(acked && stats.deliveries_refused == 0, "{quirks}: {stats:?}");
            assert_eq!((stats.connections, stats.drops), (stats.binds, 0), "{quirks}: {stats:?}");
        }
    }

    /// So many parts are paid for, once each, and nothing is held.
    pub(crate) async fn paid(&mut self, parts: usize) {
        let spent = RATE * i64::try_from(parts).expect("a few");
        let mut balance = (0, 0);
        let http = &mut self.http;
        let settled = wait_until(async || {
            balance = http.balance().await;
            balance == (CREDIT - spent, 0)
        });
        assert!(settled.await, "{balance:?} after {parts} parts\n{}", self.world.last_words());
    }

    /// How often an event of this kind is in a message's history.
    pub(crate) async fn told(&mut self, id: &str, kind: &str) -> usize {
        self.http.story(id).await.iter().filter(|(known, _)| known == kind).count()
    }

    pub(crate) async fn orphans(&self) -> Vec<Value> {
        let said = self.world.orbit(&["orphans", "--json", "--older-s", "0"]).await.json();
        said.as_array().cloned().unwrap_or_default()
    }

    /// The inbound messages that this carrier brought, once there are so many.
    pub(crate) async fn brought(&mut self, quirks: &str, count: usize) -> Vec<Value> {
        let at = self.patients.iter().position(|patient| patient.quirks == quirks);
        let carrier = format!("c{}", at.unwrap_or_else(|| panic!("no carrier has {quirks}")));
        let mut found = Vec::new();
        let http = &mut self.http;
        let came = wait_until(async || {
            let reply = http.get("/api/v1/messages?direction=inbound&limit=200").await;
            let all = reply.data().as_array().cloned().unwrap_or_default();
            found = all.into_iter().filter(|one| one["carrier_id"] == carrier.as_str()).collect();
            found.len() >= count
        });
        assert!(came.await, "{quirks}: {found:?}\n{}", self.world.last_words());
        assert_eq!(found.len(), count, "{quirks}: {found:?}");
        found
    }
}
