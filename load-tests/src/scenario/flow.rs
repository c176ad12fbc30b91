//! The one shape in which `sms` and `kannel` give their results, so that they can be divided.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::generator::LoadReport;
use crate::histogram::Summary;
use crate::peer::smsc::{Smsc, Stats};
use crate::process;

#[derive(Debug, Serialize)]
pub(crate) struct FlowReport {
    pub(crate) scenario: &'static str,
    pub(crate) passed: bool,
    pub(crate) store: String,
    pub(crate) connections: usize,
    pub(crate) accepted: u64,
    pub(crate) accepts_per_second: f64,
    /// From the first request to the last receipt that was handled.
    pub(crate) seconds: f64,
    pub(crate) messages_per_second: f64,
    pub(crate) accept: Summary,
    /// From accepted to delivered, as the switch dates them.
    pub(crate) delivery: Option<Summary>,
    pub(crate) cpu_us_per_message: BTreeMap<String, f64>,
    pub(crate) peak_memory_mb: BTreeMap<String, f64>,
    pub(crate) wallet: Option<Wallet>,
    pub(crate) load: LoadReport,
    pub(crate) carrier: Stats,
    pub(crate) problems: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Wallet {
    pub(crate) spent_micros: i64,
    pub(crate) held_micros: i64,
    /// The sum of the prices of all messages.
    pub(crate) expected_micros: i64,
    pub(crate) agrees: bool,
}

/// CPU time of everything that takes part, now.
pub(crate) struct CpuMark {
    at: BTreeMap<String, u64>,
}

/// Who is measured: named processes, our two threads, and PostgreSQL if there is one.
pub(crate) struct Meters {
    pub(crate) processes: Vec<(&'static str, u32)>,
    pub(crate) carrier: Option<PathBuf>,
    pub(crate) postgres: bool,
}

impl Meters {
    pub(crate) fn mark(&self) -> CpuMark {
        let mut at = BTreeMap::new();
        for (name, pid) in &self.processes {
            at.insert((*name).to_owned(), process::cpu_micros(*pid));
        }
        if let Some(thread) = &self.carrier {
            at.insert("carrier".to_owned(), process::thread_cpu_micros(thread));
        }
        if let Some(thread) = process::this_thread() {
            at.insert("generator".to_owned(), process::thread_cpu_micros(&thread));
        }
        if self.postgres {
            at.insert("postgres".to_owned(), process::cpu_micros_of_all("postgres").0);
        }
        CpuMark { at }
    }

    /// What the threads of a process have used, by name; for the difference of two such marks.
    pub(crate) fn threads(pid: u32) -> CpuMark {
        CpuMark { at: process::cpu_micros_by_thread(pid) }
    }

    /// Microseconds per message since the mark.
    pub(crate) fn since(&self, mark: &CpuMark, messages: u64) -> BTreeMap<String, f64> {
        self.mark().since(mark, messages)
    }

    pub(crate) fn peak_memory_mb(&self) -> BTreeMap<String, f64> {
        let megabytes = |pid| tenths(process::peak_memory_kb(pid) as f64 / 1024.0);
        let each = self.processes.iter();
        each.map(|(name, pid)| ((*name).to_owned(), megabytes(*pid))).collect()
    }
}

impl CpuMark {
    pub(crate) fn since(self, mark: &Self, messages: u64) -> BTreeMap<String, f64> {
        let per_message = |(name, now): (String, u64)| {
            let before = mark.at.get(&name).copied().unwrap_or(0);
            let micros = now.saturating_sub(before) as f64 / messages.max(1) as f64;
            (name, tenths(micros))
        };
        self.at.into_iter().map(per_message).collect()
    }
}

pub(crate) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Waits until the SMSC shows what is wished for; false when it did not in time.
pub(crate) async fn until(smsc: &Smsc, time: Duration, wish: impl Fn(&Stats) -> bool) -> bool {
    let deadline = Instant::now() + time;
    while !wish(&smsc.stats()) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}
