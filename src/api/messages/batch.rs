//! `POST /messages/batch`: one text to many recipients, as one item of the accept batch: what
//! passes the checks is stored and paid for together, or not at all.

mod decide;
mod dry_run;
mod output;
mod show;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::carrier::OrgId;
use model::id::PublicId;
use model::refusal::{Code, Refusal};
use model::submission::{Credential, Submission};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use store::lane::Accepted;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, SendBatch};
use super::super::body::{self, Field, Raw, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::super::templates::{Values, VariableIn, Wording};
use super::super::{idempotency, pools, webhooks};
use super::input::{CATEGORIES, CategoryIn, EncodingIn, text, unsupported};
use super::send::{check_channel, learn, replayed};
use super::when::{self, When};
use decide::Decisions;
use output::BatchOut;

pub(crate) use decide::{Common, RecipientIn, some_have_values};
pub(crate) use output::ResultOut;
pub(crate) use show::{__path_show, show};

pub(crate) const RECIPIENTS_MAX: usize = 1_000;
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
    /// A sender pool of yours, in the place of `from`: it chooses a sender for each recipient.
    sender_pool_id: Option<String>,
    /// At most 1600 characters and 10 segments. Either this or `template_id`.
    #[schema(min_length = 1, max_length = 1600)]
    body: Option<String>,
    /// A template of yours, in the place of `body`.
    template_id: Option<String>,
    /// Values for all recipients; a recipient's own go before them. Where any are given, a `body`
    /// is a template too.
    #[schema(value_type = Option<HashMap<String, VariableIn>>)]
    variables: Option<Map<String, Value>>,
    encoding: Option<EncodingIn>,
    /// Puts plain signs in the place of typographic ones, where that makes the text GSM-7.
    smart_encoding: Option<bool>,
    category: Option<CategoryIn>,
    /// 1 to 1000.
    #[schema(value_type = Vec<RecipientIn>, min_items = 1, max_items = 1000)]
    recipients: Vec<Value>,
    /// Tells what would become of the batch, and sends nothing.
    dry_run: Option<bool>,
    /// As with one message; with `timezone: recipient` each gets it at that time of their own.
    #[schema(example = "2030-01-01T09:00:00")]
    scheduled_at: Option<String>,
    /// An IANA name, or `recipient`.
    #[schema(example = "Europe/Paris")]
    timezone: Option<String>,
    /// As with one message.
    #[schema(minimum = 60, maximum = 172_800, default = 172_800)]
    validity_seconds: Option<i64>,
    #[schema(ignore)]
    media_urls: Option<IgnoredAny>,
    /// Where the events of these messages go, beside the webhooks.
    webhook_url: Option<String>,
}

const FIELDS: &[Field] = &[
    Field::optional("channel", body::Kind::Text),
    Field::optional("from", body::Kind::Text),
    Field::optional("sender_pool_id", body::Kind::Text),
    Field::optional("body", body::Kind::Text),
    Field::optional("template_id", body::Kind::Text),
    Field::optional("variables", body::Kind::Object),
    Field::optional("smart_encoding", body::Kind::Flag),
    Field::optional("dry_run", body::Kind::Flag),
    Field::optional("encoding", body::Kind::OneOf(&["auto", "gsm7", "ucs2"])),
    Field::optional("category", body::Kind::OneOf(CATEGORIES)),
    Field::required("recipients", body::Kind::List),
    Field::optional("scheduled_at", body::Kind::Text),
    Field::optional("timezone", body::Kind::Text),
    Field::optional("validity_seconds", body::Kind::Whole),
    Field::optional("webhook_url", body::Kind::Text),
];

/// Sends one text to up to 1000 recipients. Bad recipients are refused one by one.
#[utoipa::path(
    post, path = "/messages/batch", operation_id = "send_batch", tag = "messages",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 8, max_length = 255,
            pattern = "^[!-~]+$", description = "8 to 255 visible characters: \
            the same key and body within 24 hours is one batch"),
    ),
    request_body = BatchIn,
    responses(
        (status = 200, description = "With `dry_run`: what would become of it",
            body = Envelope<dry_run::DryRunOut>),
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
    let now = caller.call.at();
    if let Err(fault) = input.when().check_for_all(&app.schedules, now) {
        // What was in time when it was first asked for stays done.
        let request = idempotency.as_ref();
        let earlier = idempotency::earlier(&app, caller.organization, request, now).await?;
        return replay(&app, &caller, earlier.ok_or(fault)?).await;
    }
    let recipients = std::mem::take(&mut input.recipients);
    let dry_run = input.dry_run == Some(true);
    let common = input.common(&app, caller.organization, &recipients).await?;
    webhooks::ready(&app, caller.organization, common.webhook_url.as_deref()).await?;
    let to = recipients.iter().filter_map(|recipient| recipient.get("to")?.as_str());
    learn(&app, &caller, to).await;
    let mut decisions = Decisions::of(&app, &caller, &common, recipients);
    if dry_run {
        return dry_run::answer(&app, &caller, decisions).await;
    }
    let batch = PublicId::new(caller.call.at());
    let messages = decisions.messages();
    if messages.is_empty() {
        return Err(decisions.none_accepted());
    }
    let submission = Submission {
        organization: caller.organization,
        credential: Credential::ApiKey(caller.key),
        idempotency,
        batch: Some(decisions.batch(batch, common.wording.template())),
        messages,
    };
    match idempotency::submit(&app, submission).await? {
        Accepted::Fresh { at, refused, .. } => {
            decisions.refuse(refused);
            app.meters.accepted(caller.call.at());
            caller.call.answer(StatusCode::ACCEPTED, BatchOut::new(batch, at, decisions.results()))
        }
        Accepted::Nothing { refused } => {
            decisions.refuse(refused);
            Err(decisions.none_accepted())
        }
        Accepted::Replayed { reference } => replay(&app, &caller, reference).await,
    }
}

/// The answer to a batch that was answered before: built again from what is stored.
async fn replay(
    app: &App,
    caller: &Caller<SendBatch>,
    reference: PublicId,
) -> Result<Response, ApiError> {
    let row = app.store.batch_row(caller.organization, reference).await?;
    let row = row.ok_or_else(|| {
        let message = "the first answer to this Idempotency-Key is no longer known";
        ApiError::from(Refusal::new(Code::Conflict, message))
    })?;
    let most = i64::try_from(RECIPIENTS_MAX).unwrap_or(i64::MAX);
    let messages = app.store.batch(caller.organization, reference, most).await?;
    let out = BatchOut::again(reference, &row, &messages);
    Ok(replayed(caller.call.answer(StatusCode::ACCEPTED, out)?))
}

pub(crate) fn check_count(count: usize, faults: &mut Vec<Fault>) {
    if !(1..=RECIPIENTS_MAX).contains(&count) {
        faults.push(wrong("recipients", json!(count)).expected("1 to 1000 recipients"));
    }
}

impl BatchIn {
    fn when(&self) -> When<'_> {
        When { scheduled_at: self.scheduled_at.as_deref(), timezone: self.timezone.as_deref() }
    }

    /// What all recipients share.
    async fn common(
        self,
        app: &App,
        organization: OrgId,
        recipients: &[Value],
    ) -> Result<Common, ApiError> {
        let (from, pool) = (self.from.as_deref(), self.sender_pool_id.as_deref());
        let pool = pools::asked(app, organization, from, pool)?;
        let wording =
            Wording::find(app, organization, self.body, self.template_id.as_deref()).await?;
        Ok(Common {
            from: self.from,
            pool,
            wording,
            shared: self.variables.map(Values::read).transpose()?,
            some_have_values: some_have_values(recipients),
            encoding: self.encoding.unwrap_or_default().asked(),
            smart: self.smart_encoding == Some(true),
            category: self.category.unwrap_or_default().into(),
            validity_s: when::validity(self.validity_seconds)?,
            webhook_url: self.webhook_url.clone(),
            scheduled_at: self.scheduled_at,
            timezone: self.timezone,
        })
    }

    fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let batch: Self = body::parse(raw, FIELDS)?;
        if let Some(channel) = &batch.channel {
            check_channel(channel)?;
        }
        let mut faults = Vec::new();
        text("from", batch.from.as_deref().unwrap_or_default(), &mut faults);
        text("body", batch.body.as_deref().unwrap_or_default(), &mut faults);
        faults.extend(when::validity(batch.validity_seconds).err());
        unsupported("media_urls", batch.media_urls.is_some(), &mut faults);
        check_count(batch.recipients.len(), &mut faults);
        if faults.is_empty() {
            return Ok(batch);
        }
        Err(ApiError::faults(faults))
    }
}
