//! What the API counts. Every handle is registered once, so that a request looks nothing up.

use axum::http::StatusCode;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use model::clock::At;
use model::refusal::Code;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(crate) struct Meters {
    refusals: Vec<Counter>,
    answers: [Counter; 5],
    accept_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new() -> Self {
        describe_counter!("orbit_refusals_total", "Requests refused, by code");
        describe_counter!("orbit_http_requests_total", "Requests answered, by status class");
        describe_histogram!("orbit_accept_seconds", "From a send's head read to its 202");
        let refusal = |code: &Code| counter!("orbit_refusals_total", "code" => code.as_str());
        Self {
            refusals: Code::ALL.iter().map(refusal).collect(),
            answers: CLASSES.map(|class| counter!("orbit_http_requests_total", "class" => class)),
            accept_seconds: histogram!("orbit_accept_seconds"),
        }
    }

    pub(crate) fn refused(&self, code: Code) {
        if let Some(counter) = self.refusals.get(code as usize) {
            counter.increment(1);
        }
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.answers.get(class.wrapping_sub(1)) {
            counter.increment(1);
        }
    }

    /// A send was accepted that began at `begun`.
    pub(crate) fn accepted(&self, begun: At) {
        self.accept_seconds.record(At::now().since(begun).as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codes_number_is_its_place_in_the_list() {
        for (at, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, at);
        }
    }
}
