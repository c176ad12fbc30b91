//! Requests in a dialog, without a Via: the transaction that carries one adds its own.

use bytes::Bytes;

use super::Dialog;
use crate::message::Text;
use crate::{Builder, Method, Name};

/// Hops that a request of ours may take.
const HOPS: u8 = 70;

impl Dialog {
    /// Begins the next request, with a new number, which is given too.
    pub fn request(&mut self, method: &Method) -> (u32, Builder) {
        let seq = self.next_seq();
        (seq, self.numbered(method, seq))
    }

    /// Begins the ACK of a 2xx to the INVITE of that number.
    pub fn ack(&self, seq: u32) -> Builder {
        self.numbered(&Method::Ack, seq)
    }

    fn numbered(&self, method: &Method, seq: u32) -> Builder {
        let mut builder = Builder::request(method, &self.request_uri());
        builder.header(Name::MaxForwards, &HOPS);
        let mut lines = self.lines();
        if self.is_strict() {
            let (routes, rest) = lines.split_at(routes_end(lines));
            builder.lines(routes).lines(b"Route: <").lines(&self.target).lines(b">\r\n");
            lines = rest;
        }
        builder.lines(lines);
        builder.header(Name::CSeq, &Numbered { seq, method });
        builder
    }
}

/// The value of CSeq.
struct Numbered<'a> {
    seq: u32,
    method: &'a Method,
}

impl Text for Numbered<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.seq.write_to(out);
        out.push(b' ');
        out.extend_from_slice(self.method.as_bytes());
    }
}

/// Where the lines of Route end, which come first.
fn routes_end(lines: &[u8]) -> usize {
    let mut at = 0;
    while lines[at..].starts_with(b"Route: ") {
        at += memchr::memchr(b'\n', &lines[at..]).map_or(lines.len() - at, |end| end + 1);
    }
    at
}

/// A request of ours once more, with another number and some headers set anew: after a challenge, or
/// with a longer session. It was written here, so each header is one line.
pub(crate) fn again(octets: &[u8], seq: u32, set: &[(Name, &[u8])]) -> Bytes {
    let added: usize = set.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut out = Vec::with_capacity(octets.len() + added + 8);
    let mut rest = octets;
    let mut is_first = true;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, behind) = rest.split_at(end);
        if line == b"\r\n" {
            break;
        }
        rest = behind;
        let colon = memchr::memchr(b':', line).unwrap_or_default();
        match Name::of(&line[..colon]) {
            _ if std::mem::take(&mut is_first) => out.extend_from_slice(line),
            Name::CSeq => {
                out.extend_from_slice(b"CSeq: ");
                seq.write_to(&mut out);
                let method = memchr::memrchr(b' ', line).unwrap_or(colon);
                out.extend_from_slice(&line[method..]);
            }
            name if set.iter().any(|(other, _)| *other == name) => {}
            _ => out.extend_from_slice(line),
        }
    }
    for (name, value) in set {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(rest);
    Bytes::from(out)
}
