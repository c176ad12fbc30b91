//! `/compliance/suppression-list`: who gets no messages, one by one or as a file.
//!
//! entry     what an address is, and in which scope
//! change    add and remove
//! list      look
//! import    a CSV file, as a job

mod change;
mod entry;
mod file;
mod import;
mod job;
mod list;

use std::sync::Arc;

use model::clock::At;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use entry::{fits, identity};

use super::App;

/// Files read and imports run at once, of all organizations.
const IMPORTS_AT_ONCE: usize = 4;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, change::create, change::delete_by_address))
        .routes(routes!(change::delete))
        .routes(routes!(import::create))
        .routes(routes!(import::show))
}

/// The imports that this process runs.
pub(crate) struct Imports {
    places: Arc<Semaphore>,
    /// What carries another number was begun by a process that is no more.
    process: i64,
}

impl Imports {
    pub(crate) fn new() -> Self {
        let places = Arc::new(Semaphore::new(IMPORTS_AT_ONCE));
        Self { places, process: At::now().micros() }
    }
}
