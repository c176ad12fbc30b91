//! Why something ended, or what is odd about it: Reason (RFC 3326) and Warning (RFC 3261 §20.43).

use std::borrow::Cow;

use bytes::Bytes;

use super::{Params, TokenParams, Value};
use crate::grammar::{self, Cursor, ValueError};

/// Reason: a protocol, its cause and perhaps words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850` and others.
    pub protocol: Bytes,
    pub params: Params,
}

impl Reason {
    pub fn new(protocol: &'static str, cause: u16, text: &str) -> Self {
        let mut params = Params::default();
        params.set("cause", Some(cause.to_string().as_bytes()));
        if !text.is_empty() {
            let mut quoted = Vec::new();
            grammar::write_quoted(text.as_bytes(), &mut quoted);
            params.set("text", Some(&quoted));
        }
        Self { protocol: Bytes::from_static(protocol.as_bytes()), params }
    }

    pub fn is(&self, protocol: &str) -> bool {
        self.protocol.eq_ignore_ascii_case(protocol.as_bytes())
    }

    pub fn cause(&self) -> Option<u16> {
        self.params.text("cause").and_then(|cause| grammar::number(&cause))
    }

    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        self.params.text("text")
    }
}

impl Value for Reason {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let TokenParams { token, params } = TokenParams::parse(text)?;
        Ok(Self { protocol: token, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.protocol);
        self.params.write(out);
    }
}

/// Warning: a code of three digits, who warns, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub code: u16,
    pub agent: Bytes,
    pub text: Vec<u8>,
}

impl Value for Warning {
    fn parse(text: &Bytes) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new("Warning", text);
        cursor.spaces();
        let digits = cursor.while_(|octet| octet.is_ascii_digit()).of(text);
        let code = grammar::number(digits).filter(|_| digits.len() == 3);
        let code = code.ok_or_else(|| cursor.error("no code of three digits"))?;
        cursor.spaces();
        let agent = cursor.while_(|octet| !grammar::is_space(octet) && octet != b'"');
        cursor.spaces();
        if cursor.peek() != Some(b'"') || agent.start == agent.end {
            return Err(cursor.error("no agent and quoted text"));
        }
        let words = cursor.quoted()?;
        cursor.end("more than a warning")?;
        let words = grammar::unquoted(words.of(text)).into_owned();
        Ok(Self { code, agent: text.slice(agent.range()), text: words })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:03} ", self.code).as_bytes());
        out.extend_from_slice(&self.agent);
        out.push(b' ');
        grammar::write_quoted(&self.text, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_cause_and_words() {
        let text = Bytes::from_static(b"Q.850 ;cause=16;text=\"Terminated; \\\"ok\\\"\"");
        let read = Reason::parse(&text).unwrap();
        assert!(read.is("q.850"));
        assert_eq!(read.cause(), Some(16));
        assert_eq!(read.text().as_deref(), Some(&b"Terminated; \"ok\""[..]));
        let own = Reason::new("SIP", 200, "Call completed \"elsewhere\"");
        assert_eq!(own.to_bytes(), "SIP;cause=200;text=\"Call completed \\\"elsewhere\\\"\"");
        assert_eq!(Reason::parse(&own.to_bytes()), Ok(own));
    }

    #[test]
    fn a_warning_has_a_code_an_agent_and_words() {
        let text = Bytes::from_static(b"307 isi.edu:5060 \"Session parameter 'foo' \\\"no\\\"\"");
        let read = Warning::parse(&text).unwrap();
        assert_eq!((read.code, &read.agent[..]), (307, &b"isi.edu:5060"[..]));
        assert_eq!(read.text, b"Session parameter 'foo' \"no\"");
        assert_eq!(read.to_bytes(), text);
        for bad in
            [&b"1812 overture \"In Progress\""[..], b"399 \"x\"", b"399 a", b"399 a \"x\" y", b""]
        {
            assert!(Warning::parse(&Bytes::from_static(bad)).is_err());
        }
    }
}
