//! Stand-ins for the other side that ship in the program: `orbit simulate`.
//!
//! quirk ─ the catalog: what carriers do on the wire, a switch each
//! smsc  ─ an SMSC that any ESME can bind to, with those switches
//!
//! Nothing here names the switch's own protocol crate: a mistake that both ends share would hide.
#![expect(clippy::disallowed_methods, reason = "a simulator keeps the time of the wire")]

pub mod quirk;
pub mod smsc;
