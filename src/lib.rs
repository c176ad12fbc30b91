//! Orbit, put together: settings in, a running switch out.
//!
//! `boot` composes the parts in the order in which they need each other; `api` is the REST door,
//! `admin` the operator's, `cli` the commands. Nothing here knows a column or a PDU, but for
//! `simulate`, which speaks SMPP by itself.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a failing test should say where"))]

pub mod admin;
pub mod api;
pub mod boot;
pub mod carriers;
pub mod cli;
mod descriptors;
pub mod dev;
mod health;
mod home;
mod masks;
mod numbers;
mod password;
mod pools;
pub mod settings;
pub mod simulate;
mod sip;
mod telephones;
#[cfg(test)]
mod tidy;
mod trunks;
pub mod vault;
