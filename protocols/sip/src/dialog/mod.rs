//! Dialogs (RFC 3261 §12): what two ends share, and the requests that one sends the other in it.
//!
//! route     the way that requests take: loose and strict routers, next hops
//! request   writing requests of a dialog, and sending one again with other headers
//! id        the name of a dialog, to find it by
//!
//! A dialog is made of the request or the response that begins it, on either side, and copies what it
//! needs into one piece of memory: the lines that all of its requests have. It keeps no message alive.
//! Each early dialog of a forked call is a value of its own. RFC 2543 peers have no tags and perhaps
//! no Contact: a tag that is missing is empty, and From or To says where they are.

mod id;
mod request;
mod route;

use bytes::Bytes;

pub use id::DialogId;
pub(crate) use request::again;

use crate::grammar::{Span, ValueError};
use crate::header::{Contact, NameAddr};
use crate::message::Text;
use crate::{Message, Name};
use route::{Direction, Routes, routers};

/// One dialog, early or confirmed: who uses it knows which.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// The lines that all requests have: Route, From, To, Call-ID.
    head: Bytes,
    call_id: Span,
    local_tag: Span,
    remote_tag: Span,
    routes: Routes,
    /// The URI that reaches the other end.
    target: Bytes,
    local_seq: u32,
    remote_seq: Option<u32>,
}

/// What a number of a request in a dialog is, RFC 3261 §12.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Next,
    /// It comes too late: 500, and it has no effect.
    Late,
}

/// Who is who at the beginning of a dialog.
struct Ends<'a> {
    local: &'a [u8],
    /// Added to `local`, if it is not there.
    new_tag: Option<&'a str>,
    remote: &'a [u8],
    call_id: &'a [u8],
}

impl Dialog {
    /// The dialog that a request begins at the end that is asked, which gives its tag and the number
    /// that its own requests begin behind.
    pub fn of_request(request: &Message, tag: &str, seq: u32) -> Result<Self, ValueError> {
        let (local, remote) = (text(request, Name::To)?, text(request, Name::From)?);
        let target =
            target(request)?.unwrap_or_else(|| request.from().map(uri).unwrap_or_default());
        let call_id = request.call_id();
        let new_tag = request.to()?.tag().is_none().then_some(tag);
        let ends = Ends { local: &local, new_tag, remote: &remote, call_id: &call_id };
        let mut dialog = Self::new(&ends, routers(request)?, Direction::AsTheyStand, target)?;
        dialog.local_seq = seq;
        dialog.remote_seq = Some(request.cseq()?.number);
        Ok(dialog)
    }

    /// The dialog that a response begins at the end that asked: `from` is the value that it asked
    /// with, `uri` its Request-URI, for a peer that gives no Contact. A 2xx has to have its ACK, so
    /// a Contact that does not read counts as none, and so does a way that does not.
    pub fn of_response(response: &Message, from: &[u8], uri: &Bytes) -> Result<Self, ValueError> {
        let remote = text(response, Name::To)?;
        let target = target(response).ok().flatten();
        let target = target.unwrap_or_else(|| Bytes::copy_from_slice(uri));
        let call_id = response.call_id();
        let ends = Ends { local: from, new_tag: None, remote: &remote, call_id: &call_id };
        let routers = routers(response).unwrap_or_default();
        let mut dialog = Self::new(&ends, routers, Direction::Reversed, target)?;
        dialog.local_seq = response.cseq()?.number;
        Ok(dialog)
    }

    fn new(
        ends: &Ends<'_>,
        routers: Vec<NameAddr>,
        direction: Direction,
        target: Bytes,
    ) -> Result<Self, ValueError> {
        let mut head = Vec::with_capacity(512);
        let routes = Routes::write(routers, direction, &mut head);
        head.extend_from_slice(b"From: ");
        let local_tag = write_end(ends.local, ends.new_tag, &mut head)?;
        head.extend_from_slice(b"\r\nTo: ");
        let remote_tag = write_end(ends.remote, None, &mut head)?;
        head.extend_from_slice(b"\r\nCall-ID: ");
        let start = head.len();
        head.extend_from_slice(ends.call_id);
        let call_id = Span::new(start, head.len());
        head.extend_from_slice(b"\r\n");
        head.shrink_to_fit();
        let head = Bytes::from(head);
        Ok(Self {
            head,
            call_id,
            local_tag,
            remote_tag,
            routes,
            target,
            local_seq: 0,
            remote_seq: None,
        })
    }

    /// The same dialog as a 2xx says it: a 2xx may name another way than the provisional response
    /// did, RFC 3261 §13.2.2.4. One that does not read leaves what is known. Numbers go on.
    pub fn confirm(&mut self, response: &Message, from: &[u8]) -> Result<(), ValueError> {
        if routers(response).is_err() {
            self.refresh(response);
            return Ok(());
        }
        let confirmed = Self::of_response(response, from, &self.target)?;
        let (local_seq, remote_seq) = (self.local_seq, self.remote_seq);
        *self = Self { local_seq, remote_seq, ..confirmed };
        Ok(())
    }

    pub fn call_id(&self) -> &[u8] {
        self.call_id.of(&self.head)
    }

    pub fn local_tag(&self) -> &[u8] {
        self.local_tag.of(&self.head)
    }

    /// Empty for a peer of RFC 2543.
    pub fn remote_tag(&self) -> &[u8] {
        self.remote_tag.of(&self.head)
    }

    /// The URI that reaches the other end.
    pub fn target(&self) -> &Bytes {
        &self.target
    }

    /// The number of our last request.
    pub fn local_seq(&self) -> u32 {
        self.local_seq
    }

    /// The number for another request of ours.
    pub(crate) fn next_seq(&mut self) -> u32 {
        self.local_seq += 1;
        self.local_seq
    }

    pub fn id(&self) -> DialogId {
        let part = |span: Span| self.head.slice(span.range());
        DialogId {
            call_id: part(self.call_id),
            local_tag: part(self.local_tag),
            remote_tag: part(self.remote_tag),
        }
    }

    /// Notes the number of a request of theirs. ACK and CANCEL have the number of another request:
    /// they are not asked about.
    pub fn take(&mut self, number: u32) -> Order {
        if self.remote_seq.is_some_and(|last| number <= last) {
            return Order::Late;
        }
        self.remote_seq = Some(number);
        Order::Next
    }

    /// Takes a new target from a message that may bring one: INVITE, UPDATE, and answers to them.
    pub fn refresh(&mut self, message: &Message) {
        if let Ok(Some(target)) = target(message)
            && target != self.target
        {
            self.target = target;
        }
    }
}

/// A value with its tag, `new_tag` if it has none; where the tag stands.
fn write_end(value: &[u8], new_tag: Option<&str>, out: &mut Vec<u8>) -> Result<Span, ValueError> {
    let start = out.len();
    value.write_to(out);
    if let Some(tag) = new_tag {
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(tag.as_bytes());
        return Ok(Span::new(out.len() - tag.len(), out.len()));
    }
    let value = Bytes::copy_from_slice(value);
    let read = <NameAddr as crate::header::Value>::parse(&value)?;
    let Some(tag) = read.tag() else {
        return Ok(Span::new(start, start));
    };
    let at = start + (tag.as_ptr() as usize - value.as_ptr() as usize);
    Ok(Span::new(at, at + tag.len()))
}

fn text(message: &Message, name: Name) -> Result<Bytes, ValueError> {
    let header = message.first(name);
    header.map(|header| header.value()).ok_or(ValueError {
        what: name.as_str(),
        why: "it is missing",
        at: 0,
    })
}

/// The URI of the first Contact, copied.
fn target(message: &Message) -> Result<Option<Bytes>, ValueError> {
    Ok(match message.contacts().next().transpose()? {
        Some(Contact::Address(address)) => Some(uri(address)),
        Some(Contact::Any) | None => None,
    })
}

fn uri(address: NameAddr) -> Bytes {
    Bytes::copy_from_slice(address.uri.as_bytes())
}

#[cfg(test)]
mod tests;
