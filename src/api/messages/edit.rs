//! `PATCH /messages/{id}`: changes a scheduled message, which meets all checks anew.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use model::carrier::MessageKey;
use model::clock::At;
use model::esme::Submitted;
use model::message::{Category, Encoding, Status};
use model::refusal::{Code, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::ChangeRow;
use store::lane::{Admin, AdminDone, Edit};
use utoipa::ToSchema;

use actors::traffic::admission::SendRequest;

use super::super::App;
use super::super::auth::{Caller, ChangeMessages};
use super::super::body::{self, Field, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::pools;
use super::cancel::show;
use super::change::{find, refused, status_of};
use super::input::{EncodingIn, check_metadata, metadata_text, text};
use super::output::MessageOut;
use super::send::check;
use super::when::{self, When};

/// What shall be different; what is null or left out stays as it was.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"body": "Hello later", "scheduled_at": "2030-01-01T10:00:00Z"}))]
pub(crate) struct EditIn {
    body: Option<String>,
    encoding: Option<EncodingIn>,
    from: Option<String>,
    /// A sender pool of yours, in the place of the sender or pool that it has.
    sender_pool_id: Option<String>,
    /// As in a send.
    #[schema(example = "2030-01-01T10:00:00Z")]
    scheduled_at: Option<String>,
    /// As in a send; used with `scheduled_at` only.
    timezone: Option<String>,
    #[schema(minimum = 60, maximum = 172_800)]
    validity_seconds: Option<i64>,
    /// Replaces all that was kept.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

const FIELDS: &[Field] = &[
    Field::optional("body", body::Kind::Text),
    Field::optional("encoding", body::Kind::OneOf(&["auto", "gsm7", "ucs2"])),
    Field::optional("from", body::Kind::Text),
    Field::optional("sender_pool_id", body::Kind::Text),
    Field::optional("scheduled_at", body::Kind::Text),
    Field::optional("timezone", body::Kind::Text),
    Field::optional("validity_seconds", body::Kind::Whole),
    Field::optional("metadata", body::Kind::Object),
];

/// Changes a message that is `scheduled`.
#[utoipa::path(
    patch, path = "/messages/{id}", operation_id = "edit_message", tag = "messages",
    params(("id" = String, Path, example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = EditIn,
    responses(
        (status = 200, description = "The message as it is from now on",
            body = Envelope<MessageOut>),
        (status = 404, description = "There is no such message of yours", body = ErrorOut),
        (status = 409, description = "It is not scheduled: see `details.status`", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeMessages>,
    Path(id): Path<String>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let input = EditIn::parse(&body)?;
    let row = find(&app, &caller, &id).await?;
    scheduled(&row)?;
    let edit = edited(&app, &caller, input, &row)?;
    match app.writer.administer(Admin::Edit(Box::new(edit))).await? {
        AdminDone::Edited(true) => show(&app, &caller, &row.id).await,
        AdminDone::Edited(false) => {
            scheduled(&find(&app, &caller, &id).await?)?;
            let message = "the message was changed meanwhile; read it again";
            Err(Refusal::new(Code::Conflict, message).into())
        }
        _ => Err(ApiError::internal()),
    }
}

fn scheduled(row: &ChangeRow) -> Result<(), Refusal> {
    match status_of(row) {
        Status::Scheduled => Ok(()),
        status => {
            let message = "only a scheduled message can be changed";
            Err(refused(Code::MessageNotEditable, message, status))
        }
    }
}

/// The whole message as it shall be, checked, routed and priced anew.
fn edited(
    app: &App,
    caller: &Caller<ChangeMessages>,
    input: EditIn,
    row: &ChangeRow,
) -> Result<Edit, ApiError> {
    let encoding = match (input.encoding, &input.body) {
        (Some(encoding), _) => encoding.asked(),
        (None, Some(_)) => None,
        (None, None) => Encoding::from_code(row.encoding),
    };
    let as_it_came = input.encoding.is_none() && input.body.is_none();
    let submitted = Submitted::stored(row.smpp_account_id, row.submitted.as_deref());
    let submitted = submitted.map(|own| if as_it_came { own } else { own.reworded() });
    let (from, pool) = (input.from.as_deref(), input.sender_pool_id.as_deref());
    let asked = pools::asked(app, caller.organization, from, pool)?;
    // Another sender takes the place of the pool, and another pool that of the sender.
    let pool = asked.or_else(|| row.pool().filter(|_| input.from.is_none()));
    let request = SendRequest {
        to: row.to_addr.clone(),
        from: input.from.or_else(|| pool.is_none().then(|| row.from_addr.clone())),
        pool,
        body: input.body.unwrap_or_else(|| row.body.clone()),
        encoding,
        category: Category::from_code(row.category).unwrap_or(Category::Transactional),
        account: None,
        metadata: metadata_text(input.metadata).or_else(|| row.metadata.clone()),
        test: caller.test,
        submitted: submitted.map(Arc::new),
    };
    let mut message = check(app, caller, request)?;
    let when =
        When { scheduled_at: input.scheduled_at.as_deref(), timezone: input.timezone.as_deref() };
    let moment = when.moment(&message.to, &app.schedules, caller.call.at())?;
    message.options.scheduled_at = moment.or(row.scheduled_at.map(At));
    let kept = row.validity_s.and_then(|seconds| u32::try_from(seconds).ok());
    message.options.validity_s = when::validity(input.validity_seconds)?.or(kept);
    Ok(Edit {
        key: MessageKey(row.key),
        organization: caller.organization,
        edits: row.edits,
        created_at: At(row.created_at),
        message,
    })
}

impl EditIn {
    fn parse(raw: &[u8]) -> Result<Self, ApiError> {
        let input: Self = body::parse(raw, FIELDS)?;
        let mut faults = Vec::new();
        text("body", input.body.as_deref().unwrap_or_default(), &mut faults);
        text("from", input.from.as_deref().unwrap_or_default(), &mut faults);
        if let Some(metadata) = &input.metadata {
            check_metadata(metadata, &mut faults);
        }
        if faults.is_empty() {
            return Ok(input);
        }
        Err(ApiError::faults(faults))
    }
}
