//! What is told, and how long things are kept: `[events] [retention]`.

use serde::{Deserialize, Serialize};

use super::Faults;

/// Event streams.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub heartbeat_s: u64,
    pub retry_ms: u64,
    pub streams_max: usize,
    pub streams_per_key_max: usize,
    pub buffer_events: usize,
    pub replay_h: u64,
    pub replay_events_max: u64,
}

impl Events {
    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "events";
        faults.range(self.heartbeat_s, 1..=600, section, "heartbeat_s");
        faults.range(self.retry_ms, 100..=600_000, section, "retry_ms");
        faults.range(self.streams_max as u64, 0..=100_000, section, "streams_max");
        let per_key = self.streams_per_key_max as u64;
        faults.range(per_key, 1..=10_000, section, "streams_per_key_max");
        faults.range(self.buffer_events as u64, 1..=100_000, section, "buffer_events");
        faults.range(self.replay_h, 0..=720, section, "replay_h");
        faults.range(self.replay_events_max, 0..=1_000_000, section, "replay_events_max");
    }
}

/// When a body goes that is no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Redact {
    Never,
    AfterFinal,
}

/// How long things are kept, in days; 0: for good.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub messages_days: u64,
    pub bodies_days: u64,
    pub ledger_days: u64,
    pub events_days: u64,
    pub redact_bodies: Redact,
    pub inbound_bodies_h: u64,
    pub sweep_s: u64,
    pub batch_rows: u64,
    pub pause_ms: u64,
}

impl Retention {
    pub(super) fn check(&self, faults: &mut Faults) {
        let section = "retention";
        let century = 0..=36_500;
        faults.range(self.messages_days, century.clone(), section, "messages_days");
        faults.range(self.bodies_days, century.clone(), section, "bodies_days");
        faults.range(self.ledger_days, century.clone(), section, "ledger_days");
        faults.range(self.events_days, century, section, "events_days");
        faults.range(self.inbound_bodies_h, 0..=8_760, section, "inbound_bodies_h");
        faults.range(self.sweep_s, 1..=86_400, section, "sweep_s");
        faults.range(self.batch_rows, 1..=5_000, section, "batch_rows");
        faults.range(self.pause_ms, 0..=60_000, section, "pause_ms");
    }
}
