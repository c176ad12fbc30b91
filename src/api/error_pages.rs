//! The pages of `docs/errors/`, one per code, in the program: what an error's `docs_url` shows.

macro_rules! pages {
    ($($code:literal,)+) => {
        &[$(($code, include_str!(concat!("../../docs/errors/", $code, ".md"))),)+]
    };
}

pub(crate) const PAGES: &[(&str, &str)] = pages![
    "INVALID_CURSOR",
    "IDEMPOTENCY_KEY_INVALID",
    "UNAUTHORIZED",
    "INVALID_API_KEY",
    "BALANCE_TOO_LOW",
    "INSUFFICIENT_PERMISSIONS",
    "WRONG_KEY_MODE",
    "ORGANIZATION_SUSPENDED",
    "FRAUD_BLOCKED",
    "DNC_SYNC_NOT_ENABLED",
    "RND_SCRUB_NOT_ENABLED",
    "NOT_FOUND",
    "TEMPLATE_NOT_FOUND",
    "WEBHOOK_NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "REQUEST_TIMEOUT",
    "CONFLICT",
    "IDEMPOTENCY_IN_PROGRESS",
    "MESSAGE_NOT_CANCELLABLE",
    "MESSAGE_NOT_EDITABLE",
    "MESSAGE_NOT_RETRYABLE",
    "MANAGED_BY_SETTINGS",
    "RESOURCE_IN_USE",
    "NUMBER_NOT_AVAILABLE",
    "TRUNK_IN_USE",
    "PROXY_POOL_EXHAUSTED",
    "EXTENSION_IN_USE",
    "ALREADY_REVEALED",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA",
    "VALIDATION_ERROR",
    "MISSING_REQUIRED_FIELD",
    "INVALID_PHONE_NUMBER",
    "INVALID_SENDER",
    "INVALID_CHANNEL",
    "INVALID_TEMPLATE",
    "INVALID_WEBHOOK_URL",
    "MESSAGE_TOO_LONG",
    "RECIPIENT_OPTED_OUT",
    "INVALID_SCHEDULE",
    "IDEMPOTENCY_KEY_REUSED",
    "NO_ROUTE",
    "NO_PRICE",
    "FREQUENCY_CAP_EXCEEDED",
    "DESTINATION_NOT_ALLOWED",
    "CALLER_ID_NOT_OWNED",
    "NO_DEFAULT_NUMBER",
    "SPEND_LIMIT_REACHED",
    "VELOCITY_EXCEEDED",
    "CONSENT_REQUIRED",
    "RECIPIENT_ON_DNC",
    "SENDER_ID_NOT_APPROVED",
    "SENDER_NOT_OWNED",
    "QUIET_HOURS_BLOCKED",
    "SENDER_POOL_UNCOVERED",
    "SENDER_POOL_EXHAUSTED",
    "SOUND_NOT_FOUND",
    "TTS_NOT_CONFIGURED",
    "BLOCKED_BY_RULE",
    "ROUTING_NOT_AVAILABLE",
    "EMERGENCY_CALLING_NOT_SUPPORTED",
    "RATE_LIMITED",
    "CALL_RATE_EXCEEDED",
    "CONCURRENT_CALL_LIMIT",
    "HEADERS_TOO_LARGE",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
];

#[cfg(test)]
mod tests {
    use model::refusal::Code;

    use super::*;

    #[test]
    fn every_code_has_a_page_that_begins_with_it_and_no_page_lacks_a_code() {
        for code in Code::ALL {
            let page = PAGES.iter().find(|(name, _)| *name == code.as_str());
            let text = page.map_or("", |(_, text)| text);
            let status = format!("HTTP status {}.", code.http_status());
            assert!(text.starts_with(&format!("# {}\n", code.as_str())), "{code:?}");
            assert!(text.contains(&status), "{code:?}: {status}");
        }
        assert_eq!(PAGES.len(), Code::ALL.len());
    }
}
