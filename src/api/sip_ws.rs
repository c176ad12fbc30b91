//! `GET /ws`: SIP over WebSocket (RFC 7118), for telephones in browsers.
//!
//! The upgrade asks for the subprotocol `sip`. A page of another site may not open it, unless the settings
//! name its origin. What is said over it goes the way of every other SIP connection; here are only frames.

use std::net::SocketAddr;

use actors::sip::transport::web::{SUBPROTOCOL, Web};
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::time::timeout;

use super::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/ws", get(upgrade))
}

async fn upgrade(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    let refused = |status: StatusCode, why: &'static str| (status, why).into_response();
    if !speaks_sip(&headers) {
        return refused(StatusCode::BAD_REQUEST, "the subprotocol is sip\n");
    }
    if !is_welcome(&headers, &app.sip.origins) {
        return refused(StatusCode::FORBIDDEN, "this origin is not in sip.allowed_origins\n");
    }
    let Some(wire) = app.sip.handle.wire() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "SIP is not served\n");
    };
    let Some(places) = wire.let_in(peer) else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many connections\n");
    };
    let most = wire.limits().message.message;
    let secure = app.http.tls_cert.is_some();
    let socket = socket.protocols([SUBPROTOCOL]).max_message_size(most).max_frame_size(most);
    socket.on_upgrade(move |socket| async move {
        let web = Web::open(&wire, peer, secure, places);
        speak(socket, web).await;
    })
}

fn speaks_sip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut names = offered.filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    names.any(|name| name.trim() == SUBPROTOCOL)
}

/// No browser, a page of this very host, or one of an origin that is allowed.
fn is_welcome(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|one| one == "*" || one.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    own.zip(host).is_some_and(|(own, host)| own.eq_ignore_ascii_case(host))
}

async fn speak(mut socket: WebSocket, mut web: Web) {
    let (idle, patience) = web.patience();
    loop {
        let turn = async {
            tokio::select! {
                frame = socket.recv() => Turn::Heard(frame.and_then(Result::ok)),
                octets = web.next() => Turn::Say(octets),
            }
        };
        match timeout(idle, turn).await {
            Ok(Turn::Heard(Some(Message::Text(text)))) => web.heard(text.into()),
            Ok(Turn::Heard(Some(Message::Binary(octets)))) => web.heard(octets),
            Ok(Turn::Heard(Some(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Turn::Heard(Some(Message::Close(_)) | None) | Turn::Say(None)) => return,
            Ok(Turn::Say(Some(octets))) => {
                if !matches!(timeout(patience, socket.send(frame(octets))).await, Ok(Ok(()))) {
                    return;
                }
            }
            Err(_) if web.is_held() => {}
            Err(_) => return,
        }
    }
}

enum Turn {
    Heard(Option<Message>),
    Say(Option<Bytes>),
}

/// Text where it is text, RFC 7118 §5.2.
fn frame(octets: Bytes) -> Message {
    match Utf8Bytes::try_from(octets.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(octets),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(HeaderName, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn pages_of_other_sites_are_not_welcome_unless_they_are_named() {
        let from =
            |origin| headers(&[(header::HOST, "sip.example.com:8080"), (header::ORIGIN, origin)]);
        assert!(is_welcome(&headers(&[(header::HOST, "h")]), &[]), "no browser");
        assert!(is_welcome(&from("https://SIP.example.com:8080"), &[]));
        let named = [String::from("https://phone.example.org")];
        for (origin, welcome) in [
            ("https://phone.example.org", true),
            ("https://evil.example", false),
            ("https://sip.example.com:8080.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(is_welcome(&from(origin), &named), welcome, "{origin}");
        }
        assert!(is_welcome(&from("https://evil.example"), &[String::from("*")]));
    }

    #[test]
    fn the_subprotocol_is_one_of_those_that_are_offered() {
        let offer = |names| headers(&[(header::SEC_WEBSOCKET_PROTOCOL, names)]);
        assert!(speaks_sip(&offer("chat, sip")));
        assert!(!speaks_sip(&offer("sips")));
        assert!(!speaks_sip(&headers(&[])));
    }
}
