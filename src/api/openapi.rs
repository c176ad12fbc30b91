//! The OpenAPI 3.1 document: collected from the handlers, served, and kept in `docs/openapi.json`.

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::webhooks::catalog::{EventType, WebhookEnvelope};

/// What stands above the paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orbit",
        version = "1",
        description = "Send messages, follow them to the handset, and see what they cost. \
            Answers are `{data, meta}`, errors `{error, meta}`; with `Accept: \
            application/problem+json` errors are RFC 9457 problem documents. Unknown fields of a \
            request are ignored. The paths are there under `/v1` too.",
        license(name = "Apache-2.0"),
    ),
    tags(
        (name = "messages", description = "SMS out and in"),
        (name = "templates", description = "Texts with variables, kept by name"),
        (name = "billing", description = "The prepaid wallet"),
        (name = "frequency-caps", description = "How often one recipient may be written to"),
        (name = "protection", description = "Bounds against fraud with one's own account"),
        (name = "compliance", description = "Which sends are let through, and why not"),
        (name = "interceptors", description = "Rules on messages before they are routed"),
        (name = "events", description = "What happens, as a list and as a stream"),
        (name = "sender-pools", description = "Senders that messages go from in turn"),
        (name = "sip", description = "What phones register and call as"),
        (name = "numbers", description = "Phone numbers, and where calls to them go"),
        (name = "proxy", description = "Two people who reach each other by a number of neither"),
        (name = "trunks", description = "Telephone systems that calls go to and come from"),
        (name = "routing", description = "Which carriers take which messages"),
        (name = "voice", description = "Calls, and what became of them"),
        (name = "webhooks", description = "Events, posted to your endpoints"),
    ),
    components(schemas(EventType, WebhookEnvelope)),
    security(("api_key" = []), ("bearer" = [])),
    modifiers(&Keys),
)]
struct Head;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let header = ApiKeyValue::new("X-API-Key");
        let key = SecurityScheme::ApiKey(ApiKey::Header(header));
        components.add_security_scheme("api_key", key);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

pub(crate) fn head() -> Document {
    Head::openapi()
}

/// The document as text, as it is served.
#[must_use]
pub fn document() -> String {
    let (_, document) = super::documented().split_for_parts();
    let text = serde_json::to_string_pretty(&document);
    text.map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `ORBIT_BLESS` set the file is written instead.
    #[test]
    fn docs_openapi_json_is_what_is_served() -> std::io::Result<()> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        if std::env::var_os("ORBIT_BLESS").is_some() {
            std::fs::write(path, document())?;
        }
        let kept = std::fs::read_to_string(path)?;
        assert!(kept == document(), "run the tests once with ORBIT_BLESS=1");
        Ok(())
    }
}
