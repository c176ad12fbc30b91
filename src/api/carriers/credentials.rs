//! `/messaging/smpp/credentials`: where a carrier is, and what is bound to it as.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::id::{Kind, PublicId};
use serde_json::{Value, json};

use super::docs::{CredentialIn, CredentialOut, CredentialPatch, PasswordOut, RotateIn, StatusOut};
use super::{fields, filed_of, id, key_of, live, managed_by_settings};
use crate::api::App;
use crate::api::auth::{Caller, ChangeSmpp, ReadSmpp};
use crate::api::body::Raw;
use crate::api::call::{Envelope, secret};
use crate::api::error::{ApiError, ErrorOut};
use crate::api::page::{List, Page, Query};
use crate::carriers::Filed;
use crate::carriers::change::{no_credential, public};
use crate::carriers::form;

/// Lists the credentials, newest first, and those of the settings file after them.
#[utoipa::path(
    get, path = "/messaging/smpp/credentials", operation_id = "list_smpp_credentials", tag = "smpp",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<CredentialOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let page = Page::newest_first(&app, &caller, List::SmppCredentials, &Query::of(&uri)?)?;
    let stored = app.store.smpp_credentials(caller.organization, page.from, page.reads()).await?;
    let mut rows: Vec<(i64, Value)> =
        stored.iter().map(|row| (row.id, app.carriers.show_credential(row))).collect();
    let filed = filed_of(&app, &caller).into_iter().filter(|(number, _)| *number < page.from);
    rows.extend(filed.map(|(at, filed)| (at, app.carriers.show_filed_credential(filed))));
    let pagination = page.cut(&mut rows, |(number, _)| *number);
    caller.call.page(rows.into_iter().map(|(_, shown)| shown).collect(), pagination)
}

/// Makes a credential. It is bound once a carrier uses it.
#[utoipa::path(
    post, path = "/messaging/smpp/credentials", operation_id = "create_smpp_credential",
    tag = "smpp", request_body = CredentialIn,
    responses(
        (status = 201, description = "Made", body = Envelope<CredentialOut>),
        (status = 409, description = "There are as many as may be", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    live(&caller)?;
    let whose = Some(caller.organization);
    let id = app.carriers.create_credential(whose, &fields(&body)?).await?;
    answer(&app, &caller, StatusCode::CREATED, id).await
}

/// Shows one credential, without its password.
#[utoipa::path(
    get, path = "/messaging/smpp/credentials/{id}", operation_id = "get_smpp_credential",
    tag = "smpp", params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The credential", body = Envelope<CredentialOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(Kind::SmppCredential, &text, no_credential)?;
    if let Some(filed) = filed(&app, &caller, id) {
        return caller.call.answer(StatusCode::OK, app.carriers.show_filed_credential(filed));
    }
    answer(&app, &caller, StatusCode::OK, id).await
}

/// Changes what is given. If a carrier uses it, that one binds anew, and no other.
#[utoipa::path(
    patch, path = "/messaging/smpp/credentials/{id}", operation_id = "update_smpp_credential",
    tag = "smpp", params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = CredentialPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<CredentialOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = 409, description = "It stands in the settings file", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let id = to_change(&app, &caller, &text)?;
    app.carriers.update_credential(Some(caller.organization), id, &fields(&body)?).await?;
    answer(&app, &caller, StatusCode::OK, id).await
}

/// Deletes a credential that no carrier uses.
#[utoipa::path(
    delete, path = "/messaging/smpp/credentials/{id}", operation_id = "delete_smpp_credential",
    tag = "smpp", params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = 409, description = "A carrier uses it", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = to_change(&app, &caller, &text)?;
    app.carriers.delete_credential(Some(caller.organization), id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Shows the password: once after it was set, and the log says to whom.
#[utoipa::path(
    post, path = "/messaging/smpp/credentials/{id}/reveal", operation_id = "reveal_smpp_password",
    tag = "smpp", params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The password", body = Envelope<PasswordOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = 409, description = "It was shown before", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn reveal(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = to_change(&app, &caller, &text)?;
    let by = key_of(&app, &caller).await?;
    let password = app.carriers.reveal(Some(caller.organization), id, &by).await?;
    let out = json!({ "id": id.show(Kind::SmppCredential), "password": password });
    Ok(secret(caller.call.answer(StatusCode::OK, out)?))
}

/// Sets another password, and binds anew with it. One that is made here is shown now.
#[utoipa::path(
    post, path = "/messaging/smpp/credentials/{id}/rotate",
    operation_id = "rotate_smpp_credential", tag = "smpp",
    params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = RotateIn,
    responses(
        (status = 200, description = "Set", body = Envelope<PasswordOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = 409, description = "It stands in the settings file", body = ErrorOut),
        (status = 422, description = "The password is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let id = to_change(&app, &caller, &text)?;
    let given = form::password(&fields(&body)?)?;
    let by = key_of(&app, &caller).await?;
    let made = app.carriers.rotate(Some(caller.organization), id, given, &by).await?;
    let out = json!({ "id": id.show(Kind::SmppCredential), "password": made });
    Ok(secret(caller.call.answer(StatusCode::OK, out)?))
}

/// Shows how it stands, bind by bind.
#[utoipa::path(
    get, path = "/messaging/smpp/credentials/{id}/status",
    operation_id = "get_smpp_credential_status", tag = "smpp",
    params(("id" = String, Path, example = "scr_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "How it stands", body = Envelope<StatusOut>),
        (status = 404, description = "There is no such credential of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn status(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(Kind::SmppCredential, &text, no_credential)?;
    let shown = if let Some(filed) = filed(&app, &caller, id) {
        app.carriers.show_status(Some(&filed.carrier.name), Some(filed.carrier_id()))
    } else {
        let row = app.carriers.credential(Some(caller.organization), id).await?;
        app.carriers.show_status(row.account.as_deref(), row.carrier.as_deref().map(public))
    };
    caller.call.answer(StatusCode::OK, shown)
}

async fn answer<P>(
    app: &App,
    caller: &Caller<P>,
    status: StatusCode,
    id: PublicId,
) -> Result<Response, ApiError> {
    let row = app.carriers.credential(Some(caller.organization), id).await?;
    caller.call.answer(status, app.carriers.show_credential(&row))
}

/// The settings' one of this id, if it is the caller's.
fn filed<'a, P>(app: &'a App, caller: &Caller<P>, id: PublicId) -> Option<&'a Filed> {
    let found = filed_of(app, caller).into_iter().map(|(_, filed)| filed);
    found.into_iter().find(|filed| filed.credential_id() == id)
}

fn to_change(app: &App, caller: &Caller<ChangeSmpp>, text: &str) -> Result<PublicId, ApiError> {
    live(caller)?;
    let id = id(Kind::SmppCredential, text, no_credential)?;
    match filed(app, caller, id) {
        Some(_) => Err(managed_by_settings()),
        None => Ok(id),
    }
}
