//! A message with some headers changed: what is not named leaves as it came, octet for octet.
//!
//! Orders are carried out one after the other on a list of lines, each of the message or new;
//! `write` then copies in one pass. Neighbours that did not change are copied as one piece, so
//! folds, odd names and odd spacing stay.

use bytes::Bytes;

use super::text::{self, BuildError, Text};
use super::{Message, Start};
use crate::grammar::{self, Cuts, Span};
use crate::{Field, Name};

/// The orders for one copy.
pub struct Edit<'m> {
    message: &'m Message,
    lines: Vec<Item>,
    /// The new lines, whole, one after the other.
    scratch: Vec<u8>,
    uri: Option<Span>,
    body: Option<Span>,
    error: Option<BuildError>,
}

/// One line of the copy.
#[derive(Clone, Copy)]
enum Item {
    /// A header of the message, by its number.
    Old(usize),
    /// One in `scratch`, with its line end.
    New(Span),
}

impl Message {
    /// Begins a copy of this message with changes.
    pub fn edit(&self) -> Edit<'_> {
        let mut lines = Vec::with_capacity(self.lines.len() + 4);
        lines.extend((0..self.lines.len()).map(Item::Old));
        let scratch = Vec::with_capacity(256);
        Edit { message: self, lines, scratch, uri: None, body: None, error: None }
    }
}

impl Edit<'_> {
    /// Another Request-URI.
    pub fn uri(&mut self, uri: &(impl Text + ?Sized)) -> &mut Self {
        let start = self.scratch.len();
        let written = text::write_uri(uri, &mut self.scratch);
        self.note(written);
        self.uri = Some(Span::new(start, self.scratch.len()));
        self
    }

    /// A new line on top of all others of that name, or on top of all headers.
    pub fn push<'f>(
        &mut self,
        field: impl Into<Field<'f>>,
        value: &(impl Text + ?Sized),
    ) -> &mut Self {
        let field = field.into();
        let at = self.first(field).unwrap_or_default();
        let line = self.line(field, value);
        self.lines.insert(at, line);
        self
    }

    /// A new line at the end of the headers.
    pub fn append<'f>(
        &mut self,
        field: impl Into<Field<'f>>,
        value: &(impl Text + ?Sized),
    ) -> &mut Self {
        let line = self.line(field.into(), value);
        self.lines.push(line);
        self
    }

    /// One line of that name with this value, where the first one stood or at the end.
    pub fn set<'f>(
        &mut self,
        field: impl Into<Field<'f>>,
        value: &(impl Text + ?Sized),
    ) -> &mut Self {
        let field = field.into();
        let Some(first) = self.first(field) else {
            return self.append(field, value);
        };
        self.remove(field);
        let line = self.line(field, value);
        self.lines.insert(first, line);
        self
    }

    /// No line of that name.
    pub fn remove<'f>(&mut self, field: impl Into<Field<'f>>) -> &mut Self {
        let field = field.into();
        let (message, scratch) = (self.message, &self.scratch);
        self.lines.retain(|item| !item.is(field, message, scratch));
        self
    }

    /// Takes the first value of a list away, with its line if it stood there alone.
    pub fn pop<'f>(&mut self, field: impl Into<Field<'f>>) -> &mut Self {
        let field = field.into();
        if let Some(at) = self.first(field) {
            let rest = self.behind_first(at);
            if rest.is_empty() {
                self.lines.remove(at);
            } else {
                self.lines[at] = self.line(field, &rest[..]);
            }
        }
        self
    }

    /// Another value in the place of the first one of a list, or a line of its own.
    pub fn replace_first<'f>(
        &mut self,
        field: impl Into<Field<'f>>,
        value: &(impl Text + ?Sized),
    ) -> &mut Self {
        let field = field.into();
        let Some(at) = self.first(field) else {
            return self.append(field, value);
        };
        let mut text = Vec::with_capacity(128);
        value.write_to(&mut text);
        let rest = self.behind_first(at);
        if !rest.is_empty() {
            text.extend_from_slice(b", ");
            text.extend_from_slice(&rest);
        }
        self.lines[at] = self.line(field, &text[..]);
        self
    }

    /// Another body, and the headers that speak of it; an empty body has no type.
    pub fn body(&mut self, content_type: &str, octets: &[u8]) -> &mut Self {
        if octets.is_empty() {
            self.remove(Name::ContentType);
        } else {
            self.set(Name::ContentType, content_type);
        }
        self.set(Name::ContentLength, &(octets.len() as u64));
        let start = self.scratch.len();
        self.scratch.extend_from_slice(octets);
        self.body = Some(Span::new(start, self.scratch.len()));
        self
    }

    /// Appends the changed message. Nothing is written if an order could not be carried out.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let message = self.message;
        let raw = &message.raw[..];
        out.reserve(raw.len() + self.scratch.len() + 32);
        match (&message.start, self.uri) {
            (Start::Request { method, .. }, Some(uri)) => {
                out.extend_from_slice(method.as_bytes());
                out.push(b' ');
                out.extend_from_slice(uri.of(&self.scratch));
                out.extend_from_slice(b" SIP/2.0\r\n");
            }
            _ => out.extend_from_slice(&raw[..message.head as usize]),
        }
        let mut piece = Span::default();
        for item in &self.lines {
            match item {
                Item::Old(at) => {
                    let Some(line) = message.lines.get(*at) else { continue };
                    if piece.end != line.start {
                        out.extend_from_slice(piece.of(raw));
                        piece.start = line.start;
                    }
                    piece.end = line.end;
                }
                Item::New(text) => {
                    out.extend_from_slice(piece.of(raw));
                    piece = Span::default();
                    out.extend_from_slice(text.of(&self.scratch));
                }
            }
        }
        out.extend_from_slice(piece.of(raw));
        let body = self.body.map_or(message.body(), |body| body.of(&self.scratch));
        if self.first(Name::ContentLength.into()).is_none() {
            text::write_line(b"Content-Length", &(body.len() as u64), out)?;
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        Ok(())
    }

    /// The changed message.
    pub fn finish(&self) -> Result<Bytes, BuildError> {
        let mut out = Vec::new();
        self.write(&mut out)?;
        Ok(Bytes::from(out))
    }

    /// The place of the first line of that name.
    fn first(&self, field: Field<'_>) -> Option<usize> {
        self.lines.iter().position(|item| item.is(field, self.message, &self.scratch))
    }

    /// What follows in a line behind the comma of its first value.
    fn behind_first(&self, at: usize) -> Vec<u8> {
        let text = match self.lines.get(at) {
            Some(Item::Old(number)) => match self.message.headers().nth(*number) {
                Some(header) => header.text().into_owned(),
                None => Vec::new(),
            },
            Some(Item::New(text)) => {
                let line = text.of(&self.scratch);
                let value = memchr::memchr(b':', line).map_or(line, |colon| &line[colon + 1..]);
                grammar::trim(value.trim_ascii_end()).to_vec()
            }
            None => Vec::new(),
        };
        let mut cuts = Cuts::default();
        cuts.next(&text);
        let rest = cuts.next(&text).map_or(text.len(), |next| next.start as usize);
        text[rest..].to_vec()
    }

    /// Writes a new line.
    fn line(&mut self, field: Field<'_>, value: &(impl Text + ?Sized)) -> Item {
        let start = self.scratch.len();
        let written = text::write_line(field.as_str().as_bytes(), value, &mut self.scratch);
        self.note(written);
        Item::New(Span::new(start, self.scratch.len()))
    }

    fn note(&mut self, written: Result<(), BuildError>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }
}

impl Item {
    fn is(self, field: Field<'_>, message: &Message, scratch: &[u8]) -> bool {
        match self {
            Self::Old(at) => message.lines.get(at).is_some_and(|line| {
                let name = Span { start: line.start, end: line.name_end };
                field.is(line.name, name.of(&message.raw))
            }),
            Self::New(text) => {
                let line = text.of(scratch);
                let name = memchr::memchr(b':', line).map_or(line, |colon| &line[..colon]);
                field.is(Name::of(name), name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    const BYE: &str = "BYE sip:b@example.org SIP/2.0\r\nv : SIP/2.0/UDP a;branch=z9hG4bK1,\r\n \
        SIP/2.0/UDP b;branch=z9hG4bK2\r\nVIA:SIP/2.0/UDP c;branch=z9hG4bK3\r\nX-Odd :  \tkept \r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:b@example.org>\r\ni: c\r\nCSeq: 1 BYE\r\n\
        Max-Forwards: 70\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>,<sip:p3;lr>\r\nL: 2\r\n\r\nhi";

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
    }

    fn edited(order: impl FnOnce(&mut Edit<'_>)) -> String {
        let message = message(BYE);
        let mut edit = message.edit();
        order(&mut edit);
        let out = edit.finish().unwrap();
        Message::parse(out.clone(), &Limits::default()).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn no_order_changes_nothing() {
        assert_eq!(edited(|_| ()), BYE);
    }

    #[test]
    fn a_hop_changes_its_headers_and_no_other_octet() {
        let out = edited(|edit| {
            edit.uri("sip:b@192.0.2.9")
                .push(Name::Via, "SIP/2.0/TCP us;branch=z9hG4bKu")
                .set(Name::MaxForwards, &69u8)
                .pop(Name::Route)
                .push(Name::RecordRoute, "<sip:us;lr>");
        });
        let expected = BYE
            .replace("sip:b@example.org SIP/2.0", "sip:b@192.0.2.9 SIP/2.0")
            .replace("v : SIP", "Via: SIP/2.0/TCP us;branch=z9hG4bKu\r\nv : SIP")
            .replace("70", "69")
            .replace("Route: <sip:p1;lr>\r\n", "")
            .replace("SIP/2.0\r\n", "SIP/2.0\r\nRecord-Route: <sip:us;lr>\r\n");
        assert_eq!(out, expected);
    }

    #[test]
    fn the_first_value_goes_and_the_others_of_its_line_stay() {
        let once = edited(|edit| {
            edit.pop(Name::Via);
        });
        assert!(
            once.contains("SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK2\r\nVIA:SIP"),
            "{once}"
        );
        let twice = edited(|edit| {
            edit.pop(Name::Via).pop(Name::Via);
        });
        assert!(twice.contains("SIP/2.0\r\nVIA:SIP/2.0/UDP c"), "{twice}");
        let all = edited(|edit| {
            edit.pop(Name::Route).pop(Name::Route).pop(Name::Route);
        });
        assert!(!all.contains("Route"), "{all}");
        let more = edited(|edit| {
            edit.pop("X-None").pop("x-odd").pop("x-odd");
        });
        assert!(!more.contains("Odd"), "{more}");
    }

    #[test]
    fn the_first_value_is_replaced() {
        let out = edited(|edit| {
            edit.replace_first("v", "SIP/2.0/UDP a;received=192.0.2.1");
        });
        let line = "Via: SIP/2.0/UDP a;received=192.0.2.1, SIP/2.0/UDP b;branch=z9hG4bK2\r\nVIA:";
        assert!(out.contains(line), "{out}");
        let out = edited(|edit| {
            edit.replace_first("X-New", "1");
        });
        assert!(out.contains("\r\nX-New: 1\r\n"), "{out}");
    }

    #[test]
    fn the_last_pushed_stands_on_top_and_appended_ones_in_their_order() {
        let out = edited(|edit| {
            edit.push(Name::Via, "SIP/2.0/UDP one").push(Name::Via, "SIP/2.0/UDP two");
            edit.append("X-A", "1").append("X-B", "2").set("X-C", "3");
        });
        assert!(out.contains("SIP/2.0\r\nVia: SIP/2.0/UDP two\r\nVia: SIP/2.0/UDP one\r\nv :"));
        assert!(out.contains("L: 2\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\nhi"), "{out}");
    }

    #[test]
    fn removed_and_set_again_is_there_once() {
        let out = edited(|edit| {
            edit.remove(Name::Route).set(Name::Route, "<sip:q;lr>");
        });
        assert_eq!(out.matches("Route").count(), 1);
        let out = edited(|edit| {
            edit.set(Name::Route, "<sip:q>").set(Name::Route, "<sip:r>");
        });
        assert!(out.contains("70\r\nRoute: <sip:r>\r\nL:"), "{out}");
    }

    #[test]
    fn later_orders_see_what_earlier_ones_did() {
        let out = edited(|edit| {
            edit.push(Name::Via, "SIP/2.0/UDP us").pop(Name::Via);
            edit.append("X-C", "1").set("x-c", "2").replace_first("X-C", "3");
            edit.append("X-D", "1").remove("X-D");
            edit.append("X-E", "1, 2 , 3").pop("X-E");
        });
        assert_eq!(out, BYE.replace("\r\n\r\nhi", "\r\nX-C: 3\r\nX-E: 2 , 3\r\n\r\nhi"));
    }

    #[test]
    fn a_body_brings_its_headers() {
        let out = edited(|edit| {
            edit.body("application/sdp", b"v=0\r\n");
        });
        assert!(out.contains("Content-Length: 5\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"));
        assert!(!out.contains("L: 2"));
        let out = edited(|edit| {
            edit.body("", b"");
        });
        assert!(out.ends_with("Content-Length: 0\r\n\r\n"), "{out}");
    }

    #[test]
    fn a_message_without_a_length_gets_one() {
        let bare = message(&BYE.replace("L: 2\r\n", ""));
        let out = bare.edit().finish().unwrap();
        assert!(out.ends_with(b"<sip:p3;lr>\r\nContent-Length: 2\r\n\r\nhi"));
    }

    #[test]
    fn nothing_that_ends_a_line_is_written() {
        let message = message(BYE);
        for (name, value, error) in [
            ("X", "a\r\nVia: evil", BuildError::LineEnd),
            ("X", "a\n", BuildError::LineEnd),
            ("X", "a\0", BuildError::LineEnd),
            ("X Y", "a", BuildError::Name),
            ("X:", "a", BuildError::Name),
            ("", "a", BuildError::Name),
        ] {
            assert_eq!(message.edit().append(name, value).finish(), Err(error));
            assert_eq!(message.edit().set(name, value).finish(), Err(error));
        }
        for bad in ["", "sip:a b", "sip:a\r\n"] {
            assert!(message.edit().uri(bad).finish().is_err());
        }
    }
}
