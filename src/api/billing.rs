//! `/billing`: what an organization can spend, and where its money went.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::money::Micros;
use serde::Serialize;
use store::{TransferKind, TransferRow, Wallet};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::auth::{Caller, ReadBilling};
use super::call::Envelope;
use super::error::{ApiError, ErrorOut};
use super::messages::id_of;
use super::page::{List, Page, Query};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(balance)).routes(routes!(transactions))
}

/// A wallet. Money is shown in whole cents, rounded down, and exactly in millionths.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BalanceOut {
    /// What can be spent, in cents.
    #[schema(example = 1000)]
    balance: i64,
    /// The same in millionths of a dollar.
    #[schema(example = 10_000_000)]
    balance_micros: i64,
    /// Put aside for messages on their way and calls, in cents.
    held: i64,
    held_micros: i64,
    #[schema(example = "USD")]
    currency: &'static str,
    /// Nothing is left to send with.
    outbound_paused: bool,
}

/// One movement of money.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransactionOut {
    #[schema(example = "txn_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    /// `top_up`, `hold`, `settle` or `release`.
    #[serde(rename = "type")]
    #[schema(example = "settle")]
    kind: &'static str,
    /// Decimal dollars.
    #[schema(example = "0.007900")]
    amount: String,
    amount_micros: i64,
    /// How the spendable balance changed, in millionths: negative for a hold, 0 for a settle.
    balance_change_micros: i64,
    #[schema(example = "USD")]
    currency: &'static str,
    message_id: Option<String>,
    call_id: Option<String>,
    note: Option<String>,
    created_at: String,
}

/// Shows the wallet.
#[utoipa::path(
    get, path = "/billing/balance", operation_id = "get_balance", tag = "billing",
    responses(
        (status = 200, description = "The wallet", body = Envelope<BalanceOut>),
        (status = "default", description = "Any error", body = ErrorOut),
    ),
)]
pub(crate) async fn balance(
    State(app): State<App>,
    caller: Caller<ReadBilling>,
) -> Result<Response, ApiError> {
    let wallet = app.store.wallet(caller.organization).await?;
    let wallet = wallet.unwrap_or(Wallet { available: 0, held: 0 });
    let out = BalanceOut::from(&wallet);
    caller.call.answer(StatusCode::OK, out)
}

/// Lists movements of money, newest first.
#[utoipa::path(
    get, path = "/billing/transactions", operation_id = "list_transactions", tag = "billing",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<TransactionOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn transactions(
    State(app): State<App>,
    caller: Caller<ReadBilling>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let page = Page::newest_first(&app, &caller, List::Transactions, &query)?;
    let organization = caller.organization;
    let mut rows = app.store.transfers(organization, page.from, page.reads()).await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    let data = rows.into_iter().map(TransactionOut::from).collect();
    caller.call.page(data, pagination)
}

impl From<&Wallet> for BalanceOut {
    fn from(wallet: &Wallet) -> Self {
        Self {
            balance: Micros(wallet.available).cents(),
            balance_micros: wallet.available,
            held: Micros(wallet.held).cents(),
            held_micros: wallet.held,
            currency: "USD",
            outbound_paused: wallet.available <= 0,
        }
    }
}

impl From<TransferRow> for TransactionOut {
    fn from(row: TransferRow) -> Self {
        let kind = TransferKind::from_code(row.kind).unwrap_or(TransferKind::TopUp);
        let change = match kind {
            TransferKind::TopUp | TransferKind::Release => row.amount,
            TransferKind::Hold | TransferKind::NumberRental => -row.amount,
            TransferKind::Settle => 0,
        };
        Self {
            id: PublicId::of_row(At(row.at), row.seq).show(Kind::Transaction),
            kind: kind.as_str(),
            amount: Micros(row.amount).to_string(),
            amount_micros: row.amount,
            balance_change_micros: change,
            currency: "USD",
            message_id: row.message_id.map(|id| id_of(Kind::Message, &id)),
            call_id: row.call_id.map(|id| id_of(Kind::Call, &id)),
            note: row.note,
            created_at: At(row.at).iso(),
        }
    }
}
