//! The words of the product: ids, money, addresses, messages, prices, keys, refusals.
//!
//! Every other crate may name this one; it names none of ours. Nothing here does input or
//! output: time, randomness and files come in as arguments.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a failing test should say where"))]

pub mod address;
pub mod api_key;
pub mod carrier;
pub mod clock;
pub mod consent;
pub mod country;
pub mod emergency;
pub mod esme;
pub mod event;
pub mod id;
pub mod identity;
pub mod interceptor;
pub mod keyword;
pub mod lint;
pub mod masking;
pub mod message;
pub mod money;
pub mod network;
pub mod number;
pub mod policy;
pub mod pool;
mod prefixes;
pub mod protection;
pub mod quiet;
pub mod rates;
pub mod refusal;
pub mod renewal;
pub mod route;
pub mod routing;
pub mod share;
pub mod sip;
pub mod submission;
pub mod template;
pub mod trunk;
pub mod voice;
pub mod zone;
