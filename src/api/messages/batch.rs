//! `POST /messages/batch`: one text to many recipients, as one item of the accept batch: what
//! passes the checks is stored and paid for together, or not at all.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Refusal};
use model::submission::{NewMessage, Submission};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::MessageRow;
use store::lane::Accepted;
use utoipa::ToSchema;

use actors::traffic::admission::SendRequest;

use super::super::App;
use super::super::auth::{Caller, SendBatch};
use super::super::body::{self, Field, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::{idempotency, webhooks};
use super::input::{
    CATEGORIES, CategoryIn, EncodingIn, check_metadata, metadata_text, text, unsupported,
};
use super::output::id_of;
use super::send::{check, check_channel, replayed};

const RECIPIENTS_MAX: usize = 1_000;
const ROUTE: &str = "POST /messages/batch";

/// One text for many.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"channel": "sms", "body": "Hello",
    "recipients": [{"to": "+15005550002"}, {"to": "+15005550003"}]}))]
pub(crate) struct BatchIn {
    /// `sms`, also when left out.
    channel: Option<String>,
    /// E.164, a short code, or 3 to 11 letters and digits; else the default sender.
    from: Option<String>,
    /// At most 1600 characters and 10 segments.
    body: String,
    encoding: Option<EncodingIn>,
    category: Option<CategoryIn>,
    /// 1 to 1000.
    #[schema(value_type = Vec<RecipientIn>, min_items = 1, max_items = 1000)]
    recipients: Vec<Value>,
    #[schema(ignore)]
    scheduled_at: Option<IgnoredAny>,
    #[schema(ignore)]
    template_id: Option<IgnoredAny>,
    #[schema(ignore)]
    validity_seconds: Option<IgnoredAny>,
    #[schema(ignore)]
    variables: Option<IgnoredAny>,
    #[schema(ignore)]
    media_urls: Option<IgnoredAny>,
    /// Where the events of these messages go, beside the webhooks.
    webhook_url: Option<String>,
}

/// One of the many.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RecipientIn {
    /// E.164, with its `+`.
    #[schema(example = "+15005550002")]
    to: String,
    /// Kept and shown again with this recipient's message.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchOut {
    #[schema(example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    batch_id: String,
    accepted: usize,
    rejected: usize,
    results: Vec<ResultOut>,
    created_at: String,
}

/// What became of one recipient: an id, or an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultOut {
    /// Its place in `recipients`, from 0.
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

const FIELDS: &[Field] = &[
    Field::optional("channel", body::Kind::Text),
    Field::optional("from", body::Kind::Text),
    Field::required("body", body::Kind::Text),
    Field::optional("encoding", body::Kind::OneOf(&["auto", "gsm7", "ucs2"])),
    Field::optional("category", body::Kind::OneOf(CATEGORIES)),
    Field::required("recipients", body::Kind::List),
    Field::optional("webhook_url", body::Kind::Text),
];

const RECIPIENT_FIELDS: &[Field] =
    &[Field::required("to", body::Kind::Text), Field::optional("metadata", body::Kind::Object)];

/// Sends one text to up to 1000 recipients. Bad recipients are refused one by one.
#[utoipa::path(
    post, path = "/messages/batch", operation_id = "send_batch", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "8 to 255 visible characters: \
            the same key and body within 24 hours is one batch"),
    ),
    request_body = BatchIn,
    responses(
        (status = 202, description = "At least one is stored", body = Envelope<BatchOut>),
        (status = 402, description = "The balance does not cover all", body = ErrorOut),
        (status = 422, description = "None is accepted", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<SendBatch>,
    headers: HeaderMap,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let idempotency = idempotency::read(&headers, ROUTE, &raw)?;
    let mut input = BatchIn::parse(&raw)?;
    webhooks::ready(&app, caller.organization, input.webhook_url.as_deref()).await?;
    let recipients = std::mem::take(&mut input.recipients);
    let mut decided: Vec<Decided> =
        recipients.into_iter().map(|recipient| decide(&app, &caller, &input, recipient)).collect();
    let batch = PublicId::new(caller.call.at());
    let messages: Vec<NewMessage> =
        decided.iter().filter_map(|d| d.checked.as_ref().ok().cloned()).collect();
    if messages.is_empty() {
        return Err(none_accepted(&decided));
    }
    let submission = Submission {
        organization: caller.organization,
        api_key: caller.key,
        idempotency,
        batch: Some(batch),
        messages,
    };
    match idempotency::submit(&app, submission).await? {
        Accepted::Fresh { at, refused, .. } => {
            refuse(&mut decided, refused);
            app.meters.accepted(caller.call.at());
            let out = BatchOut::new(batch, at, fresh(decided));
            caller.call.answer(StatusCode::ACCEPTED, out)
        }
        Accepted::Nothing { refused } => {
            refuse(&mut decided, refused);
            Err(none_accepted(&decided))
        }
        Accepted::Replayed { reference } => {
            let most = i64::try_from(RECIPIENTS_MAX).unwrap_or(i64::MAX);
            let rows = app.store.batch(caller.organization, reference, most).await?;
            let at = rows.first().map_or(caller.call.at(), |row| At(row.created_at));
            let out = BatchOut::new(reference, at, again(decided, &rows));
            Ok(replayed(caller.call.answer(StatusCode::ACCEPTED, out)?))
        }
    }
}

/// One recipient, looked at.
struct Decided {
    /// As given, if it was a text.
    to: String,
    checked: Result<NewMessage, Fault>,
}

fn decide(app: &App, caller: &Caller<SendBatch>, batch: &BatchIn, recipient: Value) -> Decided {
    let to = recipient.get("to").and_then(Value::as_str).unwrap_or_default().to_owned();
    let checked = read_recipient(recipient).and_then(|recipient| {
        let request = SendRequest {
            to: recipient.to,
            from: batch.from.clone(),
            body: batch.body.clone(),
            encoding: batch.encoding.unwrap_or_default().asked(),
            category: batch.category.unwrap_or_default().into(),
            metadata: metadata_text(recipient.metadata),
            test: caller.test,
        };
        let mut message = check(app, caller, request)?;
        message.options.webhook_url = batch.webhook_url.clone();
        Ok(message)
    });
    Decided { to, checked }
}

/// Tells the gates' refusals, which count the messages that had passed the checks, to recipients.
fn refuse(decided: &mut [Decided], refused: Vec<(usize, Refusal)>) {
    let mut passed: Vec<_> = decided.iter_mut().filter(|d| d.checked.is_ok()).collect();
    for (at, refusal) in refused {
        if let Some(decided) = passed.get_mut(at) {
            decided.checked = Err(Fault::from(refusal));
        }
    }
}

/// The first thing wrong with one recipient, before routes and prices.
fn read_recipient(value: Value) -> Result<RecipientIn, Fault> {
    let Value::Object(map) = &value else {
        let fault = Fault::new(Code::ValidationError, "the recipient is not an object");
        return Err(fault.value(value).expected("an object with `to`"));
    };
    let mut faults = body::faults(map, RECIPIENT_FIELDS);
    if faults.is_empty() {
        text("to", map["to"].as_str().unwrap_or_default(), &mut faults);
        if let Some(Value::Object(metadata)) = map.get("metadata") {
            check_metadata(metadata, &mut faults);
        }
        let variables = map.get("variables").is_some_and(|value| !value.is_null());
        unsupported("variables", variables, &mut faults);
    }
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => serde_json::from_value(value).map_err(|error| {
            Fault::new(Code::ValidationError, format!("the recipient is not valid: {error}"))
        }),
    }
}

impl BatchIn {
    fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let batch: Self = body::parse(raw, FIELDS)?;
        if let Some(channel) = &batch.channel {
            check_channel(channel)?;
        }
        let mut faults = Vec::new();
        text("from", batch.from.as_deref().unwrap_or_default(), &mut faults);
        text("body", &batch.body, &mut faults);
        unsupported("scheduled_at", batch.scheduled_at.is_some(), &mut faults);
        for (name, given) in [
            ("template_id", batch.template_id.is_some()),
            ("validity_seconds", batch.validity_seconds.is_some()),
            ("variables", batch.variables.is_some()),
            ("media_urls", batch.media_urls.is_some()),
        ] {
            unsupported(name, given, &mut faults);
        }
        let count = batch.recipients.len();
        if !(1..=RECIPIENTS_MAX).contains(&count) {
            faults.push(wrong("recipients", json!(count)).expected("1 to 1000 recipients"));
        }
        if faults.is_empty() {
            return Ok(batch);
        }
        Err(ApiError::faults(faults))
    }
}

fn none_accepted(decided: &[Decided]) -> ApiError {
    let errors = decided.iter().enumerate().filter_map(|(index, decided)| {
        let fault = decided.checked.as_ref().err()?;
        let mut error = fault.to_json();
        error["index"] = json!(index);
        Some(error)
    });
    let list = Value::Array(errors.collect());
    ApiError::new(Code::ValidationError, "no recipient was accepted").detail("errors", list)
}

fn fresh(decided: Vec<Decided>) -> Vec<ResultOut> {
    let result = |(index, decided): (usize, Decided)| match decided.checked {
        Ok(message) => ResultOut::accepted(index, message.id.show(Kind::Message)),
        Err(fault) => ResultOut::refused(index, &fault),
    };
    decided.into_iter().enumerate().map(result).collect()
}

/// Finds each stored message's recipient again: rows are in the order of the request.
fn again(decided: Vec<Decided>, rows: &[MessageRow]) -> Vec<ResultOut> {
    let mut rows = rows.iter().peekable();
    let mut results = Vec::with_capacity(decided.len());
    for (index, decided) in decided.into_iter().enumerate() {
        let row = rows.next_if(|row| row.to_addr == decided.to && !decided.was_never_valid());
        results.push(match (row, decided.checked) {
            (Some(row), _) => ResultOut::accepted(index, id_of(Kind::Message, &row.id)),
            (None, Err(fault)) => ResultOut::refused(index, &fault),
            (None, Ok(_)) => {
                let message = "this recipient was refused when the batch was first sent";
                ResultOut::refused(index, &Fault::new(Code::Conflict, message))
            }
        });
    }
    results
}

impl Decided {
    /// Refused for what it is, not for routes or prices, which may have changed since.
    fn was_never_valid(&self) -> bool {
        let code = self.checked.as_ref().err().map(|fault| fault.code);
        code.is_some_and(|code| {
            !matches!(code, Code::NoRoute | Code::NoPrice | Code::InvalidSender)
        })
    }
}

impl BatchOut {
    fn new(batch: PublicId, at: At, results: Vec<ResultOut>) -> Self {
        let accepted = results.iter().filter(|result| result.message_id.is_some()).count();
        Self {
            batch_id: batch.show(Kind::Batch),
            accepted,
            rejected: results.len() - accepted,
            results,
            created_at: at.iso(),
        }
    }
}

impl ResultOut {
    fn accepted(index: usize, id: String) -> Self {
        Self { index, message_id: Some(id), error: None }
    }

    fn refused(index: usize, fault: &Fault) -> Self {
        Self { index, message_id: None, error: Some(fault.to_json()) }
    }
}
