//! End to end: the real program, its socket, its command line, and carriers that misbehave.
//!
//! world ─ a switch as a process, with a folder of its own (`ORBIT_BIN` names another program)
//! http ─ what a client sees · scripted ─ a carrier that does what a test says
//! esme ─ a customer's system · hook ─ a receiver of webhooks · tools ─ programs of others that judge
//! one file per promise
//!
//! The program is the one beside this test: `cargo build --workspace --bins` makes it.

mod alerts;
mod books;
mod by_api;
mod calls;
mod carriers;
mod crash;
mod crowd;
mod desk;
mod dev;
mod doors;
mod esme;
mod garbage;
mod hook;
mod http;
mod inbound;
mod input;
mod interceptors;
mod judges;
mod kannel;
mod long;
mod opt_out;
mod outbind;
mod phones;
mod pools;
mod postgres;
mod protection;
mod quirks;
mod refusals;
mod renewals;
mod routing;
mod sandbox;
mod schemathesis;
mod scripted;
mod secrets;
mod sends;
mod simulate;
mod tenants;
mod tools;
mod watch;
mod world;
