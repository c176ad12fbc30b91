//! `/messages`: send one or many, list or export them, look at one and at its history.

mod batch;
mod estimate;
mod export;
mod history;
mod input;
mod list;
mod output;
mod send;
mod totals;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use input::text;
pub(crate) use input::{CATEGORIES, CategoryIn};
pub(crate) use input::{check_metadata, metadata_text};
pub(crate) use list::CHANNELS;
pub(crate) use output::id_of;
pub(crate) use send::check_channel;

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, send::create))
        .routes(routes!(send::create_sms))
        .routes(routes!(batch::create))
        .routes(routes!(export::export))
        .routes(routes!(batch::show))
        .routes(routes!(estimate::estimate))
        .routes(routes!(list::show))
        .routes(routes!(history::events))
}
