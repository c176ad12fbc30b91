//! Jasmin's words: fields by GET or as a form, of one level or both, acknowledged by a body.

use model::clock::At;
use proto_smpp::CommandStatus;
use proto_smpp::receipt::State;
use serde::{Deserialize, Serialize};
use store::LoggedRow;

use super::{Request, Step, error_of, put_encoded, status_of, uuid};

/// Characters of the text that are repeated.
const TEXT_KEPT: usize = 20;

/// What a `send` request asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jasmin {
    pub url: String,
    pub level: Level,
    pub method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Whether a carrier took it.
    Smsc,
    /// What became of it.
    Terminal,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
}

impl Jasmin {
    pub(super) fn request(&self, step: Step, row: &LoggedRow) -> Option<Request> {
        let fields = match step {
            Step::Taken if self.level != Level::Terminal => first_level(row, "ESME_ROK"),
            Step::Refused if self.level != Level::Terminal => {
                let status = match status_of(row) {
                    0 => CommandStatus::SUBMITFAIL,
                    status => CommandStatus(status),
                };
                let name = match status.name() {
                    "unknown" => "UNKNOWNERR",
                    name => name,
                };
                first_level(row, &format!("ESME_R{name}"))
            }
            Step::Ended(state) if self.level != Level::Smsc => second_level(row, state),
            _ => return None,
        };
        let form = form(&fields);
        Some(match self.method {
            Method::Post => Request { url: self.url.clone(), form: Some(form) },
            Method::Get => {
                let address = self.url.split('#').next().unwrap_or_default();
                let joint = if address.contains('?') { '&' } else { '?' };
                Request { url: format!("{address}{joint}{form}"), form: None }
            }
        })
    }
}

fn first_level(row: &LoggedRow, status: &str) -> Vec<(&'static str, String)> {
    vec![("id", uuid(row)), ("message_status", status.to_owned()), ("level", String::from("1"))]
}

fn second_level(row: &LoggedRow, state: State) -> Vec<(&'static str, String)> {
    let text = row.body.as_deref().unwrap_or_default();
    let delivered = u8::from(state == State::Delivered);
    vec![
        ("id", uuid(row)),
        ("message_status", state.word().to_owned()),
        ("level", String::from("2")),
        ("id_smsc", row.external_id.clone().unwrap_or_default()),
        ("subdate", stamp(row.created_at.unwrap_or(row.at))),
        ("donedate", stamp(row.at)),
        ("sub", String::from("001")),
        ("dlvrd", format!("{delivered:03}")),
        ("err", format!("{:03}", error_of(row))),
        ("text", text.chars().take(TEXT_KEPT).collect()),
    ]
}

fn form(fields: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        put_encoded(&mut out, value);
    }
    out
}

/// YYMMDDhhmm in UTC.
fn stamp(at: i64) -> String {
    let iso = At(at).iso();
    iso.get(2..16).unwrap_or_default().chars().filter(char::is_ascii_digit).collect()
}
