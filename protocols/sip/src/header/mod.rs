//! Values of headers, one kind a file: read from a text without folds, written back as text.
//!
//! `Message::value` and `Message::list` read them from a message. Each holds slices of that
//! message. What is not asked for is never read. Challenges and credentials are the digest's.

mod contact;
mod cseq;
mod date;
mod name_addr;
mod params;
mod reason;
mod replaces;
mod times;
mod tokens;
mod via;

use bytes::Bytes;

pub use contact::Contact;
pub use cseq::CSeq;
pub use date::Date;
pub use name_addr::NameAddr;
pub use params::Params;
pub use reason::{Reason, Warning};
pub use replaces::Replaces;
pub use times::{MinSe, RAck, RSeq, Refresher, RetryAfter, Seconds, SessionExpires};
pub use tokens::{MediaType, Token, TokenParams};
pub use via::{MAGIC_COOKIE, Rport, Transport, Via};

use crate::grammar::ValueError;

/// A value of a header.
pub trait Value: Sized {
    /// Reads a text that is one value: a list is cut before.
    fn parse(text: &Bytes) -> Result<Self, ValueError>;

    /// Appends the value as text.
    fn write(&self, out: &mut Vec<u8>);

    fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.write(&mut out);
        Bytes::from(out)
    }
}
