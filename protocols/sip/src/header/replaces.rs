//! Replaces: the dialog that a new call takes the place of, RFC 3891.

use bytes::Bytes;

use super::{Params, Value};
use crate::grammar::{self, Cursor, ValueError};
use crate::uri;

/// The name of a dialog, as its other side sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: Bytes,
    pub to_tag: Bytes,
    pub from_tag: Bytes,
    /// Only if the dialog is not confirmed yet.
    pub early_only: bool,
}

impl Replaces {
    /// The same out of the Replaces header of a URI in Refer-To, where it is escaped.
    pub fn of_uri_header(text: &[u8]) -> Result<Self, ValueError> {
        Self::parse(&Bytes::from(uri::unescape(text)))
    }
}

impl Value for Replaces {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("Replaces", text);
        cursor.spaces();
        let call_id = cursor.while_(|octet| octet != b';' && !grammar::is_space(octet));
        if !grammar::is_call_id(call_id.of(text)) {
            return Err(cursor.error("no Call-ID"));
        }
        let params = Params::parse("Replaces", text, cursor.at())?;
        let tag = |name| params.slice(name).ok_or_else(|| cursor.error("a tag is missing"));
        Ok(Self {
            call_id: text.slice(call_id.range()),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.has("early-only"),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.call_id);
        out.extend_from_slice(b";to-tag=");
        out.extend_from_slice(&self.to_tag);
        out.extend_from_slice(b";from-tag=");
        out.extend_from_slice(&self.from_tag);
        if self.early_only {
            out.extend_from_slice(b";early-only");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_is_named_by_its_call_id_and_both_tags() {
        let text = Bytes::from_static(
            b"98732@sip.example.com ;from-tag=r33th4x0r;to-tag=ff87ff;early-only",
        );
        let read = Replaces::parse(&text).unwrap();
        assert_eq!((&read.to_tag[..], &read.from_tag[..]), (&b"ff87ff"[..], &b"r33th4x0r"[..]));
        assert!(read.early_only);
        assert_eq!(Replaces::parse(&read.to_bytes()), Ok(read));
        for bad in [&b""[..], b"a", b"a;to-tag=1", b"a;from-tag=1", b"a b;to-tag=1;from-tag=2"] {
            assert!(Replaces::parse(&Bytes::from_static(bad)).is_err());
        }
    }

    #[test]
    fn in_a_uri_it_is_escaped() {
        let read = Replaces::of_uri_header(b"a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2").unwrap();
        assert_eq!((&read.call_id[..], &read.to_tag[..]), (&b"a@b"[..], &b"1"[..]));
        assert!(Replaces::of_uri_header(b"a%0D%0AX: y%3Bto-tag%3D1%3Bfrom-tag%3D2").is_err());
    }
}
