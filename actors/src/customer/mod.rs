//! What faces the customer: events as they are told, and who tells them.

pub mod envelope;
pub mod feed;
#[cfg(test)]
pub(crate) mod testing;
pub mod webhook;
