//! What can be wrong with a message, and what a sender is told of it, RFC 3261 §16.3 and §21.
//!
//! A refused request keeps the index of what could be read, so that an answer finds its Via,
//! From, To, Call-ID and CSeq there. Bad responses and bad ACKs are never answered.

use thiserror::Error;

use super::Message;
use crate::grammar::ValueError;
use crate::{Method, Name, StatusCode};

/// The first thing that is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Defect {
    #[error("not SIP")]
    NotSip,
    #[error("the start line cannot be read: {0}")]
    StartLine(&'static str),
    #[error("another version of SIP")]
    Version,
    #[error("line {0} is no header")]
    Line(usize),
    #[error("a carriage return or line feed stands alone in line {0}")]
    BareLineEnd(usize),
    #[error("a null octet in line {0}")]
    Null(usize),
    #[error("no empty line ends the headers")]
    Unfinished,
    #[error("the message is too long")]
    TooLong,
    #[error("the head is too long")]
    HeadTooLong,
    #[error("too many headers")]
    TooManyHeaders,
    #[error("the body is too long")]
    BodyTooLong,
    #[error("too many Vias")]
    TooManyVias,
    #[error("no {0}")]
    Missing(Name),
    #[error("more than one {0}")]
    Repeated(Name),
    #[error("Content-Length cannot be read")]
    ContentLength,
    #[error("the body is shorter than Content-Length")]
    BodyCut,
    #[error("no Content-Length on a stream")]
    NoContentLength,
    #[error("CSeq names another method")]
    MethodMismatch,
    #[error("a URI of this scheme is not served")]
    Scheme,
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Defect {
    /// The status that tells the sender.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Version => StatusCode::VERSION_NOT_SUPPORTED,
            Self::TooLong | Self::HeadTooLong | Self::TooManyHeaders => {
                StatusCode::MESSAGE_TOO_LARGE
            }
            Self::BodyTooLong => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            Self::TooManyVias => StatusCode::TOO_MANY_HOPS,
            Self::Scheme => StatusCode::UNSUPPORTED_URI_SCHEME,
            Self::NotSip
            | Self::StartLine(_)
            | Self::Line(_)
            | Self::BareLineEnd(_)
            | Self::Null(_)
            | Self::Unfinished
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::ContentLength
            | Self::BodyCut
            | Self::NoContentLength
            | Self::MethodMismatch
            | Self::Value(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// A message that is not taken: why, and what could be read of a request.
#[derive(Clone, Debug, Error)]
#[error("{defect}")]
pub struct Refused {
    pub defect: Defect,
    /// What could be read; `None` for a response, or when not even the method could.
    pub request: Option<Message>,
}

impl Refused {
    /// The request to answer and the status to answer it with, if it may be answered: an ACK may
    /// not, and without any Via nobody waits for one. Where the Via does not read, the answer goes
    /// back to where the request came from.
    pub fn answer(&self) -> Option<(&Message, StatusCode)> {
        let request = self.request.as_ref()?;
        let answerable = request.method() != Some(&Method::Ack) && request.has(Name::Via);
        answerable.then(|| (request, self.defect.status()))
    }
}
