//! CSeq: a number below 2^31 and a method, RFC 3261 §20.16.

use bytes::Bytes;

use super::Value;
use crate::Method;
use crate::grammar::{self, Cursor, ValueError};

/// The place of a request in its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl Value for CSeq {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("CSeq", text);
        let digits = cursor.while_(|octet| octet.is_ascii_digit()).of(text);
        let number = grammar::number::<u32>(digits).filter(|number| *number < 1 << 31);
        let number = number.ok_or_else(|| cursor.error("no number below 2^31"))?;
        let gap = cursor.at();
        cursor.spaces();
        let method = text.slice(cursor.at()..);
        let method = Method::parse(&method).filter(|_| cursor.at() > gap);
        let method = method.ok_or_else(|| cursor.error("no method"))?;
        Ok(Self { number, method })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.number.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.method.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<CSeq, ValueError> {
        CSeq::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_number_and_a_method() {
        assert_eq!(parse("0009 \t INVITE"), Ok(CSeq { number: 9, method: Method::Invite }));
        assert_eq!(parse("2147483647 ACK").unwrap().number, (1 << 31) - 1);
        assert_eq!(parse("1 X").unwrap().to_bytes(), "1 X");
        for bad in ["", "1", "INVITE", "1INVITE", "-1 ACK", "2147483648 ACK", "1 A B", "1 "] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("36893488147419103232 REGISTER").is_err());
    }
}
