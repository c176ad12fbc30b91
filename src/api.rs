//! The REST API: `/api/v1` (also `/v1`), and what operators read beside it.
//!
//! frame (id, errors, counters) ─ routes ─ one file per resource: messages, billing, events, system …
//!
//! Built by boot from an [`App`]; served by [`serve()`]. Reads go to the store, changes to the
//! writer. It holds no truth: only keys and limits remembered for a moment.

mod auth;
mod billing;
mod body;
mod call;
mod caps;
mod carriers;
mod chunks;
mod consent;
mod doors;
mod error;
mod error_pages;
mod events;
mod export;
mod frame;
mod gates;
mod idempotency;
mod interceptors;
mod keywords;
mod limits;
mod messages;
mod meters;
mod numbers;
mod openapi;
mod page;
mod pools;
mod protection;
mod proxy;
mod routing;
mod serve;
mod sip;
mod sip_ws;
mod smpp;
mod suppressions;
mod system;
mod templates;
#[cfg(test)]
mod tests;
mod trunks;
mod voice;
mod webhooks;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use actors::customer::feed::Feed;
use actors::sip::call::Keeper;
use actors::sip::recordings::Taping;
use actors::smpp::server::accounts::Accounts;
use actors::traffic::admission::Admission;
use actors::writer::WriterHandle;
use axum::Router;
use axum::middleware::from_fn_with_state;
use store::Store;
use supervisors::customers::CustomersHandle;
use supervisors::sip::SipHandle;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

pub use doors::{jasmin_router, kannel_router};
pub(crate) use error::ApiError;
pub(crate) use interceptors::load as load_interceptors;
pub(crate) use numbers::StockOut as NumberStockOut;
pub use openapi::document;
pub(crate) use pools::{FIELDS as POOL_FIELDS, PoolOut, read as read_pool, stored as stored_pool};
pub use serve::{Handle, TlsFiles, serve};
pub(crate) use sip::{
    FIELDS as SIP_FIELDS, SipCredentialOut, read as read_sip, read_new as read_new_sip,
    stored as stored_sip,
};
pub(crate) use smpp::{
    AccountIn as SmppAccountIn, AccountOut as SmppAccountOut, AccountPatch as SmppAccountPatch,
    defaults as smpp_defaults, new_password as new_smpp_password,
};
pub(crate) use trunks::{
    FIELDS as TRUNK_FIELDS, TrunkOut, TrunkRegistrationOut, read as read_trunk,
    said as said_of_trunk,
};

use crate::carriers::Book;
use crate::masks::MaskBook;
use crate::numbers::NumberBook;
use crate::pools::PoolBook;
use crate::settings::{Compatibility, Events, Http, Profile, Retention, Schedules, Webhooks};
use crate::sip::SipBook;
use crate::trunks::TrunkBook;

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
    pub compatibility: Compatibility,
    pub limits: Profile,
    pub events: Events,
    pub retention: Retention,
    pub feed: Feed,
    pub schedules: Schedules,
    pub webhooks: Webhooks,
    /// Hears of endpoints that were made or changed.
    pub customers: CustomersHandle,
    /// Random, one per data folder: cursors survive a restart.
    pub cursor_key: [u8; 32],
    /// Whom the SMPP server lets in.
    pub accounts: Accounts,
    /// The carriers, as they run.
    pub carriers: Book,
    /// The SIP credentials, as the registrar knows them.
    pub(crate) phones: SipBook,
    pub(crate) trunks: TrunkBook,
    /// Who holds which call.
    pub calls: Keeper,
    pub(crate) numbers: NumberBook,
    pub(crate) masks: MaskBook,
    /// What organizations want of recordings, and where they lie.
    pub taping: Taping,
    /// Told of an SMPP account that was changed.
    pub smpp_changed: Arc<dyn Fn(&str) + Send + Sync>,
    /// Where telephones in browsers are let in.
    pub sip: SipDoor,
    pub readiness: Arc<dyn Fn() -> Vec<PartState> + Send + Sync>,
    /// Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The way from a WebSocket to SIP.
#[derive(Clone, Default)]
pub struct SipDoor {
    pub handle: SipHandle,
    /// Whose pages may use it, beside our own.
    pub origins: Vec<String>,
}

/// What every handler can reach. A clone is the same one.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What an [`App`] holds; nothing of it can be reached from outside.
pub struct Inner {
    store: Store,
    writer: WriterHandle,
    admission: Admission,
    schedules: Schedules,
    http: Http,
    compatibility: Compatibility,
    retention: Retention,
    streams: events::Streams,
    exports: Arc<Semaphore>,
    request_timeout: Duration,
    idempotency_wait: Duration,
    keys: auth::Keys,
    limits: limits::Limits,
    cursors: page::Cursors,
    accounts: Accounts,
    carriers: Book,
    pools: PoolBook,
    phones: SipBook,
    trunks: TrunkBook,
    calls: Keeper,
    numbers: NumberBook,
    masks: MaskBook,
    taping: Taping,
    /// Held while rules change in the store and then in memory, so that both see one order.
    rules_changing: tokio::sync::Mutex<()>,
    smpp_changed: Arc<dyn Fn(&str) + Send + Sync>,
    sip: SipDoor,
    imports: suppressions::Imports,
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
        let router = parts.admission.router().clone();
        let pools = PoolBook::new(parts.store.clone(), parts.writer.clone(), router);
        Self(Arc::new(Inner {
            store: parts.store,
            writer: parts.writer,
            admission: parts.admission,
            schedules: parts.schedules,
            request_timeout: Duration::from_secs(parts.http.request_timeout_s),
            idempotency_wait: Duration::from_secs(parts.http.idempotency_wait_s),
            exports: Arc::new(Semaphore::new(parts.http.exports_max)),
            http: parts.http,
            compatibility: parts.compatibility,
            retention: parts.retention,
            streams: events::Streams::new(parts.events, parts.feed),
            keys: auth::Keys::new(),
            limits: limits::Limits::new(parts.limits),
            cursors: page::Cursors::new(parts.cursor_key),
            accounts: parts.accounts,
            carriers: parts.carriers,
            pools,
            phones: parts.phones,
            trunks: parts.trunks,
            calls: parts.calls,
            numbers: parts.numbers,
            masks: parts.masks,
            taping: parts.taping,
            rules_changing: tokio::sync::Mutex::new(()),
            smpp_changed: parts.smpp_changed,
            sip: parts.sip,
            imports: suppressions::Imports::new(),
            webhooks: webhooks::Rules::new(parts.webhooks),
            customers: parts.customers,
            meters: meters::Meters::new(),
            readiness: parts.readiness,
            metrics: parts.metrics,
        }))
    }

    /// The sender pools, for who else changes them.
    pub(crate) fn pools(&self) -> PoolBook {
        self.0.pools.clone()
    }

    /// Ends the event streams, which do not end by themselves.
    pub fn end_streams(&self) {
        self.0.streams.end();
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// The resources, without their prefix.
fn resources() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(messages::routes())
        .merge(templates::routes())
        .merge(billing::routes())
        .merge(events::routes())
        .merge(caps::routes())
        .merge(protection::routes())
        .merge(gates::routes())
        .merge(suppressions::routes())
        .merge(consent::routes())
        .merge(keywords::routes())
        .merge(webhooks::routes())
        .merge(smpp::routes())
        .merge(interceptors::routes())
        .merge(routing::routes())
        .merge(pools::routes())
        .merge(carriers::routes())
        .merge(voice::routes())
        .merge(sip::routes())
        .merge(trunks::routes())
        .merge(numbers::routes())
        .merge(proxy::routes())
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
        .merge(sip_ws::routes())
        .merge(doors::routes(&app.compatibility))
        .fallback(frame::unknown_path)
        .method_not_allowed_fallback(frame::method_not_allowed)
        .with_state(app.clone());
    let again = routes.clone();
    let outer = Router::new()
        .merge(routes)
        .fallback(move |request| frame::without_slash(again.clone(), request));
    outer.layer(from_fn_with_state(app, frame::frame))
}
