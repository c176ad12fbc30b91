//! What a registrar does with a REGISTER, RFC 3261 §10.3, Path (RFC 3327), Outbound (RFC 5626).
//!
//! wish      what a REGISTER asks for, read once
//! apply     that, against what is bound: what is then bound, or why it is refused
//! answer    the values of Contact in the answer
//!
//! All or nothing: a refused REGISTER changes no binding. Who is allowed to register, and where the
//! octets of a call go, is not decided here; a binding says what the telephone says of itself.

mod answer;
mod apply;
mod wish;

use bytes::Bytes;
use thiserror::Error;

pub use apply::{Outcome, register};
pub use wish::{Wanted, Wish};

use crate::StatusCode;

/// What a registrar grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub expires_min_s: u32,
    pub expires_max_s: u32,
    /// For who does not say how long.
    pub expires_default_s: u32,
    /// Bindings of one address-of-record.
    pub contacts_max: usize,
    /// Octets of all values of Path.
    pub path_max: usize,
}

/// Where an address-of-record is reached, until when. It holds no slice of the message it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Tells the bindings of one address-of-record apart, and stays the same as long as it lives.
    pub slot: u16,
    /// The Contact's URI, as it came.
    pub contact: Bytes,
    /// Preference in thousandths.
    pub q: u16,
    /// Which device it is; empty when it does not say.
    pub instance: Bytes,
    /// Which flow of the device; 0 for one that is no flow of Outbound.
    pub reg_id: u32,
    pub call_id: Bytes,
    pub cseq: u32,
    /// What Route a request to it has, as values of a list; empty for none.
    pub path: Bytes,
    pub expires_at_s: u64,
}

/// Why a REGISTER changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("{0}")]
    Bad(&'static str),
    #[error("a Contact that is no SIP URI")]
    Scheme,
    #[error("shorter than {min_s} s")]
    TooBrief { min_s: u32 },
    #[error("more than {most} contacts")]
    TooMany { most: usize },
    /// A later request of the same telephone was served before.
    #[error("the CSeq does not go up")]
    OutOfOrder,
    /// A flow was asked for through somebody who does not keep flows.
    #[error("the first hop does not keep flows")]
    NoOutbound,
}

impl Refused {
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Scheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::TooBrief { .. } => StatusCode::INTERVAL_TOO_BRIEF,
            Self::TooMany { .. } => StatusCode::FORBIDDEN,
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
            Self::NoOutbound => StatusCode::FIRST_HOP_LACKS_OUTBOUND_SUPPORT,
        }
    }

    /// The words of the answer, where the usual ones do not tell enough.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Bad(words) => Some(words),
            Self::TooMany { .. } => Some("Too Many Contacts"),
            Self::OutOfOrder => Some("CSeq Out Of Order"),
            Self::Scheme | Self::TooBrief { .. } | Self::NoOutbound => None,
        }
    }
}

impl Binding {
    pub fn is_over(&self, now_s: u64) -> bool {
        self.expires_at_s <= now_s
    }
}

#[cfg(test)]
mod tests;
