//! `GET /messages/batches/{id}`: how far a batch has come, and what it has cost.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::clock::At;
use model::id::{Kind, PublicId};
use model::message::Status;
use model::money::Micros;
use model::refusal::Code;
use serde::Serialize;
use store::{BatchCount, BatchMoney, BatchRow, TransferKind};
use utoipa::ToSchema;

use super::super::super::App;
use super::super::super::auth::{Caller, ReadMessages};
use super::super::super::call::Envelope;
use super::super::super::error::{ApiError, ErrorOut};
use super::super::output::id_of;
use super::output::{ResultOut, refusals};

/// How far a batch has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressOut {
    #[schema(example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    batch_id: String,
    /// How many messages were stored.
    #[schema(example = 998)]
    accepted: i64,
    /// How many recipients were refused.
    #[schema(example = 2)]
    rejected: i64,
    /// How many messages stand in each status; those without any are left out.
    #[schema(example = json!({"sent": 98, "delivered": 900}))]
    statuses: BTreeMap<&'static str, i64>,
    #[schema(example = 998)]
    segments: i64,
    cost: CostOut,
    /// Nothing waits, is on its way or scheduled any more.
    done: bool,
    /// The refused, and why.
    errors: Vec<ResultOut>,
    template_id: Option<String>,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    created_at: String,
}

/// What a batch has cost so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostOut {
    /// Put aside for what is on its way, in decimal dollars.
    #[schema(example = "0.000000")]
    held: String,
    /// Paid for what carriers took.
    #[schema(example = "7.884200")]
    settled: String,
    #[schema(example = "USD")]
    currency: &'static str,
}

/// Shows how far a batch has come. Its messages are listed by `GET /messages?batch_id=`.
#[utoipa::path(
    get, path = "/messages/batches/{id}", operation_id = "get_batch", tag = "messages",
    params(("id" = String, Path, example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")),
    responses(
        (status = 200, description = "How it stands", body = Envelope<ProgressOut>),
        (status = 404, description = "There is no such batch of yours", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller<ReadMessages>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no such batch");
    let id = PublicId::parse(Kind::Batch, &id).ok_or_else(unknown)?;
    let row = app.store.batch_row(caller.organization, id).await?.ok_or_else(unknown)?;
    let counts = app.store.batch_counts(caller.organization, id).await?;
    let money = app.store.batch_money(caller.organization, id).await?;
    caller.call.answer(StatusCode::OK, ProgressOut::new(id, &row, &counts, &money))
}

impl ProgressOut {
    fn new(id: PublicId, row: &BatchRow, counts: &[BatchCount], money: &[BatchMoney]) -> Self {
        let mut statuses = BTreeMap::new();
        for count in counts {
            let status = match Status::from_code(count.status) {
                Some(Status::Queued) if count.sending != 0 => Status::Sending,
                Some(status) => status,
                None => Status::Queued,
            };
            *statuses.entry(status).or_insert(0) += count.messages;
        }
        Self {
            batch_id: id.show(Kind::Batch),
            accepted: row.accepted,
            rejected: row.rejected,
            segments: counts.iter().map(|count| count.segments).sum(),
            cost: CostOut::new(money),
            done: statuses.keys().all(|status| status.is_final()),
            statuses: statuses.into_iter().map(|(status, n)| (status.as_str(), n)).collect(),
            errors: refusals(row),
            template_id: row.template_id.as_deref().map(|id| id_of(Kind::Template, id)),
            created_at: At(row.created_at).iso(),
        }
    }
}

impl CostOut {
    fn new(money: &[BatchMoney]) -> Self {
        let sum = |kind: TransferKind| {
            let rows = money.iter().filter(|row| row.kind == kind.code());
            rows.fold(Micros::ZERO, |sum, row| sum + Micros(row.amount))
        };
        let settled = sum(TransferKind::Settle);
        let held = sum(TransferKind::Hold) - settled - sum(TransferKind::Release);
        Self { held: held.to_string(), settled: settled.to_string(), currency: "USD" }
    }
}
