//! SIP: sockets, transactions, registrations.
//!
//! flow          where octets go and come from
//! transport     sockets and connections; reads messages, writes octets
//! inbox         from the sockets to the shard of a message, through a gate
//! shield        whom nobody answers: scanners, and who guesses passwords
//! proof         whether a request proves who it is from
//! shard         transactions of the Call-IDs that are its own, and who serves a request
//! own           requests of ours that are of no call, and their answers
//! names         where hosts are that have names
//! credentials   who may register and call
//! registrar     who is registered where
//! trunks        other telephone systems, and the way to the public network
//! numbers       the organizations' numbers, and what calls to them mean; masks: what they mean to whom
//! minder        asks a trunk whether it is there, and keeps us registered there
//! calls         what serves calls, seen from the shards
//! call          calls: an actor each, made of machines
//! recordings    what organizations want of recordings, and how they are kept
//! dialplan      what becomes of a call, from who calls and what was dialled
//!
//! The wire, transactions, dialogs, legs, digest and the arithmetic of bindings are `proto-sip`'s; what is
//! here knows rows, sockets and time.

pub mod call;
pub mod calls;
pub mod credentials;
pub mod dialplan;
pub mod flow;
pub mod inbox;
pub mod masks;
pub mod minder;
pub mod names;
pub mod numbers;
pub mod own;
mod proof;
pub mod recordings;
pub mod registrar;
pub mod shard;
pub mod shield;
mod snapshot;
pub mod srv;
pub mod transport;
pub mod trunks;
