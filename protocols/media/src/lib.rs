//! Media of a call: RTP, RTCP and SRTP with what belongs to them, without sockets, tasks or a clock.
//!
//! rtp → latch → jitter        packets, from whom they may come, when they are played
//! rtcp, quality               what the far end heard, and how good that is
//! g711, dtmf, tone, wav       sound and digits, to octets and back
//! speech, resample → convert  one codec into another, where two sides have none in common
//! srtp                        the same packets, sealed (SDES keys)
//!
//! The rule everywhere: what comes from the network never panics, never grows without a limit, and
//! what is refused changes nothing. Time comes in as an argument (`std::time::Instant`), packets go
//! out as values.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test begins at some moment"))]

pub mod convert;
pub mod dtmf;
pub mod g711;
pub mod jitter;
pub mod latch;
pub mod quality;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod speech;
pub mod srtp;
pub mod tone;
pub mod wav;

pub use convert::Converter;
pub use dtmf::Digit;
pub use jitter::JitterBuffer;
pub use latch::Latch;
pub use rtp::Packet;
pub use speech::Speech;
