//! The store's promises, each on SQLite and, where `TEST_POSTGRES_URL` is set, on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a failing test should say where")]

mod accept;
mod handoff;
mod inbound;
mod receipts;
mod roles;
mod schema;
mod webhooks;
mod world;
