//! `dry_run` of a batch: all checks and all gates, and nothing of it stays.

use axum::http::StatusCode;
use axum::response::Response;
use model::country::country_of;
use model::id::PublicId;
use model::submission::{Credential, Submission};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::super::App;
use super::super::super::auth::{Caller, SendBatch};
use super::super::super::error::ApiError;
use super::super::totals::{CountryOut, Totals};
use super::decide::Decisions;
use super::output::ResultOut;

/// What would become of a batch now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRunOut {
    /// `true`.
    #[schema(example = true)]
    dry_run: bool,
    /// How many messages would be stored, if the balance covers them.
    #[schema(example = 997)]
    accepted: usize,
    /// How many recipients would be refused.
    #[schema(example = 3)]
    rejected: usize,
    /// Those of the refused whom a gate stops: opted out, over a cap.
    #[schema(example = 1)]
    blocked: usize,
    /// Those of the accepted that would wait for a time.
    #[schema(example = 0)]
    scheduled: usize,
    #[schema(example = 997)]
    segments: i64,
    /// Decimal dollars.
    #[schema(example = "7.876300")]
    total_price: String,
    #[schema(example = "USD")]
    currency: &'static str,
    /// The wallet has enough for all of it now.
    balance_covers: bool,
    by_country: Vec<CountryOut>,
    /// The refused, and why.
    errors: Vec<ResultOut>,
}

pub(super) async fn answer(
    app: &App,
    caller: &Caller<SendBatch>,
    mut decisions: Decisions,
) -> Result<Response, ApiError> {
    let messages = decisions.messages();
    let (mut blocked, mut scheduled, mut unpaid) = (0, 0, None);
    if !messages.is_empty() {
        let batch = decisions.batch(PublicId::new(caller.call.at()), None);
        let submission = Submission {
            organization: caller.organization,
            credential: Credential::ApiKey(caller.key),
            idempotency: None,
            batch: Some(batch),
            messages,
        };
        let foreseen = app.writer.preview(submission).await?;
        (blocked, scheduled) = (foreseen.refused.len(), foreseen.later.len());
        unpaid = foreseen.unpaid;
        decisions.refuse(foreseen.refused);
    }
    let mut totals = Totals::default();
    let accepted = decisions.messages();
    accepted.iter().for_each(|message| totals.add(message, country_of(&message.to)));
    let errors = decisions.errors().map(|(n, fault)| ResultOut::refused(n, fault.to_json()));
    let errors: Vec<ResultOut> = errors.collect();
    let out = DryRunOut {
        dry_run: true,
        accepted: accepted.len(),
        rejected: errors.len(),
        blocked,
        scheduled,
        segments: totals.segments(),
        total_price: totals.price().to_string(),
        currency: "USD",
        balance_covers: unpaid.is_none(),
        by_country: totals.by_country(),
        errors,
    };
    caller.call.answer(StatusCode::OK, out)
}
