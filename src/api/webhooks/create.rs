//! `POST /webhooks`.

use actors::customer::webhook::sign;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use model::id::{Kind, PublicId};
use model::refusal::{Code, Detail, Refusal};
use store::lane::{WebhookChange, WebhookDone, WebhookFields};

use super::super::App;
use super::super::auth::{Caller, ChangeWebhooks};
use super::super::body::{self, Raw};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::input::{FIELDS, WebhookIn, events_text};
use super::output::WebhookOut;

/// Makes an endpoint. It is told of what happens from now on.
#[utoipa::path(
    post, path = "/webhooks", operation_id = "create_webhook", tag = "webhooks",
    request_body = WebhookIn,
    responses(
        (status = 201, description = "Made; the only time its secret is shown",
            body = Envelope<WebhookOut>),
        (status = 409, description = "There are as many as an organization may have",
            body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeWebhooks>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let input: WebhookIn = body::parse(&raw, FIELDS)?;
    input.check(&app.webhooks)?;
    let id = PublicId::new(caller.call.at());
    let secret = input.secret.unwrap_or_else(|| sign::secret(rand::random()));
    let most = i64::from(app.webhooks.settings.endpoints_max);
    let change = WebhookChange::Create {
        organization: caller.organization,
        id,
        fields: WebhookFields {
            url: input.url,
            events: events_text(&input.events),
            description: input.description,
        },
        secret: secret.clone(),
        most,
    };
    let WebhookDone::Made(number) = super::store(&app, change).await? else {
        let message = "the organization has as many webhooks as it may; delete one first";
        let refusal = Refusal::new(Code::Conflict, message);
        return Err(refusal.detail("limit", Detail::Number(most)).into());
    };
    app.customers.refresh(number);
    let row = super::find(&app, caller.organization, &id.show(Kind::Webhook)).await?;
    let mut out = WebhookOut::from(row);
    out.signing_secret = Some(secret);
    caller.call.answer(StatusCode::CREATED, out)
}
