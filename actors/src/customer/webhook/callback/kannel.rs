//! Kannel's words: a GET of the `dlr-url` with its escapes filled, where `dlr-mask` asks for it.

use model::clock::At;
use proto_smpp::receipt::State;
use serde::{Deserialize, Serialize};
use store::LoggedRow;

use super::{Request, Step, put_encoded, receipt, status_of, uuid};

/// The bits of `dlr-mask`, and the numbers of `%d`.
const DELIVERED: u8 = 1;
const NOT_DELIVERED: u8 = 2;
const TAKEN: u8 = 8;
const REFUSED: u8 = 16;

/// What a `sendsms` request said, as far as a report repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kannel {
    pub url: String,
    pub mask: u8,
    /// The sender and the recipient as they were given.
    pub from: String,
    pub to: String,
    /// `username`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub binfo: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub smsc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charset: String,
    pub coding: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mclass: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mwi: Option<u8>,
}

impl Kannel {
    pub(super) fn request(&self, step: Step, row: &LoggedRow) -> Option<Request> {
        let (kind, text) = match step {
            Step::Taken => (TAKEN, String::from("ACK/")),
            Step::Refused => (REFUSED, refusal(row)),
            Step::Ended(state @ State::Delivered) => (DELIVERED, receipt(state, row)),
            Step::Ended(state) => (NOT_DELIVERED, receipt(state, row)),
        };
        (self.mask & kind != 0).then(|| Request { url: self.fill(kind, &text, row), form: None })
    }

    /// The URL with its escapes filled. What is not known to fill stays as it is.
    fn fill(&self, kind: u8, text: &str, row: &LoggedRow) -> String {
        let mut out = String::with_capacity(self.url.len() + 64);
        let mut words = text.split_whitespace().skip(1);
        let mut rest = self.url.as_str();
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let mut behind = rest[at + 1..].chars();
            let Some(escape) = behind.next() else {
                out.push('%');
                return out;
            };
            rest = behind.as_str();
            match escape {
                'a' => join(&mut out, text.split_whitespace()),
                'A' | 'b' => put_encoded(&mut out, text),
                'B' => put_encoded(&mut out, &self.binfo),
                'c' => out.push_str(&self.coding.to_string()),
                'C' => put_encoded(&mut out, self.charset_told()),
                'd' => out.push_str(&kind.to_string()),
                'F' => put_encoded(&mut out, row.external_id.as_deref().unwrap_or_default()),
                'i' => put_encoded(&mut out, &self.smsc),
                'I' => out.push_str(&uuid(row)),
                'k' => join(&mut out, text.split_whitespace().take(1)),
                'm' => out.push_str(&number(self.mclass)),
                'M' => out.push_str(&number(self.mwi)),
                'n' => put_encoded(&mut out, &self.service),
                'o' => put_encoded(&mut out, &self.account),
                'p' => put_encoded(&mut out, &self.to),
                'P' => put_encoded(&mut out, &self.from),
                'q' => put_encoded(&mut out, &with_plus(&self.to)),
                'Q' => put_encoded(&mut out, &with_plus(&self.from)),
                'r' => join(&mut out, words.by_ref()),
                's' => join(&mut out, words.by_ref().take(1)),
                'S' => out.push_str(&words.next().unwrap_or_default().replace('*', "~")),
                't' => {
                    let iso = At(row.at).iso();
                    out.push_str(&iso.get(..19).unwrap_or_default().replace('T', "+"));
                }
                'T' => out.push_str(&(row.at / 1_000_000).to_string()),
                // Of what nothing is known here: headers, metadata, the URL itself, a UDH.
                'D' | 'f' | 'O' | 'R' | 'u' => {}
                '%' => out.push('%'),
                other => {
                    out.push('%');
                    out.push(other);
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn charset_told(&self) -> &str {
        match (self.charset.as_str(), self.coding) {
            ("", 2) => "UTF-16BE",
            ("", 1) => "8-BIT",
            ("", _) => "UTF-8",
            (given, _) => given,
        }
    }
}

fn join<'a>(out: &mut String, words: impl Iterator<Item = &'a str>) {
    for (place, word) in words.enumerate() {
        if place > 0 {
            out.push('+');
        }
        put_encoded(out, word);
    }
}

/// What is not set is -1.
fn number(value: Option<u8>) -> String {
    value.map_or_else(|| String::from("-1"), |value| value.to_string())
}

fn with_plus(number: &str) -> String {
    number.strip_prefix("00").map_or_else(|| number.to_owned(), |rest| format!("+{rest}"))
}

fn refusal(row: &LoggedRow) -> String {
    match status_of(row) {
        0 => {
            let reason = row.status_reason.as_deref().or(row.error_code.as_deref());
            format!("NACK/{}", reason.unwrap_or_default())
        }
        status => {
            let about = proto_smpp::CommandStatus(status).about();
            format!("NACK/0x{status:08x}/{about}")
        }
    }
}
