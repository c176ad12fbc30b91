//! The supervisors: who starts whom, and what is done when one dies.
//!
//! root
//! ├─ writer              one; when it dies the carriers fall and rise with it
//! ├─ sandbox             our own SMSC; its sessions are temporary
//! ├─ carriers
//! │  └─ carrier          one per account, each with a restart budget of its own
//! │     ├─ owner         when it dies its binds fall and rise with it
//! │     └─ bind          one per connection; when it dies it alone is started again
//! ├─ sweeper             receipts that do not come, parts that are not joined
//! ├─ retention           what has aged
//! ├─ replies             answers to keywords
//! ├─ scheduler           what falls due
//! ├─ customers
//! │  └─ endpoint         one per webhook endpoint; when it dies it alone is started again
//! ├─ esmes
//! │  ├─ ESME             one per connection, temporary
//! │  └─ courier          one per account with a receiving bind
//! ├─ calls
//! │  └─ call             one per call, temporary; what it leaves is carried out
//! ├─ sip
//! │  ├─ registrar        who is registered where; when it dies it alone is started again
//! │  └─ shard            transactions, by Call-ID; the same
//! └─ trunks
//!    └─ minder           one per trunk that is asked or registers; when it dies it alone is started again
//!
//! A restart policy is arithmetic (`restart`); what killed its actor twice is set aside.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a failing test should say where"))]

pub mod calls;
pub mod carrier;
pub mod carriers;
pub mod customers;
pub mod esmes;
pub mod restart;
pub mod root;
pub mod sandbox;
pub mod sip;
pub mod trunks;

#[cfg(test)]
mod tests;
