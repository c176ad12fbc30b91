//! How the answer to a batch looks, the first time and again.

use model::clock::At;
use model::id::{Kind, PublicId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{BatchRow, MessageRow};
use utoipa::ToSchema;

use super::super::output::id_of;

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchOut {
    #[schema(example = "bat_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    batch_id: String,
    #[schema(example = 2)]
    accepted: usize,
    #[schema(example = 0)]
    rejected: usize,
    results: Vec<ResultOut>,
    #[schema(example = "2026-01-01T12:00:00.000Z")]
    created_at: String,
}

/// What became of one recipient: an id, or an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultOut {
    /// Its place in `recipients`, from 0.
    #[schema(example = 0)]
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "msg_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    message_id: Option<String>,
    /// `code`, `message`, and what else is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
}

/// A refusal, as it is stored with its batch.
#[derive(Deserialize)]
struct Refused {
    index: usize,
    error: Value,
}

impl BatchOut {
    pub(super) fn new(batch: PublicId, at: At, results: Vec<ResultOut>) -> Self {
        let accepted = results.iter().filter(|result| result.message_id.is_some()).count();
        Self {
            batch_id: batch.show(Kind::Batch),
            accepted,
            rejected: results.len() - accepted,
            results,
            created_at: at.iso(),
        }
    }

    /// As it was first answered: whoever was not refused is a message, in the order of the request.
    pub(super) fn again(batch: PublicId, row: &BatchRow, messages: &[MessageRow]) -> Self {
        let mut refused = refusals(row).into_iter().peekable();
        let mut messages = messages.iter();
        let mut results = Vec::new();
        for index in 0.. {
            let result = match refused.next_if(|result| result.index == index) {
                Some(result) => result,
                None => match messages.next() {
                    Some(row) => ResultOut::accepted(index, id_of(Kind::Message, &row.id)),
                    None => break,
                },
            };
            results.push(result);
        }
        Self::new(batch, At(row.created_at), results)
    }
}

/// Who was refused, and why, by index.
pub(super) fn refusals(row: &BatchRow) -> Vec<ResultOut> {
    let stored: Vec<Refused> = serde_json::from_str(&row.refused).unwrap_or_default();
    stored.into_iter().map(|one| ResultOut::refused(one.index, one.error)).collect()
}

impl ResultOut {
    pub(super) fn accepted(index: usize, id: String) -> Self {
        Self { index, message_id: Some(id), error: None }
    }

    pub(crate) fn refused(index: usize, error: Value) -> Self {
        Self { index, message_id: None, error: Some(error) }
    }
}
