//! Parameters of a header's value: `;name`, `;name=token`, `;name="quoted"`, RFC 3261 §25.1.

use std::borrow::Cow;

use bytes::Bytes;

use crate::grammar::{self, Cursor, Span, ValueError};

/// The parameters behind a value, each with the white space it came with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Empty, or from the first semicolon on.
    text: Bytes,
}

impl Params {
    /// Reads all that stands in `text` from `at` on.
    pub(crate) fn parse(what: &'static str, text: &Bytes, at: usize) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(what, text);
        cursor.jump(at);
        cursor.spaces();
        let start = cursor.at();
        while !cursor.is_done() {
            next(&mut cursor)?;
            cursor.spaces();
        }
        Ok(Self { text: text.slice(start.min(text.len())..) })
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// As it came, from the first semicolon on.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Names and values; a quoted value still has its quotes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let mut cursor = Cursor::new("", &self.text);
        std::iter::from_fn(move || {
            cursor.spaces();
            if cursor.is_done() {
                return None;
            }
            let (name, value) = next(&mut cursor).ok()?;
            Some((name.of(&self.text), value.map(|value| value.of(&self.text))))
        })
    }

    /// The first of that name, in any case: `Some(None)` when it has no value.
    pub fn find(&self, name: &str) -> Option<Option<&[u8]>> {
        let mut all = self.iter();
        all.find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of that name as it stands.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.find(name).flatten()
    }

    /// The value of that name without quotes and escapes.
    pub fn text(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.get(name).map(grammar::unquoted)
    }

    /// The value of that name as a slice, to keep.
    pub fn slice(&self, name: &str) -> Option<Bytes> {
        self.get(name).map(|value| self.text.slice_ref(value))
    }

    /// Gives the name a value in its place, or at the end; all others stay as they are. A value
    /// that is neither token, host nor quoted string is put between quotes.
    pub fn set(&mut self, name: &str, value: Option<&[u8]>) {
        let mut out = Vec::with_capacity(self.text.len() + name.len() + 32);
        let mut placed = false;
        for (own, old) in self.iter() {
            if !own.eq_ignore_ascii_case(name.as_bytes()) {
                write_one(own, old, &mut out);
            } else if !std::mem::replace(&mut placed, true) {
                write_one(own, value, &mut out);
            }
        }
        if !placed {
            write_one(name.as_bytes(), value, &mut out);
        }
        self.text = Bytes::from(out);
    }

    /// Takes the name away.
    pub fn remove(&mut self, name: &str) {
        if !self.has(name) {
            return;
        }
        let mut out = Vec::with_capacity(self.text.len());
        for (own, value) in self.iter() {
            if !own.eq_ignore_ascii_case(name.as_bytes()) {
                write_one(own, value, &mut out);
            }
        }
        self.text = Bytes::from(out);
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
    }
}

fn write_one(name: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(b';');
    out.extend_from_slice(name);
    let Some(value) = value else {
        return;
    };
    out.push(b'=');
    if is_value(value) { out.extend_from_slice(value) } else { grammar::write_quoted(value, out) }
}

/// A value that needs no quotes, or has them.
fn is_value(text: &[u8]) -> bool {
    let mut cursor = Cursor::new("", text);
    value(&mut cursor).is_ok() && cursor.is_done()
}

/// One parameter, from its semicolon to the end of its value.
fn next(cursor: &mut Cursor<'_>) -> Result<(Span, Option<Span>), ValueError> {
    if !cursor.eat(b';') {
        return Err(cursor.error("not a parameter"));
    }
    cursor.spaces();
    let name = cursor.token("a parameter without a name")?;
    let end = cursor.at();
    cursor.spaces();
    if !cursor.eat(b'=') {
        cursor.jump(end);
        return Ok((name, None));
    }
    cursor.spaces();
    value(cursor).map(|value| (name, Some(value)))
}

/// A token, a host (also an IPv6 address, with or without brackets), or a quoted string.
fn value(cursor: &mut Cursor<'_>) -> Result<Span, ValueError> {
    if cursor.peek() == Some(b'"') {
        return cursor.quoted();
    }
    let span = cursor.while_(|octet| {
        grammar::is_token_octet(octet) || matches!(octet, b'[' | b']' | b':' | b'/' | b'@' | b'&')
    });
    if span.start == span.end { Err(cursor.error("a parameter without a value")) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &'static str) -> Result<Params, ValueError> {
        Params::parse("test", &Bytes::from_static(text.as_bytes()), 0)
    }

    #[test]
    fn names_values_quotes_and_white_space() {
        let read = params(" ; tag = a ;lr;q=\"x;\\\"y\" ;received=[2001:db8::1]").unwrap();
        assert_eq!(read.get("TAG"), Some(&b"a"[..]));
        assert_eq!(read.find("lr"), Some(None));
        assert_eq!(read.text("q").as_deref(), Some(&b"x;\"y"[..]));
        assert_eq!(read.get("received"), Some(&b"[2001:db8::1]"[..]));
        assert_eq!(read.iter().count(), 4);
        assert!(!read.has("none"));
        assert!(params("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for bad in [";;", ";", "x", ";a=", ";a b", ";a=\"", ";a=b c", ";=b", ";a=\"b\"c", ";a=\n"] {
            assert!(params(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn setting_one_leaves_the_others() {
        let mut read = params(";a=1;rport;b=\"2\"").unwrap();
        read.set("RPORT", Some(b"5060"));
        read.set("c", Some(b"two words"));
        read.set("d", None);
        read.remove("a");
        assert_eq!(read.as_bytes(), b";rport=5060;b=\"2\";c=\"two words\";d");
    }
}
