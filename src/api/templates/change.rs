//! `POST /messages/templates`; `PATCH`, `PUT` and `DELETE /messages/templates/{id}`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::carrier::OrgId;
use model::id::PublicId;
use model::refusal::Code;
use store::lane::{Admin, AdminDone, TemplateChange, TemplateDone};

use super::super::App;
use super::super::auth::{Caller, ChangeTemplates};
use super::super::body::Raw;
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::input::{TemplateChangeIn, TemplateIn};
use super::output::TemplateOut;
use super::read::{id_in, unknown};

/// Keeps a template. That of an SMS can be used at once.
#[utoipa::path(
    post, path = "/messages/templates", operation_id = "create_template", tag = "templates",
    request_body = TemplateIn,
    responses(
        (status = 201, description = "It is kept", body = Envelope<TemplateOut>),
        (status = 409, description = "Another one has this name", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeTemplates>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let text = TemplateIn::parse(&raw)?;
    let id = PublicId::new(caller.call.at());
    perform(&app, caller.organization, TemplateChange::Create { id, text }).await?;
    answer(&app, &caller, StatusCode::CREATED, id).await
}

/// Changes a template: the fields that are given. Messages that were made from it stay as they
/// are.
#[utoipa::path(
    patch, path = "/messages/templates/{id}", operation_id = "update_template", tag = "templates",
    params(("id" = String, Path, example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = TemplateChangeIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<TemplateOut>),
        (status = 404, description = "There is no such template of yours", body = ErrorOut),
        (status = 409, description = "Another one has this name", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeTemplates>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    change(&app, &caller, &id, &raw).await
}

/// The same as `PATCH`: what is left out stays.
#[utoipa::path(
    put, path = "/messages/templates/{id}", operation_id = "put_template", tag = "templates",
    params(("id" = String, Path, example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = TemplateChangeIn,
    responses(
        (status = 200, description = "As it is now", body = Envelope<TemplateOut>),
        (status = 404, description = "There is no such template of yours", body = ErrorOut),
        (status = 409, description = "Another one has this name", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller<ChangeTemplates>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    change(&app, &caller, &id, &raw).await
}

/// Deletes a template. Messages that were made from it stay.
#[utoipa::path(
    delete, path = "/messages/templates/{id}", operation_id = "delete_template", tag = "templates",
    params(("id" = String, Path, example = "tpl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such template of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeTemplates>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = id_in(&id)?;
    perform(&app, caller.organization, TemplateChange::Delete { id }).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn change(
    app: &App,
    caller: &Caller<ChangeTemplates>,
    id: &str,
    raw: &[u8],
) -> Result<Response, ApiError> {
    let id = id_in(id)?;
    let patch = TemplateChangeIn::parse(raw)?;
    perform(app, caller.organization, TemplateChange::Update { id, patch }).await?;
    answer(app, caller, StatusCode::OK, id).await
}

async fn perform(app: &App, organization: OrgId, change: TemplateChange) -> Result<(), ApiError> {
    match app.writer.change(Admin::Template { organization, change }).await? {
        AdminDone::Template(TemplateDone::Stored) => Ok(()),
        AdminDone::Template(TemplateDone::Unknown) => Err(unknown()),
        AdminDone::Template(TemplateDone::NameTaken) => {
            let message = "another template of this channel has this name";
            Err(Fault::new(Code::Conflict, message).field("name").into())
        }
        _ => Err(ApiError::internal()),
    }
}

async fn answer(
    app: &App,
    caller: &Caller<ChangeTemplates>,
    status: StatusCode,
    id: PublicId,
) -> Result<Response, ApiError> {
    let row = app.store.template(caller.organization, id).await?;
    // Somebody may have deleted it meanwhile.
    let row = row.ok_or_else(unknown)?;
    caller.call.answer(status, TemplateOut::from(row))
}
