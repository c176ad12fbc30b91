//! `/compliance/consent`: what people say about being written to, and where they stand.
//!
//! input     what a statement may say
//! record    one statement, or up to a thousand
//! read      where a person stands, and what the person said

mod input;
mod read;
mod record;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read::show, record::create))
        .routes(routes!(read::history))
        .routes(routes!(record::bulk))
}
