//! An address with its name and parameters: From, To, Contact, Route, Record-Route, Refer-To,
//! P-Asserted-Identity, Diversion and the like, RFC 3261 §20.10.
//!
//! Without angle brackets what follows a semicolon belongs to the header, not to the URI, and a
//! question mark or comma may not stand there.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Params, Value};
use crate::Uri;
use crate::grammar::{self, Cursor, ValueError};

/// A display name, a URI and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// As it came, with its quotes; empty when there is none.
    display: Bytes,
    pub uri: Uri,
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: Uri) -> Self {
        Self { display: Bytes::new(), uri, params: Params::default() }
    }

    /// The name that is shown, without quotes and escapes; empty when there is none.
    pub fn display(&self) -> Cow<'_, [u8]> {
        grammar::unquoted(&self.display)
    }

    /// Sets the name that is shown: between quotes, with escapes.
    pub fn set_display(&mut self, name: &str) {
        let mut out = Vec::new();
        if !name.is_empty() {
            grammar::write_quoted(name.as_bytes(), &mut out);
        }
        self.display = Bytes::from(out);
    }

    pub fn tag(&self) -> Option<&[u8]> {
        self.params.get("tag")
    }

    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag.as_bytes()));
        self
    }
}

impl Value for NameAddr {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("address", text);
        cursor.spaces();
        let start = cursor.at();
        if cursor.peek() == Some(b'"') {
            let display = text.slice(cursor.quoted()?.range());
            cursor.spaces();
            if cursor.peek() != Some(b'<') {
                return Err(cursor.error("no URI in angle brackets after a name"));
            }
            return bracketed(cursor, text, display);
        }
        cursor.while_(|octet| grammar::is_token_octet(octet) || grammar::is_space(octet));
        if cursor.peek() == Some(b'<') {
            let display = grammar::trim(&text[start..cursor.at()]);
            return bracketed(cursor, text, text.slice_ref(display));
        }
        cursor.jump(start);
        let uri = cursor.while_(|octet| !matches!(octet, b';' | b' ' | b'\t' | b','));
        if let Some(at) = memchr::memchr3(b'?', b'"', b'<', uri.of(text)) {
            cursor.jump(start + at);
            return Err(cursor.error("this needs angle brackets"));
        }
        let uri = Uri::parse(&text.slice(uri.range()))?;
        let params = Params::parse("address", text, cursor.at())?;
        Ok(Self { display: Bytes::new(), uri, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        if !self.display.is_empty() {
            out.extend_from_slice(&self.display);
            out.push(b' ');
        }
        out.push(b'<');
        out.extend_from_slice(self.uri.as_bytes());
        out.push(b'>');
        self.params.write(out);
    }
}

/// From `<` on.
fn bracketed(mut cursor: Cursor<'_>, text: &Bytes, display: Bytes) -> Result<NameAddr, ValueError> {
    cursor.eat(b'<');
    let uri = cursor.while_(|octet| octet != b'>');
    if !cursor.eat(b'>') {
        return Err(cursor.error("an angle bracket is not closed"));
    }
    let uri = Uri::parse(&text.slice(uri.range()))?;
    Ok(NameAddr { display, uri, params: Params::parse("address", text, cursor.at())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<NameAddr, ValueError> {
        NameAddr::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn names_come_quoted_bare_or_not_at_all() {
        for (text, display) in [
            (r#""J \"R\" \\" <sip:a@b>;tag=1"#, r#"J "R" \"#),
            ("token1~` token2'+_ token3*%!.- <sip:a@b>;tag=1", "token1~` token2'+_ token3*%!.-"),
            ("caller<sip:a@b>;tag=1", "caller"),
            ("<sip:a@b> ; tag = 1", ""),
            ("sip:a@b;tag=1", ""),
        ] {
            let read = parse(text).unwrap();
            assert_eq!(read.display(), display.as_bytes(), "{text}");
            assert_eq!(read.uri.as_bytes(), b"sip:a@b");
            assert_eq!(read.tag(), Some(&b"1"[..]));
            assert_eq!(NameAddr::parse(&read.to_bytes()).as_ref(), Ok(&read));
        }
    }

    #[test]
    fn parameters_of_a_bare_uri_are_the_headers() {
        assert!(parse("sip:a@b;lr").unwrap().params.has("lr"));
        assert!(parse("<sip:a@b;lr>").unwrap().params.is_empty());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "*",
            "<sip:a@b",
            "\"Mr. J. User <sip:j.user@example.com>",
            "Bell, Alexander <sip:a@b>;tag=43",
            "\"Watson\" < sip:t@example.org >",
            "\"name\" sip:a@b",
            "sip:a@b?Route=%3Csip:c%3E",
            "<sip:a@b> trailing",
            "<sip:a@b>;;;;",
            "sip:a@b c",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_that_is_set_cannot_leave_its_quotes() {
        let mut address = parse("<sip:a@b>").unwrap();
        address.set_display("Eve\" <sip:x@y>\r\nRoute: <sip:evil>");
        let again = NameAddr::parse(&address.to_bytes()).unwrap();
        assert_eq!(again.uri.as_bytes(), b"sip:a@b");
        assert_eq!(&*again.display(), b"Eve\" <sip:x@y>  Route: <sip:evil>");
    }
}
