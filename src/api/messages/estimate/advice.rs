//! What would make a message cheaper, or better received. Advice: nothing is refused for it.

use actors::traffic::admission::Estimate;
use actors::traffic::text::{Outsider, Weight, outsiders, smart, weigh_plainly};
use model::address::SenderKind;
use model::lint::{Lacking, first_message};
use model::message::{Category, Encoding};
use model::template::Template;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::batch::Common;

/// Characters outside GSM-7 that still are a few.
const FEW_MAX: usize = 10;
/// Units that are nearly none.
const NEAR: usize = 5;

/// One piece of advice.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WarningOut {
    /// `UCS2_FORCED`, `NEAR_PART_LIMIT`, `JUST_OVER_PART_LIMIT`, `NO_REPLIES`,
    /// `PLACEHOLDER_LEFT`, `NO_OPT_OUT_WORDS`, `NO_BUSINESS_NAME`, `NO_FREQUENCY` or
    /// `NO_RATE_NOTICE`; more may come.
    #[schema(example = "NO_REPLIES")]
    code: &'static str,
    #[schema(example = "nobody can reply to an alphanumeric sender")]
    message: String,
    /// Segments that would be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments_saved: Option<usize>,
    /// Of a message to many: of how many of them it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<usize>,
}

impl WarningOut {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), segments_saved: None, recipients: None }
    }

    fn saves(self, segments: usize) -> Self {
        Self { segments_saved: Some(segments), ..self }
    }

    /// Counts a warning among those of the same kind; the first one speaks for all.
    pub(super) fn gather(all: &mut Vec<Self>, warning: Self) {
        match all.iter_mut().find(|known| known.code == warning.code) {
            Some(known) => known.recipients = known.recipients.map(|count| count + 1),
            None => all.push(Self { recipients: Some(1), ..warning }),
        }
    }
}

pub(super) fn warnings(
    estimate: &Estimate,
    common: &Common,
    country: Option<&str>,
    business: Option<&str>,
) -> Vec<WarningOut> {
    let (message, weight) = (&estimate.message, &estimate.weight);
    let mut all = Vec::new();
    all.extend(ucs2_forced(&message.body, weight, common.encoding));
    all.extend(near_limit(weight));
    if SenderKind::of(&message.from) == Some(SenderKind::Alphanumeric) {
        all.push(WarningOut::new("NO_REPLIES", "nobody can reply to an alphanumeric sender"));
    }
    if let Some(name) = Template::parse(&message.body).variables().first() {
        let text = format!("the text still has a variable in it: {name}");
        all.push(WarningOut::new("PLACEHOLDER_LEFT", text));
    }
    if message.category == Category::Marketing {
        let names = [business.unwrap_or_default(), message.from.as_str()];
        all.extend(first_message_lacks(&message.body, &names, &message.from, country));
    }
    all
}

/// A few characters make the whole text dear.
fn ucs2_forced(body: &str, weight: &Weight, asked: Option<Encoding>) -> Option<WarningOut> {
    if asked.is_some() || weight.encoding != Encoding::Ucs2 {
        return None;
    }
    let few: Vec<Outsider> = outsiders(body).take(FEW_MAX + 1).collect();
    if few.len() > FEW_MAX {
        return None;
    }
    let smart_does = smart(body.to_owned(), None) != body;
    let mut plain = String::with_capacity(body.len());
    let mut next = few.iter().peekable();
    for (position, c) in body.chars().enumerate() {
        match next.next_if(|outsider| outsider.position == position) {
            Some(outsider) => plain.push_str(outsider.plain.unwrap_or("?")),
            None => plain.push(c),
        }
    }
    let without = weigh_plainly(&plain).segments;
    let saved = weight.segments.checked_sub(without).filter(|saved| *saved > 0)?;
    let mut named: Vec<String> = Vec::new();
    for outsider in &few {
        let shown = format!("`{}`", outsider.character);
        if !named.contains(&shown) {
            named.push(shown);
        }
    }
    let help = if smart_does { "; smart_encoding replaces them" } else { "" };
    let text = format!(
        "{} make the text UCS-2: without them it takes {without} instead of {} segments{help}",
        named.join(", "),
        weight.segments
    );
    Some(WarningOut::new("UCS2_FORCED", text).saves(saved))
}

/// A little more is one segment more, or a little less one less.
fn near_limit(weight: &Weight) -> Option<WarningOut> {
    // A text that fits alone needs no header, so the second part costs the first one room.
    let below = match weight.segments {
        0 | 1 => None,
        2 => Some(weight.single),
        more => Some(weight.per_part * (more - 1)),
    };
    let over = below.map(|below| weight.units.saturating_sub(below));
    if let Some(over) = over.filter(|over| (1..=NEAR).contains(over)) {
        let text = format!("{over} units less are one segment less");
        return Some(WarningOut::new("JUST_OVER_PART_LIMIT", text).saves(1));
    }
    let text = format!("the last segment has room for {} more units", weight.room);
    (weight.room <= NEAR).then(|| WarningOut::new("NEAR_PART_LIMIT", text))
}

fn first_message_lacks(
    body: &str,
    names: &[&str],
    from: &str,
    country: Option<&str>,
) -> Vec<WarningOut> {
    // A sender of letters says who is writing.
    let named = SenderKind::of(from) == Some(SenderKind::Alphanumeric);
    let american = matches!(country, Some("US" | "CA"));
    let lacking = first_message(body, names).into_iter();
    let warn = |lacking| match lacking {
        Lacking::OptOut => {
            let text = "the text does not say how to stop it, as in `Reply STOP to opt out`";
            Some(WarningOut::new("NO_OPT_OUT_WORDS", text))
        }
        Lacking::Business => (!named).then(|| {
            WarningOut::new("NO_BUSINESS_NAME", "neither text nor sender says who is writing")
        }),
        Lacking::Frequency => american.then(|| {
            let text = "a first message should say how often more will come";
            WarningOut::new("NO_FREQUENCY", text)
        }),
        Lacking::Rates => american.then(|| {
            let text = "a first message should say `Msg & data rates may apply`";
            WarningOut::new("NO_RATE_NOTICE", text)
        }),
    };
    lacking.filter_map(warn).collect()
}
