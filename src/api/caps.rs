//! `/frequency-caps`: the rules that bound how often one recipient is written to, and
//! `/contacts/{id}/frequency-caps`: how one recipient stands with them.

mod change;
mod contact;
mod input;
mod read;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::list, change::create))
        .routes(routes!(read::show, change::update, change::delete))
        .routes(routes!(contact::show))
}
