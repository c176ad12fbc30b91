//! Stand-ins for the other side: what a carrier would be in production.

pub mod smsc;
