//! `/messages`: send one or many, now or later, stop, change or repeat one, list them, look at one
//! and at its history.

mod batch;
mod cancel;
mod change;
mod edit;
mod history;
mod input;
mod list;
mod output;
mod retry;
mod send;
mod when;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use output::id_of;

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, send::create))
        .routes(routes!(send::create_sms))
        .routes(routes!(batch::create))
        .routes(routes!(list::show, edit::update))
        .routes(routes!(cancel::cancel))
        .routes(routes!(cancel::cancel_batch))
        .routes(routes!(retry::retry))
        .routes(routes!(history::events))
}
