//! SIP: sockets, transactions, registrations.
//!
//! flow          where octets go and come from
//! transport     sockets and connections; reads messages, writes octets
//! inbox         from the sockets to the shard of a message, through a gate
//! shield        whom nobody answers: scanners, and who guesses passwords
//! shard         transactions of the Call-IDs that are its own, and who serves a request
//! credentials   who may register and call
//! registrar     who is registered where
//! trunks        other telephone systems, and the way to the public network
//! calls         what serves calls, seen from the shards
//!
//! Calls come to this later; until then a request for one is refused by name. The wire, transactions, digest
//! and the arithmetic of bindings are `proto-sip`'s; what is here knows rows, sockets and time.

pub mod calls;
pub mod credentials;
pub mod flow;
pub mod inbox;
pub mod numbers;
pub mod registrar;
pub mod shard;
pub mod shield;
pub mod transport;
pub mod trunks;
