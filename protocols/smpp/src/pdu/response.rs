//! The responses of submit_sm, deliver_sm and data_sm, SMPP 3.4 §4.4.2, §4.6.2, §4.7.2.
//!
//! Reading takes anything: a header alone, a body on an error, an id without its NUL, over 64
//! octets, or none at all. Ours keep to the book: an error is a header alone, except for
//! deliver_sm_resp, whose body is always one NUL.

use super::{put_cstring, split_cstring};
use crate::{CommandId, CommandStatus, frame, tlv};

/// A view of a response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Response<'a> {
    /// The id without its NUL; empty when there is none.
    pub message_id: &'a [u8],
    /// The optional part, whole TLVs only.
    pub tlvs: &'a [u8],
}

impl<'a> Response<'a> {
    pub fn parse(body: &'a [u8]) -> Self {
        let (message_id, tlvs) = split_cstring(body);
        Self { message_id, tlvs: &tlvs[..tlv::whole(tlvs)] }
    }
}

/// Appends the response to a message-carrying request; `command` is the request's or its own.
pub fn encode(
    out: &mut Vec<u8>,
    command: CommandId,
    status: CommandStatus,
    sequence: u32,
    message_id: &[u8],
) {
    encode_with(out, command, status, sequence, message_id, &[]);
}

/// The same with optional parameters behind the id; without a body there are none.
pub fn encode_with(
    out: &mut Vec<u8>,
    command: CommandId,
    status: CommandStatus,
    sequence: u32,
    message_id: &[u8],
    tlvs: &[u8],
) {
    let start = frame::begin(out, command.response(), status, sequence);
    match command.request() {
        CommandId::DELIVER_SM => {
            out.push(0);
            out.extend_from_slice(tlvs);
        }
        _ if status.is_ok() || !message_id.is_empty() => {
            put_cstring(out, message_id);
            out.extend_from_slice(tlvs);
        }
        _ => {}
    }
    frame::finish(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_body_is_a_response() {
        assert_eq!(Response::parse(b""), Response::default());
        assert_eq!(Response::parse(b"\0").message_id, b"");
        assert_eq!(Response::parse(b"abc").message_id, b"abc");
        let long = [b'7'; 200];
        assert_eq!(Response::parse(&long).message_id, long);
        let with_tlv = Response::parse(b"id\0\x04\x25\0\x01\x02\x04");
        assert_eq!((with_tlv.message_id, with_tlv.tlvs.len()), (&b"id"[..], 5));
    }

    #[test]
    fn our_responses_keep_to_the_book() {
        let length = |command, status, id: &[u8]| {
            let mut out = Vec::new();
            encode(&mut out, command, status, 1, id);
            out.len()
        };
        assert_eq!(length(CommandId::SUBMIT_SM, CommandStatus::OK, b"id"), 19);
        assert_eq!(length(CommandId::SUBMIT_SM, CommandStatus::THROTTLED, b""), 16);
        assert_eq!(length(CommandId::DELIVER_SM, CommandStatus::OK, b"id"), 17);
        assert_eq!(length(CommandId::DELIVER_SM, CommandStatus::SYSERR, b""), 17);
        assert_eq!(length(CommandId::DATA_SM.response(), CommandStatus::OK, b""), 17);
    }
}
