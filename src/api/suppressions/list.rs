//! `GET /compliance/suppression-list`: newest first, by address or scope.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use model::clock::At;
use model::consent::{Origin, Scope};
use model::id::Kind;
use model::identity::Identity;
use serde::Serialize;
use store::SuppressionRow;
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::{Caller, ReadCompliance};
use super::super::call::Envelope;
use super::super::error::{ApiError, ErrorOut};
use super::super::messages::id_of;
use super::super::page::{List, Page, Query};
use super::change::scope_of;

/// An address that gets no messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuppressionOut {
    #[schema(example = "sup_0190b5a2c4e37f1a8d2e5b6c7d8e9f00")]
    id: String,
    #[schema(example = "+14155550123")]
    address: String,
    /// `all`, or the one channel it is about.
    #[schema(example = "all")]
    scope: &'static str,
    #[schema(example = "keyword")]
    reason: String,
    source: String,
    /// Who put it there: `keyword` or `consent`, by which the person takes it away again; `api` or
    /// `import`, which stay until they are deleted.
    #[schema(example = "keyword")]
    origin: &'static str,
    created_at: String,
}

/// Lists the suppression list, newest first.
#[utoipa::path(
    get, path = "/compliance/suppression-list", operation_id = "list_suppressions",
    tag = "compliance",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 200; 25 when left out"),
        ("cursor" = Option<String>, Query, description = "From `meta.pagination.cursor`"),
        ("address" = Option<String>, Query, description = "This address only"),
        ("scope" = Option<String>, Query, description = "This scope only"),
    ),
    responses(
        (status = 200, description = "A page", body = Envelope<Vec<SuppressionOut>>),
        (status = 400, description = "The query or its cursor is not valid", body = ErrorOut),
        (status = "default", description = "Any other error", body = ErrorOut),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ReadCompliance>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query = Query::of(&uri)?;
    let scope = scope_of(&query)?;
    let address = query.get("address").map(|text| {
        Identity::parse(text).map_or_else(|| text.to_owned(), |known| known.as_str().to_owned())
    });
    let page = Page::newest_first(&app, &caller, List::Suppressions, &query)?;
    let organization = caller.organization;
    let found =
        app.store.suppressions(organization, address.as_deref(), scope, page.from, page.reads());
    let mut rows = found.await?;
    let pagination = page.cut(&mut rows, |row| row.seq);
    let data = rows.into_iter().map(SuppressionOut::from).collect();
    caller.call.page(data, pagination)
}

impl From<SuppressionRow> for SuppressionOut {
    fn from(row: SuppressionRow) -> Self {
        Self {
            id: id_of(Kind::Suppression, &row.id),
            address: row.address,
            scope: Scope::from_code(row.scope).map_or("all", Scope::as_str),
            reason: row.reason,
            source: row.source,
            origin: Origin::from_code(row.origin).map_or("api", Origin::as_str),
            created_at: At(row.created_at).iso(),
        }
    }
}
