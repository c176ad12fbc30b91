//! What one message would take.

use actors::traffic::admission::Estimate;
use actors::traffic::text;
use model::country::country_of;
use model::message::Encoding;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::super::App;
use super::super::super::auth::Caller;
use super::super::super::error::Fault;
use super::super::batch::Common;
use super::advice::{WarningOut, warnings};

/// Characters outside GSM-7 that are shown.
const SHOWN_MAX: usize = 10;

/// What one message would take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OneOut {
    /// `gsm7` or `ucs2`.
    #[schema(example = "gsm7")]
    encoding: &'static str,
    #[schema(example = 1)]
    segments: usize,
    /// As people count them.
    #[schema(example = 16)]
    characters: usize,
    /// As they are billed: septets of GSM-7, of which `€` takes two, or 16-bit units of UCS-2.
    #[schema(example = 16)]
    units: usize,
    /// Units that the last segment has left.
    #[schema(example = 144)]
    remaining_units: usize,
    /// The text as it would be sent.
    #[schema(example = "Hello from Orbit")]
    body: String,
    /// Null of a pool: it chooses when a message is sent.
    #[schema(example = "Orbit")]
    from: Option<String>,
    /// Two capital letters; null for numbers of no country.
    #[schema(example = "US")]
    country: Option<&'static str>,
    #[schema(example = "310260")]
    mccmnc: Option<String>,
    /// Of one segment, in decimal dollars.
    #[schema(example = "0.007900")]
    unit_price: String,
    /// Of all segments.
    #[schema(example = "0.007900")]
    total_price: String,
    #[schema(example = "USD")]
    currency: &'static str,
    /// When it is charged: `resold_at_submit`.
    #[schema(example = "resold_at_submit")]
    billing_class: &'static str,
    /// The first 10 characters that keep the text from GSM-7.
    ucs2_characters: Vec<OutsiderOut>,
    warnings: Vec<WarningOut>,
}

/// A character that is not in the GSM-7 alphabet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutsiderOut {
    #[schema(example = "…")]
    character: String,
    /// Its place in the text, in characters from 0.
    #[schema(example = 12)]
    position: usize,
    /// What `smart_encoding` would put in its place, if the rest of the text allows.
    #[schema(example = "...")]
    replacement: Option<&'static str>,
}

/// The checks of a send, and the weight of its text.
pub(super) fn estimate<P>(
    app: &App,
    caller: &Caller<P>,
    common: &Common,
    recipient: Value,
) -> Result<Estimate, Fault> {
    let to = recipient.get("to").cloned().unwrap_or_default();
    let from = common.from.clone();
    let request = common.request(recipient, caller.test)?;
    let estimate = app.admission.estimate(caller.organization, request, caller.call.at());
    estimate.map_err(|refusal| {
        let value = match refusal.field.as_deref() {
            Some("to") => Some(to),
            Some("from") => from.map(|from| json!(from)),
            _ => None,
        };
        let fault = Fault::from(refusal);
        match value {
            Some(value) => fault.value(value),
            None => fault,
        }
    })
}

impl OneOut {
    pub(super) fn new(estimate: Estimate, common: &Common, business: Option<&str>) -> Self {
        let country = country_of(&estimate.message.to);
        let warnings = warnings(&estimate, common, country, business);
        let Estimate { message, weight } = estimate;
        let outsiders = text::outsiders(&message.body).map(|outsider| OutsiderOut {
            character: outsider.character.to_string(),
            position: outsider.position,
            replacement: outsider.plain,
        });
        let shown = if weight.encoding == Encoding::Ucs2 { SHOWN_MAX } else { 0 };
        Self {
            encoding: weight.encoding.as_str(),
            segments: weight.segments,
            characters: weight.characters,
            units: weight.units,
            remaining_units: weight.room,
            country,
            mccmnc: message.mccmnc.as_deref().map(str::to_owned),
            unit_price: message.unit_price.to_string(),
            total_price: message.hold().to_string(),
            currency: "USD",
            billing_class: "resold_at_submit",
            ucs2_characters: outsiders.take(shown).collect(),
            warnings,
            from: (!message.from.is_empty()).then_some(message.from),
            body: message.body,
        }
    }
}
