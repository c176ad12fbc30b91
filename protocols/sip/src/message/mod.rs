//! One message: its octets, and an index that says where each header stands, RFC 3261 §7.
//!
//! parse     octets to the index; bad ones still give what an answer needs
//! defect    what can be wrong, and the status that says so
//! check     values that every element must understand, before a request is served
//! edit      a copy with some headers changed, and no other octet
//! build     messages of our own, and answers
//! source    where a request came from, noted in its Via
//! values    what everybody asks for, read when it is asked for
//!
//! `Message::parse` takes one whole message. On streams `frame` finds where one ends.

mod build;
mod check;
mod defect;
mod edit;
mod parse;
mod source;
mod text;
mod values;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub use build::{Answer, Builder};
pub use defect::{Defect, Refused};
pub use edit::Edit;
pub(crate) use parse::body_length;
pub(crate) use text::write_line;
pub use text::{BuildError, Text};

use crate::grammar::{Span, ValueError};
use crate::{Field, Method, Name, StatusCode, Uri};

/// A request or a response that could be read.
#[derive(Clone)]
pub struct Message {
    raw: Bytes,
    start: Start,
    lines: Vec<Line>,
    /// Where the headers begin: behind the start line.
    head: u32,
    /// Where the empty line begins.
    head_end: u32,
    body: Span,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: Method, uri: Bytes },
    Response { status: StatusCode, reason: Bytes },
}

/// Where one header stands: its name, its value without white space around it, its end.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    name_end: u32,
    value: Span,
    /// Behind the line's end.
    end: u32,
    name: Name,
    /// The value goes over several lines.
    folded: bool,
}

/// One header of a message.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    message: &'a Message,
    line: &'a Line,
}

impl<'a> Header<'a> {
    pub fn name(self) -> Name {
        self.line.name
    }

    /// The name as it came.
    pub fn name_text(self) -> &'a [u8] {
        Span { start: self.line.start, end: self.line.name_end }.of(&self.message.raw)
    }

    /// The value as it came, with its folds.
    pub fn raw(self) -> &'a [u8] {
        self.line.value.of(&self.message.raw)
    }

    /// The value on one line: each fold is a space.
    pub fn text(self) -> Cow<'a, [u8]> {
        if self.line.folded { Cow::Owned(unfold(self.raw())) } else { Cow::Borrowed(self.raw()) }
    }

    /// The same as a slice of the message, to keep.
    pub fn value(self) -> Bytes {
        match self.text() {
            Cow::Owned(text) => Bytes::from(text),
            Cow::Borrowed(_) => self.message.raw.slice(self.line.value.range()),
        }
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(self.name_text());
        write!(f, "{name}: {}", String::from_utf8_lossy(&self.text()))
    }
}

impl Message {
    /// All octets, as they came.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The headers with their line ends, from behind the start line up to the empty line.
    pub fn header_block(&self) -> &[u8] {
        Span { start: self.head, end: self.head_end }.of(&self.raw)
    }

    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.start {
            Start::Response { status, .. } => Some(*status),
            Start::Request { .. } => None,
        }
    }

    pub fn is_request(&self) -> bool {
        self.method().is_some()
    }

    /// The Request-URI, read.
    pub fn uri(&self) -> Result<Uri, ValueError> {
        match &self.start {
            Start::Request { uri, .. } => Uri::parse(uri),
            Start::Response { .. } => {
                Err(ValueError { what: "Request-URI", why: "a response has none", at: 0 })
            }
        }
    }

    pub fn headers(&self) -> impl DoubleEndedIterator<Item = Header<'_>> {
        self.lines.iter().map(|line| Header { message: self, line })
    }

    /// All headers of one name, in their order.
    pub fn all<'a>(&'a self, field: impl Into<Field<'a>>) -> impl Iterator<Item = Header<'a>> {
        self.all_of(field.into())
    }

    fn all_of<'a>(&'a self, field: Field<'a>) -> impl Iterator<Item = Header<'a>> {
        self.headers().filter(move |header| field.is(header.name(), header.name_text()))
    }

    pub fn first<'a>(&'a self, field: impl Into<Field<'a>>) -> Option<Header<'a>> {
        self.all(field).next()
    }

    pub fn has<'a>(&'a self, field: impl Into<Field<'a>>) -> bool {
        self.first(field).is_some()
    }

    /// The body: what Content-Length says, or in its absence all that is there.
    pub fn body(&self) -> &[u8] {
        self.body.of(&self.raw)
    }

    /// The body as a slice of the message, to keep.
    pub fn body_bytes(&self) -> Bytes {
        self.raw.slice(self.body.range())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Message");
        out.field("start", &self.start);
        out.field("headers", &self.headers().collect::<Vec<_>>());
        out.field("body", &self.body().len()).finish()
    }
}

/// A value on one line: each line end and the white space after it is one space.
fn unfold(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut octets = raw.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        if octet != b'\r' {
            out.push(octet);
            continue;
        }
        while octets.next_if(|octet| matches!(octet, b'\n' | b'\r' | b' ' | b'\t')).is_some() {}
        out.push(b' ');
    }
    out
}

#[cfg(test)]
mod tests;
