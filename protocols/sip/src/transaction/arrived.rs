//! What identifies a request that came in: its transaction (RFC 3261 §17.2.3, also the way of RFC
//! 2543), its place in a call (§9.1), and what it shares with its copies on other ways (§8.2.2.2).

use bytes::Bytes;

use super::keyed::{Keyed, Parts};
use crate::grammar::ValueError;
use crate::header::{Params, Via};
use crate::{Message, Method, Name, Start};

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
        parts.clear().add(class).add_sent_by(&via.host, via.port);
        parts.add(via.branch().unwrap_or_default());
        if via.unique_branch().is_none() {
            // The tag of To is left out: ACK has it, its INVITE has not.
            parts.add(&call.to_le_bytes()).add(uri);
        }
        let key = keyed.hash(parts.bytes());
        let outside = tag(request, Name::To).is_none();
        let merge = outside.then(|| {
            parts.clear().add(&call.to_le_bytes()).add(method.as_bytes()).add(uri);
            keyed.hash(parts.bytes())
        });
        Ok(Self { via, key, call, merge })
    }
}

/// The place of a request in its call.
pub(super) fn call(request: &Message, keyed: &Keyed, parts: &mut Parts) -> Result<u64, ValueError> {
    let number = request.cseq()?.number;
    let tag = tag(request, Name::From).unwrap_or_default();
    parts.clear().add(&request.call_id()).add(&tag).add(&number.to_le_bytes());
    Ok(keyed.hash(parts.bytes()))
}

/// The tag of From or To, without a look at the rest: whether that reads is checked where it matters.
pub(super) fn tag(message: &Message, name: Name) -> Option<Bytes> {
    let value = message.first(name)?.value();
    let (mut quoted, mut angled) = (false, false);
    let mut octets = value.iter().enumerate();
    let params = loop {
        match octets.next()? {
            (_, b'\\') if quoted => drop(octets.next()),
            (_, b'"') if !angled => quoted = !quoted,
            (_, b'<') if !quoted => angled = true,
            (at, b'>') if angled => break at + 1,
            (at, b';') if !quoted && !angled => break at,
            _ => {}
        }
    };
    Params::parse("tag", &value, params).ok()?.slice("tag")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn a_tag_is_found_as_the_whole_value_has_it() {
        for to in [
            "<sip:a@b>;tag=1",
            "\"x>;tag=2\" <sip:a@b;tag=3>;x=y;TAG = 1",
            "sip:a@b;tag=1",
            "sip:a@b",
            "Bob <sip:a@b;tag=3>",
            "<sip:a@b>;tag=\"q>\"",
            "<sip:a@b>;x=\">\";tag=1",
        ] {
            let text = format!(
                "BYE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a>\r\nTo: {to}\r\n\
                 Call-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
            );
            let message = Message::parse(Bytes::from(text), &Limits::default()).unwrap();
            let whole = message.to().unwrap().tag().map(Bytes::copy_from_slice);
            assert_eq!(tag(&message, Name::To), whole, "{to}");
        }
    }
}
