//! Kannel's `sendsms`, as smsbox of Kannel 1.4.5 serves it: `/cgi-bin/sendsms`.
//!
//! GET with a query; POST with a form, or with `X-Kannel-…` headers and the text as the body. The
//! replies are smsbox's; what only this switch refuses is said in the same manner, and the SMPP
//! status of it in `X-Orbit-Status`.

use actors::customer::webhook::callback::{Callback, Kannel};
use actors::smpp::server::front::Taken;
use actors::smpp::server::status;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use proto_smpp::pdu::message::ESM_UDHI;
use proto_smpp::{Address, CommandId, CommandStatus, Message};
use serde_json::json;

use super::super::App;
use super::asked::{Asked, decoded};
use super::{RECIPIENTS_MAX, account, callable, in_minutes, say, submit, with_status, words};

const PATH: &str = "/cgi-bin/sendsms";
/// smsbox says so of all its replies.
const KIND: &str = "text/html";
/// What smsbox lets stand in a receiver's number.
const NUMBER: &[u8] = b"0123456789 +-";
const DENIED: &str = "Number(s) has/have been denied by white- and/or black-lists.";
const TRY_LATER: &str = "Temporal failure, try again later.";
const NOT_ROUTABLE: &str = "Not routable. Do not try again.";

pub(super) fn routes() -> Router<App> {
    Router::new().route(PATH, get(sendsms).post(sendsms))
}

/// Octets of what goes with each recipient's message, and what is said where there are more.
const FIELDS_MAX: [(&str, usize, &str); 6] = [
    ("from", 64, "Sender not allowed, rejected"),
    ("account", 512, "Account field misformed, rejected"),
    ("binfo", 512, "BInfo field misformed, rejected"),
    ("smsc", 64, "SMSC field misformed, rejected"),
    ("charset", 64, "Charset or body misformed, rejected"),
    // More than the ten parts of the longest message have.
    ("text", 8_192, "Text too long, rejected"),
];

/// A request refused before anything was submitted.
struct Refused(StatusCode, &'static str);

/// A send, read.
struct Send {
    message: Message,
    recipients: Vec<String>,
    report: Option<Kannel>,
    metadata: Option<String>,
}

async fn sendsms(State(app): State<App>, mut asked: Asked) -> Response {
    if asked.method == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    take_headers(&mut asked);
    let first = |names: [&str; 2]| names.iter().find_map(|name| asked.text(name));
    let name = first(["username", "user"]).unwrap_or_default();
    let password = first(["password", "pass"]).unwrap_or_default();
    let Some(account) = account(&app, &asked, &name, &password) else {
        return say(StatusCode::FORBIDDEN, KIND, String::from("Authorization failed for sendsms"));
    };
    let Send { message, recipients, report, metadata } = match read(&asked, &name) {
        Ok(send) => send,
        Err(Refused(status, text)) => return say(status, KIND, text.to_owned()),
    };
    if let Some(report) = &report
        && !callable(&app, &account, &report.url).await
    {
        let text = String::from("DLR-URL not allowed, rejected");
        return say(StatusCode::BAD_REQUEST, KIND, text);
    }
    let own_sender = !message.source.digits.is_empty();
    let wanted = recipients.iter().map(|to| {
        let number: String = to.chars().filter(|c| *c != '-').collect();
        let callback = report
            .as_ref()
            .map(|report| Callback::Kannel(Kannel { to: to.clone(), ..report.clone() }));
        (Address::new(0, 0, number), callback)
    });
    let wanted = wanted.collect();
    let outcomes = submit(&app, &account, message, wanted, metadata).await;
    reply(&recipients, &outcomes, own_sender)
}

/// What stands in `X-Kannel-…` headers, with the text as the body.
fn take_headers(asked: &mut Asked) {
    let Some(body) = asked.body.take() else { return };
    let found: Vec<(String, Vec<u8>)> = asked
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-kannel-")?;
            let value = value.as_bytes();
            // Only these are encoded: they may hold what no header may.
            let value =
                if matches!(name, "udh" | "meta-data") { decoded(value) } else { value.to_vec() };
            Some((name.to_owned(), value))
        })
        .collect();
    for (name, value) in found {
        asked.add(&name, value);
    }
    asked.add("text", body);
}

fn bad(text: &'static str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text)
}

/// A whole number within bounds, if the field is there.
fn number(
    asked: &Asked,
    name: &str,
    most: u64,
    text: &'static str,
) -> Result<Option<u64>, Refused> {
    let Some(value) = asked.text(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let number = value.trim().parse::<u64>().ok().filter(|number| *number <= most);
    number.map(Some).ok_or_else(|| bad(text))
}

fn octet(asked: &Asked, name: &str, most: u8, text: &'static str) -> Result<Option<u8>, Refused> {
    let number = number(asked, name, most.into(), text)?;
    Ok(number.and_then(|number| u8::try_from(number).ok()))
}

fn read(asked: &Asked, username: &str) -> Result<Send, Refused> {
    let to = asked.text("to").ok_or_else(|| bad("Missing receiver number, rejected"))?;
    let recipients: Vec<String> = to.split_whitespace().map(str::to_owned).collect();
    if recipients.is_empty() {
        return Err(bad("Empty receiver number not allowed, rejected"));
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(bad("Too many receivers, rejected"));
    }
    if !to.bytes().all(|octet| NUMBER.contains(&octet)) {
        return Err(bad(DENIED));
    }
    for (name, most, text) in FIELDS_MAX {
        if asked.octets(name).is_some_and(|value| value.len() > most) {
            return Err(bad(text));
        }
    }
    let from = asked.text("from").unwrap_or_default().trim().to_owned();
    let udh = asked.octets("udh").filter(|udh| !udh.is_empty()).unwrap_or_default();
    if udh.first().is_some_and(|length| usize::from(*length) + 1 != udh.len()) {
        return Err(bad("UDH field misformed, rejected"));
    }
    let mclass = octet(asked, "mclass", 3, "MClass field misformed, rejected")?;
    let mwi = octet(asked, "mwi", 7, "MWI field misformed, rejected")?;
    let coding = octet(asked, "coding", 2, "Coding field misformed, rejected")?;
    let coding = coding.unwrap_or(u8::from(!udh.is_empty()));
    let alt_dcs = octet(asked, "alt-dcs", 1, "Alt-DCS field misformed, rejected")?;
    let pid = octet(asked, "pid", 255, "PID field misformed, rejected")?;
    let priority = octet(asked, "priority", 3, "Priority field misformed, rejected")?;
    // Nothing here compresses, and no return path is set.
    octet(asked, "compress", 0, "Compress field misformed, rejected")?;
    octet(asked, "rpi", 1, "RPI field misformed, rejected")?;
    let mask = octet(asked, "dlr-mask", 31, "DLR-Mask field misformed, rejected")?;
    let validity = number(asked, "validity", 525_600, "Validity field misformed, rejected")?;
    let deferred = number(asked, "deferred", 525_600, "Deferred field misformed, rejected")?;

    let charset = asked.text("charset").filter(|charset| !charset.is_empty());
    let text = asked.octets("text").unwrap_or_default();
    let data = text_octets(text, coding, charset.as_deref())?;
    if data.is_empty() && udh.is_empty() {
        return Err(bad("Empty text not allowed, rejected"));
    }
    let source = Address::new(0, 0, &from);
    let mut message = Message::new(CommandId::SUBMIT_SM, source, Address::default());
    message.data_coding = data_coding(coding, mclass, mwi, alt_dcs == Some(1));
    message.protocol_id = pid.unwrap_or(0);
    message.priority = priority.unwrap_or(0);
    if !udh.is_empty() {
        message.esm_class = ESM_UDHI;
    }
    message.short_message = [udh, &data].concat();
    message.validity = validity.filter(|n| *n > 0).map_or(Vec::new(), in_minutes);
    message.schedule = deferred.filter(|n| *n > 0).map_or(Vec::new(), in_minutes);

    let field = |name: &str| asked.text(name).unwrap_or_default();
    let url = field("dlr-url");
    let report = mask.filter(|mask| *mask > 0 && !url.is_empty()).map(|mask| Kannel {
        url,
        mask,
        from,
        to: String::new(),
        service: username.to_owned(),
        account: field("account"),
        binfo: field("binfo"),
        smsc: field("smsc"),
        charset: charset.unwrap_or_default(),
        coding,
        mclass,
        mwi,
    });
    let mut metadata = serde_json::Map::new();
    for name in ["account", "binfo"] {
        let value = field(name).replace('\0', "");
        if !value.is_empty() {
            metadata.insert(name.to_owned(), json!(value));
        }
    }
    let metadata = (!metadata.is_empty()).then(|| serde_json::Value::Object(metadata).to_string());
    Ok(Send { message, recipients, report, metadata })
}

/// The octets of a text by its coding: 0 the default alphabet, 1 octets, 2 UCS-2.
fn text_octets(text: &[u8], coding: u8, charset: Option<&str>) -> Result<Vec<u8>, Refused> {
    let decode = |charset: &str| {
        words::decode(charset, text).ok_or_else(|| bad("Charset or body misformed, rejected"))
    };
    Ok(match (coding, charset) {
        (1, _) => text.to_vec(),
        (2, charset) => words::to_ucs2(&decode(charset.unwrap_or("UTF-16BE"))?),
        (_, charset) => words::to_gsm(&decode(charset.unwrap_or("UTF-8"))?),
    })
}

/// The data_coding of a coding with a message class or a message waiting indicator (3GPP TS 23.038
/// §4).
fn data_coding(coding: u8, mclass: Option<u8>, mwi: Option<u8>, alternative: bool) -> u8 {
    match (mwi, mclass) {
        // 0 to 3 set one of four indicators, 4 to 7 clear it; the text is stored.
        (Some(mwi), _) => {
            let group = if coding == 2 { 0xE0 } else { 0xD0 };
            let active = if mwi < 4 { 0x08 } else { 0 };
            group | active | (mwi & 3)
        }
        (None, Some(mclass)) if alternative && coding < 2 => 0xF0 | coding << 2 | mclass,
        (None, Some(mclass)) => 0x10 | coding << 2 | mclass,
        (None, None) => coding << 2,
    }
}

fn reply(
    recipients: &[String],
    outcomes: &[Result<Taken, CommandStatus>],
    own_sender: bool,
) -> Response {
    let taken: Vec<&Taken> = outcomes.iter().filter_map(|one| one.as_ref().ok()).collect();
    let first = outcomes.iter().find_map(|one| one.as_ref().err().copied());
    if taken.is_empty() {
        let status = first.unwrap_or(CommandStatus::SYSERR);
        let (code, text) = refusal(status, own_sender);
        return with_status(say(code, KIND, text.to_owned()), status);
    }
    let later = taken.iter().all(|taken| taken.later);
    let text = if later { "3: Queued for later delivery" } else { "0: Accepted for delivery" };
    let mut text = text.to_owned();
    let failed = recipients.iter().zip(outcomes).filter(|(_, one)| one.is_err());
    for (place, (to, _)) in failed.enumerate() {
        text.push_str(if place == 0 { " Failed receivers are: " } else { " " });
        text.push_str(to);
    }
    let response = say(StatusCode::ACCEPTED, KIND, text);
    match first {
        Some(status) => with_status(response, status),
        None => response,
    }
}

fn refusal(refused: CommandStatus, own_sender: bool) -> (StatusCode, &'static str) {
    match refused {
        CommandStatus::THROTTLED | CommandStatus::MSGQFUL | CommandStatus::SYSERR => {
            (StatusCode::SERVICE_UNAVAILABLE, TRY_LATER)
        }
        CommandStatus::INVDSTADR | CommandStatus::INVDSTTON => (StatusCode::BAD_REQUEST, DENIED),
        CommandStatus::INVSRCADR if own_sender => {
            (StatusCode::BAD_REQUEST, "Sender not allowed, rejected")
        }
        CommandStatus::INVSRCADR => {
            (StatusCode::BAD_REQUEST, "Sender missing and no global set, rejected")
        }
        CommandStatus::INVMSGLEN => (StatusCode::BAD_REQUEST, "Text too long, rejected"),
        CommandStatus::INVESMCLASS => (StatusCode::BAD_REQUEST, "UDH field misformed, rejected"),
        CommandStatus::INVSCHED => (StatusCode::BAD_REQUEST, "Deferred field misformed, rejected"),
        CommandStatus::INVEXPIRY => (StatusCode::BAD_REQUEST, "Validity field misformed, rejected"),
        status::SUSPENDED => (StatusCode::FORBIDDEN, "Authorization failed for sendsms"),
        _ => (StatusCode::FORBIDDEN, NOT_ROUTABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_each_message_is_bounded() {
        let to = "+14155550123 ".repeat(RECIPIENTS_MAX);
        let base = [("to", to.as_str()), ("text", "hello"), ("dlr-mask", "31")];
        let with = |name, value: &str| {
            // The first of a name counts.
            let fields = [&[(name, value), ("dlr-url", "http://h/")], &base[..]].concat();
            read(&Asked::of(&fields), "acme").map_err(|Refused(status, text)| (status, text))
        };
        for (name, most, said) in FIELDS_MAX {
            let letter = if name == "charset" { " " } else { "x" };
            let refused = with(name, &letter.repeat(most + 1)).err();
            assert_eq!(refused, Some((StatusCode::BAD_REQUEST, said)), "{name}");
        }
        for (name, most) in [("account", 512), ("binfo", 512), ("smsc", 64), ("text", 8_192)] {
            let sent = with(name, &"x".repeat(most)).ok().unwrap();
            assert_eq!(sent.recipients.len(), RECIPIENTS_MAX, "{name}");
        }
        let report = with("account", &"x".repeat(512)).ok().unwrap().report.unwrap();
        assert_eq!(report.account.len(), 512);
    }

    #[test]
    fn codings_classes_and_indicators_make_a_data_coding() {
        let cases = [
            ((0, None, None, false), 0x00),
            ((1, None, None, false), 0x04),
            ((2, None, None, false), 0x08),
            ((0, Some(0), None, false), 0x10),
            ((2, Some(0), None, false), 0x18),
            ((1, Some(2), None, false), 0x16),
            ((0, Some(1), None, true), 0xF1),
            ((1, Some(3), None, true), 0xF7),
            ((0, None, Some(0), false), 0xD8),
            ((0, None, Some(4), false), 0xD0),
            ((2, Some(1), Some(7), false), 0xE3),
        ];
        for ((coding, mclass, mwi, alternative), wanted) in cases {
            assert_eq!(data_coding(coding, mclass, mwi, alternative), wanted, "{wanted:#x}");
        }
    }
}
