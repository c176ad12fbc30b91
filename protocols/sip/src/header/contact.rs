//! Contact: where a party is reached, and what a registrar is told of it. RFC 3261 §20.10,
//! RFC 5626 §4, RFC 5627 §4.

use std::borrow::Cow;

use bytes::Bytes;

use super::{NameAddr, Value};
use crate::grammar::{self, ValueError};

/// One value of Contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// `*`: all bindings, in a REGISTER that ends them.
    Any,
    Address(NameAddr),
}

impl Value for Contact {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        if grammar::trim(text) == b"*" {
            return Ok(Self::Any);
        }
        NameAddr::parse(text).map(Self::Address)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Any => out.push(b'*'),
            Self::Address(address) => address.write(out),
        }
    }
}

impl NameAddr {
    /// The preference of a Contact in thousandths, 0 to 1000; 1000 when it says nothing that reads.
    pub fn q(&self) -> u16 {
        self.params.get("q").and_then(thousandths).unwrap_or(1_000)
    }

    /// The expires parameter, if it reads.
    pub fn expires(&self) -> Option<u32> {
        let number = self.params.get("expires").and_then(grammar::digits)?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Which device it is, without the angle brackets.
    pub fn instance(&self) -> Option<Cow<'_, [u8]>> {
        let text = self.params.text("+sip.instance")?;
        Some(match text {
            Cow::Borrowed([b'<', inner @ .., b'>']) => Cow::Borrowed(inner),
            Cow::Owned(text)
                if text.starts_with(b"<") && text.ends_with(b">") && text.len() > 1 =>
            {
                Cow::Owned(text[1..text.len() - 1].to_vec())
            }
            text => text,
        })
    }

    /// Which of the flows of a device it is.
    pub fn reg_id(&self) -> Option<u32> {
        self.params.get("reg-id").and_then(grammar::number).filter(|id| *id > 0)
    }
}

/// A q-value, RFC 3261 §25.1: `0` or `1` with up to three decimals.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (first, rest) = text.split_first()?;
    let (whole, decimals) = match *first {
        b'0' => (0, rest),
        b'1' => (1_000, rest),
        b'.' => (0, text),
        _ => return None,
    };
    let decimals = match decimals {
        [] => decimals,
        [b'.', decimals @ ..] if decimals.len() <= 3 => decimals,
        _ => return None,
    };
    let mut value: u16 = 0;
    for at in 0..3 {
        let digit = decimals.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u16::from(digit - b'0');
    }
    Some(whole + value).filter(|value| *value <= 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(text: &str) -> NameAddr {
        let text = Bytes::copy_from_slice(text.as_bytes());
        match Contact::parse(&text) {
            Ok(Contact::Address(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_star_is_a_contact_alone() {
        assert_eq!(Contact::parse(&Bytes::from_static(b" * ")), Ok(Contact::Any));
        assert_eq!(Contact::Any.to_bytes(), "*");
        assert!(Contact::parse(&Bytes::from_static(b"*;q=1")).is_err());
    }

    #[test]
    fn preferences_are_thousandths() {
        for (q, expected) in [
            ("1", 1000),
            ("1.000", 1000),
            ("0.7", 700),
            ("0", 0),
            ("0.123", 123),
            (".5", 500),
            ("0.", 0),
        ] {
            assert_eq!(contact(&format!("<sip:a@b>;q={q}")).q(), expected, "{q}");
        }
        for bad in ["1.001", "2", "0.1234", "0.x", "-1", "x"] {
            assert_eq!(contact(&format!("<sip:a@b>;q={bad}")).q(), 1000, "{bad}");
        }
        assert_eq!(contact("<sip:a@b>").q(), 1000);
    }

    #[test]
    fn what_a_registrar_is_told() {
        let read = contact(
            "<sip:a@b>;expires=280297596632815;reg-id=2;+sip.instance=\"<urn:uuid:0C67446E-F1A1>\"",
        );
        assert_eq!(read.expires(), Some(u32::MAX));
        assert_eq!(read.reg_id(), Some(2));
        assert_eq!(read.instance().as_deref(), Some(&b"urn:uuid:0C67446E-F1A1"[..]));
        let none = contact("<sip:a@b>;expires=x;reg-id=0");
        assert_eq!((none.expires(), none.reg_id(), none.instance()), (None, None, None));
    }
}
