//! `POST /messages/estimate`: what a send, or one to many, would take. Nothing is sent or counted.

mod advice;
mod many;
mod one;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::message::Category;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, EstimateMessages};
use super::super::body::{self, Field, Raw, missing, wrong};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::pools;
use super::super::templates::{Values, VariableIn, Wording};
use super::batch::{Common, RecipientIn, check_count, some_have_values};
use super::input::{CATEGORIES, CategoryIn, EncodingIn, text};
use super::send::check_channel;

/// A message to weigh: as it would be sent, to one or to many. Fields that have no part in its
/// price are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"to": "+15005550002", "body": "Hello from Orbit"}))]
pub(crate) struct EstimateIn {
    /// `sms`, also when left out.
    #[schema(example = "sms")]
    channel: Option<String>,
    /// E.164, with its `+`. Either this or `recipients`.
    #[schema(example = "+15005550002", pattern = r"^\+[1-9][0-9]{6,14}$")]
    to: Option<String>,
    /// As in a batch: 1 to 1000.
    #[schema(value_type = Option<Vec<RecipientIn>>, min_items = 1, max_items = 1000)]
    recipients: Option<Vec<Value>>,
    from: Option<String>,
    /// A sender pool, in the place of `from`.
    sender_pool_id: Option<String>,
    /// Either this or `template_id`.
    #[schema(example = "Hello from Orbit", min_length = 1, max_length = 1600)]
    body: Option<String>,
    template_id: Option<String>,
    /// Values for the text's variables; a recipient's own go before them.
    #[schema(value_type = Option<HashMap<String, VariableIn>>)]
    variables: Option<Map<String, Value>>,
    encoding: Option<EncodingIn>,
    smart_encoding: Option<bool>,
    /// Of `marketing` the text is read for what a first message should say.
    category: Option<CategoryIn>,
}

/// What it would take: of one message if `to` was given, else of all.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EstimateOut {
    One(Box<one::OneOut>),
    Many(many::ManyOut),
}

const FIELDS: &[Field] = &[
    Field::optional("channel", body::Kind::Text),
    Field::optional("to", body::Kind::Text),
    Field::optional("recipients", body::Kind::List),
    Field::optional("from", body::Kind::Text),
    Field::optional("sender_pool_id", body::Kind::Text),
    Field::optional("body", body::Kind::Text),
    Field::optional("template_id", body::Kind::Text),
    Field::optional("variables", body::Kind::Object),
    Field::optional("encoding", body::Kind::OneOf(&["auto", "gsm7", "ucs2"])),
    Field::optional("smart_encoding", body::Kind::Flag),
    Field::optional("category", body::Kind::OneOf(CATEGORIES)),
];

/// Tells how a message would travel, what it would cost, and what would make it cheaper or better.
/// Whether a recipient has opted out or is over a cap is not looked up: see `dry_run` of a batch.
#[utoipa::path(
    post, path = "/messages/estimate", operation_id = "estimate_message", tag = "messages",
    request_body = EstimateIn,
    responses(
        (status = 200, description = "What it would take", body = Envelope<EstimateOut>),
        (status = 422, description = "A send would be refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn estimate(
    State(app): State<App>,
    caller: Caller<EstimateMessages>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let mut input = EstimateIn::parse(&raw)?;
    let (to, recipients) = (input.to.take(), input.recipients.take());
    let recipients = match (to, recipients) {
        (Some(to), None) => Recipients::One(json!({ "to": to })),
        (None, Some(recipients)) => Recipients::Many(recipients),
        (None, None) => return Err(missing("to").into()),
        (Some(to), Some(_)) => {
            let fault = wrong("to", json!(to)).expected("either `to` or `recipients`");
            return Err(fault.into());
        }
    };
    let common = input.common(&app, &caller, recipients.as_slice()).await?;
    let business = match common.category {
        Category::Marketing => app.store.organization_name(caller.organization).await?,
        _ => None,
    };
    let out = match recipients {
        Recipients::One(recipient) => {
            let estimate = one::estimate(&app, &caller, &common, recipient)?;
            EstimateOut::One(Box::new(one::OneOut::new(estimate, &common, business.as_deref())))
        }
        Recipients::Many(recipients) => EstimateOut::Many(many::estimate(
            &app,
            &caller,
            &common,
            recipients,
            business.as_deref(),
        )),
    };
    caller.call.answer(StatusCode::OK, out)
}

enum Recipients {
    One(Value),
    Many(Vec<Value>),
}

impl Recipients {
    fn as_slice(&self) -> &[Value] {
        match self {
            Self::One(recipient) => std::slice::from_ref(recipient),
            Self::Many(recipients) => recipients,
        }
    }
}

impl EstimateIn {
    fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let input: Self = body::parse(raw, FIELDS)?;
        if let Some(channel) = &input.channel {
            check_channel(channel)?;
        }
        let mut faults = Vec::new();
        for (name, given) in [("to", &input.to), ("from", &input.from), ("body", &input.body)] {
            text(name, given.as_deref().unwrap_or_default(), &mut faults);
        }
        if let Some(recipients) = &input.recipients {
            check_count(recipients.len(), &mut faults);
        }
        if faults.is_empty() { Ok(input) } else { Err(ApiError::faults(faults)) }
    }

    async fn common(
        self,
        app: &App,
        caller: &Caller<EstimateMessages>,
        recipients: &[Value],
    ) -> Result<Common, ApiError> {
        let organization = caller.organization;
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
            scheduled_at: None,
            timezone: None,
            validity_s: None,
            webhook_url: None,
        })
    }
}
