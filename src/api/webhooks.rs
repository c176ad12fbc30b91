//! `/webhooks`: endpoints that are told of events, what became of each event, and sending again.
//!
//! Reads go to the store, changes to the writer; the supervisor of customers hears of each change.
//! The name `callbacks` in the place of an id stands for the hidden endpoint through which the
//! `webhook_url` of single messages goes.

mod callbacks;
pub(crate) mod catalog;
mod change;
mod create;
mod deliveries;
mod input;
mod output;
mod read;
mod replay;
mod secret;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use actors::customer::webhook::guard::Networks;
use model::carrier::OrgId;
use model::id::{Kind, PublicId};
use model::refusal::Code;
use serde_json::json;
use store::WebhookRow;
use store::lane::{Admin, AdminDone, WebhookChange, WebhookDone};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use callbacks::ready;

use super::App;
use super::error::{ApiError, Fault};
use crate::settings::Webhooks;

/// In the place of an id: the organization's callbacks.
const CALLBACKS: &str = "callbacks";
/// Organizations remembered to have callbacks; past it all are forgotten and read again.
const REMEMBERED_MAX: usize = 100_000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::list, create::create))
        .routes(routes!(deliveries::dead_letters))
        .routes(routes!(replay::dead_letter))
        .routes(routes!(replay::delivery))
        .routes(routes!(callbacks::show))
        .routes(routes!(read::show, change::update, change::delete))
        .routes(routes!(change::test))
        .routes(routes!(secret::rotate))
        .routes(routes!(deliveries::list))
        .routes(routes!(replay::range))
}

/// What is asked of endpoints here.
pub(crate) struct Rules {
    settings: Webhooks,
    networks: Networks,
    /// Organizations whose callbacks are known to be there.
    known: Mutex<HashSet<OrgId>>,
}

impl Rules {
    pub(crate) fn new(settings: Webhooks) -> Self {
        let networks = settings.networks();
        Self { settings, networks, known: Mutex::default() }
    }

    /// Where events may be sent, as far as that can be known before they are.
    pub(crate) fn check_url(&self, field: &'static str, url: &str) -> Result<(), Fault> {
        let Err(forbidden) = self.networks.check(url) else { return Ok(()) };
        let message = format!("events cannot be sent to this URL: {forbidden}");
        let fault = Fault::new(Code::InvalidWebhookUrl, message).field(field).value(json!(url));
        Err(fault.expected("an https URL of a public address"))
    }

    fn knows(&self, organization: OrgId) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&organization)
    }

    fn remember(&self, organization: OrgId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(organization);
    }
}

fn not_found() -> ApiError {
    ApiError::new(Code::WebhookNotFound, "there is no such webhook here")
}

/// A customer's endpoint by its id.
async fn find(app: &App, organization: OrgId, id: &str) -> Result<WebhookRow, ApiError> {
    let id = PublicId::parse(Kind::Webhook, id).ok_or_else(not_found)?;
    app.store.webhook(organization, id).await?.ok_or_else(not_found)
}

/// The same, or the callbacks by their name.
async fn find_any(app: &App, organization: OrgId, id: &str) -> Result<WebhookRow, ApiError> {
    if id == CALLBACKS {
        return app.store.callbacks(organization).await?.ok_or_else(not_found);
    }
    find(app, organization, id).await
}

/// Has a change stored.
async fn store(app: &App, change: WebhookChange) -> Result<WebhookDone, ApiError> {
    match app.writer.administer(Admin::Webhook(Box::new(change))).await? {
        AdminDone::Webhook(WebhookDone::Changed(false)) => Err(not_found()),
        AdminDone::Webhook(done) => Ok(done),
        _ => Err(ApiError::internal()),
    }
}
