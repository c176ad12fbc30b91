//! What is around every route: the request's id, the error's body, the counters.
//!
//! One layer for all of it. Unknown paths and methods end here as errors like any other; a
//! trailing slash is looked up again without it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use model::clock::At;
use model::refusal::Code;
use tower::ServiceExt as _;

use super::App;
use super::call::Call;
use super::error::{ApiError, Frame};

/// The outermost layer.
pub(crate) async fn frame(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let call = Call::begin(request.headers(), At::now());
    let accept = request.headers().get(header::ACCEPT).cloned();
    let too_long = head_length(&request) > app.http.header_limit_bytes;
    let mut response = if too_long {
        let message = "the request's head is too long";
        ApiError::new(Code::HeadersTooLarge, message).into_response()
    } else {
        request.extensions_mut().insert(call.clone());
        next.run(request).await
    };
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        app.meters.refused(error.code);
        let frame = Frame {
            request_id: call.request_id(),
            timestamp: &At::now().iso(),
            problem: wants_problem(accept.as_ref()),
            public_url: app.http.public_url.as_deref().unwrap_or_default(),
        };
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.render(&frame);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    call.write(response.headers_mut());
    app.meters.answered(response.status());
    response
}

fn head_length(request: &Request) -> usize {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let length = |headers: &HeaderMap| -> usize {
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
    };
    line + length(request.headers())
}

fn wants_problem(accept: Option<&HeaderValue>) -> bool {
    let text = accept.and_then(|accept| accept.to_str().ok());
    text.is_some_and(|text| text.contains("application/problem+json"))
}

pub(crate) async fn method_not_allowed() -> ApiError {
    let message = "this path does not take this method; see the header Allow";
    ApiError::new(Code::MethodNotAllowed, message)
}

fn not_found() -> ApiError {
    ApiError::new(Code::NotFound, "there is nothing at this path; see /docs")
}

/// For paths that no route matched: the same path without its slashes at the end, once.
pub(crate) async fn without_slash(routes: Router, mut request: Request) -> Response {
    let Some(uri) = shorter(request.uri()) else {
        return not_found().into_response();
    };
    *request.uri_mut() = uri;
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

pub(crate) async fn unknown_path() -> ApiError {
    not_found()
}

fn shorter(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_is_forgiven() {
        let short = |text: &str| {
            let uri: Uri = text.parse().ok()?;
            shorter(&uri).map(|uri| uri.to_string())
        };
        assert_eq!(short("/v1/messages/"), Some(String::from("/v1/messages")));
        assert_eq!(short("/m/?a=/b/"), Some(String::from("/m?a=/b/")));
        for kept in ["/", "/v1/messages", "/v1//"] {
            assert_eq!(short(kept), None, "{kept}");
        }
    }

    #[test]
    fn problem_documents_are_for_those_who_ask() {
        let wants = |text| wants_problem(Some(&HeaderValue::from_static(text)));
        assert!(wants("application/problem+json"));
        assert!(wants("application/json;q=0.5, application/problem+json"));
        assert!(!wants("application/json") && !wants("*/*") && !wants_problem(None));
    }
}
