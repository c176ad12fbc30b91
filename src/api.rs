//! The REST API: `/api/v1` (also `/v1`), and what operators read beside it.
//!
//! frame (id, errors, counters) ─ routes ─ one file per resource: messages, billing, system
//!
//! Built by boot from an [`App`]; served by [`serve()`]. Reads go to the store, changes to the
//! writer. It holds no truth: only keys and limits remembered for a moment.

mod auth;
mod billing;
mod body;
mod call;
mod error;
mod error_pages;
mod frame;
mod idempotency;
mod limits;
mod messages;
mod meters;
mod openapi;
mod page;
mod serve;
mod system;
#[cfg(test)]
mod tests;
mod webhooks;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use actors::traffic::admission::Admission;
use actors::writer::WriterHandle;
use axum::Router;
use axum::middleware::from_fn_with_state;
use store::Store;
use supervisors::customers::CustomersHandle;
use utoipa_axum::router::OpenApiRouter;

pub use openapi::document;
pub use serve::{Handle, TlsFiles, serve};

use crate::settings::{Http, Profile, Webhooks};

/// One part of the switch, as `/readyz` names it.
#[derive(Clone, Debug)]
pub struct PartState {
    pub name: String,
    pub ready: bool,
    /// Why not, or what it does.
    pub detail: String,
}

/// What the API is made of.
pub struct AppParts {
    pub store: Store,
    pub writer: WriterHandle,
    pub admission: Admission,
    pub http: Http,
    pub limits: Profile,
    pub webhooks: Webhooks,
    /// Hears of endpoints that were made or changed.
    pub customers: CustomersHandle,
    /// Random, one per data folder: cursors survive a restart.
    pub cursor_key: [u8; 32],
    pub readiness: Arc<dyn Fn() -> Vec<PartState> + Send + Sync>,
    /// Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// What every handler can reach. A clone is the same one.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What an [`App`] holds; nothing of it can be reached from outside.
pub struct Inner {
    store: Store,
    writer: WriterHandle,
    admission: Admission,
    http: Http,
    request_timeout: Duration,
    idempotency_wait: Duration,
    keys: auth::Keys,
    limits: limits::Limits,
    cursors: page::Cursors,
    webhooks: webhooks::Rules,
    customers: CustomersHandle,
    meters: meters::Meters,
    readiness: Arc<dyn Fn() -> Vec<PartState> + Send + Sync>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl App {
    /// Registers its counters: install the recorder of `metrics` first.
    #[must_use]
    pub fn new(parts: AppParts) -> Self {
        Self(Arc::new(Inner {
            store: parts.store,
            writer: parts.writer,
            admission: parts.admission,
            request_timeout: Duration::from_secs(parts.http.request_timeout_s),
            idempotency_wait: Duration::from_secs(parts.http.idempotency_wait_s),
            http: parts.http,
            keys: auth::Keys::new(),
            limits: limits::Limits::new(parts.limits),
            cursors: page::Cursors::new(parts.cursor_key),
            webhooks: webhooks::Rules::new(parts.webhooks),
            customers: parts.customers,
            meters: meters::Meters::new(),
            readiness: parts.readiness,
            metrics: parts.metrics,
        }))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The routes of all resources.
fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(messages::routes())
        .merge(billing::routes())
        .merge(webhooks::routes())
}

/// The documented routes, under their prefix.
fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head()).nest("/api/v1", resources())
}

/// All routes.
pub fn router(app: App) -> Router {
    let (documented, _) = documented().split_for_parts();
    let (alias, _) = resources().split_for_parts();
    let routes: Router = documented
        .nest("/v1", alias)
        .merge(system::routes())
        .fallback(frame::unknown_path)
        .method_not_allowed_fallback(frame::method_not_allowed)
        .with_state(app.clone());
    let again = routes.clone();
    let outer = Router::new()
        .merge(routes)
        .fallback(move |request| frame::without_slash(again.clone(), request));
    outer.layer(from_fn_with_state(app, frame::frame))
}
