//! `POST /frequency-caps`, `PATCH` and `DELETE /frequency-caps/{id}`: stored by the writer, and in
//! force from the next transaction on.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::id::PublicId;
use model::refusal::Code;
use serde::Serialize;
use store::lane::{Admin, AdminDone, CapChange, CapDone};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ChangeCompliance};
use super::super::body::Raw;
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut, Fault};
use super::input::{CapIn, CapPatchIn};
use super::read::{CapOut, find, parse, unknown};

/// What is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedOut {
    id: String,
    deleted: bool,
}

/// Makes a rule. It counts from now on.
#[utoipa::path(
    post, path = "/frequency-caps", operation_id = "create_frequency_cap", tag = "frequency-caps",
    request_body = CapIn,
    responses(
        (status = 201, description = "The rule", body = Envelope<CapOut>),
        (status = 422, description = "A field is refused, or there are 50", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let id = PublicId::new(caller.call.at());
    let (organization, cap) = (caller.organization, CapIn::parse(&raw, id)?);
    perform(&app, CapChange::Create { organization, cap }).await?;
    caller.call.answer(StatusCode::CREATED, find(&app, organization, id).await?)
}

/// Changes a rule. What it has counted stays counted.
#[utoipa::path(
    patch, path = "/frequency-caps/{id}", operation_id = "update_frequency_cap",
    tag = "frequency-caps",
    params(("id" = String, Path, example = "fcr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = CapPatchIn,
    responses(
        (status = 200, description = "The rule", body = Envelope<CapOut>),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Path(id): Path<String>,
    Raw(raw): Raw,
) -> Result<Response, ApiError> {
    let (organization, id) = (caller.organization, parse(&id)?);
    let patch = CapPatchIn::parse(&raw)?;
    perform(&app, CapChange::Change { organization, id, patch }).await?;
    caller.call.answer(StatusCode::OK, find(&app, organization, id).await?)
}

/// Deletes a rule and what it counted.
#[utoipa::path(
    delete, path = "/frequency-caps/{id}", operation_id = "delete_frequency_cap",
    tag = "frequency-caps",
    params(("id" = String, Path, example = "fcr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "It is gone", body = Envelope<DeletedOut>),
        (status = 404, description = "There is no such rule of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeCompliance>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let change = CapChange::Delete { organization: caller.organization, id: parse(&id)? };
    perform(&app, change).await?;
    caller.call.answer(StatusCode::OK, DeletedOut { id, deleted: true })
}

async fn perform(app: &App, change: CapChange) -> Result<(), ApiError> {
    match app.writer.administer(Admin::Cap(change)).await? {
        AdminDone::Cap(CapDone::Stored) => Ok(()),
        AdminDone::Cap(CapDone::Unknown) => Err(unknown()),
        AdminDone::Cap(CapDone::TooMany) => {
            let message = "the organization has as many frequency caps as it may";
            Err(Fault::new(Code::ValidationError, message).expected("at most 50 rules").into())
        }
        _ => Err(ApiError::internal()),
    }
}
