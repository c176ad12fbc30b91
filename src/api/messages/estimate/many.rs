//! What a message to many would take.

use model::country::country_of;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::super::App;
use super::super::super::auth::Caller;
use super::super::batch::{Common, ResultOut};
use super::super::totals::{CountryOut, Totals};
use super::advice::{WarningOut, warnings};
use super::one::estimate as estimate_one;

/// What a message to many would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManyOut {
    /// How many recipients there are.
    #[schema(example = 1000)]
    recipients: usize,
    /// How many of them a send would refuse, opt-outs and caps aside.
    #[schema(example = 3)]
    rejected: usize,
    #[schema(example = 997)]
    segments: i64,
    /// Decimal dollars.
    #[schema(example = "7.876300")]
    total_price: String,
    #[schema(example = "USD")]
    currency: &'static str,
    /// When it is charged: `resold_at_submit`.
    #[schema(example = "resold_at_submit")]
    billing_class: &'static str,
    by_country: Vec<CountryOut>,
    /// The refused, and why.
    errors: Vec<ResultOut>,
    /// One of each kind, with how many recipients it is true of.
    warnings: Vec<WarningOut>,
}

pub(super) fn estimate<P>(
    app: &App,
    caller: &Caller<P>,
    common: &Common,
    recipients: Vec<Value>,
    business: Option<&str>,
) -> ManyOut {
    let count = recipients.len();
    let mut totals = Totals::default();
    let (mut errors, mut warned) = (Vec::new(), Vec::<WarningOut>::new());
    for (index, recipient) in recipients.into_iter().enumerate() {
        let estimate = match estimate_one(app, caller, common, recipient) {
            Ok(estimate) => estimate,
            Err(fault) => {
                errors.push(ResultOut::refused(index, fault.to_json()));
                continue;
            }
        };
        let country = country_of(&estimate.message.to);
        totals.add(&estimate.message, country);
        for warning in warnings(&estimate, common, country, business) {
            WarningOut::gather(&mut warned, warning);
        }
    }
    ManyOut {
        recipients: count,
        rejected: errors.len(),
        segments: totals.segments(),
        total_price: totals.price().to_string(),
        currency: "USD",
        billing_class: "resold_at_submit",
        by_country: totals.by_country(),
        errors,
        warnings: warned,
    }
}
