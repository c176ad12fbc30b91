//! SIP (RFC 3261 and what has grown on it): the wire, without sockets, tasks or a clock.
//!
//! frame        a stream cut into messages; what a datagram is
//! message      an index over the octets of one message; checks, edits, answers
//! uri          SIP, SIPS and tel URIs, others kept as they are
//! header       values of headers, read when asked for
//! grammar      the few rules of the text that all of these share
//! sdp          session descriptions, kept line by line; offer and answer
//! dialog       what two ends share, and requests in it
//! leg          one call of one peer, from INVITE to BYE, as the end that asks or is asked
//! digest       challenges and credentials, of both sides
//! transaction  what is sent again, answered again, and which answer belongs to what
//! binding      what a registrar does with a REGISTER
//! registration a REGISTER of ours, and what a registrar makes of it
//!
//! The rule everywhere: what a peer sends never panics, nothing is counted or kept without a
//! limit, and what we do not change leaves as it came, octet for octet. Values hold slices of the
//! message (`Bytes`), so reading one copies nothing and it outlives the message if it must.
#![cfg_attr(test, expect(clippy::unwrap_used, reason = "a test may stop at the first surprise"))]
#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "a test begins at some moment"))]

pub mod binding;
pub mod dialog;
pub mod digest;
pub mod frame;
mod grammar;
pub mod header;
pub mod leg;
mod limits;
pub mod message;
mod method;
mod name;
pub mod registration;
pub mod sdp;
mod status;
pub mod transaction;
pub mod uri;

pub use frame::{Datagram, Frames};
pub use grammar::ValueError;
pub use limits::Limits;
pub use message::{Answer, BuildError, Builder, Defect, Edit, Message, Refused, Start};
pub use method::Method;
pub use name::{Field, Name};
pub use sdp::Sdp;
pub use status::StatusCode;
pub use uri::Uri;
