//! The crate from outside: two legs over a bad network, and the corpus of the fuzz targets. No
//! sockets, no sleep: time is a number here.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test begins at some moment"))]

mod corpus;
mod link;
