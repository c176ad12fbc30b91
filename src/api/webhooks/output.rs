//! How endpoints and deliveries look from outside.

use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use serde::Serialize;
use serde_json::Value;
use store::lane::DeliveryState;
use store::{AttemptRow, DeliveryRow, WebhookRow};
use utoipa::ToSchema;

use super::super::messages::id_of;

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookOut {
    #[schema(example = "wh_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "https://example.com/orbit")]
    url: String,
    #[schema(value_type = Vec<String>, example = json!(["message.*"]))]
    events: Value,
    description: Option<String>,
    active: bool,
    /// Why it is not active: `owner`, `gone` (it answered 410) or `failing` (for days).
    disabled_reason: Option<String>,
    disabled_at: Option<String>,
    /// Since when every request to it has failed.
    failing_since: Option<String>,
    created_at: String,
    /// With what its requests are signed. Shown when it is made or replaced, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub(super) signing_secret: Option<String>,
    /// Until then the secret before this one signs too.
    old_secret_expires_at: Option<String>,
}

/// One event for one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryOut {
    #[schema(example = "dlv_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    pub(super) id: String,
    /// Null: a callback of a single message.
    webhook_id: Option<String>,
    #[schema(example = "evt_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    event_id: Option<String>,
    #[schema(example = "message.delivered")]
    event_type: &'static str,
    message_id: Option<String>,
    /// `pending`, `delivered` or `dead_letter`.
    #[schema(example = "delivered")]
    outcome: &'static str,
    /// Of a dead letter: `attempts` (all were made), `expired` (too old), `gone` (410), or
    /// `event_gone` (the event is no longer kept).
    reason: Option<String>,
    /// Requests after the first.
    retries: i64,
    /// Of a pending one.
    next_attempt_at: Option<String>,
    updated_at: String,
    /// The requests made, in order.
    pub(super) attempts: Vec<AttemptOut>,
}

/// One request and its answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptOut {
    #[schema(example = 1)]
    attempt: i64,
    at: String,
    /// Null: there was no answer.
    #[schema(example = 200)]
    http_status: Option<i64>,
    /// Until the head of the answer.
    #[schema(example = 87)]
    response_time_ms: i64,
    /// Why there was no answer.
    error: Option<String>,
    #[schema(value_type = Object)]
    request_headers: Value,
    #[schema(value_type = Option<Object>)]
    response_headers: Option<Value>,
    /// The first 4 KiB.
    response_body: Option<String>,
}

/// What a replay did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayOut {
    /// Events that are sent again, with their ids and sequence as they were.
    pub(super) replayed: usize,
    /// There are more in the range: ask again with this `from`.
    pub(super) next_from: Option<String>,
}

impl From<WebhookRow> for WebhookOut {
    fn from(row: WebhookRow) -> Self {
        let old = row.old_secret_until.filter(|until| At(*until) > At::now());
        Self {
            id: id_of(Kind::Webhook, &row.public_id),
            url: row.url,
            events: serde_json::from_str(&row.events).unwrap_or_default(),
            description: row.description,
            active: row.disabled_at.is_none(),
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at.map(|at| At(at).iso()),
            failing_since: row.failing_since.map(|at| At(at).iso()),
            created_at: At(row.created_at).iso(),
            signing_secret: None,
            old_secret_expires_at: old.map(|until| At(until).iso()),
        }
    }
}

impl From<DeliveryRow> for DeliveryOut {
    fn from(row: DeliveryRow) -> Self {
        let kind = EventKind::from_code(row.kind).and_then(EventKind::public_type);
        let state = DeliveryState::from_code(row.state);
        let event = row.event_at.map(|at| PublicId::of_row(At(at), row.seq).show(Kind::Event));
        let waits = state == Some(DeliveryState::Pending);
        Self {
            id: id_of(Kind::Delivery, &row.public_id),
            webhook_id: (row.webhook_kind == 0)
                .then(|| id_of(Kind::Webhook, &row.webhook_public_id)),
            event_id: event,
            event_type: kind.unwrap_or("unknown"),
            message_id: row.message_id.map(|id| id_of(Kind::Message, &id)),
            outcome: match state {
                Some(DeliveryState::Delivered) => "delivered",
                Some(DeliveryState::Dead) => "dead_letter",
                Some(DeliveryState::Pending) | None => "pending",
            },
            reason: row.reason,
            retries: (row.attempts - 1).max(0),
            next_attempt_at: waits.then(|| At(row.due_at).iso()),
            updated_at: At(row.at).iso(),
            attempts: Vec::new(),
        }
    }
}

impl From<AttemptRow> for AttemptOut {
    fn from(row: AttemptRow) -> Self {
        let object = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            attempt: row.attempt,
            at: At(row.at).iso(),
            http_status: row.status,
            response_time_ms: row.elapsed_us / 1_000,
            error: row.error,
            request_headers: object(&row.request_headers),
            response_headers: row.response_headers.as_deref().map(object),
            response_body: row.response_body,
        }
    }
}
