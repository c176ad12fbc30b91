//! One attempt: the event read if need be, told as JSON, signed, posted, and judged.
//!
//! Run in a task of the endpoint's actor. It decides nothing about what comes after.

use std::sync::Arc;

use model::carrier::OrgId;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use store::lane::AttemptLog;
use store::{LoggedRow, WebhookRow};

use super::callback::Callback;
use super::queue::{Item, Verdict};
use super::sender::{Answer, headers_text};
use super::{Tools, delivery_id, is_callbacks, kinds_of, sign};
use crate::customer::envelope::Envelope;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const AGENT: HeaderValue = HeaderValue::from_static("Devotel-Webhooks/1.0");

/// An endpoint as its requests need it; made anew when it is changed.
#[derive(Debug)]
pub struct Endpoint {
    pub webhook: i64,
    pub id: PublicId,
    pub organization: OrgId,
    pub callbacks: bool,
    pub url: String,
    kinds: Vec<EventKind>,
    secret: String,
    old_secret: Option<(String, At)>,
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Attempt {
    pub seq: i64,
    pub verdict: Verdict,
    pub log: Option<AttemptLog>,
}

impl Endpoint {
    #[must_use]
    pub fn of(row: &WebhookRow) -> Self {
        let id = <[u8; 16]>::try_from(row.public_id.as_slice()).unwrap_or_default();
        Self {
            webhook: row.id,
            id: PublicId::from_bytes(id),
            organization: OrgId(row.organization_id),
            callbacks: is_callbacks(row),
            url: row.url.clone(),
            kinds: kinds_of(&row.events),
            secret: row.secret.clone(),
            old_secret: row.old_secret.clone().zip(row.old_secret_until.map(At)),
        }
    }

    /// Where an event goes, if it goes to this endpoint at all.
    #[must_use]
    pub fn url_for<'a>(&'a self, row: &'a LoggedRow) -> Option<&'a str> {
        let kind = EventKind::from_code(row.kind)?;
        kind.public_type()?;
        if self.callbacks {
            let url = row.webhook_url.as_deref()?;
            let wanted = Callback::parse(url).is_none_or(|one| one.request(row).is_some());
            return wanted.then_some(url);
        }
        let wanted = match kind {
            EventKind::WebhookTest => self.is_tested_by(row),
            _ => self.kinds.contains(&kind),
        };
        wanted.then_some(self.url.as_str())
    }

    /// A test event names the endpoint that is tested.
    fn is_tested_by(&self, row: &LoggedRow) -> bool {
        let detail = row.detail.as_deref().unwrap_or_default();
        let detail: serde_json::Value = serde_json::from_str(detail).unwrap_or_default();
        detail["webhook_id"].as_str() == Some(self.id.show(Kind::Webhook).as_str())
    }

    /// Scheme, host and port: what shares its health.
    #[must_use]
    pub fn target(&self, url: &str) -> String {
        if !self.callbacks {
            return String::new();
        }
        let callback = Callback::parse(url);
        let url = callback.as_ref().map_or(url, Callback::url);
        Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
    }

    /// The id of an event's delivery here: the same in every life of this program.
    #[must_use]
    pub fn delivery_id(&self, row: &LoggedRow) -> PublicId {
        delivery_id(self.id, At(row.at), row.seq)
    }

    /// The data of the event that tells that this endpoint is disabled.
    #[must_use]
    pub fn disabled_detail(&self, reason: &str) -> String {
        let id = self.id.show(Kind::Webhook);
        serde_json::json!({ "webhook_id": id, "url": self.url, "reason": reason }).to_string()
    }

    fn secrets(&self, now: At) -> Vec<&str> {
        let old = self.old_secret.as_ref().filter(|(_, until)| *until > now);
        std::iter::once(self.secret.as_str())
            .chain(old.map(|(secret, _)| secret.as_str()))
            .collect()
    }

    fn headers(&self, item: &Item, envelope: &Envelope, body: &str, now: At) -> HeaderMap {
        let at_s = now.micros() / 1_000_000;
        let secrets = self.secrets(now);
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(USER_AGENT, AGENT);
        let mut put = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("x-devotel-event-id", envelope.id.clone());
        put("x-devotel-event-type", envelope.kind.to_owned());
        put("x-devotel-delivery-id", item.id.0.to_string());
        put("x-devotel-attempt", (item.attempts + 1).to_string());
        put("x-devotel-signature", sign::devotel(&secrets, at_s, body.as_bytes()));
        put("webhook-id", envelope.id.clone());
        put("webhook-timestamp", at_s.to_string());
        put("webhook-signature", sign::standard(&secrets, &envelope.id, at_s, body.as_bytes()));
        if let Some(sequence) = envelope.sequence {
            put("webhook-sequence", sequence.to_string());
        }
        headers
    }
}

/// Makes one attempt.
pub async fn shoot(tools: &Tools, endpoint: &Arc<Endpoint>, item: Item) -> Attempt {
    let seq = item.seq;
    let without = |verdict| Attempt { seq, verdict, log: None };
    let row = match &item.row {
        Some(row) => row.clone(),
        None => match tools.store.logged(endpoint.organization, seq).await {
            Ok(Some(row)) => Arc::new(row),
            Ok(None) => return without(Verdict::Vanished),
            Err(error) => {
                tracing::warn!(%error, "an event cannot be read");
                return without(Verdict::Unread);
            }
        },
    };
    let url = if endpoint.callbacks { row.webhook_url.as_deref() } else { Some(&*endpoint.url) };
    let (Some(url), Some(envelope)) = (url, Envelope::of(&row)) else {
        return without(Verdict::Vanished);
    };
    let now = At::now();
    let callback = endpoint.callbacks.then(|| Callback::parse(url)).flatten();
    let (headers, answer, enough) = match &callback {
        None => {
            let body = envelope.to_json();
            let headers = endpoint.headers(&item, &envelope, &body, now);
            (headers.clone(), tools.sender.send(url, headers, Some(body)).await, true)
        }
        Some(callback) => {
            // Sent again with a whole range of events: what it does not tell is done.
            let Some(request) = callback.request(&row) else { return without(Verdict::Delivered) };
            let headers = plain_headers(request.form.is_some());
            let answer = tools.sender.send(&request.url, headers.clone(), request.form).await;
            let enough = callback.is_acknowledged(answer.body.as_deref().unwrap_or_default());
            (headers, answer, enough)
        }
    };
    let request_headers = headers_text(&headers);
    Attempt {
        seq,
        verdict: judge(&answer, enough),
        log: Some(AttemptLog {
            attempt: item.attempts + 1,
            at: now,
            elapsed_us: i64::try_from(answer.elapsed.as_micros()).unwrap_or(i64::MAX),
            status: answer.status.map(i64::from),
            error: answer.error,
            request_headers,
            response_headers: answer.headers,
            response_body: answer.body,
        }),
    }
}

/// What a callback in the words of another program says of itself.
fn plain_headers(form: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(USER_AGENT, AGENT);
    if form {
        headers.insert(CONTENT_TYPE, FORM);
    }
    headers
}

/// `enough`: the body of a success says what it must.
fn judge(answer: &Answer, enough: bool) -> Verdict {
    match answer.status {
        Some(410) => Verdict::Gone,
        _ if answer.is_success() && enough => Verdict::Delivered,
        _ => Verdict::Failed { retry_after: answer.retry_after },
    }
}
