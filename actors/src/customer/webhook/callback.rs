//! In whose words the events of one message are told, and by what request.
//!
//! A message's `webhook_url` is a URL, told in our own words; or, for a message that came by a
//! compatible front door, the words of that program with all that they repeat. Pure: the stored
//! text and a line of the log in, a request out. Where it goes, when, and how often is the
//! endpoint's affair, as for any other webhook.

mod jasmin;
mod kannel;

use model::event::EventKind;
use model::id::PublicId;
use model::message::Status;
use proto_smpp::Address;
use proto_smpp::receipt::{self, Stamp, State, Written};
use serde::{Deserialize, Serialize};
use store::LoggedRow;

pub use jasmin::{Jasmin, Level, Method};
pub use kannel::Kannel;

/// A callback that is not in our own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "words", rename_all = "lowercase")]
pub enum Callback {
    Kannel(Kannel),
    Jasmin(Jasmin),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub url: String,
    /// A form, posted; `None` is a GET.
    pub form: Option<String>,
}

/// What the log says of a message's journey, as far as these programs tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A carrier took it.
    Taken,
    /// No carrier took it.
    Refused,
    /// It ended at the handset, well or not.
    Ended(State),
}

impl Callback {
    /// Reads what is stored; a plain URL is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Kannel(kannel) => &kannel.url,
            Self::Jasmin(jasmin) => &jasmin.url,
        }
    }

    /// What is asked of its server for a line of the log; `None`: nothing.
    #[must_use]
    pub fn request(&self, row: &LoggedRow) -> Option<Request> {
        let step = Step::of(row)?;
        match self {
            Self::Kannel(kannel) => kannel.request(step, row),
            Self::Jasmin(jasmin) => jasmin.request(step, row),
        }
    }

    /// Whether a successful answer with this body is enough.
    #[must_use]
    pub fn is_acknowledged(&self, body: &str) -> bool {
        match self {
            Self::Kannel(_) => true,
            Self::Jasmin(_) => body.trim() == "ACK/Jasmin",
        }
    }
}

impl Step {
    fn of(row: &LoggedRow) -> Option<Self> {
        match EventKind::from_code(row.kind)? {
            EventKind::Sent => Some(Self::Taken),
            EventKind::Delivered => Some(Self::Ended(State::Delivered)),
            EventKind::Failed | EventKind::Cancelled => match Status::from_code(row.status)? {
                // Nobody knows, and neither program tells of what it does not know.
                Status::SubmittedNoReceipt => None,
                _ if row.external_id.is_none() => Some(Self::Refused),
                Status::Expired => Some(Self::Ended(State::Expired)),
                Status::Rejected | Status::Blocked => Some(Self::Ended(State::Rejected)),
                Status::Cancelled => Some(Self::Ended(State::Deleted)),
                _ => Some(Self::Ended(State::Undeliverable)),
            },
            _ => None,
        }
    }
}

/// The receipt in the words of SMPP 3.4 appendix B, with the carrier's id.
fn receipt(state: State, row: &LoggedRow) -> String {
    let stamp = |at: Option<i64>| {
        let at = model::clock::At(at.unwrap_or(row.at)).iso();
        let none = Stamp { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        at.get(..19).and_then(Stamp::parse).unwrap_or(none)
    };
    let said = Written {
        message_id: row.external_id.as_deref().unwrap_or_default(),
        state,
        error: error_of(row),
        submit_date: stamp(row.created_at),
        done_date: stamp(Some(row.at)),
        text: row.body.as_deref().unwrap_or_default(),
        tlvs: false,
    };
    let pdu = receipt::write(&said, &Address::default(), &Address::default());
    String::from_utf8(pdu.short_message).unwrap_or_default()
}

/// The message's id as these programs write ids.
fn uuid(row: &LoggedRow) -> String {
    let id = row.id.as_deref().and_then(|id| <[u8; 16]>::try_from(id).ok());
    id.map(|id| PublicId::from_bytes(id).0.to_string()).unwrap_or_default()
}

/// The carrier's number, where it gave one.
fn error_of(row: &LoggedRow) -> u16 {
    let text = row.carrier_error.as_deref().unwrap_or_default();
    text.parse().ok().filter(|number| *number <= 999).unwrap_or(0)
}

/// The command_status with which a carrier refused it; 0 when none did.
fn status_of(row: &LoggedRow) -> u32 {
    let text = row.carrier_error.as_deref().unwrap_or_default();
    let hex = text.strip_prefix("0x").and_then(|rest| rest.split(' ').next());
    hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// Appends a value to a query or a form (the URL standard's form encoding).
fn put_encoded(out: &mut String, text: &str) {
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(char::from(octet));
            }
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                for half in [octet >> 4, octet & 15] {
                    out.push(char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
