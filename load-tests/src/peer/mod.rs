//! Stand-ins for the other side: what a carrier would be in production.

pub(crate) mod kamailio;
pub(crate) mod rtpengine;
pub(crate) mod sink;
/// The carrier simulator that ships in the program.
pub use orbit::simulate::smsc;
