//! The store's promises, each on SQLite and, where `TEST_POSTGRES_URL` is set, on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a failing test should say where")]

mod accept;
mod accounts;
mod batches;
mod call_limits;
mod calls;
mod caps;
mod carriers;
mod diverts;
mod follow;
mod grants;
mod handoff;
mod inbound;
mod interceptors;
mod joining;
mod keywords;
mod matching;
mod opt_out;
mod owed;
mod parked;
mod policies;
mod pools;
mod protection;
mod receipts;
mod retention;
mod roles;
mod runs;
mod schedules;
mod schema;
mod silence;
mod sip;
mod smpp;
mod templates;
mod trunks;
mod webhooks;
mod world;
