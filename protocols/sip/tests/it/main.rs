//! The crate from outside: the corpus of the fuzz targets. No sockets, no sleep.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]

mod corpus;
