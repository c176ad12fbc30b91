//! `/messages/templates`: texts with variables, kept by name, changed and tried out.

mod change;
mod input;
mod output;
mod preview;
mod read;
mod values;
mod wording;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use values::{Values, VariableIn};
pub(crate) use wording::Wording;

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::list, change::create))
        .routes(routes!(read::show, change::update, change::replace, change::delete))
        .routes(routes!(preview::preview))
}
