//! `/messages`: send one or many, now or later, stop, change or repeat one, list or export them,
//! look at one and at its history.

mod batch;
mod cancel;
mod change;
mod edit;
mod estimate;
mod export;
mod history;
mod input;
mod list;
mod output;
mod retry;
mod route;
mod send;
mod totals;
mod when;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use export::records;
pub(crate) use input::text;
pub(crate) use input::{CATEGORIES, CategoryIn};
pub(crate) use input::{check_metadata, metadata_text};
pub(crate) use list::CHANNELS;
pub(crate) use output::{AcceptedOut, id_of};
pub(crate) use send::{check_channel, submit};

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, send::create))
        .routes(routes!(send::create_sms))
        .routes(routes!(batch::create))
        .routes(routes!(export::export))
        .routes(routes!(batch::show))
        .routes(routes!(estimate::estimate))
        .routes(routes!(list::show, edit::update))
        .routes(routes!(cancel::cancel))
        .routes(routes!(cancel::cancel_batch))
        .routes(routes!(retry::retry))
        .routes(routes!(history::events))
}
