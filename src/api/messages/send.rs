//! `POST /messages/sms` and `POST /messages`: one message, stored, and queued or scheduled, before
//! the answer.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use model::id::{Kind, PublicId};
use model::message::Status;
use model::refusal::{Code, Refusal};
use model::submission::{Credential, Idempotency, NewMessage, SendOptions, Submission};
use serde_json::json;
use store::lane::Accepted;

use actors::traffic::admission::SendRequest;

use super::super::App;
use super::super::auth::{Caller, SendOne};
use super::super::body::{Raw, missing};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::templates::{Values, Wording};
use super::super::{idempotency, pools, webhooks};
use super::input::{MessageIn, metadata_text};
use super::output::AcceptedOut;
use super::when::{self, When};

/// Sends an SMS. The answer says that it is stored, not that it has left.
#[utoipa::path(
    post, path = "/messages/sms", operation_id = "send_sms", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 8, max_length = 255,
            pattern = "^[!-~]+$", description = "8 to 255 visible characters: \
            the same key and body within 24 hours is one send"),
    ),
    request_body = MessageIn,
    responses(
        (status = 202, description = "Stored, and queued or scheduled", body = Envelope<AcceptedOut>),
        (status = 402, description = "The balance does not cover it", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create_sms(
    State(app): State<App>,
    caller: Caller<SendOne>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    send(&app, &caller, &headers, &body, "POST /messages/sms").await
}

/// Sends a message by the channel its field `channel` names; `sms` is the one there is.
#[utoipa::path(
    post, path = "/messages", operation_id = "send_message", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 8, max_length = 255,
            pattern = "^[!-~]+$", description = "8 to 255 visible characters: \
            the same key and body within 24 hours is one send"),
    ),
    request_body = MessageIn,
    responses(
        (status = 202, description = "Stored, and queued or scheduled", body = Envelope<AcceptedOut>),
        (status = 402, description = "The balance does not cover it", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<SendOne>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    send(&app, &caller, &headers, &body, "POST /messages").await
}

async fn send(
    app: &App,
    caller: &Caller<SendOne>,
    headers: &HeaderMap,
    body: &[u8],
    route: &'static str,
) -> Result<Response, ApiError> {
    let idempotency = idempotency::read(headers, route, body)?;
    let input = MessageIn::parse(body)?;
    if route == "POST /messages" {
        check_channel(input.channel.as_deref().ok_or_else(|| missing("channel"))?)?;
    }
    let wording =
        Wording::find(app, caller.organization, input.body, input.template_id.as_deref()).await?;
    let values = input.variables.map(Values::read).transpose()?;
    let (from, pool) = (input.from.as_deref(), input.sender_pool_id.as_deref());
    let pool = match pools::asked(app, caller.organization, from, pool) {
        Ok(pool) => pool,
        Err(error) => return earlier(app, caller, idempotency.as_ref(), error).await,
    };
    let encoding = input.encoding.unwrap_or_default().asked();
    let smart = input.smart_encoding == Some(true);
    let when =
        When { scheduled_at: input.scheduled_at.as_deref(), timezone: input.timezone.as_deref() };
    let validity_s = when::validity(input.validity_seconds)?;
    let request = SendRequest {
        to: input.to,
        from: input.from,
        pool,
        body: wording.write(values.as_slice(), smart, encoding)?,
        encoding,
        category: input.category.unwrap_or_default().into(),
        account: None,
        metadata: metadata_text(input.metadata),
        test: caller.test,
        submitted: None,
    };
    learn(app, caller, [request.to.as_str()]).await;
    let mut message = match check(app, caller, request) {
        Ok(message) => message,
        Err(fault) if pool.is_some() => {
            return earlier(app, caller, idempotency.as_ref(), fault.into()).await;
        }
        Err(fault) => return Err(fault.into()),
    };
    let scheduled_at = match when.moment(&message.to, &app.schedules, caller.call.at()) {
        Ok(moment) => moment,
        Err(fault) => return earlier(app, caller, idempotency.as_ref(), fault.into()).await,
    };
    let webhook_url = input.webhook_url;
    webhooks::ready(app, caller.organization, webhook_url.as_deref()).await?;
    let template = wording.template();
    message.options =
        SendOptions { scheduled_at, validity_s, template, webhook_url, ..message.options };
    submit(app, caller, message, idempotency).await
}

/// What could be done when it was first asked for stays done: a time was in time, a pool was there.
async fn earlier(
    app: &App,
    caller: &Caller<SendOne>,
    request: Option<&Idempotency>,
    error: ApiError,
) -> Result<Response, ApiError> {
    let now = caller.call.at();
    let earlier = idempotency::earlier(app, caller.organization, request, now).await?;
    replay(app, caller, earlier.ok_or(error)?).await
}

/// Has one message stored, and says what came of it.
pub(crate) async fn submit<P>(
    app: &App,
    caller: &Caller<P>,
    message: NewMessage,
    idempotency: Option<Idempotency>,
) -> Result<Response, ApiError> {
    let mut out = AcceptedOut::from(&message);
    let submission = Submission {
        organization: caller.organization,
        credential: Credential::ApiKey(caller.key),
        idempotency,
        batch: None,
        messages: vec![message],
    };
    match idempotency::submit(app, submission).await? {
        Accepted::Fresh { at, later, picked, .. } => {
            app.meters.accepted(caller.call.at());
            out.created_at = at.iso();
            if let Some((_, pick)) = picked.first() {
                out.from = Some(pick.from.to_string());
                out.segments = pick.way.segments.into();
            }
            if let Some((_, time)) = later.first() {
                out.status = Status::Scheduled.as_str();
                out.scheduled_at = Some(time.iso());
            }
            caller.call.answer(StatusCode::ACCEPTED, out)
        }
        Accepted::Replayed { reference } => replay(app, caller, reference).await,
        // Of one message the refusal is the answer.
        Accepted::Nothing { .. } => Err(ApiError::internal()),
    }
}

/// Learns the networks of live recipients, where there is a hook that knows.
pub(crate) async fn learn<P>(
    app: &App,
    caller: &Caller<P>,
    recipients: impl IntoIterator<Item = &str>,
) {
    if !caller.test {
        app.admission.router().learn_all(recipients, caller.call.at()).await;
    }
}

/// The pure checks, with the value at fault where it is short enough to be shown.
pub(crate) fn check<P>(
    app: &App,
    caller: &Caller<P>,
    request: SendRequest,
) -> Result<NewMessage, Fault> {
    let shown = (request.to.clone(), request.from.clone());
    let checked = app.admission.check(caller.organization, request, caller.call.at());
    checked.map_err(|refusal| {
        let value = match refusal.field.as_deref() {
            Some("to") => Some(shown.0),
            Some("from") => shown.1,
            _ => None,
        };
        let fault = Fault::from(refusal);
        match value {
            Some(value) => fault.value(json!(value)),
            None => fault,
        }
    })
}

pub(crate) fn check_channel(channel: &str) -> Result<(), Fault> {
    if channel == "sms" {
        return Ok(());
    }
    let message = "this channel is not available here";
    let fault = Fault::new(Code::InvalidChannel, message);
    Err(fault.field("channel").value(json!(channel)).expected("sms"))
}

/// The answer to a request that was answered before: built again from what is stored.
async fn replay<P>(
    app: &App,
    caller: &Caller<P>,
    reference: PublicId,
) -> Result<Response, ApiError> {
    let row = app.store.message(caller.organization, reference).await?;
    let row = row.ok_or_else(|| {
        let message = "the first answer to this Idempotency-Key is no longer known";
        ApiError::from(Refusal::new(Code::Conflict, message))
    })?;
    let response = caller.call.answer(StatusCode::ACCEPTED, AcceptedOut::from(&row))?;
    Ok(replayed(response))
}

pub(crate) fn replayed(mut response: Response) -> Response {
    let name = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

impl From<&NewMessage> for AcceptedOut {
    /// All but the moment, which the commit gives.
    fn from(message: &NewMessage) -> Self {
        let id = message.id.show(Kind::Message);
        let pool = message.options.pool.as_ref();
        Self {
            message_id: id.clone(),
            id,
            channel: "sms",
            to: message.to.clone(),
            from: (!message.from.is_empty()).then(|| message.from.clone()),
            sender_pool_id: pool.map(|pool| pool.public_id.show(Kind::SenderPool)),
            status: Status::Queued.as_str(),
            scheduled_at: None,
            segments: i64::from(message.segments),
            test_mode: message.test,
            created_at: String::new(),
        }
    }
}
