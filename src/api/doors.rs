//! The interfaces of other gateways, so that their users move in without a change of theirs.
//!
//! kannel ─ `/cgi-bin/sendsms` · jasmin ─ `/send`, `/ping`, `/balance`, `/rate`
//! asked ─ a request's fields, wherever they stand · words ─ texts and their alphabets
//!
//! Off unless the settings say so, on the HTTP port or on ports of their own. Users are the SMPP
//! accounts: same names, passwords, lockout and addresses. What is sent goes the way of a submit_sm
//! of that account, and is answered after the commit in the words of the program that is stood in
//! for. Not part of the documented API. A password in a query reaches no log.

mod asked;
mod jasmin;
mod kannel;
mod words;

use std::sync::Arc;

use actors::customer::webhook::callback::Callback;
use actors::smpp::server::accounts::Account;
use actors::smpp::server::front::{self, Offer, Recipient, Taken, Way};
use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use metrics::counter;
use model::clock::At;
use proto_smpp::{Address, CommandStatus, Message};
use tokio::time::Instant;

use super::App;
use super::frame;
use super::webhooks;
use crate::settings::Compatibility;
use asked::Asked;

/// Says more of a refusal than the other program's words: the status that SMPP would answer.
const STATUS: HeaderName = HeaderName::from_static("x-orbit-status");
/// Recipients of one request.
const RECIPIENTS_MAX: usize = 1_000;
/// Characters of a callback's URL; filled, it may be half as long again.
const URL_MAX: usize = 1_500;

/// What the settings put on the HTTP port.
pub(super) fn routes(compatibility: &Compatibility) -> Router<App> {
    let mut routes = Router::new();
    if compatibility.kannel && compatibility.kannel_bind.is_none() {
        routes = routes.merge(kannel::routes());
    }
    if compatibility.jasmin && compatibility.jasmin_bind.is_none() {
        routes = routes.merge(jasmin::routes());
    }
    routes
}

/// Kannel's interface on a port of its own.
pub fn kannel_router(app: App) -> Router {
    alone(app, kannel::routes())
}

/// Jasmin's interface on a port of its own.
pub fn jasmin_router(app: App) -> Router {
    alone(app, jasmin::routes())
}

fn alone(app: App, routes: Router<App>) -> Router {
    let routes = routes.with_state(app.clone());
    routes.layer(from_fn_with_state(app, frame::frame))
}

/// Whose request it is. A refusal says nothing about which part was wrong.
fn account(app: &App, asked: &Asked, name: &str, password: &str) -> Option<Arc<Account>> {
    let now = Instant::now().into_std();
    app.accounts.verify(name, password, asked.address, now).ok()
}

/// Has one text stored for each recipient, with its callback.
async fn submit(
    app: &App,
    account: &Arc<Account>,
    message: Message,
    recipients: Vec<(Address, Option<Callback>)>,
    metadata: Option<String>,
) -> Vec<Result<Taken, CommandStatus>> {
    let way = Way { admission: &app.admission, writer: &app.writer };
    let recipient = |(address, callback): (Address, Option<Callback>)| Recipient {
        address,
        callback: callback.as_ref().map(Callback::to_text),
    };
    let recipients = recipients.into_iter().map(recipient).collect();
    let offer = Offer { message, recipients, metadata };
    let now = At::now();
    let outcomes = front::submit(way, account, &offer, now).await;
    for outcome in &outcomes {
        let said = if outcome.is_ok() { "accepted" } else { "refused" };
        let account = account.system_id.clone();
        counter!("orbit_front_submits_total", "account" => account, "outcome" => said).increment(1);
        if outcome.is_ok() {
            app.meters.accepted(now);
        }
    }
    outcomes
}

/// Whether a callback may go there; makes what calls it.
async fn callable(app: &App, account: &Account, url: &str) -> bool {
    url.len() <= URL_MAX && webhooks::ready(app, account.organization, Some(url)).await.is_ok()
}

/// A text as the body, in the words of the program that is stood in for.
fn say(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The same with the SMPP status behind it.
fn with_status(mut response: Response, status: CommandStatus) -> Response {
    if let Ok(value) = HeaderValue::try_from(format!("0x{:03X}", status.0)) {
        response.headers_mut().insert(STATUS, value);
    }
    response
}

/// So many minutes from now, as a PDU says it (SMPP 3.4 §7.1.1.2).
fn in_minutes(minutes: u64) -> Vec<u8> {
    let (days, hours, rest) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    format!("0000{:02}{hours:02}{rest:02}00000R", days.min(99)).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto_smpp::Time;

    use super::*;

    #[test]
    fn minutes_are_written_as_a_pdu_has_them() {
        for minutes in [1, 59, 60, 1_439, 1_440, 50_000] {
            let wanted = Some(Time::In(Duration::from_secs(minutes * 60)));
            assert_eq!(Time::parse(&in_minutes(minutes)), wanted, "{minutes}");
        }
        assert_eq!(in_minutes(u64::MAX).len(), 16);
    }
}
