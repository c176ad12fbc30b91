//! For operators and for people with questions: `/livez`, `/readyz`, `/metrics`,
//! `/openapi.json`, `/docs` and a page per error code. None needs a key.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::refusal::Code;
use serde_json::json;

use super::error::ApiError;
use super::error_pages::PAGES;
use super::{App, openapi};

const DOCS: &str = include_str!("docs.html");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<App> {
    // Written once: it does not change while the process lives.
    let document = axum::body::Bytes::from(openapi::document());
    let served = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(served))
        .route("/docs", get(docs))
        .route("/docs/errors/{code}", get(error_page))
}

/// 200 when every part is ready, else 503; either way all parts by name.
async fn ready(State(app): State<App>) -> Response {
    let parts = (app.readiness)();
    let all = parts.iter().all(|part| part.ready);
    let not_ready: Vec<&str> =
        parts.iter().filter(|part| !part.ready).map(|part| part.name.as_str()).collect();
    let list: Vec<_> = parts
        .iter()
        .map(|part| json!({"name": part.name, "ready": part.ready, "detail": part.detail}))
        .collect();
    let body = json!({"ready": all, "not_ready": not_ready, "parts": list}).to_string();
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], (app.metrics)()).into_response()
}

async fn docs() -> Response {
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, DOCS).into_response()
}

/// What an error's `docs_url` leads to.
async fn error_page(Path(code): Path<String>) -> Result<Response, ApiError> {
    let page = PAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&code));
    let (_, text) =
        page.ok_or_else(|| ApiError::new(Code::NotFound, "there is no error of this code"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], *text).into_response())
}
