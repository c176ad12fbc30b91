//! An import at work: rows are read and stored a few hundred at a time, so that the writer stays
//! free for messages; after each step its state is a row.
//!
//! A task, started by the request that brought the file and ended with the process. What was
//! stored stays; whoever looks sees that it was interrupted, and gives the file again.

use std::time::Duration;

use model::consent::{Origin, Scope};
use model::id::PublicId;
use model::identity::Country;
use model::refusal::{Code, Refusal};
use serde_json::{Value, json};
use store::lane::{
    Admin, AdminDone, Compliance, Complied, ImportState, ImportStatus, NewSuppression, Work,
};
use tokio::sync::OwnedSemaphorePermit;

use super::super::App;
use super::super::body::storable;
use super::super::error::Fault;
use super::change::{REASON_MAX, read_scope};
use super::entry::resolve;
use super::file::FileRow;

/// Rows of one transaction.
const AT_ONCE: usize = 500;
/// Faults that are shown.
const ERRORS_MAX: usize = 100;
const TRIES: u32 = 60;
const REST: Duration = Duration::from_secs(1);

pub(super) struct Job {
    pub(super) app: App,
    pub(super) rows: Vec<FileRow>,
    pub(super) country: Option<Country>,
    pub(super) default_reason: String,
    pub(super) state: ImportState,
    pub(super) errors: Vec<Value>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Job {
    pub(super) async fn run(mut self) {
        let rows = std::mem::take(&mut self.rows);
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(rest.len().min(AT_ONCE));
            rest = others;
            if let Err(refusal) = self.step(some.to_vec()).await {
                let id = self.state.id;
                tracing::warn!(?id, error = %refusal.message, "an import could not be stored");
                self.end(ImportStatus::Failed).await;
                return;
            }
        }
        self.end(ImportStatus::Completed).await;
        drop(self.place);
    }

    async fn step(&mut self, rows: Vec<FileRow>) -> Result<(), Refusal> {
        let count = rows.len();
        let (country, reason) = (self.country, self.default_reason.clone());
        let read = move || rows.iter().map(|row| entry(row, country, &reason)).collect();
        // Reading national numbers is work for a processor.
        let entries: Vec<Result<NewSuppression, Value>> =
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| Refusal::new(Code::InternalError, "reading the rows failed"))?;
        let (mut good, mut bad) = (Vec::with_capacity(count), 0_i64);
        for entry in entries {
            match entry {
                Ok(entry) => good.push(entry),
                Err(fault) => {
                    bad += 1;
                    if self.errors.len() < ERRORS_MAX {
                        self.errors.push(fault);
                    }
                }
            }
        }
        let fit = i64::try_from(good.len()).unwrap_or(0);
        let added = if self.state.dry_run { fit } else { self.store(good).await? };
        self.state.processed += fit + bad;
        self.state.rejected += bad;
        self.state.added += added;
        self.state.known += fit - added;
        Ok(())
    }

    /// How many were not there yet.
    async fn store(&self, entries: Vec<NewSuppression>) -> Result<i64, Refusal> {
        let (organization, origin) = (self.state.organization, Origin::Import);
        let suppress = Admin::Comply(Compliance::Suppress { organization, origin, entries });
        let progress = Admin::Comply(Compliance::Import(self.current()));
        let work = || Work { admin: vec![suppress.clone(), progress.clone()], ..Work::default() };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.app.writer.perform(work()).await {
                Ok(done) => {
                    return match done.admin.first() {
                        Some(AdminDone::Complied(Complied::Suppressed(touched))) => {
                            Ok(i64::try_from(*touched).unwrap_or(0))
                        }
                        _ => Err(Refusal::new(Code::InternalError, "the rows were not taken")),
                    };
                }
                // Stored twice is stored once: asking again does no harm.
                Err(refusal) if tries >= TRIES => return Err(refusal),
                Err(_) => tokio::time::sleep(REST).await,
            }
        }
    }

    fn current(&self) -> ImportState {
        let errors = Value::Array(self.errors.clone()).to_string();
        ImportState { errors, ..self.state.clone() }
    }

    async fn end(&mut self, status: ImportStatus) {
        self.state.status = status;
        for _ in 0..TRIES {
            let change = Admin::Comply(Compliance::Import(self.current()));
            if self.app.writer.administer(change).await.is_ok() {
                return;
            }
            tokio::time::sleep(REST).await;
        }
    }
}

fn entry(
    row: &FileRow,
    country: Option<Country>,
    default_reason: &str,
) -> Result<NewSuppression, Value> {
    let told = |fault: Fault| {
        let mut fault = fault.to_json();
        fault["row"] = json!(row.line);
        fault
    };
    let scope = match row.scope.to_lowercase().as_str() {
        "" => None,
        text => Some(read_scope(text).map_err(told)?),
    };
    let reason = if row.reason.is_empty() { default_reason } else { &row.reason };
    let mut faults = Vec::new();
    storable("reason", reason, REASON_MAX, &mut faults);
    if let Some(fault) = faults.pop() {
        return Err(told(fault));
    }
    let (address, scope): (String, Scope) = resolve(&row.address, scope, country).map_err(told)?;
    Ok(NewSuppression {
        id: PublicId::new(model::clock::At::now()),
        address,
        scope,
        reason: reason.to_owned(),
        source: String::from("import"),
    })
}
