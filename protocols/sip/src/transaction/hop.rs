//! The octets of our own hop: Via and branch, and the ACK and CANCEL that this layer builds.
//!
//! A branch of ours is the magic cookie and 32 hexadecimal digits: the place of its transaction, and
//! a number that nobody guesses. So a response finds its transaction without a search, and one that
//! is to nothing of ours is known at once.

use bytes::Bytes;

use super::orders::SentBy;
use super::slab::Id;
use crate::grammar;
use crate::header::{CSeq, MAGIC_COOKIE, Reason, Transport, Via};
use crate::{Answer, Builder, Limits, Message, Method, Name, Start, StatusCode};

/// What is kept here was let in, or sent, before: it has no other limit.
const UNLIMITED: Limits = Limits {
    message: usize::MAX,
    head: usize::MAX,
    body: usize::MAX,
    headers: usize::MAX,
    vias: usize::MAX,
};

/// What identifies a transaction of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) id: Id,
    pub(super) secret: u64,
}

impl Branch {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC_COOKIE);
        write_hex(self.id.to_u64(), out);
        write_hex(self.secret, out);
    }

    /// The branch of a Via, if it can be one of ours.
    pub(super) fn of(via: &Via) -> Option<Self> {
        let digits = via.unique_branch()?.get(MAGIC_COOKIE.len()..)?;
        let (id, secret) = digits.split_at_checked(16)?;
        Some(Self { id: Id::from_u64(hex(id)?), secret: hex(secret)? })
    }
}

/// 16 hexadecimal digits.
pub(super) fn write_hex(number: u64, out: &mut Vec<u8>) {
    for shift in (0..16).rev() {
        let digit = (number >> (shift * 4)) as usize & 0xf;
        out.push(b"0123456789abcdef"[digit]);
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.len() != 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The method of a request that has no Via yet, and where its headers begin.
pub(super) fn start_of(request: &[u8]) -> Option<(&[u8], usize)> {
    let line = memchr::memmem::find(request, b"\r\n")?;
    let method = &request[..memchr::memchr(b' ', &request[..line])?];
    grammar::is_token(method).then_some((method, line + 2))
}

/// The request with our Via on top; its headers begin at `head`.
pub(super) fn with_via(
    request: &[u8],
    head: usize,
    transport: &Transport,
    sent_by: &SentBy,
    branch: Branch,
) -> Bytes {
    let mut out = Vec::with_capacity(request.len() + sent_by.text.len() + 80);
    out.extend_from_slice(&request[..head]);
    out.extend_from_slice(b"Via: SIP/2.0/");
    out.extend_from_slice(transport.as_bytes());
    out.push(b' ');
    out.extend_from_slice(&sent_by.text);
    out.extend_from_slice(b";branch=");
    branch.write(&mut out);
    out.extend_from_slice(b";rport\r\n");
    out.extend_from_slice(&request[head..]);
    Bytes::from(out)
}

/// The ACK of a response that is no 2xx (RFC 3261 §17.1.1.3).
pub(super) fn ack(request: &Bytes, response: &Message) -> Option<Bytes> {
    follow(request, &Method::Ack, Some(response), &[])
}

/// The CANCEL of a request that waits (RFC 3261 §9.1), with its reasons.
pub(super) fn cancel(request: &Bytes, reasons: &[Reason]) -> Option<Bytes> {
    follow(request, &Method::Cancel, None, reasons)
}

/// A request in the footsteps of another: the same target, hop, route and call.
fn follow(
    request: &Bytes,
    method: &Method,
    response: Option<&Message>,
    reasons: &[Reason],
) -> Option<Bytes> {
    let request = Message::parse(request.clone(), &UNLIMITED).ok()?;
    let Start::Request { uri, .. } = request.start() else { return None };
    let number = request.cseq().ok()?.number;
    let mut builder = Builder::request(method, uri);
    builder.header(Name::Via, &request.via().ok()?).header(Name::MaxForwards, &70u8);
    builder.copy_all(&request, Name::Route).copy_all(&request, Name::From);
    builder.copy_all(response.unwrap_or(&request), Name::To);
    builder.copy_all(&request, Name::CallId);
    builder.header(Name::CSeq, &CSeq { number, method: method.clone() });
    for reason in reasons {
        builder.header(Name::Reason, reason);
    }
    builder.finish().ok()
}

/// The status of a response that is about to be sent.
pub(super) fn status_of(response: &[u8]) -> Option<StatusCode> {
    let code = response.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    StatusCode::new(grammar::number(code)?)
}

/// An answer to what is kept of a request: its own octets, or those of an earlier answer.
pub(super) fn answer_to(kept: &Bytes, status: StatusCode, tag: Option<&str>) -> Option<Bytes> {
    let kept = Message::parse(kept.clone(), &UNLIMITED).ok()?;
    Builder::answer(&kept, status, Answer { tag, ..Answer::default() }).finish().ok()
}
