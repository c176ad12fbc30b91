//! What a request says, wherever it stands: query, form, JSON, or headers with a text.
//!
//! Values are octets, since their alphabet is one of the fields. Bounded by the limits of the head
//! and the body. `Debug` is absent on purpose: a password is among the fields.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use serde_json::{Map, Value};

use super::super::App;
use super::super::body::gather;
use super::super::error::ApiError;

/// More fields than any of these interfaces has.
const FIELDS_MAX: usize = 100;

/// A request of a compatible interface.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) address: IpAddr,
    pub(super) headers: HeaderMap,
    fields: Vec<(String, Vec<u8>)>,
    /// A body that is no form and no JSON.
    pub(super) body: Option<Vec<u8>>,
}

impl FromRequest<App> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let mut fields = Vec::new();
        pairs(request.uri().query().unwrap_or_default().as_bytes(), &mut fields);
        let (parts, body) = request.into_parts();
        let patience = Duration::from_secs(app.http.request_timeout_s);
        let gathered = gather(body, app.http.body_limit_bytes);
        let body = tokio::time::timeout(patience, gathered).await;
        let body = body.unwrap_or_else(|_| Err(ApiError::unreadable("the body is late")))?;
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let mut rest = None;
        match kind.to_ascii_lowercase().as_str() {
            _ if body.is_empty() => {}
            "application/x-www-form-urlencoded" => pairs(&body, &mut fields),
            "application/json" => object(&body, &mut fields),
            _ => rest = Some(body.to_vec()),
        }
        fields.truncate(FIELDS_MAX);
        let (method, headers) = (parts.method, parts.headers);
        Ok(Self { method, address, headers, fields, body: rest })
    }
}

impl Asked {
    #[cfg(test)]
    pub(super) fn of(fields: &[(&str, &str)]) -> Self {
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        Self {
            method: Method::POST,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers: HeaderMap::new(),
            fields: fields.iter().map(field).collect(),
            body: None,
        }
    }

    /// The first value of a field.
    pub(super) fn octets(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The same as text; what is no UTF-8 has signs of replacement.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.octets(name).map(|octets| String::from_utf8_lossy(octets).into_owned())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn add(&mut self, name: &str, value: Vec<u8>) {
        self.fields.push((name.to_owned(), value));
    }
}

/// The fields of a form, decoded.
fn pairs(text: &[u8], out: &mut Vec<(String, Vec<u8>)>) {
    for pair in text.split(|octet| *octet == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|octet| *octet == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        if out.len() > FIELDS_MAX {
            return;
        }
        out.push((String::from_utf8_lossy(&decoded(name)).into_owned(), decoded(value)));
    }
}

/// The fields of a JSON object; what is no value of a form is left out.
fn object(body: &[u8], out: &mut Vec<(String, Vec<u8>)>) {
    let object: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    for (name, value) in object {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        out.push((name, text.into_bytes()));
    }
}

/// `+` is a blank and `%` begins two hex digits; anything else is itself.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let digit = |at: usize| rest.get(at).and_then(|octet| char::from(*octet).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).unwrap_or(b'?'));
                rest = &rest[2..];
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(*other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_octet_for_octet() {
        let mut fields = Vec::new();
        pairs(b"a=1&b=%05%00%FF&&c&d=x+y%20z%2&a=2&%C3%A9=e=f", &mut fields);
        let wanted: [(&str, &[u8]); 6] = [
            ("a", b"1"),
            ("b", &[5, 0, 255]),
            ("c", b""),
            ("d", b"x y z%2"),
            ("a", b"2"),
            ("\u{e9}", b"e=f"),
        ];
        let wanted: Vec<_> = wanted.map(|(n, v)| (n.to_owned(), v.to_vec())).to_vec();
        assert_eq!(fields, wanted);
        let mut many = Vec::new();
        pairs("x=1&".repeat(5_000).as_bytes(), &mut many);
        assert!(many.len() <= FIELDS_MAX + 1);
    }

    #[test]
    fn json_gives_the_same_fields() {
        let mut fields = Vec::new();
        object(br#"{"to": "1", "coding": 8, "dlr": true}"#, &mut fields);
        fields.sort();
        let text = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(fields, [text("coding", "8"), text("dlr", "true"), text("to", "1")]);
        object(b"[1]", &mut fields);
        assert_eq!(fields.len(), 3);
    }
}
