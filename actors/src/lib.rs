//! The actors: each connection, queue and clock of the switch, with its state and its mailbox.
//!
//! Actors carry work; rows carry truth. None of them knows an HTTP server, a column or a socket's
//! details: those are the API's, the store's and the protocols'. Supervisors alone start what
//! outlives a message.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a failing test should say where"))]

pub mod customer;
pub mod directory;
pub mod gate;
pub mod lockout;
pub mod media;
pub mod places;
pub mod sandbox;
pub mod series;
pub mod sip;
pub mod smpp;
#[cfg(test)]
pub(crate) mod testing;
pub mod traffic;
pub mod writer;
