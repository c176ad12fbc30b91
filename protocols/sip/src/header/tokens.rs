//! Values that are a token, or a token with parameters: Supported, Require, Allow, Event,
//! Subscription-State, Content-Disposition and others; and media types, RFC 3261 §20.15.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Params, Value};
use crate::grammar::{Cursor, ValueError};

/// One token: an option, a method, a kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(pub Bytes);

impl Token {
    pub fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other.as_bytes())
    }
}

impl Value for Token {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("token", text);
        cursor.spaces();
        let token = cursor.token("no token")?;
        cursor.end("more than a token")?;
        Ok(Self(text.slice(token.range())))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// A token and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenParams {
    pub token: Bytes,
    pub params: Params,
}

impl TokenParams {
    pub fn is(&self, other: &str) -> bool {
        self.token.eq_ignore_ascii_case(other.as_bytes())
    }
}

impl Value for TokenParams {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("token", text);
        cursor.spaces();
        let token = cursor.token("no token")?;
        let params = Params::parse("token", text, cursor.at())?;
        Ok(Self { token: text.slice(token.range()), params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.token);
        self.params.write(out);
    }
}

/// A media type: Content-Type, Accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    pub kind: Bytes,
    pub subtype: Bytes,
    pub params: Params,
}

impl MediaType {
    /// The same type, in any case, whatever the parameters.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// What separates the parts of a multipart body.
    pub fn boundary(&self) -> Option<Cow<'_, [u8]>> {
        self.params.text("boundary")
    }
}

impl Value for MediaType {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("media type", text);
        cursor.spaces();
        let kind = cursor.token("no type")?;
        cursor.spaces();
        if !cursor.eat(b'/') {
            return Err(cursor.error("no subtype"));
        }
        cursor.spaces();
        let subtype = cursor.token("no subtype")?;
        let params = Params::parse("media type", text, cursor.at())?;
        let (kind, subtype) = (text.slice(kind.range()), text.slice(subtype.range()));
        Ok(Self { kind, subtype, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.kind);
        out.push(b'/');
        out.extend_from_slice(&self.subtype);
        self.params.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<V: Value>(text: &'static str) -> Result<V, ValueError> {
        V::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn tokens_stand_alone() {
        assert!(parse::<Token>(" 100rel ").unwrap().is("100REL"));
        for bad in ["", "a b", "a,b", "a;b", "\"a\""] {
            assert!(parse::<Token>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_have_parameters() {
        let read: TokenParams = parse("active ;expires=60").unwrap();
        assert!(read.is("Active"));
        assert_eq!(read.params.get("expires"), Some(&b"60"[..]));
        assert_eq!(read.to_bytes(), "active;expires=60");
    }

    #[test]
    fn media_types_have_two_parts_and_perhaps_a_boundary() {
        let read: MediaType = parse("multipart / MIXED;boundary=\"a b\"").unwrap();
        assert!(read.is("Multipart", "mixed"));
        assert_eq!(read.boundary().as_deref(), Some(&b"a b"[..]));
        assert_eq!(read.to_bytes(), "multipart/MIXED;boundary=\"a b\"");
        for bad in ["", "text", "text/", "/plain", "text/plain x"] {
            assert!(parse::<MediaType>(bad).is_err(), "{bad}");
        }
    }
}
