//! The bodies of the PDUs that matter: binds, messages, and their responses.
//!
//! Decoding is liberal (a view over the body, never a panic), encoding is exact. Each encoder
//! appends one whole PDU, header included, to the caller's buffer.

pub mod bind;
pub mod manage;
pub mod message;
pub mod multi;
pub mod notify;
pub mod response;

use thiserror::Error;

use crate::CommandStatus;

/// The mandatory part of a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("the pdu ends before its {0}")]
    Cut(&'static str),
    #[error("sm_length is {said}, but {got} octets are left")]
    TextCut { said: u8, got: usize },
    #[error("the command carries no such body")]
    WrongCommand,
    #[error("a destination is neither an address nor a list")]
    BadFlag,
}

/// What we were asked to send does not fit the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    #[error("a message of {0} octets does not fit a pdu")]
    TooLong(usize),
    #[error("{field} takes {limit} octets, not {got}")]
    FieldTooLong { field: &'static str, limit: usize, got: usize },
}

impl DecodeError {
    /// The status of the response that refuses such a PDU.
    pub fn status(self) -> CommandStatus {
        match self {
            Self::Cut(_) | Self::TextCut { .. } => CommandStatus::INVMSGLEN,
            Self::WrongCommand => CommandStatus::INVCMDID,
            Self::BadFlag => CommandStatus::INVDESTFLAG,
        }
    }
}

/// Reads the mandatory fields of a body, front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(crate) fn octet(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Cut(field))?;
        self.rest = rest;
        Ok(*first)
    }

    /// A C-octet string of any length; one without its NUL runs to the end of the body.
    pub(crate) fn cstring(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        if self.rest.is_empty() {
            return Err(DecodeError::Cut(field));
        }
        let (text, rest) = split_cstring(self.rest);
        self.rest = rest;
        Ok(text)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The text before the first NUL, and what follows that NUL.
pub(crate) fn split_cstring(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&b| b == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Appends a C-octet string. A NUL inside the text would start another field, so it ends this one.
pub(crate) fn put_cstring(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(split_cstring(text).0);
    out.push(0);
}
