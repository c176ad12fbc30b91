//! SMPP 3.4 (with what 5.0 adds on the hot path): the wire, without sockets, tasks or a clock.
//!
//! frame → pdu → session       bytes to PDUs to a state machine, both roles
//! timers, window, pacing      the arithmetic of a link, each a plain value
//! time                        times as PDUs give them
//! gsm7, ucs2, text, split     texts to octets and back, long texts to parts
//! typography                  signs that have a plain likeness in GSM-7
//! receipt, message_id         what a carrier says of a message, and how its ids meet
//!
//! The rule everywhere: a liberal decoder, an exact encoder. What a peer sends never panics and
//! never puts the stream out of step; what we send keeps to the book. Time comes in as an
//! argument (`std::time::Instant`), bytes go out as orders (`session::Output`).
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test begins at some moment"))]

pub mod command;
pub mod frame;
pub mod gsm7;
pub mod message_id;
pub mod pacing;
pub mod pdu;
pub mod receipt;
pub mod segment;
pub mod session;
pub mod split;
pub mod status;
pub mod text;
pub mod time;
pub mod timers;
pub mod tlv;
pub mod typography;
pub mod ucs2;
pub mod window;

pub use command::CommandId;
pub use frame::Frames;
pub use pdu::bind::{Bind, BindKind};
pub use pdu::message::{Address, Message, MessageView};
pub use session::{CloseReason, Input, Output, Role, Session, Settings};
pub use status::CommandStatus;
pub use time::Time;
