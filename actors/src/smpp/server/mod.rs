//! The SMPP server: customers (ESMEs) bind to us as to an SMSC.
//!
//! listener ── sockets accepted, places taken
//! accounts ── who may bind, how fast, how often; shared by all below
//! esme     ── one actor per connection, temporary: submits in, answers out
//! courier  ── one actor per account with a receiving bind: receipts and inbound messages out
//! front    ── the same submits from a door that is no bind: the compatible HTTP interfaces
//! submit   ── a PDU made a submission; status ── a refusal made a command_status
//!
//! What was promised is rows: a message answered with 0 is stored, and an event an account is owed
//! stays in the log until an ESME has acknowledged it.

pub mod accounts;
pub mod caller;
pub mod courier;
pub mod esme;
pub mod front;
pub mod listener;
pub mod receipts;
pub mod status;
pub mod submit;
