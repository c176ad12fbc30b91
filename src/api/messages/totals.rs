//! What many messages take together, and in each country.

use std::collections::BTreeMap;

use model::money::Micros;
use model::submission::NewMessage;
use serde::Serialize;
use utoipa::ToSchema;

/// Sums by country; `None` is no country, as satellite phones.
#[derive(Default)]
pub(super) struct Totals(BTreeMap<Option<&'static str>, Sum>);

#[derive(Clone, Copy, Default)]
struct Sum {
    messages: usize,
    segments: i64,
    price: Micros,
}

/// What the messages to one country take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountryOut {
    /// Two capital letters; null for numbers of no country.
    #[schema(example = "US")]
    country: Option<&'static str>,
    #[schema(example = 997)]
    messages: usize,
    #[schema(example = 997)]
    segments: i64,
    /// Decimal dollars.
    #[schema(example = "7.876300")]
    total_price: String,
}

impl Totals {
    pub(super) fn add(&mut self, message: &NewMessage, country: Option<&'static str>) {
        let sum = self.0.entry(country).or_default();
        sum.messages += 1;
        sum.segments += i64::from(message.segments);
        sum.price += message.hold();
    }

    pub(super) fn segments(&self) -> i64 {
        self.0.values().map(|sum| sum.segments).sum()
    }

    pub(super) fn price(&self) -> Micros {
        self.0.values().fold(Micros::ZERO, |total, sum| total + sum.price)
    }

    pub(super) fn by_country(&self) -> Vec<CountryOut> {
        let out = |(country, sum): (&Option<&'static str>, &Sum)| CountryOut {
            country: *country,
            messages: sum.messages,
            segments: sum.segments,
            total_price: sum.price.to_string(),
        };
        self.0.iter().map(out).collect()
    }
}
