//! An event as webhooks, streams and `/events` show it: the envelope, and its data by type.
//!
//! Pure: a line of the log in, JSON out. The same line gives the same octets each time, so that an
//! event that is delivered again is the same event.

use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use model::message::{Direction, Status};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::LoggedRow;

/// Data above this is replaced by what identifies it.
const DATA_MAX: usize = 256 * 1024;
/// What is kept of data that is too long.
const KEPT: &[&str] =
    &["id", "message_id", "call_id", "conversation_id", "contact_id", "campaign_id", "channel"];

/// One event, ready to be told.
#[derive(Clone, Debug, Serialize)]
pub struct Envelope {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub created_at: String,
    pub data: Value,
    /// Which event of its message or call this is, from 1; counts those that are history only, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Envelope {
    /// `None`: a line that is history only.
    #[must_use]
    pub fn of(row: &LoggedRow) -> Option<Self> {
        let kind = EventKind::from_code(row.kind)?;
        let name = kind.public_type()?;
        let data = if kind.is_of_message() { message_data(kind, row) } else { own_data(row) };
        let length = serde_json::to_string(&data).map_or(0, |text| text.len());
        let truncated = length > DATA_MAX;
        Some(Self {
            id: PublicId::of_row(At(row.at), row.seq).show(Kind::Event),
            kind: name,
            created_at: At(row.at).iso(),
            data: if truncated { cut(&data, length) } else { data },
            sequence: (kind.is_of_message() || kind.is_of_call()).then_some(row.sequence),
            truncated,
        })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn own_data(row: &LoggedRow) -> Value {
    let detail = row.detail.as_deref().and_then(|text| serde_json::from_str(text).ok());
    detail.unwrap_or_else(|| json!({}))
}

fn message_data(kind: EventKind, row: &LoggedRow) -> Value {
    let at = At(row.at).iso();
    let id = row.id.as_deref().and_then(|id| <[u8; 16]>::try_from(id).ok());
    let id = id.map(|id| PublicId::from_bytes(id).show(Kind::Message));
    let status = Status::from_code(row.status).map_or("queued", Status::as_str);
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| {
        data.insert(name.to_owned(), value);
    };
    put("message_id", json!(id));
    put("channel", json!("sms"));
    // A pool chooses when a message is sent: until then it has no sender.
    let outbound = row.direction == Some(Direction::Outbound.code());
    let from = row.from_addr.as_deref().filter(|from| !(outbound && from.is_empty()));
    put("from", json!(from));
    put("to", json!(row.to_addr));
    put("status", json!(status));
    put("test_mode", json!(row.test_mode == Some(1)));
    let metadata = || -> Value {
        let text = row.metadata.as_deref();
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
    };
    match kind {
        EventKind::Received | EventKind::Replied => {
            put("body", json!(row.body));
            put("media_urls", json!([]));
            put("conversation_id", Value::Null);
            put("contact_id", Value::Null);
            put("received_at", json!(at));
            for (name, value) in own_data(row).as_object().into_iter().flatten() {
                put(name, value.clone());
            }
        }
        EventKind::Created => {
            put("body", json!(row.body));
            put("segments", json!(row.segments));
            put("metadata", metadata());
            put("created_at", json!(row.created_at.map(|at| At(at).iso())));
        }
        EventKind::Sent => {
            put("external_id", json!(row.external_id));
            put("provider_id", json!(row.external_id));
            put("metadata", metadata());
            put("sent_at", json!(at));
        }
        EventKind::Delivered => {
            put("segments", json!(row.segments));
            put("metadata", metadata());
            put("delivered_at", json!(at));
        }
        EventKind::Cancelled => {
            put("metadata", metadata());
            put("cancelled_at", json!(at));
        }
        _ => {
            put("error_code", json!(row.error_code));
            put("error_message", json!(row.status_reason));
            put("carrier_error", json!(row.carrier_error));
            put("metadata", metadata());
            put("failed_at", json!(at));
        }
    }
    if outbound && let Some(batch) = row.batch_id.as_deref().and_then(|id| id.try_into().ok()) {
        put("batch_id", json!(PublicId::from_bytes(batch).show(Kind::Batch)));
    }
    Value::Object(data)
}

fn cut(data: &Value, length: usize) -> Value {
    let mut kept = Map::new();
    kept.insert(String::from("_truncated"), json!(true));
    kept.insert(String::from("_original_bytes"), json!(length));
    for name in KEPT {
        if let Some(value) = data.get(*name) {
            kept.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: EventKind) -> LoggedRow {
        LoggedRow {
            seq: 7,
            organization_id: 1,
            message_key: 3,
            kind: kind.code(),
            status: Status::Delivered.code(),
            at: 1_700_000_000_000_000,
            detail: None,
            sequence: 2,
            id: Some(vec![1; 16]),
            direction: Some(1),
            to_addr: Some(String::from("+14155550123")),
            from_addr: Some(String::from("Orbit")),
            body: Some(String::from("hello")),
            segments: Some(1),
            created_at: Some(1_700_000_000_000_000),
            test_mode: Some(0),
            metadata: Some(String::from("{\"order\":\"7\"}")),
            batch_id: None,
            external_id: Some(String::from("x1")),
            status_reason: None,
            error_code: None,
            carrier_error: None,
            webhook_url: None,
        }
    }

    #[test]
    fn a_line_is_told_in_the_same_words_each_time() {
        let first = Envelope::of(&row(EventKind::Delivered)).unwrap();
        assert_eq!(first.kind, "message.delivered");
        assert_eq!(first.sequence, Some(2));
        assert_eq!(first.data["to"], "+14155550123");
        assert_eq!(first.data["metadata"]["order"], "7");
        assert_eq!(first.data["delivered_at"], "2023-11-14T22:13:20.000Z");
        let again = Envelope::of(&row(EventKind::Delivered)).unwrap();
        assert_eq!(first.to_json(), again.to_json());
        assert!(Envelope::of(&row(EventKind::InDoubt)).is_none());
    }

    #[test]
    fn a_call_is_told_as_its_line_says_and_in_its_order() {
        let detail = Some(String::from("{\"call_id\":\"call_1\",\"status\":\"ringing\"}"));
        let line = LoggedRow { detail, id: None, ..row(EventKind::CallRinging) };
        let told = Envelope::of(&line).unwrap();
        assert_eq!((told.kind, told.sequence), ("call.ringing", Some(2)));
        assert_eq!(told.data, json!({"call_id": "call_1", "status": "ringing"}));
    }

    #[test]
    fn data_that_is_too_long_leaves_its_ids() {
        let long = LoggedRow { body: Some("x".repeat(DATA_MAX)), ..row(EventKind::Created) };
        let envelope = Envelope::of(&long).unwrap();
        assert!(envelope.truncated);
        assert_eq!(envelope.data["_truncated"], true);
        assert_eq!(envelope.data["channel"], "sms");
        assert!(envelope.data.get("body").is_none());
        assert!(envelope.to_json().contains("\"truncated\":true"));
    }
}
