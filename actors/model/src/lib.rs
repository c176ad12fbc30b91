//! The words of the product: ids, money, addresses, messages, prices, keys, refusals.
//!
//! Every other crate may name this one; it names none of ours. Nothing here does input or
//! output: time, randomness and files come in as arguments.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a failing test should say where"))]

pub mod address;
pub mod api_key;
pub mod carrier;
pub mod clock;
pub mod event;
pub mod id;
pub mod message;
pub mod money;
pub mod rates;
pub mod refusal;
pub mod submission;
pub mod zone;
