//! `/smpp/accounts`: what a customer's SMS system binds as.
//!
//! A password is shown once, when it is made. A change holds at once: binds of the account are
//! asked to leave, and come again under what it is now.

mod input;
mod outbind;

use actors::smpp::server::accounts::Accounts;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use model::clock::At;
use model::esme::{BindType, IdFormat, ReceiptFormat};
use model::id::{Kind, PublicId};
use model::message::Category;
use model::refusal::{Code, Refusal};
use serde::Serialize;
use serde_json::Value;
use store::SmppAccountRow;
use store::lane::{Admin, AdminDone, SmppChange, SmppSettings};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ChangeSmpp, ReadSmpp};
use super::body::Raw;
use super::call::{Envelope, secret};
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::{List, Page, Query};

use input::AccountDoc;
pub(crate) use input::{AccountIn, AccountPatch};
use outbind::OutbindOut;

/// SMPP 3.4 §5.2.2: a password has at most eight characters.
const PASSWORD_LENGTH: usize = 8;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(rotate))
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountOut {
    #[schema(example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    name: String,
    /// What an ESME binds as.
    system_id: String,
    /// Addresses and networks it may bind from; empty for any.
    allowed_ips: Value,
    /// `transmitter`, `receiver`, `transceiver`.
    bind_types: Vec<&'static str>,
    max_binds: i64,
    /// Messages in any second, over all its binds; 0: as all such accounts of the organization
    /// together may, if the operator set a limit.
    tps: i64,
    /// Requests that may be unanswered on one bind, in each direction.
    window_size: i64,
    /// `live` or `test`.
    mode: &'static str,
    category: &'static str,
    default_sender: Option<String>,
    /// The pool that chooses a sender for what comes without one, in its place.
    #[schema(example = "spl_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    default_sender_pool_id: Option<String>,
    /// Empty for any.
    allowed_senders: Value,
    /// `text`, `tlv` or `both`.
    receipt_format: &'static str,
    /// `decimal` or `hex`.
    id_format: &'static str,
    /// Numbers, or prefixes that end with `*`; empty for all of the organization.
    inbound_numbers: Value,
    once_by_reference: bool,
    /// Answers to binds that speak SMPP 5.0 say how busy the switch is.
    congestion_state: bool,
    /// What happens on the way is told, where a submit asks for it.
    intermediate_receipts: bool,
    /// Where its system is called when something is owed to it and it is not bound.
    outbind: Option<OutbindOut>,
    /// `enabled` or `disabled`.
    status: &'static str,
    /// Connections bound now.
    binds: usize,
    created_at: String,
    updated_at: String,
}

/// An account with its password, once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountWithPasswordOut {
    #[serde(flatten)]
    account: AccountOut,
    /// Shown only now.
    password: String,
}

/// Lists the accounts, newest first.
#[utoipa::path(
    get, path = "/smpp/accounts", operation_id = "list_smpp_accounts", tag = "smpp",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<AccountOut>>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::SmppAccounts, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.smpp_accounts(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.id);
    let data = rows.iter().map(|row| AccountOut::of(&app.accounts, row)).collect();
    caller.call.page(data, pagination)
}

/// Makes an account. Its password is shown once.
#[utoipa::path(
    post, path = "/smpp/accounts", operation_id = "create_smpp_account", tag = "smpp",
    request_body = AccountDoc,
    responses(
        (status = 201, description = "Made", body = Envelope<AccountWithPasswordOut>),
        (status = 409, description = "The system_id is taken", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let input = AccountIn::parse(&body, caller.test)?;
    let password = input.password.unwrap_or_else(new_password);
    let id = PublicId::new(caller.call.at());
    let who = (caller.organization, id);
    let settings = input.said.settled(who, &app.store, Some(&app.carriers)).await?;
    let is_called = settings.outbind.is_some();
    let change = SmppChange::Create {
        id,
        organization: caller.organization,
        password_mac: app.accounts.mac(&input.system_id, &password),
        system_id: input.system_id,
        settings,
    };
    if !changed(&app, change).await? {
        return Err(ApiError::new(Code::Conflict, "this system_id is taken")
            .detail("field", Value::from("system_id")));
    }
    let account = AccountOut::of(&app.accounts, &taken_up(&app, &caller, id, is_called).await?);
    let out = AccountWithPasswordOut { account, password };
    Ok(secret(caller.call.answer(StatusCode::CREATED, out)?))
}

/// Shows one account.
#[utoipa::path(
    get, path = "/smpp/accounts/{id}", operation_id = "get_smpp_account", tag = "smpp",
    params(("id" = String, Path, example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "The account", body = Envelope<AccountOut>),
        (status = 404, description = "There is no such account of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadSmpp>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find(&app, &caller, &id).await?;
    caller.call.answer(StatusCode::OK, AccountOut::of(&app.accounts, &row))
}

/// Changes what is given, and asks the account's binds to come again.
#[utoipa::path(
    patch, path = "/smpp/accounts/{id}", operation_id = "update_smpp_account", tag = "smpp",
    params(("id" = String, Path, example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    request_body = AccountPatch,
    responses(
        (status = 200, description = "As it is now", body = Envelope<AccountOut>),
        (status = 404, description = "There is no such account of yours", body = ErrorOut),
        (status = 409, description = "Somebody changed it meanwhile", body = ErrorOut),
        (status = 422, description = "A field is refused", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(id): Path<String>,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let said = AccountPatch::apply(&body, &row)?;
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    let (organization, seen) = (caller.organization, At(row.updated_at));
    let settings = said.settled((organization, id), &app.store, Some(&app.carriers)).await?;
    if !changed(&app, SmppChange::Update { id, organization, seen, settings }).await? {
        let message = "the account was changed by somebody else meanwhile; read it and try again";
        return Err(Refusal::new(Code::Conflict, message).into());
    }
    let row = taken_up(&app, &caller, id, true).await?;
    caller.call.answer(StatusCode::OK, AccountOut::of(&app.accounts, &row))
}

/// Deletes an account. Its binds are closed; what it is owed is not delivered any more.
#[utoipa::path(
    delete, path = "/smpp/accounts/{id}", operation_id = "delete_smpp_account", tag = "smpp",
    params(("id" = String, Path, example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is no such account of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    if !changed(&app, SmppChange::Delete { id, organization: caller.organization }).await? {
        return Err(gone());
    }
    app.accounts.remove(row.id);
    (app.smpp_changed)(&row.system_id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives an account another password, shown once. Its binds must come again with it.
#[utoipa::path(
    post, path = "/smpp/accounts/{id}/rotate-password", operation_id = "rotate_smpp_password",
    tag = "smpp",
    params(("id" = String, Path, example = "sma_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "With its password", body = Envelope<AccountWithPasswordOut>),
        (status = 404, description = "There is no such account of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller<ChangeSmpp>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let row = find_to_change(&app, &caller, &id).await?;
    let id = PublicId::from_bytes(row.public_id.as_slice().try_into().unwrap_or_default());
    let password = new_password();
    let password_mac = app.accounts.mac(&row.system_id, &password);
    let organization = caller.organization;
    changed(&app, SmppChange::SetPassword { id, organization, password_mac }).await?;
    let account = AccountOut::of(&app.accounts, &taken_up(&app, &caller, id, true).await?);
    let out = AccountWithPasswordOut { account, password };
    Ok(secret(caller.call.answer(StatusCode::OK, out)?))
}

async fn find<P>(app: &App, caller: &Caller<P>, id: &str) -> Result<SmppAccountRow, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such SMPP account");
    let id = PublicId::parse(Kind::SmppAccount, id).ok_or_else(unknown)?;
    app.store.smpp_account(caller.organization, id).await?.ok_or_else(unknown)
}

/// A test key changes no live account: who has its password sends for money.
async fn find_to_change(
    app: &App,
    caller: &Caller<ChangeSmpp>,
    id: &str,
) -> Result<SmppAccountRow, ApiError> {
    let row = find(app, caller, id).await?;
    if caller.test && row.test_mode == 0 {
        return Err(ApiError::new(Code::WrongKeyMode, "a live account is changed with a live key"));
    }
    Ok(row)
}

async fn changed(app: &App, change: SmppChange) -> Result<bool, ApiError> {
    let done = app.writer.administer(Admin::Smpp(Box::new(change))).await?;
    Ok(done == AdminDone::Smpp(true))
}

/// Makes the account known to the server as it is stored now.
async fn taken_up<P>(
    app: &App,
    caller: &Caller<P>,
    id: PublicId,
    leave: bool,
) -> Result<SmppAccountRow, ApiError> {
    let row = app.store.smpp_account(caller.organization, id).await?;
    let row = row.ok_or_else(gone)?;
    app.accounts.put(&row);
    if leave {
        (app.smpp_changed)(&row.system_id);
    }
    Ok(row)
}

fn gone() -> ApiError {
    ApiError::new(Code::NotFound, "the account was deleted by somebody else meanwhile")
}

pub(crate) fn new_password() -> String {
    crate::password::new(PASSWORD_LENGTH)
}

impl AccountOut {
    pub(crate) fn of(accounts: &Accounts, row: &SmppAccountRow) -> Self {
        let list = |text: &str| serde_json::from_str(text).unwrap_or(Value::Array(Vec::new()));
        let types = BindType::ALL.iter().filter(|kind| row.bind_types & kind.code() != 0);
        Self {
            id: id_of(Kind::SmppAccount, &row.public_id),
            name: row.name.clone(),
            system_id: row.system_id.clone(),
            allowed_ips: list(&row.allowed_ips),
            bind_types: types.map(|kind| kind.as_str()).collect(),
            max_binds: row.max_binds,
            tps: row.tps,
            window_size: row.window_size,
            mode: if row.test_mode != 0 { "test" } else { "live" },
            category: Category::from_code(row.category).map_or("transactional", Category::as_str),
            default_sender: row.default_sender.clone(),
            default_sender_pool_id: row.default_sender_pool().map(|id| id.show(Kind::SenderPool)),
            allowed_senders: list(&row.allowed_senders),
            receipt_format: ReceiptFormat::from_code(row.receipt_format)
                .map_or("both", ReceiptFormat::as_str),
            id_format: IdFormat::from_code(row.id_format).map_or("decimal", IdFormat::as_str),
            inbound_numbers: list(&row.inbound_numbers),
            once_by_reference: row.once_by_reference != 0,
            congestion_state: row.congestion_state != 0,
            intermediate_receipts: row.intermediate_receipts != 0,
            outbind: OutbindOut::of(row),
            status: if row.disabled_at.is_some() { "disabled" } else { "enabled" },
            binds: accounts.find(&row.system_id).map_or(0, |account| account.binds()),
            created_at: At(row.created_at).iso(),
            updated_at: At(row.updated_at).iso(),
        }
    }
}

/// What an account is when nothing is said.
pub(crate) fn defaults(test: bool) -> SmppSettings {
    SmppSettings {
        name: String::new(),
        allowed_ips: String::from("[]"),
        bind_types: 7,
        max_binds: 5,
        tps: 0,
        window_size: 100,
        test,
        category: Category::Transactional.code(),
        default_sender: None,
        default_sender_pool: None,
        allowed_senders: String::from("[]"),
        receipt_format: ReceiptFormat::Both.code(),
        id_format: IdFormat::Decimal.code(),
        inbound_numbers: String::from("[]"),
        once_by_reference: false,
        congestion_state: false,
        intermediate_receipts: false,
        disabled: false,
        outbind: None,
        outbind_password: None,
    }
}
