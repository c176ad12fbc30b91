//! What is measured of carriers, kept apart from all else so that it can be forgotten with them.
//!
//! The recorder of a process keeps each series for good. Carriers come and go, so whatever has the
//! label `carrier` is kept here instead, by carrier, and shown beside the rest. Who measures holds
//! the number itself: what is counted after a series was forgotten is seen by nobody.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// The label by which a series is kept here.
const LABEL: &str = "carrier";

/// All series of carriers. A clone is the same ones.
#[derive(Clone, Debug, Default)]
pub struct Series(Arc<RwLock<BTreeMap<String, HashMap<Key, Cell>>>>);

/// One number, and how it is read.
#[derive(Clone, Debug)]
struct Cell {
    kind: Kind,
    value: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A recorder that keeps series of carriers apart, and leaves all others to another one.
#[derive(Debug)]
pub struct Beside<R> {
    series: Series,
    rest: R,
}

impl Series {
    pub fn beside<R>(self, rest: R) -> Beside<R> {
        Beside { series: self, rest }
    }

    /// Drops all that was measured of a carrier.
    pub fn forget(&self, carrier: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(carrier);
    }

    /// The carriers of which something is measured.
    #[must_use]
    pub fn carriers(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Adds all series in the text form of Prometheus.
    pub fn render(&self, text: &mut String) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut by_name: BTreeMap<&str, Vec<(&Key, &Cell)>> = BTreeMap::new();
        for (key, cell) in all.values().flatten() {
            by_name.entry(key.name()).or_default().push((key, cell));
        }
        for (name, cells) in by_name {
            let kind = cells.first().map_or("untyped", |(_, cell)| cell.kind.name());
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (key, cell) in cells {
                let labels = key.labels().map(|l| format!("{}=\"{}\"", l.key(), shown(l.value())));
                let labels = labels.collect::<Vec<_>>().join(",");
                let _ = writeln!(text, "{name}{{{labels}}} {}", cell.shown());
            }
            text.push('\n');
        }
    }

    /// The number of a series; `None`: it is no carrier's.
    fn cell(&self, key: &Key, kind: Kind) -> Option<Arc<AtomicU64>> {
        let carrier = key.labels().find(|label| label.key() == LABEL)?.value();
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let own = match all.get_mut(carrier) {
            Some(own) => own,
            None => all.entry(carrier.to_owned()).or_default(),
        };
        let new = || Cell { kind, value: Arc::default() };
        let cell = own.entry(key.to_retained()).or_insert_with(new);
        Some(Arc::clone(&cell.value))
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

impl Cell {
    fn shown(&self) -> String {
        let value = self.value.load(Ordering::Acquire);
        match self.kind {
            Kind::Counter => value.to_string(),
            Kind::Gauge => f64::from_bits(value).to_string(),
        }
    }
}

/// A label's value between quotes.
fn shown(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl<R: Recorder> Recorder for Beside<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.rest.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.rest.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.rest.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        let own = self.series.cell(key, Kind::Counter);
        own.map_or_else(|| self.rest.register_counter(key, metadata), Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let own = self.series.cell(key, Kind::Gauge);
        own.map_or_else(|| self.rest.register_gauge(key, metadata), Gauge::from_arc)
    }

    /// Of carriers there are none.
    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.rest.register_histogram(key, metadata)
    }
}

#[cfg(test)]
mod tests {
    use metrics::{NoopRecorder, counter, gauge, with_local_recorder};

    use super::*;

    #[test]
    fn a_carriers_series_are_shown_until_it_is_forgotten() {
        let series = Series::default();
        let recorder = series.clone().beside(NoopRecorder);
        let text = || {
            let mut text = String::new();
            series.render(&mut text);
            text
        };
        with_local_recorder(&recorder, || {
            counter!("sent", "carrier" => "b").increment(2);
            counter!("sent", "carrier" => "a\"", "outcome" => "ok").increment(1);
            counter!("sent", "carrier" => "b").increment(1);
            gauge!("up", "carrier" => "b").set(0.5);
            counter!("other").increment(1);
        });
        assert_eq!(
            text(),
            "# TYPE sent counter\nsent{carrier=\"a\\\"\",outcome=\"ok\"} 1\n\
             sent{carrier=\"b\"} 3\n\n# TYPE up gauge\nup{carrier=\"b\"} 0.5\n\n"
        );
        let held = with_local_recorder(&recorder, || counter!("sent", "carrier" => "b"));
        series.forget("b");
        held.increment(1);
        assert_eq!(series.carriers(), ["a\""]);
        assert!(!text().contains("\"b\""), "{}", text());
        with_local_recorder(&recorder, || counter!("sent", "carrier" => "b").increment(1));
        assert!(text().contains("sent{carrier=\"b\"} 1\n"), "it begins anew");
    }
}
