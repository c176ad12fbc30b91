//! What identifies a request that came in: its transaction (RFC 3261 §17.2.3, also the way of RFC
//! 2543), its place in a call (§9.1), and what it shares with its copies on other ways (§8.2.2.2).

use super::keyed::{Keyed, Parts};
use super::orders::write_sent_by;
use crate::grammar::ValueError;
use crate::header::Via;
use crate::{Message, Method, Start};

/// A request by its hashes.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) via: Via,
    /// The transaction; ACK and CANCEL have that of their INVITE.
    pub(super) key: u64,
    /// Call-ID, tag of From, number of CSeq: CANCEL and ACK have those of their INVITE.
    pub(super) call: u64,
    /// The same with method and Request-URI, for a request that is in no dialog. A proxy that forks
    /// to two numbers of ours sends one call to each: these are no copies.
    pub(super) merge: Option<u64>,
}

impl Arrived {
    pub(super) fn read(
        request: &Message,
        keyed: &Keyed,
        parts: &mut Parts,
    ) -> Result<Self, ValueError> {
        let via = request.via()?;
        let call = call(request, keyed, parts)?;
        let Start::Request { method, uri } = request.start() else {
            return Err(ValueError { what: "request", why: "it is a response", at: 0 });
        };
        let class = match method {
            Method::Ack | Method::Cancel => Method::Invite.as_bytes(),
            _ => method.as_bytes(),
        };
        let mut sent_by = Vec::with_capacity(32);
        write_sent_by(&via.host, via.port, &mut sent_by);
        parts.clear().add(class).add_lower(&sent_by).add(via.branch().unwrap_or_default());
        if via.unique_branch().is_none() {
            // The tag of To is left out: ACK has it, its INVITE has not.
            parts.add(&call.to_le_bytes()).add(uri);
        }
        let key = keyed.hash(parts.bytes());
        let outside = request.to()?.tag().is_none();
        let merge = outside.then(|| {
            parts.clear().add(&call.to_le_bytes()).add(method.as_bytes()).add(uri);
            keyed.hash(parts.bytes())
        });
        Ok(Self { via, key, call, merge })
    }
}

/// The place of a request in its call.
pub(super) fn call(request: &Message, keyed: &Keyed, parts: &mut Parts) -> Result<u64, ValueError> {
    let (from, number) = (request.from()?, request.cseq()?.number);
    parts.clear().add(&request.call_id()).add(from.tag().unwrap_or_default());
    parts.add(&number.to_le_bytes());
    Ok(keyed.hash(parts.bytes()))
}
