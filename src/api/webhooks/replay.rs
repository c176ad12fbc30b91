//! Sending again: one delivery, one dead letter, or the events of a range.
//!
//! An event that is sent again is the same event: its id and its sequence stay.

use std::time::Duration;

use actors::customer::webhook::{delivery_id, is_callbacks, kinds_of};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::clock::At;
use model::event::EventKind;
use model::id::{Kind, PublicId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::lane::{DeliveryState, ReplayEvent, WebhookChange};
use store::{LogRange, LoggedEvent, WebhookRow};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeWebhooks};
use super::super::body::{self, Field, Raw, missing, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::output::ReplayOut;

/// Events that one request sends again.
const EVENTS_MAX: usize = 1_000;

/// Which events: those of a time, or those named.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T06:00:00Z"}))]
pub(crate) struct ReplayIn {
    /// ISO 8601; events from this moment on.
    from: Option<String>,
    /// ISO 8601; events before this moment, or until now.
    to: Option<String>,
    /// `evt_…`, at most 1000; instead of a time.
    #[schema(value_type = Option<Vec<String>>)]
    event_ids: Option<Vec<Value>>,
}

const FIELDS: &[Field] = &[
    Field::optional("from", body::Kind::Text),
    Field::optional("to", body::Kind::Text),
    Field::optional("event_ids", body::Kind::List),
];

/// Sends one event to its endpoint again, whatever became of it before.
#[utoipa::path(
    post, path = "/webhooks/deliveries/{id}/replay", operation_id = "replay_delivery",
    tag = "webhooks",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses(
        (status = 202, description = "On its way", body = Envelope<ReplayOut>),
        (status = 404, description = "There is none of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delivery(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    one(&app, &caller, &id, None).await
}

/// Sends a dead letter again, with all its attempts before it.
#[utoipa::path(
    post, path = "/webhooks/dead-letters/{id}/replay", operation_id = "replay_dead_letter",
    tag = "webhooks",
    params(("id" = String, Path, description = "`dlv_…`")),
    responses(
        (status = 202, description = "On its way", body = Envelope<ReplayOut>),
        (status = 404, description = "There is no dead letter of this id", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn dead_letter(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    one(&app, &caller, &id, Some(DeliveryState::Dead)).await
}

async fn one(
    app: &App,
    caller: &Caller<ChangeWebhooks>,
    id: &str,
    state: Option<DeliveryState>,
) -> Result<Response, ApiError> {
    let id = PublicId::parse(Kind::Delivery, id).ok_or_else(super::not_found)?;
    let row = app.store.delivery(caller.organization, id).await?;
    let row = row.filter(|row| state.is_none_or(|state| state.code() == row.state));
    let row = row.ok_or_else(super::not_found)?;
    let (seq, message_key, kind) = (row.seq, row.message_key, row.kind);
    let events = vec![ReplayEvent { id, seq, message_key, kind }];
    send_again(app, caller, row.webhook_id, events, None).await
}

/// Sends again what happened in a time, oldest first, or the events named. Of these, only what
/// the endpoint asks for.
#[utoipa::path(
    post, path = "/webhooks/{id}/replay", operation_id = "replay_webhook", tag = "webhooks",
    params(("id" = String, Path, description = "`wh_…`, or `callbacks`")),
    request_body = ReplayIn,
    responses(
        (status = 202, description = "At most 1000 are on their way", body = Envelope<ReplayOut>),
        (status = 404, description = "There is no endpoint of this id", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn range(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let row = super::find_any(&app, caller.organization, &id).await?;
    let input: ReplayIn = body::parse(&raw, FIELDS)?;
    let now = caller.call.at();
    let found = match &input.event_ids {
        Some(ids) => named(&app, &caller, &row, ids).await?,
        None => {
            let from = moment("from", input.from.as_deref())?.ok_or_else(|| missing("from"))?;
            let to = moment("to", input.to.as_deref())?.unwrap_or(now);
            let range = LogRange { from, to, callbacks: is_callbacks(&row) };
            let most = EVENTS_MAX as i64 + 1;
            let kinds = kinds_of(&row.events);
            app.store.log_range(caller.organization, &kinds, range, most).await?
        }
    };
    let next_from = found.get(EVENTS_MAX).map(|event| At(event.at).iso());
    let event = |event: &LoggedEvent| replayed(&row, event);
    let events = found.iter().take(EVENTS_MAX).filter_map(event).collect();
    send_again(&app, &caller, row.id, events, next_from).await
}

fn replayed(row: &WebhookRow, event: &LoggedEvent) -> Option<ReplayEvent> {
    let webhook = <[u8; 16]>::try_from(row.public_id.as_slice()).ok()?;
    Some(ReplayEvent {
        id: delivery_id(PublicId::from_bytes(webhook), At(event.at), event.seq),
        seq: event.seq,
        message_key: event.message_key,
        kind: event.kind,
    })
}

fn moment(field: &'static str, text: Option<&str>) -> Result<Option<At>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let fault = || wrong(field, json!(text)).expected("a moment such as 2026-01-01T00:00:00Z");
    At::parse(text).map(Some).ok_or_else(fault)
}

/// The events of these ids. One that is not the organization's, or that the endpoint does not ask
/// for, is refused by name.
async fn named(
    app: &App,
    caller: &Caller<ChangeWebhooks>,
    row: &WebhookRow,
    ids: &[Value],
) -> Result<Vec<LoggedEvent>, ApiError> {
    if !(1..=EVENTS_MAX).contains(&ids.len()) {
        return Err(wrong("event_ids", json!(ids.len())).expected("1 to 1000 ids").into());
    }
    let kinds = kinds_of(&row.events);
    let mut events = Vec::with_capacity(ids.len());
    for value in ids {
        let unknown = || wrong("event_ids", value.clone()).expected("events this webhook asks for");
        let id = value.as_str().and_then(|id| PublicId::parse(Kind::Event, id));
        let id = id.ok_or_else(unknown)?;
        let found = app.store.logged_event(caller.organization, id.row_number()).await?;
        let asked = |event: &LoggedEvent| {
            let kind = EventKind::from_code(event.kind);
            PublicId::of_row(At(event.at), event.seq) == id
                && kind.is_some_and(|kind| kinds.contains(&kind))
                && (!is_callbacks(row) || event.is_callback == 1)
        };
        events.push(found.filter(asked).ok_or_else(unknown)?);
    }
    events.sort_unstable_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    Ok(events)
}

async fn send_again(
    app: &App,
    caller: &Caller<ChangeWebhooks>,
    webhook: i64,
    events: Vec<ReplayEvent>,
    next_from: Option<String>,
) -> Result<Response, ApiError> {
    let out = ReplayOut { replayed: events.len(), next_from };
    if !events.is_empty() {
        let patience = Duration::from_secs(app.webhooks.settings.expire_h * 3_600);
        let expires_at = caller.call.at().plus(patience);
        let organization = caller.organization;
        let change = WebhookChange::Replay { organization, webhook, events, expires_at };
        super::store(app, change).await?;
        app.customers.refresh(webhook);
    }
    caller.call.answer(StatusCode::ACCEPTED, out)
}
