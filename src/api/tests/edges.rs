//! Who may come in, and what is answered to what is no request at all.

use super::*;

const SMS: &str = "/api/v1/messages/sms";

#[tokio::test]
async fn keys_open_what_they_are_for() {
    let world = World::new().await;
    let reader = world.key(Mode::Live, "messages:read").await;
    assert_eq!(world.get_as(&reader, "/v1/messages").await.status, 200);
    let lacking = world.post_with(SMS, sms().to_string(), &[("x-api-key", &reader)]).await;
    assert_eq!((lacking.status, lacking.code()), (403, "INSUFFICIENT_PERMISSIONS"));
    assert_eq!(lacking.body["error"]["details"]["expected"], "messages:write");
    let money = world.get_as(&reader, "/v1/billing/balance").await;
    assert_eq!(money.code(), "INSUFFICIENT_PERMISSIONS");
    let writer = world.key(Mode::Live, "messages:write").await;
    assert_eq!(world.get_as(&writer, "/v1/messages").await.status, 200);
}

#[tokio::test]
async fn a_request_without_a_usable_key_is_401() {
    let world = World::new().await;
    let unknown = api_key::mint(Mode::Live, [9; 32]);
    for bad in ["", "x", "dv_live_sk_", "pk_live_abc", unknown.as_str(), &"dv_live_sk_".repeat(99)]
    {
        let answer = world.get_as(bad, "/v1/messages").await;
        assert_eq!((answer.status, answer.code()), (401, "INVALID_API_KEY"), "{bad}");
    }
    let none = world.call(Request::get("/v1/messages").body(Body::empty()).unwrap()).await;
    assert_eq!((none.status, none.code()), (401, "UNAUTHORIZED"));
    assert_eq!(none.header("www-authenticate"), "Bearer");
    let bearer = format!("Bearer {}", world.key.replace("dv_live_sk_", "sk_live_"));
    let request = Request::get("/v1/messages").header("authorization", bearer);
    assert_eq!(world.call(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_sends_nothing_more() {
    let world = World::new().await;
    let (text, key) = new_key(Mode::Live, "*");
    let (id, organization) = (key.id, world.organization);
    world.handle.administer(Admin::CreateKey { organization, key }).await.unwrap();
    let headers = [("x-api-key", text.as_str())];
    assert_eq!(world.post_with(SMS, sms().to_string(), &headers).await.status, 202);
    world.handle.administer(Admin::RevokeKey { id }).await.unwrap();
    let answer = world.post_with(SMS, sms().to_string(), &headers).await;
    assert_eq!((answer.status, answer.code()), (401, "INVALID_API_KEY"));
}

#[tokio::test]
async fn a_sandbox_organization_refuses_live_keys() {
    let world = World::new().await;
    let live = world.stranger(true).await;
    let answer = world.get_as(&live, "/v1/messages").await;
    assert_eq!((answer.status, answer.code()), (403, "WRONG_KEY_MODE"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_the_envelope() {
    let world = World::new().await;
    for path in ["/", "/nope", "/api/v1/nope", "/api/v1/nope/", "/api/v2/messages", "//"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"), "{path}");
        assert!(answer.body["meta"]["docs_url"].is_string());
    }
    for path in [SMS, "/v1/messages/sms/"] {
        let answer = world.get(path).await;
        assert_eq!((answer.status, answer.code()), (405, "METHOD_NOT_ALLOWED"));
        assert_eq!(answer.header("allow"), "POST");
    }
    let request = Request::delete("/v1/messages").body(Body::empty()).unwrap();
    let answer = world.call(request).await;
    assert_eq!(answer.status, 405);
    let allow = answer.header("allow");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_each_by_its_code() {
    let world = World::new().await;
    let post = async |body: &str, kind: &str| {
        let headers = [("content-type", kind)];
        let answer = world.post_with(SMS, body.to_owned(), &headers).await;
        (answer.status, answer.code().to_owned())
    };
    let named = |status: u16, code: &str| (status, code.to_owned());
    let json = "application/json; charset=utf-8";
    assert_eq!(post(&sms().to_string(), json).await.0, 202);
    assert_eq!(post(&sms().to_string(), "text/plain").await, named(415, "UNSUPPORTED_MEDIA"));
    for broken in ["", "{", "{\"to\":\"\\ud800\"}", &"[".repeat(50_000), "\u{feff}{}"] {
        assert_eq!(post(broken, json).await, named(400, "VALIDATION_ERROR"), "{broken:.20}");
    }
    for odd in ["[]", "5", "null", "\"x\"", "{\"to\":{},\"body\":[]}"] {
        assert_eq!(post(odd, json).await, named(422, "VALIDATION_ERROR"), "{odd}");
    }
    let null = "{\"to\":\"+14155550123\",\"body\":\"a\\u0000b\"}";
    assert_eq!(post(null, json).await, named(422, "VALIDATION_ERROR"));
    let large = format!("{{\"body\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(post(&large, json).await, named(413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    struct Never;

    impl axum::body::HttpBody for Never {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    let body = Body::new(Never);
    let request = Request::post(SMS).header("content-type", "application/json").body(body);
    let settings = Settings::load(None, Vec::new(), Vec::new()).unwrap();
    let read = super::super::body::read(request.unwrap(), &settings.http).await;
    assert_eq!(read.err().map(|error| error.status.as_u16()), Some(408));
}

#[tokio::test]
async fn a_request_id_is_echoed_and_a_problem_document_given_when_asked_for() {
    let world = World::new().await;
    let request = Request::get("/v1/messages/none")
        .header("x-api-key", &world.key)
        .header("x-request-id", "mine-1")
        .header("accept", "application/problem+json");
    let answer = world.call(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["request_id"], "mine-1");
    assert_eq!(answer.body["code"], "NOT_FOUND");
    assert_eq!(answer.body["type"], "/docs/errors/NOT_FOUND");
    let made = world.get("/v1/messages").await;
    assert_eq!(made.body["meta"]["request_id"], made.header("x-request-id"));
}

#[tokio::test]
async fn a_long_head_is_431() {
    let world = World::new().await;
    let request = Request::get("/v1/messages").header("x-long", "x".repeat(40_000));
    let answer = world.call(request.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.code()), (431, "HEADERS_TOO_LARGE"));
}

#[tokio::test]
async fn a_bad_idempotency_key_is_400() {
    let world = World::new().await;
    for bad in ["short", &"x".repeat(256), "with blank"] {
        let answer = world.post_with(SMS, sms().to_string(), &[("idempotency-key", bad)]).await;
        assert_eq!((answer.status, answer.code()), (400, "IDEMPOTENCY_KEY_INVALID"));
    }
}
