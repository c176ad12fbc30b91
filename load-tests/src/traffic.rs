//! What is sent: recipients, tokens and whole HTTP requests, each a function of a number.
//!
//! Recipients are valid numbers in existing ranges, all different until a range is used up.
//! The first word of each text is a token that no other message has, in letters that every
//! SMS alphabet shares, so that the carrier can tell messages apart.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Result, ensure};

/// Prime, and no factor of a range's size: steps through a whole range before repeating.
const STRIDE: u64 = 7_368_787;
/// The first digit behind the prefix is 4 to 9: valid with +1415 and with +4479.
const FIRST_DIGITS: u64 = 6;

pub(crate) struct Recipients {
    prefix: String,
    digits: u32,
    seed: u64,
}

/// Where requests go, and how they look.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) recipients: Recipients,
    pub(crate) form: Form,
}

pub(crate) enum Form {
    Orbit {
        path: String,
        key: String,
        idempotency: bool,
        text: String,
    },
    /// Kannel's `sendsms` with the user and password `load`.
    Kannel {
        /// Where receipts are reported, percent-encoded; empty for nowhere.
        dlr_url: String,
        text: String,
    },
}

impl Recipients {
    pub(crate) fn new(prefix: &str, seed: u64) -> Result<Self> {
        let national = prefix.strip_prefix('+').unwrap_or_default();
        let digits_only = national.bytes().all(|octet| octet.is_ascii_digit());
        ensure!(digits_only && !national.is_empty(), "a prefix is + and digits");
        let length = if national.starts_with("44") { 12 } else { 11 };
        ensure!(national.len() < length - 2, "the prefix leaves no room");
        Ok(Self { prefix: prefix.to_owned(), digits: (length - national.len()) as u32, seed })
    }

    /// With the plus.
    pub(crate) fn write(&self, number: u64, out: &mut Vec<u8>) {
        let rest = 10_u64.pow(self.digits - 1);
        let range = FIRST_DIGITS * rest;
        let start = self.seed % range;
        let index = (start + (number % range) * (STRIDE % range)) % range;
        let value = index + 4 * rest;
        let width = self.digits as usize;
        let written = write!(out, "{}{value:0width$}", self.prefix);
        debug_assert!(written.is_ok(), "a vector takes all");
    }

    pub(crate) fn write_token(&self, number: u64, out: &mut Vec<u8>) {
        let written = write!(out, "t{:x}-{number}", self.seed);
        debug_assert!(written.is_ok(), "a vector takes all");
    }
}

impl Target {
    /// One whole request; `body` is a buffer to work in.
    pub(crate) fn write(&self, number: u64, out: &mut Vec<u8>, body: &mut Vec<u8>) {
        out.clear();
        body.clear();
        let written = self.try_write(number, out, body);
        debug_assert!(written.is_ok(), "a vector takes all");
    }

    fn try_write(&self, number: u64, out: &mut Vec<u8>, body: &mut Vec<u8>) -> std::io::Result<()> {
        match &self.form {
            Form::Orbit { path, key, idempotency, text } => {
                body.extend_from_slice(b"{\"to\":\"");
                self.recipients.write(number, body);
                body.extend_from_slice(b"\",\"from\":\"Orbit\",\"body\":\"");
                self.recipients.write_token(number, body);
                write!(body, " {text}\"}}")?;
                write!(out, "POST {path} HTTP/1.1\r\nHost: {}\r\n", self.address)?;
                write!(out, "X-API-Key: {key}\r\nContent-Type: application/json\r\n")?;
                if *idempotency {
                    // A key has at least eight characters, a token fewer at times.
                    out.extend_from_slice(b"Idempotency-Key: load-test-");
                    self.recipients.write_token(number, out);
                    out.extend_from_slice(b"\r\n");
                }
                write!(out, "Content-Length: {}\r\n\r\n", body.len())?;
                out.extend_from_slice(body);
            }
            Form::Kannel { dlr_url, text } => {
                out.extend_from_slice(b"GET /cgi-bin/sendsms?username=load&password=load");
                out.extend_from_slice(b"&from=Orbit&to=%2B");
                self.recipients.write(number, body);
                out.extend_from_slice(&body[1..]);
                out.extend_from_slice(b"&text=");
                self.recipients.write_token(number, out);
                for part in text.split(' ') {
                    write!(out, "+{part}")?;
                }
                out.extend_from_slice(b"&dlr-mask=31");
                if !dlr_url.is_empty() {
                    write!(out, "&dlr-url={dlr_url}")?;
                }
                write!(out, " HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)?;
            }
        }
        Ok(())
    }
}

/// The id in the answer of a send: the value of the first `"id"` of a message.
pub(crate) fn message_id(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"id\":\"msg_";
    let start = crate::client::find(body, NAME)? + NAME.len() - 4;
    let rest = &body[start..];
    let end = rest.iter().position(|&octet| octet == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// A seed that no other run has.
pub(crate) fn fresh_seed() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(1, |time| time.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn target(form: Form) -> Target {
        Target {
            address: ([127, 0, 0, 1], 80).into(),
            recipients: Recipients::new("+1415", 10).expect("a prefix"),
            form,
        }
    }

    fn request(form: Form) -> String {
        let (mut out, mut body) = (Vec::new(), Vec::new());
        target(form).write(7, &mut out, &mut body);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn recipients_are_valid_and_different() {
        for (prefix, length) in [("+1415", 12), ("+4479", 13), ("+1415555", 12)] {
            let recipients = Recipients::new(prefix, 99).expect("a prefix");
            let mut seen = HashSet::new();
            for number in 0..5_000 {
                let mut out = Vec::new();
                recipients.write(number, &mut out);
                assert_eq!(out.len(), length);
                assert!((b'4'..=b'9').contains(&out[prefix.len()]));
                assert!(seen.insert(out), "{prefix} {number}");
            }
        }
        assert!(Recipients::new("1415", 1).is_err());
        assert!(Recipients::new("+14155555555", 1).is_err());
    }

    #[test]
    fn a_send_is_one_request_with_its_length() {
        let text = request(Form::Orbit {
            path: "/api/v1/messages/sms".into(),
            key: "k".into(),
            idempotency: true,
            text: "hello".into(),
        });
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        assert!(head.contains("Idempotency-Key: load-test-ta-7\r\n"));
        assert!(body.ends_with("\"body\":\"ta-7 hello\"}"), "{body}");
    }

    #[test]
    fn a_kannel_send_is_a_query() {
        let form = Form::Kannel { dlr_url: String::new(), text: "hello you".into() };
        let text = request(form);
        assert!(text.contains("&to=%2B1415"), "{text}");
        assert!(text.contains("&text=ta-7+hello+you&dlr-mask=31 HTTP/1.1\r\n"), "{text}");
    }

    #[test]
    fn the_message_id_is_found_in_an_answer() {
        let body = br#"{"data":{"channel":"sms","id":"msg_0a","message_id":"msg_0a"}}"#;
        assert_eq!(message_id(body), Some("msg_0a"));
        assert_eq!(message_id(b"0: Accepted for delivery"), None);
    }
}
