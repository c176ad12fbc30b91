//! `/messaging/smpp/carriers`: what an organization's own carriers are chosen for, and their habits.

use actors::traffic::admission::SendRequest;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::id::{Kind, PublicId};
use model::message::Category;
use model::refusal::{Code, Refusal};
use serde_json::Value;

use super::docs::{CarrierIn, CarrierOut, CarrierPatch, TestIn};
use super::{fields, filed_of, id, live, managed_by_settings};
use crate::api::App;
use crate::api::auth::{Caller, ChangeSmpp, ReadSmpp};
use crate::api::body::Raw;
use crate::api::call::Envelope;
use crate::api::error::{ApiError, ErrorOut};
use crate::api::messages::{AcceptedOut, submit};
use crate::api::page::{List, Page, Query};
use crate::carriers::Filed;
use crate::carriers::change::no_carrier;
use crate::carriers::form::{self, Fields};
use crate::carriers::show::whole;
use crate::settings::Carrier;

/// The text of a test message that has none.
const TEST_TEXT: &str = "Test message";

/// Lists the carriers, newest first, and those of the settings file after them.
#[utoipa::path(
    get, path = "/messaging/smpp/carriers", operation_id = "list_smpp_carriers", tag = "smpp",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<CarrierOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let page = Page::newest_first(&app, &caller, List::SmppCarriers, &Query::of(&uri)?)?;
    let stored = app.store.smpp_carriers(caller.organization, page.from, page.reads()).await?;
    let mut rows: Vec<(i64, Value)> =
        stored.iter().map(|row| (row.id, app.carriers.show_carrier(row))).collect();
    let filed = filed_of(&app, &caller).into_iter().filter(|(number, _)| *number < page.from);
    rows.extend(filed.map(|(at, filed)| (at, app.carriers.show_filed_carrier(filed))));
    let pagination = page.cut(&mut rows, |(number, _)| *number);
    caller.call.page(rows.into_iter().map(|(_, shown)| shown).collect(), pagination)
}

/// Makes a carrier: it binds and takes messages from now on.
#[utoipa::path(
    post, path = "/messaging/smpp/carriers", operation_id = "create_smpp_carrier", tag = "smpp",
    request_body = CarrierIn,
    responses(
        (status = 201, description = "Made", body = Envelope<CarrierOut>),
        (status = 409, description = "A carrier uses the credential, or there are as many as may be",
            body = ErrorOut),
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
    let said = fields(&body)?;
    let credential = credential(&app, &caller, &said)?.ok_or(form::missing("credential_id"))?;
    let whose = Some(caller.organization);
    let id = app.carriers.create_carrier(whose, credential, None, &said).await?;
    answer(&app, &caller, StatusCode::CREATED, id).await
}

/// Shows one carrier.
#[utoipa::path(
    get, path = "/messaging/smpp/carriers/{id}", operation_id = "get_smpp_carrier", tag = "smpp",
    params(("id" = String, Path, example = "car_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The carrier", body = Envelope<CarrierOut>),
        (status = 404, description = "There is no such carrier of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = id(Kind::Carrier, &text, no_carrier)?;
    if let Some(filed) = filed(&app, &caller, id) {
        return caller.call.answer(StatusCode::OK, app.carriers.show_filed_carrier(filed));
    }
    answer(&app, &caller, StatusCode::OK, id).await
}

/// Changes what is given, from the next message on. Binds are made anew only where they must be.
#[utoipa::path(
    patch, path = "/messaging/smpp/carriers/{id}", operation_id = "update_smpp_carrier",
    tag = "smpp", params(("id" = String, Path, example = "car_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = CarrierPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<CarrierOut>),
        (status = 404, description = "There is no such carrier of yours", body = ErrorOut),
        (status = 409, description = "It stands in the settings file, or the credential is in use",
            body = ErrorOut),
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
    let said = fields(&body)?;
    let credential = credential(&app, &caller, &said)?;
    app.carriers.update_carrier(Some(caller.organization), id, credential, &said).await?;
    answer(&app, &caller, StatusCode::OK, id).await
}

/// Deletes a carrier. What it has under way is finished; what waits for it expires, or is routed
/// elsewhere.
#[utoipa::path(
    delete, path = "/messaging/smpp/carriers/{id}", operation_id = "delete_smpp_carrier",
    tag = "smpp", params(("id" = String, Path, example = "car_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such carrier of yours", body = ErrorOut),
        (status = 409, description = "It stands in the settings file", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let id = to_change(&app, &caller, &text)?;
    app.carriers.delete_carrier(Some(caller.organization), id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sends a message through this carrier, whatever it is otherwise chosen for. It is a message like
/// any other: the gates decide, and it is paid for.
#[utoipa::path(
    post, path = "/messaging/smpp/carriers/{id}/test", operation_id = "test_smpp_carrier",
    tag = "smpp", params(("id" = String, Path, example = "car_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = TestIn,
    responses(
        (status = 202, description = "Stored, and queued", body = Envelope<AcceptedOut>),
        (status = 402, description = "The balance does not cover it", body = ErrorOut),
        (status = 404, description = "There is no such carrier of yours", body = ErrorOut),
        (status = 409, description = "The carrier is disabled, or cannot be run", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(text): Path<String>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    live(&caller)?;
    let said = fields(&body)?;
    let id = id(Kind::Carrier, &text, no_carrier)?;
    let organization = Some(caller.organization);
    let (number, carrier, enabled) = if let Some(filed) = filed(&app, &caller, id) {
        (filed.id, Some(filed.carrier.clone()), filed.carrier.enabled)
    } else {
        let row = app.carriers.carrier(organization, id).await?;
        (model::carrier::CarrierId(row.carrier_id), whole(&row), row.disabled_at.is_none())
    };
    let word = |field: &'static str| match said.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(form::wrong(field, "a string")),
    };
    let request = SendRequest {
        to: word("to")?.ok_or(form::missing("to"))?,
        from: word("from")?,
        pool: None,
        body: word("body")?.unwrap_or_else(|| String::from(TEST_TEXT)),
        encoding: None,
        category: Category::Transactional,
        metadata: None,
        test: false,
        submitted: None,
        account: None,
    };
    // Its account may be one that cannot be run: its password does not open.
    let runs = |carrier: &&Carrier| enabled && app.carriers.fault(&carrier.name).is_none();
    let through = carrier.as_ref().filter(runs);
    let through = through.and_then(|c| app.carriers.through(number, c, organization));
    let Some(through) = through else {
        return Err(Refusal::new(Code::Conflict, "the carrier is not running here").into());
    };
    let message = through.check(caller.organization, request, caller.call.at())?;
    submit(&app, &caller, message, None).await
}

async fn answer<P>(
    app: &App,
    caller: &Caller<P>,
    status: StatusCode,
    id: PublicId,
) -> Result<Response, ApiError> {
    let row = app.carriers.carrier(Some(caller.organization), id).await?;
    caller.call.answer(status, app.carriers.show_carrier(&row))
}

/// The credential that is named; one of the settings file has its carrier.
fn credential(
    app: &App,
    caller: &Caller<ChangeSmpp>,
    said: &Fields,
) -> Result<Option<PublicId>, ApiError> {
    let unknown = || form::wrong("credential_id", "the id of a credential of yours");
    let text = match said.get("credential_id") {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(_) => return Err(unknown().into()),
    };
    let id = id(Kind::SmppCredential, text, unknown)?;
    match filed_of(app, caller).iter().any(|(_, filed)| filed.credential_id() == id) {
        true => Err(managed_by_settings()),
        false => Ok(Some(id)),
    }
}

/// The settings' one of this id, if it is the caller's.
fn filed<'a, P>(app: &'a App, caller: &Caller<P>, id: PublicId) -> Option<&'a Filed> {
    let found = filed_of(app, caller).into_iter().map(|(_, filed)| filed);
    found.into_iter().find(|filed| filed.carrier_id() == id)
}

fn to_change(app: &App, caller: &Caller<ChangeSmpp>, text: &str) -> Result<PublicId, ApiError> {
    live(caller)?;
    let id = id(Kind::Carrier, text, no_carrier)?;
    match filed(app, caller, id) {
        Some(_) => Err(managed_by_settings()),
        None => Ok(id),
    }
}
