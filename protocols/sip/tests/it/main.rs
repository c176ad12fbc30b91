//! The crate from outside: torture messages, laws, the corpus of the fuzz targets and changes to it,
//! and rsip as a second opinion. No sockets, no sleep.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]

mod corpus;
mod invites;
mod laws;
mod mangled;
mod oracle;
mod torture;
mod torture_files;
