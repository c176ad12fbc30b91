//! Stand-ins for the other side: what a carrier would be in production.

pub(crate) mod sink;
pub mod smsc;
