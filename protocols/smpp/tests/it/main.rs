//! The crate from outside: machines against each other, peers with quirks, garbage, the wire's
//! examples, and rusmpp as a second opinion. No sockets, no sleep: time is a number here.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test begins at some moment"))]

mod borders;
mod corpus;
mod garbage;
mod laws;
mod link;
mod oracle;
mod quirks;
mod tools;
mod wire;
