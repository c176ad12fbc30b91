//! Headers that count: Expires, Min-Expires, Retry-After, Session-Expires, Min-SE, RSeq, RAck.
//! RFC 3261 §20, RFC 3262 §7, RFC 4028 §4 and §5.
//!
//! Seconds beyond 2^32 - 1 are that many: a number too large to keep is still a long time.

use bytes::Bytes;

use super::{CSeq, Params, Value};
use crate::grammar::{self, Cursor, ValueError};
use crate::message::Text;

/// A number of seconds: Expires, Min-Expires, Flow-Timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u32);

impl Value for Seconds {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("seconds", text);
        cursor.spaces();
        let seconds = seconds(&mut cursor, text)?;
        cursor.end("more than a number")?;
        Ok(Self(seconds))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
    }
}

/// Who sends the refreshes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    Uac,
    Uas,
}

/// Session-Expires: how long a session lasts unless it is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    pub seconds: u32,
    pub refresher: Option<Refresher>,
}

impl Value for SessionExpires {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let (seconds, params) = seconds_and_params("Session-Expires", text)?;
        let refresher = match params.get("refresher") {
            None => None,
            Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => {
                return Err(Cursor::new("Session-Expires", text).error("no such refresher"));
            }
        };
        Ok(Self { seconds, refresher })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.seconds.write_to(out);
        match self.refresher {
            None => {}
            Some(Refresher::Uac) => out.extend_from_slice(b";refresher=uac"),
            Some(Refresher::Uas) => out.extend_from_slice(b";refresher=uas"),
        }
    }
}

/// Min-SE: the shortest Session-Expires that somebody takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinSe(pub u32);

impl Value for MinSe {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        seconds_and_params("Min-SE", text).map(|(seconds, _)| Self(seconds))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
    }
}

/// Retry-After: when to come again, and for how long one may then be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    pub seconds: u32,
    pub duration: Option<u32>,
}

impl Value for RetryAfter {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("Retry-After", text);
        cursor.spaces();
        let seconds = seconds(&mut cursor, text)?;
        cursor.spaces();
        if cursor.peek() == Some(b'(') {
            comment(&mut cursor)?;
        }
        let params = Params::parse("Retry-After", text, cursor.at())?;
        let duration = params.get("duration").and_then(grammar::digits).map(saturated);
        Ok(Self { seconds, duration })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.seconds.write_to(out);
        if let Some(duration) = self.duration {
            out.extend_from_slice(b";duration=");
            duration.write_to(out);
        }
    }
}

/// RSeq: the number of a provisional response that wants a PRACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RSeq(pub u32);

impl Value for RSeq {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let number = grammar::number::<u32>(grammar::trim(text)).filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| Cursor::new("RSeq", text).error("no number from 1 on"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
    }
}

/// RAck: which response, of which request, a PRACK has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    pub rseq: u32,
    pub cseq: CSeq,
}

impl Value for RAck {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("RAck", text);
        let digits = cursor.while_(|octet| octet.is_ascii_digit()).of(text);
        let rseq = grammar::number::<u32>(digits).filter(|number| *number > 0);
        let rseq = rseq.ok_or_else(|| cursor.error("no number from 1 on"))?;
        let gap = cursor.at();
        cursor.spaces();
        if cursor.at() == gap {
            return Err(cursor.error("no second number"));
        }
        Ok(Self { rseq, cseq: CSeq::parse(&text.slice(cursor.at()..))? })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.rseq.write_to(out);
        out.push(b' ');
        self.cseq.write(out);
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn seconds(cursor: &mut Cursor<'_>, text: &[u8]) -> Result<u32, ValueError> {
    let digits = cursor.while_(|octet| octet.is_ascii_digit()).of(text);
    grammar::digits(digits).map(saturated).ok_or_else(|| cursor.error("no number"))
}

fn seconds_and_params(what: &'static str, text: &Bytes) -> Result<(u32, Params), ValueError> {
    let mut cursor = Cursor::new(what, text);
    cursor.spaces();
    let seconds = seconds(&mut cursor, text)?;
    Ok((seconds, Params::parse(what, text, cursor.at())?))
}

/// Steps over a comment, with those inside it.
fn comment(cursor: &mut Cursor<'_>) -> Result<(), ValueError> {
    let mut depth = 0u32;
    loop {
        match cursor.peek() {
            None => return Err(cursor.error("a comment is not closed")),
            Some(b'\\') => cursor.jump(cursor.at() + 1),
            Some(b'(') => depth += 1,
            Some(b')') => depth -= 1,
            Some(_) => {}
        }
        cursor.jump(cursor.at() + 1);
        if depth == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn parse<V: Value>(text: &'static str) -> Result<V, ValueError> {
        V::parse(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn seconds_are_digits_and_too_many_are_the_most() {
        assert_eq!(parse(" 3600 "), Ok(Seconds(3600)));
        assert_eq!(parse("100000000000000000000000000000"), Ok(Seconds(u32::MAX)));
        for bad in ["", "-1", "1h", "1.5", "Thu, 01 Dec 1994 16:00:00 GMT"] {
            assert!(parse::<Seconds>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn session_timers_name_their_refresher() {
        let read: SessionExpires = parse("1800 ; refresher = UAS;x=1").unwrap();
        assert_eq!(read, SessionExpires { seconds: 1800, refresher: Some(Refresher::Uas) });
        assert_eq!(read.to_bytes(), "1800;refresher=uas");
        assert_eq!(parse::<SessionExpires>("90").unwrap().refresher, None);
        assert!(parse::<SessionExpires>("90;refresher=me").is_err());
        assert_eq!(parse("90;x"), Ok(MinSe(90)));
        assert!(parse::<MinSe>("x").is_err());
    }

    #[test]
    fn retry_after_may_be_explained() {
        let read: RetryAfter = parse("18000 (in a \\) (big) meeting);duration=60").unwrap();
        assert_eq!(read, RetryAfter { seconds: 18_000, duration: Some(60) });
        assert_eq!(
            parse("949302838503028349304023988").map(|r: RetryAfter| r.seconds),
            Ok(u32::MAX)
        );
        assert_eq!(read.to_bytes(), "18000;duration=60");
        for bad in ["", "5 (", "5 (a", "5 x", "(a) 5"] {
            assert!(parse::<RetryAfter>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prack_names_a_response_and_its_request() {
        let read: RAck = parse("776656 1 INVITE").unwrap();
        assert_eq!((read.rseq, read.cseq.number), (776_656, 1));
        assert_eq!(read.cseq.method, Method::Invite);
        assert_eq!(read.to_bytes(), "776656 1 INVITE");
        assert_eq!(parse("1"), Ok(RSeq(1)));
        for bad in ["", "0 1 INVITE", "1 INVITE", "1", "4294967296 1 INVITE"] {
            assert!(parse::<RAck>(bad).is_err(), "{bad}");
        }
        assert!(parse::<RSeq>("0").is_err());
    }
}
