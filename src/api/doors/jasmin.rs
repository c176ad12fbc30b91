//! Jasmin's HTTP API: `/send`, `/ping`, `/balance` and `/rate`, with its replies.
//!
//! GET with a query; POST with a form or JSON. The id in `Success "…"` is the message's id of the
//! REST API without its prefix, written as a UUID.

use std::sync::Arc;

use actors::customer::webhook::callback::{Callback, Jasmin, Level, Method as Way};
use actors::smpp::server::accounts::Account;
use actors::smpp::server::{front, status};
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use model::clock::At;
use model::money::Micros;
use proto_smpp::{Address, CommandId, CommandStatus, Message, Time};
use serde_json::{Value, json};

use super::super::App;
use super::asked::Asked;
use super::{account, callable, in_minutes, say, submit, with_status, words};

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// A request without any field.
const NOTHING: &str = "Mandatory arguments not found, please refer to the HTTPAPI specifications.";
const CODINGS: [&str; 13] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "13", "14"];
const SEND: &[&str] = &[
    "to",
    "from",
    "coding",
    "username",
    "password",
    "priority",
    "sdt",
    "validity-period",
    "dlr",
    "dlr-url",
    "dlr-level",
    "dlr-method",
    "tags",
    "content",
    "hex-content",
    "custom_tlvs",
];
const RATE: &[&str] = &[
    "to",
    "from",
    "coding",
    "username",
    "password",
    "priority",
    "validity-period",
    "tags",
    "content",
    "hex-content",
];
const WHO: &[&str] = &["username", "password"];
/// Minutes in 35 days.
const MINUTES_MAX: u64 = 50_400;
/// Octets of all tags: they are stored with the message.
const TAGS_MAX: usize = 512;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/send", get(send).post(send))
        .route("/rate", get(rate))
        .route("/balance", get(balance))
        .route("/ping", get(async || ([("content-type", TEXT)], "Jasmin/PONG")))
}

/// What a request is answered that is refused.
struct Refused {
    code: StatusCode,
    text: String,
    status: Option<CommandStatus>,
}

impl Refused {
    fn bad(text: impl Into<String>) -> Self {
        Self { code: StatusCode::BAD_REQUEST, text: text.into(), status: None }
    }

    /// A refusal of the switch in Jasmin's words, where it has any.
    fn of(status: CommandStatus, asked: &Asked) -> Self {
        let named = |name: &str| {
            let value = asked.text(name).unwrap_or_default();
            (StatusCode::BAD_REQUEST, format!("Argument [{name}] has an invalid value: [{value}]."))
        };
        let (code, text) = match status {
            CommandStatus::INVDSTADR | CommandStatus::INVDSTTON => named("to"),
            CommandStatus::INVSRCADR => named("from"),
            CommandStatus::INVSCHED => named("sdt"),
            CommandStatus::INVEXPIRY => named("validity-period"),
            CommandStatus::THROTTLED => {
                (StatusCode::FORBIDDEN, String::from("User throughput exceeded"))
            }
            status::NO_CREDIT => (StatusCode::FORBIDDEN, String::from("Not enough balance")),
            status::NO_ROUTE => (StatusCode::PRECONDITION_FAILED, String::from("No route found")),
            CommandStatus::MSGQFUL | CommandStatus::SYSERR => {
                let text = "Cannot send submit_sm, check SMPPClientManagerPB log file for details";
                (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
            }
            status::OPTED_OUT => (StatusCode::BAD_REQUEST, refused("the recipient has opted out")),
            status::CAPPED => (StatusCode::BAD_REQUEST, refused("a frequency cap is reached")),
            status::NOT_ALLOWED => {
                (StatusCode::BAD_REQUEST, refused("the destination is not allowed"))
            }
            status::SPENT => {
                (StatusCode::FORBIDDEN, refused("the day's spending limit is reached"))
            }
            status::GATED => (StatusCode::BAD_REQUEST, refused("not allowed by a policy")),
            status::BLOCKED => (StatusCode::BAD_REQUEST, refused("a rule forbids it")),
            status::SUSPENDED => (StatusCode::FORBIDDEN, refused("the account may not send")),
            other => (StatusCode::BAD_REQUEST, refused(other.about())),
        };
        Self { code, text, status: Some(status) }
    }

    fn said(self, kind: &'static str, text: String) -> Response {
        let response = say(self.code, kind, text);
        match self.status {
            Some(status) => with_status(response, status),
            None => response,
        }
    }

    /// As `/send` says it.
    fn quoted(self) -> Response {
        let text = format!("Error \"{}\"", self.text);
        self.said(TEXT, text)
    }

    /// As the others say it.
    fn json(self) -> Response {
        let text = json!(self.text).to_string();
        self.said(JSON, text)
    }
}

fn refused(why: &str) -> String {
    format!("Message refused: {why}")
}

async fn send(State(app): State<App>, asked: Asked) -> Response {
    if asked.method == Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match sent(&app, &asked).await {
        Ok(id) => say(StatusCode::OK, TEXT, format!("Success \"{id}\"")),
        Err(refused) => refused.quoted(),
    }
}

async fn sent(app: &App, asked: &Asked) -> Result<String, Refused> {
    check(asked, SEND, &["to", "username", "password"])?;
    let content = (asked.octets("content"), asked.octets("hex-content"));
    match content {
        (None, None) => return Err(Refused::bad("content or hex-content not present.")),
        (Some(_), Some(_)) => return Err(both()),
        _ => {}
    }
    if asked.octets("custom_tlvs").is_some() {
        return Err(Refused::bad("Argument [custom_tlvs] is not served here."));
    }
    let account = known(app, asked)?;
    let message = message(asked)?;
    let callback = callback(asked);
    if let Some(callback) = &callback
        && !callable(app, &account, callback.url()).await
    {
        return Err(invalid(asked, "dlr-url"));
    }
    let tags = asked.text("tags").filter(|tags| !tags.is_empty());
    let metadata = tags.map(|tags| {
        let tags: Vec<&str> = tags.split(',').filter(|tag| !tag.is_empty()).collect();
        json!({ "tags": tags }).to_string()
    });
    let recipients = vec![(destination(asked), callback)];
    let outcomes = submit(app, &account, message, recipients, metadata).await;
    match outcomes.first() {
        Some(Ok(taken)) => Ok(taken.id.0.to_string()),
        Some(Err(status)) => Err(Refused::of(*status, asked)),
        None => Err(Refused::of(CommandStatus::SYSERR, asked)),
    }
}

async fn rate(State(app): State<App>, asked: Asked) -> Response {
    let rated = async {
        check(&asked, RATE, &["to", "username", "password"])?;
        if asked.octets("content").is_some() && asked.octets("hex-content").is_some() {
            return Err(both());
        }
        let account = known(&app, &asked)?;
        let mut message = message(&asked)?;
        if message.short_message.is_empty() {
            message.short_message = b"?".to_vec();
        }
        let (to, now) = (destination(&asked), At::now());
        let priced = front::estimate(&app.admission, &account, &message, &to, now);
        let priced = priced.map_err(|status| Refused::of(status, &asked))?;
        let unit = dollars(priced.unit_price);
        Ok::<Value, Refused>(json!({ "unit_rate": unit, "submit_sm_count": priced.segments }))
    };
    match rated.await {
        Ok(value) => say(StatusCode::OK, JSON, value.to_string()),
        Err(refused) => refused.json(),
    }
}

async fn balance(State(app): State<App>, asked: Asked) -> Response {
    let read = async {
        check(&asked, WHO, WHO)?;
        let account = known(&app, &asked)?;
        let wallet = app.store.wallet(account.organization).await.ok().flatten();
        let wallet = wallet.ok_or_else(|| Refused::of(CommandStatus::SYSERR, &asked))?;
        // Messages are not counted here: money alone is.
        let balance = dollars(Micros(wallet.available));
        Ok::<Value, Refused>(json!({ "balance": balance, "sms_count": "ND" }))
    };
    match read.await {
        Ok(value) => say(StatusCode::OK, JSON, value.to_string()),
        Err(refused) => refused.json(),
    }
}

/// In dollars as a number of JSON, exact to the millionth as long as a double is.
fn dollars(amount: Micros) -> Value {
    let text = format!(
        "{}{}.{:06}",
        if amount.0 < 0 { "-" } else { "" },
        amount.0.unsigned_abs() / 1_000_000,
        amount.0.unsigned_abs() % 1_000_000
    );
    text.parse::<f64>().map_or(Value::Null, |number| json!(number))
}

fn known(app: &App, asked: &Asked) -> Result<Arc<Account>, Refused> {
    let name = asked.text("username").unwrap_or_default();
    let password = asked.text("password").unwrap_or_default();
    account(app, asked, &name, &password).ok_or_else(|| Refused {
        code: StatusCode::FORBIDDEN,
        text: format!("Authentication failure for username:{name}"),
        status: None,
    })
}

fn both() -> Refused {
    Refused::bad("content and hex-content cannot be used both in same request.")
}

/// A password is not said back.
fn invalid(asked: &Asked, name: &str) -> Refused {
    let value = asked.text(name).filter(|_| name != "password").unwrap_or_default();
    Refused::bad(format!("Argument [{name}] has an invalid value: [{value}]."))
}

/// Only known fields, each as it must be, and none missing.
fn check(asked: &Asked, known: &[&str], needed: &[&str]) -> Result<(), Refused> {
    if asked.names().next().is_none() {
        return Err(Refused::bad(NOTHING));
    }
    if let Some(name) = asked.names().find(|name| !known.contains(name)) {
        return Err(Refused::bad(format!("Argument [{name}] is unknown.")));
    }
    for name in known {
        match asked.text(name) {
            Some(value) if !fits(name, &value) => return Err(invalid(asked, name)),
            None if needed.contains(name) => {
                return Err(Refused::bad(format!("Mandatory argument [{name}] is not found.")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn fits(name: &str, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match name {
        "to" => digits(value.strip_prefix('+').unwrap_or(value)),
        "coding" => CODINGS.contains(&value),
        "username" | "password" => (1..=64).contains(&value.len()),
        "priority" => matches!(value, "0" | "1" | "2" | "3"),
        "sdt" => Time::parse(value.as_bytes()).is_some(),
        "validity-period" => value.parse::<u64>().is_ok_and(|n| n > 0) && digits(value),
        "dlr" => matches!(value, "yes" | "no"),
        "dlr-url" => value.starts_with("http://") || value.starts_with("https://"),
        "dlr-level" => matches!(value, "1" | "2" | "3"),
        "dlr-method" => value.eq_ignore_ascii_case("get") || value.eq_ignore_ascii_case("post"),
        "tags" => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b',';
            value.len() <= TAGS_MAX && value.bytes().all(plain)
        }
        _ => true,
    }
}

/// With or without `+`, as Jasmin takes it.
fn destination(asked: &Asked) -> Address {
    Address::new(0, 0, asked.text("to").unwrap_or_default())
}

fn message(asked: &Asked) -> Result<Message, Refused> {
    let text = |name: &str| asked.text(name).unwrap_or_default();
    let coding = text("coding").parse::<u8>().unwrap_or(0);
    let source = Address::new(0, 0, text("from"));
    let mut message = Message::new(CommandId::SUBMIT_SM, source, Address::default());
    message.data_coding = coding;
    message.priority = text("priority").parse().unwrap_or(0);
    message.schedule = text("sdt").into_bytes();
    let minutes = text("validity-period").parse::<u64>().ok();
    message.validity = minutes.map_or(Vec::new(), |n| in_minutes(n.min(MINUTES_MAX)));
    message.short_message = match (asked.octets("hex-content"), asked.octets("content")) {
        (Some(hex), _) => words::unhex(hex).ok_or_else(|| invalid(asked, "hex-content"))?,
        (None, Some(content)) if coding == 0 => words::to_gsm(&String::from_utf8_lossy(content)),
        // Octets of the coding that is named, as they are.
        (None, content) => content.unwrap_or_default().to_vec(),
    };
    Ok(message)
}

/// Without a URL nothing is told, whatever else is asked for.
fn callback(asked: &Asked) -> Option<Callback> {
    let url = asked.text("dlr-url")?;
    let level = match asked.text("dlr-level").as_deref() {
        Some("2") => Level::Terminal,
        Some("3") => Level::Both,
        _ => Level::Smsc,
    };
    let get = asked.text("dlr-method").is_some_and(|method| method.eq_ignore_ascii_case("get"));
    let method = if get { Way::Get } else { Way::Post };
    Some(Callback::Jasmin(Jasmin { url, level, method }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_dollars() {
        assert_eq!(dollars(Micros(7_900)).to_string(), "0.0079");
        assert_eq!(dollars(Micros(10_000_000)).to_string(), "10.0");
        assert_eq!(dollars(Micros(-1)).to_string(), "-1e-6");
    }

    #[test]
    fn fields_are_looked_at_as_jasmin_does() {
        for (name, good, bad) in [
            ("to", "+14155550123", "1415x"),
            ("coding", "14", "11"),
            ("priority", "3", "4"),
            ("sdt", "000000000100000R", "tomorrow"),
            ("validity-period", "1440", "-1"),
            ("dlr", "yes", "maybe"),
            ("dlr-url", "http://h/", "ftp://h/"),
            ("dlr-level", "1", "4"),
            ("dlr-method", "get", "PUT"),
            ("tags", "a-1,b", "a b"),
            ("tags", &"t".repeat(TAGS_MAX), &"t".repeat(TAGS_MAX + 1)),
        ] {
            assert!(fits(name, good), "{name} {good}");
            assert!(!fits(name, bad), "{name} {bad}");
        }
    }
}
